//! Which of the users that a complete read did not show are deleted now, marked, or held.

use std::collections::{BTreeMap, BTreeSet};

use tandem_domain::AccountId;
use tandem_domain::snapshot::{Finish, Losses, UserKey};

/// The losses of one read, with the releases of operators taken into account.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Users to mark missing, by account.
    pub(crate) marked: BTreeMap<AccountId, BTreeSet<UserKey>>,
    /// Users to make tombstones of, by account.
    pub(crate) deleted: BTreeMap<AccountId, BTreeSet<UserKey>>,
    /// Accounts whose deletions wait.
    pub(crate) held: Vec<Losses>,
    /// Accounts whose release stands until every user it covers is a tombstone.
    pub(crate) standing: BTreeSet<AccountId>,
}

/// Judges the end of a read. A release covers as many users as were missing when it was given: when more are missing
/// now, something else went wrong since, and the account is held again.
pub(crate) fn judge(finish: Finish, released: &BTreeMap<AccountId, usize>) -> Verdict {
    let mut verdict = Verdict { held: finish.held, ..Verdict::default() };
    let withdrawn: BTreeSet<AccountId> = finish
        .losses
        .iter()
        .filter(|l| released.get(&l.account).is_some_and(|covered| l.missing > *covered))
        .map(|l| l.account)
        .collect();
    verdict.held.extend(finish.losses.iter().filter(|l| withdrawn.contains(&l.account)));
    for missing in finish.marked {
        verdict.marked.entry(missing.account).or_default().insert(missing.key);
    }
    for missing in finish.deleted.into_iter().filter(|m| !withdrawn.contains(&m.account)) {
        verdict.deleted.entry(missing.account).or_default().insert(missing.key);
    }
    verdict.standing = finish
        .losses
        .iter()
        .map(|l| l.account)
        .filter(|account| released.contains_key(account) && !withdrawn.contains(account))
        .collect();
    verdict
}

#[cfg(test)]
mod tests {
    use tandem_domain::snapshot::Missing;
    use uuid::Uuid;

    use super::*;

    fn finish(missing: usize) -> (AccountId, Finish) {
        let account = AccountId(Uuid::from_u128(7));
        let users = (0..missing).map(|n| UserKey::of(account, &format!("{n}").as_str().into()));
        let deleted = users.map(|key| Missing { account, key }).collect();
        let losses = vec![Losses { account, missing, known: 20 }];
        (account, Finish { deleted, losses, rows: 1, ..Finish::default() })
    }

    #[test]
    fn a_release_covers_what_was_missing_then() {
        let (account, end) = finish(5);
        let verdict = judge(end, &BTreeMap::from([(account, 5)]));
        assert_eq!((verdict.deleted[&account].len(), verdict.held.len()), (5, 0));
        assert!(verdict.standing.contains(&account));

        let (account, end) = finish(9);
        let verdict = judge(end, &BTreeMap::from([(account, 5)]));
        assert!(verdict.deleted.is_empty() && verdict.standing.is_empty());
        assert_eq!(verdict.held, [Losses { account, missing: 9, known: 20 }]);
    }
}
