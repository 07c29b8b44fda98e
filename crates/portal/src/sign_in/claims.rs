//! What the claims of the provider's issuer mean: a pure function of the claims and the configured rules.

use serde_json::Value;
use tandem_domain::roles::Role;

use crate::settings::ClaimRules;

/// What claims give somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) operator: bool,
    /// The role in each of the accounts.
    pub(crate) role: Option<Role>,
    pub(crate) accounts: Vec<String>,
}

/// A text, or a list of texts; anything else says nothing.
fn texts(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(text)) => vec![text.as_str()],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Reads the claims. A text that the rules do not name gives nothing, and Microsoft's roles cannot be given here.
pub(crate) fn read(claims: &Value, rules: &ClaimRules) -> Given {
    let mut roles: Vec<Role> = texts(claims.get(&rules.role))
        .into_iter()
        .filter_map(|text| rules.roles.get(text).copied())
        .collect();
    roles.sort_unstable();
    let operator = roles.contains(&Role::Operator);
    let role = roles.into_iter().find(|role| matches!(role, Role::AccountManager | Role::AccountAdmin));
    let accounts = match role {
        Some(_) => texts(claims.get(&rules.account)).into_iter().map(str::to_owned).collect(),
        None => Vec::new(),
    };
    Given { operator, role, accounts }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules() -> ClaimRules {
        let named = |text: &str, role| (text.to_owned(), role);
        ClaimRules {
            role: "groups".to_owned(),
            account: "customers".to_owned(),
            roles: [
                named("support", Role::Operator),
                named("managers", Role::AccountManager),
                named("admins", Role::AccountAdmin),
                named("cheat", Role::GlobalAdmin),
            ]
            .into(),
        }
    }

    #[test]
    fn claims_give_what_the_rules_name_and_nothing_else() {
        let given = read(&json!({ "groups": ["managers", "x"], "customers": ["alpha", "bravo"] }), &rules());
        assert_eq!(given.role, Some(Role::AccountManager));
        assert_eq!(given.accounts, ["alpha", "bravo"]);
        assert!(!given.operator);
        let given = read(&json!({ "groups": "support" }), &rules());
        assert_eq!((given.operator, given.role), (true, None));
        for nothing in [
            json!({}),
            json!({ "groups": 1 }),
            json!({ "groups": ["Support"] }),
            json!({ "customers": "alpha" }),
        ] {
            assert_eq!(read(&nothing, &rules()), Given::default(), "{nothing}");
        }
        let cheat = read(&json!({ "groups": "cheat", "customers": "alpha" }), &rules());
        assert_eq!(cheat, Given::default(), "the provider cannot make a Global Admin");
    }
}
