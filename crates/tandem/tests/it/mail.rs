//! The notifier as a process.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tandem_testkit::eventually;

use crate::lab::{Lab, SOON};
use crate::roles::Role;

/// An account whose last sync failed.
const FAILED: &str = "
    with a as (
      insert into admin.accounts (account_id, name, label, auto_sync, next_gen)
      values ('0190a000-0000-7000-8000-00000000000a', 'orchid', 'Orchid', true, true) returning account_id
    ), g as (insert into change.generations (account_id) select account_id from a
    ), v as (
      insert into vault.authorizations (account_id, tenant_id, client_id, state, bound_by, admin_oid, admin_name)
      select account_id, gen_random_uuid(), 'app', 'healthy', 'test', gen_random_uuid(), 'gale@orchid.example' from a
    ), j as (
      insert into queue.jobs (job_id, account_id, job_type, scope, state, cause, due_at, started_at, finished_at, error_code)
      select gen_random_uuid(), account_id, 'auto', 'changed', 'failed', 'window', now(), now(), now(), 'test' from a
      returning job_id, account_id
    )
    insert into sync.accounts (account_id, last_job) select account_id, job_id from j";

/// Lets the installation send mail, into a folder.
fn mailing(lab: &Lab) -> Result<()> {
    let mut file = std::fs::OpenOptions::new().append(true).open(lab.config())?;
    file.write_all(
        b"[notifier]\nportal = \"https://portal.example\"\nfrom = \"tandem@provider.example\"\n\
          from_name = \"Example Telecom\"\nfolder = \"mail\"\nsweep = \"200ms\"\ntick = \"100ms\"\n",
    )?;
    Ok(())
}

/// Mails that were written.
fn mails(lab: &Lab) -> Vec<String> {
    let files = std::fs::read_dir(lab.dir.path().join("mail")).into_iter().flatten().flatten();
    files.filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a12_a_notifier_alone_becomes_ready_writes_mail_and_leaves_when_told() -> Result<()> {
    let lab = Lab::start().await?;
    mailing(&lab)?;
    let mut role = Role::start(&lab, "notifier")?;
    role.ready().await;
    lab.sql(FAILED).await?;
    let mail = eventually(SOON, || async { mails(&lab).pop() }).await;
    assert!(mail.contains("Subject: Orchid: the last sync to Teams failed"), "{mail}");
    assert_eq!(role.stop().await?, Some(0));
    assert_eq!(mails(&lab).len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f15_killed_between_the_answer_and_the_record_it_sends_no_second_mail_that_day() -> Result<()> {
    let lab = Lab::start().await?;
    mailing(&lab)?;
    lab.sql(FAILED).await?;
    let armed = ["run", "notifier", "--health", "127.0.0.1:0", "--failpoint", "mail.after_250_before_mark"];
    let mut dying = lab.command(&armed).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let status = eventually(SOON, || {
        let ended = dying.try_wait().ok().flatten();
        async move { ended }
    })
    .await;
    ensure!(!status.success(), "it died: {status}");
    assert_eq!(mails(&lab).len(), 1, "the mail had gone out");
    // its successor finds the claim lapsed at once
    lab.sql("update mail.deliveries set claimed_until = now() - interval '1 s'").await?;
    let mut role = Role::start(&lab, "notifier")?;
    role.ready().await;
    let pool = sqlx::PgPool::connect(&lab.pg.url).await?;
    let outcome = eventually(SOON, || async {
        let outcome: Option<String> =
            sqlx::query_scalar("select outcome from mail.deliveries").fetch_one(&pool).await.ok();
        outcome.filter(|outcome| outcome != "sending")
    })
    .await;
    assert_eq!(outcome, "unknown");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(mails(&lab).len(), 1);
    assert_eq!(role.stop().await?, Some(0));
    pool.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f15_killed_before_the_words_left_the_mail_is_sent_by_its_successor() -> Result<()> {
    let lab = Lab::start().await?;
    mailing(&lab)?;
    lab.sql(FAILED).await?;
    let armed = ["run", "notifier", "--health", "127.0.0.1:0", "--failpoint", "mail.before_hand"];
    let mut dying = lab.command(&armed).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    eventually(SOON, || {
        let ended = dying.try_wait().ok().flatten();
        async move { ended }
    })
    .await;
    assert_eq!(mails(&lab).len(), 0);
    lab.sql("update mail.deliveries set claimed_until = now() - interval '1 s'").await?;
    let mut role = Role::start(&lab, "notifier")?;
    role.ready().await;
    eventually(SOON, || async { mails(&lab).pop() }).await;
    assert_eq!(role.stop().await?, Some(0));
    assert_eq!(mails(&lab).len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_section_the_notifier_says_what_is_missing() -> Result<()> {
    let lab = Lab::start().await?;
    let done = lab.run(&["run", "notifier"])?;
    assert!(!done.status.success());
    let said = String::from_utf8(done.stderr).context("text")?;
    assert!(said.contains("notifier: the section is missing"), "{said}");
    Ok(())
}
