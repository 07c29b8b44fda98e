//! What one reading of a whole source means: who is new, changed, back, missing, deleted or held.
//!
//! The diff streams: it holds 32 bytes for each known user and nothing of the rows it has seen, so that a source of a
//! million users fits into a small role. It promises that a deletion is told only after two complete looks, that a
//! source which suddenly loses many users of an account is not believed without a person, and that a snapshot which
//! cannot be right (no rows at all, a user twice) says nothing. A reading that ended in an error has no meaning
//! whatever: drop the diff, never call [`SnapshotDiff::finish`].

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::guard::{RemovalGuard, holds_mass_deletion};
use crate::{AccountId, PbxUserId};

/// A 128-bit hash of account and PBX user: what the diff remembers instead of the texts.
///
/// The head of a SHA-256, so that nobody who chooses user keys can make two of them collide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserKey(u128);

impl UserKey {
    /// The key of one user of one account.
    #[must_use]
    pub fn of(account: AccountId, user: &PbxUserId) -> Self {
        let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        hash.update(account.0.as_bytes());
        hash.update(user.as_str().as_bytes());
        let mut head = [0_u8; 16];
        head.copy_from_slice(&hash.finish().as_ref()[..16]);
        Self::from_bytes(head)
    }

    /// The key as bytes, for storing it.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The key out of stored bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

/// A user as it is stored: what the snapshot is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Who it is.
    pub key: UserKey,
    /// Whose user it is.
    pub account: AccountId,
    /// [`Profile::digest`](crate::Profile::digest) of the stored profile.
    pub digest: i64,
    /// An earlier complete look did not find the user, and nothing was told yet.
    pub missing_once: bool,
    /// The user was told as deleted.
    pub tombstone: bool,
}

/// What one row of the snapshot means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing differs.
    Same,
    /// Never seen before: `created`.
    New,
    /// The profile differs: `updated`.
    Changed,
    /// Was marked missing by an earlier look, which nobody was told of: clear the mark, and tell `updated` if changed.
    Found {
        /// The profile differs from the stored one.
        changed: bool,
    },
    /// Was told as deleted: `created` again, the tombstone goes.
    Returned,
    /// The same user a second time: the snapshot will be refused.
    Duplicate,
}

/// A user that the snapshot did not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// Whose user it is.
    pub account: AccountId,
    /// Who it is; resolved by [`UserKey::of`] over the stored users of the account.
    pub key: UserKey,
}

/// How many users an account lost from one snapshot to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Losses {
    /// The account.
    pub account: AccountId,
    /// Users that are stored and alive, but were not seen.
    pub missing: usize,
    /// Users that are stored and alive.
    pub known: usize,
}

/// Why a whole snapshot is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The source gave no row at all.
    #[error(
        "the source gave no rows; nothing was changed. Look whether the query, its rights or the database are the right ones"
    )]
    ZeroRows,
    /// The source gave a user more than once.
    #[error(
        "the source gave user {user} of account {account} more than once ({count} rows too many in all); nothing was \
         changed. Make the query return one row for each user key"
    )]
    DuplicateKey {
        /// Account of the first user that came twice.
        account: AccountId,
        /// The first user that came twice.
        user: PbxUserId,
        /// Rows beyond the first of their user, over the whole snapshot.
        count: u64,
    },
}

impl Refusal {
    /// Stable name of the refusal.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ZeroRows => "zero_rows",
            Self::DuplicateKey { .. } => "duplicate_key",
        }
    }
}

/// What a complete snapshot means for the users it did not show. Sorted by account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finish {
    /// The snapshot is not believed: record nothing of it. All lists are empty then.
    pub refused: Option<Refusal>,
    /// Rows of known accounts that were seen.
    pub rows: u64,
    /// First look without them: set the missing mark, tell nobody.
    pub marked: Vec<Missing>,
    /// Second look without them: tombstone, `deleted`.
    pub deleted: Vec<Missing>,
    /// Accounts whose deletions wait until an operator releases them; the first-look marks are set all the same.
    pub held: Vec<Losses>,
    /// Every account that lost somebody, held or not.
    pub losses: Vec<Losses>,
}

#[derive(Clone, Copy)]
struct Entry {
    key: UserKey,
    digest: i64,
    account: u32,
    flags: u8,
}

const SEEN: u8 = 1;
const MISSING_ONCE: u8 = 2;
const TOMBSTONE: u8 = 4;

/// The comparison of one snapshot with what is stored. Feed every row, then [`finish`](Self::finish).
pub struct SnapshotDiff {
    /// Sorted by key.
    entries: Vec<Entry>,
    accounts: Vec<AccountId>,
    fresh: HashSet<UserKey>,
    rows: u64,
    duplicate: Option<(AccountId, PbxUserId, u64)>,
}

impl SnapshotDiff {
    /// Begins a comparison with every stored user, tombstones included, of the accounts that the source serves.
    #[must_use]
    pub fn new(known: impl IntoIterator<Item = Known>) -> Self {
        let mut accounts = Vec::new();
        let mut index: HashMap<AccountId, u32> = HashMap::new();
        let mut entries: Vec<Entry> = known
            .into_iter()
            .map(|user| {
                let account = *index.entry(user.account).or_insert_with(|| {
                    accounts.push(user.account);
                    u32::try_from(accounts.len() - 1).unwrap_or(u32::MAX)
                });
                let mark = if user.missing_once { MISSING_ONCE } else { 0 };
                let tombstone = if user.tombstone { TOMBSTONE } else { 0 };
                Entry { key: user.key, digest: user.digest, account, flags: mark | tombstone }
            })
            .collect();
        entries.sort_unstable_by_key(|entry| entry.key);
        Self { entries, accounts, fresh: HashSet::new(), rows: 0, duplicate: None }
    }

    /// Takes one row of the snapshot and says what it means.
    pub fn see(&mut self, account: AccountId, user: &PbxUserId, digest: i64) -> Seen {
        self.look(account, user, Some(digest))
    }

    /// Takes a row that is there but cannot be used: the user is neither missing nor changed nor new.
    pub fn see_unreadable(&mut self, account: AccountId, user: &PbxUserId) -> Seen {
        self.look(account, user, None)
    }

    /// Rows taken so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    fn look(&mut self, account: AccountId, user: &PbxUserId, digest: Option<i64>) -> Seen {
        self.rows += 1;
        let key = UserKey::of(account, user);
        let Ok(at) = self.entries.binary_search_by_key(&key, |entry| entry.key) else {
            if !self.fresh.insert(key) {
                return self.twice(account, user);
            }
            return if digest.is_some() { Seen::New } else { Seen::Same };
        };
        let entry = &mut self.entries[at];
        if entry.flags & SEEN != 0 {
            return self.twice(account, user);
        }
        entry.flags |= SEEN;
        let changed = digest.is_some_and(|digest| digest != entry.digest);
        if entry.flags & TOMBSTONE != 0 {
            if digest.is_some() { Seen::Returned } else { Seen::Same }
        } else if entry.flags & MISSING_ONCE != 0 {
            Seen::Found { changed }
        } else if changed {
            Seen::Changed
        } else {
            Seen::Same
        }
    }

    fn twice(&mut self, account: AccountId, user: &PbxUserId) -> Seen {
        self.duplicate.get_or_insert_with(|| (account, user.clone(), 0)).2 += 1;
        Seen::Duplicate
    }

    /// Ends a snapshot that was read to its end, and only such a one.
    ///
    /// `released` names the accounts whose losses an operator has looked at and believes.
    #[must_use]
    pub fn finish(self, guard: RemovalGuard, released: &BTreeSet<AccountId>) -> Finish {
        let refused = match self.duplicate {
            Some((account, user, count)) => Some(Refusal::DuplicateKey { account, user, count }),
            None => (self.rows == 0).then_some(Refusal::ZeroRows),
        };
        if refused.is_some() {
            return Finish { refused, rows: self.rows, ..Finish::default() };
        }
        let mut counts = vec![(0_usize, 0_usize); self.accounts.len()];
        for entry in self.entries.iter().filter(|entry| entry.flags & TOMBSTONE == 0) {
            let (missing, known) = &mut counts[entry.account as usize];
            *known += 1;
            *missing += usize::from(entry.flags & SEEN == 0);
        }
        let losses: BTreeMap<AccountId, Losses> = self
            .accounts
            .iter()
            .zip(&counts)
            .filter(|(_, (missing, _))| *missing > 0)
            .map(|(&account, &(missing, known))| (account, Losses { account, missing, known }))
            .collect();
        let held: Vec<Losses> = losses
            .values()
            .filter(|l| holds_mass_deletion(guard, l.missing, l.known) && !released.contains(&l.account))
            .copied()
            .collect();
        let holding: HashSet<AccountId> = held.iter().map(|l| l.account).collect();
        let (mut marked, mut deleted) = (Vec::new(), Vec::new());
        for entry in self.entries.iter().filter(|entry| entry.flags & (TOMBSTONE | SEEN) == 0) {
            let missing = Missing { account: self.accounts[entry.account as usize], key: entry.key };
            if entry.flags & MISSING_ONCE == 0 {
                marked.push(missing);
            } else if !holding.contains(&missing.account) {
                deleted.push(missing);
            }
        }
        marked.sort_unstable();
        deleted.sort_unstable();
        Finish {
            refused: None,
            rows: self.rows,
            marked,
            deleted,
            held,
            losses: losses.into_values().collect(),
        }
    }
}

#[cfg(test)]
mod tests;
