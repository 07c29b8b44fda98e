//! From due to start, when many accounts are due at once.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use tandem_teams_sync::TeamsSyncSettings;
use tokio::time::{Instant, sleep};

use crate::fleet::Fleet;
use crate::gather::debouncer;
use crate::report::{percentile, say};
use crate::servers::{Servers, context, end};
use crate::tenant::{Microsoft, Pressure, graph, worker};

const ACCOUNTS: usize = 10_000;

/// One run, in seconds.
pub(crate) struct Run {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// 10,000 accounts due in the same second. Microsoft knows none of their tenants, so each job ends when it has asked for a
/// token: what is measured is the way from the due time to the claim, beside the work of jobs that begin and end.
pub(crate) async fn run(servers: &Servers) -> Result<Run> {
    let stage = servers.stage().await?;
    let fleet = Fleet::new(ACCOUNTS, 1);
    fleet.seed(&stage.owner).await?;
    // changes and windows as the debouncer would have left them, due within one second, three seconds from now; no canary
    // finds out before the jobs that the tenants are unknown
    sqlx::query(
        "insert into vault.authorizations (account_id, tenant_id, client_id, state, bound_by, next_canary)
         select account_id, gen_random_uuid(), $1, 'healthy', 'bench', now() + interval '1 hour' from admin.accounts",
    )
    .bind(msgraph_sim::DEMO_APP.to_string())
    .execute(&stage.owner)
    .await?;
    sqlx::raw_sql(
        "update change.generations set gen = 1, changed_at = now();
         insert into change.log (account_id, gen, pbx_user_id, kind, fields, source, detected_at)
         select m.account_id, 1, m.pbx_user_id, 'updated', '{dnd}', 'bench', now() from admin.mappings m",
    )
    .execute(&stage.owner)
    .await?;
    stage.settle().await?;
    let ctx = context();
    let microsoft = Microsoft::start(Duration::from_millis(100)).await?;
    let settings = TeamsSyncSettings {
        worker: "bench".to_owned(),
        auto_slots: ACCOUNTS,
        ..TeamsSyncSettings::default()
    };
    worker(&ctx, &stage, graph(microsoft.sim.base_url(), Pressure::PRODUCTION)?, &settings).await?;
    sqlx::raw_sql(
        "update queue.windows set gathered_gen = 1, first_change_at = now(), last_change_at = now(),
                due_at = now() + interval '3 s' + random() * interval '1 s'",
    )
    .execute(&stage.owner)
    .await?;
    servers.count_statements(&stage).await?;
    debouncer(&ctx, &stage).await?;
    let deadline = Instant::now() + Duration::from_secs(90);
    let wanted = i64::try_from(ACCOUNTS)?;
    while stage.number("select count(*) from queue.jobs where started_at is not null").await? < wanted {
        if Instant::now() > deadline {
            let left = "select coalesce(string_agg(concat_ws(' ', n, state, parked), ', '), 'no job')
                          from (select state, parked, count(*) as n from queue.jobs group by 1, 2) j";
            let left: String = sqlx::query_scalar(left).fetch_one(&stage.owner).await?;
            bail!("due accounts do not start: {left}");
        }
        sleep(Duration::from_millis(250)).await;
    }
    let waits: Vec<f64> =
        sqlx::query_scalar("select extract(epoch from started_at - due_at)::float8 from queue.jobs")
            .fetch_all(&stage.owner)
            .await?;
    let cut: f64 =
        sqlx::query_scalar("select max(extract(epoch from queued_at - due_at))::float8 from queue.jobs")
            .fetch_one(&stage.owner)
            .await?;
    let run = Run { p50: percentile(&waits, 0.5), p99: percentile(&waits, 0.99) };
    say(&format!("  p50 {:.2} s, p99 {:.2} s, last cut after {cut:.2} s", run.p50, run.p99));
    servers.tell_statements(&stage).await?;
    // the worker is not stopped in the midst of thousands of jobs
    let deadline = Instant::now() + Duration::from_secs(180);
    while stage.number("select count(*) from queue.jobs where finished_at is null").await? > 0 {
        ensure!(Instant::now() < deadline, "jobs do not end");
        sleep(Duration::from_millis(250)).await;
    }
    end(&ctx).await?;
    microsoft.sim.shutdown().await;
    servers.clear(stage).await?;
    Ok(run)
}
