//! Times, counts and words as pages show them.

use serde_json::Value;
use tandem_domain::JobId;
use tandem_domain::account_state::AccountState;
use tandem_domain::job::JobState;
use tandem_domain::user_state::UserState;
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

/// A time in full, in UTC.
pub(crate) fn full(at: OffsetDateTime) -> String {
    let form = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    at.to_offset(time::UtcOffset::UTC).format(form).unwrap_or_default()
}

/// A time that may be missing.
pub(crate) fn maybe(at: Option<OffsetDateTime>) -> String {
    at.map_or_else(|| "\u{2013}".to_owned(), full)
}

/// When a job was cut, as its id says.
pub(crate) fn cut_at(job: JobId) -> OffsetDateTime {
    let milliseconds = i64::try_from(job.0.as_u128() >> 80).unwrap_or_default();
    OffsetDateTime::UNIX_EPOCH + Duration::milliseconds(milliseconds)
}

/// Hours and minutes of a time today; in full on another day.
pub(crate) fn clock(at: OffsetDateTime, now: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    if at.date() == now.to_offset(time::UtcOffset::UTC).date() {
        at.format(format_description!("[hour]:[minute] UTC")).unwrap_or_default()
    } else {
        full(at)
    }
}

/// How long something takes or has taken, to two units.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.whole_seconds().max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// `3 confirmed, 1 deferred` of a job's counts; what is zero is left out.
pub(crate) fn counts(counts: Option<&Value>) -> String {
    let names = ["planned", "confirmed", "unchanged", "deferred", "held", "conflict", "failed"];
    let found: Vec<String> = names
        .into_iter()
        .filter_map(|name| {
            let count = counts?.get(name)?.as_i64().filter(|count| *count > 0)?;
            Some(format!("{count} {name}"))
        })
        .collect();
    if found.is_empty() { "\u{2013}".to_owned() } else { found.join(", ") }
}

/// Word for the looks of an account's state: colour is never the only sign, the label stands beside it.
pub(crate) fn tone(state: AccountState) -> &'static str {
    match state {
        AccountState::InSync => "good",
        AccountState::ChangesQueued | AccountState::Syncing | AccountState::Landing => "busy",
        AccountState::SyncIssue | AccountState::Held | AccountState::SetupPartial => "warn",
        AccountState::SyncFailed | AccountState::NotAuthorized => "bad",
    }
}

/// The same for a job.
pub(crate) fn job_tone(state: JobState) -> &'static str {
    match state {
        JobState::Succeeded => "good",
        JobState::Queued | JobState::Running => "busy",
        JobState::Partly | JobState::Cancelled => "warn",
        JobState::Failed => "bad",
    }
}

/// The same for a user.
pub(crate) fn user_tone(state: UserState) -> &'static str {
    match state {
        UserState::InTeams => "good",
        UserState::Queued | UserState::Landing | UserState::NotSynced | UserState::Leaving => "busy",
        UserState::Waiting | UserState::Held | UserState::Issue | UserState::NotMapped => "warn",
        UserState::Conflict | UserState::Failed => "bad",
    }
}

/// A text as one part of an address.
pub(crate) fn segment(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

/// A text that may be long, cut.
pub(crate) fn short(text: &str) -> String {
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}\u{2026}", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A stable name as a word for people.
pub(crate) fn word(name: &str) -> String {
    let mut chars = name.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    first + &chars.as_str().replace('_', " ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn times_spans_and_counts_read_well() {
        let at = datetime!(2026-03-01 14:07:09 UTC);
        assert_eq!(full(at), "2026-03-01 14:07:09 UTC");
        assert_eq!(clock(at, datetime!(2026-03-01 1:00 UTC)), "14:07 UTC");
        assert_eq!(clock(at, datetime!(2026-03-02 1:00 UTC)), full(at));
        assert_eq!(span(Duration::seconds(-3)), "0 s");
        assert_eq!(span(Duration::seconds(125)), "2 min 5 s");
        assert_eq!(span(Duration::hours(50)), "2 d 2 h");
        assert_eq!(
            counts(Some(&json!({ "confirmed": 3, "failed": 0, "deferred": 1 }))),
            "3 confirmed, 1 deferred"
        );
        assert_eq!(counts(None), "\u{2013}");
        assert_eq!(word("not_authorized"), "Not authorized");
        assert_eq!(segment("a/b c.\u{e9}%"), "a%2Fb%20c%2E%C3%A9%25");
        assert_eq!(short(&"x".repeat(300)).chars().count(), 201);
        assert_eq!(short("x"), "x");
        let job = JobId("019ca9b9-4fa0-7000-8000-000000000001".parse().unwrap());
        assert_eq!(full(cut_at(job)), "2026-03-01 14:07:00 UTC");
    }
}
