//! States of authorizations, quarantine and parked jobs, with time that passes by moving what is on record.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use sqlx::PgPool;
use tandem_domain::authorization::{Reason, Standing};
use tandem_domain::job::JobType;
use tandem_domain::quarantine::{Cause, Trial, next};
use tandem_domain::{AccountId, JobId};
use tandem_store::parking::PutBack;
use tandem_store::{Login, Store, authorizations, claims, parking, quarantine};
use tandem_testkit::Pg;
use uuid::Uuid;

use crate::database;

const APP: &str = "the-provider";
const BROUGHT: &str = "the-customer";
const LEASE: Duration = Duration::from_secs(60);
const REVOKED: Cause = Cause::Authorization(Reason::Revoked);

struct World {
    _pg: Pg,
    owner: PgPool,
    store: Store,
}

fn account(n: u128) -> AccountId {
    AccountId(Uuid::from_u128(0xa000 + n))
}

impl World {
    /// `n` accounts with Auto Sync, each with a queued Auto job.
    async fn new(n: u128) -> Result<Self> {
        let pg = database::migrated().await?;
        let owner = PgPool::connect(&pg.url).await?;
        for i in 1..=n {
            sqlx::query("insert into admin.accounts (account_id, name, label, auto_sync, licences) values ($1, $2, $2, true, 1)")
                .bind(account(i).0)
                .bind(format!("account{i}"))
                .execute(&owner)
                .await?;
            sqlx::query(
                "insert into vault.authorizations (account_id, tenant_id, client_id, state, bound_by)
                 values ($1, $2, $3, 'healthy', 'test')",
            )
            .bind(account(i).0)
            .bind(Uuid::from_u128(0xf000 + i))
            .bind(APP)
            .execute(&owner)
            .await?;
        }
        let store = database::store(&pg, Login::TeamsSync);
        Ok(Self { _pg: pg, owner, store })
    }

    async fn run(&self, sql: &'static str) -> Result<()> {
        sqlx::query(sql).execute(&self.owner).await?;
        Ok(())
    }

    async fn texts(&self, sql: &'static str) -> Result<Vec<String>> {
        Ok(sqlx::query_scalar(sql).fetch_all(&self.owner).await?)
    }

    async fn queue(&self, i: u128, job_type: &'static str) -> Result<JobId> {
        static JOBS: AtomicU64 = AtomicU64::new(1);
        let nth = u128::from(JOBS.fetch_add(1, Ordering::Relaxed));
        let job = JobId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 | nth));
        sqlx::query(
            "insert into queue.jobs (job_id, account_id, job_type, scope, state, cause, due_at)
             values ($1, $2, $3, 'changed', 'queued', 'window', now())",
        )
        .bind(job.0)
        .bind(account(i).0)
        .bind(job_type)
        .execute(&self.owner)
        .await?;
        Ok(job)
    }

    async fn claim(&self, job_type: JobType) -> Result<Vec<claims::Claim>> {
        Ok(claims::claim(&self.store, "worker", job_type, 100, LEASE).await?)
    }

    async fn record(&self, i: u128, standing: Standing) -> Result<()> {
        let mut tx = self.store.begin("test.record").await?;
        authorizations::record(&mut tx, account(i), standing, Some("as Microsoft said"), None).await?;
        tx.commit().await?;
        Ok(())
    }

    /// A try that fails; tells how long to wait for the next, and whether Auto Sync was switched off.
    async fn fail(&self, i: u128, cause: Cause) -> Result<(Duration, bool)> {
        let mut tx = self.store.begin("test.fail").await?;
        let before = quarantine::standing(&mut tx, account(i), 1.0).await?;
        let next = next(&before, Trial::Failed(Some(cause)));
        let wait = Duration::try_from(next.retry.context("no retry")?)?;
        let off = quarantine::failed(&mut tx, account(i), &before, &next, wait, None).await?;
        tx.commit().await?;
        Ok((wait, off))
    }

    async fn mark(&self) -> Result<Vec<(AccountId, String, Option<String>)>> {
        let mut tx = self.store.begin("test.mark").await?;
        let events = parking::mark(&mut tx, 100).await?;
        tx.commit().await?;
        let reason = |data: &serde_json::Value| data["reason"].as_str().map(str::to_owned);
        let mut told: Vec<_> = events.iter().map(|e| (e.account, e.kind.clone(), reason(&e.data))).collect();
        told.sort_unstable();
        Ok(told)
    }
}

#[tokio::test]
async fn i21_forty_days_in_quarantine_are_tried_32_times() {
    let world = World::new(1).await.unwrap();
    let mut at = Duration::ZERO;
    let mut tries = Vec::new();
    let off = loop {
        tries.push(at);
        let (wait, off) = world.fail(1, REVOKED).await.unwrap();
        if off || at > Duration::from_secs(40 * 86_400) {
            break off;
        }
        at += wait;
        // the wait passes: everything on record slides into the past
        sqlx::query(
            "update sync.accounts set quarantined_at = quarantined_at - $1 * interval '1 s', retry_at = retry_at - $1 * interval '1 s'",
        )
        .bind(wait.as_secs_f64())
        .execute(&world.owner)
        .await
        .unwrap();
        let due =
            world.texts("select account_id::text from sync.accounts where retry_at <= now()").await.unwrap();
        assert_eq!(due.len(), 1, "due when its wait is over, after {tries:?}");
    };
    assert!(off);
    // the tries themselves take a moment, which shortens the last wait and nothing else
    let days = at.as_secs_f64() / 86_400.0;
    assert!((27.99..28.01).contains(&days), "switched off after {days} days");
    assert_eq!(tries.len(), 32, "{tries:?}");
    assert_eq!(
        world.texts("select name from admin.accounts where auto_sync").await.unwrap(),
        Vec::<String>::new()
    );
    let history = "select subject || ' ' || from_state || ' ' || to_state || ' ' || reason from vault.authorization_history
                    where subject <> 'authorization' order by id";
    assert_eq!(
        world.texts(history).await.unwrap(),
        ["quarantine none quarantine authorization_revoked", "auto_sync on off authorization_revoked"]
    );
}

#[tokio::test]
async fn i21_a_consent_that_is_back_ends_the_quarantine_and_makes_due_what_failed() {
    let world = World::new(2).await.unwrap();
    // the first account has a failed job, the second was found out by its canary
    for i in [1, 2] {
        world.record(i, Standing::because(Reason::Revoked)).await.unwrap();
        world.fail(i, REVOKED).await.unwrap();
    }
    let job = world.queue(1, "auto").await.unwrap();
    sqlx::query(
        "update queue.jobs set state = 'failed', started_at = now(), finished_at = now(), error_code = 'authorization_revoked' where job_id = $1",
    )
    .bind(job.0)
    .execute(&world.owner)
    .await
    .unwrap();
    sqlx::query("update sync.accounts set last_job = $2 where account_id = $1")
        .bind(account(1).0)
        .bind(job.0)
        .execute(&world.owner)
        .await
        .unwrap();
    assert_eq!(quarantine::heal(&world.store, 10).await.unwrap(), []);
    // an operator binds both anew, and knows of states only
    world.run("update vault.authorizations set state = 'healthy'").await.unwrap();
    let mut healed = quarantine::heal(&world.store, 10).await.unwrap();
    healed.sort_unstable();
    assert_eq!(healed, [account(1), account(2)]);
    assert_eq!(quarantine::heal(&world.store, 10).await.unwrap(), []);
    let left = "select a.name || ' ' || s.failures || ' ' || coalesce(s.retry_at <= now(), false) from sync.accounts s
                  join admin.accounts a using (account_id) where quarantined_at is null order by 1";
    assert_eq!(world.texts(left).await.unwrap(), ["account1 1 true", "account2 0 false"]);
}

#[tokio::test]
async fn every_change_of_an_authorization_is_on_record() {
    let world = World::new(1).await.unwrap();
    world.record(1, Standing::because(Reason::PermissionMissing)).await.unwrap();
    world.record(1, Standing::because(Reason::PermissionMissing)).await.unwrap();
    world.record(1, Standing::because(Reason::PolicyBlocked)).await.unwrap();
    world.record(1, Standing::because(Reason::WrongTenant)).await.unwrap();
    // as a command of an operator would, or a release that knows no reasons
    world.run("update vault.authorizations set state = 'revoked', detail = null").await.unwrap();
    world.run("update vault.authorizations set state = 'healthy', detail = null").await.unwrap();
    world.run("update vault.authorizations set checked_at = now()").await.unwrap();
    let history = "select from_state || ' ' || to_state || ' ' || coalesce(reason, '-') || ' ' || by_login
                     from vault.authorization_history order by id";
    assert_eq!(
        world.texts(history).await.unwrap(),
        [
            "none healthy - postgres",
            "healthy weakened permission_missing tandem_teams_sync",
            "weakened blocked authorization_blocked tandem_teams_sync",
            "blocked blocked wrong_tenant tandem_teams_sync",
            "blocked revoked authorization_revoked postgres",
            "revoked healthy - postgres",
        ]
    );
}

#[tokio::test]
async fn two_workers_never_look_at_the_same_authorization() {
    let world = World::new(40).await.unwrap();
    world.run("update vault.authorizations set next_canary = now() - interval '1 minute'").await.unwrap();
    let other = database::store(&world._pg, Login::TeamsSync);
    let take = |store: &Store| {
        let store = store.clone();
        async move { authorizations::take_canaries(&store, 15, LEASE).await.unwrap() }
    };
    let (a, b) = tokio::join!(take(&world.store), take(&other));
    let (c, d) = tokio::join!(take(&world.store), take(&other));
    let mut taken: Vec<AccountId> = [a, b, c, d].concat().iter().map(|stored| stored.account).collect();
    assert_eq!(taken.len(), 40);
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken.len(), 40, "each once");
}

#[tokio::test]
async fn tenants_are_looked_at_all_over_the_day() {
    let world = World::new(48).await.unwrap();
    let hours = "select count(distinct extract(hour from next_canary))::text from vault.authorizations";
    let hours: i64 = world.texts(hours).await.unwrap()[0].parse().unwrap();
    // 48 tenants at random in 24 hours: fewer than 10 hours is as good as impossible
    assert!(hours >= 10, "{hours}");
}

#[tokio::test]
async fn f47_while_our_own_credential_is_refused_no_job_of_its_tenants_starts() {
    let world = World::new(3).await.unwrap();
    world.run("update vault.authorizations set client_id = 'the-customer' where tenant_id = '00000000-0000-0000-0000-00000000f003'").await.unwrap();
    let [first, _, own] = [
        world.queue(1, "auto").await.unwrap(),
        world.queue(2, "manual").await.unwrap(),
        world.queue(3, "auto").await.unwrap(),
    ];
    assert!(authorizations::at_fault(&world.store, APP, "expired", Duration::ZERO).await.unwrap());
    assert!(
        !authorizations::at_fault(&world.store, APP, "expired", Duration::ZERO).await.unwrap(),
        "no news"
    );
    let claimed: Vec<JobId> =
        world.claim(JobType::Auto).await.unwrap().iter().map(|claim| claim.job).collect();
    assert_eq!(claimed, [own], "the customer with an app of its own goes on");
    assert!(world.claim(JobType::Manual).await.unwrap().is_empty());
    let why = |reason: &str| Some(reason.to_owned());
    assert_eq!(
        world.mark().await.unwrap(),
        [
            (account(1), "parked".to_owned(), why("own_credential")),
            (account(2), "parked".to_owned(), why("own_credential"))
        ]
    );
    assert_eq!(world.mark().await.unwrap(), [], "said once");
    // one tenant is asked at a time, another one each time
    let fault = authorizations::fault(&world.store, Some(APP)).await.unwrap().unwrap();
    let asked = authorizations::take_probe(&world.store, &fault, Duration::ZERO).await.unwrap();
    let nobody = authorizations::take_probe(&world.store, &fault, Duration::ZERO).await.unwrap();
    assert!(asked.is_some() && nobody.is_none());
    let fault = authorizations::fault(&world.store, None).await.unwrap().unwrap();
    let another = authorizations::take_probe(&world.store, &fault, Duration::ZERO).await.unwrap();
    assert!(another.is_some() && another != asked);
    assert!(authorizations::works(&world.store, APP).await.unwrap());
    assert_eq!(world.mark().await.unwrap().len(), 2);
    let claim = world.claim(JobType::Auto).await.unwrap().remove(0);
    assert_eq!((claim.job, claim.excused), (first, false), "our own fault excuses no lateness");
    assert_eq!(world.claim(JobType::Manual).await.unwrap().len(), 1);
    let none = "select account_id::text from sync.accounts";
    assert_eq!(world.texts(none).await.unwrap(), Vec::<String>::new(), "nobody was counted as failed");
    assert!(authorizations::fault(&world.store, Some(BROUGHT)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_job_that_is_put_back_is_as_if_it_had_not_been_claimed() {
    let world = World::new(2).await.unwrap();
    let (lone, second) = (world.queue(1, "auto").await.unwrap(), world.queue(2, "manual").await.unwrap());
    let claims =
        [world.claim(JobType::Auto).await.unwrap(), world.claim(JobType::Manual).await.unwrap()].concat();
    // meanwhile the second account gets another job
    let waiting = world.queue(2, "auto").await.unwrap();
    world.run("update queue.jobs set person = 'admin', reason = 'asked', scope = 'all' where state = 'running' and job_type = 'manual'").await.unwrap();
    for claim in &claims {
        let mut tx = world.store.begin("test.put_back").await.unwrap();
        let back = parking::put_back(&mut tx, claim, "own_credential", "refused").await.unwrap();
        match back {
            PutBack::Queued(event) => assert_eq!((claim.job, event.kind.as_str()), (lone, "parked")),
            PutBack::GivenUpFor(job, merged) => {
                assert_eq!((claim.job, job), (second, waiting));
                assert_eq!(merged.unwrap().data["instead_of"], second.0.to_string());
                let ending = claims::Ending::cancelled();
                claims::finish(&mut tx, claim.job, claim.epoch, &ending).await.unwrap();
            }
        }
        tx.commit().await.unwrap();
    }
    let jobs = "select state || ' ' || job_type || ' ' || scope || ' ' || coalesce(person, '-') || ' ' || (started_at is null)
                  from queue.jobs order by queued_at, job_id";
    assert_eq!(
        world.texts(jobs).await.unwrap(),
        ["queued auto changed - true", "cancelled manual all admin false", "queued manual all admin true"]
    );
    assert_eq!(world.mark().await.unwrap().len(), 1, "nothing holds it back any more");
    let again = world.claim(JobType::Auto).await.unwrap().remove(0);
    assert_eq!((again.job, again.epoch), (lone, 2), "a stale worker is fenced off");
    let mut tx = world.store.begin("test.stale").await.unwrap();
    assert!(claims::append(&mut tx, lone, 1, Vec::new()).await.is_err());
}

#[tokio::test]
async fn i20_a_revoked_account_parks_its_auto_jobs_and_a_person_may_try() {
    let world = World::new(4).await.unwrap();
    world.record(1, Standing::because(Reason::Revoked)).await.unwrap();
    world.record(2, Standing::because(Reason::PermissionMissing)).await.unwrap();
    world.record(3, Standing::because(Reason::PermissionRefused)).await.unwrap();
    world.record(4, Standing::because(Reason::PolicyBlocked)).await.unwrap();
    for i in 1..=4 {
        world.queue(i, "auto").await.unwrap();
        let may = authorizations::may_write(&world.store, account(i)).await.unwrap();
        assert_eq!(may, matches!(i, 2 | 3), "a job that runs while {i}");
    }
    world.fail(3, Cause::Authorization(Reason::PermissionRefused)).await.unwrap();
    assert!(
        world.claim(JobType::Auto).await.unwrap().is_empty(),
        "nor does the one in quarantine start before its time"
    );
    let parked: Vec<_> =
        world.mark().await.unwrap().into_iter().map(|(_, _, reason)| reason.unwrap()).collect();
    assert_eq!(parked, ["not_authorized", "not_authorized", "quarantine", "not_authorized"]);
    // a person asks: the waiting job becomes a Manual one and is claimed
    world.run("update queue.jobs set job_type = 'manual'").await.unwrap();
    assert_eq!(world.mark().await.unwrap().len(), 4, "all released");
    let claimed = world.claim(JobType::Manual).await.unwrap();
    assert_eq!(claimed.len(), 4);
    assert!(claimed.iter().all(|claim| claim.excused), "the wait was the customer's");
}

#[tokio::test]
async fn i20_auto_sync_switched_off_forbids_writing_at_once() {
    let world = World::new(1).await.unwrap();
    assert!(authorizations::may_write(&world.store, account(1)).await.unwrap());
    world.run("update admin.accounts set auto_sync = false").await.unwrap();
    assert!(!authorizations::may_write(&world.store, account(1)).await.unwrap());
    world.run("delete from admin.accounts").await.unwrap();
    assert!(!authorizations::may_write(&world.store, account(1)).await.unwrap(), "an account that is gone");
}
