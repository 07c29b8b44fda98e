//! Saves what a reading came to: all of an account in one transaction, small accounts several to a transaction.

use std::collections::{BTreeMap, BTreeSet};

use tandem_domain::snapshot::UserKey;
use tandem_domain::{AccountId, PbxUserId};
use tandem_store::pbx::{deletions, profiles, spool};
use tandem_store::{StoreError, Tx};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::announce::{CHUNK, SaveError, Spans, carry_out, tell};
use crate::changes::{self, Body, Edit, Times};
use crate::losses::Verdict;
use crate::reading::{ReadError, Reader};

/// Tries of a transaction that loses a race.
const TRIES: u32 = 3;

/// What is to be done for one account.
#[derive(Clone, Debug, Default)]
struct Work {
    rows: i64,
    deleted: BTreeSet<UserKey>,
    marked: BTreeSet<UserKey>,
}

impl Work {
    fn weight(&self) -> usize {
        usize::try_from(self.rows)
            .unwrap_or(usize::MAX)
            .saturating_add(self.deleted.len() + self.marked.len())
    }
}

type Group = Vec<(AccountId, Work)>;

/// What was saved.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Saved {
    pub(crate) changes: u64,
    /// Accounts that could not be saved.
    pub(crate) failed: usize,
    /// Another look is worth it soon.
    pub(crate) again: bool,
}

pub(crate) struct Saver<'r> {
    pub(crate) reader: &'r Reader,
    pub(crate) run: Uuid,
    /// When the reading began, by the database's clock.
    pub(crate) started_at: OffsetDateTime,
    pub(crate) times: Times,
    pub(crate) halt: &'r CancellationToken,
}

impl Saver<'_> {
    pub(crate) async fn save(&self, spooled: i64, verdict: Verdict) -> Result<Saved, ReadError> {
        let mut work: BTreeMap<AccountId, Work> = BTreeMap::new();
        let mut found = 0;
        for (account, rows) in spool::accounts(&self.reader.store, self.run).await? {
            work.entry(account).or_default().rows = rows;
            found += rows;
        }
        if found != spooled {
            return Err(SaveError::SpoolLost.into());
        }
        for (account, keys) in verdict.deleted {
            work.entry(account).or_default().deleted = keys;
        }
        for (account, keys) in verdict.marked {
            work.entry(account).or_default().marked = keys;
        }
        let mut saved = Saved::default();
        for group in groups(work) {
            if self.halt.is_cancelled() {
                return Err(ReadError::Halted);
            }
            match self.group(&group, &mut saved).await {
                Err(error) if error.of_the_account() => self.one_by_one(&group, error, &mut saved).await?,
                other => other?,
            }
        }
        Ok(saved)
    }

    /// One account that cannot be saved must not keep the others from it.
    async fn one_by_one(&self, group: &Group, error: SaveError, saved: &mut Saved) -> Result<(), SaveError> {
        if let [(account, _)] = group.as_slice() {
            saved.failed += 1;
            tracing::error!(account = %account, error = %tandem_runtime::chain(&error), "changes of an account could not be saved");
            return Ok(());
        }
        for account in group {
            let alone = vec![account.clone()];
            match self.group(&alone, saved).await {
                Err(error) if error.of_the_account() => {
                    saved.failed += 1;
                    tracing::error!(account = %account.0, error = %tandem_runtime::chain(&error), "changes of an account could not be saved");
                }
                other => other?,
            }
        }
        Ok(())
    }

    async fn group(&self, group: &Group, saved: &mut Saved) -> Result<(), SaveError> {
        let mut tries = 0;
        let done = loop {
            tries += 1;
            match self.transaction(group).await {
                Err(SaveError::Store(StoreError::Conflict { .. })) if tries < TRIES => {}
                other => break other?,
            }
        };
        if done.changes > 0 {
            self.reader.bell.ring();
            self.reader.metrics.accepted(&self.reader.name, done.changes);
        }
        saved.changes += done.changes;
        saved.again |= done.again;
        Ok(())
    }

    async fn transaction(&self, group: &Group) -> Result<Saved, SaveError> {
        let ids: Vec<Uuid> = group.iter().map(|(account, _)| account.0).collect();
        let mut tx = self.reader.store.begin("detector.save").await?;
        // accounts that were deleted meanwhile have no counter and are left out
        let locked = profiles::lock(&mut tx, &ids).await?;
        let mut done = self.seen(&mut tx, group, &locked).await?;
        let mut told = Vec::new();
        for (account, work) in group.iter().filter(|(account, _)| locked.contains(account)) {
            let gone = self.gone(&mut tx, *account, &work.deleted).await?;
            // a mark may be too young, or the user was pushed since
            done.again |= gone.len() < work.deleted.len() || !work.marked.is_empty();
            told.extend(gone);
            self.mark(&mut tx, *account, &work.marked).await?;
        }
        tell(&mut tx, &self.reader.announcer, &self.reader.name, &told, &Spans::new()).await?;
        done.changes += told.len() as u64;
        tx.commit().await?;
        Ok(done)
    }

    /// The spooled differences of the group, those of one account after the other.
    async fn seen(&self, tx: &mut Tx, group: &Group, locked: &[AccountId]) -> Result<Saved, SaveError> {
        let ids: Vec<Uuid> = locked.iter().map(|account| account.0).collect();
        let expected: i64 =
            group.iter().filter(|(account, _)| locked.contains(account)).map(|(_, work)| work.rows).sum();
        let (mut done, mut taken) = (Saved::default(), 0);
        let mut after = (AccountId(Uuid::nil()), i64::MIN);
        while taken < expected {
            let rows = spool::take(tx, self.run, &ids, after, CHUNK as i64).await?;
            let Some(last) = rows.last() else { return Err(SaveError::SpoolLost) };
            after = (last.account, last.seq);
            taken += rows.len() as i64;
            let edits = rows.into_iter().map(edit).collect::<Result<Vec<_>, _>>()?;
            let probes: Vec<_> = edits.iter().map(Edit::probe).collect();
            let stored = profiles::compare(tx, &probes, Some(self.started_at)).await?;
            let judged = changes::judge(&edits, stored, self.times);
            carry_out(tx, &self.reader.announcer, &self.reader.name, &judged, &Spans::new()).await?;
            done.changes += judged.changes.len() as u64;
            done.again |= judged.left > 0;
        }
        Ok(done)
    }

    /// Makes tombstones and returns what is to be told.
    async fn gone(
        &self,
        tx: &mut Tx,
        account: AccountId,
        keys: &BTreeSet<UserKey>,
    ) -> Result<Vec<tandem_store::change::NewChange>, SaveError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let users = resolve(tx, account, true, keys).await?;
        let users: Vec<&str> = users.iter().map(PbxUserId::as_str).collect();
        let marked_before = self.started_at - self.reader.second_look;
        let source = &self.reader.name;
        let gone = deletions::confirm(tx, source, account, &users, marked_before, self.started_at).await?;
        Ok(gone.into_iter().map(|d| changes::deleted(account, d.user, &d.profile, self.times)).collect())
    }

    async fn mark(&self, tx: &mut Tx, account: AccountId, keys: &BTreeSet<UserKey>) -> Result<(), SaveError> {
        if keys.is_empty() {
            return Ok(());
        }
        let users = resolve(tx, account, false, keys).await?;
        let users: Vec<&str> = users.iter().map(PbxUserId::as_str).collect();
        Ok(deletions::mark_missing(tx, account, &users, self.started_at).await?)
    }
}

/// Which users the keys are of.
async fn resolve(
    tx: &mut Tx,
    account: AccountId,
    missing: bool,
    keys: &BTreeSet<UserKey>,
) -> Result<Vec<PbxUserId>, StoreError> {
    let users = deletions::alive(tx, account, missing).await?;
    Ok(users.into_iter().filter(|user| keys.contains(&UserKey::of(account, user))).collect())
}

fn edit(row: spool::Spooled) -> Result<Edit, SaveError> {
    let body = row
        .profile
        .map(|(json, digest)| {
            let profile = serde_json::from_str(&json).map_err(SaveError::Spooled)?;
            Ok::<_, SaveError>(Body { profile, json, digest })
        })
        .transpose()?;
    Ok(Edit { account: row.account, user: row.user, body })
}

/// Whole accounts, as many to a group as together fit into one statement.
fn groups(work: BTreeMap<AccountId, Work>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut weight = 0_usize;
    for (account, work) in work {
        let more = work.weight();
        match groups.last_mut() {
            Some(group) if weight.saturating_add(more) <= CHUNK => group.push((account, work)),
            _ => {
                groups.push(vec![(account, work)]);
                weight = 0;
            }
        }
        weight = weight.saturating_add(more);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_stay_whole_and_groups_small() {
        let weights = [10, 490, 1, 5000, 499, 1, 1];
        let work = weights
            .iter()
            .enumerate()
            .map(|(n, rows)| (AccountId(Uuid::from_u128(n as u128)), Work { rows: *rows, ..Work::default() }))
            .collect();
        let rows: Vec<Vec<i64>> = groups(work)
            .into_iter()
            .map(|group| group.into_iter().map(|(_, work)| work.rows).collect())
            .collect();
        assert_eq!(rows, [vec![10, 490], vec![1], vec![5000], vec![499, 1], vec![1]]);
    }
}
