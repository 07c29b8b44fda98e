//! Mail of an account in the portal, named after the rows of the requirements.

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};
use tandem_tests::{Browser, Page};

use super::world::{World, hidden, mark};

async fn page(world: &World, browser: &mut Browser) -> Result<Page> {
    browser.go(&world.page("/accounts/account1/mail")).await
}

/// Sends one of the forms of the page.
async fn send(world: &World, browser: &mut Browser, form: &str, fields: &[(&str, &str)]) -> Result<Page> {
    let seen = page(world, browser).await?;
    let mark = mark(&seen)?;
    let mut all = vec![("mark", &*mark)];
    all.extend(fields);
    browser.once(Method::POST, &world.page(&format!("/accounts/account1/mail/{form}")), &all).await
}

async fn add(world: &World, browser: &mut Browser, address: &str, role: &str) -> Result<Page> {
    let sent = send(world, browser, "recipients", &[("address", address), ("role", role)]).await?;
    browser.follow(sent).await
}

async fn saved(world: &World) -> Result<Vec<(String, String)>> {
    let query = "select address, role from mail.recipients order by address";
    Ok(sqlx::query_as(query).fetch_all(&world.tester.admin).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn b39_an_address_is_one_mailbox_of_the_accounts_own_domain() -> Result<()> {
    let world = World::start().await?;
    world.listed(1, None).await?;
    let mut gale = world.sign_in("gale").await?;
    let own = world.first.upn(1);
    let domain = own.split_once('@').context("a domain")?.1;
    for bad in [
        format!("desk@{domain}\r\nBcc: eve@evil.example"),
        format!("desk@{domain},eve@evil.example"),
        format!("desk@{domain} eve@evil.example"),
        format!("\"desk two\"@{domain}"),
        "desk@b\u{fc}cher.example".to_owned(),
        "desk@evil.example".to_owned(),
        "desk@account2.example".to_owned(),
    ] {
        let page = add(&world, &mut gale, &bad, "further").await?;
        assert_eq!(page.code()?, "bad_input", "{bad:?}");
    }
    assert_eq!(saved(&world).await?, []);
    let shown = add(&world, &mut gale, &format!("Desk@{}", domain.to_uppercase()), "second_contact").await?;
    shown.says("role=\"status\">Saved.")?;
    shown.says(&format!("Second contact: Desk@{domain}"))?;
    // the provider may add a partner of the customer's
    let mut olga = world.sign_in("olga").await?;
    world.enter(&mut olga, &world.first).await?;
    add(&world, &mut olga, "help@partner.example", "further").await?.says("Saved.")?;
    assert_eq!(saved(&world).await?.len(), 2);
    let gone = send(&world, &mut gale, "recipients/remove", &[("address", "help@partner.example")]).await?;
    gale.follow(gone).await?.says("Saved.")?;
    assert_eq!(saved(&world).await?.len(), 1);
    let audited = world.audited(world.first.id.0).await?;
    assert_eq!(audited.iter().filter(|record| *record == "save_mail allowed").count(), 4, "{audited:?}");
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a11_a16_the_page_shows_the_next_reminder_with_its_time() -> Result<()> {
    let world = World::start().await?;
    let account = world.first.id.0;
    // nobody gathers here, and nothing waits
    for rest in [
        "update admin.accounts set auto_sync = false where account_id = $1",
        "insert into sync.accounts (account_id, covered_gen) values ($1, 1000000)
         on conflict (account_id) do update set covered_gen = excluded.covered_gen",
        "insert into queue.windows (account_id, gathered_gen) values ($1, 1000001)
         on conflict (account_id) do update set gathered_gen = excluded.gathered_gen",
    ] {
        sqlx::query(rest).bind(account).execute(&world.tester.admin).await?;
    }
    let mut gale = world.sign_in("gale").await?;
    page(&world, &mut gale).await?.says("None: nothing waits")?;
    sqlx::query(
        "with g as (update change.generations set gen = 1000001 where account_id = $1 returning gen)
         insert into change.log (account_id, gen, pbx_user_id, kind, fields, source, detected_at)
         select $1, gen, $2, 'updated', '{did_numbers}', 'pbx', $3 from g",
    )
    .bind(world.first.id.0)
    .bind(world.first.user(1).as_str())
    .bind(world.hand.now())
    .execute(&world.tester.admin)
    .await?;
    let shown = page(&world, &mut gale).await?;
    let due = world.hand.now() + time::Duration::minutes(30);
    shown.says(
        &due.format(time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC"))?,
    )?;
    shown.says("changes wait for a sync to Teams")?;
    shown.says("did numbers")?;
    shown.says("https://portal.example/accounts/account1")?;
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a14_time_zone_and_hour_are_the_accounts_own_and_must_exist() -> Result<()> {
    let world = World::start().await?;
    let mut gale = world.sign_in("gale").await?;
    for (zone, hour) in [
        ("Mars/Olympus", "8"),
        ("../../etc/passwd", "8"),
        ("Europe/Berlin", "24"),
        ("UTC", "-1"),
        ("UTC", "x"),
    ] {
        let page = send(&world, &mut gale, "calendar", &[("time_zone", zone), ("hour", hour)]).await?;
        assert_eq!(page.code()?, "bad_input", "{zone} {hour}");
    }
    let sent = send(&world, &mut gale, "calendar", &[("time_zone", "Asia/Tokyo"), ("hour", "7")]).await?;
    gale.follow(sent).await?.says("at 7:00, Asia/Tokyo")?;
    let kept = "select count(*) from admin.accounts a join mail.settings t using (account_id) where a.time_zone = 'Asia/Tokyo' and t.hour = 7";
    assert_eq!(world.tester.count(kept).await?, 1);
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_mail_is_asked_for_once_per_click_and_not_without_end() -> Result<()> {
    let world = World::start().await?;
    world.listed(1, None).await?;
    let mut gale = world.sign_in("gale").await?;
    add(&world, &mut gale, &world.first.upn(1), "global_admin").await?.says("Saved.")?;
    let made = "select count(*) from mail.mails where kind = 'test'";
    let seen = page(&world, &mut gale).await?;
    let (key, mark) = (hidden(&seen, "key")?, mark(&seen)?);
    for _ in 0..2 {
        let fields = [("mark", &*mark), ("key", &*key)];
        let sent = gale.once(Method::POST, &world.page("/accounts/account1/mail/test"), &fields).await?;
        gale.follow(sent).await?.says("The test mail is on its way.")?;
    }
    assert_eq!(world.tester.count(made).await?, 1, "two clicks, one mail");
    for n in 0..4 {
        send(&world, &mut gale, "test", &[("key", &format!("key-{n}"))]).await?;
    }
    let refused = send(&world, &mut gale, "test", &[("key", "one-too-many")]).await?;
    assert_eq!(refused.code()?, "bad_input");
    assert_eq!(world.tester.count(made).await?, 5);
    page(&world, &mut gale).await?.says("Waits for the mail server")?;
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_does_what_the_page_does() -> Result<()> {
    let world = World::start().await?;
    world.listed(1, None).await?;
    let mut gale = world.sign_in("gale").await?;
    let me: Value = serde_json::from_str(&gale.go(&world.page("/api/v1/me")).await?.text)?;
    let token = me["csrf_token"].as_str().context("a token")?.to_owned();
    let cookie = format!("tandem={}", gale.cookie(&world.base, "tandem").context("a session")?);
    let post = async |path: &str, body: &Value| -> Result<u16> {
        let request = world.tester.http.post(world.page(&format!("/api/v1/accounts/account1/mail/{path}")));
        let request = request.header("cookie", &cookie).header("x-csrf-token", &token);
        Ok(request.header("idempotency-key", "a-key").json(body).send().await?.status().as_u16())
    };
    let address = world.first.upn(1);
    let calendar = json!({ "time_zone": "Europe/Berlin", "hour": 9 });
    assert_eq!(post("calendar", &calendar).await?, 204);
    assert_eq!(post("calendar", &json!({ "time_zone": "x", "hour": 9 })).await?, 400);
    let new = json!({ "address": address, "role": "further" });
    assert_eq!(post("recipients", &new).await?, 204);
    assert_eq!(post("recipients", &json!({ "address": "x@evil.example", "role": "further" })).await?, 400);
    assert_eq!(post("test", &json!({})).await?, 202);
    let found: Value =
        serde_json::from_str(&gale.go(&world.page("/api/v1/accounts/account1/mail")).await?.text)?;
    assert_eq!(found["recipients"][0]["address"], address.to_lowercase());
    assert_eq!((&found["time_zone"], &found["hour"]), (&json!("Europe/Berlin"), &json!(9)));
    assert_eq!(found["mails"][0]["kind"], "test");
    assert_eq!(post("recipients/remove", &json!({ "address": address })).await?, 204);
    assert_eq!(post("recipients/remove", &json!({ "address": address })).await?, 404);
    world.tester.finish().await
}
