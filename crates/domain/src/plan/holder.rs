//! Numbers held outside the managed set: who holds them, and the one thing to do about it.

use super::code::Code;
use super::draft::{Draft, conflict};
use super::types::{AccountKind, HolderKind, Licence, Verdict};
use super::view::{Holder, View};
use crate::ids::ObjectId;

/// The number to take is held outside the managed set. It is never taken from there.
pub(super) fn foreign(draft: &Draft<'_>, view: &View<'_>) -> Option<Verdict> {
    let number = draft.takes?;
    if view.inventory(number).is_some_and(|entry| !entry.direct_routing) {
        let text = format!("{number} is a Calling Plan or operator number of the tenant");
        return Some(conflict(Code::NumberNotDirectRouting, text, None));
    }
    let (code, who, remedy) = match view.holder(number) {
        Holder::Nobody => return None,
        Holder::User(_) if draft.from.is_some() => return None,
        Holder::User(oid) => {
            let (code, remedy) = user(oid, view);
            (code, view.describe(oid), remedy)
        }
        Holder::Other(kind) => {
            let (code, what, remedy) = other(kind);
            let target = view.inventory(number).and_then(|entry| entry.target);
            // a voice application has its number through a resource account, where the directory shows one
            let account = target.filter(|oid| kind == HolderKind::VoiceApp && view.user(*oid).is_some());
            if let Some(oid) = account {
                let (code, remedy) = user(oid, view);
                let who = view.describe(oid);
                return Some(conflict(code, format!("{number} is held by {who}; {remedy}"), Some(who)));
            }
            (code, target.map_or(what.to_owned(), |oid| format!("{what}, {}", view.describe(oid))), remedy)
        }
    };
    Some(conflict(code, format!("{number} is held by {who}; {remedy}"), Some(who)))
}

fn user(oid: ObjectId, view: &View<'_>) -> (Code, &'static str) {
    let Some(user) = view.user(oid) else {
        return match view.deleted(oid) {
            Some(_) => (
                Code::NumberHeldByDeletedUser,
                "restore the user under Deleted users in Microsoft Entra and take the number off",
            ),
            None => (
                Code::NumberHeldByUnknownId,
                "take the number off that id with Remove-CsPhoneNumberAssignment in Teams PowerShell",
            ),
        };
    };
    if user.kind == AccountKind::ResourceAccount {
        let remedy = "take it off under Resource accounts in the Teams admin center";
        return (Code::NumberHeldByResourceAccount, remedy);
    }
    if user.licensed == Licence::Missing {
        let remedy = "give that user a Teams Phone licence for as long as it takes to take the number off";
        return (Code::NumberHeldByUnlicensedUser, remedy);
    }
    (Code::NumberHeldByUnmanagedUser, "take it off that user in the Teams admin center")
}

fn other(kind: HolderKind) -> (Code, &'static str, &'static str) {
    match kind {
        HolderKind::Conference => (
            Code::NumberHeldByConference,
            "an audio conference",
            "take it off the conference bridge in the Teams admin center",
        ),
        HolderKind::VoiceApp => (
            Code::NumberHeldByVoiceApp,
            "a voice application (auto attendant or call queue)",
            "take it off the application's resource account in the Teams admin center",
        ),
        HolderKind::ThirdPartyApp => {
            (Code::NumberHeldByThirdPartyApp, "a third-party app", "take it off in that app")
        }
        HolderKind::Policy => {
            (Code::NumberHeldByPolicy, "a policy", "take it out of that policy in the Teams admin center")
        }
        HolderKind::User | HolderKind::Unassigned | HolderKind::Unknown => (
            Code::NumberHeldByUnknownHolder,
            "a holder that Microsoft does not name",
            "look the number up under Phone numbers in the Teams admin center and take it off there",
        ),
    }
}
