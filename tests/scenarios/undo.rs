//! Undoing a finished sync.

use anyhow::{Context, Result};
use tandem_domain::JobId;
use tandem_domain::plan::Verdict;
use tandem_store::admin::requests::Ask;
use tandem_tests::{Account, Tester};

async fn last_job(tester: &Tester, account: &Account) -> Result<JobId> {
    let job = sqlx::query_scalar(
        "select job_id from queue.jobs where account_id = $1 order by queued_at desc limit 1",
    )
    .bind(account.id.0)
    .fetch_one(&tester.admin)
    .await?;
    Ok(JobId(job))
}

/// Two users swap their numbers, a third gets another one, a fourth its first.
async fn moved(tester: &mut Tester) -> Result<(Account, Vec<String>)> {
    let account = tester.account(5).await?;
    tester.all_roles().await?;
    let numbers: Vec<String> = (1..=6).map(|i| account.telephone(i)).collect();
    let number = |i: usize| Some(numbers[i - 1].as_str());
    tester.save(&account, &[(1, number(1)), (2, number(2)), (3, number(3))]).await?;
    tester.at_rest().await;
    tester.save(&account, &[(1, number(2)), (2, number(1)), (3, number(5)), (4, number(4))]).await?;
    tester.at_rest().await;
    assert_eq!(tester.jobs(&account).await?, ["succeeded", "succeeded"]);
    Ok((account, numbers))
}

fn some(numbers: &[&String]) -> Vec<Option<String>> {
    numbers.iter().map(|number| Some((*number).clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_sync_is_undone_and_stays_undone_until_something_changes() -> Result<()> {
    let mut tester = Tester::start().await?;
    let (account, n) = moved(&mut tester).await?;
    let job = last_job(&tester, &account).await?;
    let (preview, seen) = tester.preview(&account, Ask::PreviewUndo(job)).await?;
    let writes = tester.stat("writes").await?;
    let over = tester.carried_out(&account, Ask::Undo(job, Some(preview))).await?;
    assert_eq!((over.state.as_str(), over.linked), ("succeeded", Some(job.0)));
    assert_eq!(over.fingerprint, Some(seen.plan.fingerprint));
    tester.at_rest().await;
    let found = tester.numbers(&account, 4).await?;
    assert_eq!(found[..3], some(&[&n[0], &n[1], &n[2]])[..]);
    assert_eq!(found[3], None);
    assert_eq!(tester.stat("writes").await?, writes + 7, "two swaps of a number, one back, one off");
    // the next jobs leave these users alone, also one that looks at them because a number ties them
    tester.save(&account, &[(5, Some(&n[5]))]).await?;
    tester.at_rest().await;
    assert_eq!(tester.numbers(&account, 4).await?, found);
    assert_eq!(tester.teams(&account, 5).await?.number.as_ref(), Some(&n[5]));
    // until one of them changes in the PBX
    let mut profile = account.profile(3, Some(&n[4]));
    profile.display_name = Some("Another Name".to_owned());
    tester.save_profiles(&account, &[(3, profile)]).await?;
    tester.at_rest().await;
    assert_eq!(tester.teams(&account, 3).await?.number.as_ref(), Some(&n[4]));
    assert_eq!(tester.teams(&account, 1).await?.number.as_ref(), Some(&n[0]), "the others stay");
    // or a person has everything brought in line
    tester.request(&account, "all").await?;
    tester.at_rest().await;
    assert_eq!(tester.numbers(&account, 4).await?, some(&[&n[1], &n[0], &n[4], &n[3]]));
    assert_eq!(tester.count("select count(*) from sync.decisions").await?, 0);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_no_longer_be_undone_is_listed_and_the_rest_is_undone() -> Result<()> {
    let mut tester = Tester::start().await?;
    let (account, n) = moved(&mut tester).await?;
    let job = last_job(&tester, &account).await?;
    // somebody in Teams takes the old number of the third; a later job moves the fourth
    tester.stranger(&account, "desk@account1.example", &n[2]).await?;
    tester.save(&account, &[(4, Some(&n[5]))]).await?;
    tester.at_rest().await;
    let (_, seen) = tester.preview(&account, Ask::PreviewUndo(job)).await?;
    let why = |i: u32| {
        seen.plan.users.iter().find(|user| user.user == account.user(i)).map(|user| match &user.verdict {
            Verdict::Conflict { code, text, .. } => (code.as_str(), text.clone()),
            other => ("", format!("{other:?}")),
        })
    };
    let (code, text) = why(3).context("user 3")?;
    assert_eq!(code, "number_held_by_unmanaged_user");
    assert!(text.contains("desk@account1.example"), "{text}");
    assert_eq!(why(4).context("user 4")?.0, "undo_changed_later");
    let over = tester.carried_out(&account, Ask::Undo(job, None)).await?;
    assert_eq!(over.state, "partly");
    tester.at_rest().await;
    assert_eq!(tester.numbers(&account, 4).await?, some(&[&n[0], &n[1], &n[4], &n[5]]));
    // what was undone can be undone again
    let again = tester.carried_out(&account, Ask::Undo(over.job, None)).await?;
    assert_eq!(again.state, "succeeded");
    tester.at_rest().await;
    assert_eq!(tester.numbers(&account, 2).await?, some(&[&n[1], &n[0]]));
    let unknown = tester.carried_out(&account, Ask::Undo(JobId(account.id.0), None)).await?;
    assert_eq!(unknown.code.as_deref(), Some("undo_unknown_job"));
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_takes_much_away_has_to_be_seen_first() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(6).await?;
    tester.all_roles().await?;
    let numbers: Vec<String> = (1..=6).map(|i| account.telephone(i)).collect();
    let edits: Vec<_> = numbers.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    tester.save(&account, &edits).await?;
    tester.at_rest().await;
    let job = last_job(&tester, &account).await?;
    let blind = tester.carried_out(&account, Ask::Undo(job, None)).await?;
    assert_eq!(blind.code.as_deref(), Some("undo_removes_too_much"));
    assert_eq!(tester.requests("unassignNumber").await?.len(), 0);
    let (preview, seen) = tester.preview(&account, Ask::PreviewUndo(job)).await?;
    assert_eq!(seen.plan.steps.len(), 6);
    let over = tester.carried_out(&account, Ask::Undo(job, Some(preview))).await?;
    assert_eq!(over.state, "succeeded");
    tester.at_rest().await;
    assert_eq!(tester.numbers(&account, 6).await?.iter().flatten().count(), 0);
    tester.finish().await
}
