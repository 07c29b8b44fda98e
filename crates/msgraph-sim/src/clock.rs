//! The only place that reads the time. Wall time goes into documents and tokens; waiting and due times
//! use tokio's clock, so that a test which pauses time pauses the simulator as well.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tokio::time::Instant;

const SEVEN_DIGITS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:7]Z");
const SECONDS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
const BLANK: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");

/// One reading of both clocks; every request is answered as of one such moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// Wall time, for documents and tokens.
    pub(crate) wall: OffsetDateTime,
    /// Monotonic time, for everything that comes due.
    pub(crate) mono: Instant,
}

impl Now {
    /// Reads both clocks.
    #[expect(clippy::disallowed_methods, reason = "this module is the simulator's one clock")]
    pub(crate) fn read() -> Self {
        Self { wall: OffsetDateTime::now_utc(), mono: Instant::now() }
    }

    /// The same moment, moved by a distance on both clocks.
    pub(crate) fn at(self, mono: Instant) -> Self {
        let wall = match mono.checked_duration_since(self.mono) {
            Some(ahead) => self.wall + ahead,
            None => self.wall - (self.mono - mono),
        };
        Self { wall, mono }
    }

    /// Microseconds since 1970.
    pub(crate) fn micros(self) -> i64 {
        i64::try_from(self.wall.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
    }

    /// Seconds since 1970.
    pub(crate) fn unix(self) -> i64 {
        self.wall.unix_timestamp()
    }
}

/// `2026-08-01T09:00:00.1234567Z`, as the Teams administration endpoints write time.
pub(crate) fn seven_digits(at: OffsetDateTime) -> String {
    at.format(SEVEN_DIGITS).unwrap_or_default()
}

/// `2026-08-01T09:00:00Z`, as the directory writes time.
pub(crate) fn seconds(at: OffsetDateTime) -> String {
    at.format(SECONDS).unwrap_or_default()
}

/// `2026-08-01 09:00:00Z`, as the token endpoint writes time.
pub(crate) fn blank(at: OffsetDateTime) -> String {
    at.format(BLANK).unwrap_or_default()
}

/// Milliseconds as a duration.
pub(crate) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}
