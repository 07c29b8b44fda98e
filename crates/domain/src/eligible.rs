//! Which Microsoft users can be connected with a PBX user, and why the others cannot.
//!
//! A user is eligible when it is a person or a shared device that holds a working Phone System plan (`MCOEV`) and
//! whose calls nobody else carries. The words come from Graph: `assignedPlan.capabilityStatus`,
//! `teamsUserConfiguration.accountType` and `.featureTypes`, `numberAssignment.numberType` and `.assignmentStatus`.

use serde::{Deserialize, Serialize};

/// Gives each variant its stable name in tables and messages, and all of them as a list.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stable name in tables and messages.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// Reads the stable name.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.as_str() == text)
            }
        }
    };
}

named! {
    /// State of a user's Phone System plan; of several entries, the best.
    PhonePlan {
        /// It works.
        Enabled = "enabled",
        /// Grace period: it still works, until somebody renews it or Microsoft ends it.
        Warning = "warning",
        /// Suspended.
        Suspended = "suspended",
        /// Locked out.
        LockedOut = "locked_out",
        /// A word of Microsoft's that this release does not know.
        Unknown = "unknown",
        /// Taken away; Microsoft keeps the entry.
        Deleted = "deleted",
        /// There never was one.
        None = "none",
    }
}

impl PhonePlan {
    /// Whether calls work with it.
    #[must_use]
    pub fn works(self) -> bool {
        matches!(self, Self::Enabled | Self::Warning)
    }
}

named! {
    /// What a Microsoft user is.
    UserKind {
        /// A person, or a shared device.
        User = "user",
        /// A meeting room with a Teams Rooms licence.
        Room = "room",
        /// A resource account of an auto attendant or call queue; Graph does not tell which of the two.
        ResourceAccount = "resource_account",
        /// The account of a third-party application, known by the number that it holds.
        Bot = "bot",
        /// A guest from another tenant.
        Guest = "guest",
        /// A user who is still homed on premises.
        OnPremises = "on_premises",
    }
}

named! {
    /// Why a Microsoft user cannot be connected with a PBX user. The first that applies counts.
    NotEligible {
        /// A third-party application.
        Bot = "bot",
        /// An auto attendant or a call queue.
        ResourceAccount = "resource_account",
        /// A meeting room.
        Room = "room",
        /// A guest.
        Guest = "guest",
        /// Homed on premises.
        OnPremises = "on_premises",
        /// Microsoft calls the user ineligible for Teams.
        IneligibleInTeams = "ineligible_in_teams",
        /// Sign-in is blocked.
        Disabled = "disabled",
        /// No Phone System plan.
        NoPhonePlan = "no_phone_plan",
        /// The Phone System plan was taken away.
        PhonePlanDeleted = "phone_plan_deleted",
        /// The Phone System plan is suspended.
        PhonePlanSuspended = "phone_plan_suspended",
        /// The Phone System plan is locked out.
        PhonePlanLockedOut = "phone_plan_locked_out",
        /// The Phone System plan is in a state that this release does not know.
        PhonePlanUnknown = "phone_plan_unknown",
        /// Microsoft carries the calls: a Calling Plan, or a number from one.
        CallingPlan = "calling_plan",
        /// An operator inside Teams carries the calls.
        OperatorConnect = "operator_connect",
    }
}

impl NotEligible {
    /// What it means, for people.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Bot => "is a third-party application",
            Self::ResourceAccount => "is a resource account of an auto attendant or call queue",
            Self::Room => "is a meeting room",
            Self::Guest => "is a guest",
            Self::OnPremises => "is homed on premises",
            Self::IneligibleInTeams => "is ineligible for Teams, says Microsoft",
            Self::Disabled => "may not sign in",
            Self::NoPhonePlan => "has no Phone System plan",
            Self::PhonePlanDeleted => "has lost the Phone System plan",
            Self::PhonePlanSuspended => "has a suspended Phone System plan",
            Self::PhonePlanLockedOut => "has a Phone System plan that is locked out",
            Self::PhonePlanUnknown => "has a Phone System plan in an unknown state",
            Self::CallingPlan => "has a Calling Plan of Microsoft",
            Self::OperatorConnect => "has a number from an operator inside Teams",
        }
    }
}

named! {
    /// What is worth knowing about a user although it decides nothing.
    Flag {
        /// The Phone System plan is in its grace period.
        PlanInGrace = "plan_in_grace",
        /// Teams does not know the user yet.
        NotInTeamsYet = "not_in_teams_yet",
        /// The plan is assigned but not effective in Teams yet.
        PlanNotEffective = "plan_not_effective",
    }
}

/// Account type as Teams says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TeamsAccount {
    /// `user`
    User,
    /// `resourceAccount`
    ResourceAccount,
    /// `guest`
    Guest,
    /// `sfbOnPremUser`
    OnPremises,
    /// `ineligibleUser`
    Ineligible,
    /// Not said, or a word unknown to us.
    #[default]
    Unknown,
}

/// What Teams says about a user; small, since it is held for every user of a tenant while its list is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct InTeams {
    /// Account type.
    pub account: TeamsAccount,
    /// Feature `PhoneSystem`.
    pub phone_system: bool,
    /// Feature `CallingPlan`.
    pub calling_plan: bool,
    /// Feature `TeamsRoomPro` or `TeamsRoomBasic`.
    pub room: bool,
    /// Feature `VoiceApp`.
    pub voice_app: bool,
}

/// What the tenant's inventory says about the numbers that a user holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lines {
    /// One comes from a Calling Plan.
    pub calling_plan: bool,
    /// One comes from an operator inside Teams.
    pub operator_connect: bool,
    /// One is assigned to a third-party application.
    pub third_party_app: bool,
    /// One is assigned to an auto attendant or call queue.
    pub voice_app: bool,
}

/// Everything about a user that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Sign-in is allowed.
    pub account_enabled: bool,
    /// `userType` is `Guest`.
    pub guest: bool,
    /// Its Phone System plan.
    pub phone_plan: PhonePlan,
    /// It holds a working plan of any kind.
    pub licensed: bool,
    /// It holds a working Phone System plan for resource accounts (`MCOEV_VIRTUALUSER`).
    pub virtual_plan: bool,
    /// What Teams says; none while Teams does not know the user.
    pub teams: Option<InTeams>,
    /// Its numbers.
    pub lines: Lines,
}

/// What a Microsoft user is and whether it can be connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What it is.
    pub kind: UserKind,
    /// Why it cannot be connected; none = eligible.
    pub why_not: Option<NotEligible>,
    /// What else is worth knowing.
    pub flags: Vec<Flag>,
}

impl Verdict {
    /// Whether the user can be connected with a PBX user.
    #[must_use]
    pub fn eligible(&self) -> bool {
        self.why_not.is_none()
    }
}

/// Judges one user.
#[must_use]
pub fn judge(facts: &Facts) -> Verdict {
    let teams = facts.teams.unwrap_or_default();
    let kind = kind(facts, teams);
    let why_not = why_not(kind, facts, teams);
    let mut flags = Vec::new();
    if facts.phone_plan == PhonePlan::Warning {
        flags.push(Flag::PlanInGrace);
    }
    if facts.phone_plan.works() && kind == UserKind::User {
        match facts.teams {
            None => flags.push(Flag::NotInTeamsYet),
            Some(teams) if !teams.phone_system => flags.push(Flag::PlanNotEffective),
            Some(_) => {}
        }
    }
    Verdict { kind, why_not, flags }
}

fn kind(facts: &Facts, teams: InTeams) -> UserKind {
    if facts.lines.third_party_app {
        UserKind::Bot
    } else if teams.account == TeamsAccount::ResourceAccount
        || teams.voice_app
        || facts.virtual_plan
        || facts.lines.voice_app
    {
        UserKind::ResourceAccount
    } else if teams.room {
        UserKind::Room
    } else if facts.guest || teams.account == TeamsAccount::Guest {
        UserKind::Guest
    } else if teams.account == TeamsAccount::OnPremises {
        UserKind::OnPremises
    } else {
        UserKind::User
    }
}

fn why_not(kind: UserKind, facts: &Facts, teams: InTeams) -> Option<NotEligible> {
    match kind {
        UserKind::Bot => return Some(NotEligible::Bot),
        UserKind::ResourceAccount => return Some(NotEligible::ResourceAccount),
        UserKind::Room => return Some(NotEligible::Room),
        UserKind::Guest => return Some(NotEligible::Guest),
        UserKind::OnPremises => return Some(NotEligible::OnPremises),
        UserKind::User if teams.account == TeamsAccount::Ineligible => {
            return Some(NotEligible::IneligibleInTeams);
        }
        UserKind::User if !facts.account_enabled => return Some(NotEligible::Disabled),
        UserKind::User => {}
    }
    match facts.phone_plan {
        PhonePlan::Enabled | PhonePlan::Warning => {}
        PhonePlan::Suspended => return Some(NotEligible::PhonePlanSuspended),
        PhonePlan::LockedOut => return Some(NotEligible::PhonePlanLockedOut),
        PhonePlan::Unknown => return Some(NotEligible::PhonePlanUnknown),
        PhonePlan::Deleted => return Some(NotEligible::PhonePlanDeleted),
        PhonePlan::None => return Some(NotEligible::NoPhonePlan),
    }
    if teams.calling_plan || facts.lines.calling_plan {
        Some(NotEligible::CallingPlan)
    } else if facts.lines.operator_connect {
        Some(NotEligible::OperatorConnect)
    } else {
        None
    }
}

/// The line that a job's log shows of a tenant's users. *Enabled* users may sign in; guests and resource accounts are
/// not among them, but that resource accounts are counted for themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Enabled users.
    pub total: u64,
    /// Enabled users that hold a working plan of any kind.
    pub licensed: u64,
    /// Enabled users that hold a working Phone System plan.
    pub phone_system: u64,
    /// Of those, users whose calls Microsoft carries.
    pub excluded_by_calling_plan: u64,
    /// Resource accounts and third-party applications, enabled or not.
    pub resource: u64,
    /// Users that can be connected with a PBX user.
    pub eligible: u64,
    /// Of those, users whose plan is in its grace period.
    pub warning: u64,
}

impl Counts {
    /// Counts one user.
    pub fn add(&mut self, facts: &Facts, verdict: &Verdict) {
        let machine = matches!(verdict.kind, UserKind::ResourceAccount | UserKind::Bot);
        if facts.account_enabled && !machine && verdict.kind != UserKind::Guest {
            self.total += 1;
            self.licensed += u64::from(facts.licensed);
            self.phone_system += u64::from(facts.phone_plan.works());
        }
        self.excluded_by_calling_plan += u64::from(verdict.why_not == Some(NotEligible::CallingPlan));
        self.resource += u64::from(machine);
        self.eligible += u64::from(verdict.eligible());
        self.warning += u64::from(verdict.eligible() && facts.phone_plan == PhonePlan::Warning);
    }
}

#[cfg(test)]
mod tests;
