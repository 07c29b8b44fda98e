//! What went wrong, without whom it went wrong for: failures of many accounts are one incident when their cleaned texts
//! are the same.
//!
//! Promised: the same fault of two users, numbers or tenants has one fingerprint, and the cleaned text names none of
//! them. Not promised: that two texts which mean the same are seen as the same; then there are two groups.

use std::fmt::Write as _;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use crate::job::Outcome;
use crate::ladder::DeferReason;

/// Failures that the record of one job names, at most: the first ones.
pub const MOST_OF_A_JOB: usize = 8;
/// Longest cleaned text, in characters.
const LONGEST: usize = 160;
/// Stands for whatever belongs to one user, number, tenant or request.
const GAP: &str = "\u{2026}";

/// What a job or a user of it failed by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Failure {
    /// The code and the begin of a hash over the rest: short, stable, fit for an address.
    pub fingerprint: String,
    /// The stable code.
    pub code: String,
    /// The text without what belongs to one case.
    pub text: String,
}

impl Failure {
    /// The failure that a code and its text tell of.
    #[must_use]
    pub fn new(code: &str, text: &str) -> Self {
        let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        let code: String = code.chars().filter(plain).take(64).collect();
        let text = cleaned(text);
        let hash = digest::digest(&digest::SHA256, text.to_lowercase().as_bytes());
        let mut fingerprint = format!("{code}-");
        for byte in hash.as_ref().iter().take(4) {
            // writing into a String cannot fail
            let _ = write!(fingerprint, "{byte:02x}");
        }
        Self { fingerprint, code, text }
    }

    /// What became of a user, where that is a fault: refused for good, or put off by a fault of Microsoft's. What waits
    /// for a licence, for a person or for another user is none.
    #[must_use]
    pub fn of_user(outcome: &str, code: &str, detail: &str) -> Option<Self> {
        let faults = [DeferReason::Transient, DeferReason::Throttled, DeferReason::OutcomeUnknown];
        let fault = match Outcome::parse(outcome)? {
            Outcome::Failed => true,
            Outcome::Deferred => faults.iter().any(|reason| reason.as_str() == code),
            _ => false,
        };
        fault.then(|| Self::new(code, detail))
    }
}

/// The text with a gap for each id, number, address, name in quotes and time.
#[must_use]
pub fn cleaned(text: &str) -> String {
    let text = unquoted(text);
    let mut words: Vec<String> = Vec::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        let word = bare(word);
        if word == GAP && words.last().is_some_and(|last| last == GAP) {
            continue;
        }
        words.push(word);
    }
    let mut text = words.join(" ");
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push_str(GAP);
    }
    text
}

/// What stands between quotes is somebody's or something's name. An apostrophe within a word is none.
fn unquoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['\'', '"', '`']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let mut chars = from.chars();
        let mark = chars.next().unwrap_or_default();
        let inner = chars.as_str();
        let opens = !out.ends_with(char::is_alphanumeric);
        match inner.match_indices(mark).find(|(end, _)| closes(inner, *end + 1)).filter(|_| opens) {
            Some((end, _)) => {
                out.push(mark);
                out.push_str(GAP);
                out.push(mark);
                rest = inner.get(end + 1..).unwrap_or_default();
            }
            None => {
                out.push(mark);
                rest = inner;
            }
        }
    }
    out + rest
}

fn closes(text: &str, after: usize) -> bool {
    !text.get(after..).unwrap_or_default().starts_with(char::is_alphanumeric)
}

/// A word, or a gap between its punctuation where it names one case: an address, or anything with a digit. Codes of
/// Microsoft's login are the same for everybody.
fn bare(word: &str) -> String {
    let edge = |c: char| !c.is_alphanumeric() && !matches!(c, '+' | '\u{2026}');
    let core = word.trim_matches(edge);
    let code = core.strip_prefix("AADSTS").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    let own = core.contains(['@', '\u{2026}'])
        || core.contains("://")
        || core.to_ascii_lowercase().ends_with(".onmicrosoft.com")
        || core.chars().any(char::is_numeric) && !code;
    if core.is_empty() || !own {
        return word.to_owned();
    }
    let begin = word.len() - word.trim_start_matches(edge).len();
    let end = begin + core.len();
    format!("{}{GAP}{}", word.get(..begin).unwrap_or_default(), word.get(end..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_one_case_leaves_the_text() {
        for (text, clean) in [
            ("Service is unavailable. Please try again", "Service is unavailable. Please try again"),
            (
                "Telephone Number '+12125550101' has already been assigned to another user",
                "Telephone Number '\u{2026}' has already been assigned to another user",
            ),
            (
                "ana@customer.example has no usage location; set it in Microsoft 365",
                "\u{2026} has no usage location; set it in Microsoft \u{2026}",
            ),
            (
                "We can't unassign the user's number \"Ada's desk\" right now.",
                "We can't unassign the user's number \"\u{2026}\" right now.",
            ),
            (
                "the tenant has no user 0190a000-0000-7000-8000-00000000000a any more",
                "the tenant has no user \u{2026} any more",
            ),
            (
                "users was answered with 503 ServiceUnavailable (request-id: 7f3e2d1c, 2026-03-01T12:00:00Z)",
                "users was answered with \u{2026} ServiceUnavailable (request-id: \u{2026}, \u{2026})",
            ),
            ("waits 17 23 s", "waits \u{2026} s"),
            ("AADSTS7000222: keys of app 'Tandem' expired", "AADSTS7000222: keys of app '\u{2026}' expired"),
            ("see https://login.example/x for Contoso.onmicrosoft.com", "see \u{2026} for \u{2026}"),
            ("line\none\u{0}two", "line one two"),
            ("an open 'quote stays", "an open 'quote stays"),
            ("", ""),
        ] {
            assert_eq!(cleaned(text), clean);
        }
        assert_eq!(cleaned(&"w ".repeat(500)).chars().count(), 161);
    }

    #[test]
    fn idea12_the_same_fault_of_two_accounts_has_one_fingerprint() {
        let one = Failure::new("transient", "Service is unavailable for ana@a.example, request 1f2e");
        let two = Failure::new("transient", "service is unavailable for bo@b.example, request 99ab");
        assert_eq!(one.fingerprint, two.fingerprint);
        assert!(one.fingerprint.starts_with("transient-"), "{one:?}");
        assert_eq!(one.fingerprint.len(), "transient-".len() + 8);
        let other = Failure::new("operation_failed", "Service is unavailable for ana@a.example");
        assert_ne!(one.fingerprint, other.fingerprint);
        assert_ne!(Failure::new("transient", "Try again"), Failure::new("transient", "Not now"));
        // whatever stands in an event's code, it fits into an address
        assert!(Failure::new("a b/c?d&e", "").fingerprint.starts_with("abcde-"));
    }

    #[test]
    fn what_waits_for_somebody_is_no_fault() {
        assert!(Failure::of_user("failed", "number_taken", "taken").is_some());
        assert!(Failure::of_user("deferred", "transient", "Try again").is_some());
        for (outcome, code) in [
            ("deferred", "licence_pending"),
            ("deferred", "hand_over"),
            ("conflict", "policy_not_in_tenant"),
            ("confirmed", ""),
            ("from_tomorrow", "transient"),
        ] {
            assert_eq!(Failure::of_user(outcome, code, "x"), None, "{outcome} {code}");
        }
    }
}
