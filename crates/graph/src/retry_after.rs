//! The `Retry-After` header, in every form seen in the wild.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// Longest wait taken from a header. Whoever asks for more is asked again after this.
pub(crate) const LONGEST: Duration = Duration::from_secs(3600);

/// What a throttling answer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait {
    /// How long, at most [`LONGEST`].
    pub(crate) delay: Duration,
    /// Whether the header asked for more than [`LONGEST`].
    pub(crate) parked: bool,
}

/// Reads `Retry-After`: seconds (RFC 9110), decimals of seconds (Graph's own samples show `2.128`) or
/// an HTTP date, which is measured against the answer's own `Date` where there is one, so that a
/// wrong clock on this side cannot shorten the wait. Nothing usable gives `None`.
pub(crate) fn parse(header: Option<&str>, date: Option<&str>, now: OffsetDateTime) -> Option<Wait> {
    let text = header?.trim();
    let seconds = match text.parse::<f64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let until = http_date(text)?;
            let from = date.and_then(http_date).unwrap_or(now);
            (until - from).as_seconds_f64().max(0.0)
        }
    };
    if !seconds.is_finite() || seconds < 0.0 {
        return None;
    }
    let parked = seconds > LONGEST.as_secs_f64();
    let delay = Duration::try_from_secs_f64(seconds).map_or(LONGEST, |delay| delay.min(LONGEST));
    Some(Wait { delay, parked })
}

fn http_date(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text.trim(), &Rfc2822).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn every_form() {
        let now = datetime!(2026-08-01 09:00:00 UTC);
        let date = "Sat, 01 Aug 2026 08:59:55 GMT";
        for (header, date, expected) in [
            (Some("10"), None, Some((10.0, false))),
            (Some(" 10 "), None, Some((10.0, false))),
            (Some("0"), None, Some((0.0, false))),
            (Some("2.128"), None, Some((2.128, false))),
            (Some("86400"), None, Some((3600.0, true))),
            (Some("1e300"), None, Some((3600.0, true))),
            (Some("-5"), None, None),
            (Some("NaN"), None, None),
            (Some("inf"), None, None),
            (Some("soon"), None, None),
            (Some(""), None, None),
            (None, None, None),
            (Some("Sat, 01 Aug 2026 09:00:30 GMT"), None, Some((30.0, false))),
            (Some("Sat, 01 Aug 2026 09:00:30 GMT"), Some(date), Some((35.0, false))),
            (Some("Sat, 01 Aug 2026 08:00:00 GMT"), None, Some((0.0, false))),
        ] {
            let wait = parse(header, date, now).map(|w| (w.delay.as_secs_f64(), w.parked));
            assert_eq!(wait, expected, "{header:?}");
        }
    }
}
