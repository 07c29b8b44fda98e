//! The token of a person who signed in leaves no trace, whatever dies meanwhile.

use anyhow::{Context, Result};
use tandem_domain::job::JobScope;

use crate::canary::{leaves_no_trace, shows_in_the_wal};
use crate::fleet::Fleet;

const N1: &str = "+12125550101";

#[tokio::test(flavor = "multi_thread")]
async fn e11_i16_i17_a_persons_token_leaves_no_trace_when_its_worker_is_killed() -> Result<()> {
    let mut fleet = Fleet::start().await?;
    let account = fleet.tester.account(3).await?;
    let gale = fleet.tester.global_admin(&account, "gale").await?;
    let token = fleet.tester.sign_in(&account, gale).await?;
    let dying = fleet.run_armed("teams-sync", "wrk.after_202_before_location_saved").await?;
    fleet.tester.save(&account, &[(1, Some(N1))]).await?;
    let request = fleet.tester.sync_now(&account, JobScope::All, &token).await?;
    // what was stored, to prove that the search would find it
    let sealed: Vec<u8> = sqlx::query_scalar("select sealed from vault.job_tokens where request_id = $1")
        .bind(request)
        .fetch_one(&fleet.tester.admin)
        .await?;
    shows_in_the_wal(&fleet, &sealed).await?;
    let living = fleet.reborn(dying).await?;
    let limits = fleet.process(living).limits()?;
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).context("a limit")?;
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "no core dumps: {core}");
    fleet.tester.at_rest().await;
    assert_eq!(fleet.tester.teams(&account, 1).await?.number.as_deref(), Some(N1));
    let used = "select count(*) from queue.jobs where token_request is not null and job_type = 'manual'";
    assert_eq!(fleet.tester.count(used).await?, 1);
    leaves_no_trace(&fleet, &account, &token).await?;
    fleet.finish().await
}
