//! The fleet: how many accounts are in which state, who waits for how long, and how late jobs are. For operators, over
//! all accounts; the work of a look is bounded by the number of accounts and by [`MOST_JOBS`].

use std::sync::LazyLock;

use serde::Serialize;
use sqlx::Row;
use tandem_domain::AccountId;
use tandem_domain::account_state::{AccountState, Facts, state};
use tandem_domain::job::JobState;
use time::OffsetDateTime;

use crate::sql::statements;
use crate::{StoreError, Tx};

/// The newest jobs that a look goes through, at most.
pub const MOST_JOBS: i64 = 100_000;

statements! {
    /// Accounts by facts, with the oldest change that waits among them.
    COUNTS = "select mask, count(*) as accounts, min(oldest) as oldest, min(oldest) filter (where auto_sync) as oldest_auto
                from admin.account_stands group by mask";
    /// A page of the accounts whose facts are among these.
    IN_STATE = "select account_id from admin.account_stands where mask = any ($1) and name > $2 order by name limit $3";
    /// Accounts with Auto Sync whose first change waits for a job to start, the longest wait first.
    NEXT = "select n.*,
                   (select count(*) from (
                      select from change.counting g left join sync.accounts s using (account_id)
                       where g.account_id = n.account_id and g.gen > coalesce(s.covered_gen, 0)
                       limit 1000) c) as changes
              from (select a.account_id, a.name, a.label, f.since, w.due_at, j.parked,
                   case when a.paused_until > now() then a.paused_until end as paused_until
              from admin.accounts a
              left join queue.windows w using (account_id)
              left join queue.jobs j on j.account_id = a.account_id and j.state = 'queued'
             cross join lateral (select least(w.first_change_at, j.first_change_at) as since) f
             where a.auto_sync and f.since is not null and (f.since, a.name) > (coalesce($1::timestamptz, '-infinity'), $2::text)
             order by f.since, a.name limit $3) n
             order by n.since, n.name";
    /// How late Auto jobs were, by the state that their accounts have now, and all together. A job that waited for its
    /// customer is left out.
    LATENESS = "with recent as (
                  select j.account_id, extract(epoch from j.started_at - j.first_change_at)::float8 as start,
                         extract(epoch from j.settled_at - j.first_change_at)::float8 as settled
                    from (select * from log.jobs where job_id >= log.uuid_at($1) order by job_id desc limit $2) j
                   where j.job_type = 'auto' and j.first_change_at is not null and not j.excused
                )
                select s.state, count(r.start) as started, count(r.settled) as settled,
                       percentile_disc(0.5) within group (order by r.start) as start_p50,
                       percentile_disc(0.95) within group (order by r.start) as start_p95,
                       percentile_disc(0.5) within group (order by r.settled) as settled_p50,
                       percentile_disc(0.95) within group (order by r.settled) as settled_p95
                  from recent r
                  join admin.account_stands f using (account_id)
                  join unnest($3::int[], $4::int[]) as s (mask, state) using (mask)
                 group by grouping sets ((s.state), ())";
    /// What jobs failed by since a time, what concerns most jobs first.
    FAILURES = "select f.fingerprint, t.code, t.text, count(*) as jobs, count(distinct j.account_id) as accounts,
                       min(j.at) as since, max(j.at) as last
                  from (select l.account_id, coalesce(l.finished_at, l.queued_at) as at, l.failures from log.jobs l
                         where l.failures is not null and l.job_id >= log.uuid_at($1) order by l.job_id desc limit $2) j
                 cross join unnest(j.failures) as f (fingerprint)
                  join log.failures t using (fingerprint)
                 group by f.fingerprint, t.code, t.text
                 order by count(*) desc, f.fingerprint limit $3";
}

/// The facts that a mask of `admin.account_stands` stands for.
fn facts(mask: i32) -> Facts {
    let bit = |n: u32| mask & (1 << n) != 0;
    let count = |n: u32| i64::from(bit(n));
    Facts {
        bound: bit(0),
        connected: bit(1),
        mapped: bit(2),
        auto_sync: bit(3),
        broken: bit(4),
        healthy: bit(5),
        under_way: bit(6),
        last: bit(7).then_some(JobState::Failed),
        held: bit(8),
        issues: count(9),
        queued: count(10),
        landing: count(11),
    }
}

/// All masks, and the place of each one's state among all states.
static STATES: LazyLock<(Vec<i32>, Vec<i32>)> = LazyLock::new(|| {
    (0..1 << 12)
        .map(|mask| {
            let found = state(&facts(mask));
            let place = AccountState::ALL.iter().position(|state| *state == found).unwrap_or_default();
            (mask, i32::try_from(place).unwrap_or_default())
        })
        .unzip()
});

fn placed(place: i32) -> Option<AccountState> {
    AccountState::ALL.get(usize::try_from(place).ok()?).copied()
}

/// How many accounts are in a state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub accounts: i64,
    /// The oldest change of theirs that waits.
    pub oldest: Option<OffsetDateTime>,
    /// The same for those that sync by themselves.
    pub oldest_auto: Option<OffsetDateTime>,
}

fn earlier(one: Option<OffsetDateTime>, other: Option<OffsetDateTime>) -> Option<OffsetDateTime> {
    one.into_iter().chain(other).min()
}

impl Count {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            accounts: self.accounts + other.accounts,
            oldest: earlier(self.oldest, other.oldest),
            oldest_auto: earlier(self.oldest_auto, other.oldest_auto),
        }
    }
}

/// How many accounts are in each state, in the order of the states.
///
/// # Errors
/// [`StoreError`].
pub async fn counts(tx: &mut Tx) -> Result<Vec<(AccountState, Count)>, StoreError> {
    let failed = tx.failed();
    let mut counts: Vec<_> = AccountState::ALL.iter().map(|state| (*state, Count::default())).collect();
    for row in sqlx::query(COUNTS).fetch_all(&mut **tx).await.map_err(failed)? {
        let found = state(&facts(row.get("mask")));
        let more = Count {
            accounts: row.get("accounts"),
            oldest: row.get("oldest"),
            oldest_auto: row.get("oldest_auto"),
        };
        for (_, count) in counts.iter_mut().filter(|(state, _)| *state == found) {
            *count = count.and(more);
        }
    }
    Ok(counts)
}

/// A page of the accounts in a state, by name behind `after`.
///
/// # Errors
/// [`StoreError`].
pub async fn in_state(
    tx: &mut Tx,
    wanted: AccountState,
    after: &str,
    limit: i64,
) -> Result<Vec<AccountId>, StoreError> {
    let failed = tx.failed();
    let (masks, places) = &*STATES;
    let of_state = |(mask, place): (&i32, &i32)| (placed(*place) == Some(wanted)).then_some(*mask);
    let masks: Vec<i32> = masks.iter().zip(places).filter_map(of_state).collect();
    let query = sqlx::query_scalar(IN_STATE).bind(masks).bind(after).bind(limit);
    let rows: Vec<uuid::Uuid> = query.fetch_all(&mut **tx).await.map_err(failed)?;
    Ok(rows.into_iter().map(AccountId).collect())
}

/// An account that waits for a job to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Which.
    pub account: AccountId,
    /// Its short name.
    pub name: String,
    /// Its name for people.
    pub label: String,
    /// Its first change that waits.
    pub since: OffsetDateTime,
    /// When a job is cut, if by itself; none once it has been, or while nothing may be cut.
    pub due_at: Option<OffsetDateTime>,
    /// Why its queued job may not start.
    pub parked: Option<String>,
    /// Until when it is paused.
    pub paused_until: Option<OffsetDateTime>,
    /// How many changes wait; 1,000 stands for any more.
    pub changes: i64,
}

/// Accounts with Auto Sync that wait, the longest wait first, behind the `after` of the page before.
///
/// # Errors
/// [`StoreError`].
pub async fn waiting(
    tx: &mut Tx,
    after: Option<(OffsetDateTime, &str)>,
    limit: i64,
) -> Result<Vec<Waiting>, StoreError> {
    let failed = tx.failed();
    let (since, name) = after.unzip();
    let query = sqlx::query(NEXT).bind(since).bind(name.unwrap_or_default()).bind(limit);
    let rows = query.fetch_all(&mut **tx).await.map_err(failed)?;
    let one = |row: &sqlx::postgres::PgRow| Waiting {
        account: AccountId(row.get("account_id")),
        name: row.get("name"),
        label: row.get("label"),
        since: row.get("since"),
        due_at: row.get("due_at"),
        parked: row.get("parked"),
        paused_until: row.get("paused_until"),
        changes: row.get("changes"),
    };
    Ok(rows.iter().map(one).collect())
}

/// How late jobs were, in seconds: half of them, and nineteen of twenty, were no later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Lateness {
    /// Jobs that started.
    pub started: i64,
    /// Jobs that have settled.
    pub settled: i64,
    /// From the first change to the start.
    pub start_p50: Option<f64>,
    /// The same.
    pub start_p95: Option<f64>,
    /// From the first change to the moment when every read agreed.
    pub settled_p50: Option<f64>,
    /// The same.
    pub settled_p95: Option<f64>,
}

/// How late Auto jobs cut since then were: by the state that their accounts have now, and (`None`) all together.
///
/// # Errors
/// [`StoreError`].
pub async fn lateness(
    tx: &mut Tx,
    since: OffsetDateTime,
) -> Result<Vec<(Option<AccountState>, Lateness)>, StoreError> {
    let failed = tx.failed();
    let (masks, places) = &*STATES;
    let query = sqlx::query(LATENESS).bind(since).bind(MOST_JOBS).bind(masks).bind(places);
    let rows = query.fetch_all(&mut **tx).await.map_err(failed)?;
    let one = |row: &sqlx::postgres::PgRow| {
        let lateness = Lateness {
            started: row.get("started"),
            settled: row.get("settled"),
            start_p50: row.get("start_p50"),
            start_p95: row.get("start_p95"),
            settled_p50: row.get("settled_p50"),
            settled_p95: row.get("settled_p95"),
        };
        (row.get::<Option<i32>, _>("state").and_then(placed), lateness)
    };
    Ok(rows.iter().map(one).collect())
}

/// Jobs that failed by the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureGroup {
    /// What the group is known by.
    pub fingerprint: String,
    /// The stable code.
    pub code: String,
    /// The text without what belongs to one case.
    pub text: String,
    /// How many jobs.
    pub jobs: i64,
    /// Of how many accounts.
    pub accounts: i64,
    /// When the first of them ended.
    pub since: OffsetDateTime,
    /// When the last of them ended.
    pub last: OffsetDateTime,
}

/// What jobs cut since then failed by, what concerns most jobs first, at most `limit`.
///
/// # Errors
/// [`StoreError`].
pub async fn failures(
    tx: &mut Tx,
    since: OffsetDateTime,
    limit: i64,
) -> Result<Vec<FailureGroup>, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(FAILURES).bind(since).bind(MOST_JOBS).bind(limit);
    let rows = query.fetch_all(&mut **tx).await.map_err(failed)?;
    let one = |row: &sqlx::postgres::PgRow| FailureGroup {
        fingerprint: row.get("fingerprint"),
        code: row.get("code"),
        text: row.get("text"),
        jobs: row.get("jobs"),
        accounts: row.get("accounts"),
        since: row.get("since"),
        last: row.get("last"),
    };
    Ok(rows.iter().map(one).collect())
}
