//! Writes that land late: taken for not done, because two equal reads said so, and then there all the same. A request
//! that takes a number off names no holder, so a stale one could strip a user that got the number meanwhile.

use std::time::Duration;

use anyhow::Result;
use reqwest::Method;
use serde_json::json;
use tandem_teams_sync::TeamsSyncSettings;
use tandem_testkit::eventually;
use tandem_tests::{Account, Tester, fast_sync};

const NUMBER: &str = "+12125550101";

/// Two reads close together, so that a slow write counts as not done.
async fn hasty_roles(tester: &mut Tester) -> Result<()> {
    let settings = TeamsSyncSettings { equal_reads: Duration::from_millis(600), ..fast_sync("worker-1") };
    tester.debouncer().await?;
    tester.teams_sync(&settings).await?;
    tester.sync_log().await
}

/// The next write of a kind gets no answer, and has no effect yet.
async fn lose(tester: &Tester, kind: &str) -> Result<()> {
    let action = json!({ "type": "drop", "when": "before" });
    tester.fault(&json!({ "kind": kind, "times": 1, "action": action })).await
}

/// The lost unassign lands after all. It names no holder.
async fn unassign_lands(tester: &Tester, account: &Account) -> Result<()> {
    tester.take_away(account, NUMBER).await
}

/// The lost assign lands after all.
async fn assign_lands(tester: &Tester, account: &Account, i: u32) -> Result<()> {
    let path = format!("tenants/{}/numbers/{}", account.tenant, NUMBER.replace('+', "%2B"));
    let held = json!({ "telephoneNumber": NUMBER, "assignedTo": account.upn(i), "keep": false });
    tester.switch(Method::PUT, &path, Some(&held)).await.map(|_| ())
}

async fn until_teams(tester: &Tester, account: &Account, i: u32, number: Option<&str>) {
    eventually(Duration::from_secs(30), || async {
        (tester.teams(account, i).await.ok()?.number.as_deref() == number).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_unassign_cannot_keep_the_number_off_its_user() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(1).await?;
    hasty_roles(&mut tester).await?;
    tester.save(&account, &[(1, Some(NUMBER))]).await?;
    tester.at_rest().await;
    lose(&tester, "unassignNumber").await?;
    tester.save(&account, &[(1, None)]).await?;
    tester.until_deferred(&account, 1, "outcome_unknown").await;
    tester.save(&account, &[(1, Some(NUMBER))]).await?;
    tester.until("select count(*) from sync.intents where state = 'not_done'", 1).await;
    tester.at_rest().await;
    assert_eq!(tester.requests("assignNumber").await?.len(), 1, "it has its number, so nothing is sent");
    unassign_lands(&tester, &account).await?;
    until_teams(&tester, &account, 1, Some(NUMBER)).await;
    tester.at_rest().await;
    assert_eq!(tester.requests("assignNumber").await?.len(), 2);
    assert_eq!(tester.requests("unassignNumber").await?.len(), 1);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_unassign_cannot_strip_the_number_that_a_successor_gave_to_somebody_else() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    hasty_roles(&mut tester).await?;
    tester.save(&account, &[(1, Some(NUMBER))]).await?;
    tester.at_rest().await;
    lose(&tester, "unassignNumber").await?;
    tester.save(&account, &[(1, None)]).await?;
    tester.until_deferred(&account, 1, "outcome_unknown").await;
    tester.save(&account, &[(2, Some(NUMBER))]).await?;
    // the verdicts at the end say that nothing was sent for the number while the outcome was open
    until_teams(&tester, &account, 2, Some(NUMBER)).await;
    tester.at_rest().await;
    unassign_lands(&tester, &account).await?;
    until_teams(&tester, &account, 2, Some(NUMBER)).await;
    tester.at_rest().await;
    assert_eq!(tester.teams(&account, 1).await?.number, None);
    assert_eq!(tester.requests("unassignNumber").await?.len(), 2, "the late one and the one that counted");
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_assign_is_taken_off_again() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(1).await?;
    hasty_roles(&mut tester).await?;
    lose(&tester, "assignNumber").await?;
    tester.save(&account, &[(1, Some(NUMBER))]).await?;
    tester.until_deferred(&account, 1, "outcome_unknown").await;
    tester.save(&account, &[(1, None)]).await?;
    tester.until("select count(*) from sync.intents where state = 'not_done'", 1).await;
    tester.at_rest().await;
    assign_lands(&tester, &account, 1).await?;
    until_teams(&tester, &account, 1, None).await;
    tester.at_rest().await;
    assert_eq!(tester.requests("assignNumber").await?.len(), 1);
    assert_eq!(tester.requests("unassignNumber").await?.len(), 1);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn e3_a_foreign_change_is_not_taken_for_a_late_write() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    hasty_roles(&mut tester).await?;
    tester.save(&account, &[(1, Some(NUMBER)), (2, Some("+12125550102"))]).await?;
    tester.at_rest().await;
    // a write for the first user is under watch; the second one's number is taken away by somebody else
    tester
        .fault(
            &json!({ "kind": "unassignNumber", "times": 1, "action": { "type": "drop", "when": "before" } }),
        )
        .await?;
    tester.save(&account, &[(1, None)]).await?;
    tester.until("select count(*) from sync.intents where state = 'not_done'", 1).await;
    tester.at_rest().await;
    tester.take_away(&account, "+12125550102").await?;
    let watched = tester.requests("numberAssignments.list").await?.len();
    eventually(Duration::from_secs(30), || async {
        (tester.requests("numberAssignments.list").await.ok()?.len() > watched + 1).then_some(())
    })
    .await;
    tester.at_rest().await;
    assert_eq!(tester.requests("assignNumber").await?.len(), 2, "nothing is overwritten by itself");
    tester.finish().await
}
