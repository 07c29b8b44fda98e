//! Stable codes of conflicts and failures.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)+) => {
        /// Why a user is in conflict or failed. The names are stable: tables, pages and messages use them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Code { $($(#[$doc])* #[serde(rename = $text)] $variant,)+ }

        impl Code {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stable name.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

codes! {
    /// A Microsoft user outside the managed set holds the wanted number.
    NumberHeldByUnmanagedUser = "number_held_by_unmanaged_user",
    /// A Microsoft user outside the managed set holds the wanted number and has lost its phone licence.
    NumberHeldByUnlicensedUser = "number_held_by_unlicensed_user",
    /// A deleted Microsoft user, still in the bin of the directory, holds the wanted number.
    NumberHeldByDeletedUser = "number_held_by_deleted_user",
    /// An id that the directory does not know holds the wanted number.
    NumberHeldByUnknownId = "number_held_by_unknown_id",
    /// A resource account holds the wanted number.
    NumberHeldByResourceAccount = "number_held_by_resource_account",
    /// An audio conference holds the wanted number.
    NumberHeldByConference = "number_held_by_conference",
    /// An auto attendant or call queue holds the wanted number.
    NumberHeldByVoiceApp = "number_held_by_voice_app",
    /// A third-party app holds the wanted number.
    NumberHeldByThirdPartyApp = "number_held_by_third_party_app",
    /// A policy holds the wanted number.
    NumberHeldByPolicy = "number_held_by_policy",
    /// Microsoft does not say who holds the wanted number.
    NumberHeldByUnknownHolder = "number_held_by_unknown_holder",
    /// A managed user holds the wanted number, but cannot give it up now.
    NumberHeldByBlockedUser = "number_held_by_blocked_user",
    /// A managed user holds the wanted number, and a person has decided to leave that user as it is.
    NumberKeptByDecision = "number_kept_by_decision",
    /// A managed user holds the wanted number, but did not get it from Tandem and gets no other instead.
    NumberNotOurs = "number_not_ours",
    /// The wanted number is a private or alternate line of its holder.
    NumberIsSecondaryLine = "number_is_secondary_line",
    /// The wanted number comes from a Calling Plan or an operator.
    NumberNotDirectRouting = "number_not_direct_routing",
    /// The user has the wanted number, but Microsoft could not activate it.
    NumberActivationFailed = "number_activation_failed",
    /// The user has a number from a Calling Plan or an operator, which is not ours to replace.
    UserNumberNotDirectRouting = "user_number_not_direct_routing",
    /// Two mapped users want the same number.
    NumberWantedByTwoUsers = "number_wanted_by_two_users",
    /// Two PBX users are mapped to one Microsoft user.
    MicrosoftUserMappedTwice = "microsoft_user_mapped_twice",
    /// The PBX user was mapped to another Microsoft user who cannot take over now, so the former one keeps what it has.
    SuccessorBlocked = "successor_blocked",
    /// The tenant has no policy of the wanted type and name.
    PolicyNotInTenant = "policy_not_in_tenant",
    /// The Microsoft user is a resource account.
    UserIsResourceAccount = "user_is_resource_account",
    /// The Microsoft user is a guest.
    UserIsGuest = "user_is_guest",
    /// Microsoft calls the user ineligible.
    UserIsIneligible = "user_is_ineligible",
    /// The tenant has no such user.
    UserUnknownInTenant = "user_unknown_in_tenant",
    /// The user holds no Phone System plan.
    NoPhoneLicence = "no_phone_licence",
    /// The PBX gives a number that Microsoft would not take.
    NumberUnusable = "number_unusable",
    /// A person rejected the removals of this user; they are not proposed again until the user changes.
    RemovalRejected = "removal_rejected",
    /// A person undid a sync of this user; it is left as it is until it changes.
    SyncUndone = "sync_undone",
    /// The phone licence of a user with a number is in its grace period.
    LicenceEnding = "licence_ending",
    /// The phone licence of a user is gone while a number stands on it.
    LicenceGone = "licence_gone",
    /// Cannot be undone: a later job has changed the user.
    UndoChangedLater = "undo_changed_later",
    /// Cannot be undone: somebody has changed the user in Teams since.
    UndoChangedOutside = "undo_changed_outside",
    /// Cannot be undone: the PBX user was mapped, unmapped, deleted or made anew since.
    UndoMappingChanged = "undo_mapping_changed",
    /// Cannot be undone: the PBX has a newer change of the user that no job has carried yet.
    UndoChangePending = "undo_change_pending",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
