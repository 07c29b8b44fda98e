//! A broker that dies or forgets: the doorbell is lost, the sweeps do its work, and nothing is.

use std::time::Duration;

use anyhow::Result;
use tandem_testkit::eventually;
use tandem_tests::Account;

use crate::fleet::Fleet;

const N1: &str = "+12125550101";
const N2: &str = "+12125550102";
const N3: &str = "+12125550103";

async fn arrives(fleet: &Fleet, account: &Account, user: u32, number: &str) {
    eventually(Duration::from_secs(40), async || {
        let teams = fleet.tester.teams(account, user).await.ok()?;
        (teams.number.as_deref() == Some(number)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f20_the_broker_is_killed_and_work_goes_on() -> Result<()> {
    let mut fleet = Fleet::start().await?;
    let account = fleet.tester.account(3).await?;
    let all = fleet.run("all").await?;
    fleet.tester.save(&account, &[(1, Some(N1))]).await?;
    arrives(&fleet, &account, 1, N1).await;
    fleet.tester.nats.server.kill9().await;
    // with no broker at all a change arrives by sweeps alone
    fleet.tester.save(&account, &[(2, Some(N2))]).await?;
    arrives(&fleet, &account, 2, N2).await;
    // and a process that has lost it is still ready: it works
    let http = fleet.tester.http.clone();
    fleet.process(all).ready(&http).await?;
    fleet.tester.nats.server.restart().await?;
    fleet.tester.save(&account, &[(3, Some(N3))]).await?;
    fleet.expect(&account, &[Some(N1), Some(N2), Some(N3)], 3).await?;
    fleet.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn f21_the_store_is_wiped_and_the_broker_restarted() -> Result<()> {
    let mut fleet = Fleet::start().await?;
    let account = fleet.tester.account(3).await?;
    let ids = ["debouncer", "teams-sync", "sync-log"].map(|role| fleet.spawn(role, &[]));
    let ids = ids.into_iter().collect::<Result<Vec<_>>>()?;
    fleet.ready(&ids).await?;
    fleet.tester.save(&account, &[(1, Some(N1))]).await?;
    arrives(&fleet, &account, 1, N1).await;
    fleet.tester.save(&account, &[(2, Some(N2))]).await?;
    fleet.tester.nats.server.kill9().await;
    fleet.tester.nats.server.wipe_store()?;
    fleet.tester.nats.server.restart().await?;
    fleet.tester.save(&account, &[(3, Some(N3))]).await?;
    fleet.expect(&account, &[Some(N1), Some(N2), Some(N3)], 3).await?;
    fleet.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn f22_the_store_is_wiped_while_the_broker_runs() -> Result<()> {
    let mut fleet = Fleet::start().await?;
    let account = fleet.tester.account(3).await?;
    fleet.run("all").await?;
    fleet.tester.save(&account, &[(1, Some(N1))]).await?;
    arrives(&fleet, &account, 1, N1).await;
    fleet.tester.save(&account, &[(2, Some(N2))]).await?;
    fleet.tester.nats.server.wipe_store()?;
    fleet.tester.save(&account, &[(3, Some(N3))]).await?;
    fleet.expect(&account, &[Some(N1), Some(N2), Some(N3)], 3).await?;
    // a process that comes later finds no stream and makes it
    fleet.tester.nats.server.restart().await?;
    fleet.run("all").await?;
    fleet.tester.save(&account, &[(1, None)]).await?;
    fleet.expect(&account, &[None, Some(N2), Some(N3)], 4).await?;
    fleet.finish().await
}
