//! One reading of a source: rows into differences, differences into the spool, the end into what is to be saved.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use futures_util::TryFutureExt;
use tandem_domain::AccountId;
use tandem_domain::guard::RemovalGuard;
use tandem_domain::snapshot::{Refusal, Seen, SnapshotDiff};
use tandem_outbox::{Announcer, Bell};
use tandem_pbx::SqlSource;
use tandem_pbx::sql::{Batch, Snapshot, SourceError};
use tandem_runtime::{Clock, Ids, failpoint};
use tandem_store::pbx::spool::Spooled;
use tandem_store::pbx::{deletions, sources, spool};
use tandem_store::{Store, StoreError};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::announce::SaveError;
use crate::changes::Times;
use crate::losses;
use crate::metrics::Metrics;
use crate::save::Saver;

/// Differences spooled in one statement.
const SPOOL_BATCH: usize = 500;
/// Customers without account that are told apart; more are a mistake in the query and need no exact count.
const MOST_UNBOUND: usize = 100_000;

/// Why a reading told nothing, or not all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The PBX.
    #[error("read the source")]
    Source(#[from] SourceError),
    /// The database, before anything was saved.
    #[error("compare with the stored profiles")]
    Store(#[from] StoreError),
    /// The database, while saving.
    #[error("save what was read")]
    Save(#[from] SaveError),
    /// A difference could not be put into words.
    #[error("spool a profile")]
    Spool(#[source] serde_json::Error),
    /// The snapshot cannot be right.
    #[error("the snapshot is refused")]
    Refused(#[source] Refusal),
    /// Single accounts could not be saved; the others were.
    #[error("{0} accounts could not be saved")]
    Accounts(usize),
    /// The process stops, or another reader took over.
    #[error("interrupted")]
    Halted,
}

impl ReadError {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Source(error) => error.code(),
            Self::Store(_) => "compare_store",
            Self::Save(error) => error.code(),
            Self::Spool(_) => "spool_unwritable",
            Self::Refused(refusal) => refusal.code(),
            Self::Accounts(_) => "accounts_not_saved",
            Self::Halted => "halted",
        }
    }
}

/// What a reading came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) users: u64,
    pub(crate) unbound: u64,
    pub(crate) unusable: u64,
    pub(crate) held: u64,
    pub(crate) changes: u64,
    /// Something waits for a second look, or was left because it is newer than this reading.
    pub(crate) soon: bool,
}

/// Reads one source. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Reader {
    pub(crate) name: String,
    pub(crate) source: SqlSource,
    pub(crate) store: Store,
    pub(crate) announcer: Announcer,
    pub(crate) bell: Bell,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) guard: RemovalGuard,
    pub(crate) second_look: Duration,
}

impl Reader {
    /// Reads the source once. `started_at` is when the reading began, by the database's clock.
    pub(crate) async fn read(
        &self,
        started_at: OffsetDateTime,
        halt: &CancellationToken,
    ) -> Result<Outcome, ReadError> {
        let run = self.ids.v7(&self.clock);
        spool::clean(&self.store, &self.name, run).await?;
        let result = self.read_as(run, started_at, halt).await;
        // what is left behind after an error is cleaned by the next run
        let dropped = spool::drop_run(&self.store, run).await;
        let outcome = result?;
        dropped?;
        Ok(outcome)
    }

    async fn read_as(
        &self,
        run: Uuid,
        started_at: OffsetDateTime,
        halt: &CancellationToken,
    ) -> Result<Outcome, ReadError> {
        let bindings = sources::bindings(&self.store, &self.name).await?;
        let beginning = async {
            // the query runs at the PBX while the stored users are read here
            tokio::try_join!(
                self.source.snapshot(&self.clock).map_err(ReadError::from),
                sources::known(&self.store, &self.name).map_err(ReadError::from),
            )
        };
        let (mut snapshot, known) = unless_halted(halt, beginning).await??;
        let nothing_stored = known.is_empty();
        let mut seen = Seeing {
            reader: self,
            run,
            bindings,
            diff: SnapshotDiff::new(known),
            spool: Vec::with_capacity(SPOOL_BATCH),
            spooled: 0,
            unbound: HashSet::new(),
            unusable: 0,
        };
        seen.all(&mut snapshot, halt).await?;
        failpoint::hit("det.after_read");
        let (unbound, unusable) = (seen.unbound.len() as u64, seen.unusable);
        let users = seen.diff.rows();
        let mut outcome = Outcome { users, unbound, unusable, ..Outcome::default() };
        if users == 0 && nothing_stored && snapshot.rows() > 0 {
            // customers there are, but none of them is bound to an account that has users: nothing to say
            return Ok(outcome);
        }
        let released = deletions::released(&self.store, &self.name).await?;
        let believed: BTreeSet<AccountId> = released.keys().copied().collect();
        let finish = seen.diff.finish(self.guard, &believed);
        if let Some(refusal) = finish.refused {
            return Err(ReadError::Refused(refusal));
        }
        let verdict = losses::judge(finish, &released);
        self.note_held(&verdict).await?;
        outcome.held = verdict.held.len() as u64;
        let detected_at = snapshot.read_ended_at().unwrap_or_else(|| self.clock.now());
        let times = Times { detected_at, saved_at: None };
        let saver = Saver { reader: self, run, started_at, times, halt };
        let saved = Box::pin(saver.save(seen.spooled, verdict)).await?;
        outcome.changes = saved.changes;
        outcome.soon = saved.again;
        if saved.failed > 0 {
            return Err(ReadError::Accounts(saved.failed));
        }
        Ok(outcome)
    }

    async fn note_held(&self, verdict: &losses::Verdict) -> Result<(), ReadError> {
        let fresh = deletions::hold(&self.store, &self.name, &verdict.held).await?;
        for loss in verdict.held.iter().filter(|loss| fresh.contains(&loss.account)) {
            tracing::warn!(
                source.name = %self.name,
                account = %loss.account,
                users.missing = loss.missing,
                users.known = loss.known,
                "an account lost many users at once; nothing is deleted until an operator releases it"
            );
        }
        let held = verdict.held.iter().map(|loss| loss.account);
        let keep: Vec<Uuid> = held.chain(verdict.standing.iter().copied()).map(|account| account.0).collect();
        Ok(deletions::unhold_others(&self.store, &self.name, &keep).await?)
    }
}

/// The rows of one snapshot, on their way.
struct Seeing<'r> {
    reader: &'r Reader,
    run: Uuid,
    bindings: HashMap<String, AccountId>,
    diff: SnapshotDiff,
    spool: Vec<Spooled>,
    spooled: i64,
    unbound: HashSet<String>,
    unusable: u64,
}

impl Seeing<'_> {
    async fn all(&mut self, snapshot: &mut Snapshot, halt: &CancellationToken) -> Result<(), ReadError> {
        while let Some(batch) = unless_halted(halt, snapshot.next()).await?? {
            self.batch(batch)?;
            if self.spool.len() >= SPOOL_BATCH {
                self.flush().await?;
            }
        }
        self.flush().await
    }

    fn batch(&mut self, batch: Batch) -> Result<(), ReadError> {
        for row in batch.rows {
            let Some(&account) = self.bindings.get(&row.account_key) else {
                self.unbound(row.account_key);
                continue;
            };
            let profile = match self.diff.see(account, &row.user, row.digest) {
                Seen::Same | Seen::Duplicate => continue,
                Seen::Found { changed: false } => None,
                Seen::New | Seen::Changed | Seen::Found { changed: true } | Seen::Returned => {
                    Some((serde_json::to_string(&row.profile).map_err(ReadError::Spool)?, row.digest))
                }
            };
            self.put(account, row.user, profile);
        }
        for problem in batch.problems {
            let Some(&account) = self.bindings.get(&problem.account_key) else {
                self.unbound(problem.account_key);
                continue;
            };
            self.unusable += 1;
            tracing::debug!(account = %account, field = problem.field, code = problem.code, "a row of the source cannot be used");
            if let Seen::Found { .. } = self.diff.see_unreadable(account, &problem.user) {
                self.put(account, problem.user, None);
            }
        }
        Ok(())
    }

    fn unbound(&mut self, account_key: String) {
        if self.unbound.len() < MOST_UNBOUND {
            self.unbound.insert(account_key);
        }
    }

    fn put(&mut self, account: AccountId, user: tandem_domain::PbxUserId, profile: Option<(String, i64)>) {
        self.spooled += 1;
        self.spool.push(Spooled { seq: self.spooled, account, user, profile });
    }

    async fn flush(&mut self) -> Result<(), ReadError> {
        for rows in self.spool.chunks(SPOOL_BATCH) {
            spool::put(&self.reader.store, &self.reader.name, self.run, rows).await?;
        }
        self.spool.clear();
        Ok(())
    }
}

async fn unless_halted<T>(halt: &CancellationToken, work: impl Future<Output = T>) -> Result<T, ReadError> {
    halt.run_until_cancelled(work).await.ok_or(ReadError::Halted)
}
