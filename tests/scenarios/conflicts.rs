//! Who holds a number, moves and their gap, users that wait, users of the app.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};
use tandem_store::admin::requests::Ask;
use tandem_teams_sync::TeamsSyncSettings;
use tandem_tests::{Account, Tester, fast_sync};

/// Sets a number in the tenant by force.
async fn set(tester: &Tester, account: &Account, number: &str, state: Value) -> Result<()> {
    let path = format!("tenants/{}/numbers/{}", account.tenant, number.replace('+', "%2B"));
    let mut body = json!({ "telephoneNumber": number, "numberType": "directRouting" });
    if let (Value::Object(body), Value::Object(state)) = (&mut body, state) {
        body.extend(state);
    }
    tester.switch(Method::PUT, &path, Some(&body)).await.map(|_| ())
}

async fn detail(tester: &Tester, account: &Account, i: u32) -> Result<String> {
    Ok(sqlx::query_scalar("select detail from sync.users where account_id = $1 and pbx_user_id = $2")
        .bind(account.id.0)
        .bind(account.user(i).0)
        .fetch_one(&tester.admin)
        .await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn f55_every_foreign_holder_is_named_with_its_own_code_and_left_alone() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(8).await?;
    let numbers: Vec<String> = (1..=8).map(|i| account.telephone(i)).collect();
    let people = json!({ "users": [
        { "userPrincipalName": "desk@account1.example", "phonePlan": "Enabled", "knownToTeams": true },
        { "userPrincipalName": "lobby@account1.example", "accountType": "resourceAccount", "knownToTeams": true },
        { "userPrincipalName": "gone@account1.example", "displayName": "Dana Doe", "phonePlan": "Enabled", "knownToTeams": true },
        { "userPrincipalName": "former@account1.example", "phonePlan": "Enabled", "knownToTeams": true },
    ] });
    tester.switch(Method::PUT, &format!("tenants/{}", account.tenant), Some(&people)).await?;
    let orphan = "00000000-0000-4000-8000-00000000beef";
    let holders = [
        (
            json!({ "assignedTo": "desk@account1.example" }),
            "number_held_by_unmanaged_user",
            "desk@account1.example",
        ),
        (
            json!({ "assignedTo": "lobby@account1.example" }),
            "number_held_by_resource_account",
            "lobby@account1.example",
        ),
        (
            json!({ "assignedTo": "former@account1.example" }),
            "number_held_by_unlicensed_user",
            "former@account1.example",
        ),
        (json!({ "assignedTo": orphan }), "number_held_by_unknown_id", orphan),
        (
            json!({ "assignedTo": orphan, "assignmentStatus": "conferenceAssigned" }),
            "number_held_by_conference",
            "audio conference",
        ),
        (
            json!({ "assignedTo": orphan, "assignmentStatus": "voiceApplicationAssigned" }),
            "number_held_by_voice_app",
            "voice application",
        ),
        (json!({ "assignedTo": "gone@account1.example" }), "number_held_by_deleted_user", "Dana Doe"),
    ];
    for ((state, _, _), number) in holders.iter().zip(&numbers) {
        set(&tester, &account, number, state.clone()).await?;
    }
    let former = format!("tenants/{}/users/former@account1.example", account.tenant);
    tester.switch(Method::PATCH, &former, Some(&json!({ "phonePlan": "Deleted" }))).await?;
    let gone = format!("tenants/{}/users/gone@account1.example", account.tenant);
    tester.switch(Method::DELETE, &gone, None).await?;
    tester.all_roles().await?;
    let edits: Vec<_> = numbers.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    tester.save(&account, &edits).await?;
    tester.at_rest().await;
    // the same from the pages that a look at everybody reads
    tester.request(&account, "all").await?;
    tester.at_rest().await;
    for ((_, code, holder), i) in holders.iter().zip(1..) {
        let outcome = tester.outcome(&account, i).await?;
        assert_eq!(outcome, ("conflict".to_owned(), Some((*code).to_owned())), "user {i}");
        let text = detail(&tester, &account, i).await?;
        assert!(text.contains(holder), "{text}");
    }
    assert_eq!(tester.outcome(&account, 8).await?.0, "unchanged");
    assert_eq!(tester.requests("unassignNumber").await?.len(), 0);
    assert_eq!(tester.requests("assignNumber").await?.len(), 1);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn f54_a_move_and_a_swap_measure_the_time_without_dial_tone() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(3).await?;
    tester.all_roles().await?;
    let n: Vec<String> = (1..=4).map(|i| account.telephone(i)).collect();
    tester.save(&account, &[(1, Some(&n[0])), (2, Some(&n[1])), (3, None)]).await?;
    tester.at_rest().await;
    // 1 gives its number to 3 and gets another, within one job
    tester.save(&account, &[(1, Some(&n[3])), (3, Some(&n[0]))]).await?;
    tester.at_rest().await;
    let gap = |told: &[Value]| told.last().and_then(|told| told["gap_s"].as_f64());
    let first = tester.told(&account, 1, "user").await?;
    assert!(gap(&first).context("a gap is told")? > 0.0);
    let third = tester.told(&account, 3, "user").await?;
    assert_eq!(gap(&third), None, "who had nothing has no gap");
    tester.save(&account, &[(1, Some(&n[1])), (2, Some(&n[3]))]).await?;
    tester.at_rest().await;
    for i in [1, 2] {
        assert!(gap(&tester.told(&account, i, "user").await?).is_some(), "user {i}");
    }
    assert_eq!(tester.jobs(&account).await?, ["succeeded"; 3]);
    tester.finish().await
}

/// A worker that fails quickly.
fn impatient() -> TeamsSyncSettings {
    TeamsSyncSettings { step_retries: Vec::new(), in_flight: 1, ..fast_sync("worker-1") }
}

async fn roles(tester: &mut Tester) -> Result<()> {
    tester.debouncer().await?;
    tester.teams_sync(&impatient()).await?;
    tester.sync_log().await
}

#[tokio::test(flavor = "multi_thread")]
async fn i10_a_refused_assign_puts_the_old_number_back() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(3).await?;
    roles(&mut tester).await?;
    let n: Vec<String> = (1..=4).map(|i| account.telephone(i)).collect();
    tester.save(&account, &[(1, Some(&n[0])), (2, Some(&n[1]))]).await?;
    tester.at_rest().await;
    // 2 takes the number of 1, which takes a free one that Microsoft refuses
    let refusal = json!({ "kind": "assignNumber", "number": n[3], "times": 1,
                          "action": { "type": "operation", "detail": "Something that nobody has seen before." } });
    tester.fault(&refusal).await?;
    tester.save(&account, &[(1, Some(&n[3])), (2, Some(&n[0]))]).await?;
    tester.until_covered(&account, 4).await;
    tester
        .until("select count(*) from sync.users where outcome = 'failed' and code = 'operation_failed'", 1)
        .await;
    let found = tester.numbers(&account, 2).await?;
    assert_eq!(found, [Some(n[0].clone()), Some(n[1].clone())], "everybody has a number");
    let text = detail(&tester, &account, 1).await?;
    assert!(text.contains("nobody has seen before") && text.contains("was put back"), "{text}");
    assert!(tester.told(&account, 1, "alert").await?.is_empty());
    // the next change finishes it
    let mut profile = account.profile(1, Some(&n[3]));
    profile.display_name = Some("Another Name".to_owned());
    tester.save_profiles(&account, &[(1, profile)]).await?;
    tester.at_rest().await;
    assert_eq!(tester.numbers(&account, 2).await?, [Some(n[3].clone()), Some(n[0].clone())]);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn f51_a_licence_removed_in_the_middle_is_told_before_microsofts_text() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    let slow = TeamsSyncSettings { operation_patience: Duration::from_secs(20), ..impatient() };
    tester.debouncer().await?;
    tester.teams_sync(&slow).await?;
    tester.sync_log().await?;
    let n: Vec<String> = (1..=3).map(|i| account.telephone(i)).collect();
    tester.save(&account, &[(1, Some(&n[0]))]).await?;
    tester.at_rest().await;
    let stuck = json!({ "kind": "assignNumber", "number": n[2], "times": 1, "action": { "type": "operation", "stuck": true } });
    tester.fault(&stuck).await?;
    tester.save(&account, &[(1, Some(&n[2])), (2, Some(&n[1]))]).await?;
    let assigning = "select count(*) from sync.intents where state = 'accepted' and action = 'assign_number'
                       and microsoft_user in (select microsoft_user from sync.intents where action = 'unassign_number')";
    tester.until(assigning, 1).await;
    tester.change_teams(&account, 1, &json!({ "phonePlan": "Deleted" })).await?;
    let path = format!("tenants/{}/operations", account.tenant);
    let all = tester.switch(Method::GET, &path, None).await?;
    let all = all["operations"].as_array().cloned().unwrap_or_default();
    let running = all.iter().find(|o| !matches!(o["status"].as_str(), Some("succeeded" | "failed")));
    let id = running.and_then(|o| o["id"].as_str()).context("an operation is running")?;
    let theirs = "The telephone number is set in on-premises AD";
    let end = json!({ "status": "failed", "detail": theirs });
    tester.switch(Method::POST, &format!("{path}/{id}/finish"), Some(&end)).await?;
    tester.at_rest().await;
    assert_eq!(
        tester.outcome(&account, 1).await?,
        ("failed".to_owned(), Some("no_phone_licence".to_owned()))
    );
    let text = detail(&tester, &account, 1).await?;
    let ours = text.find("has no Teams Phone licence").context("our words")?;
    assert!(ours < text.find(theirs).context("their words")?, "{text}");
    // without a licence the old number cannot come back, and that is told aloud
    let alerts = tester.told(&account, 1, "alert").await?;
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0]["code"], "left_without_number");
    assert_eq!(alerts[0]["before"], json!(n[0]));
    assert_eq!(tester.teams(&account, 2).await?.number.as_ref(), Some(&n[1]), "the others went on");
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_licence_in_its_grace_period_works_and_is_told() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    tester.all_roles().await?;
    let n: Vec<String> = (1..=2).map(|i| account.telephone(i)).collect();
    tester.save(&account, &[(1, Some(&n[0])), (2, Some(&n[1]))]).await?;
    tester.at_rest().await;
    tester.change_teams(&account, 1, &json!({ "phonePlan": "Warning" })).await?;
    tester.change_teams(&account, 2, &json!({ "phonePlan": "Deleted" })).await?;
    tester.request(&account, "all").await?;
    tester.at_rest().await;
    let first = tester.told(&account, 1, "user").await?;
    assert_eq!(first.last().context("told")?["warning_code"], "licence_ending");
    let second = tester.told(&account, 2, "user").await?;
    let second = second.last().context("told")?;
    assert_eq!(
        (&second["warning_code"], &second["code"]),
        (&json!("licence_gone"), &json!("no_phone_licence"))
    );
    assert_eq!(tester.teams(&account, 2).await?.number.as_ref(), Some(&n[1]), "what stands is kept");
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a23_a24_what_is_complete_rings() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(3).await?;
    sqlx::query("update admin.accounts set voice_routing_policy = 'Provider-US'")
        .execute(&tester.admin)
        .await?;
    tester.all_roles().await?;
    let n: Vec<String> = (1..=3).map(|i| account.telephone(i)).collect();
    let edits: Vec<_> = n.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    let generation = tester.save(&account, &edits).await?;
    tester.until_covered(&account, generation).await;
    // as soon as the job says that it is complete, and not only at rest
    assert_eq!(tester.jobs(&account).await?, ["succeeded"]);
    for i in 1..=3 {
        let user = tester.teams(&account, i).await?;
        assert_eq!(user.number.as_ref(), Some(&n[i as usize - 1]));
        assert!(user.voice, "Enterprise Voice is on");
        assert_eq!(tester.policies(&account, i).await?, ["OnlineVoiceRoutingPolicy Provider-US"]);
    }
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a2_a_leavers_licence_and_number_go_to_the_successor_in_one_job() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    tester.all_roles().await?;
    let n = account.telephone(1);
    tester.save(&account, &[(1, Some(&n))]).await?;
    tester.at_rest().await;
    tester.unmap(&account, 1).await?;
    tester.save(&account, &[(1, None), (2, Some(&n))]).await?;
    tester.at_rest().await;
    assert_eq!(tester.numbers(&account, 2).await?, [None, Some(n)]);
    assert_eq!(tester.jobs(&account).await?.len(), 2, "no second sync is needed");
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn e18_a_user_goes_over_to_the_app_and_back_in_one_job_each() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    let app = json!({ "when": "always", "policy_type": "TeamsCallingPolicy", "policy_name": "Tandem-PBX-Voicemail",
                      "services": ["app"] });
    tester.rules(&account, &[app]).await?;
    sqlx::query("update admin.accounts set voice_routing_policy = 'Provider-US'")
        .execute(&tester.admin)
        .await?;
    tester.all_roles().await?;
    let n = account.telephone(1);
    tester.save(&account, &[(1, Some(&n))]).await?;
    tester.at_rest().await;
    let voice = ["OnlineVoiceRoutingPolicy Provider-US"];
    assert_eq!(tester.policies(&account, 1).await?, voice);
    tester.service(&account, 1, "app").await?;
    tester.at_rest().await;
    let user = tester.teams(&account, 1).await?;
    assert_eq!((user.number, user.voice), (None, false), "never a number");
    assert_eq!(tester.policies(&account, 1).await?, ["TeamsCallingPolicy Tandem-PBX-Voicemail"]);
    // a change of the number in the PBX concerns an App user no more
    tester.save(&account, &[(1, Some(&account.telephone(7)))]).await?;
    tester.at_rest().await;
    assert_eq!(tester.teams(&account, 1).await?.number, None);
    tester.service(&account, 1, "voice").await?;
    tester.at_rest().await;
    assert_eq!(tester.teams(&account, 1).await?.number, Some(account.telephone(7)));
    assert_eq!(tester.policies(&account, 1).await?, voice);
    assert_eq!(tester.jobs(&account).await?, ["succeeded"; 4]);
    // the number came off before the policies changed
    let log = tester.switch(Method::GET, "requests?mutating=true&limit=1000", None).await?;
    let kinds: Vec<&str> =
        log["requests"].as_array().context("a log")?.iter().filter_map(|r| r["kind"].as_str()).collect();
    let off = kinds.iter().position(|kind| *kind == "unassignNumber").context("taken off")?;
    assert_eq!(kinds[off + 1..].iter().filter(|kind| **kind == "policy.unassign").count(), 2);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn f59_what_somebody_changes_during_the_job_is_tried_once_more_and_then_a_conflict() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(1).await?;
    // the record lags, so that somebody can be faster than the read that confirms
    tester.settings(&json!({ "landing": { "userConfigurationMs": 1500 } })).await?;
    tester.all_roles().await?;
    let n = account.telephone(1);
    tester.save(&account, &[(1, Some(&n))]).await?;
    for (round, other) in [(1, account.telephone(21)), (2, account.telephone(22))] {
        let assigned = "select count(*) from sync.intents where action = 'assign_number' and state = 'done'";
        tester.until(assigned, round).await;
        tester.take_away(&account, &n).await?;
        set(&tester, &account, &other, json!({ "assignedTo": account.upn(1) })).await?;
    }
    tester.until("select count(*) from sync.users where outcome = 'conflict'", 1).await;
    tester.at_rest().await;
    assert_eq!(
        tester.outcome(&account, 1).await?,
        ("conflict".to_owned(), Some("changed_outside".to_owned()))
    );
    let text = detail(&tester, &account, 1).await?;
    assert!(text.contains(&account.telephone(22)) && text.contains(&account.upn(1)), "{text}");
    assert_eq!(tester.requests_about("assignNumber", &n).await?, 2, "given, and given once more");
    assert_eq!(tester.teams(&account, 1).await?.number, Some(account.telephone(22)), "left as it is");
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_says_how_long_and_uses_up_nothing() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(3).await?;
    tester.change_teams(&account, 1, &json!({ "featureTypes": ["Teams"] })).await?;
    tester.change_teams(&account, 2, &json!({ "phonePlan": "none" })).await?;
    tester.all_roles().await?;
    let n: Vec<String> = (1..=3).map(|i| account.telephone(i)).collect();
    let edits: Vec<_> = n.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    tester.save(&account, &edits).await?;
    tester.until_deferred(&account, 1, "licence_pending").await;
    tester.until("select count(*) from log.steps where kind = 'user' and outcome = 'deferred'", 1).await;
    let told = tester.told(&account, 1, "user").await?;
    let told = told.first().context("told")?;
    assert!(told["next_look"].as_str() < told["expected_by"].as_str(), "{told}");
    // who never had a licence does not wait
    assert_eq!(
        tester.outcome(&account, 2).await?,
        ("failed".to_owned(), Some("no_phone_licence".to_owned()))
    );
    assert_eq!(tester.teams(&account, 3).await?.number.as_ref(), Some(&n[2]), "the rest went on");
    tester.change_teams(&account, 1, &json!({ "featureTypes": ["Teams", "PhoneSystem"] })).await?;
    tester.at_rest().await;
    assert_eq!(tester.teams(&account, 1).await?.number.as_ref(), Some(&n[0]));
    assert_eq!(tester.count("select sum(failures)::bigint from sync.accounts").await?, 0);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_ends_in_the_middle_is_waited_for() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(4).await?;
    let refusal = json!({ "kind": "assignNumber", "skip": 1, "times": 1, "action": { "type": "respond", "status": 403 } });
    tester.fault(&refusal).await?;
    tester.debouncer().await?;
    tester.teams_sync(&TeamsSyncSettings { ladder_speed: 300, ..impatient() }).await?;
    tester.sync_log().await?;
    let n: Vec<String> = (1..=4).map(|i| account.telephone(i)).collect();
    let edits: Vec<_> = n.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    tester.save(&account, &edits).await?;
    tester.until_deferred(&account, 2, "not_authorized").await;
    tester.at_rest().await;
    let failed = "select count(*) from log.steps where kind = 'user' and outcome = 'failed'";
    assert_eq!(tester.count(failed).await?, 0, "waiting is not failing");
    assert_eq!(tester.numbers(&account, 4).await?.iter().flatten().count(), 4);
    let over = tester.carried_out(&account, Ask::Sync(tandem_domain::job::JobScope::All)).await?;
    assert_eq!(over.state, "succeeded");
    tester.finish().await
}
