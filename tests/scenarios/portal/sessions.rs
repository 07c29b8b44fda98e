//! Signing in at both issuers, and how sessions end.

use std::time::Duration;

use anyhow::Result;
use reqwest::Method;
use serde_json::json;
use tandem_tests::Browser;

use super::world::{World, mark};

#[tokio::test(flavor = "multi_thread")]
async fn people_of_both_issuers_come_in_and_strangers_do_not() -> Result<()> {
    let world = World::start().await?;
    for (person, says) in [("gale", "Global Admin"), ("adam", "you are Admin"), ("mia", "All accounts")] {
        let mut browser = world.sign_in(person).await?;
        let home = browser.go(&world.page(&format!("/accounts/{}", world.first.name))).await?;
        home.says(says)?;
    }
    let mut browser = Browser::new();
    let page = world.arrive(&mut browser, "nemo").await?;
    assert_eq!(page.code()?, "no_account");
    page.says("nemo &#60;b&#62;")?;
    assert_eq!(browser.go(&world.page("/accounts")).await?.url.path(), "/sign-in");
    let nobody = world.audited(uuid::Uuid::nil()).await?;
    assert_eq!(nobody, ["sign_in allowed", "sign_in allowed", "sign_in allowed", "sign_in refused"]);
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn b24_a_session_ends_idle_after_eight_hours_signed_out_and_shut_out() -> Result<()> {
    let world = World::start().await?;
    let overview = world.page(&format!("/accounts/{}", world.first.name));
    let minutes = |n: u64| Duration::from_secs(n * 60);
    // idle
    let mut browser = world.sign_in("adam").await?;
    world.hand.advance(minutes(29));
    assert_eq!(browser.go(&overview).await?.url, overview);
    world.hand.advance(minutes(29));
    assert_eq!(browser.go(&overview).await?.url, overview, "a click keeps it");
    world.hand.advance(minutes(31));
    let page = browser.go(&overview).await?;
    assert_eq!((page.url.path(), page.url.query()), ("/sign-in", Some("next=%2Faccounts%2Faccount1")));
    let mut browser = {
        world.hand.set(tandem_runtime::Clock::system().now());
        world.sign_in("adam").await?
    };
    world.hand.advance(minutes(29));
    let part = browser.go(&overview.join("account1/live")?).await?;
    assert_eq!(part.status, 200);
    world.hand.advance(minutes(2));
    let page = browser.go(&overview).await?;
    assert_eq!(page.url.path(), "/sign-in", "a page that is open keeps no session awake");
    // eight hours, however busy; the issuer's tokens know the real time, so people sign in at it
    world.hand.set(tandem_runtime::Clock::system().now());
    let mut browser = world.sign_in("adam").await?;
    for _ in 0..19 {
        world.hand.advance(minutes(25));
        assert_eq!(browser.go(&overview).await?.url, overview);
    }
    world.hand.advance(minutes(6));
    assert_eq!(browser.go(&overview).await?.url.path(), "/sign-in");
    // signed out
    world.hand.set(tandem_runtime::Clock::system().now());
    let mut browser = world.sign_in("adam").await?;
    let page = browser.go(&overview).await?;
    let refused = browser.once(Method::POST, &world.page("/sign-out"), &[("mark", "made-up")]).await?;
    assert_eq!(refused.code()?, "form_stale");
    let before = world.tester.count("select count(*) from admin.sessions").await?;
    let sent = browser.once(Method::POST, &world.page("/sign-out"), &[("mark", &mark(&page)?)]).await?;
    browser.follow(sent).await?.says("You are signed out")?;
    assert_eq!(browser.go(&overview).await?.url.path(), "/sign-in");
    assert_eq!(world.tester.count("select count(*) from admin.sessions").await?, before - 1);
    // shut out: with the next click, and at the next sign-in
    let mut browser = world.sign_in("adam").await?;
    sqlx::query("update admin.people set disabled_at = now() where subject = 'adam'")
        .execute(&world.tester.admin)
        .await?;
    assert_eq!(browser.go(&overview).await?.url.path(), "/sign-in");
    assert_eq!(world.arrive(&mut browser, "adam").await?.code()?, "person_disabled");
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn b72_nobody_else_signs_somebody_out() -> Result<()> {
    let world = World::start().await?;
    let overview = world.page(&format!("/accounts/{}", world.first.name));
    let mut adam = world.sign_in("adam").await?;
    let mut mia = world.sign_in("mia").await?;
    let others = mark(&mia.go(&world.page("/accounts")).await?)?;
    let out = world.page("/sign-out");
    // a link, a form without the mark of this session, and one with the mark of another
    assert_eq!(adam.once(Method::GET, &out, &[]).await?.code()?, "method_not_allowed");
    for mark in ["", others.as_str()] {
        assert_eq!(adam.once(Method::POST, &out, &[("mark", mark)]).await?.code()?, "form_stale");
    }
    assert_eq!(adam.go(&overview).await?.url, overview);
    // and who signs out ends no other session
    let sent = mia.once(Method::POST, &out, &[("mark", &others)]).await?;
    mia.follow(sent).await?.says("You are signed out")?;
    assert_eq!(adam.go(&overview).await?.url, overview);
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn b24_the_cookie_is_new_at_every_sign_in_and_the_old_one_is_worth_nothing() -> Result<()> {
    let world = World::start().await?;
    let mut browser = world.sign_in("adam").await?;
    let before: Vec<Vec<u8>> =
        sqlx::query_scalar("select session_hash from admin.sessions").fetch_all(&world.tester.admin).await?;
    world.arrive(&mut browser, "mia").await?;
    let after: Vec<Vec<u8>> =
        sqlx::query_scalar("select session_hash from admin.sessions").fetch_all(&world.tester.admin).await?;
    assert_eq!((before.len(), after.len()), (1, 1), "the session before has ended");
    assert_ne!(before, after);
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn b26_a_role_that_is_gone_is_gone_with_the_next_click() -> Result<()> {
    let world = World::start().await?;
    let overview = world.page(&format!("/accounts/{}", world.first.name));
    let mut gale = world.sign_in("gale").await?;
    let mut adam = world.sign_in("adam").await?;
    assert!(gale.go(&overview).await?.status.is_success() && adam.go(&overview).await?.status.is_success());
    sqlx::query("update vault.authorizations set admin_oid = gen_random_uuid()")
        .execute(&world.tester.admin)
        .await?;
    sqlx::query("delete from admin.memberships").execute(&world.tester.admin).await?;
    for browser in [&mut gale, &mut adam] {
        assert_eq!(browser.go(&overview).await?.code()?, "not_found");
    }
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn b55_b60_what_comes_back_from_an_issuer_is_looked_at_twice() -> Result<()> {
    let world = World::start().await?;
    // tokens of the provider's issuer that are not for us, not fresh, or not of that issuer
    for (claims, code) in [
        (json!({ "aud": "somebody-else" }), "id_token_audience"),
        (json!({ "aud": ["portal", "other"] }), "id_token_audience"),
        (json!({ "iss": "https://elsewhere.example" }), "id_token_issuer"),
        (json!({ "nonce": "another" }), "id_token_nonce"),
        (json!({ "exp": 1 }), "id_token_time"),
        (json!({ "sub": "" }), "id_token_malformed"),
    ] {
        let people = json!({ "clientId": "portal", "clientSecret": "s/ecret", "redirectUris": ["http://localhost/*"],
                             "people": [{ "subject": "adam", "name": "Adam", "claims": claims }] });
        world.tester.switch(Method::PUT, "provider", Some(&people)).await?;
        assert_eq!(world.arrive(&mut Browser::new(), "adam").await?.code()?, code, "{claims}");
    }
    // an answer counts once, in its own browser
    let upn = format!("gale@{}.example", world.first.name);
    for wrong_issuer in [false, true] {
        let mut browser = Browser::new();
        let sent = browser.once(Method::POST, &world.page("/sign-in/microsoft"), &[]).await?;
        let choose = browser.follow(sent).await?;
        let sent = browser.send_once(&choose, &[("person", &upn)]).await?;
        let right = browser.until(sent, "/signed-in/microsoft").await?;
        assert_eq!(Browser::new().go(&right).await?.code()?, "session_unknown");
        if wrong_issuer {
            let mut elsewhere = right.clone();
            elsewhere.set_path("/signed-in/provider");
            assert_eq!(browser.go(&elsewhere).await?.code()?, "state_unknown");
            assert_eq!(browser.go(&right).await?.code()?, "state_unknown", "it counts once");
        } else {
            assert!(browser.go(&right).await?.status.is_success());
            assert_eq!(world.tester.count("select count(*) from admin.sign_ins").await?, 0, "it counts once");
        }
    }
    world.tester.finish().await
}
