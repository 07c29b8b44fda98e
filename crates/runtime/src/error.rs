//! The one adapter that prints an error together with its causes.

use std::error::Error;

/// An error of any kind that may cross threads; what background tasks end with.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Renders `error` and its causes as `outer: middle: inner`.
///
/// Our own errors never repeat their source in their text; foreign ones sometimes do, so a cause whose text the text so
/// far already ends with is left out.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("open the file")]
    struct Outer(#[source] std::io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("outer: {0}")]
    struct Doubling(#[source] std::io::Error);

    #[test]
    fn names_every_cause_once() {
        assert_eq!(chain(&Outer(std::io::Error::other("disk gone"))), "open the file: disk gone");
        assert_eq!(chain(&Doubling(std::io::Error::other("disk gone"))), "outer: disk gone");
    }
}
