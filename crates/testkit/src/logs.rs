//! Captured log lines.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

/// The log lines of the current thread since [`capture_logs`], as JSON, one object a line.
#[derive(Debug)]
pub struct CapturedLogs {
    lines: Sink,
    _guard: DefaultGuard,
}

/// Captures every log line, at every level, that the current thread writes while the returned value lives.
///
/// In a test with tokio's current-thread runtime (`#[tokio::test]`) that is all of the test's tasks.
#[must_use]
pub fn capture_logs() -> CapturedLogs {
    let lines = Sink::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(lines.clone())
        .finish();
    CapturedLogs { lines, _guard: tracing::subscriber::set_default(subscriber) }
}

impl CapturedLogs {
    /// Everything captured so far.
    #[must_use]
    pub fn text(&self) -> String {
        let bytes = self.lines.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether some line contains the text.
    #[must_use]
    pub fn contain(&self, text: &str) -> bool {
        self.text().contains(text)
    }
}

#[derive(Debug, Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
