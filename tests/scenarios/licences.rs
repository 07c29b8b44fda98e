//! Integration licences: given, taken, never more than sold.

use anyhow::Result;
use tandem_store::{Login, change};
use tandem_tests::Tester;

#[tokio::test(flavor = "multi_thread")]
async fn a2_a_leavers_licence_goes_to_another_user_and_both_steps_are_shown() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(3).await?;
    sqlx::query("delete from admin.mappings where pbx_user_id = 'ext-00003'").execute(&tester.admin).await?;
    sqlx::query("update admin.accounts set licences = 2").execute(&tester.admin).await?;
    tester.all_roles().await?;
    tester.save(&account, &[(1, Some("+12125550101")), (2, Some("+12125550102"))]).await?;
    tester.at_rest().await;

    // every licence is in use, so nobody can be mapped before somebody gives his back
    let refused = tester.map(&account, 3, 3).await;
    assert!(refused.is_err_and(|error| format!("{error:#}").contains("has 3 mappings but 2 licences")));

    // the leaver's number goes to the successor as well
    tester.unmap(&account, 1).await?;
    tester.map(&account, 3, 3).await?;
    tester.save(&account, &[(1, None), (3, Some("+12125550101"))]).await?;
    tester.at_rest().await;
    assert_eq!(tester.teams(&account, 1).await?.number, None);
    assert_eq!(tester.teams(&account, 2).await?.number.as_deref(), Some("+12125550102"));
    assert_eq!(tester.teams(&account, 3).await?.number.as_deref(), Some("+12125550101"));

    // the ledger shows who lost a licence and who got it, in this order
    let store = tester.store(Login::Operator);
    let mut tx = store.begin("test.ledger").await?;
    let entries = change::ledger(&mut tx, account.id).await?;
    drop(tx);
    store.close().await;
    let steps: Vec<(&str, i32)> =
        entries.iter().map(|entry| (entry.user.as_str(), entry.difference)).collect();
    assert_eq!(steps, [("ext-00001", -1), ("ext-00003", 1)]);

    // and so does the log: off the leaver, then onto the successor
    let rows: Vec<(String, String)> = sqlx::query_as(
        "select pbx_user_id, action from log.steps where action like '%assign_number' and outcome = 'done'
            and at > (select saved.detected_at from change.log saved where saved.kind = 'unmapped') order by at",
    )
    .fetch_all(&tester.admin)
    .await?;
    let done: Vec<(&str, &str)> =
        rows.iter().map(|(user, action)| (user.as_str(), action.as_str())).collect();
    assert_eq!(done, [("ext-00001", "unassign_number"), ("ext-00003", "assign_number")]);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn b3_licences_cannot_fall_below_the_mappings() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    let fewer = tester.setting(&account, "licences", "update admin.accounts set licences = 1").await;
    assert!(fewer.is_err_and(|error| format!("{error:#}").contains("has 2 mappings but 1 licences")));
    tester.unmap(&account, 1).await?;
    tester.setting(&account, "licences", "update admin.accounts set licences = 1").await?;
    let counts = "select a.licences - count(*) from admin.accounts a join admin.mappings m using (account_id) group by a.licences";
    assert_eq!(tester.count(counts).await?, 0);
    tester.abandon().await;
    Ok(())
}
