//! Cookies: the session's, and that of a sign-in under way.

use axum::http::{HeaderMap, header};
use tandem_consent::Secret;
use url::Url;

use crate::fault::Fault;

/// Which cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cookie {
    /// Of somebody who is signed in.
    Session,
    /// Of a browser on its way through a sign-in.
    SignIn,
}

impl Cookie {
    /// Under a host with TLS the browser itself sees to it that the cookie is Secure and of this host alone; on the
    /// loopback of a demo there is no TLS, and hence no such promise.
    fn name(self, base: &Url) -> &'static str {
        match (self, base.scheme() == "https") {
            (Self::Session, true) => "__Host-tandem",
            (Self::Session, false) => "tandem",
            (Self::SignIn, true) => "__Host-tandem_sign_in",
            (Self::SignIn, false) => "tandem_sign_in",
        }
    }

    /// The header that sets it. It ends with the browser; the server decides earlier.
    pub(crate) fn set(self, base: &Url, secret: &Secret) -> String {
        self.header(base, &secret.text(), "")
    }

    /// The header that takes it away.
    pub(crate) fn unset(self, base: &Url) -> String {
        self.header(base, "", "; Max-Age=0")
    }

    fn header(self, base: &Url, value: &str, more: &str) -> String {
        let secure = if base.scheme() == "https" { "; Secure" } else { "" };
        format!("{}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{more}", self.name(base))
    }

    /// What a request brings; two of one name have no meaning.
    pub(crate) fn read(self, base: &Url, headers: &HeaderMap) -> Result<Option<Secret>, Fault> {
        let name = self.name(base);
        let mut found = headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(given, _)| *given == name)
            .map(|(_, value)| value);
        let first = found.next();
        if found.next().is_some() {
            return Err(Fault::TwoCookies);
        }
        Ok(first.and_then(Secret::parse))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(base: &Url, cookie: &str) -> Result<Option<String>, Fault> {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, cookie.parse().unwrap());
        Cookie::Session.read(base, &headers).map(|found| found.map(|secret| secret.text()))
    }

    #[test]
    fn b24_one_cookie_of_the_right_name_counts() {
        let tls: Url = "https://portal.example/".parse().unwrap();
        let local: Url = "http://localhost:1/".parse().unwrap();
        let secret = Secret::new().unwrap();
        let text = secret.text();
        let set = Cookie::Session.set(&tls, &secret);
        assert_eq!(set, format!("__Host-tandem={text}; Path=/; HttpOnly; SameSite=Lax; Secure"));
        assert_eq!(asked(&tls, &format!("a=b; __Host-tandem={text}")), Ok(Some(text.clone())));
        assert_eq!(asked(&tls, &format!("tandem={text}")), Ok(None), "a cookie without the promise");
        assert_eq!(asked(&local, &format!("tandem={text}; tandem={text}")), Err(Fault::TwoCookies));
        assert_eq!(asked(&local, "tandem=made-up"), Ok(None));
        assert!(Cookie::SignIn.unset(&tls).starts_with("__Host-tandem_sign_in=; "));
    }
}
