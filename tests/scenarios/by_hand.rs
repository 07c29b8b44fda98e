//! Jobs that a person asked for: Auto Sync is no matter of theirs, but what they write with is looked at before each write.

use std::time::Duration;

use anyhow::Result;
use tandem_domain::job::JobScope;
use tandem_teams_sync::TeamsSyncSettings;
use tandem_tests::{Account, Tester, fast_sync};

/// Who carries the job out.
#[derive(Clone, Copy, PartialEq)]
enum With {
    StoredAuthorization,
    OwnToken,
}

/// Twelve users one after the other in a job that a person asked for; something happens while the third is under way.
async fn in_the_middle(
    with: With,
    act: impl AsyncFn(&Tester, &Account) -> Result<()>,
) -> Result<(Tester, Account)> {
    let mut tester = Tester::start().await?;
    let account = tester.account(12).await?;
    tester.patience = Duration::from_secs(180);
    tester.settings(&serde_json::json!({ "operationLatencyMs": 400 })).await?;
    tester.setting(&account, "auto_sync", "update admin.accounts set auto_sync = false").await?;
    if with == With::OwnToken {
        tester.only_sign_in(&account).await?;
    }
    tester.debouncer().await?;
    tester.teams_sync(&TeamsSyncSettings { in_flight: 1, ladder_speed: 10, ..fast_sync("worker-1") }).await?;
    tester.sync_log().await?;
    let numbers: Vec<String> = (1..=12).map(|i| account.telephone(i)).collect();
    let edits: Vec<_> = numbers.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    tester.save(&account, &edits).await?;
    match with {
        With::StoredAuthorization => tester.request(&account, "changed").await?,
        With::OwnToken => {
            let gale = tester.global_admin(&account, "gale").await?;
            let token = tester.sign_in(&account, gale).await?;
            tester.sync_now(&account, JobScope::Changed, &token).await?;
        }
    }
    tester.until("select count(*) from sync.intents", 3).await;
    act(&tester, &account).await?;
    Ok((tester, account))
}

/// The job stops: at most the write that had been looked at is still sent.
async fn stops(tester: &Tester) -> Result<()> {
    let before = tester.count("select count(*) from sync.intents").await?;
    tester.until("select count(*) from queue.jobs where finished_at is not null", 1).await;
    let states: Vec<(String, String, Option<String>)> =
        sqlx::query_as("select job_type, state, error_code from queue.jobs").fetch_all(&tester.admin).await?;
    assert_eq!(states, [("manual".to_owned(), "cancelled".to_owned(), None)]);
    let last = tester.count("select count(*) from sync.intents").await?;
    assert!(last <= before + 1, "{last} writes, {before} when it was said");
    assert_eq!(tester.requests("assignNumber").await?.len(), usize::try_from(last)?);
    let uncovered = "select count(*) from sync.accounts where covered_gen = 0";
    assert_eq!(tester.count(uncovered).await?, 1, "the edits stay queued");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn i20_a_job_by_hand_goes_on_without_auto_sync() -> Result<()> {
    let act = async |tester: &Tester, account: &Account| {
        tester.auto_sync(account, true).await?;
        tester.auto_sync(account, false).await
    };
    let (tester, account) = in_the_middle(With::StoredAuthorization, act).await?;
    tester.until("select count(*) from queue.jobs where state = 'succeeded'", 1).await;
    assert_eq!(tester.numbers(&account, 12).await?.iter().flatten().count(), 12);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn i20_a_job_by_hand_stops_when_the_consent_is_seen_gone() -> Result<()> {
    let act = async |tester: &Tester, _: &Account| {
        // what a canary notes; neither login nor Graph know anything of it
        let seen = "update vault.authorizations set state = 'revoked', reason = 'authorization_revoked'";
        sqlx::query(seen).execute(&tester.admin).await?;
        Ok(())
    };
    let (mut tester, _) = in_the_middle(With::StoredAuthorization, act).await?;
    stops(&tester).await?;
    tester.stop_roles().await?;
    tester.abandon().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn i16_a_job_by_hand_stops_when_its_token_is_erased() -> Result<()> {
    let act = async |tester: &Tester, _: &Account| {
        sqlx::query("delete from vault.job_tokens").execute(&tester.admin).await?;
        Ok(())
    };
    let (mut tester, _) = in_the_middle(With::OwnToken, act).await?;
    stops(&tester).await?;
    assert_eq!(tester.requests("token").await?.len(), 1, "no other token is asked for");
    tester.stop_roles().await?;
    tester.abandon().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn i17_a_job_by_hand_stops_when_its_account_is_bound_elsewhere() -> Result<()> {
    let act = async |tester: &Tester, account: &Account| {
        sqlx::query("update vault.authorizations set tenant_id = gen_random_uuid() where account_id = $1")
            .bind(account.id.0)
            .execute(&tester.admin)
            .await?;
        Ok(())
    };
    let (mut tester, _) = in_the_middle(With::OwnToken, act).await?;
    stops(&tester).await?;
    tester.stop_roles().await?;
    tester.abandon().await;
    Ok(())
}
