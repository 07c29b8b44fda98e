//! What the demo shows: plain lines, in colour at a terminal only.

use std::future::Future;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::screen::clean;

/// A wait longer than this is worth a word; later words come less often.
const SILENCE: Duration = Duration::from_secs(2);
const NEXT_WORDS: Duration = Duration::from_secs(5);

/// Standard output of the demo. Cheap to clone.
#[derive(Clone)]
pub(super) struct Screen {
    colours: bool,
    out: Arc<Mutex<dyn Write + Send>>,
}

impl Screen {
    /// Standard output; in colour when somebody looks at it.
    pub(super) fn stdout() -> Self {
        let stdout = std::io::stdout();
        Self { colours: stdout.is_terminal(), out: Arc::new(Mutex::new(stdout)) }
    }

    /// A line of text; nothing in it steers the terminal.
    pub(super) fn line(&self, text: &str) {
        self.put(&clean(text));
    }

    fn put(&self, text: &str) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // whoever closed our output does not want to know; the demo itself goes on until it is stopped
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }

    /// An empty line and a heading.
    pub(super) fn heading(&self, text: &str) {
        self.put("");
        self.put(&self.paint("1", text));
    }

    /// One thing that is done, below its heading.
    pub(super) fn item(&self, text: &str) {
        self.line(&format!("  {text}"));
    }

    /// Something that may take a moment.
    pub(super) fn progress(&self, text: &str) {
        self.put(&self.paint("2", &format!("  {text} …")));
    }

    /// One line of the story: seconds since the save, what happened, details.
    pub(super) fn story(&self, seconds: f64, what: &str, details: &str) {
        // padded before it is painted: colours have no width
        let what = self.paint("1;32", &format!("{what:<16}"));
        self.put(&format!("  {seconds:>7.3} s  {what}  {}", clean(details)));
    }

    /// Why the story did not come true.
    pub(super) fn failure(&self, text: &str) {
        self.put(&self.paint("1;31", &format!("  {text}")));
    }

    /// Says what is going on, and says so again while it takes long.
    pub(super) async fn during<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        let started = tokio::time::Instant::now();
        let mut pause = SILENCE;
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(pause) => {
                    self.progress(&format!("{what}: {} s", started.elapsed().as_secs()));
                    pause = NEXT_WORDS;
                }
            }
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        let text = clean(text);
        if self.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text }
    }
}

#[cfg(test)]
impl Screen {
    /// A screen without colours that writes into memory.
    pub(super) fn captured() -> (Self, Arc<Mutex<Vec<u8>>>) {
        let text = Arc::new(Mutex::new(Vec::new()));
        let out: Arc<Mutex<dyn Write + Send>> = Arc::<Mutex<Vec<u8>>>::clone(&text);
        (Self { colours: false, out }, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_long_wait_is_told_and_a_short_one_is_not() {
        let (screen, text) = Screen::captured();
        screen.during("waiting for nothing", tokio::time::sleep(Duration::from_secs(1))).await;
        assert!(text.lock().unwrap().is_empty());
        screen.during("waiting for PostgreSQL", tokio::time::sleep(Duration::from_secs(9))).await;
        let text = String::from_utf8(text.lock().unwrap().clone()).unwrap();
        assert_eq!(text, "  waiting for PostgreSQL: 2 s …\n  waiting for PostgreSQL: 7 s …\n");
    }

    #[test]
    fn a_line_of_the_story_is_aligned_and_has_no_colours_in_a_file() {
        let (screen, text) = Screen::captured();
        screen.story(0.0, "saved", "+12125550171");
        screen.story(12.3456, "request accepted", "by Microsoft");
        let text = String::from_utf8(text.lock().unwrap().clone()).unwrap();
        let expected =
            "    0.000 s  saved             +12125550171\n   12.346 s  request accepted  by Microsoft\n";
        assert_eq!(text, expected);
    }
}
