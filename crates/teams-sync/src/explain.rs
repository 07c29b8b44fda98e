//! Why Microsoft refused a write, in our own words: its texts are known to blame the wrong thing (a missing licence is
//! told as a number of the customer's own directory), so the user and the number are looked at before they are believed.
//! Both texts are kept, ours first.

use tandem_domain::ladder::DeferReason;
use tandem_domain::plan::{Action, Licence, Step};
use tandem_graph::{NumberAssignment, TenantClient, User, UserConfiguration};

use crate::reads;
use crate::step::StepEnd;

/// Code of a user without a country.
const USAGE_LOCATION_MISSING: &str = "usage_location_missing";

/// What was looked up after a refusal.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// The user in the directory.
    user: Option<User>,
    /// The user in Teams.
    record: Option<UserConfiguration>,
    /// The number in the inventory.
    number: Option<NumberAssignment>,
}

/// Looks the user and the number of a refused step up; `None` when that fails, too.
pub(crate) async fn look(client: &TenantClient, step: &Step) -> Option<Facts> {
    let user = client.user(step.oid.0).await.ok()?;
    let record = client.user_configuration(step.oid.0).await.ok()?;
    let number = match step.action.number() {
        Some(number) => client.number_assignment_by_number(number.as_str()).await.ok()?,
        None => None,
    };
    Some(Facts { user, record, number })
}

/// How a refused step ends, from what was found and from Microsoft's text.
pub(crate) fn explain(step: &Step, facts: Option<&Facts>, theirs: &str) -> StepEnd {
    match facts.and_then(|facts| ours(step, facts).or_else(|| no_usage_location(facts, theirs))) {
        Some(StepEnd::Failed { code, text }) => StepEnd::Failed { code, text: both(&text, theirs) },
        Some(StepEnd::Deferred { reason, text }) => StepEnd::Deferred { reason, text: both(&text, theirs) },
        Some(end) => end,
        None => by_text(theirs),
    }
}

fn both(ours: &str, theirs: &str) -> String {
    format!("{ours}; Microsoft says: {theirs}")
}

fn ours(step: &Step, facts: &Facts) -> Option<StepEnd> {
    let Some(user) = &facts.user else {
        let text = format!("the tenant has no user {} any more", step.oid);
        return Some(StepEnd::Failed { code: "user_unknown_in_tenant".to_owned(), text });
    };
    let name = &user.user_principal_name;
    let licence = reads::licence(user, facts.record.as_ref());
    match (&step.action, licence) {
        (Action::AssignNumber { .. }, Licence::Missing) => {
            let text = format!("{name} has no Teams Phone licence; assign one in Microsoft 365");
            return Some(StepEnd::Failed { code: "no_phone_licence".to_owned(), text });
        }
        (Action::UnassignNumber { number }, Licence::Missing) => {
            let text = format!(
                "{name} lost its Teams Phone licence before {number} came off, and the number is trapped there; assign \
                 the licence again until Tandem has taken the number off"
            );
            return Some(StepEnd::Failed { code: "number_trapped".to_owned(), text });
        }
        (Action::AssignNumber { .. }, Licence::Unknown) => {
            let text = format!("the Teams Phone licence of {name} is not active yet");
            return Some(StepEnd::Deferred { reason: DeferReason::LicencePending, text });
        }
        _ => {}
    }
    if facts.record.is_none() {
        let text = format!("Teams does not know {name} yet");
        return Some(StepEnd::Deferred { reason: DeferReason::NotInTeamsYet, text });
    }
    let Action::AssignNumber { number, .. } = &step.action else { return None };
    let holder = facts.number.as_ref().and_then(NumberAssignment::holder).filter(|oid| *oid != step.oid.0)?;
    let text = format!("{number} is held by {holder} now; take it off there");
    Some(StepEnd::Failed { code: "number_taken".to_owned(), text })
}

/// Microsoft gives no line to a user without a country, and its text need not say so. What is known to have another
/// cause, or to pass, is believed.
fn no_usage_location(facts: &Facts, theirs: &str) -> Option<StepEnd> {
    let StepEnd::Failed { code, .. } = by_text(theirs) else { return None };
    let user =
        facts.user.as_ref().filter(|user| user.usage_location.as_deref().unwrap_or_default().is_empty())?;
    if !matches!(code.as_str(), "operation_failed" | USAGE_LOCATION_MISSING) {
        return None;
    }
    let text = format!("{} has no usage location; set it in Microsoft 365", user.user_principal_name);
    Some(StepEnd::Failed { code: USAGE_LOCATION_MISSING.to_owned(), text })
}

/// What Microsoft's text alone says. It gives free text only; these are the texts of the same backend's PowerShell
/// module, and whatever is not recognised is a failure that shows Microsoft's words.
fn by_text(theirs: &str) -> StepEnd {
    let lower = theirs.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if says(&["service is unavailable", "try again", "right now"]) {
        return StepEnd::Deferred { reason: DeferReason::Transient, text: theirs.to_owned() };
    }
    let (code, ours) = if says(&["already been assigned", "belongs to another"]) {
        ("number_taken", "somebody else holds the number; take it off there")
    } else if says(&["usage location", "usagelocation"]) {
        (USAGE_LOCATION_MISSING, "the user has no usage location; set it in Microsoft 365")
    } else if says(&["emergency", "locationid", "location id", "civic address"]) {
        (
            "emergency_location_missing",
            "the emergency location is missing or unknown; set the account's location",
        )
    } else if says(&["not found from tenant", "not found in tenant"]) {
        ("number_not_in_tenant", "the tenant does not have the number; add it to the tenant")
    } else if says(&["license", "licence"]) {
        ("no_phone_licence", "the user has no Teams Phone licence; assign one in Microsoft 365")
    } else if says(&["on-premises", "on premises", "onprem"]) {
        ("number_on_premises", "the number comes from the customer's own directory; clear it there")
    } else {
        return StepEnd::Failed { code: "operation_failed".to_owned(), text: theirs.to_owned() };
    };
    StepEnd::Failed { code: code.to_owned(), text: both(ours, theirs) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_recognised_and_shown() {
        for (theirs, code) in [
            ("Telephone Number '+12125550101' has already been assigned to another user", "number_taken"),
            ("The user has no usage location set", "usage_location_missing"),
            ("Emergency address is required for this number", "emergency_location_missing"),
            ("'+12125550101' is not found from tenant 'x'", "number_not_in_tenant"),
            ("User 'x' lacks appropriate licenses to assign a 'DirectRouting' number", "no_phone_licence"),
            ("The number is set in on-premises AD", "number_on_premises"),
            ("Something new", "operation_failed"),
        ] {
            let StepEnd::Failed { code: found, text } = by_text(theirs) else { panic!("{theirs}") };
            assert_eq!(found, code);
            assert!(text.ends_with(theirs), "{text}");
        }
        for theirs in ["Service is unavailable. Please try again", "We can't unassign the number right now"] {
            let StepEnd::Deferred { reason, .. } = by_text(theirs) else { panic!("{theirs}") };
            assert_eq!(reason, DeferReason::Transient);
        }
    }
}
