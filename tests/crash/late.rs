//! Writes of a dead worker that Microsoft carries out late. While such a write has no known outcome nobody touches its
//! user or its number; one that was taken for not done and lands after all is corrected by a new job.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::json;
use tandem_testkit::eventually;
use tandem_tests::Account;

use crate::fleet::Fleet;

const N1: &str = "+12125550101";
const N2: &str = "+12125550102";
const PATIENCE: Duration = Duration::from_secs(40);

/// A fleet whose worker died after Microsoft accepted a write and before that was on record. The operation stays with
/// the simulator, which carries it out when it is told to: its effect is as late as the test wants it.
struct Stale {
    fleet: Fleet,
    account: Account,
    operation: String,
}

impl Stale {
    /// `edit` makes the worker send a write of this kind as its n-th, after which it dies; a successor runs already.
    async fn of(kind: &str, nth_write: u32, numbers: &[&str], edit: (u32, Option<&str>)) -> Result<Self> {
        let mut fleet = Fleet::start().await?;
        let account = fleet.account_with(numbers).await?;
        let stuck = json!({ "kind": kind, "times": 1, "action": { "type": "operation", "stuck": true } });
        fleet.tester.fault(&stuck).await?;
        let dying = fleet
            .run_armed("teams-sync", &format!("wrk.after_202_before_location_saved:{nth_write}"))
            .await?;
        fleet.tester.save(&account, &[edit]).await?;
        fleet.reborn(dying).await?;
        let path = format!("tenants/{}/operations", account.tenant);
        let operations = fleet.tester.switch(Method::GET, &path, None).await?;
        let found = operations["operations"].as_array().into_iter().flatten();
        let mut open = found.filter(|o| o["status"] != "succeeded");
        let operation = open.next().and_then(|o| o["id"].as_str()).context("the accepted write")?.to_owned();
        Ok(Self { fleet, account, operation })
    }

    /// Waits until reading has shown that the write was not done.
    async fn taken_for_not_done(&self) {
        eventually(PATIENCE, async || {
            let ended = "select count(*) from sync.intents where state = 'not_done'";
            (self.fleet.tester.count(ended).await.ok()? == 1).then_some(())
        })
        .await;
    }

    /// Now it lands.
    async fn lands(&self) -> Result<()> {
        let path = format!("tenants/{}/operations/{}/finish", self.account.tenant, self.operation);
        let ended =
            self.fleet.tester.switch(Method::POST, &path, Some(&json!({ "status": "succeeded" }))).await?;
        assert_eq!(ended["status"], "succeeded", "the stale write has its effect: {ended}");
        Ok(())
    }

    async fn eventually_has(&self, user: u32, number: Option<&str>) {
        eventually(PATIENCE, async || {
            (self.fleet.tester.teams(&self.account, user).await.ok()?.number.as_deref() == number)
                .then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_unassign_that_lands_while_its_outcome_is_open_is_waited_for() -> Result<()> {
    let mut fleet = Fleet::start().await?;
    let account = fleet.account_with(&[N1, N2]).await?;
    // beyond lease and wait-out, and after the first of the two equal reads
    let late =
        json!({ "kind": "unassignNumber", "times": 1, "action": { "type": "delayEffect", "ms": 5300 } });
    fleet.tester.fault(&late).await?;
    for role in ["debouncer", "sync-log"] {
        fleet.run(role).await?;
    }
    let worker = fleet.run("teams-sync").await?;
    // user 1 loses its number; the worker dies while Microsoft is silent
    fleet.tester.save(&account, &[(1, None)]).await?;
    fleet.received("unassignNumber", 1).await;
    fleet.process(worker).kill9().await?;
    // meanwhile the number is given back to user 1 in the PBX
    fleet.tester.save(&account, &[(1, Some(N1))]).await?;
    fleet.run("teams-sync").await?;
    fleet.tester.at_rest().await;
    // the effect showed before anybody acted, so there was one write for it and one that gave the number back; had it
    // been taken for not done, the new job would have found nothing to do until it landed
    fleet.expect(&account, &[Some(N1), Some(N2)], 2).await?;
    fleet.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_unassign_cannot_strip_a_number_given_back_to_its_user() -> Result<()> {
    let stale = Stale::of("unassignNumber", 1, &[N1, N2], (1, None)).await?;
    stale.fleet.tester.save(&stale.account, &[(1, Some(N1))]).await?;
    stale.taken_for_not_done().await;
    stale.fleet.expect(&stale.account, &[Some(N1), Some(N2)], 1).await?;
    stale.lands().await?;
    stale.eventually_has(1, None).await;
    stale.eventually_has(1, Some(N1)).await;
    stale.fleet.expect(&stale.account, &[Some(N1), Some(N2)], 2).await?;
    stale.fleet.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_unassign_cannot_strip_a_number_given_to_somebody_else() -> Result<()> {
    let stale = Stale::of("unassignNumber", 1, &[N1, N2], (1, None)).await?;
    // user 2 gets the number of user 1: its own comes off, the new one comes from the dead worker's user
    stale.fleet.tester.save(&stale.account, &[(2, Some(N1))]).await?;
    stale.taken_for_not_done().await;
    stale.fleet.expect(&stale.account, &[None, Some(N1)], 4).await?;
    stale.lands().await?;
    stale.eventually_has(2, None).await;
    stale.eventually_has(2, Some(N1)).await;
    stale.fleet.expect(&stale.account, &[None, Some(N1)], 5).await?;
    stale.fleet.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_assign_does_not_stay_on_a_user_that_should_have_none() -> Result<()> {
    let stale = Stale::of("assignNumber", 2, &[N1], (1, Some(N2))).await?;
    stale.fleet.tester.save(&stale.account, &[(1, None)]).await?;
    stale.taken_for_not_done().await;
    stale.fleet.expect(&stale.account, &[None], 2).await?;
    stale.lands().await?;
    stale.eventually_has(1, Some(N2)).await;
    stale.eventually_has(1, None).await;
    stale.fleet.expect(&stale.account, &[None], 3).await?;
    stale.fleet.finish().await
}
