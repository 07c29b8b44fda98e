//! Policy rules: which Teams policies a profile asks for.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::profile::Profile;

/// A Teams policy type, compared without case as Microsoft's own samples mix it
/// (`TeamsCallingPolicy`, `teamsMeetingBroadcastPolicy`).
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PolicyType(pub String);

impl PolicyType {
    /// The type of the account's voice routing policy.
    pub const VOICE_ROUTING: &'static str = "OnlineVoiceRoutingPolicy";
    /// The type of the account's dial plan.
    pub const DIAL_PLAN: &'static str = "TenantDialPlan";

    fn key(&self) -> impl Iterator<Item = u8> {
        self.0.bytes().map(|byte| byte.to_ascii_lowercase())
    }
}

impl PartialEq for PolicyType {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}
impl Eq for PolicyType {}
impl PartialOrd for PolicyType {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for PolicyType {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(other.key())
    }
}
impl std::hash::Hash for PolicyType {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key().for_each(|byte| byte.hash(state));
    }
}
impl fmt::Display for PolicyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for PolicyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PolicyType({})", self.0)
    }
}
impl From<&str> for PolicyType {
    fn from(value: &str) -> Self {
        Self(value.to_owned())
    }
}

/// Whether two policy names mean the same policy: without case, and without the `Tag:` prefix that Microsoft shows.
#[must_use]
pub fn same_policy_name(a: &str, b: &str) -> bool {
    bare_policy_name(a).eq_ignore_ascii_case(bare_policy_name(b))
}

/// A policy name without the `Tag:` prefix.
#[must_use]
pub fn bare_policy_name(name: &str) -> &str {
    match name.get(..4) {
        Some(head) if head.eq_ignore_ascii_case("tag:") => &name[4..],
        _ => name,
    }
}

/// Which kind of service a mapping gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Number and policies.
    Voice,
    /// Policies only, for the provider's app inside Teams.
    App,
}

impl Service {
    /// The stable name in tables and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Voice => "voice",
            Self::App => "app",
        }
    }

    /// Reads the stable name; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Voice, Self::App].into_iter().find(|service| service.as_str() == text)
    }
}

/// A condition on one profile field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Condition {
    /// Always true.
    Always,
    /// The field has exactly this value.
    Is {
        /// One of [`Profile::FIELDS`].
        field: String,
        /// JSON value to compare with.
        value: Value,
    },
    /// The field is present and not empty (`true` for a flag).
    Set {
        /// One of [`Profile::FIELDS`].
        field: String,
    },
    /// The field is absent or empty (`false` for a flag).
    Unset {
        /// One of [`Profile::FIELDS`].
        field: String,
    },
}

impl Condition {
    /// The field the condition looks at.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Always => None,
            Self::Is { field, .. } | Self::Set { field } | Self::Unset { field } => Some(field),
        }
    }

    /// Whether the profile meets the condition. An unknown field meets nothing; such rules are refused when saved.
    #[must_use]
    pub fn holds(&self, profile: &Profile) -> bool {
        let is_set = |field: &str| match profile.field(field) {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::Array(list)) => !list.is_empty(),
            Some(_) => true,
        };
        match self {
            Self::Always => true,
            Self::Is { field, value } => profile.field(field).as_ref() == Some(value),
            Self::Set { field } => is_set(field),
            Self::Unset { field } => profile.field(field).is_some() && !is_set(field),
        }
    }
}

/// One ordered rule: when the condition holds, the policy of that type is wanted. The first rule of a type wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyRule {
    /// When the rule applies.
    pub when: Condition,
    /// The Teams policy type.
    pub policy_type: PolicyType,
    /// The name of the policy instance in the tenant.
    pub policy_name: String,
    /// The services the rule is for; empty = all.
    #[serde(default)]
    pub services: Vec<Service>,
}

/// The policies that the ordered rules ask for, one per type, the first matching rule of a type winning.
#[must_use]
pub fn wanted_policies(
    rules: &[PolicyRule],
    profile: &Profile,
    service: Service,
) -> BTreeMap<PolicyType, String> {
    let mut wanted = BTreeMap::new();
    for rule in rules {
        let for_service = rule.services.is_empty() || rule.services.contains(&service);
        if for_service && rule.when.holds(profile) {
            wanted.entry(rule.policy_type.clone()).or_insert_with(|| rule.policy_name.clone());
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_matching_rule_of_a_type_wins() {
        let rule = |when, name: &str| PolicyRule {
            when,
            policy_type: "TeamsCallingPolicy".into(),
            policy_name: name.into(),
            services: vec![],
        };
        let rules = [
            rule(Condition::Set { field: "voicemail_enabled".into() }, "Tandem-PBX-Voicemail"),
            rule(Condition::Always, "Tandem-Plain"),
        ];
        let mut profile = Profile::default();
        let name =
            |p: &Profile| wanted_policies(&rules, p, Service::Voice)[&"teamscallingpolicy".into()].clone();
        assert_eq!(name(&profile), "Tandem-Plain");
        profile.voicemail_enabled = true;
        assert_eq!(name(&profile), "Tandem-PBX-Voicemail");
    }

    #[test]
    fn names_compare_without_tag_and_case() {
        assert!(same_policy_name("Tag:Provider-US", "provider-us"));
        assert!(!same_policy_name("Tag:Provider-US", "provider-uk"));
    }
}
