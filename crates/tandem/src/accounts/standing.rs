//! What the authorization of an account is worth, in plain words: state, reason, since when, what comes next.

use serde_json::{Value, json};
use tandem_domain::quarantine;
use tandem_store::admin::accounts::{Account, Authorization};
use tandem_store::quarantine::Shown;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::screen;

/// The lines of `accounts show`.
pub(super) fn lines(account: &Account, shown: &Shown) -> Vec<(&'static str, String)> {
    let Some(stored) = &account.authorization else {
        return vec![(
            "Authorization",
            "none: bind a tenant once its Global Administrator has consented".to_owned(),
        )];
    };
    let mut lines = vec![("Authorization", authorization(stored))];
    if let Some(reason) = stored.reason {
        lines.push(("What to do", reason.remedy().to_owned()));
        lines.push(("Looked at again", screen::time(Some(stored.next_canary))));
    }
    if let Some((cause, since)) = shown.quarantine {
        let (_, off) = quarantine::dates(since);
        let next = screen::time(shown.retry_at);
        let mut text = format!(
            "since {}: {} ({} tries failed); next try {next}",
            screen::time(Some(since)),
            cause.text(),
            shown.failures
        );
        if account.settings.auto_sync {
            text += &format!(
                "; Auto Sync is switched off on {} unless one works before",
                screen::time(Some(off))
            );
        }
        lines.push(("Quarantine", text));
        if stored.reason.is_none() {
            lines.push(("What to do", cause.remedy().to_owned()));
        }
    } else if shown.failures > 0 {
        let next = screen::time(shown.retry_at);
        lines.push(("Failed jobs in a row", format!("{}; next try {next}", shown.failures)));
    }
    if let Some(parked) = shown.parked.as_deref().filter(|_| account.settings.auto_sync) {
        lines.push(("Auto jobs", waits(parked).to_owned()));
    }
    lines
}

fn authorization(stored: &Authorization) -> String {
    let mut text = stored.state.clone();
    if let Some(reason) = stored.reason {
        text += &format!(" since {}: {}", screen::time(Some(stored.since)), reason.text());
    }
    if let Some(detail) = &stored.detail {
        text += &format!(" ({detail})");
    }
    text + &format!("; bound by {} at {}", stored.bound_by, screen::time(Some(stored.bound_at)))
}

/// Why queued Auto jobs of the account do not start, by `queue.jobs.parked`.
fn waits(parked: &str) -> &'static str {
    match parked {
        "own_credential" => "wait: Microsoft refuses the provider's own credential; no customer is to blame",
        "quarantine" => "wait for the next try; a person may start a Manual job",
        _ => "wait: not authorized; edits stay queued until the authorization is well again",
    }
}

/// The same for programs. The mails are those that a Global Administrator gets about it.
pub(super) fn document(shown: &Shown) -> Option<Value> {
    let (cause, since) = shown.quarantine?;
    let (mails, off) = quarantine::dates(since);
    let time = |at: OffsetDateTime| at.format(&Rfc3339).ok();
    Some(json!({
        "reason": cause.as_str(),
        "since": time(since),
        "failures": shown.failures,
        "next_try": shown.retry_at.and_then(time),
        "mails_due": mails.map(time),
        "auto_sync_off_at": time(off),
    }))
}
