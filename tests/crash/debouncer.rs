//! Deaths of the debouncer.

use anyhow::Result;

use crate::fleet::Fleet;

const N1: &str = "+12125550101";
const N2: &str = "+12125550102";

/// Two changes in a row; the debouncer dies at `point`; one job carries both, or one each.
async fn dies_at(point: &str) -> Result<()> {
    let mut fleet = Fleet::start().await?;
    let account = fleet.tester.account(2).await?;
    let dying = fleet.run_armed("debouncer", point).await?;
    fleet.tester.save(&account, &[(1, Some(N1))]).await?;
    fleet.tester.save(&account, &[(2, Some(N2))]).await?;
    fleet.reborn(dying).await?;
    fleet.expect(&account, &[Some(N1), Some(N2)], 2).await?;
    let jobs = fleet.tester.jobs(&account).await?;
    assert!(jobs.len() <= 2, "a job each at most: {jobs:?}");
    fleet.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn f5_dies_before_the_window_is_saved() -> Result<()> {
    dies_at("deb.after_recv_before_due_saved").await
}

#[tokio::test(flavor = "multi_thread")]
async fn f6_dies_after_the_job_is_cut() -> Result<()> {
    dies_at("deb.after_job_insert_before_ack").await
}

#[tokio::test(flavor = "multi_thread")]
async fn f6_dies_after_the_window_is_saved() -> Result<()> {
    dies_at("deb.after_gather_before_ack").await
}
