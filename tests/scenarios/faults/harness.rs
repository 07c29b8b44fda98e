//! The harness itself: a test that leaves something behind fails.

use std::time::Duration;

use anyhow::Result;
use tandem_tests::Tester;

/// What `finish` says, panics included.
async fn end_of(tester: Tester) -> String {
    match tokio::spawn(tester.finish()).await {
        Ok(Ok(())) => "fine".to_owned(),
        Ok(Err(error)) => format!("{error:#}"),
        Err(panicked) => panicked.into_panic().downcast_ref::<String>().cloned().unwrap_or_default(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn work_left_behind_fails_the_test() -> Result<()> {
    let mut tester = Tester::start().await?;
    tester.patience = Duration::from_secs(2);
    let account = tester.account(1).await?;
    tester.debouncer().await?;
    tester.sync_log().await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    let said = end_of(tester).await;
    assert!(said.contains("jobs queued or running"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_nobody_could_read_fails_the_test() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(1).await?;
    tester.all_roles().await?;
    sqlx::query(
        "insert into ops.outbox (subject, headers, payload, message_id) values ($1, '{}', $2, 'garbage')",
    )
    .bind(tester.subjects().changed(account.id.0))
    .bind(&b"\x00 no message"[..])
    .execute(&tester.admin)
    .await?;
    tester.until("select count(*) from ops.dead_letters", 1).await;
    let said = end_of(tester).await;
    assert!(said.contains("1 dead letters"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_background_task_that_failed_fails_the_test() -> Result<()> {
    let mut tester = Tester::start().await?;
    let role = tester.context();
    role.spawn("test.loop", async { Err("the loop broke".into()) });
    tester.adopt(role);
    let said = end_of(tester).await;
    assert!(said.contains("background errors") && said.contains("the loop broke"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_was_not_on_record_fails_the_test() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(1).await?;
    tester.all_roles().await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    tester.at_rest().await;
    sqlx::query("update sync.intents set client_request_id = gen_random_uuid()")
        .execute(&tester.admin)
        .await?;
    let said = end_of(tester).await;
    assert!(said.contains("not on record"), "{said}");
    Ok(())
}
