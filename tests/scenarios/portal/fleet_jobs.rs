//! Operators look for syncs over all accounts (row B1).

use anyhow::{Context, Result};
use serde_json::Value;
use tandem_store::Login;
use tandem_tests::{Account, Browser};
use uuid::Uuid;

use super::world::World;

/// A job that has failed, in the log alone.
pub(super) async fn failed(world: &World, account: &Account, ago: &str, state: &str) -> Result<Uuid> {
    let row = sqlx::query_scalar(
        "insert into log.jobs (job_id, account_id, job_type, scope, state, cause, queued_at, started_at, finished_at,
                               error_code, error_text, failures, event_number)
         select overlay(log.uuid_at(now() - $2::interval)::text placing right(gen_random_uuid()::text, 12) from 25)::uuid,
                $1, 'auto', 'changed', $3, 'window', now() - $2::interval, now() - $2::interval, now() - $2::interval,
                case when $3 = 'failed' then 'graph_unavailable' end, case when $3 = 'failed' then 'Service is 100% away' end,
                case when $3 = 'failed' then array['f00d'] end, 1
         returning job_id",
    );
    Ok(row.bind(account.id.0).bind(ago).bind(state).fetch_one(&world.tester.admin).await?)
}

/// The months that such jobs are in.
pub(super) async fn months(world: &World) -> Result<()> {
    tandem_store::log::make_months(&world.tester.store(Login::SyncLog)).await?;
    Ok(())
}

async fn ids(world: &World, browser: &mut Browser, query: &str) -> Result<Vec<Uuid>> {
    let page = browser.go(&world.page(&format!("/api/v1/jobs?{query}"))).await?;
    let found: Value = serde_json::from_str(&page.text)?;
    let jobs = found["jobs"].as_array().with_context(|| format!("{query}: {found}"))?;
    jobs.iter().map(|job| Ok(job["job_id"].as_str().context("an id")?.parse()?)).collect()
}

async fn step(world: &World, account: &Account, job: Uuid, after: &str, request: &str) -> Result<()> {
    sqlx::query(
        "insert into log.steps (job_id, number, account_id, at, kind, after, request_id, data)
         values ($1, 2, $2, now(), 'step', $3, $4, '{}')",
    )
    .bind(job)
    .bind(account.id.0)
    .bind(after)
    .bind(request)
    .execute(&world.tester.admin)
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn b1_operators_find_jobs_of_all_accounts_by_whatever_they_know() -> Result<()> {
    let world = World::start().await?;
    months(&world).await?;
    let first = failed(&world, &world.first, "3 hours", "failed").await?;
    let second = failed(&world, &world.second, "2 hours", "failed").await?;
    let partly = failed(&world, &world.second, "1 hour", "partly").await?;
    let request = "0b8a4d2e-9f3c-4c55-8a01-5d7a3c1f9e10";
    step(&world, &world.first, first, "+12125550101;ext=101", request).await?;
    step(&world, &world.second, second, "+12125550102", "other").await?;
    sqlx::query("update log.jobs set person = 'Gale O''Neil', job_type = 'manual' where job_id = $1")
        .bind(partly)
        .execute(&world.tester.admin)
        .await?;
    let mut olga = world.sign_in("olga").await?;
    let all = [partly, second, first];
    for (query, expected) in [
        ("", &all[..]),
        ("state=failed", &all[1..]),
        ("state=failed,partly", &all[..]),
        ("type=manual", &all[..1]),
        ("account=account1", &all[2..]),
        ("fingerprint=f00d", &all[1..]),
        ("fingerprint=beef", &[]),
        ("q=%2B12125550101", &all[2..]),
        ("q=%2B12125550109", &[]),
        (&format!("q={request}"), &all[2..]),
        (&format!("q={first}"), &all[2..]),
        ("q=o'neil", &all[..1]),
        ("q=100%25+away", &all[1..]),
        ("q=graph_unav", &all[1..]),
        ("q=%25", &all[1..]),
        ("q=graph%25", &[]),
        (&format!("after={second}"), &all[2..]),
        ("from=2020-01-01&to=2020-01-02", &[]),
        ("state=failed&account=account2&q=service", &all[1..2]),
    ] {
        assert_eq!(ids(&world, &mut olga, query).await?, expected, "{query}");
    }
    let page = olga.go(&world.page("/fleet/jobs?state=failed&q=service")).await?;
    page.says("value=\"service\"")?;
    page.says(&format!("href=\"/accounts/account1/jobs/{first}\""))?;
    page.says("href=\"/fleet/bulk/new?state=failed&#38;q=service\"")?;
    // what a job did stays behind a reason
    let job = olga.go(&world.page(&format!("/accounts/account1/jobs/{first}"))).await?;
    assert!(job.url.path().ends_with("/enter"), "{}", job.url);
    let seen = world.audited(Uuid::nil()).await?;
    assert_eq!(seen.iter().filter(|act| *act == "see_fleet allowed").count(), 20);
    world.tester.abandon().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn b32_odd_filters_are_refused_and_pages_follow_each_other() -> Result<()> {
    let world = World::start().await?;
    months(&world).await?;
    let mut made = Vec::new();
    for i in 0..60 {
        made.push(failed(&world, &world.first, &format!("{} minutes", 100 - i), "failed").await?);
    }
    made.reverse();
    let mut olga = world.sign_in("olga").await?;
    for query in [
        "page=-1",
        "size=1000000000",
        "sort=password",
        "state=gone",
        "type=x",
        "account=nobody",
        "from=-1",
        "to=2147483648",
        "after=-1",
        "q=%00",
        "from=9999-12-31T23:59:59Z",
    ] {
        let page = olga.go(&world.page(&format!("/api/v1/jobs?{query}"))).await?;
        assert!(
            page.status == 400 && page.text.contains("bad_input"),
            "{query}: {} {}",
            page.status,
            page.text
        );
    }
    let first = ids(&world, &mut olga, "state=failed").await?;
    assert_eq!(first, made[..50]);
    // one that arrives in between moves nothing
    failed(&world, &world.second, "1 minute", "failed").await?;
    assert_eq!(ids(&world, &mut olga, &format!("state=failed&after={}", first[49])).await?, made[50..]);
    olga.go(&world.page("/fleet/jobs")).await?.says("Older syncs")?;
    world.tester.abandon().await;
    Ok(())
}
