//! Pauses: of an account and of the fleet, until their end (idea 18).

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::json;
use tandem_domain::audit::PROVIDER;
use tandem_tests::{Browser, Page};

use super::world::{World, mark};

/// Windows that are open and wait for the end of something.
const HELD: &str = "select count(*) from queue.windows where first_change_at is not null and due_at is null";

/// Both accounts have synced once.
async fn synced() -> Result<World> {
    let mut world = World::start().await?;
    world.tester.all_roles().await?;
    for account in [&world.first, &world.second] {
        world.tester.save(account, &[(1, Some(&account.telephone(1)))]).await?;
    }
    world.tester.at_rest().await;
    Ok(world)
}

/// Sends one of the forms of a pause that a page shows.
async fn send(
    world: &World,
    browser: &mut Browser,
    page: &Page,
    path: &str,
    fields: &[(&str, &str)],
) -> Result<Page> {
    let mark = mark(page)?;
    let fields: Vec<_> = fields.iter().copied().chain([("mark", mark.as_str())]).collect();
    let sent = browser.once(Method::POST, &world.page(path), &fields).await?;
    if sent.redirect()?.is_some() { browser.follow(sent).await } else { Ok(sent) }
}

#[tokio::test(flavor = "multi_thread")]
async fn idea18_what_is_saved_in_a_paused_account_waits_for_the_end_and_for_nobody() -> Result<()> {
    let world = synced().await?;
    let mut olga = world.sign_in("olga").await?;
    let page = world.enter(&mut olga, &world.first).await?;
    let path = "/accounts/account1/pause";
    for wrong in [
        &[("on", "true"), ("hours", "24"), ("reason", " ")],
        &[("on", "true"), ("hours", "0"), ("reason", "moving")],
    ] {
        assert_eq!(send(&world, &mut olga, &page, path, wrong).await?.code()?, "bad_input");
    }
    let mut gale = world.sign_in("gale").await?;
    let before = gale.go(&world.page("/accounts/account1")).await?;
    let connect = send(&world, &mut gale, &before, "/accounts/account1/sync/manual", &[]).await?.url;
    let fields = [("on", "true"), ("hours", "2"), ("reason", "the site moves")];
    let paused = send(&world, &mut olga, &page, path, &fields).await?;
    paused.says("No change waits.")?;
    paused.says("Lift the pause")?;
    world.tester.save(&world.first, &[(1, Some(&world.first.telephone(9)))]).await?;
    world.tester.until(HELD, 1).await;
    let page = olga.go(&world.page("/accounts/account1/live")).await?;
    page.says("the site moves")?;
    page.says(&format!("1 change waits, of {}.", world.first.user(1)))?;
    page.says("The ten minutes end at")?;
    // whoever asks for a sync hears until when and why none starts
    let page = gale.go(&world.page("/accounts/account1")).await?;
    page.says("the site moves")?;
    assert!(!page.text.contains("/accounts/account1/pause"), "only operators pause");
    for path in ["/accounts/account1/sync", "/accounts/account1/sync/manual"] {
        let fields: &[_] = if path.ends_with("sync") { &[("key", "k")] } else { &[] };
        let refused = send(&world, &mut gale, &page, path, fields).await?;
        assert_eq!((refused.code()?.as_str(), refused.status.as_u16()), ("paused", 409), "{path}");
        refused.says("the site moves")?;
    }
    let refused = send(&world, &mut gale, &page, path, &fields).await?;
    assert_eq!(refused.code()?, "role_missing");
    let refused = gale.go(&connect).await?;
    assert_eq!(refused.status.as_u16(), 409, "a link from before the pause: {}", refused.text);
    refused.says("the site moves")?;
    // a request that was on its way waits, too
    sqlx::query("insert into admin.requests (request_id, account_id, kind, scope, person) values (gen_random_uuid(), $1, 'sync', 'changed', 'test')")
        .bind(world.first.id.0)
        .execute(&world.tester.admin)
        .await?;
    // so does a window that was due already, and the other account goes on
    sqlx::query("update queue.windows set due_at = now() where account_id = $1")
        .bind(world.first.id.0)
        .execute(&world.tester.admin)
        .await?;
    world.tester.save(&world.second, &[(2, Some(&world.second.telephone(8)))]).await?;
    world.tester.until("select count(*) from log.jobs where state = 'succeeded'", 3).await;
    assert_eq!(
        world.tester.count("select count(*) from queue.windows where first_change_at is not null").await?,
        1
    );
    assert_eq!(world.tester.count("select count(*) from queue.jobs where state = 'cancelled'").await?, 0);
    assert_eq!(
        world.tester.count("select count(*) from admin.requests where taken_at is not null").await?,
        0
    );
    // time passes
    sqlx::query("update admin.accounts set paused_until = now() where account_id = $1")
        .bind(world.first.id.0)
        .execute(&world.tester.admin)
        .await?;
    world.tester.until("select count(*) from log.jobs where state = 'succeeded'", 4).await;
    world.tester.at_rest().await;
    assert_eq!(world.tester.numbers(&world.first, 1).await?, [Some(world.first.telephone(9))]);
    let acts = world.audited(world.first.id.0).await?;
    assert_eq!(
        acts.iter().filter(|act| *act == "pause allowed").count(),
        4,
        "each form, and the pause: {acts:?}"
    );
    assert!(acts.contains(&"pause refused".to_owned()), "{acts:?}");
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn idea18_a_pause_sent_again_under_its_key_is_not_set_again() -> Result<()> {
    let world = World::start().await?;
    let mut olga = world.sign_in("olga").await?;
    world.enter(&mut olga, &world.first).await?;
    let me: serde_json::Value = serde_json::from_str(&olga.go(&world.page("/api/v1/me")).await?.text)?;
    let token = me["csrf_token"].as_str().context("a token")?;
    let cookie = format!("tandem={}", olga.cookie(&world.base, "tandem").context("a session")?);
    let send = async |key: Option<&str>, on: bool| -> Result<u16> {
        let request = world.tester.http.post(world.page("/api/v1/accounts/account1/pause"));
        let request = request.header("cookie", &cookie).header("x-csrf-token", token);
        let request = key.into_iter().fold(request, |request, key| request.header("idempotency-key", key));
        let wish = json!({ "on": on, "reason": "the site moves" });
        Ok(request.json(&wish).send().await?.status().as_u16())
    };
    let paused = "select count(*) from admin.accounts where paused_until is not null";
    assert_eq!(send(None, true).await?, 400);
    assert_eq!(send(Some("on"), true).await?, 204);
    assert_eq!(world.tester.count(paused).await?, 1);
    assert_eq!(send(Some("off"), false).await?, 204);
    assert_eq!(send(Some("on"), true).await?, 204);
    assert_eq!(world.tester.count(paused).await?, 0, "the first post came twice, and somebody has lifted it");
    assert_eq!(send(Some("on"), false).await?, 422);
    assert_eq!(send(Some("on-again"), true).await?, 204);
    assert_eq!(world.tester.count(paused).await?, 1);
    world.tester.abandon().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn idea18_while_the_fleet_is_paused_every_page_says_so_and_the_end_starts_what_waits() -> Result<()> {
    let world = synced().await?;
    let mut olga = world.sign_in("olga").await?;
    let page = olga.go(&world.page("/fleet")).await?;
    let no_reason = [("on", "true"), ("hours", "1"), ("reason", "")];
    assert_eq!(send(&world, &mut olga, &page, "/fleet/pause", &no_reason).await?.code()?, "bad_input");
    let api = world.page("/api/v1/fleet/pause");
    let wish = json!({ "on": true, "reason": "Microsoft is down" });
    let me: serde_json::Value = serde_json::from_str(&olga.go(&world.page("/api/v1/me")).await?.text)?;
    let token = me["csrf_token"].as_str().context("a token")?;
    let cookie = format!("tandem={}", olga.cookie(&world.base, "tandem").context("a session")?);
    let post = || world.tester.http.post(api.clone()).header("cookie", &cookie).json(&wish);
    assert_eq!(post().send().await?.status(), 403, "without the token");
    assert_eq!(post().header("x-csrf-token", token).send().await?.status(), 204);
    let mut gale = world.sign_in("gale").await?;
    for path in [
        "/accounts/account1",
        "/accounts/account1/users",
        "/accounts/account1/jobs",
        "/accounts/account1/settings",
    ] {
        gale.go(&world.page(path)).await?.says("All syncs are paused until")?;
    }
    for account in [&world.first, &world.second] {
        world.tester.save(account, &[(1, Some(&account.telephone(9)))]).await?;
    }
    world.tester.until(HELD, 2).await;
    let page = olga.go(&world.page("/fleet")).await?;
    page.says("Microsoft is down")?;
    page.says("2 accounts with Auto Sync wait.")?;
    let page = gale.go(&world.page("/accounts/account1")).await?;
    page.says("1 change waits")?;
    let refused = send(&world, &mut gale, &page, "/accounts/account1/sync", &[("key", "k")]).await?;
    assert_eq!(refused.code()?, "paused");
    refused.says("Microsoft is down")?;
    assert_eq!(send(&world, &mut gale, &page, "/fleet/pause", &no_reason).await?.code()?, "role_missing");
    assert_eq!(world.tester.count("select count(*) from log.jobs").await?, 2, "nothing was cut");
    sqlx::query("update admin.fleet_pause set since = now() - interval '1 day', until = now()")
        .execute(&world.tester.admin)
        .await?;
    world.tester.until("select count(*) from log.jobs where state = 'succeeded'", 4).await;
    world.tester.at_rest().await;
    let acts = world.audited(PROVIDER.0).await?;
    for record in ["pause allowed", "pause refused"] {
        assert_eq!(acts.iter().filter(|act| *act == record).count(), 1, "{record}: {acts:?}");
    }
    world.tester.finish().await
}
