//! What becomes of each profile field at Microsoft: the one table behind `docs/coverage.md` and
//! `tandem accounts coverage`.
//!
//! Microsoft Graph moves numbers and assigns policies that exist already. It cannot set forwards, voicemail, greetings or
//! delegates, nor write what is inside a policy.

use crate::policy::PolicyRule;
use crate::profile::Profile;

/// How a field travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Carried {
    /// As the user's number, or a part of it.
    Number,
    /// Through a policy that a rule names; without such a rule it stays in the PBX.
    Policy,
    /// It decides whether the user has anything of ours at all.
    Switch,
    /// Not at all.
    Kept,
}

impl Carried {
    /// For people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Number => "as number",
            Self::Policy => "as policy, by a rule",
            Self::Switch => "as switch",
            Self::Kept => "kept in the PBX",
        }
    }
}

/// What becomes of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// One of [`Profile::FIELDS`].
    pub field: &'static str,
    /// How it travels.
    pub carried: Carried,
    /// What that means.
    pub text: &'static str,
}

/// Every field, in the order of [`Profile::FIELDS`].
pub const COVERAGE: [Coverage; Profile::FIELDS.len()] = {
    const fn row(field: &'static str, carried: Carried, text: &'static str) -> Coverage {
        Coverage { field, carried, text }
    }
    use Carried::{Kept, Number, Policy, Switch};
    [
        row("display_name", Kept, "Microsoft's directory has a name of its own; Tandem never writes to it."),
        row("email", Kept, "It helps people to find the Microsoft user to map; a sync does not use it."),
        row("did_numbers", Number, "The mapping's number, else the first that Microsoft takes, as `+E164`."),
        row("extension", Number, "Only where the account has a shared number: `;ext=` behind it."),
        row("voicemail_enabled", Policy, "A calling policy decides whether Teams' own voicemail answers."),
        row(
            "voicemail_email",
            Policy,
            "Only whether it is set can decide about a policy; the address stays.",
        ),
        row("forward_all", Policy, "Graph sets no forwards. A policy can keep Teams' own out of the way."),
        row("forward_busy", Policy, "Graph sets no forwards. A policy can keep Teams' own out of the way."),
        row(
            "forward_no_answer",
            Policy,
            "Graph sets no forwards. A policy can keep Teams' own out of the way.",
        ),
        row("dnd", Policy, "Presence in Teams is the user's; a rule can choose a policy by it."),
        row("follow_me", Policy, "Graph sets no call groups. A policy can keep Teams' own out of the way."),
        row("enabled", Switch, "Off: the number and our policies come off, nothing else is touched."),
        row("login_name", Kept, "The login of the PBX; nothing at Microsoft corresponds to it."),
    ]
};

/// Which of an account's rules look at a field, by their place from 1.
#[must_use]
pub fn rules_on<'a>(field: &str, rules: &'a [PolicyRule]) -> Vec<(usize, &'a PolicyRule)> {
    (1..).zip(rules).filter(|(_, rule)| rule.when.field() == Some(field)).collect()
}

/// How a field travels with these rules: also a field that is otherwise kept can decide about a policy.
#[must_use]
pub fn carried(coverage: &Coverage, rules: &[PolicyRule]) -> Vec<Carried> {
    let ruled = !rules_on(coverage.field, rules).is_empty();
    match coverage.carried {
        Carried::Policy | Carried::Kept => vec![if ruled { Carried::Policy } else { Carried::Kept }],
        other if ruled => vec![other, Carried::Policy],
        other => vec![other],
    }
}

/// The table of `docs/coverage.md`.
#[must_use]
pub fn table() -> String {
    let rows =
        COVERAGE.iter().map(|row| format!("| `{}` | {} | {} |\n", row.field, row.carried.as_str(), row.text));
    format!("| field | pushed | what that means |\n|---|---|---|\n{}", rows.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::Number;
    use crate::policy::{Condition, Service};
    use crate::wanted::{AccountSettings, Mapping, wanted_user};
    use crate::{ObjectId, PbxUserId};

    fn rule(field: &str) -> PolicyRule {
        PolicyRule {
            when: Condition::Set { field: field.to_owned() },
            policy_type: "TeamsCallingPolicy".into(),
            policy_name: "Tandem-PBX-Voicemail".to_owned(),
            services: vec![],
        }
    }

    /// A profile with every field set, and the same with one field changed.
    fn changed(field: &str) -> (Profile, Profile) {
        let before = Profile {
            did_numbers: vec!["+12125550101".to_owned()],
            extension: Some("101".to_owned()),
            enabled: true,
            ..Profile::default()
        };
        let mut json = serde_json::to_value(&before).expect("a profile is JSON");
        json[field] = match field {
            "did_numbers" => serde_json::json!(["+12125550199"]),
            "follow_me" => serde_json::json!(["102"]),
            "voicemail_enabled" | "dnd" => true.into(),
            "enabled" => false.into(),
            "extension" => "199".into(),
            _ => "somebody@customer.example".into(),
        };
        (before, serde_json::from_value(json).expect("a field was changed within its type"))
    }

    #[test]
    fn every_field_has_a_row() {
        assert_eq!(COVERAGE.map(|row| row.field), Profile::FIELDS);
    }

    #[test]
    fn the_table_tells_what_the_planner_does() {
        let mapping = Mapping {
            user: PbxUserId("101".to_owned()),
            oid: ObjectId(uuid::Uuid::nil()),
            service: Service::Voice,
            number: None,
        };
        for row in &COVERAGE {
            let (mut before, mut after) = changed(row.field);
            if row.field == "extension" {
                (before.did_numbers, after.did_numbers) = (vec![], vec![]);
            }
            let plain = AccountSettings {
                shared_number: Number::parse("+12125550100").ok(),
                ..AccountSettings::default()
            };
            let wanted =
                |profile: &Profile, settings: &AccountSettings| wanted_user(&mapping, profile, settings);
            let without = wanted(&before, &plain) != wanted(&after, &plain);
            let by_itself = matches!(row.carried, Carried::Number | Carried::Switch);
            assert_eq!(without, by_itself, "{} without rules", row.field);
            let ruled = AccountSettings { rules: vec![rule(row.field)], ..plain };
            let with = wanted(&before, &ruled) != wanted(&after, &ruled);
            assert!(with, "{} with a rule", row.field);
        }
    }

    #[test]
    fn rules_make_a_field_travel() {
        let rules = [rule("dnd"), rule("enabled")];
        let of = |field: &str| {
            let row = COVERAGE.iter().find(|row| row.field == field).expect("a field");
            carried(row, &rules)
        };
        assert_eq!(of("dnd"), [Carried::Policy]);
        assert_eq!(of("forward_all"), [Carried::Kept]);
        assert_eq!(of("login_name"), [Carried::Kept]);
        assert_eq!(of("enabled"), [Carried::Switch, Carried::Policy]);
        assert_eq!(rules_on("enabled", &rules).first().map(|(place, _)| *place), Some(2));
    }
}
