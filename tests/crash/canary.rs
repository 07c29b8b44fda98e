//! Whether a token was written anywhere: database files with the write-ahead log, a dump, the broker's store, logs.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use tandem_tests::Account;

use crate::fleet::Fleet;

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
pub(crate) async fn shows_in_the_wal(fleet: &Fleet, sealed: &[u8]) -> Result<()> {
    // what is in the server's buffers is written with the switch to another segment
    sqlx::query("select pg_switch_wal()").execute(&fleet.tester.admin).await?;
    let cipher = String::from_utf8_lossy(sealed);
    let mark = cipher.split(|c: char| !c.is_ascii_graphic()).max_by_key(|run| run.len()).unwrap_or_default();
    ensure!(mark.len() >= 4, "a ciphertext of this length has a run of printable bytes");
    let there = found(&[mark.to_owned()], &[&server_folder(&fleet.tester.pg.server.log())?])?;
    ensure!(there.iter().any(|file| file.contains("pg_wal")), "the ciphertext is in no segment: {there:?}");
    Ok(())
}

/// The token of a job that is over stands nowhere, in no form.
pub(crate) async fn leaves_no_trace(fleet: &Fleet, account: &Account, token: &SecretString) -> Result<()> {
    fleet.tester.until("select count(*) where not exists (select from vault.job_tokens)", 1).await;
    sqlx::query("checkpoint").execute(&fleet.tester.admin).await?;
    let postgres = server_folder(&fleet.tester.pg.server.log())?;
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

    // the search finds what is there: the account in the dump and in the broker
    let id = account.id.to_string();
    ensure!(found(std::slice::from_ref(&id), &[&dump])?.len() == 1, "the account is not in the dump");
    ensure!(!found(&[id], &[&nats])?.is_empty(), "the account is not in the broker's store");

    let whole = token.expose_secret();
    let mut needles = forms(whole);
    // parts of it would do as well
    for part in whole.split('.').skip(1) {
        needles.extend(forms(part));
    }
    let there = found(&needles, &places)?;
    ensure!(there.is_empty(), "the token was written somewhere: {there:?}");
    Ok(())
}
