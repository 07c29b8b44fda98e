//! How one PBX user stands, as people see it, and what happens next.

use serde::{Deserialize, Serialize};

use crate::ids::Gen;
use crate::job::{Outcome, text_enum};
use crate::ladder::DeferReason;

text_enum! {
    /// How a PBX user stands. The names are stable: the API uses them.
    UserState {
        /// No Microsoft user is chosen, and nothing of ours stands anywhere.
        NotMapped = "not_mapped",
        /// The mapping was taken away; something of ours still stands in Teams.
        Leaving = "leaving",
        /// A saved change waits for a sync.
        Queued = "queued",
        /// Could not be finished yet; is looked at again by itself, or after somebody has acted.
        Waiting = "waiting",
        /// A removal waits for a person.
        Held = "held",
        /// Somebody outside the managed set stands in the way.
        Conflict = "conflict",
        /// Refused until something changes.
        Failed = "failed",
        /// Microsoft's read paths did not come to agree.
        Issue = "issue",
        /// No sync has got as far as this user.
        NotSynced = "not_synced",
        /// Done and read back; not every read path shows it yet.
        Landing = "landing",
        /// Every read path shows what is wanted.
        InTeams = "in_teams",
    }
}

/// What the state of a user is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserFacts {
    /// It has a mapping.
    pub mapped: bool,
    /// Something of ours stands on a Microsoft user for it.
    pub standing: bool,
    /// A change of it is newer than what jobs have covered.
    pub queued: bool,
    /// It is deferred.
    pub deferred: bool,
    /// How it ended in its last job.
    pub outcome: Option<Outcome>,
    /// Settling was given up.
    pub issue: bool,
    /// The newest change that was done and read back.
    pub confirmed: Gen,
    /// The newest change on which all read paths agree.
    pub settled: Gen,
}

/// The state of a user. What a sync will look at anew counts before what an earlier one found.
#[must_use]
pub fn state(facts: &UserFacts) -> UserState {
    match facts {
        UserFacts { mapped: false, standing: false, .. } => UserState::NotMapped,
        UserFacts { mapped: false, .. } => UserState::Leaving,
        UserFacts { queued: true, .. } => UserState::Queued,
        UserFacts { deferred: true, .. } => UserState::Waiting,
        UserFacts { outcome: Some(Outcome::Deferred), .. } => UserState::Waiting,
        UserFacts { outcome: Some(Outcome::Held), .. } => UserState::Held,
        UserFacts { outcome: Some(Outcome::Conflict), .. } => UserState::Conflict,
        UserFacts { outcome: Some(Outcome::Failed), .. } => UserState::Failed,
        UserFacts { issue: true, .. } => UserState::Issue,
        UserFacts { outcome: None, .. } => UserState::NotSynced,
        UserFacts { confirmed, settled, .. } if confirmed > settled => UserState::Landing,
        _ => UserState::InTeams,
    }
}

impl UserState {
    /// As people read it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::NotMapped => "Not mapped",
            Self::Leaving => "Leaving",
            Self::Queued => "Change queued",
            Self::Waiting => "Waiting",
            Self::Held => "Removal held",
            Self::Conflict => "Conflict",
            Self::Failed => "Failed",
            Self::Issue => "Sync issue",
            Self::NotSynced => "Not synced yet",
            Self::Landing => "Landing",
            Self::InTeams => "In Teams",
        }
    }

    /// What happens next, and who has to do something. `wait` is why a waiting user waits.
    #[must_use]
    pub fn next_step(self, wait: Option<DeferReason>) -> &'static str {
        match self {
            Self::NotMapped => "Choose a Microsoft user, if this person shall call in Teams.",
            Self::Leaving => "The next sync takes off what still stands in Teams.",
            Self::Queued | Self::NotSynced => {
                "The next sync looks at this user. Without Auto Sync somebody presses Sync Now."
            }
            Self::Waiting => match wait {
                Some(DeferReason::NotAuthorized) => "The Global Admin connects the tenant anew.",
                Some(DeferReason::TokenExpired) => {
                    "The Global Admin starts a Manual Sync again, or switches Auto Sync on."
                }
                _ => "Nobody has to do anything: the user is looked at again by itself.",
            },
            Self::Held => {
                "The Global Admin, a Sync Contributor or your provider approves or rejects the removal."
            }
            Self::Conflict | Self::Failed => "Mend what the reason says, then sync this user.",
            Self::Issue => "Sync this user. If it stays, ask your provider.",
            Self::Landing => "Nobody has to do anything: Microsoft still spreads it, for a day at most.",
            Self::InTeams => "Nothing is left to do.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_next_counts_before_what_was() {
        let settled = UserFacts {
            mapped: true,
            outcome: Some(Outcome::Confirmed),
            confirmed: 3,
            settled: 3,
            ..UserFacts::default()
        };
        let cases = [
            (UserFacts::default(), UserState::NotMapped),
            (UserFacts { standing: true, queued: true, ..UserFacts::default() }, UserState::Leaving),
            (settled, UserState::InTeams),
            (UserFacts { confirmed: 4, ..settled }, UserState::Landing),
            (UserFacts { issue: true, confirmed: 4, ..settled }, UserState::Issue),
            (UserFacts { outcome: None, ..settled }, UserState::NotSynced),
            (UserFacts { outcome: Some(Outcome::Conflict), ..settled }, UserState::Conflict),
            (UserFacts { outcome: Some(Outcome::Held), ..settled }, UserState::Held),
            (UserFacts { outcome: Some(Outcome::Failed), deferred: true, ..settled }, UserState::Waiting),
            (UserFacts { outcome: Some(Outcome::Failed), queued: true, ..settled }, UserState::Queued),
        ];
        for (facts, expected) in cases {
            assert_eq!(state(&facts), expected, "{facts:?}");
        }
    }

    #[test]
    fn every_state_says_what_happens_next() {
        for state in UserState::ALL {
            assert!(state.next_step(None).ends_with('.') && !state.label().is_empty(), "{state}");
        }
        let waiting = |reason| UserState::Waiting.next_step(Some(reason));
        assert!(waiting(DeferReason::NotAuthorized).contains("Global Admin"));
        assert!(waiting(DeferReason::LicencePending).contains("by itself"));
    }
}
