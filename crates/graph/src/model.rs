//! What Teams administration says, in Graph's words.

use serde::{Deserialize, Deserializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::open::{null_as_default, open_enum};

open_enum! {
    /// What kind of account a Teams user is.
    AccountType {
        /// A person.
        User = "user",
        /// A resource account, for example of an auto attendant.
        ResourceAccount = "resourceAccount",
        /// A guest.
        Guest = "guest",
        /// A user still homed on premises.
        SfbOnPremUser = "sfbOnPremUser",
        /// Not eligible for Teams.
        IneligibleUser = "ineligibleUser",
    }
}

open_enum! {
    /// Which line of its holder a number is.
    AssignmentCategory {
        /// The main line.
        Primary = "primary",
        /// A second, hidden line.
        Private = "private",
        /// An alternate line.
        Alternate = "alternate",
    }
}

open_enum! {
    /// Where a policy comes from.
    AssignmentType {
        /// Assigned to the user.
        Direct = "direct",
        /// Inherited from a group.
        Group = "group",
    }
}

open_enum! {
    /// Who provides a number.
    NumberType {
        /// The provider's own trunk.
        DirectRouting = "directRouting",
        /// Microsoft.
        CallingPlan = "callingPlan",
        /// An operator inside Teams.
        OperatorConnect = "operatorConnect",
    }
}

open_enum! {
    /// What a number is used for.
    AssignmentStatus {
        /// Free.
        Unassigned = "unassigned",
        /// A user holds it.
        UserAssigned = "userAssigned",
        /// A conference bridge holds it.
        ConferenceAssigned = "conferenceAssigned",
        /// An auto attendant or call queue holds it.
        VoiceApplicationAssigned = "voiceApplicationAssigned",
        /// A third-party application holds it.
        ThirdPartyAppAssigned = "thirdPartyAppAssigned",
        /// A policy holds it.
        PolicyAssigned = "policyAssigned",
    }
}

open_enum! {
    /// Where a number was set.
    NumberSource {
        /// In Microsoft 365.
        Online = "online",
        /// In the customer's own directory: it cannot be changed from outside.
        OnPremises = "onPremises",
    }
}

open_enum! {
    /// How far an operation, or one number of it, is.
    OperationStatus {
        /// Not started.
        NotStarted = "notStarted",
        /// Under way.
        Running = "running",
        /// Done.
        Succeeded = "succeeded",
        /// Failed; the detail says why in words.
        Failed = "failed",
        /// Left out.
        Skipped = "skipped",
    }
}

impl OperationStatus {
    /// Whether it has ended, well or not. An unknown word has not.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Skipped)
    }
}

/// What Teams knows of a user: the numbers and policies in force.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserConfiguration {
    /// Object id of the user.
    pub id: Uuid,
    /// Sign-in name.
    pub user_principal_name: Option<String>,
    /// Kind of account.
    pub account_type: Option<AccountType>,
    /// Whether Enterprise Voice is on; a number turns it on.
    pub is_enterprise_voice_enabled: Option<bool>,
    /// Features the user's licences give, for example `PhoneSystem`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub feature_types: Vec<String>,
    /// Numbers held.
    #[serde(default, deserialize_with = "null_as_default")]
    pub telephone_numbers: Vec<HeldNumber>,
    /// Policies in force; a type that is absent follows the organisation's default.
    #[serde(default, deserialize_with = "null_as_default")]
    pub effective_policy_assignments: Vec<PolicyOfUser>,
    /// When Teams last changed the record.
    #[serde(default, deserialize_with = "lenient_time")]
    pub modified_date_time: Option<OffsetDateTime>,
}

impl UserConfiguration {
    /// The user's main line.
    #[must_use]
    pub fn primary_number(&self) -> Option<&str> {
        self.telephone_numbers
            .iter()
            .find(|held| {
                held.assignment_category
                    .as_ref()
                    .is_none_or(|category| *category == AssignmentCategory::Primary)
            })
            .map(|held| held.telephone_number.as_str())
    }

    /// The policy of a type, whose name is compared without regard to case.
    #[must_use]
    pub fn policy(&self, policy_type: &str) -> Option<&PolicyAssignment> {
        self.effective_policy_assignments
            .iter()
            .find(|policy| policy.policy_type.eq_ignore_ascii_case(policy_type))
            .and_then(|policy| policy.policy_assignment.as_ref())
    }
}

/// A number in a user's record.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldNumber {
    /// The number.
    pub telephone_number: String,
    /// Which line it is.
    pub assignment_category: Option<AssignmentCategory>,
}

/// A policy in a user's record.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyOfUser {
    /// Type of the policy, for example `OnlineVoiceRoutingPolicy`.
    pub policy_type: String,
    /// The policy in force.
    pub policy_assignment: Option<PolicyAssignment>,
}

/// A policy in force for a user.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyAssignment {
    /// Name of the policy.
    pub display_name: Option<String>,
    /// Where it comes from.
    pub assignment_type: Option<AssignmentType>,
    /// Opaque id.
    pub policy_id: Option<String>,
    /// The group it comes from.
    pub group_id: Option<String>,
}

/// A number of the tenant's inventory.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NumberAssignment {
    /// Opaque id.
    #[serde(default, deserialize_with = "null_as_default")]
    pub id: String,
    /// The number.
    pub telephone_number: String,
    /// Who provides it.
    pub number_type: Option<NumberType>,
    /// What it is used for.
    pub assignment_status: Option<AssignmentStatus>,
    /// Which line of its holder it is.
    pub assignment_category: Option<AssignmentCategory>,
    /// Id of the holder, as Graph writes it.
    pub assignment_target_id: Option<String>,
    /// Where it was set.
    pub number_source: Option<NumberSource>,
    /// State of activation.
    pub activation_state: Option<String>,
    /// Emergency location.
    pub location_id: Option<String>,
}

impl NumberAssignment {
    /// Whether an assignment or update of it is under way.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        matches!(self.activation_state.as_deref(), Some("assignmentPending" | "updatePending"))
    }

    /// Whether an assignment or update of it could not be carried out.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        matches!(self.activation_state.as_deref(), Some("assignmentFailed" | "updateFailed"))
    }

    /// Object id of the holder. `None` also when the holder's id is no object id: whether the number is
    /// free is said by [`NumberAssignment::is_free`].
    #[must_use]
    pub fn holder(&self) -> Option<Uuid> {
        let id = self.assignment_target_id.as_deref()?;
        Uuid::try_parse(id).ok().filter(|id| !id.is_nil())
    }

    /// Whether nobody holds the number.
    #[must_use]
    pub fn is_free(&self) -> bool {
        matches!(self.assignment_status, None | Some(AssignmentStatus::Unassigned))
            && self.assignment_target_id.as_deref().is_none_or(str::is_empty)
    }
}

/// An asynchronous operation on numbers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Opaque id.
    #[serde(default, deserialize_with = "null_as_default")]
    pub id: String,
    /// How far it is.
    pub status: OperationStatus,
    /// Its numbers.
    #[serde(default, deserialize_with = "null_as_default")]
    pub numbers: Vec<OperationNumber>,
}

impl Operation {
    /// Microsoft's words about the first number that has any. Meant for people; there is no code.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.numbers
            .iter()
            .filter_map(|number| number.status_detail.as_deref())
            .find(|detail| !detail.is_empty())
    }
}

/// One number of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationNumber {
    /// Link to the number.
    pub resource_location: Option<String>,
    /// How far it is.
    pub status: Option<OperationStatus>,
    /// Why it failed, in words.
    pub status_detail: Option<String>,
}

/// The opaque id of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(transparent)]
pub struct PolicyId(pub String);

/// A time that is only informative must not spoil the record it stands in.
fn lenient_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<OffsetDateTime>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.and_then(|text| OffsetDateTime::parse(&text, &Rfc3339).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn open_words() {
        assert_eq!(NumberType::from("DirectRouting".to_owned()), NumberType::DirectRouting);
        let odd = NumberType::from("satellite".to_owned());
        assert_eq!(odd.as_str(), "satellite");
        assert!(!OperationStatus::from("pondering".to_owned()).is_final());
        assert!(OperationStatus::from("failed".to_owned()).is_final());
    }

    #[test]
    fn a_record_of_teams() {
        let record: UserConfiguration = serde_json::from_value(json!({
            "id": "0a0a0a0a-1111-4222-8333-444444444401",
            "telephoneNumbers": [
                {"telephoneNumber": "+12125550101", "assignmentCategory": "private"},
                {"telephoneNumber": "+12125550102", "assignmentCategory": "primary"},
            ],
            "effectivePolicyAssignments": [{
                "policyType": "TenantDialPlan",
                "policyAssignment": {"displayName": "d", "assignmentType": "direct", "policyId": "p"},
            }],
            "modifiedDateTime": "2026-08-01T09:00:00.1234567Z",
        }))
        .unwrap();
        assert_eq!(record.primary_number(), Some("+12125550102"));
        assert!(record.policy("tenantdialplan").is_some());
        assert!(record.modified_date_time.is_some());
    }

    #[test]
    fn free_and_held_numbers() {
        let number = |status: &str, target: Option<&str>| -> NumberAssignment {
            serde_json::from_value(json!({
                "telephoneNumber": "+12125550101",
                "assignmentStatus": status,
                "assignmentTargetId": target,
            }))
            .unwrap()
        };
        assert!(number("unassigned", None).is_free());
        assert!(number("unassigned", Some("")).is_free());
        let orphan = number("userAssigned", Some("somebody"));
        assert!(!orphan.is_free() && orphan.holder().is_none());
    }
}
