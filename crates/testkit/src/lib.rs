//! What tests share: private servers, temporary folders, polling with a deadline, captured logs.
//!
//! Only ever a dev-dependency. Every test owns what it starts: a server lives as long as its handle, and is
//! killed when the test process ends in any way. Nothing here sleeps for a guessed time.

mod eventually;
mod logs;
mod nats;
mod pg;
mod temp;
mod template;

pub use eventually::eventually;
pub use logs::{CapturedLogs, capture_logs};
pub use nats::Nats;
pub use pg::{Db, Pg, forget_prepared};
pub use tandem_servers::{NatsUser, free_port};
pub use temp::TempDir;

use tandem_servers::Search;

/// Where tests find the server programs: `.tools` of the checkout, then PATH, then Debian's folders.
#[must_use]
pub fn search() -> Search {
    #[expect(clippy::disallowed_methods, reason = "tests are their own callers; PATH says what is installed")]
    let path = std::env::var_os("PATH");
    Search::near(&[std::path::Path::new(env!("CARGO_MANIFEST_DIR"))], path)
}
