//! The life of a stored authorization: what jobs and canaries see of it, quarantine, and what ends it.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};
use tandem_teams_sync::TeamsSyncSettings;
use tandem_testkit::eventually;
use tandem_tests::{Account, Tester, fast_sync};

/// The first automatic new try comes after six seconds, the second after more than a minute.
fn patient() -> TeamsSyncSettings {
    TeamsSyncSettings { ladder_speed: 300, ..fast_sync("worker-1") }
}

/// No new try comes within the test.
fn stoic() -> TeamsSyncSettings {
    TeamsSyncSettings { ladder_speed: 10, ..fast_sync("worker-1") }
}

async fn roles(tester: &mut Tester, settings: &TeamsSyncSettings) -> Result<()> {
    // the waits of these ladders are long on purpose, and a user deferred on a busy machine follows them
    tester.patience = Duration::from_secs(180);
    tester.debouncer().await?;
    tester.teams_sync(settings).await?;
    tester.sync_log().await
}

/// State and reason of an authorization.
async fn grant(tester: &Tester, account: &Account) -> Result<(String, Option<String>)> {
    let query = sqlx::query_as("select state, reason from vault.authorizations where account_id = $1");
    Ok(query.bind(account.id.0).fetch_one(&tester.admin).await?)
}

fn is(state: &str, reason: &str) -> (String, Option<String>) {
    (state.to_owned(), Some(reason.to_owned()))
}

async fn until_grant(tester: &Tester, account: &Account, state: &'static str) {
    eventually(Duration::from_secs(30), || async {
        (grant(tester, account).await.ok()?.0 == state).then_some(())
    })
    .await;
}

/// Makes the canary of an account due.
async fn look_now(tester: &Tester, account: &Account) -> Result<()> {
    sqlx::query("update vault.authorizations set next_canary = now() where account_id = $1")
        .bind(account.id.0)
        .execute(&tester.admin)
        .await?;
    Ok(())
}

/// What an operator's command, or a new consent, makes of the row.
async fn bound_anew(tester: &Tester, account: &Account) -> Result<()> {
    sqlx::query("update vault.authorizations set state = 'healthy', detail = null where account_id = $1")
        .bind(account.id.0)
        .execute(&tester.admin)
        .await?;
    Ok(())
}

async fn quarantine(tester: &Tester) -> Result<Vec<String>> {
    let sql = "select quarantine_reason from sync.accounts where quarantined_at is not null";
    Ok(sqlx::query_scalar(sql).fetch_all(&tester.admin).await?)
}

fn refuse(kind: &str, status: u16) -> Value {
    json!({ "kind": kind, "action": { "type": "respond", "status": status } })
}

#[tokio::test(flavor = "multi_thread")]
async fn f46_a_claims_challenge_is_met_with_one_fresh_token() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    roles(&mut tester, &patient()).await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    tester.at_rest().await;
    let before = tester.requests("token").await?.len();
    // Graph turns away the token at hand, and consent stands
    let path = format!("tenants/{}/revoke-tokens", account.tenant);
    let revoked = tester.switch(Method::POST, &path, None).await?;
    // times in tokens are whole seconds: one of this second would be turned away as well
    let valid_from = revoked["validFrom"].as_i64().context("since when")?;
    let clock = tester.context().clock;
    eventually(Duration::from_secs(5), || async {
        (clock.now().unix_timestamp() >= valid_from).then_some(())
    })
    .await;
    tester.save(&account, &[(2, Some("+12125550102"))]).await?;
    tester.at_rest().await;
    assert_eq!(tester.jobs(&account).await?, ["succeeded", "succeeded"]);
    assert_eq!(grant(&tester, &account).await?, ("healthy".to_owned(), None));
    let fetched = tester.requests("token").await?.len() - before;
    assert_eq!(fetched, 1, "one fresh token for one challenge");
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn f46_a_token_that_is_rejected_when_fresh_puts_the_account_into_quarantine() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    for kind in [
        "users.get",
        "userConfigurations.get",
        "numberAssignments.list",
        "users.list",
        "userConfigurations.list",
        "organization",
    ] {
        tester.fault(&refuse(kind, 401)).await?;
    }
    roles(&mut tester, &stoic()).await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    tester.until("select count(*) from queue.jobs where error_code = 'token_rejected'", 1).await;
    assert_eq!(grant(&tester, &account).await?, is("revoked", "token_rejected"));
    assert_eq!(quarantine(&tester).await?, ["token_rejected"]);
    assert_eq!(tester.stat("writes").await?, 0);
    // a new change waits in quarantine: it is queued, says why, and asks nothing of Microsoft
    let before = tester.stat("requests").await?;
    tester.save(&account, &[(2, Some("+12125550102"))]).await?;
    tester
        .until("select count(*) from queue.jobs where state = 'queued' and parked = 'not_authorized'", 1)
        .await;
    assert_eq!(tester.stat("requests").await?, before, "no reads while it waits");
    tester.no_faults().await?;
    look_now(&tester, &account).await?;
    tester.at_rest().await;
    assert_eq!(grant(&tester, &account).await?, ("healthy".to_owned(), None));
    assert_eq!(tester.jobs(&account).await?, ["failed", "succeeded"]);
    assert_eq!(tester.numbers(&account, 2).await?.iter().flatten().count(), 2);
    assert_eq!(quarantine(&tester).await?, Vec::<String>::new());
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn f47_every_answer_of_the_login_makes_the_state_it_means() -> Result<()> {
    let mut tester = Tester::start().await?;
    tester.teams_sync(&stoic()).await?;
    let table = [
        (700_016, "unauthorized_client", 400, is("revoked", "authorization_revoked")),
        (7_000_229, "invalid_client", 401, is("revoked", "authorization_revoked")),
        (7_000_112, "unauthorized_client", 400, is("revoked", "authorization_revoked")),
        (65001, "invalid_grant", 400, is("revoked", "authorization_revoked")),
        (53003, "invalid_grant", 400, is("blocked", "authorization_blocked")),
        (530_032, "invalid_grant", 400, is("blocked", "authorization_blocked")),
        (90002, "invalid_request", 400, is("revoked", "tenant_gone")),
    ];
    let mut accounts = Vec::new();
    for (code, error, status, expected) in table {
        let account = tester.account(1).await?;
        let action = json!({ "type": "tokenError", "code": code, "error": error, "status": status });
        tester.fault(&json!({ "kind": "token", "tenant": account.tenant, "action": action })).await?;
        look_now(&tester, &account).await?;
        accounts.push((account, expected));
    }
    // what says nothing changes nothing
    for (code, error, status) in [(90033, "temporarily_unavailable", 503), (900_144, "invalid_request", 400)]
    {
        let account = tester.account(1).await?;
        let action = json!({ "type": "tokenError", "code": code, "error": error, "status": status });
        tester.fault(&json!({ "kind": "token", "tenant": account.tenant, "action": action })).await?;
        look_now(&tester, &account).await?;
        accounts.push((account, ("healthy".to_owned(), None)));
    }
    tester
        .until(
            "select count(*) from vault.authorizations where next_canary > now() + interval '100 seconds'",
            9,
        )
        .await;
    for (account, expected) in &accounts {
        assert_eq!(&grant(&tester, account).await?, expected, "{}", account.name);
    }
    assert_eq!(tester.count("select count(*) from vault.apps").await?, 0);
    assert_eq!(tester.count("select count(*) from queue.jobs").await?, 0, "a canary needs no job");
    let recorded = "select count(*) from vault.authorization_history where subject = 'authorization' and from_state = 'healthy'";
    assert_eq!(tester.count(recorded).await?, 7);
    tester.abandon().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f48_a_permission_taken_back_is_named_and_a_new_consent_makes_due_what_waits() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    roles(&mut tester, &stoic()).await?;
    let weak = ["User.Read.All", "TeamsUserConfiguration.Read.All", "TeamsPolicyUserAssign.ReadWrite.All"];
    tester.consent(&account, Some(&weak)).await?;
    look_now(&tester, &account).await?;
    until_grant(&tester, &account, "weakened").await;
    assert_eq!(grant(&tester, &account).await?, is("weakened", "permission_missing"));
    let named =
        "select count(*) from vault.authorizations where detail like '%TeamsTelephoneNumber.ReadWrite.All%'";
    assert_eq!(tester.count(named).await?, 1);
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    tester
        .until("select count(*) from queue.jobs where state = 'queued' and parked = 'not_authorized'", 1)
        .await;
    let reads = tester.stat("requests").await?;
    tester.consent(&account, None).await?;
    bound_anew(&tester, &account).await?;
    tester.at_rest().await;
    assert!(tester.stat("requests").await? > reads);
    assert_eq!(tester.jobs(&account).await?, ["succeeded"], "the job that waited, and no failed one");
    assert_eq!(tester.teams(&account, 1).await?.number.as_deref(), Some("+12125550101"));
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn f48_a_refusal_of_writes_only_is_quarantine_without_a_loop_of_reads() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    tester.fault(&refuse("assignNumber", 403)).await?;
    roles(&mut tester, &stoic()).await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    tester.until("select count(*) from queue.jobs where error_code = 'permission_refused'", 1).await;
    assert_eq!(grant(&tester, &account).await?, is("weakened", "permission_refused"));
    let before = tester.stat("requests").await?;
    tester.save(&account, &[(2, Some("+12125550102"))]).await?;
    tester.until("select count(*) from queue.jobs where state = 'queued' and parked = 'quarantine'", 1).await;
    // a question that works does not heal what was refused
    look_now(&tester, &account).await?;
    tester
        .until(
            "select count(*) from vault.authorizations where next_canary > now() + interval '100 seconds'",
            1,
        )
        .await;
    assert_eq!(grant(&tester, &account).await?, is("weakened", "permission_refused"));
    assert!(tester.stat("requests").await? - before <= 3, "a token and a question");
    // a person may try at any time, and the first success ends it
    tester.no_faults().await?;
    tester.request(&account, "changed").await?;
    tester.at_rest().await;
    assert_eq!(grant(&tester, &account).await?, ("healthy".to_owned(), None));
    assert_eq!(quarantine(&tester).await?, Vec::<String>::new());
    assert_eq!(tester.numbers(&account, 2).await?.iter().flatten().count(), 2);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn f49_an_answer_of_another_tenant_stops_everything_before_any_write() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(1).await?;
    let other = tester.account(1).await?;
    // the token is right, the tenant's record is of somebody else
    let record =
        json!({ "value": [{ "id": other.tenant, "displayName": "Somebody else", "verifiedDomains": [] }] });
    let action = json!({ "type": "respond", "status": 200, "body": record });
    tester.fault(&json!({ "kind": "organization", "tenant": account.tenant, "action": action })).await?;
    roles(&mut tester, &stoic()).await?;
    look_now(&tester, &account).await?;
    until_grant(&tester, &account, "blocked").await;
    assert_eq!(grant(&tester, &account).await?, is("blocked", "wrong_tenant"));
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    tester
        .until("select count(*) from queue.jobs where state = 'queued' and parked = 'not_authorized'", 1)
        .await;
    assert_eq!(tester.stat("writes").await?, 0);
    assert_eq!(grant(&tester, &other).await?, ("healthy".to_owned(), None));
    tester.no_faults().await?;
    look_now(&tester, &account).await?;
    tester.at_rest().await;
    assert_eq!(tester.jobs(&account).await?, ["succeeded"]);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn f50_a_tenant_that_is_gone_is_said_so() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(1).await?;
    roles(&mut tester, &stoic()).await?;
    tester.switch(Method::DELETE, &format!("tenants/{}", account.tenant), None).await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    tester.until("select count(*) from queue.jobs where error_code = 'tenant_gone'", 1).await;
    assert_eq!(grant(&tester, &account).await?, is("revoked", "tenant_gone"));
    assert_eq!(quarantine(&tester).await?, ["tenant_gone"]);
    assert_eq!(tester.stat("writes").await?, 0);
    tester.abandon().await;
    Ok(())
}

/// Twelve users one after the other; what happens while the third is under way stops the rest.
async fn in_the_middle(
    tester: &mut Tester,
    act: impl AsyncFn(&Tester, &Account) -> Result<()>,
) -> Result<Account> {
    let account = tester.account(12).await?;
    tester.patience = Duration::from_secs(180);
    tester.settings(&json!({ "operationLatencyMs": 400 })).await?;
    tester.debouncer().await?;
    tester.teams_sync(&TeamsSyncSettings { in_flight: 1, ..stoic() }).await?;
    tester.sync_log().await?;
    let numbers: Vec<String> = (1..=12).map(|i| account.telephone(i)).collect();
    let edits: Vec<_> = numbers.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    tester.save(&account, &edits).await?;
    tester.until("select count(*) from sync.intents", 3).await;
    act(tester, &account).await?;
    let intents = tester.count("select count(*) from sync.intents").await?;
    tester.until("select count(*) from queue.jobs where state = 'cancelled'", 1).await;
    let last = tester.count("select count(*) from sync.intents").await?;
    // the one that had been looked at when the flag changed may still have been written
    assert!(last <= intents + 1, "{last} writes, {intents} when it was said");
    assert_eq!(tester.requests("assignNumber").await?.len(), usize::try_from(last)?);
    let uncovered = "select count(*) from sync.accounts where covered_gen = 0";
    assert_eq!(tester.count(uncovered).await?, 1, "the edits stay queued");
    Ok(account)
}

#[tokio::test(flavor = "multi_thread")]
async fn i20_no_write_starts_after_auto_sync_was_switched_off() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = in_the_middle(&mut tester, async |tester, _| {
        sqlx::query("update admin.accounts set auto_sync = false").execute(&tester.admin).await?;
        Ok(())
    })
    .await?;
    sqlx::query("update admin.accounts set auto_sync = true").execute(&tester.admin).await?;
    tester.at_rest().await;
    assert_eq!(tester.numbers(&account, 12).await?.iter().flatten().count(), 12);
    assert_eq!(tester.requests("assignNumber").await?.len(), 12, "nothing was written twice");
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn i20_no_write_starts_after_a_canary_saw_the_consent_gone() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = in_the_middle(&mut tester, async |tester, account| {
        // only login knows yet: Graph would still take the token at hand
        tester.switch(Method::DELETE, &format!("tenants/{}/consent", account.tenant), None).await?;
        look_now(tester, account).await?;
        until_grant(tester, account, "revoked").await;
        Ok(())
    })
    .await?;
    tester.consent(&account, None).await?;
    bound_anew(&tester, &account).await?;
    tester.at_rest().await;
    assert_eq!(tester.numbers(&account, 12).await?.iter().flatten().count(), 12);
    assert_eq!(tester.requests("assignNumber").await?.len(), 12, "nothing was written twice");
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn i21_a_job_that_fails_for_most_users_puts_the_account_into_quarantine() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(12).await?;
    let refusal = json!({ "kind": "assignNumber", "action": { "type": "respond", "status": 400,
        "body": { "error": { "code": "BadRequest", "message": "Nobody has seen this before." } } } });
    tester.fault(&refusal).await?;
    roles(&mut tester, &stoic()).await?;
    let numbers: Vec<String> = (1..=12).map(|i| account.telephone(i)).collect();
    let edits: Vec<_> = numbers.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    tester.save(&account, &edits).await?;
    tester.until("select count(*) from queue.jobs where state = 'partly'", 1).await;
    assert_eq!(quarantine(&tester).await?, ["too_many_failures"]);
    assert_eq!(grant(&tester, &account).await?, ("healthy".to_owned(), None), "the consent is not to blame");
    let mut changed = account.profile(1, Some(numbers[0].as_str()));
    changed.display_name = Some("Another name".to_owned());
    tester.save_profiles(&account, &[(1, changed)]).await?;
    tester.until("select count(*) from queue.jobs where state = 'queued' and parked = 'quarantine'", 1).await;
    let before = tester.stat("requests").await?;
    // its time comes: the job that waits is the new try, over the whole range that failed
    tester.no_faults().await?;
    assert_eq!(tester.stat("requests").await?, before);
    sqlx::query("update sync.accounts set retry_at = now()").execute(&tester.admin).await?;
    tester.at_rest().await;
    assert_eq!(tester.jobs(&account).await?, ["partly", "succeeded"]);
    assert_eq!(tester.numbers(&account, 12).await?.iter().flatten().count(), 12);
    assert_eq!(quarantine(&tester).await?, Vec::<String>::new());
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn e36_a_manual_job_works_with_auto_sync_off_and_heals_what_was_revoked() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(1).await?;
    sqlx::query("update admin.accounts set auto_sync = false").execute(&tester.admin).await?;
    roles(&mut tester, &stoic()).await?;
    tester.revoke_consent(&account).await?;
    look_now(&tester, &account).await?;
    until_grant(&tester, &account, "revoked").await;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    tester.request(&account, "changed").await?;
    tester.until("select count(*) from queue.jobs where error_code = 'authorization_revoked'", 1).await;
    let failures: Vec<i32> =
        sqlx::query_scalar("select failures from sync.accounts").fetch_all(&tester.admin).await?;
    assert_eq!(failures, [1], "what a person tried moves no ladder");
    tester.consent(&account, None).await?;
    tester.request(&account, "changed").await?;
    tester
        .until("select count(*) from queue.jobs where state = 'succeeded' and job_type = 'manual'", 1)
        .await;
    tester.at_rest().await;
    assert_eq!(grant(&tester, &account).await?, ("healthy".to_owned(), None));
    assert_eq!(tester.teams(&account, 1).await?.number.as_deref(), Some("+12125550101"));
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn e1_auto_sync_goes_on_without_a_person_after_a_day_of_trouble() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(1).await?;
    roles(&mut tester, &patient()).await?;
    tester.revoke_consent(&account).await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    tester.until("select count(*) from queue.jobs where error_code = 'authorization_revoked'", 1).await;
    // consent is back, and nobody tells Tandem: the ladder finds out
    tester.consent(&account, None).await?;
    tester.at_rest().await;
    assert_eq!(tester.jobs(&account).await?, ["failed", "succeeded"]);
    let people = tester.count("select count(*) from queue.jobs where person is not null").await?;
    assert_eq!(people, 0);
    assert_eq!(tester.teams(&account, 1).await?.number.as_deref(), Some("+12125550101"));
    tester.finish().await
}
