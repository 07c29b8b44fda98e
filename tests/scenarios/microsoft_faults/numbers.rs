//! F57, F58: numbers that cannot be given, and what a user lacks to be given one. Each row has its own reason, and the rest
//! of the job goes on.

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};
use tandem_tests::{Account, Tester};

use super::stage::{quiet, settings, writes};

/// What the tenant's inventory says of a number, by force.
async fn inventory(tester: &Tester, account: &Account, number: &str, state: &Value) -> Result<()> {
    let path = format!("tenants/{}/numbers/{}", account.tenant, number.replace('+', "%2B"));
    tester.switch(Method::PUT, &path, Some(state)).await.map(|_| ())
}

/// Microsoft's operation for a user's number fails with these words.
async fn fails_with(tester: &Tester, account: &Account, i: u32, words: &str) -> Result<()> {
    let action = json!({ "type": "operation", "status": "failed", "detail": words });
    let fault = json!({ "kind": "assignNumber", "times": 1, "user": account.oid(i).0, "action": action });
    tester.fault(&fault).await
}

async fn ended(
    tester: &Tester,
    account: &Account,
    i: u32,
    outcome: &str,
    code: &str,
    words: &[&str],
) -> Result<()> {
    let found = tester.outcome(account, i).await?;
    assert_eq!(found, (outcome.to_owned(), Some(code.to_owned())), "user {i}");
    let told = tester.told(account, i, "user").await?;
    let detail = told.last().and_then(|last| last["detail"].as_str()).context("a reason is told")?;
    for word in words {
        assert!(detail.contains(word), "user {i}: {detail}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f57_a_number_that_cannot_be_given_fails_its_user_and_nobody_else() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(8).await?;
    let n: Vec<String> = (1..=8).map(|i| account.telephone(i)).collect();
    for (i, state) in [
        (1, json!({ "numberType": "callingPlan" })),
        (2, json!({ "numberType": "operatorConnect" })),
        (3, json!({ "assignedTo": account.upn(3), "assignmentCategory": "private" })),
        (4, json!({ "assignedTo": account.upn(4), "assignmentCategory": "alternate" })),
        (5, json!({ "assignedTo": account.upn(5), "activationState": "assignmentFailed" })),
        (6, json!({ "activationState": "assignmentPending" })),
    ] {
        inventory(&tester, &account, &n[i - 1], &state).await?;
    }
    fails_with(&tester, &account, 7, "The number '+12125550107' is not found from tenant 'x'").await?;
    tester.debouncer().await?;
    tester.teams_sync(&settings()).await?;
    tester.sync_log().await?;
    let edits: Vec<_> = n.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    tester.save(&account, &edits).await?;
    // what Microsoft is still working on is waited for
    tester.until_deferred(&account, 6, "operation_running").await;
    inventory(&tester, &account, &n[5], &json!({ "activationState": "activated" })).await?;
    tester.at_rest().await;
    for (i, outcome, code, words) in [
        (1, "conflict", "number_not_direct_routing", [n[0].as_str(), "operator"]),
        (2, "conflict", "number_not_direct_routing", [n[1].as_str(), "operator"]),
        (3, "conflict", "number_is_secondary_line", [n[2].as_str(), "private or alternate"]),
        (4, "conflict", "number_is_secondary_line", [n[3].as_str(), "private or alternate"]),
        (5, "failed", "number_activation_failed", [n[4].as_str(), "take it off"]),
        (7, "failed", "number_not_in_tenant", ["add it to the tenant", "not found from tenant"]),
    ] {
        ended(&tester, &account, i, outcome, code, &words).await?;
    }
    for i in [6, 8] {
        assert_eq!(tester.teams(&account, i).await?.number.as_ref(), Some(&n[i as usize - 1]), "user {i}");
    }
    let sent = writes(&tester, &account).await?;
    assert_eq!(sent.len(), 3, "users 6, 7 and 8; nothing is sent for what is known not to go: {sent:?}");
    // a person does what the reason says, and the next sync goes on
    tester.take_away(&account, &n[4]).await?;
    tester.save(&account, &[(5, Some("+12125550155"))]).await?;
    tester.at_rest().await;
    assert_eq!(tester.teams(&account, 5).await?.number.as_deref(), Some("+12125550155"));
    assert_eq!(tester.outcome(&account, 5).await?.0, "confirmed");
    quiet(&tester).await?;
    tester.finish().await
}

/// An assignment that Microsoft reports as done and then cannot activate never shows green.
#[tokio::test(flavor = "multi_thread")]
async fn f57_a_number_that_is_not_activated_does_not_settle() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(1).await?;
    tester.debouncer().await?;
    // users settle at leisure: after the change below
    let slow = tandem_teams_sync::TeamsSyncSettings { ladder_speed: 1, ..settings() };
    tester.teams_sync(&slow).await?;
    let n = account.telephone(1);
    tester.save(&account, &[(1, Some(&n))]).await?;
    tester
        .until("select count(*) from sync.users where outcome = 'confirmed' and settle_next is not null", 1)
        .await;
    let failed = json!({ "assignedTo": account.upn(1), "activationState": "assignmentFailed" });
    inventory(&tester, &account, &n, &failed).await?;
    sqlx::query("update sync.users set settle_next = now()").execute(&tester.admin).await?;
    tester.until("select count(*) from sync.users where settle_looks > 0", 1).await;
    let not_settled =
        "select count(*) from queue.events where kind = 'settling' and data->>'agrees' = 'false'
                          and data->>'detail' like 'Microsoft could not activate%'";
    tester.until(not_settled, 1).await;
    assert_eq!(tester.count("select count(*) from sync.users where settled_gen > 0").await?, 0);
    tester.stop_roles().await?;
    tester.abandon().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f58_what_a_user_lacks_is_told_with_the_remedy() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(5).await?;
    for i in [1, 4] {
        tester.change_teams(&account, i, &json!({ "usageLocation": "" })).await?;
    }
    fails_with(&tester, &account, 1, "The request could not be completed.").await?;
    fails_with(&tester, &account, 2, "Emergency address is required for this number").await?;
    fails_with(&tester, &account, 3, "LocationId '7' was not found").await?;
    tester.debouncer().await?;
    tester.teams_sync(&settings()).await?;
    tester.sync_log().await?;
    let n: Vec<String> = (1..=5).map(|i| account.telephone(i)).collect();
    let edits: Vec<_> = n.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    tester.save(&account, &edits).await?;
    tester.at_rest().await;
    let upn = account.upn(1);
    for (i, code, words) in [
        (1, "usage_location_missing", ["set it in Microsoft 365", upn.as_str()]),
        (2, "emergency_location_missing", ["set the account's location", "Emergency address is required"]),
        (3, "emergency_location_missing", ["set the account's location", "LocationId '7'"]),
    ] {
        ended(&tester, &account, i, "failed", code, &words).await?;
    }
    // a missing usage location is a reason and no obstacle: Microsoft may give the number all the same
    for i in [4, 5] {
        assert_eq!(tester.teams(&account, i).await?.number.as_ref(), Some(&n[i as usize - 1]), "user {i}");
    }
    assert_eq!(writes(&tester, &account).await?.len(), 5, "one each, and none again");
    quiet(&tester).await?;
    tester.finish().await
}
