//! The token of a person who signed in leaves no trace, whatever dies meanwhile.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::ExposeSecret;
use tandem_domain::job::JobScope;

use crate::fleet::Fleet;

const N1: &str = "+12125550101";

/// The forms in which a text could have been written somewhere. Of base64 the part that does not depend on what
/// stands beside it, for each of the three ways in which it can begin.
fn forms(text: &str) -> Vec<String> {
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let escaped: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let mut forms = vec![text.to_owned(), hex.to_uppercase(), hex, escaped.to_lowercase(), escaped];
    forms.push(text.replace('.', "%2E"));
    forms.push(text.chars().rev().collect());
    for before in ["", "x", "xx"] {
        let shifted = format!("{before}{text}");
        for coded in [STANDARD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
            forms.push(coded[4..coded.len() - 8].to_owned());
        }
    }
    forms
}

/// Files below these folders that hold one of the texts.
fn found(texts: &[String], places: &[&Path]) -> Result<Vec<String>> {
    let mut patterns = tempfile::NamedTempFile::new()?;
    patterns.write_all(texts.join("\n").as_bytes())?;
    let output = Command::new("grep")
        .args(["--recursive", "--text", "--fixed-strings", "--files-with-matches", "--file"])
        .arg(patterns.path())
        .args(places)
        .output()
        .context("run grep")?;
    // 1 is "nothing found"; servers may remove a file meanwhile, which says 2 beside what was found
    ensure!(output.status.code().is_some_and(|code| code < 3), "grep: {:?}", output.status);
    Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
}

/// The folder of the server that writes this log.
fn server_folder(log: &Path) -> Result<PathBuf> {
    log.ancestors().nth(2).map(Path::to_owned).context("the log is in the server's folder")
}

/// The search finds a ciphertext in the write-ahead log, looked for before a checkpoint may let the segment go.
async fn shows_in_the_wal(fleet: &Fleet, sealed: &[u8], postgres: &Path) -> Result<()> {
    // what is in the server's buffers is written with the switch to another segment
    sqlx::query("select pg_switch_wal()").execute(&fleet.tester.admin).await?;
    let cipher = String::from_utf8_lossy(sealed);
    let mark = cipher.split(|c: char| !c.is_ascii_graphic()).max_by_key(|run| run.len()).unwrap_or_default();
    ensure!(mark.len() >= 4, "a ciphertext of this length has a run of printable bytes");
    let there = found(&[mark.to_owned()], &[postgres])?;
    ensure!(there.iter().any(|file| file.contains("pg_wal")), "the ciphertext is in no segment: {there:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn e11_i16_i17_a_persons_token_leaves_no_trace_when_its_worker_is_killed() -> Result<()> {
    let mut fleet = Fleet::start().await?;
    let account = fleet.tester.account(3).await?;
    let gale = fleet.tester.global_admin(&account, "gale").await?;
    let token = fleet.tester.sign_in(&account, gale).await?;
    let dying = fleet.run_armed("teams-sync", "wrk.after_202_before_location_saved").await?;
    fleet.tester.save(&account, &[(1, Some(N1))]).await?;
    let request = fleet.tester.sync_now(&account, JobScope::All, &token).await?;
    // what was stored, to prove below that the search would find it
    let sealed: Vec<u8> = sqlx::query_scalar("select sealed from vault.job_tokens where request_id = $1")
        .bind(request)
        .fetch_one(&fleet.tester.admin)
        .await?;
    let postgres = server_folder(&fleet.tester.pg.server.log())?;
    shows_in_the_wal(&fleet, &sealed, &postgres).await?;
    let living = fleet.reborn(dying).await?;
    let limits = fleet.process(living).limits()?;
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).context("a limit")?;
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "no core dumps: {core}");
    fleet.tester.at_rest().await;
    assert_eq!(fleet.tester.teams(&account, 1).await?.number.as_deref(), Some(N1));
    let used = "select count(*) from queue.jobs where token_request is not null and job_type = 'manual'";
    assert_eq!(fleet.tester.count(used).await?, 1);
    fleet.tester.until("select count(*) where not exists (select from vault.job_tokens)", 1).await;
    sqlx::query("checkpoint").execute(&fleet.tester.admin).await?;

    let nats = server_folder(&fleet.tester.nats.server.log())?;
    let dump = fleet.folder().join("dump.sql");
    let output = Command::new(tandem_testkit::search().postgres().await?.bin.join("pg_dump"))
        .arg(format!("--dbname={}", fleet.tester.pg.url))
        .arg("--file")
        .arg(&dump)
        .output()
        .context("run pg_dump")?;
    ensure!(output.status.success(), "pg_dump: {}", String::from_utf8_lossy(&output.stderr));
    let places = [postgres.as_path(), nats.as_path(), fleet.folder()];

    // the search finds what is there: the account in the dump and in the broker, as it found the ciphertext above
    let id = account.id.to_string();
    assert_eq!(found(std::slice::from_ref(&id), &[&dump])?.len(), 1);
    assert!(!found(&[id], &[&nats])?.is_empty());

    let whole = token.expose_secret();
    let mut needles = forms(whole);
    // parts of it would do as well
    for part in whole.split('.').skip(1) {
        needles.extend(forms(part));
    }
    assert_eq!(found(&needles, &places)?, Vec::<String>::new(), "the token was written somewhere");
    fleet.finish().await
}
