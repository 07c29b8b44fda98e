//! Signing in through the shipped program: a command that serves the pages, roles as processes, a browser.

use std::os::unix::process::ExitStatusExt;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use secrecy::SecretString;
use sqlx::Row;
use tandem_domain::{ObjectId, TenantId};
use tandem_tests::{Account, Browser, Page};
use tandem_vault::{Binding, Opener, Sealed};
use url::Url;
use uuid::Uuid;

use crate::canary::{leaves_no_trace, shows_in_the_wal};
use crate::fleet::{Fleet, Id};

const N1: &str = "+12125550101";
const GALE: &str = "gale";

/// An account whose tenant has consented to nothing, with a Global Administrator.
async fn unconnected(fleet: &mut Fleet) -> Result<(Account, String)> {
    let account = fleet.tester.account(2).await?;
    sqlx::query("delete from vault.authorizations").execute(&fleet.tester.admin).await?;
    fleet.tester.revoke_consent(&account).await?;
    fleet.tester.global_admin(&account, GALE).await?;
    let person = format!("{GALE}@{}.example", account.name);
    Ok((account, person))
}

fn connect(fleet: &mut Fleet, account: &Account, more: &[&str]) -> Result<Id> {
    let args = [&["accounts", "connect", account.name.as_str(), "--no-browser"], more].concat();
    fleet.command("connect", &args)
}

/// Opens the link of a command and goes to Microsoft's sign-in.
async fn at_microsoft(fleet: &mut Fleet, command: Id, browser: &mut Browser) -> Result<Page> {
    let link = fleet.process(command).link().await?;
    let start = browser.go(&link).await?;
    ensure!(start.status.is_success(), "{} {}", start.status, start.text);
    browser.send(&start, &[]).await
}

/// Signs in, consents, and looks until the page says how it ended.
async fn consent(fleet: &mut Fleet, command: Id, browser: &mut Browser, person: &str) -> Result<Page> {
    let microsoft = at_microsoft(fleet, command, browser).await?;
    let confirm = browser.send(&microsoft, &[("person", person)]).await?;
    confirm.says("Allow access at Microsoft")?;
    let microsoft = browser.send(&confirm, &[]).await?;
    let page = browser.send(&microsoft, &[("person", person)]).await?;
    outcome(fleet, browser, page).await
}

async fn outcome(fleet: &Fleet, browser: &mut Browser, mut page: Page) -> Result<Page> {
    let until = tokio::time::Instant::now() + fleet.tester.patience;
    let mut again = tokio::time::interval(std::time::Duration::from_millis(50));
    while page.text.contains("http-equiv=\"refresh\"") {
        ensure!(tokio::time::Instant::now() < until, "still waiting: {}", page.text);
        again.tick().await;
        let status: Url = page.url.clone();
        page = browser.go(&status).await?;
    }
    Ok(page)
}

/// Nothing has come of a sign-in.
async fn nothing_done(fleet: &Fleet) -> Result<()> {
    for table in [
        "select count(*) from vault.authorizations",
        "select count(*) from vault.proofs",
        "select count(*) from vault.job_tokens",
        "select count(*) from admin.requests",
        "select count(*) from change.log",
    ] {
        let rows = fleet.tester.count(table).await?;
        ensure!(rows == 0, "{rows}: {table}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn e1_a_tenant_is_connected_from_a_terminal_and_a_browser() -> Result<()> {
    let mut fleet = Fleet::start().await?;
    let (account, gale) = unconnected(&mut fleet).await?;
    fleet.run("all").await?;
    let command = connect(&mut fleet, &account, &[])?;
    let page = consent(&mut fleet, command, &mut Browser::new(), &gale).await?;
    page.says("Connected")?;
    page.says(&gale)?;
    let status = fleet.process(command).ended().await?;
    let said = fleet.process(command).said();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains(&format!("{} is connected; {gale} has consented", account.name)), "{said}");
    let row = sqlx::query("select account_id, tenant_id, state, admin_name from vault.authorizations")
        .fetch_one(&fleet.tester.admin)
        .await?;
    assert_eq!(
        (row.get::<Uuid, _>("account_id"), row.get::<Uuid, _>("tenant_id")),
        (account.id.0, account.tenant)
    );
    assert_eq!((row.get::<&str, _>("state"), row.get::<&str, _>("admin_name")), ("healthy", gale.as_str()));
    // what is saved from now on reaches the tenant without anybody
    fleet.tester.save(&account, &[(1, Some(N1))]).await?;
    fleet.tester.at_rest().await;
    assert_eq!(fleet.tester.teams(&account, 1).await?.number.as_deref(), Some(N1));
    fleet.finish().await
}

/// The token that a waiting job will work with, opened as teams-sync would, and the bytes that are stored of it.
async fn handed_in(fleet: &Fleet) -> Result<(SecretString, Vec<u8>)> {
    fleet.tester.until("select count(*) from vault.job_tokens", 1).await;
    let row = sqlx::query("select * from vault.job_tokens").fetch_one(&fleet.tester.admin).await?;
    let account = tandem_domain::AccountId(row.get("account_id"));
    let (tenant, oid) = (TenantId(row.get("tenant_id")), ObjectId(row.get("oid")));
    let binding = Binding::job_token(account, tenant, row.get("request_id"), oid);
    let sealed: Vec<u8> = row.get("sealed");
    let token = Opener::load(fleet.tester.keyring.path())?.open(&binding, &Sealed::parse(sealed.clone())?)?;
    Ok((token, sealed))
}

#[tokio::test(flavor = "multi_thread")]
async fn e36_i16_a_sync_is_asked_for_from_a_terminal_and_a_browser_and_the_token_leaves_no_trace()
-> Result<()> {
    let mut fleet = Fleet::start().await?;
    let account = fleet.tester.account(2).await?;
    fleet.tester.only_sign_in(&account).await?;
    let oid = fleet.tester.global_admin(&account, GALE).await?;
    let gale = format!("{GALE}@{}.example", account.name);
    sqlx::query("update vault.authorizations set admin_oid = $1, admin_name = $2")
        .bind(oid.0)
        .bind(&gale)
        .execute(&fleet.tester.admin)
        .await?;
    fleet.tester.save(&account, &[(1, Some(N1))]).await?;
    // the worker comes later, so that the token can be looked at meanwhile
    fleet.run("debouncer").await?;
    fleet.run("sync-log").await?;
    let args = [
        "jobs",
        "run",
        &account.name,
        "--full",
        "--reason",
        "new numbers",
        "--sign-in",
        "--no-browser",
        "--settled",
    ];
    let command = fleet.command("sign-in", &args)?;
    let mut browser = Browser::new();
    let microsoft = at_microsoft(&mut fleet, command, &mut browser).await?;
    let second = browser.send(&microsoft, &[("person", &gale)]).await?;
    let page = browser.send(&second, &[("person", &gale)]).await?;
    outcome(&fleet, &mut browser, page).await?.says("The sync is on its way")?;
    let (token, sealed) = handed_in(&fleet).await?;
    shows_in_the_wal(&fleet, &sealed).await?;

    fleet.run("teams-sync").await?;
    let status = fleet.process(command).ended().await?;
    let said = fleet.process(command).said();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains(&format!("{gale} has asked for it")) && said.contains(" succeeded"), "{said}");
    assert_eq!(fleet.tester.teams(&account, 1).await?.number.as_deref(), Some(N1));
    let mine = "select count(*) from queue.jobs where job_type = 'manual' and state = 'succeeded' and token_request is not null";
    assert_eq!(fleet.tester.count(mine).await?, 1);
    // in the person's name, each time
    let assigned = fleet.tester.requests("assignNumber").await?;
    assert!(!assigned.is_empty() && assigned.iter().all(|r| r["user"] == oid.0.to_string()), "{assigned:?}");
    leaves_no_trace(&fleet, &account, &token).await?;
    fleet.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn f16_killed_with_the_code_redeemed_and_nothing_stored() -> Result<()> {
    let mut fleet = Fleet::start().await?;
    let (account, gale) = unconnected(&mut fleet).await?;
    fleet.run("all").await?;
    let point = "consent.after_code_redeemed_before_store";
    let dying = connect(&mut fleet, &account, &["--failpoint", point])?;
    let mut browser = Browser::new();
    let microsoft = at_microsoft(&mut fleet, dying, &mut browser).await?;
    let sent = browser.send_once(&microsoft, &[("person", &gale)]).await?;
    let answer = browser.until(sent, "/connect/signed-in").await?;
    assert!(browser.go(&answer).await.is_err(), "nobody answers");
    let status = fleet.process(dying).ended().await?;
    assert_eq!(status.signal(), Some(Signal::SIGABRT as i32), "{}", fleet.process(dying).said());
    // the code is spent, and that is all
    let redeemed = fleet.tester.requests("token").await?.iter().filter(|r| r["status"] == 200).count();
    assert_eq!(redeemed, 1);
    nothing_done(&fleet).await?;
    let row =
        sqlx::query("select step, state_hash is null as used, oid, refusal from admin.connect_attempts")
            .fetch_one(&fleet.tester.admin)
            .await?;
    assert_eq!((row.get::<&str, _>("step"), row.get::<bool, _>("used")), ("signing_in", true));
    assert_eq!(row.get::<Option<Uuid>, _>("oid"), None);

    // the same browser, another process: the old answer is worth nothing, a new sign-in is
    let living = connect(&mut fleet, &account, &[])?;
    let link = fleet.process(living).link().await?;
    let mut replayed = answer.clone();
    replayed.set_port(link.port()).ok().context("a port")?;
    assert_eq!(browser.go(&replayed).await?.code()?, "session_unknown");
    nothing_done(&fleet).await?;
    consent(&mut fleet, living, &mut browser, &gale).await?.says("Connected")?;
    assert_eq!(fleet.process(living).ended().await?.code(), Some(0));
    let healthy = "select count(*) from vault.authorizations where state = 'healthy'";
    assert_eq!(fleet.tester.count(healthy).await?, 1);
    fleet.finish().await
}
