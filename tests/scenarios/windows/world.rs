//! Four accounts, two debouncers and two workers on one database, and what must hold of them at any time.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sqlx::PgPool;
use tandem_domain::job::{Counts, JobScope, JobState, JobType};
use tandem_domain::window::Timing;
use tandem_domain::{AccountId, Gen, JobId, PbxUserId};
use tandem_runtime::{Clock, Ids};
use tandem_store::change::{ChangeKind, NewChange, record};
use tandem_store::claims::{self, Claim, Ending};
use tandem_store::cut::{self, Cut, CutAccount};
use tandem_store::users::PlannedRun;
use tandem_store::windows::Named;
use tandem_store::{Login, Store, StoreError, Tx, users, wanted, windows};
use tandem_tests::Tester;
use uuid::Uuid;

use super::Op;

pub(super) const ACCOUNTS: usize = 4;

const TIMING: Timing = Timing { quiet: time::Duration::minutes(10), max_wait: time::Duration::minutes(40) };
const LEASE: Duration = Duration::from_secs(300);
const WAIT_OUT: Duration = Duration::from_secs(60);
/// Nobody waits so long for anything but a lock that is never given back.
const PATIENCE: Duration = Duration::from_secs(8);

const FRESH: [&str; 6] = [
    "truncate admin.accounts, change.log, queue.events cascade",
    "insert into admin.accounts (account_id, name, label, auto_sync, licences)
     select u, 'account' || i, 'account' || i, true, 9 from unnest($1::uuid[]) with ordinality as a (u, i)",
    "insert into vault.authorizations (account_id, tenant_id, client_id, state, bound_by)
     select u, gen_random_uuid(), 'test', 'healthy', 'test' from unnest($1::uuid[]) u",
    "insert into change.generations (account_id) select unnest($1::uuid[])",
    "insert into pbx.profiles (account_id, pbx_user_id, source, profile, digest)
     select u, 'ext-' || n, 'test', '{}', 0 from unnest($1::uuid[]) u, generate_series(0, 3) n",
    "insert into admin.mappings (account_id, pbx_user_id, microsoft_user, service)
     select u, 'ext-' || n, md5(u::text || n)::uuid, 'voice' from unnest($1::uuid[]) u, generate_series(0, 1) n",
];

/// Everything on record slides into the past.
const SLIDE: [&str; 4] = [
    "update change.log set detected_at = detected_at - $1 * interval '1 minute'",
    "update queue.windows set first_change_at = first_change_at - $1 * interval '1 minute',
            last_change_at = last_change_at - $1 * interval '1 minute', due_at = due_at - $1 * interval '1 minute'",
    "update queue.jobs set lease_until = lease_until - $1 * interval '1 minute', due_at = due_at - $1 * interval '1 minute',
            first_change_at = first_change_at - $1 * interval '1 minute'",
    "update admin.requests set created_at = created_at - $1 * interval '1 minute'",
];

/// Changes that count: of mapped users and of settings.
const COUNTS: &str = "(c.kind = 'settings' or exists (select from admin.mappings m
                        where m.account_id = c.account_id and m.pbx_user_id = c.pbx_user_id))";

/// What must never be found.
fn never() -> [(&'static str, String); 5] {
    [
        (
            "accounts with two jobs in one state",
            "select count(*) from (select from queue.jobs where state in ('queued', 'running')
                                    group by account_id, state having count(*) > 1) twice"
                .to_owned(),
        ),
        (
            "windows later than the longest wait",
            "select count(*) from queue.windows where due_at > first_change_at + interval '40 minutes'".to_owned(),
        ),
        (
            "windows that are not due after quiet or the longest wait, whichever comes first",
            "select count(*) from queue.windows where first_change_at is not null
                and due_at is distinct from least(last_change_at + interval '10 minutes', first_change_at + interval '40 minutes')"
                .to_owned(),
        ),
        (
            "jobs cut later than the longest wait of their window",
            "select count(*) from queue.jobs where cause = 'window' and due_at > first_change_at + interval '40 minutes'".to_owned(),
        ),
        (
            "changes that nobody will ever look at",
            format!(
                "select count(*) from change.log c left join queue.windows w using (account_id)
                  where {COUNTS}
                    and c.gen <= coalesce(w.gathered_gen, 0)
                    and not coalesce(w.first_change_at <= c.detected_at, false)
                    and not exists (select from queue.jobs j where j.account_id = c.account_id
                         and (j.state = 'queued' or (j.state = 'running' and j.to_gen is null)
                              or (j.state in ('running', 'succeeded') and j.to_gen >= c.gen)))"
            ),
        ),
    ]
}

/// A claim in somebody's hands, also of a worker that does not know yet that it was replaced.
#[derive(Clone, Debug)]
struct Held {
    claim: Claim,
    planned: Option<Gen>,
}

pub(super) struct World {
    admin: PgPool,
    recorder: Store,
    debouncers: [Store; 2],
    workers: [Store; 2],
    held: Mutex<Vec<Held>>,
    stuck: bool,
    clock: Clock,
    ids: Ids,
}

fn account(index: usize) -> AccountId {
    AccountId(Uuid::from_u128(0xacc0_0000_0000_4000_8000_0000_0000_0000 | index as u128))
}

fn user(index: usize) -> PbxUserId {
    PbxUserId(format!("ext-{index}"))
}

impl World {
    /// Empty tables and new accounts; `stuck`: jobs of the first account never end.
    pub(super) async fn fresh(tester: &Tester, stuck: bool) -> Result<Self> {
        let accounts: Vec<Uuid> = (0..ACCOUNTS).map(|i| account(i).0).collect();
        for statement in FRESH {
            let query = sqlx::query(statement);
            let query = if statement.contains("$1") { query.bind(&accounts) } else { query };
            query.execute(&tester.admin).await?;
        }
        let ctx = tester.context();
        Ok(Self {
            admin: tester.admin.clone(),
            recorder: tester.store(Login::Operator),
            debouncers: [tester.store(Login::Debouncer), tester.store(Login::Debouncer)],
            workers: [tester.store(Login::TeamsSync), tester.store(Login::TeamsSync)],
            held: Mutex::default(),
            stuck,
            clock: ctx.clock,
            ids: ctx.ids,
        })
    }

    /// Closes the connections.
    pub(super) async fn close(self) {
        for store in self.debouncers.iter().chain(&self.workers).chain([&self.recorder]) {
            store.close().await;
        }
    }

    /// Does all of these at the same time. Nobody may fail, and nobody may wait for long.
    pub(super) async fn at_once(&self, ops: &[Op]) -> Result<()> {
        let all = futures_util::future::join_all(
            ops.iter().map(|op| async move { self.act(op).await.with_context(|| format!("{op:?}")) }),
        );
        let ends = tokio::time::timeout(PATIENCE, all).await.context("somebody waits for somebody else")?;
        ends.into_iter().collect()
    }

    async fn act(&self, op: &Op) -> Result<()> {
        match op {
            Op::Record { account, users } => self.record(*account, users).await,
            Op::Setting { account } => self.record(*account, &[]).await,
            Op::Gather { debouncer, accounts } => {
                let store = &self.debouncers[*debouncer];
                let named: Vec<Named> = accounts.iter().map(|i| account(*i).into()).collect();
                store.retrying(|| windows::gather(store, &named, TIMING)).await?;
                Ok(())
            }
            Op::Sweep { debouncer } => {
                let store = &self.debouncers[*debouncer];
                let behind: Vec<Named> =
                    windows::behind(store, 100).await?.into_iter().map(Named::from).collect();
                store.retrying(|| windows::gather(store, &behind, TIMING)).await?;
                windows::release(store).await?;
                Ok(())
            }
            Op::Cut { debouncer } => self.cut(&self.debouncers[*debouncer]).await,
            Op::Request { debouncer, account } => self.request(&self.debouncers[*debouncer], *account).await,
            Op::Claim { worker, plans } => self.claim(*worker, *plans).await,
            Op::Finish { nth } => {
                let held = {
                    let mut all = self.hand();
                    let candidates: Vec<usize> = (0..all.len()).filter(|i| self.may_end(&all[*i])).collect();
                    candidates.get(nth % candidates.len().max(1)).map(|i| all.remove(*i))
                };
                match held {
                    Some(held) => self.finish(held).await,
                    None => Ok(()),
                }
            }
            Op::TakeOver { worker } => {
                let name = format!("worker-{worker}");
                for claim in claims::take_over(&self.workers[*worker], &name, 9, LEASE, WAIT_OUT).await? {
                    let planned = self.plan(&self.workers[*worker], &claim).await?;
                    self.hand().push(Held { claim, planned });
                }
                Ok(())
            }
        }
    }

    fn hand(&self) -> std::sync::MutexGuard<'_, Vec<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_end(&self, held: &Held) -> bool {
        !(self.stuck && held.claim.account == account(0))
    }

    async fn record(&self, index: usize, users: &[usize]) -> Result<()> {
        let change = |who: Option<PbxUserId>| NewChange {
            account: account(index),
            kind: if who.is_some() { ChangeKind::Updated } else { ChangeKind::Settings },
            user: who,
            fields: vec!["display_name"],
            before: None,
            after: None,
            detected_at: self.clock.now(),
            saved_at: None,
        };
        let changes: Vec<NewChange> = if users.is_empty() {
            vec![change(None)]
        } else {
            users.iter().map(|i| change(Some(user(*i)))).collect()
        };
        let mut tx = self.recorder.begin("test.record").await?;
        record(&mut tx, "test", &changes).await?;
        tx.commit().await?;
        Ok(())
    }

    fn fresh_job(&self, account: AccountId, first: Option<time::OffsetDateTime>) -> CutAccount {
        let due_at = self.clock.now();
        CutAccount {
            account,
            job: JobId(self.ids.v7(&self.clock)),
            first_change_at: first,
            due_at,
            traceparent: None,
        }
    }

    /// The transaction of the debouncer's cutter.
    async fn cut_in(&self, tx: &mut Tx, most: i64) -> Result<usize, StoreError> {
        let due = windows::take_due(tx, most, TIMING).await?;
        let accounts: Vec<CutAccount> = due
            .iter()
            .map(|w| CutAccount { due_at: w.due_at, ..self.fresh_job(w.account, Some(w.first_change_at)) })
            .collect();
        let cut = Cut {
            job_type: JobType::Auto,
            scope: JobScope::Changed,
            cause: "window",
            person: None,
            reason: None,
            linked_job: None,
            subject: None,
            token_request: None,
        };
        cut::queue(tx, &cut, &accounts).await?;
        windows::close(tx, &due.iter().map(|w| w.account).collect::<Vec<_>>()).await?;
        Ok(due.len())
    }

    async fn cut(&self, debouncer: &Store) -> Result<()> {
        let mut tx = debouncer.begin("test.cut").await?;
        self.cut_in(&mut tx, 100).await?;
        tx.commit().await?;
        Ok(())
    }

    /// A cutter that got as far as its commit and hangs there.
    pub(super) async fn start_cutting(&self) -> Result<Tx> {
        let mut tx = self.debouncers[0].begin("test.cut").await?;
        ensure!(self.cut_in(&mut tx, 1).await? == 1, "nothing was due");
        Ok(tx)
    }

    async fn request(&self, debouncer: &Store, index: usize) -> Result<()> {
        sqlx::query("insert into admin.requests (request_id, account_id, kind, scope, person) values ($1, $2, 'sync', 'changed', 'test')")
            .bind(self.ids.v4())
            .bind(account(index).0)
            .execute(&self.admin)
            .await?;
        let mut tx = debouncer.begin("test.request").await?;
        let mut requests = cut::take_requests(&mut tx, 50).await?;
        requests.sort_by_key(|request| request.account);
        for request in &requests {
            windows::take_one(&mut tx, request.account, TIMING).await?;
            let first = windows::open(&mut tx, request.account).await?.and_then(|w| w.first_change_at);
            cut::carry_out(&mut tx, request, self.fresh_job(request.account, first)).await?;
        }
        windows::close(&mut tx, &requests.iter().map(|r| r.account).collect::<Vec<_>>()).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn claim(&self, worker: usize, plans: bool) -> Result<()> {
        let store = &self.workers[worker];
        let name = format!("worker-{worker}");
        for job_type in [JobType::Manual, JobType::Auto] {
            for claim in claims::claim(store, &name, job_type, 9, LEASE).await? {
                let planned = if plans { self.plan(store, &claim).await? } else { None };
                self.hand().push(Held { claim, planned });
            }
        }
        Ok(())
    }

    /// The worker's plan, as far as windows are concerned: what the snapshot saw. None for a claim that was lost.
    async fn plan(&self, store: &Store, claim: &Claim) -> Result<Option<Gen>> {
        let snapshot = wanted::snapshot(store, claim.account, claim.from_gen).await?;
        let mut tx = store.begin("test.plan").await?;
        match claims::append(&mut tx, claim.job, claim.epoch, Vec::new()).await {
            Err(StoreError::Superseded { .. }) => return Ok(None),
            other => other?,
        };
        let run = PlannedRun {
            account: claim.account,
            job: claim.job,
            epoch: claim.epoch,
            from: claim.from_gen.unwrap_or(snapshot.covered),
            to: snapshot.generation,
            fingerprint: "test",
            steps: &[],
            users: &[],
        };
        users::planned(&mut tx, &run).await?;
        tx.commit().await?;
        Ok(Some(snapshot.generation))
    }

    async fn finish(&self, held: Held) -> Result<()> {
        let store = &self.workers[0];
        let Held { claim, planned } = held;
        let planned = match planned {
            Some(planned) => Some(planned),
            None => self.plan(store, &claim).await?,
        };
        let mut tx = store.begin("test.finish").await?;
        let ending =
            Ending { state: JobState::Succeeded, counts: Counts::default(), error: None, settled: true };
        match claims::finish(&mut tx, claim.job, claim.epoch, &ending).await {
            Err(StoreError::Superseded { .. }) => {
                drop(tx);
                let epoch: i32 = sqlx::query_scalar("select epoch from queue.jobs where job_id = $1")
                    .bind(claim.job.0)
                    .fetch_one(&self.admin)
                    .await?;
                ensure!(epoch > claim.epoch, "nobody took job {} over, and yet it was lost", claim.job);
                Ok(())
            }
            other => {
                other?;
                let upto = planned.context("a claim that is ours has a plan")?;
                users::covered(&mut tx, claim.account, upto, claim.job).await?;
                Ok(tx.commit().await?)
            }
        }
    }

    /// Lets minutes pass.
    pub(super) async fn pass(&self, minutes: u8) -> Result<()> {
        for statement in SLIDE {
            sqlx::query(statement).bind(i32::from(minutes)).execute(&self.admin).await?;
        }
        Ok(())
    }

    /// Which accounts have a running job.
    pub(super) async fn running(&self) -> Result<Vec<usize>> {
        let running: Vec<Uuid> = sqlx::query_scalar(
            "select account_id from queue.jobs where state = 'running' order by account_id",
        )
        .fetch_all(&self.admin)
        .await?;
        Ok((0..ACCOUNTS).filter(|i| running.contains(&account(*i).0)).collect())
    }

    /// What holds at any time.
    pub(super) async fn verdicts(&self) -> Result<()> {
        for (what, sql) in never() {
            self.none(what, &sql).await?;
        }
        Ok(())
    }

    async fn none(&self, what: &str, sql: &str) -> Result<()> {
        let found: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&self.admin).await?;
        ensure!(found == 0, "{found} {what}");
        Ok(())
    }

    /// Everybody does once what is to do. That is enough for every account but the stuck one.
    pub(super) async fn drain(&self) -> Result<()> {
        self.at_once(&[Op::Sweep { debouncer: 0 }]).await?;
        self.pass(41).await?;
        self.at_once(&[Op::Cut { debouncer: 0 }, Op::Cut { debouncer: 1 }]).await?;
        self.none(
            "windows that are due and not cut",
            "select count(*) from queue.windows where due_at <= now()",
        )
        .await?;
        self.end_claims().await?;
        self.at_once(&[Op::Claim { worker: 0, plans: true }, Op::Claim { worker: 1, plans: true }]).await?;
        let but = if self.stuck { account(0).0 } else { Uuid::nil() };
        self.none(
            "jobs that wait although nothing of their account runs",
            &format!("select count(*) from queue.jobs where state = 'queued' and account_id <> '{but}'"),
        )
        .await?;
        self.end_claims().await?;
        self.verdicts().await?;
        let left = format!(
            "select (select count(*) from queue.jobs where finished_at is null and account_id <> '{but}')
                  + (select count(*) from queue.windows where first_change_at is not null)
                  + (select count(*) from change.log c left join sync.accounts s using (account_id)
                      where {COUNTS} and coalesce(s.covered_gen, 0) < c.gen and account_id <> '{but}')"
        );
        self.none("things left to do", &left).await
    }

    async fn end_claims(&self) -> Result<()> {
        let ended: Vec<Held> = {
            let mut all = self.hand();
            let (ended, kept) = all.drain(..).partition(|held| self.may_end(held));
            *all = kept;
            ended
        };
        for held in ended {
            self.finish(held).await?;
        }
        Ok(())
    }
}
