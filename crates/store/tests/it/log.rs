//! Months of the log, and reading it.

use anyhow::Result;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use tandem_domain::job::{JobState, JobType};
use tandem_domain::{AccountId, JobId, PbxUserId};
use tandem_store::log_read::{self, JobFilter, JobRow, StepFilter};
use tandem_store::{Login, Store, log, log_rollups};
use tandem_testkit::Pg;
use time::macros::{date, datetime};
use time::{Duration, OffsetDateTime};
use uuid::{Uuid, uuid};

use crate::database;

const A: AccountId = AccountId(uuid!("0190a000-0000-7000-8000-00000000000a"));
const B: AccountId = AccountId(uuid!("0190a000-0000-7000-8000-00000000000b"));
const BEGIN: OffsetDateTime = datetime!(2026-05-20 08:00 UTC);

/// The id of a job cut at this time.
fn id(at: OffsetDateTime, distinct: u64) -> JobId {
    let millis = u64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
    let random: [u8; 10] = std::array::from_fn(|i| if i < 2 { 0 } else { distinct.to_be_bytes()[i - 2] });
    JobId(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}

async fn prepared() -> Result<(Pg, PgConnection, Store)> {
    let pg = database::migrated().await?;
    let store = database::store(&pg, Login::SyncLog);
    for month in [date!(2026 - 05 - 01), date!(2026 - 06 - 01)] {
        log::make_month(&store, month).await?;
    }
    let owner = database::owner(&pg).await?;
    Ok((pg, owner, store))
}

async fn insert(
    owner: &mut PgConnection,
    job: JobId,
    account: AccountId,
    kind: &str,
    state: &str,
) -> Result<()> {
    sqlx::query(
        "insert into log.jobs (job_id, account_id, job_type, scope, state, queued_at, event_number, error_code)
         values ($1, $2, $3, 'changed', $4, now(), 1, case when $4 = 'failed' then 'auth.revoked' end)",
    )
    .bind(job.0)
    .bind(account.0)
    .bind(kind)
    .bind(state)
    .execute(owner)
    .await?;
    Ok(())
}

async fn partitions(owner: &mut PgConnection) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(
        "select c.relname::text from pg_inherits i join pg_class c on c.oid = i.inhrelid
          join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'log' and c.relkind = 'r' order by 1",
    )
    .fetch_all(owner)
    .await?)
}

fn ids(jobs: &[JobRow]) -> Vec<JobId> {
    jobs.iter().map(|job| job.job).collect()
}

#[tokio::test]
async fn months_are_made_once_and_dropped_in_time() {
    let pg = database::migrated().await.unwrap();
    let store = database::store(&pg, Login::SyncLog);
    let mut owner = database::owner(&pg).await.unwrap();
    let day = date!(2020 - 02 - 29);
    let (one, two, three) =
        tokio::join!(log::make_month(&store, day), log::make_month(&store, day), log::make_months(&store));
    one.and(two).and(three).unwrap();
    let made = partitions(&mut owner).await.unwrap();
    assert_eq!(made.len(), 8, "{made:?}");
    assert!(made.contains(&"jobs_2020_02".to_owned()) && made.contains(&"steps_2020_02".to_owned()));
    let last = id(datetime!(2020-02-29 23:59:59.999 UTC), 1);
    insert(&mut owner, last, A, "auto", "succeeded").await.unwrap();
    let outside = id(datetime!(2020-03-01 00:00 UTC), 1);
    insert(&mut owner, outside, A, "auto", "succeeded").await.unwrap_err();

    assert_eq!(log::drop_months(&store, 12_000, 400_000).await.unwrap(), Vec::<String>::new());
    assert_eq!(log::drop_months(&store, 12_000, 90).await.unwrap(), ["steps_2020_02"]);
    assert_eq!(log::drop_months(&store, 13, 90).await.unwrap(), ["jobs_2020_02"]);
    assert_eq!(partitions(&mut owner).await.unwrap().len(), 6, "the months of today stay");
}

#[tokio::test]
async fn pages_stay_as_they_are_while_jobs_arrive() {
    let (pg, mut owner, _) = prepared().await.unwrap();
    let operator = database::store(&pg, Login::Operator);
    let mut expected = Vec::new();
    for n in 0..25 {
        let job = id(BEGIN + Duration::days(n), 7);
        insert(&mut owner, job, if n % 2 == 0 { A } else { B }, "auto", "succeeded").await.unwrap();
        expected.insert(0, job);
    }
    for account in [None, Some(A)] {
        let filter = JobFilter { account, ..JobFilter::default() };
        let (mut read, mut after) = (Vec::new(), None);
        for page in 0.. {
            let mut tx = operator.begin("test.jobs").await.unwrap();
            let jobs = log_read::jobs(&mut tx, &filter, after, 4).await.unwrap();
            let Some(last) = jobs.last() else { break };
            after = Some(last.job);
            read.extend(ids(&jobs));
            let newer = id(BEGIN + Duration::days(30 + page), u64::from(account.is_some()));
            insert(&mut owner, newer, A, "auto", "queued").await.unwrap();
        }
        // what arrived while all were read is newer than what is read now
        read.retain(|job| job.0 < id(BEGIN + Duration::days(30), 0).0);
        let of_account = |job: &&JobId| {
            account.is_none() || expected.iter().position(|j| j == *job).is_some_and(|at| at % 2 == 0)
        };
        assert_eq!(read, expected.iter().filter(of_account).copied().collect::<Vec<_>>(), "{account:?}");
    }
    let mut tx = operator.begin("test.jobs").await.unwrap();
    let all = log_read::jobs(&mut tx, &JobFilter::default(), None, i64::MAX).await.unwrap();
    assert!(all.len() > 25 && i64::try_from(all.len()).unwrap() <= log_read::MAX_PAGE);
    assert!(log_read::jobs(&mut tx, &JobFilter::default(), None, -1).await.unwrap().is_empty());
}

#[tokio::test]
async fn filters_narrow_the_jobs() {
    let (pg, mut owner, _) = prepared().await.unwrap();
    let rows = [
        (id(BEGIN, 1), A, "auto", "succeeded"),
        (id(BEGIN + Duration::hours(1), 1), A, "manual", "failed"),
        (id(BEGIN + Duration::hours(2), 1), B, "manual", "running"),
        (id(BEGIN + Duration::days(20), 1), A, "auto", "failed"),
    ];
    for (job, account, kind, state) in rows {
        insert(&mut owner, job, account, kind, state).await.unwrap();
    }
    let none = JobFilter::default;
    let cases = [
        (none(), vec![3, 2, 1, 0]),
        (JobFilter { account: Some(A), ..none() }, vec![3, 1, 0]),
        (JobFilter { job_type: Some(JobType::Manual), ..none() }, vec![2, 1]),
        (JobFilter { state: Some(JobState::Failed), account: Some(A), ..none() }, vec![3, 1]),
        (JobFilter { error_code: Some("auth.revoked".to_owned()), ..none() }, vec![3, 1]),
        (JobFilter { error_code: Some("other".to_owned()), ..none() }, vec![]),
        (JobFilter { since: Some(BEGIN + Duration::hours(1)), ..none() }, vec![3, 2, 1]),
        (JobFilter { until: Some(BEGIN + Duration::hours(1)), ..none() }, vec![0]),
        (
            JobFilter {
                since: Some(BEGIN),
                until: Some(BEGIN + Duration::days(1)),
                account: Some(A),
                ..none()
            },
            vec![1, 0],
        ),
    ];
    let operator = database::store(&pg, Login::Operator);
    for (filter, expected) in cases {
        let mut tx = operator.begin("test.jobs").await.unwrap();
        let found = ids(&log_read::jobs(&mut tx, &filter, None, 100).await.unwrap());
        assert_eq!(found, expected.iter().map(|n: &usize| rows[*n].0).collect::<Vec<_>>(), "{filter:?}");
    }
    let portal = database::store(&pg, Login::Portal);
    let mut tx = portal.begin_for("test.jobs", B).await.unwrap();
    assert_eq!(ids(&log_read::jobs(&mut tx, &none(), None, 100).await.unwrap()), [rows[2].0]);
    assert_eq!(
        log_read::jobs(&mut tx, &JobFilter { account: Some(A), ..none() }, None, 9).await.unwrap(),
        []
    );
    assert_eq!(log_read::job(&mut tx, rows[0].0).await.unwrap(), None);
    let running = log_read::job(&mut tx, rows[2].0).await.unwrap().unwrap();
    assert_eq!((running.account, running.state), (B, JobState::Running));
}

#[tokio::test]
async fn a_time_reads_only_its_months() {
    let (_pg, mut owner, _) = prepared().await.unwrap();
    let (_, jobs) =
        tandem_store::statements().into_iter().find(|(n, _)| n.ends_with("log_read::JOBS")).unwrap();
    let text = format!(
        "set plan_cache_mode = force_generic_plan; prepare jobs as {jobs};
         explain (analyze) execute jobs (null, null, '2026-06-10 00:00Z', null, null, null, 10)"
    );
    let plan = sqlx::raw_sql(AssertSqlSafe(text)).fetch_all(&mut owner).await.unwrap();
    let plan: String = plan.iter().map(|line| line.get::<String, _>(0) + "\n").collect();
    assert!(plan.contains("jobs_2026_06") && !plan.contains("jobs_2026_05"), "{plan}");
}

#[tokio::test]
async fn a_change_leads_to_the_job_that_carried_it() {
    let (pg, mut owner, _) = prepared().await.unwrap();
    let plans = [
        (1, A, "succeeded", Some((0, 4))),
        (2, A, "failed", Some((4, 6))),
        (3, A, "partly", Some((4, 9))),
        (4, A, "failed", Some((9, 12))),
        (5, A, "queued", None),
        (6, B, "succeeded", Some((0, 20))),
    ];
    for (n, account, state, range) in plans {
        let job = id(BEGIN + Duration::minutes(n), 1);
        insert(&mut owner, job, account, "auto", state).await.unwrap();
        sqlx::query("update log.jobs set from_gen = $2, to_gen = $3 where job_id = $1")
            .bind(job.0)
            .bind(range.map(|(from, _)| from))
            .bind(range.map(|(_, to)| to))
            .execute(&mut owner)
            .await
            .unwrap();
    }
    let operator = database::store(&pg, Login::Operator);
    let mut tx = operator.begin("test.job_of_change").await.unwrap();
    let cases = [
        (A, 1, Some(1)),
        (A, 4, Some(1)),
        (A, 5, Some(3)),
        (A, 9, Some(3)),
        (A, 10, Some(4)),
        (A, 13, None),
        (B, 13, Some(6)),
    ];
    for (account, generation, expected) in cases {
        let found = log_read::job_of_change(&mut tx, account, generation).await.unwrap();
        let expected = expected.map(|n| id(BEGIN + Duration::minutes(n), 1));
        assert_eq!(found.map(|job| job.job), expected, "gen {generation} of {account}");
    }
}

#[tokio::test]
async fn steps_come_in_order_and_by_user() {
    let (pg, mut owner, _) = prepared().await.unwrap();
    let job = id(BEGIN, 1);
    let tablet = uuid!("0190a000-0000-4000-8000-0000000000ff");
    for number in 1..=9_i64 {
        sqlx::query(
            "insert into log.steps (job_id, number, account_id, at, kind, pbx_user_id, microsoft_user, outcome, data)
             values ($1, $2, $3, now(), 'step', $4, $5, $6, $7::json)",
        )
        .bind(job.0)
        .bind(number)
        .bind(A.0)
        .bind(if number % 3 == 0 { None } else { Some(format!("10{}", number % 3)) })
        .bind(tablet)
        .bind(if number < 5 { "sent" } else { "confirmed" })
        .bind(if number == 9 { r#"{"detail": "\ud800"}"#.to_owned() } else { format!(r#"{{"step": {number}}}"#) })
        .execute(&mut owner)
        .await
        .unwrap();
    }
    let portal = database::store(&pg, Login::Portal);
    let mut tx = portal.begin_for("test.steps", A).await.unwrap();
    let user = Some(PbxUserId::from("101"));
    let cases = [
        (StepFilter::default(), 0, 4, vec![1, 2, 3, 4]),
        (StepFilter::default(), 4, 200, vec![5, 6, 7, 8, 9]),
        (StepFilter { user: user.clone(), outcome: None }, 0, 200, vec![1, 4, 7]),
        (StepFilter { user, outcome: Some("sent".to_owned()) }, 1, 200, vec![4]),
    ];
    for (filter, after, limit, expected) in cases {
        let steps = log_read::steps(&mut tx, job, &filter, after, limit).await.unwrap();
        assert_eq!(steps.iter().map(|s| s.number).collect::<Vec<_>>(), expected, "{filter:?}");
        assert!(steps.iter().all(|s| s.number == 9 || s.data["step"] == s.number), "{steps:?}");
    }
    let mut tx = portal.begin_for("test.steps", B).await.unwrap();
    assert_eq!(log_read::steps(&mut tx, job, &StepFilter::default(), 0, 200).await.unwrap(), []);
}

#[tokio::test]
async fn b2_rollups_are_read_by_hour() {
    let (pg, mut owner, _) = prepared().await.unwrap();
    sqlx::query(
        "insert into log.rollups (account_id, hour, job_type, state, jobs)
         select a, $2 + h * interval '1 hour', 'auto', 'succeeded', h + 1 from unnest($1::uuid[]) a, generate_series(0, 2) h",
    )
    .bind([A.0, B.0])
    .bind(BEGIN)
    .execute(&mut owner)
    .await
    .unwrap();
    let operator = database::store(&pg, Login::Operator);
    let mut tx = operator.begin("test.rollups").await.unwrap();
    let until = BEGIN + Duration::hours(2);
    let jobs = |rows: Vec<log_rollups::RollupRow>| rows.iter().map(|r| r.jobs).collect::<Vec<_>>();
    assert_eq!(jobs(log_rollups::rollups(&mut tx, None, BEGIN, until).await.unwrap()), [1, 1, 2, 2]);
    assert_eq!(jobs(log_rollups::rollups(&mut tx, Some(A), BEGIN, until).await.unwrap()), [1, 2]);
    let nobody = AccountId(Uuid::nil());
    assert_eq!(
        jobs(log_rollups::rollups(&mut tx, Some(nobody), BEGIN, until).await.unwrap()),
        Vec::<i64>::new()
    );
}
