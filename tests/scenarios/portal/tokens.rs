//! Bearer tokens, and the commands that work through the portal with one (rows B21, B28, B30, B41).

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tandem_tests::{Browser, Page, program};
use tokio::io::AsyncWriteExt as _;
use uuid::Uuid;

use super::fleet_jobs::{failed, months};
use super::world::World;

/// The form that makes a token.
fn form(page: &Page) -> Result<Page> {
    let (_, rest) = page.text.split_once("<form class=\"way\"").context("the form")?;
    Ok(Page { text: format!("<form {}", rest.split("</form>").next().unwrap_or_default()), ..page.clone() })
}

async fn token(world: &World, browser: &mut Browser, days: &str) -> Result<String> {
    let page = browser.go(&world.page("/tokens")).await?;
    let made = browser.send(&form(&page)?, &[("name", "laptop"), ("days", days)]).await?;
    let (_, rest) = made.text.split_once(">tandem_").with_context(|| made.text.clone())?;
    let secret = rest.split('<').next().unwrap_or_default();
    assert_eq!(secret.len(), 43, "256 bits");
    assert!(!browser.go(&page.url).await?.text.contains(secret), "shown once");
    Ok(format!("tandem_{secret}"))
}

/// Status, code and `WWW-Authenticate` of an answer.
type Seen = (u16, String, Option<String>);

async fn get(world: &World, path: &str, token: &str, reason: Option<&str>) -> Result<Seen> {
    let mut request = world.tester.http.get(world.page(path)).bearer_auth(token);
    if let Some(reason) = reason {
        request = request.header("tandem-reason", reason);
    }
    let answer = request.send().await?;
    let asks =
        answer.headers().get("www-authenticate").and_then(|asks| asks.to_str().ok()).map(str::to_owned);
    let status = answer.status().as_u16();
    let body: Value = answer.json().await?;
    Ok((status, body["code"].as_str().unwrap_or_default().to_owned(), asks))
}

fn refused() -> Seen {
    let asks = "Bearer realm=\"tandem\", error=\"invalid_token\"";
    (401, "token_refused".to_owned(), Some(asks.to_owned()))
}

fn fine() -> Seen {
    (200, String::new(), None)
}

#[tokio::test(flavor = "multi_thread")]
async fn b21_tokens_that_ended_were_revoked_or_are_of_elsewhere_are_refused() -> Result<()> {
    let world = World::start().await?;
    let mut adam = world.sign_in("adam").await?;
    let page = adam.go(&world.page("/tokens")).await?;
    for days in ["0", "91", "-1", "1e9"] {
        let sent = adam.send(&form(&page)?, &[("name", "n"), ("days", days)]).await?;
        assert_eq!(sent.code()?, "bad_input", "{days}");
    }
    let (short, long) = (token(&world, &mut adam, "1").await?, token(&world, &mut adam, "90").await?);
    let me = "/api/v1/me";
    assert_eq!(get(&world, me, &short, None).await?, fine());
    assert_eq!(get(&world, "/api/v1/accounts/account1", &short, None).await?, fine());
    assert_eq!(
        get(&world, "/api/v1/accounts/account2", &short, None).await?.0,
        404,
        "rights are the person's"
    );
    // nothing that is stored shows it
    let kept = "select count(*) from admin.tokens t where position($1 in t::text) > 0 or position($2 in t::text) > 0";
    let bare = short.trim_start_matches("tandem_");
    let found: i64 = sqlx::query_scalar(kept).bind(bare).bind(&short).fetch_one(&world.tester.admin).await?;
    assert_eq!(found, 0);
    // made elsewhere, cut, or in the wrong place
    let other = format!("tandem_{}", "A".repeat(43));
    for odd in [other.as_str(), "tandem_", &short[..20], bare, "", "null"] {
        assert_eq!(get(&world, me, odd, None).await?, refused(), "{odd}");
    }
    for query in [format!("{me}?access_token={short}"), format!("{me}?token={short}")] {
        let answer = world.tester.http.get(world.page(&query)).send().await?;
        let asks =
            answer.headers().get("www-authenticate").context("what is asked for")?.to_str()?.to_owned();
        assert_eq!((answer.status().as_u16(), asks.as_str()), (401, "Bearer realm=\"tandem\""));
    }
    // pages want a sign-in, whatever else comes along
    let page = Browser::new().go(&world.page("/sign-in")).await?;
    let answer = world.tester.http.get(world.page("/accounts/account1")).bearer_auth(&short).send().await?;
    assert_eq!(answer.url().path(), page.url.path());
    // a token that ends and one that is revoked
    let older = "update admin.tokens set created_at = created_at - interval '25 h', expires_at = expires_at - interval '25 h'
                  where expires_at < now() + interval '2 days'";
    sqlx::query(older).execute(&world.tester.admin).await?;
    assert_eq!(get(&world, me, &short, None).await?, refused(), "it was good for a day");
    assert_eq!(get(&world, me, &long, None).await?, fine());
    let page = adam.go(&world.page("/tokens")).await?;
    page.says(">Ended</span>")?;
    let (_, rest) = page.text.split_once("<td><form").context("the form")?;
    let revoke = Page { text: format!("<form{}", rest.split("</form>").next().unwrap_or_default()), ..page };
    adam.send(&revoke, &[]).await?.says(">Revoked</span>")?;
    assert_eq!(get(&world, me, &long, None).await?, refused(), "revoked");
    // long not seen at the issuer, which knows who has left
    let seen = "update admin.people set signed_in_at = signed_in_at - $1 * interval '31 days' where name like 'adam%'";
    let last = token(&world, &mut adam, "1").await?;
    for (away, expected) in [(1, refused()), (-1, fine())] {
        sqlx::query(seen).bind(away).execute(&world.tester.admin).await?;
        assert_eq!(get(&world, me, &last, None).await?, expected, "{away}");
    }
    // shut out
    let last = token(&world, &mut adam, "1").await?;
    assert_eq!(get(&world, me, &last, None).await?, fine());
    let shut = "update admin.people set disabled_at = now() where name like 'adam%'";
    sqlx::query(shut).execute(&world.tester.admin).await?;
    assert_eq!(get(&world, me, &last, None).await?, refused(), "shut out");
    let audited = world.audited(Uuid::nil()).await?;
    assert_eq!(audited.iter().filter(|act| *act == "own_tokens allowed").count(), 5, "{audited:?}");
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn b28_a_token_of_an_operator_needs_a_reason_for_each_look_and_no_token_makes_a_global_admin()
-> Result<()> {
    let world = World::start().await?;
    months(&world).await?;
    let job = failed(&world, &world.first, "1 hour", "failed").await?;
    let mut olga = world.sign_in("olga").await?;
    let held = token(&world, &mut olga, "1").await?;
    // a visit of the browser is no reason of the token's
    world.enter(&mut olga, &world.first).await?;
    let path = format!("/api/v1/accounts/account1/jobs/{job}");
    assert_eq!(get(&world, &path, &held, None).await?.1, "visit_needed");
    assert_eq!(get(&world, &path, &held, Some(" ")).await?.1, "bad_input");
    assert_eq!(get(&world, &path, &held, Some("ticket 18, M\u{fc}ller")).await?, fine());
    let why = "select count(*) from admin.audit where act = 'see_jobs' and outcome = 'allowed' and reason = 'ticket 18, M\u{fc}ller'";
    assert_eq!(world.tester.count(why).await?, 1);
    assert_eq!(get(&world, "/api/v1/jobs", &held, None).await?, fine());
    let post = world.tester.http.post(world.page(&format!("{path}/replay"))).bearer_auth(&held);
    let post = post.header("tandem-reason", "ticket 18").header("idempotency-key", "k");
    let answer = post.json(&json!({ "reason": "ticket 18" })).send().await?;
    assert_eq!(answer.status().as_u16(), 202, "no form token is needed: {}", answer.text().await?);
    let mut gale = world.sign_in("gale").await?;
    assert_eq!(gale.go(&world.page("/api/v1/accounts/account1")).await?.status, 200);
    let held = token(&world, &mut gale, "1").await?;
    assert_eq!(get(&world, "/api/v1/me", &held, None).await?, fine());
    assert_eq!(get(&world, "/api/v1/accounts/account1", &held, None).await?.0, 404);
    world.tester.abandon().await;
    Ok(())
}

/// Runs a command of the program; what it printed, what it complained, and whether it was content.
async fn run(file: &Path, args: &[&str], input: &str) -> Result<(String, String, bool)> {
    let mut command = tokio::process::Command::new(program()?);
    command
        .args(args)
        .env("TANDEM_LOGIN", file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn()?;
    let mut stdin = child.stdin.take().context("its input")?;
    stdin.write_all(input.as_bytes()).await?;
    drop(stdin);
    let output = child.wait_with_output().await?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok((text(output.stdout), text(output.stderr), output.status.success()))
}

#[tokio::test(flavor = "multi_thread")]
async fn b41_the_terminal_logs_in_without_secrets_on_the_command_line_and_follows_jobs() -> Result<()> {
    let mut world = World::start().await?;
    months(&world).await?;
    let job = failed(&world, &world.first, "1 hour", "failed").await?;
    sqlx::query("update log.jobs set error_text = e'a\\x1b[2J\\u009bb\\u202ec' where job_id = $1")
        .bind(job)
        .execute(&world.tester.admin)
        .await?;
    let id = job.to_string();
    let mut olga = world.sign_in("olga").await?;
    let held = token(&world, &mut olga, "1").await?;
    let folder = tandem_testkit::TempDir::new()?;
    let file = folder.path().join("own/login.toml");
    let portal = world.base.to_string();
    let login = ["login", "--portal", portal.as_str()];
    // a secret on the command line is refused and not said again
    let (_, wrong, good) = run(&file, &[&login[..], &["--token", &held]].concat(), "").await?;
    assert!(!good && wrong.contains("command line") && !wrong.contains(&held), "{wrong}");
    let (_, wrong, good) = run(&file, &["login", "--portal", "http://portal.example/"], &held).await?;
    assert!(!good && wrong.contains("no https address"), "{wrong}");
    let (_, wrong, good) = run(&file, &login, "tandem_made-up\n").await?;
    assert!(!good && wrong.contains("token_refused") && !file.exists(), "{wrong}");
    let (said, wrong, good) = run(&file, &login, &format!("{held}\n")).await?;
    assert!(good && said.contains("You are olga"), "{said}{wrong}");
    assert!(wrong.contains(&format!("{portal}tokens")) && !format!("{said}{wrong}").contains(&held));
    assert_eq!(std::fs::metadata(&file)?.permissions().mode() & 0o777, 0o600);
    let (said, wrong, good) = run(&file, &["jobs", "list", "--portal", "--state", "failed"], "").await?;
    assert!(good && said.contains(&id) && said.contains("account1"), "{said}{wrong}");
    let (said, _, _) = run(&file, &["jobs", "list", "--portal", "--output", "json"], "").await?;
    let found: Value = serde_json::from_str(&said)?;
    assert_eq!(found[0]["job_id"], json!(job));
    assert_eq!(found[0]["error_text"], "a\u{1b}[2J\u{9b}b\u{202e}c");
    let show = ["jobs", "show", id.as_str(), "--portal"];
    let (_, wrong, good) = run(&file, &show, "").await?;
    assert!(!good && wrong.contains("visit_needed"), "{wrong}");
    let show = [&show[..], &["--reason", "ticket 18"]].concat();
    let (text, wrong, good) = run(&file, &show, "").await?;
    assert!(good && text.contains("graph_unavailable"), "{text}{wrong}");
    // nothing that Microsoft or a PBX says steers the terminal
    for shown in [&said, &text] {
        assert!(!shown.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{shown:?}");
    }
    let star = ["jobs", "watch", id.as_str(), "--account", "*", "--reason", "r"];
    let (_, wrong, good) = run(&file, &star, "").await?;
    assert!(!good && wrong.contains("short name of one account"), "{wrong}");
    world.tester.all_roles().await?;
    let (said, wrong, good) = run(&file, &["jobs", "replay", &id, "--reason", "ticket 18"], "").await?;
    let new = said.split("by job ").nth(1).and_then(|rest| rest.get(..36));
    let new = new.with_context(|| format!("{good} {said}{wrong}"))?.to_owned();
    let watch = ["jobs", "watch", new.as_str(), "--account", "account1", "--reason", "ticket 18"];
    let (said, wrong, good) = run(&file, &watch, "").await?;
    assert!(good && said.contains("Queued") && said.contains(&format!("{new} succeeded")), "{said}{wrong}");
    let (_, wrong, good) = run(&file, &["jobs", "cancel", &new, "--reason", "late"], "").await?;
    assert!(!good && wrong.contains("cancel_nothing"), "{wrong}");
    // a file that others may read is as good as lost
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644))?;
    let (_, wrong, good) = run(&file, &["jobs", "list", "--portal"], "").await?;
    assert!(!good && wrong.contains("by others than its owner") && !wrong.contains(&held), "{wrong}");
    world.tester.finish().await
}
