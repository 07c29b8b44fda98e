//! What goes into a plan and what comes out.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::code::Code;
use crate::guard::RemovalGuard;
use crate::ids::{ObjectId, PbxUserId};
use crate::ladder::DeferReason;
use crate::number::Number;
use crate::policy::PolicyType;
use crate::wanted::{Standing, WantedUser};

/// Whether a Microsoft user holds a Phone System plan (Graph `assignedPlan.capabilityStatus`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Licence {
    /// Enabled.
    Active,
    /// In its grace period: still works.
    Warning,
    /// No such plan, or one that was taken away.
    Missing,
    /// Not known, or assigned but not effective yet.
    #[default]
    Unknown,
}

/// What kind of account a Microsoft user is (Graph `teamsUserConfiguration.accountType`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountKind {
    /// A person.
    User,
    /// A resource account of an auto attendant or call queue.
    ResourceAccount,
    /// A guest.
    Guest,
    /// Microsoft calls the user ineligible.
    Ineligible,
    /// Not said, or a kind unknown to us.
    #[default]
    Unknown,
}

/// A number in a Microsoft user's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedLine {
    /// The number.
    pub number: Number,
    /// Whether it is the primary one; else a private or alternate line.
    pub primary: bool,
}

/// A policy in effect for a Microsoft user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedPolicy {
    /// The name, with or without `Tag:`.
    pub name: String,
    /// The id, when Microsoft says it.
    pub id: Option<String>,
    /// Assigned to the user itself; else through a group.
    pub direct: bool,
}

/// What Microsoft says about one user of the tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedUser {
    /// User principal name.
    pub upn: String,
    /// Phone System plan.
    pub licensed: Licence,
    /// Whether sign-in is allowed.
    pub account_enabled: bool,
    /// Kind of account.
    pub kind: AccountKind,
    /// Whether Teams knows the user.
    pub in_teams: bool,
    /// Whether Enterprise Voice is on.
    pub enterprise_voice: bool,
    /// Numbers in the user's record.
    pub numbers: Vec<ObservedLine>,
    /// Policies in effect; an absent type means the default of the organisation.
    pub policies: BTreeMap<PolicyType, ObservedPolicy>,
}

/// What holds a number (Graph `numberAssignment.assignmentStatus`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HolderKind {
    /// Nothing: the number is free.
    Unassigned,
    /// A user.
    User,
    /// An audio conference.
    Conference,
    /// An auto attendant or call queue.
    VoiceApp,
    /// A third-party app.
    ThirdPartyApp,
    /// A policy.
    Policy,
    /// Not said, or a kind unknown to us.
    #[default]
    Unknown,
}

/// What the tenant's inventory says about one number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedNumber {
    /// The number.
    pub number: Number,
    /// What holds it.
    pub status: HolderKind,
    /// Who holds it.
    pub target: Option<ObjectId>,
    /// A Direct Routing number; else from a Calling Plan or an operator.
    pub direct_routing: bool,
    /// The primary line of its holder.
    pub primary: bool,
    /// An assignment or update of it is under way at Microsoft.
    pub pending: bool,
    /// Microsoft could not carry out an assignment or update of it.
    #[serde(default)]
    pub failed: bool,
}

/// The observed state of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Users by object id.
    pub users: BTreeMap<ObjectId, ObservedUser>,
    /// The inventory. What it says about a number counts more than a user's record; where it is silent, the
    /// records count, and a number in neither is free (a Direct Routing number need not be uploaded first).
    pub numbers: BTreeMap<Number, ObservedNumber>,
    /// Deleted users, still in the bin of the directory, that were looked up as holders of a number: their names.
    pub deleted: BTreeMap<ObjectId, String>,
}

/// What a person has decided about a user. It holds until the next change of that user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Its removals were approved: the guard neither counts nor holds them.
    Approved,
    /// Its removals were rejected: they are not proposed again.
    Rejected,
    /// A sync of it was undone: it is left as it is.
    Undone,
}

impl Decision {
    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Undone => "undone",
        }
    }

    /// Reads the stable name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Approved, Self::Rejected, Self::Undone].into_iter().find(|decision| decision.as_str() == text)
    }
}

/// What people have decided, by PBX user and Microsoft user.
pub type Decisions = BTreeMap<(PbxUserId, ObjectId), Decision>;

/// Which users a plan covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All that are managed.
    All,
    /// These and all entangled with them through a number.
    Users(BTreeSet<PbxUserId>),
}

/// An intent without a terminal outcome: its user and its number must not be touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// The Microsoft user.
    pub oid: ObjectId,
    /// The number.
    pub number: Option<Number>,
    /// Why its outcome is open.
    pub reason: DeferReason,
}

/// Ids of policies by type and by bare name in lower case; `None` = looked for and not in the tenant.
pub type PolicyIds = BTreeMap<PolicyType, BTreeMap<String, Option<String>>>;

/// Everything a plan depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanInput<'a> {
    /// Every managed user of the account, mapped and leaving. A PBX user that was mapped anew has two: its new
    /// Microsoft user, and the former one as leaving.
    pub wanted: &'a [WantedUser],
    /// What stands on Microsoft users.
    pub standing: &'a BTreeMap<ObjectId, Standing>,
    /// The tenant.
    pub observed: &'a Observed,
    /// Which users to cover.
    pub scope: &'a Scope,
    /// Open intents.
    pub locks: &'a [Lock],
    /// Ids of the wanted policies.
    pub policy_ids: &'a PolicyIds,
    /// When removals are held.
    pub guard: RemovalGuard,
    /// How many mapped users the account has.
    pub mapped_users: usize,
    /// Hold every removal: the source lost everything.
    pub hold_all_removals: bool,
    /// What people have decided about users that have not changed since.
    pub decisions: &'a Decisions,
}

/// One write at Microsoft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Action {
    /// Take the number off the user.
    UnassignNumber {
        /// The number.
        number: Number,
    },
    /// Give the number to the user as the primary one.
    AssignNumber {
        /// The number.
        number: Number,
        /// Emergency location.
        location_id: Option<String>,
    },
    /// Assign the policy to the user itself.
    AssignPolicy {
        /// The type.
        policy_type: PolicyType,
        /// The name.
        name: String,
        /// Its id in the tenant.
        policy_id: String,
    },
    /// Take the user's own assignment of that type away, so that group or default apply again.
    UnassignPolicy {
        /// The type.
        policy_type: PolicyType,
        /// The name that comes off.
        name: String,
    },
}

impl Action {
    /// The stable name of the kind of action.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::UnassignNumber { .. } => "unassign_number",
            Self::AssignNumber { .. } => "assign_number",
            Self::AssignPolicy { .. } => "assign_policy",
            Self::UnassignPolicy { .. } => "unassign_policy",
        }
    }

    /// The number it touches.
    #[must_use]
    pub fn number(&self) -> Option<&Number> {
        match self {
            Self::UnassignNumber { number } | Self::AssignNumber { number, .. } => Some(number),
            Self::AssignPolicy { .. } | Self::UnassignPolicy { .. } => None,
        }
    }

    /// Whether it takes something away.
    #[must_use]
    pub fn removes(&self) -> bool {
        matches!(self, Self::UnassignNumber { .. } | Self::UnassignPolicy { .. })
    }
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Place in the plan, from 1. Steps and held steps are numbered apart.
    pub no: u32,
    /// The PBX user.
    pub user: PbxUserId,
    /// The Microsoft user.
    pub oid: ObjectId,
    /// What to do.
    pub action: Action,
    /// What is there before the step.
    pub before: Option<String>,
    /// Whether that was given to the user itself; else it holds through a group or for the whole organisation, and
    /// comes back when ours is taken away.
    #[serde(default = "own")]
    pub before_own: bool,
    /// What is there after it.
    pub after: Option<String>,
    /// Why, for people.
    pub reason: Cow<'static, str>,
    /// Steps that must be confirmed first; always smaller numbers of the same list.
    pub depends_on: Vec<u32>,
    /// The same for all number steps of one replacement, move, swap or ring: a job never hands over inside.
    pub group: Option<u32>,
}

fn own() -> bool {
    true
}

/// What the plan says about one user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Verdict {
    /// There are steps.
    Steps,
    /// All is as wanted.
    Unchanged,
    /// Something stands in the way that a person must settle. The user has no steps.
    Conflict {
        /// Stable code.
        code: Code,
        /// For people.
        text: String,
        /// Who or what stands in the way.
        holder: Option<String>,
    },
    /// Not possible yet. The user has no steps.
    Deferred {
        /// Why.
        reason: DeferReason,
        /// For people.
        text: String,
    },
    /// Its removals wait for a person; policies it should get are still given.
    Held {
        /// For people.
        text: String,
    },
    /// Left as it is, because a person decided so. The user has no steps.
    Kept {
        /// Stable code.
        code: Code,
        /// For people.
        text: String,
    },
    /// Refused until something changes. The user has no steps.
    Failed {
        /// Stable code.
        code: Code,
        /// For people.
        text: String,
    },
}

/// One user of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserPlan {
    /// The PBX user.
    pub user: PbxUserId,
    /// The Microsoft user.
    pub oid: ObjectId,
    /// What happens with it.
    pub verdict: Verdict,
    /// What somebody should do something about, whatever the verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<Warning>,
}

/// Something about a user that will become a fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Stable code.
    pub code: Code,
    /// For people.
    pub text: String,
}

/// What to do, in which order, and what not and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Every user covered, sorted by PBX user and Microsoft user.
    pub users: Vec<UserPlan>,
    /// Steps; each stands behind those it depends on.
    pub steps: Vec<Step>,
    /// Removals that wait for a person.
    pub held: Vec<Step>,
    /// Hex SHA-256 over all actions, held ones included: equal plans have equal fingerprints, whatever the order of
    /// the input.
    pub fingerprint: String,
}
