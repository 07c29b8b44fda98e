//! Manual authority: a person signs in for one sync, and the job acts with that person's token and nothing else.

use anyhow::Result;
use reqwest::Method;
use serde_json::json;
use tandem_domain::job::JobScope;
use tandem_domain::{ObjectId, TenantId};
use tandem_teams_sync::TeamsSyncSettings;
use tandem_tests::{Account, Tester, fast_sync};
use tandem_vault::{Binding, Keyring, Sealer};
use uuid::Uuid;

const N1: &str = "+12125550101";
const NO_TOKEN_LEFT: &str = "select count(*) where not exists (select from vault.job_tokens)";

/// Requests to Graph, with the person behind each; tokens are not among them.
async fn people(tester: &Tester) -> Result<Vec<(String, String)>> {
    let log = tester.switch(Method::GET, "requests?limit=100000", None).await?;
    let entries = log["requests"].as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    Ok(entries
        .iter()
        .filter(|r| r["path"].as_str().is_some_and(|path| path.starts_with("/v1.0/")))
        .map(|r| (text(&r["clientRequestId"]), text(&r["user"])))
        .collect())
}

async fn ended(tester: &Tester, jobs: i64) {
    let jobs_ended = "select count(*) from queue.jobs where finished_at is not null";
    tester.until(jobs_ended, jobs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e36_a_manual_sync_works_without_a_stored_authorization() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    tester.only_sign_in(&account).await?;
    let gale = tester.global_admin(&account, "gale").await?;
    tester.all_roles().await?;
    tester.save(&account, &[(1, Some(N1))]).await?;
    let token = tester.sign_in(&account, gale).await?;
    tester.sync_now(&account, JobScope::Changed, &token).await?;
    ended(&tester, 1).await;
    assert_eq!(tester.jobs(&account).await?, ["succeeded"]);
    assert_eq!(tester.teams(&account, 1).await?.number.as_deref(), Some(N1));
    // settled with the same token, which is gone afterwards
    tester.until("select count(*) from queue.jobs where settled_at is not null", 1).await;
    assert_eq!(tester.count("select count(*) from sync.users where settled_at is not null").await?, 1);
    tester.until(NO_TOKEN_LEFT, 1).await;
    let people = people(&tester).await?;
    assert!(!people.is_empty() && people.iter().all(|(_, user)| *user == gale.0.to_string()), "{people:?}");
    assert_eq!(tester.requests("token").await?.len(), 1, "the sign-in itself, and no token of an app");
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn i17_a_token_that_ends_in_the_middle_ends_the_job_and_is_never_renewed() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(6).await?;
    tester.only_sign_in(&account).await?;
    let gale = tester.global_admin(&account, "gale").await?;
    tester.debouncer().await?;
    tester.teams_sync(&TeamsSyncSettings { in_flight: 1, ..fast_sync("worker-1") }).await?;
    tester.sync_log().await?;
    let numbers: Vec<String> = (1..=6).map(|i| account.telephone(i)).collect();
    let edits: Vec<_> = numbers.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    tester.save(&account, &edits).await?;
    let over = json!({ "kind": "assignNumber", "skip": 2, "times": 1, "action": { "type": "respond", "status": 401 } });
    tester.fault(&over).await?;
    let token = tester.sign_in(&account, gale).await?;
    tester.sync_now(&account, JobScope::Changed, &token).await?;
    ended(&tester, 1).await;
    assert_eq!(tester.jobs(&account).await?, ["partly"]);
    assert_eq!(tester.requests("assignNumber").await?.len(), 3, "nothing is sent after the refusal");
    assert_eq!(tester.requests("token").await?.len(), 1, "no token was asked for");
    let waiting = "select count(*) from sync.deferred where reason = 'token_expired'";
    // two have their number; whether they could be read back depends on nothing but the token, which was over
    assert_eq!(tester.count(waiting).await?, 6);
    assert_eq!(tester.count("select count(*) from sync.intents where ended_at is null").await?, 0);
    assert_eq!(tester.numbers(&account, 6).await?.iter().flatten().count(), 2);
    // nobody goes on by himself
    assert_eq!(tester.jobs(&account).await?.len(), 1);

    let token = tester.sign_in(&account, gale).await?;
    tester.sync_now(&account, JobScope::Changed, &token).await?;
    ended(&tester, 2).await;
    assert_eq!(tester.jobs(&account).await?, ["partly", "succeeded"]);
    assert_eq!(tester.numbers(&account, 6).await?.iter().flatten().count(), 6);
    let accepted = tester.requests("assignNumber").await?.iter().filter(|r| r["status"] == 202).count();
    assert_eq!(accepted, 6, "each number was given once");
    tester.until(NO_TOKEN_LEFT, 1).await;
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn i17_what_a_token_cannot_settle_is_said_to_be_not_rechecked() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(1).await?;
    tester.only_sign_in(&account).await?;
    let gale = tester.global_admin(&account, "gale").await?;
    tester.debouncer().await?;
    // a settle check comes after an hour, the token ends before
    tester.teams_sync(&TeamsSyncSettings { ladder_speed: 1, ..fast_sync("worker-1") }).await?;
    tester.sync_log().await?;
    tester.save(&account, &[(1, Some(N1))]).await?;
    tester.settings(&json!({ "tokenLifetimeSeconds": 8 })).await?;
    let token = tester.sign_in(&account, gale).await?;
    tester.sync_now(&account, JobScope::Changed, &token).await?;
    ended(&tester, 1).await;
    assert_eq!(tester.jobs(&account).await?, ["succeeded"]);
    assert_eq!(tester.count("select count(*) from vault.job_tokens").await?, 1, "kept for the settle check");
    let said = "select count(*) from sync.users where settle_next is null and settle_issue like 'confirmed, not re-checked%'";
    tester.until(said, 1).await;
    assert_eq!(tester.count(NO_TOKEN_LEFT).await?, 1);
    tester.until("select count(*) from log.steps where kind = 'settling' and data->>'detail' like '%not re-checked%'", 1).await;
    tester.stop_roles().await?;
    tester.abandon().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn i17_a_sign_in_that_is_over_before_the_job_starts_changes_nothing() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(1).await?;
    tester.only_sign_in(&account).await?;
    let gale = tester.global_admin(&account, "gale").await?;
    tester.settings(&json!({ "tokenLifetimeSeconds": 1 })).await?;
    let token = tester.sign_in(&account, gale).await?;
    tester.save(&account, &[(1, Some(N1))]).await?;
    tester.sync_now(&account, JobScope::Changed, &token).await?;
    tester.until("select count(*) from vault.job_tokens where expires_at < now()", 1).await;
    tester.all_roles().await?;
    ended(&tester, 1).await;
    assert_eq!(tester.job_codes(&account).await?, [Some("sign_in_over".to_owned())]);
    assert!(people(&tester).await?.is_empty(), "nothing was asked of Graph");
    tester.until(NO_TOKEN_LEFT, 1).await;
    tester.stop_roles().await?;
    tester.abandon().await;
    Ok(())
}

/// One account signs in to another's tenant; the row may lie about it.
async fn foreign(lie: bool) -> Result<(Tester, Account)> {
    let mut tester = Tester::start().await?;
    let (ours, theirs) = (tester.account(1).await?, tester.account(1).await?);
    let stranger = tester.global_admin(&theirs, "sam").await?;
    tester.consent(&theirs, None).await?;
    tester.save(&ours, &[(1, Some(N1))]).await?;
    let token = tester.sign_in(&theirs, stranger).await?;
    let ctx = tester.context();
    let request = ctx.ids.v7(&ctx.clock);
    let mut handed_in = tester.seal(&ours, request, &token)?;
    if lie {
        handed_in.tenant = TenantId(ours.tenant);
        let binding = Binding::job_token(ours.id, handed_in.tenant, request, handed_in.oid);
        handed_in.sealed =
            Sealer::new(Keyring::load(tester.keyring.path())?.newest()).seal(&binding, &token)?;
    }
    tester.switch(Method::DELETE, "requests", None).await?;
    tester.hand_in(&ours, request, &token, &handed_in, JobScope::All).await?;
    // Auto Sync would go on by itself, with the stored authorization, and rightly so
    sqlx::query("update admin.accounts set auto_sync = false").execute(&tester.admin).await?;
    tester.all_roles().await?;
    ended(&tester, 1).await;
    Ok((tester, ours))
}

#[tokio::test(flavor = "multi_thread")]
async fn i14_a_token_of_another_tenant_than_the_bound_one_writes_nothing() -> Result<()> {
    for lie in [false, true] {
        let (mut tester, account) = foreign(lie).await?;
        assert_eq!(tester.job_codes(&account).await?, [Some("wrong_tenant".to_owned())], "lie: {lie}");
        assert!(people(&tester).await?.is_empty(), "nothing was asked of Graph");
        tester.until(NO_TOKEN_LEFT, 1).await;
        tester.stop_roles().await?;
        tester.abandon().await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn i18_tokens_that_changed_rows_do_not_open() -> Result<()> {
    let mut tester = Tester::start().await?;
    let accounts = [tester.account(1).await?, tester.account(1).await?];
    for account in &accounts {
        tester.only_sign_in(account).await?;
        let gale = tester.global_admin(account, "gale").await?;
        tester.save(account, &[(1, Some(N1))]).await?;
        let token = tester.sign_in(account, gale).await?;
        tester.sync_now(account, JobScope::Changed, &token).await?;
    }
    let swap = "update vault.job_tokens t set sealed = o.sealed from vault.job_tokens o where o.request_id <> t.request_id";
    assert_eq!(sqlx::query(swap).execute(&tester.admin).await?.rows_affected(), 2);
    tester.switch(Method::DELETE, "requests", None).await?;
    tester.all_roles().await?;
    ended(&tester, 2).await;
    for account in &accounts {
        assert_eq!(tester.job_codes(account).await?, [Some("sealed_secret_unusable".to_owned())]);
    }
    assert!(people(&tester).await?.is_empty(), "nothing was asked of Graph");
    tester.stop_roles().await?;
    tester.abandon().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_peoples_tokens_never_meet_in_one_job() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    tester.only_sign_in(&account).await?;
    let mut tokens = Vec::new();
    for name in ["gale", "kim"] {
        let person = tester.global_admin(&account, name).await?;
        tokens.push((person, tester.sign_in(&account, person).await?));
    }
    tester.save(&account, &[(1, Some(N1))]).await?;
    tester.switch(Method::DELETE, "requests", None).await?;
    tester.debouncer().await?;
    let [(gale, gales), (kim, kims)] = tokens.as_slice() else { unreachable!("two people") };
    tester.sync_now(&account, JobScope::Changed, gales).await?;
    tester.until("select count(*) from queue.jobs where state = 'queued'", 1).await;
    // of everybody: a job that finds nothing changed asks Microsoft nothing
    tester.sync_now(&account, JobScope::All, kims).await?;
    // the same person once more: the newer token replaces the older one, and an operator's request joins
    let newer = tester.sync_now(&account, JobScope::All, gales).await?;
    tester.request(&account, "changed").await?;
    tester.until("select count(*) from admin.requests where taken_at is not null", 3).await;
    assert_eq!(tester.count("select count(*) from queue.jobs").await?, 1);
    let used: (Uuid, String) =
        sqlx::query_as("select token_request, person from queue.jobs").fetch_one(&tester.admin).await?;
    assert_eq!(used, (newer, "gale".to_owned()));

    tester.teams_sync(&fast_sync("worker-1")).await?;
    tester.sync_log().await?;
    ended(&tester, 2).await;
    let jobs: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "select j.job_id, r.signed_in_oid from queue.jobs j join admin.requests r on r.request_id = j.token_request order by j.queued_at",
    )
    .fetch_all(&tester.admin)
    .await?;
    assert_eq!(jobs.iter().map(|(_, oid)| ObjectId(*oid)).collect::<Vec<_>>(), [*gale, *kim]);
    let people = people(&tester).await?;
    for (job, oid) in jobs {
        let mine: Vec<_> = people.iter().filter(|(id, _)| *id == job.to_string()).collect();
        assert!(!mine.is_empty() && mine.iter().all(|(_, user)| *user == oid.to_string()), "{mine:?}");
    }
    tester.until(NO_TOKEN_LEFT, 1).await;
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn e8_auto_sync_goes_on_after_any_number_of_tokens_have_ended() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(1).await?;
    tester.settings(&json!({ "tokenLifetimeSeconds": 2 })).await?;
    tester.all_roles().await?;
    for (round, number) in ["+12125550101", "+12125550102", "+12125550103"].into_iter().enumerate() {
        tester.save(&account, &[(1, Some(number))]).await?;
        tester.at_rest().await;
        assert_eq!(tester.teams(&account, 1).await?.number.as_deref(), Some(number));
        // each round takes longer than a token lives: the settle checks alone are a second apart
        assert!(tester.requests("token").await?.len() > round);
    }
    assert_eq!(tester.count("select count(*) from queue.jobs where job_type <> 'auto'").await?, 0);
    tester.finish().await
}
