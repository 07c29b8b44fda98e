//! Stopping a sync (pain 23), and the file that is taken along of one (idea 17).

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::json;
use tandem_teams_sync::TeamsSyncSettings;
use tandem_tests::{Browser, Page, fast_sync};
use uuid::Uuid;

use super::world::{World, mark};

async fn job(world: &World, state: &str) -> Result<Uuid> {
    let query = "select job_id from queue.jobs where account_id = $1 and state = $2";
    Ok(sqlx::query_scalar(query).bind(world.first.id.0).bind(state).fetch_one(&world.tester.admin).await?)
}

/// Confirms that a sync shall stop.
async fn stop(world: &World, browser: &mut Browser, job: Uuid) -> Result<Page> {
    let path = world.page(&format!("/accounts/account1/jobs/{job}/cancel"));
    let page = browser.go(&path).await?;
    let key = super::world::hidden(&page, "key")?;
    let fields = [("mark", &*mark(&page)?), ("key", &key), ("reason", "wrong day")];
    let sent = browser.once(Method::POST, &path, &fields).await?;
    browser.follow(sent).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_waits_is_cancelled_at_once_by_those_who_may() -> Result<()> {
    let mut world = World::start().await?;
    // it may not start, so it waits
    let ill = "update vault.authorizations set state = 'revoked', reason = 'revoked' where account_id = $1";
    sqlx::query(ill).bind(world.first.id.0).execute(&world.tester.admin).await?;
    world.tester.all_roles().await?;
    world.tester.save(&world.first, &[(1, Some("+12125550101"))]).await?;
    world.tester.until("select count(*) from queue.jobs where parked = 'not_authorized'", 1).await;
    let waits = job(&world, "queued").await?;
    world.tester.until("select count(*) from log.jobs where state = 'queued'", 1).await;
    let path = world.page(&format!("/accounts/account1/jobs/{waits}"));
    let mut adam = world.sign_in("adam").await?;
    assert!(!adam.go(&path).await?.text.contains("/cancel\""));
    let refused = adam.go(&world.page(&format!("/accounts/account1/jobs/{waits}/cancel"))).await?;
    assert_eq!(refused.code()?, "role_missing");
    let mut gale = world.sign_in("gale").await?;
    gale.go(&path).await?.says("Cancel this sync")?;
    stop(&world, &mut gale, waits).await?;
    world.tester.until("select count(*) from log.jobs where state = 'cancelled'", 1).await;
    let page = gale.go(&path).await?;
    page.says("Asked to stop: ")?;
    page.says("reason=wrong day")?;
    assert!(!page.text.contains("Cancel this sync"));
    let again = gale.go(&world.page(&format!("/accounts/account1/jobs/{waits}/cancel"))).await?;
    assert_eq!(again.code()?, "cancel_nothing");
    assert_eq!(world.audited(world.first.id.0).await?, ["cancel refused", "cancel allowed"]);
    // the window is not opened again for what a person stopped
    world
        .tester
        .until("select (count(*) > 0)::int::bigint from queue.windows where first_change_at is null", 1)
        .await;
    assert_eq!(world.tester.count("select count(*) from queue.jobs").await?, 1);
    world.tester.verdicts().await?;
    world.tester.abandon().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_runs_stops_between_two_users_and_the_next_one_does_the_rest() -> Result<()> {
    let mut world = World::of(12).await?;
    world.tester.patience = std::time::Duration::from_secs(120);
    world.tester.settings(&json!({ "operationLatencyMs": 400 })).await?;
    world.tester.debouncer().await?;
    world.tester.teams_sync(&TeamsSyncSettings { in_flight: 1, ..fast_sync("worker-1") }).await?;
    world.tester.sync_log().await?;
    let numbers: Vec<String> = (1..=12).map(|i| world.first.telephone(i)).collect();
    let edits: Vec<_> = numbers.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    world.tester.save(&world.first, &edits).await?;
    world.tester.until("select (count(*) >= 3)::int::bigint from sync.intents", 1).await;
    let runs = job(&world, "running").await?;
    let mut gale = world.sign_in("gale").await?;
    stop(&world, &mut gale, runs).await?;
    world.tester.until("select count(*) from queue.jobs where state = 'cancelled'", 1).await;
    let written = world.tester.requests("assignNumber").await?.len();
    assert!(written < 12, "{written}");
    let open = "select count(*) from sync.intents where ended_at is null";
    world.tester.until(open, 0).await;
    let uncovered = "select count(*) from sync.accounts where covered_gen = 0";
    assert_eq!(world.tester.count(uncovered).await?, 1, "what is left stays queued");
    world.tester.request(&world.first, "changed").await?;
    world.tester.at_rest().await;
    let jobs = world.tester.jobs(&world.first).await?;
    assert_eq!(
        (jobs.first().map(String::as_str), jobs.last().map(String::as_str)),
        (Some("cancelled"), Some("succeeded"))
    );
    let all: Vec<_> = numbers.into_iter().map(Some).collect();
    assert_eq!(world.tester.numbers(&world.first, 12).await?, all);
    assert_eq!(world.tester.requests("assignNumber").await?.len(), 12, "nothing was written twice");
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn idea17_a_support_bundle_says_everything_but_names_numbers_and_secrets() -> Result<()> {
    let mut world = World::start().await?;
    world.tester.all_roles().await?;
    world.tester.save(&world.first, &[(1, Some("+12125550101"))]).await?;
    world.tester.request(&world.first, "changed").await?;
    world.tester.at_rest().await;
    let done: Uuid = sqlx::query_scalar("select job_id from log.steps where after like '+%' limit 1")
        .fetch_one(&world.tester.admin)
        .await?;
    let canary = "eyJhbGciOiJub25lIn0.c2VjcmV0.c2VjcmV0";
    let text = format!(
        "User 1 ({}) called +442079460123; Bearer {canary}; tandem_{}",
        world.first.upn(1),
        "A".repeat(43)
    );
    sqlx::query("insert into log.steps (job_id, number, account_id, at, kind, detail, data) values ($1, 9999, $2, now(), 'step', $3, $4)")
        .bind(done)
        .bind(world.first.id.0)
        .bind(&text)
        .bind(json!({ "detail": text, "display_name": "User 1" }))
        .execute(&world.tester.admin)
        .await?;
    let path = world.page(&format!("/accounts/account1/jobs/{done}/bundle"));
    let mut olga = world.sign_in("olga").await?;
    let asked = olga.go(&path).await?;
    assert!(asked.url.path().ends_with("/enter"), "a reason comes first");
    world.enter(&mut olga, &world.first).await?;
    let mut gale = world.sign_in("gale").await?;
    let api = world.page(&format!("/api/v1/accounts/account1/jobs/{done}/bundle"));
    let files = [olga.go(&path).await?, gale.go(&path).await?, gale.go(&api).await?];
    for file in files {
        let header =
            |name: &str| file.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert_eq!(
            header("content-disposition"),
            format!("attachment; filename=\"tandem-account1-{done}.json\"")
        );
        assert_eq!(header("content-type"), "application/json");
        let secrets = ["demo-secret", "s/ecret", canary, "AAAAAAAAAA"];
        let people =
            ["User 1", &world.first.upn(1), "+12125550101", "12125550101", "442079460123", "olga", "gale@"];
        for word in secrets.into_iter().chain(people) {
            assert!(!file.text.contains(word), "{word}: {}", file.text);
        }
        let found: serde_json::Value = serde_json::from_str(&file.text)?;
        assert_eq!(found["job"]["job_id"], json!(done));
        assert_eq!(found["account"]["name"], "account1");
        assert_eq!(found["account"]["state"], "In sync");
        assert_eq!(found["steps_complete"], true);
        assert!(found["microsoft_request_ids"].as_array().is_some_and(|ids| !ids.is_empty()), "{found}");
        assert!(found["versions"]["schema"].as_i64().is_some_and(|version| version > 0));
        assert!(file.text.contains("+1212*****01") && file.text.contains("ext-00001"), "{}", file.text);
        let log = found["log"].as_array().context("the log")?;
        assert!(log.iter().any(|line| line.as_str().is_some_and(|line| line.contains("JOB> Started"))));
    }
    let mut adam = world.sign_in("adam").await?;
    assert_eq!(adam.go(&path).await?.code()?, "role_missing");
    let audited = world.audited(world.first.id.0).await?;
    assert_eq!(audited.iter().filter(|act| *act == "support_bundle allowed").count(), 4, "{audited:?}");
    world.tester.finish().await
}
