//! What goes wrong between a write and its outcome: lost replies, operations that hang or fail, users that are not
//! ready. No write is repeated blindly; the other users of the job go on.

mod claims;
mod harness;

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use tandem_teams_sync::TeamsSyncSettings;
use tandem_tests::{Account, Tester, fast_sync};

/// A worker that does not follow operations for long.
fn impatient() -> TeamsSyncSettings {
    TeamsSyncSettings {
        operation_patience: Duration::from_secs(1),
        intent_patience: Duration::from_secs(2),
        ..fast_sync("worker-1")
    }
}

async fn roles(tester: &mut Tester, settings: &TeamsSyncSettings) -> Result<()> {
    tester.debouncer().await?;
    tester.teams_sync(settings).await?;
    tester.sync_log().await
}

/// One request of a kind for a user gets no answer.
async fn lose(tester: &Tester, account: &Account, i: u32, kind: &str, when: &str) -> Result<()> {
    let user = account.oid(i).0;
    let fault = json!({ "kind": kind, "user": user, "times": 1, "action": { "type": "drop", "when": when } });
    tester.fault(&fault).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_after_the_effect_is_settled_by_reading() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(3).await?;
    lose(&tester, &account, 1, "assignNumber", "after").await?;
    tester.all_roles().await?;
    let numbers: Vec<String> = (1..=3).map(|i| account.telephone(i)).collect();
    tester.save(&account, &[(1, Some(&numbers[0])), (2, Some(&numbers[1])), (3, Some(&numbers[2]))]).await?;
    tester.until_deferred(&account, 1, "outcome_unknown").await;
    let others = [tester.teams(&account, 2).await?.number, tester.teams(&account, 3).await?.number];
    assert_eq!(others, [Some(numbers[1].clone()), Some(numbers[2].clone())], "the others went on");
    tester.at_rest().await;
    assert_eq!(tester.jobs(&account).await?, ["partly", "succeeded"]);
    assert_eq!(tester.teams(&account, 1).await?.number.as_ref(), Some(&numbers[0]));
    assert_eq!(tester.intents(&account, 1).await?, ["done"]);
    assert_eq!(tester.requests("assignNumber").await?.len(), 3, "nothing was sent twice");
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_lost_before_its_effect_is_sent_again_once_reading_shows_it() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    lose(&tester, &account, 1, "assignNumber", "before").await?;
    tester.all_roles().await?;
    tester.save(&account, &[(1, Some("+12125550101")), (2, Some("+12125550102"))]).await?;
    tester.until_deferred(&account, 1, "outcome_unknown").await;
    tester.at_rest().await;
    assert_eq!(tester.intents(&account, 1).await?, ["not_done", "done"]);
    assert_eq!(tester.teams(&account, 1).await?.number.as_deref(), Some("+12125550101"));
    let answered: Vec<Value> =
        tester.requests("assignNumber").await?.into_iter().filter(|r| r["status"] == 202).collect();
    assert_eq!(answered.len(), 2, "one effective assign for each");
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_replies_of_unassign_and_policy_are_settled_by_reading() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(4).await?;
    let rule = json!({
        "when": { "set": { "field": "voicemail_enabled" } },
        "policy_type": "TeamsCallingPolicy", "policy_name": "Tandem-PBX-Voicemail",
    });
    tester.rules(&account, &[rule]).await?;
    tester.all_roles().await?;
    let numbers: Vec<String> = (1..=4).map(|i| account.telephone(i)).collect();
    let edits: Vec<_> = numbers.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    tester.save(&account, &edits).await?;
    tester.at_rest().await;
    // taking a number off names no user, so the fault looks for the number
    for (number, when) in [(&numbers[0], "after"), (&numbers[1], "before")] {
        let fault = json!({ "kind": "unassignNumber", "number": number, "times": 1, "action": { "type": "drop", "when": when } });
        tester.fault(&fault).await?;
    }
    lose(&tester, &account, 3, "policy.assign", "after").await?;
    lose(&tester, &account, 4, "policy.assign", "before").await?;
    let mut profiles = vec![(1, account.profile(1, None)), (2, account.profile(2, None))];
    for i in [3, 4] {
        let mut profile = account.profile(i, Some(&numbers[i as usize - 1]));
        profile.voicemail_enabled = true;
        profiles.push((i, profile));
    }
    tester.save_profiles(&account, &profiles).await?;
    for i in 1..=4 {
        tester.until_deferred(&account, i, "outcome_unknown").await;
    }
    tester.at_rest().await;
    assert_eq!(tester.numbers(&account, 2).await?, [None, None]);
    for i in [3, 4] {
        assert_eq!(tester.policies(&account, i).await?, ["TeamsCallingPolicy Tandem-PBX-Voicemail"]);
    }
    for (i, states) in
        [(1, vec!["done"]), (2, vec!["not_done", "done"]), (3, vec!["done"]), (4, vec!["not_done", "done"])]
    {
        assert_eq!(tester.intents(&account, i).await?[1..], states, "user {i}");
    }
    assert_eq!(tester.requests("unassignNumber").await?.len(), 3);
    assert_eq!(tester.requests("policy.assign").await?.len(), 3);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn while_an_operation_runs_its_user_and_number_are_left_alone() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(3).await?;
    let stuck = json!({ "kind": "assignNumber", "times": 1, "user": account.oid(1).0,
                        "action": { "type": "operation", "stuck": true } });
    tester.fault(&stuck).await?;
    roles(&mut tester, &impatient()).await?;
    tester.save(&account, &[(1, Some("+12125550101")), (2, Some("+12125550102"))]).await?;
    tester.until_deferred(&account, 1, "operation_running").await;
    // the user gets another number, and another user the one that is on its way
    let generation = tester.save(&account, &[(1, Some("+12125550109")), (3, Some("+12125550101"))]).await?;
    tester.until_covered(&account, generation).await;
    tester.until_deferred(&account, 3, "operation_running").await;
    assert_eq!(tester.requests("assignNumber").await?.len(), 2, "nothing for the user or the number");
    tester.finish_operation(&account, "succeeded").await?;
    tester.at_rest().await;
    let number = |n: &str| Some(n.to_owned());
    assert_eq!(
        tester.numbers(&account, 3).await?,
        [number("+12125550109"), number("+12125550102"), number("+12125550101")]
    );
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_operation_says_what_becomes_of_its_user() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(5).await?;
    let ends = [
        json!({ "type": "operation", "detail": "Service is unavailable right now." }),
        json!({ "type": "operation", "detail": "Something that nobody has seen before." }),
        json!({ "type": "operation", "status": "skipped" }),
        json!({ "type": "operation", "detail": "The number has already been assigned to another user." }),
    ];
    for (action, i) in ends.iter().zip(1..) {
        let fault = json!({ "kind": "assignNumber", "user": account.oid(i).0, "times": 1, "action": action });
        tester.fault(&fault).await?;
    }
    tester.all_roles().await?;
    let numbers: Vec<String> = (1..=5).map(|i| account.telephone(i)).collect();
    let edits: Vec<_> = numbers.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    tester.save(&account, &edits).await?;
    tester.at_rest().await;
    assert_eq!(tester.jobs(&account).await?, ["partly"]);
    assert_eq!(tester.intents(&account, 1).await?, ["refused", "done"], "tried again within the job");
    let failed = |code: &str| ("failed".to_owned(), Some(code.to_owned()));
    assert_eq!(tester.outcome(&account, 2).await?, failed("operation_failed"));
    assert_eq!(tester.outcome(&account, 3).await?, failed("operation_failed"));
    assert_eq!(tester.outcome(&account, 4).await?, failed("number_taken"));
    let held = tester.numbers(&account, 5).await?;
    assert_eq!(held, [Some(numbers[0].clone()), None, None, None, Some(numbers[4].clone())]);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_microsoft_has_forgotten_is_settled_by_reading() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(1).await?;
    tester.fault(&json!({ "kind": "operation", "action": { "type": "respond", "status": 404 } })).await?;
    roles(&mut tester, &impatient()).await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    tester.at_rest().await;
    assert_eq!(tester.intents(&account, 1).await?, ["done"]);
    assert_eq!(tester.requests("assignNumber").await?.len(), 1);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_never_ends_waits_for_a_person() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(1).await?;
    let stuck =
        json!({ "kind": "assignNumber", "times": 1, "action": { "type": "operation", "stuck": true } });
    tester.fault(&stuck).await?;
    roles(&mut tester, &TeamsSyncSettings { operation_life: Duration::from_secs(5), ..impatient() }).await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    tester.at_rest().await;
    assert_eq!(tester.intents(&account, 1).await?, ["given_up"]);
    let given_up = ("failed".to_owned(), Some("operation_not_finished".to_owned()));
    assert_eq!(tester.outcome(&account, 1).await?, given_up);
    assert_eq!(tester.requests("assignNumber").await?.len(), 1, "nothing is sent again by itself");
    tester.request(&account, "all").await?;
    tester.at_rest().await;
    assert_eq!(tester.teams(&account, 1).await?.number.as_deref(), Some("+12125550101"));
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_that_does_not_show_yet_is_not_sent_again() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(1).await?;
    tester.settings(&json!({ "landing": { "inventoryMs": 10_000, "userConfigurationMs": 10_000 } })).await?;
    tester.all_roles().await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    tester.until_deferred(&account, 1, "operation_running").await;
    tester.at_rest().await;
    assert_eq!(tester.requests("assignNumber").await?.len(), 1);
    assert_eq!(tester.outcome(&account, 1).await?.0, "unchanged");
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn users_that_are_not_ready_are_looked_at_again() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(3).await?;
    tester.change_teams(&account, 1, &json!({ "featureTypes": ["Teams"] })).await?;
    tester.change_teams(&account, 2, &json!({ "knownToTeams": false })).await?;
    tester.all_roles().await?;
    tester
        .save(&account, &[(1, Some("+12125550101")), (2, Some("+12125550102")), (3, Some("+12125550103"))])
        .await?;
    tester.until_deferred(&account, 1, "licence_pending").await;
    tester.until_deferred(&account, 2, "not_in_teams_yet").await;
    tester.until("select count(*) from queue.jobs where state = 'partly'", 1).await;
    assert_eq!(tester.requests("assignNumber").await?.len(), 1, "nothing is tried in vain");
    tester.change_teams(&account, 1, &json!({ "featureTypes": ["Teams", "PhoneSystem"] })).await?;
    tester.change_teams(&account, 2, &json!({ "knownToTeams": true })).await?;
    tester.at_rest().await;
    assert_eq!(tester.requests("assignNumber").await?.len(), 3);
    assert_eq!(tester.numbers(&account, 3).await?.iter().flatten().count(), 3);
    assert_eq!(tester.count("select count(*) from queue.jobs where state = 'failed'").await?, 0);
    assert_eq!(tester.count("select sum(failures)::bigint from sync.accounts").await?, 0);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deferred_user_that_is_unmapped_is_waited_for_no_longer() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(1).await?;
    tester.change_teams(&account, 1, &json!({ "knownToTeams": false })).await?;
    tester.all_roles().await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    tester.until_deferred(&account, 1, "not_in_teams_yet").await;
    tester.unmap(&account, 1).await?;
    tester.at_rest().await;
    assert_eq!(tester.requests("assignNumber").await?.len(), 0);
    tester.finish().await
}
