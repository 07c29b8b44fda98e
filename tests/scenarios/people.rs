//! Held removals approved and rejected, and previews that a job carries out exactly.

use anyhow::{Context, Result};
use serde_json::Value;
use tandem_domain::job::JobScope;
use tandem_domain::plan::Verdict;
use tandem_store::admin::requests::Ask;
use tandem_tests::{Account, Tester};
use uuid::Uuid;

/// Everybody has a number; then so many lose theirs in the PBX, and that is held.
async fn held(tester: &mut Tester, users: u32, leave: u32) -> Result<(Account, Vec<String>)> {
    let account = tester.account(users).await?;
    tester.all_roles().await?;
    let numbers: Vec<String> = (1..=users).map(|i| account.telephone(i)).collect();
    let edits: Vec<(u32, Option<&str>)> =
        numbers.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    tester.save(&account, &edits).await?;
    tester.at_rest().await;
    let edits: Vec<(u32, Option<&str>)> = (1..=leave).map(|i| (i, None)).collect();
    tester.save(&account, &edits).await?;
    tester.at_rest().await;
    assert_eq!(tester.jobs(&account).await?, ["succeeded", "partly"]);
    Ok((account, numbers))
}

#[tokio::test(flavor = "multi_thread")]
async fn b36_approved_removals_are_carried_out_exactly_and_once() -> Result<()> {
    let mut tester = Tester::start().await?;
    let (account, numbers) = held(&mut tester, 8, 4).await?;
    let held = tester.held(&account).await?.context("held")?;
    assert_eq!(held.removals.len(), 4);
    let over = tester.carried_out(&account, Ask::Approve(held.id)).await?;
    assert_eq!((over.state.as_str(), over.code.as_deref()), ("succeeded", None));
    assert_eq!(over.linked, None);
    tester.at_rest().await;
    let found = tester.numbers(&account, 8).await?;
    assert_eq!(found[..4].iter().flatten().count(), 0);
    assert_eq!(found[4], Some(numbers[4].clone()));
    assert_eq!(tester.requests("unassignNumber").await?.len(), 4);
    let (outcome, person, job): (String, String, Uuid) =
        sqlx::query_as("select outcome, person, decided_job from sync.held").fetch_one(&tester.admin).await?;
    assert_eq!((outcome.as_str(), person.as_str(), job), ("approved", "Terry Tester", over.job.0));
    // the log of the job that held them tells it, too
    let told: Value =
        sqlx::query_scalar("select data from log.steps where kind = 'held_decided' and job_id = $1")
            .bind(held.job.0)
            .fetch_one(&tester.admin)
            .await?;
    assert_eq!(told["outcome"], "approved");
    assert_eq!(
        tester.count("select count(*) from sync.decisions").await?,
        0,
        "an approval ends when it is done"
    );
    let again = tester.carried_out(&account, Ask::Approve(held.id)).await?;
    assert_eq!(again.code.as_deref(), Some("held_decided"));
    let nothing = tester.carried_out(&account, Ask::Approve(Uuid::nil())).await?;
    assert_eq!(nothing.code.as_deref(), Some("held_unknown"));
    assert_eq!(tester.count("select failures::bigint from sync.accounts").await?, 0, "the account is well");
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn b36_an_approval_of_what_has_changed_or_expired_does_nothing() -> Result<()> {
    let mut tester = Tester::start().await?;
    let (account, numbers) = held(&mut tester, 8, 5).await?;
    let first = tester.held(&account).await?.context("held")?;
    // one of them comes back: four are another list than five
    tester.save(&account, &[(1, Some(&numbers[0]))]).await?;
    tester.at_rest().await;
    let second = tester.held(&account).await?.context("held")?;
    assert_ne!(first.id, second.id);
    assert_eq!(second.removals.len(), 4);
    let old = tester.carried_out(&account, Ask::Approve(first.id)).await?;
    assert_eq!(old.code.as_deref(), Some("held_decided"));
    // somebody takes one off in Teams: the plan is not what was approved
    tester.take_away(&account, &numbers[1]).await?;
    let changed = tester.carried_out(&account, Ask::Approve(second.id)).await?;
    assert_eq!((changed.state.as_str(), changed.code.as_deref()), ("failed", Some("plan_changed")));
    tester.at_rest().await;
    let difference: Value = sqlx::query_scalar("select data from log.steps where kind = 'plan_changed'")
        .fetch_one(&tester.admin)
        .await?;
    assert_eq!(difference["gone"].as_array().map(Vec::len), Some(1), "{difference}");
    sqlx::query("update sync.held set created_at = now() - interval '8 days' where closed_at is null")
        .execute(&tester.admin)
        .await?;
    let expired = tester.carried_out(&account, Ask::Approve(second.id)).await?;
    assert_eq!(expired.code.as_deref(), Some("held_expired"));
    let (_, rejected) = tester.answer(&account, Ask::Reject(second.id)).await?;
    assert_eq!(rejected.as_deref(), Some("held_expired"));
    assert_eq!(tester.requests("unassignNumber").await?.len(), 0);
    assert_eq!(tester.jobs(&account).await?.len(), 6, "a refused job is not tried again");
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_removals_come_back_only_when_their_user_changes() -> Result<()> {
    let mut tester = Tester::start().await?;
    let (account, numbers) = held(&mut tester, 8, 4).await?;
    let held = tester.held(&account).await?.context("held")?;
    let (_, code) = tester.answer(&account, Ask::Reject(held.id)).await?;
    assert_eq!(code, None);
    assert!(tester.held(&account).await?.is_none());
    tester.request(&account, "all").await?;
    tester.at_rest().await;
    assert!(tester.held(&account).await?.is_none(), "not proposed again");
    assert_eq!(tester.outcome(&account, 1).await?, ("kept".to_owned(), Some("removal_rejected".to_owned())));
    assert_eq!(tester.jobs(&account).await?.last().map(String::as_str), Some("succeeded"));
    // the next change of one of them is looked at afresh, and one removal passes
    let mut profile = account.profile(1, None);
    profile.display_name = Some("Another Name".to_owned());
    tester.save_profiles(&account, &[(1, profile)]).await?;
    tester.at_rest().await;
    let found = tester.numbers(&account, 4).await?;
    assert_eq!(found[0], None);
    assert_eq!(found[1], Some(numbers[1].clone()));
    assert_eq!(tester.count("select count(*) from sync.decisions").await?, 3);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn e36_a_preview_and_its_run_are_the_same_with_auto_sync_off() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(3).await?;
    sqlx::query("update admin.accounts set auto_sync = false").execute(&tester.admin).await?;
    tester.stranger(&account, "desk@account1.example", "+12125550103").await?;
    tester.all_roles().await?;
    tester
        .save(&account, &[(1, Some("+12125550101")), (2, Some("+12125550102")), (3, Some("+12125550103"))])
        .await?;
    tester.until("select count(*) from queue.windows where first_change_at is not null", 1).await;
    let (id, seen) = tester.preview(&account, Ask::Preview(JobScope::Changed)).await?;
    assert_eq!(seen.plan.steps.len(), 2);
    let conflict = seen.plan.users.iter().find_map(|user| match &user.verdict {
        Verdict::Conflict { holder, .. } => holder.clone(),
        _ => None,
    });
    assert!(conflict.context("a conflict")?.contains("desk@account1.example"));
    assert_eq!(tester.stat("writes").await?, 0, "a preview writes nothing");
    assert!(tester.jobs(&account).await?.is_empty());
    let over = tester.carried_out(&account, Ask::Run(id, JobScope::Changed)).await?;
    assert_eq!(over.state, "partly");
    assert_eq!(over.fingerprint, Some(seen.plan.fingerprint));
    assert_eq!(tester.teams(&account, 2).await?.number.as_deref(), Some("+12125550102"));
    let open = "select count(*) from queue.windows where first_change_at is not null";
    assert_eq!(tester.count(open).await?, 0, "the changes are carried");
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn e36_a_preview_that_is_no_longer_true_is_not_run() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    sqlx::query("update admin.accounts set auto_sync = false").execute(&tester.admin).await?;
    tester.all_roles().await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    let (id, _) = tester.preview(&account, Ask::Preview(JobScope::Changed)).await?;
    tester.save(&account, &[(2, Some("+12125550102"))]).await?;
    let over = tester.carried_out(&account, Ask::Run(id, JobScope::Changed)).await?;
    assert_eq!((over.state.as_str(), over.code.as_deref()), ("failed", Some("plan_changed")));
    assert_eq!(tester.stat("writes").await?, 0);
    let text: String = sqlx::query_scalar("select error_text from queue.jobs where job_id = $1")
        .bind(over.job.0)
        .fetch_one(&tester.admin)
        .await?;
    assert!(text.contains("new: ext-00002: assign_number +12125550102"), "{text}");
    // nothing is lost: the changes wait as before
    tester.until("select count(*) from queue.windows where first_change_at is not null", 1).await;
    let over = tester.carried_out(&account, Ask::Sync(JobScope::Changed)).await?;
    assert_eq!(over.state, "succeeded");
    assert_eq!(tester.numbers(&account, 2).await?.iter().flatten().count(), 2);
    let unknown = tester.carried_out(&account, Ask::Run(Uuid::nil(), JobScope::Changed)).await?;
    assert_eq!(unknown.code.as_deref(), Some("preview_unknown"));
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_says_why_there_is_none() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(1).await?;
    tester.revoke_consent(&account).await?;
    tester.all_roles().await?;
    let (_, code) = tester.answer(&account, Ask::Preview(JobScope::All)).await?;
    assert_eq!(code.as_deref(), Some("authorization_revoked"));
    tester.finish().await
}
