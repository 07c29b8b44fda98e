//! The observed tenant, indexed for the questions the planner asks.

use std::collections::BTreeMap;

use super::types::{AccountKind, HolderKind, Licence, Observed, ObservedNumber, ObservedUser};
use crate::ids::ObjectId;
use crate::number::Number;

/// A number as its holder has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) primary: bool,
    pub(super) direct_routing: bool,
}

/// What has a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    Nobody,
    User(ObjectId),
    /// Something that is no user, or a user that Microsoft does not name.
    Other(HolderKind),
}

pub(super) struct View<'a> {
    observed: &'a Observed,
    held: BTreeMap<ObjectId, BTreeMap<&'a Number, Held>>,
    holders: BTreeMap<&'a Number, Holder>,
}

impl<'a> View<'a> {
    pub(super) fn new(observed: &'a Observed) -> Self {
        let mut held: BTreeMap<ObjectId, BTreeMap<&Number, Held>> = BTreeMap::new();
        let mut holders = BTreeMap::new();
        for (number, entry) in &observed.numbers {
            let holder = match (entry.status, entry.target) {
                (HolderKind::Unassigned, _) => Holder::Nobody,
                (HolderKind::User, Some(oid)) => Holder::User(oid),
                (other, _) => Holder::Other(other),
            };
            if let Holder::User(oid) = holder {
                let line = Held { primary: entry.primary, direct_routing: entry.direct_routing };
                held.entry(oid).or_default().insert(number, line);
            }
            holders.insert(number, holder);
        }
        for (oid, user) in &observed.users {
            for line in &user.numbers {
                if !observed.numbers.contains_key(&line.number) {
                    // the record does not say the type; a number outside the inventory is taken for Direct Routing
                    let as_held = Held { primary: line.primary, direct_routing: true };
                    held.entry(*oid).or_default().insert(&line.number, as_held);
                    holders.entry(&line.number).or_insert(Holder::User(*oid));
                }
            }
        }
        Self { observed, held, holders }
    }

    pub(super) fn user(&self, oid: ObjectId) -> Option<&'a ObservedUser> {
        self.observed.users.get(&oid)
    }

    pub(super) fn inventory(&self, number: &Number) -> Option<&'a ObservedNumber> {
        self.observed.numbers.get(number)
    }

    /// The numbers that a Microsoft user has.
    pub(super) fn held(&self, oid: ObjectId) -> impl Iterator<Item = (&'a Number, Held)> {
        self.held.get(&oid).into_iter().flatten().map(|(number, line)| (*number, *line))
    }

    pub(super) fn holder(&self, number: &Number) -> Holder {
        self.holders.get(number).copied().unwrap_or(Holder::Nobody)
    }

    pub(super) fn is_pending(&self, number: &Number) -> bool {
        self.inventory(number).is_some_and(|entry| entry.pending)
    }

    /// Whether Microsoft could not activate it.
    pub(super) fn has_failed(&self, number: &Number) -> bool {
        self.inventory(number).is_some_and(|entry| entry.failed)
    }

    /// The name of a deleted user that still holds a number.
    pub(super) fn deleted(&self, oid: ObjectId) -> Option<&'a str> {
        self.observed.deleted.get(&oid).map(String::as_str)
    }

    /// A Microsoft user in words, with what an administrator must know to free a number from it.
    pub(super) fn describe(&self, oid: ObjectId) -> String {
        let Some(user) = self.user(oid) else {
            return match self.deleted(oid) {
                Some(name) => format!("{name} (deleted user {oid})"),
                None => format!("{oid} (not in the directory)"),
            };
        };
        let mut notes = vec![];
        if user.kind == AccountKind::ResourceAccount {
            notes.push("resource account");
        }
        if !user.account_enabled {
            notes.push("sign-in blocked");
        }
        if user.licensed == Licence::Missing && user.kind != AccountKind::ResourceAccount {
            notes.push("without phone licence");
        }
        if notes.is_empty() { user.upn.clone() } else { format!("{} ({})", user.upn, notes.join(", ")) }
    }
}
