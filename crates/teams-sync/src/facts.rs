//! From Graph's words to the facts that decide whether a Microsoft user can be connected.

use std::collections::HashMap;

use tandem_domain::eligible::{Facts, InTeams, Lines, PhonePlan, TeamsAccount};
use tandem_graph::{
    AccountType, AssignmentStatus, CapabilityStatus, NumberAssignment, NumberType, PHONE_SYSTEM_PLAN, User,
    UserConfiguration, VIRTUAL_USER_PLAN,
};
use uuid::Uuid;

/// Facts of one user.
#[must_use]
pub fn of_user(user: &User, teams: Option<InTeams>, lines: Lines) -> Facts {
    Facts {
        account_enabled: user.account_enabled.unwrap_or(true),
        guest: user.is_guest(),
        phone_plan: phone_plan(user),
        licensed: user.assigned_plans.iter().any(|plan| works(&plan.capability_status)),
        virtual_plan: user.has_plan(VIRTUAL_USER_PLAN),
        teams,
        lines,
    }
}

fn works(status: &CapabilityStatus) -> bool {
    matches!(status, CapabilityStatus::Enabled | CapabilityStatus::Warning)
}

/// The best of the user's entries: several licences may bring the plan, and one taken away stays as an entry.
fn phone_plan(user: &User) -> PhonePlan {
    let plans = user.assigned_plans.iter().filter(|plan| plan.service_plan_id == PHONE_SYSTEM_PLAN);
    plans
        .map(|plan| match plan.capability_status {
            CapabilityStatus::Enabled => PhonePlan::Enabled,
            CapabilityStatus::Warning => PhonePlan::Warning,
            CapabilityStatus::Suspended => PhonePlan::Suspended,
            CapabilityStatus::LockedOut => PhonePlan::LockedOut,
            CapabilityStatus::Deleted => PhonePlan::Deleted,
            CapabilityStatus::Other(_) => PhonePlan::Unknown,
        })
        .min()
        .unwrap_or(PhonePlan::None)
}

/// What Teams says about a user.
#[must_use]
pub fn in_teams(configuration: &UserConfiguration) -> InTeams {
    let feature =
        |word: &str| configuration.feature_types.iter().any(|feature| feature.eq_ignore_ascii_case(word));
    InTeams {
        account: match configuration.account_type {
            Some(AccountType::User) => TeamsAccount::User,
            Some(AccountType::ResourceAccount) => TeamsAccount::ResourceAccount,
            Some(AccountType::Guest) => TeamsAccount::Guest,
            Some(AccountType::SfbOnPremUser) => TeamsAccount::OnPremises,
            Some(AccountType::IneligibleUser) => TeamsAccount::Ineligible,
            Some(AccountType::Other(_)) | None => TeamsAccount::Unknown,
        },
        phone_system: feature("PhoneSystem"),
        calling_plan: feature("CallingPlan"),
        room: feature("TeamsRoomPro") || feature("TeamsRoomBasic"),
        voice_app: feature("VoiceApp"),
    }
}

/// Adds what numbers of the inventory say about their holders.
pub fn add_lines(lines: &mut HashMap<Uuid, Lines>, numbers: &[NumberAssignment]) {
    for number in numbers {
        let Some(holder) = number.holder() else { continue };
        let of = lines.entry(holder).or_default();
        of.calling_plan |= number.number_type == Some(NumberType::CallingPlan);
        of.operator_connect |= number.number_type == Some(NumberType::OperatorConnect);
        of.third_party_app |= number.assignment_status == Some(AssignmentStatus::ThirdPartyAppAssigned);
        of.voice_app |= number.assignment_status == Some(AssignmentStatus::VoiceApplicationAssigned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    fn user(plans: &[&str]) -> User {
        let plans: Vec<_> = plans
            .iter()
            .map(|status| json!({ "servicePlanId": PHONE_SYSTEM_PLAN, "capabilityStatus": status }))
            .collect();
        from_value(
            json!({ "id": Uuid::nil(), "userPrincipalName": "ana@customer.example", "assignedPlans": plans }),
        )
        .expect("a user")
    }

    #[test]
    fn the_best_of_several_entries_counts() {
        for (plans, best) in [
            (&[][..], PhonePlan::None),
            (&["Deleted"][..], PhonePlan::Deleted),
            (&["Deleted", "Warning"][..], PhonePlan::Warning),
            (&["Suspended", "Enabled", "Deleted"][..], PhonePlan::Enabled),
            (&["Deleted", "Suspended"][..], PhonePlan::Suspended),
            (&["Melted"][..], PhonePlan::Unknown),
        ] {
            assert_eq!(phone_plan(&user(plans)), best, "{plans:?}");
        }
    }

    #[test]
    fn features_and_account_types() {
        let configuration = |account: &str, features: &[&str]| -> InTeams {
            let record = json!({ "id": Uuid::nil(), "accountType": account, "featureTypes": features });
            in_teams(&from_value(record).expect("a record"))
        };
        let room = configuration("user", &["Teams", "TeamsRoomPro"]);
        assert!(room.room && !room.phone_system && room.account == TeamsAccount::User);
        assert!(configuration("user", &["PhoneSystem", "CallingPlan"]).calling_plan);
        assert_eq!(configuration("ineligibleUser", &[]).account, TeamsAccount::Ineligible);
        assert_eq!(configuration("unknownFutureValue", &[]).account, TeamsAccount::Unknown);
    }

    #[test]
    fn numbers_tell_about_their_holders() {
        let holder = Uuid::from_u128(7);
        let number = |kind: &str, status: &str, target: Option<Uuid>| -> NumberAssignment {
            from_value(
                json!({ "telephoneNumber": "+12125550101", "numberType": kind, "assignmentStatus": status,
                               "assignmentTargetId": target }),
            )
            .expect("a number")
        };
        let mut found = HashMap::new();
        let numbers = [
            number("callingPlan", "userAssigned", Some(holder)),
            number("directRouting", "thirdPartyAppAssigned", Some(holder)),
            number("operatorConnect", "unassigned", None),
        ];
        add_lines(&mut found, &numbers);
        let expected = Lines { calling_plan: true, third_party_app: true, ..Lines::default() };
        assert_eq!(found, HashMap::from([(holder, expected)]));
    }
}
