//! Deaths of sync-log: every event is kept, and none twice.

use anyhow::Result;

use crate::fleet::Fleet;

const N1: &str = "+12125550101";
const N2: &str = "+12125550102";

async fn dies_at(point: &str) -> Result<()> {
    let mut fleet = Fleet::start().await?;
    let account = fleet.tester.account(2).await?;
    let dying = fleet.run_armed("sync-log", point).await?;
    fleet.tester.save(&account, &[(1, Some(N1)), (2, Some(N2))]).await?;
    fleet.reborn(dying).await?;
    fleet.expect(&account, &[Some(N1), Some(N2)], 2).await?;
    for (what, sql) in [
        (
            "jobs that the log shows otherwise",
            "select count(*) from queue.jobs j full join log.jobs l using (job_id) where j.state is distinct from l.state or j.event_number is distinct from l.event_number",
        ),
        (
            "steps that the log lacks or has made up",
            "select count(*) from (select job_id, number from queue.events where kind = 'step') e
            full join (select job_id, number from log.steps where kind = 'step') l using (job_id, number)
           where e.job_id is null or l.job_id is null",
        ),
    ] {
        assert_eq!(fleet.tester.count(sql).await?, 0, "{what}");
    }
    fleet.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn dies_before_the_record_is_committed() -> Result<()> {
    dies_at("log.before_commit").await
}

#[tokio::test(flavor = "multi_thread")]
async fn dies_after_the_record_is_kept() -> Result<()> {
    dies_at("log.after_keep_before_ack").await
}
