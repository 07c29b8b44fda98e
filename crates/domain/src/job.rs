//! Sync jobs: type, state, scope and counts.

use serde::{Deserialize, Serialize};

macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant,)+ }

        impl $name {
            /// All values, in their natural order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stable name in tables, messages and metrics.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// Reads the stable name; `None` for any other text.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(crate) use text_enum;

text_enum! {
    /// Why a job runs: by itself, or because a person asked.
    JobType {
        /// Started by change detection, with the stored authorization.
        Auto = "auto",
        /// Started by a person.
        Manual = "manual",
    }
}

text_enum! {
    /// Where a job is in its life.
    JobState {
        /// Cut, waiting for a worker.
        Queued = "queued",
        /// Claimed by a worker.
        Running = "running",
        /// Every step confirmed, unchanged or kept in the PBX.
        Succeeded = "succeeded",
        /// Some users deferred, held, in conflict or failed.
        Partly = "partly",
        /// The job as a whole could not work.
        Failed = "failed",
        /// Ended by a person, or by Auto Sync being switched off.
        Cancelled = "cancelled",
    }
}

impl JobState {
    /// Whether nothing more happens to a job in this state, but for settling.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

text_enum! {
    /// Which users a job looks at.
    JobScope {
        /// Changed users, users entangled with them through a number, deferred users that are due.
        Changed = "changed",
        /// Everything managed.
        All = "all",
    }
}

text_enum! {
    /// How a step or a user ended within a job.
    Outcome {
        /// Done and read back.
        Confirmed = "confirmed",
        /// The tenant already was as wanted.
        Unchanged = "unchanged",
        /// Not expressible in Microsoft; stays in the PBX.
        Kept = "kept",
        /// Could not be finished yet; has a next look.
        Deferred = "deferred",
        /// A removal waiting for a person.
        Held = "held",
        /// Somebody outside the managed set stands in the way.
        Conflict = "conflict",
        /// Refused for good until something changes.
        Failed = "failed",
    }
}

/// Users of a job by outcome. The counts always add up to `planned`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Users the plan looked at.
    pub planned: i32,
    /// Users with every step confirmed.
    pub confirmed: i32,
    /// Users already as wanted, or kept in the PBX.
    pub unchanged: i32,
    /// Users deferred.
    pub deferred: i32,
    /// Users with a held removal.
    pub held: i32,
    /// Users in conflict.
    pub conflict: i32,
    /// Users failed.
    pub failed: i32,
}

impl Counts {
    /// Adds one user.
    pub fn add(&mut self, outcome: Outcome) {
        self.planned += 1;
        match outcome {
            Outcome::Confirmed => self.confirmed += 1,
            Outcome::Unchanged | Outcome::Kept => self.unchanged += 1,
            Outcome::Deferred => self.deferred += 1,
            Outcome::Held => self.held += 1,
            Outcome::Conflict => self.conflict += 1,
            Outcome::Failed => self.failed += 1,
        }
    }

    /// The final state of a job that ran to its end with these counts.
    #[must_use]
    pub fn state(self) -> JobState {
        if self.deferred + self.held + self.conflict + self.failed == 0 {
            JobState::Succeeded
        } else {
            JobState::Partly
        }
    }
}
/// How long a first sync of so many users takes: 0.01 to 0.08 minutes for each (default numbers of the requirements).
#[must_use]
pub fn first_sync_takes(users: u32) -> (time::Duration, time::Duration) {
    (time::Duration::milliseconds(600) * users, time::Duration::milliseconds(4_800) * users)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e33_a_first_sync_of_a_thousand_users_takes_ten_to_eighty_minutes() {
        let (least, most) = first_sync_takes(1000);
        assert_eq!((least, most), (time::Duration::minutes(10), time::Duration::minutes(80)));
    }
}
