//! The sealing key changes under running jobs, and the rotator dies on its way.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use serde_json::json;
use tandem_domain::job::JobScope;
use tandem_vault::Keyring;

use crate::fleet::{Fleet, Id, Options};

const JOBS: u32 = 100;
/// So many tokens are sealed before there is a new key; the others come while it takes over.
const BEFORE: usize = 90;
/// The rotator dies after so many.
const KILLED_AFTER: i64 = 10;
const N1: &str = "+12125550101";
const UNFINISHED: &str = "select count(*) from queue.jobs where finished_at is null";

/// Runs a command to its end; it must succeed.
async fn keys(fleet: &mut Fleet, command: &str) -> Result<String> {
    let id = fleet.command(command, &["keys", command])?;
    ended_well(fleet, id).await
}

async fn ended_well(fleet: &mut Fleet, id: Id) -> Result<String> {
    let status = fleet.process(id).ended().await?;
    let said = fleet.process(id).said();
    ensure!(status.code() == Some(0), "{status}: {said}");
    Ok(said)
}

/// Tokens that this key sealed.
async fn sealed_by(fleet: &Fleet, key: &str) -> Result<i64> {
    let query = sqlx::query_scalar("select count(*) from vault.job_tokens where key_id = $1");
    Ok(query.bind(key).fetch_one(&fleet.tester.admin).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn i19_f17_a_hundred_jobs_run_while_the_rotator_is_killed_and_run_again() -> Result<()> {
    let options = Options { manual_slots: JOBS, patient: true, ..Options::default() };
    let mut fleet = Fleet::with(options).await?;
    fleet.tester.patience = Duration::from_secs(180);
    // a job takes some seconds, so that all of them are under way at once
    fleet.tester.settings(&json!({ "operationLatencyMs": 4000 })).await?;
    let mut accounts = Vec::new();
    for _ in 0..JOBS {
        let account = fleet.tester.account(1).await?;
        fleet.tester.only_sign_in(&account).await?;
        let gale = fleet.tester.global_admin(&account, "gale").await?;
        fleet.tester.save(&account, &[(1, Some(N1))]).await?;
        let token = fleet.tester.sign_in(&account, gale).await?;
        accounts.push((account, token));
    }
    let ring = fleet.tester.keyring.path().to_owned();
    let old = Keyring::load(&ring)?.newest().id().to_string();
    for (account, token) in &accounts[..BEFORE] {
        fleet.tester.sync_now(account, JobScope::Changed, token).await?;
    }
    assert_eq!(sealed_by(&fleet, &old).await?, i64::try_from(BEFORE)?);
    fleet.run("all").await?;
    fleet.tester.until("select least(1, count(*)) from queue.jobs where state = 'running'", 1).await;

    keys(&mut fleet, "new").await?;
    let new = Keyring::load(&ring)?.newest().id().to_string();
    assert_ne!(new, old);
    let point = format!("vault.between_reseals:{KILLED_AFTER}");
    let dying = fleet.command("rotator", &["keys", "reseal", "--failpoint", &point])?;
    let status = fleet.process(dying).ended().await?;
    assert_eq!(status.signal(), Some(Signal::SIGABRT as i32), "{}", fleet.process(dying).said());
    // whatever was sealed later is sealed with the new key at once
    for (account, token) in &accounts[BEFORE..] {
        fleet.tester.sync_now(account, JobScope::Changed, token).await?;
    }
    assert!(sealed_by(&fleet, &old).await? > 0, "the rotator died in the midst of its work");
    assert!(sealed_by(&fleet, &new).await? > 0, "and had begun it");

    let again = fleet.command("rotator", &["keys", "reseal"])?;
    let said = ended_well(&mut fleet, again).await?;
    assert!(said.contains(" sealed anew with ") && !said.starts_with("0 "), "{said}");
    assert_eq!(sealed_by(&fleet, &old).await?, 0);
    assert!(fleet.tester.count(UNFINISHED).await? > 0, "jobs have been running all the time");
    std::fs::remove_file(ring.join(format!("{old}.key")))?;
    assert!(keys(&mut fleet, "list").await?.contains(&new), "nothing is missing");

    fleet.tester.at_rest().await;
    let well = "select count(*) from queue.jobs where state = 'succeeded' and token_request is not null";
    assert_eq!(fleet.tester.count(well).await?, i64::from(JOBS));
    for (account, _) in &accounts {
        assert_eq!(fleet.tester.jobs(account).await?, ["succeeded"], "{}", account.name);
        assert_eq!(fleet.tester.teams(account, 1).await?.number.as_deref(), Some(N1));
    }
    fleet.finish().await
}
