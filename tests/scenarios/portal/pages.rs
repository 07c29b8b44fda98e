//! What the pages and the API say and do, named after the rows of the requirements.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};
use tandem_tests::{Browser, Page};

use super::world::{World, hidden, mark};

fn jobs_of(page: &Page) -> usize {
    page.text.matches("<th scope=\"row\"><a href=\"/accounts/account1/jobs/").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn e7_e17_e33_e35_b35_teams_starts_one_manual_job_and_asks_nothing() -> Result<()> {
    let mut world = World::start().await?;
    world.tester.all_roles().await?;
    world.tester.save(&world.first, &[(1, Some("+12125550101"))]).await?;
    world.tester.at_rest().await;
    let mut browser = world.sign_in("gale").await?;
    let overview = world.page("/accounts/account1");
    let page = browser.go(&overview).await?;
    page.says("In sync")?;
    for entry in ["Manual Sync", "Teams", "Sync Logs"] {
        page.says(&format!("<strong>{entry}</strong>"))?;
    }
    assert!(!page.text.contains("<strong>PBX"), "no entry for the PBX (E32)");
    let (mark, key) = (mark(&page)?, hidden(&page, "key")?);
    let sync = world.page("/accounts/account1/sync");
    for _ in 0..2 {
        let sent = browser.once(Method::POST, &sync, &[("mark", &mark), ("key", &key)]).await?;
        browser.follow(sent).await?.says("The sync has been asked for")?;
    }
    assert_eq!(
        world.tester.count("select count(*) from admin.requests").await?,
        1,
        "two clicks, one request"
    );
    world
        .tester
        .until("select count(*) from log.jobs where job_type = 'manual' and state = 'succeeded'", 1)
        .await;
    world.tester.at_rest().await;
    let person: String = sqlx::query_scalar("select person from log.jobs where job_type = 'manual'")
        .fetch_one(&world.tester.admin)
        .await?;
    assert!(person.starts_with("gale@"), "{person}");
    assert_eq!(world.audited(world.first.id.0).await?, ["sync_stored allowed"]);
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a5_account_managers_and_admins_are_refused_with_the_reason() -> Result<()> {
    let world = World::start().await?;
    for person in ["mia", "adam"] {
        let mut browser = world.sign_in(person).await?;
        let page = browser.go(&world.page("/accounts/account1")).await?;
        page.says("only the Global Admin linked to the account")?;
        let sync = world.page("/accounts/account1/sync");
        let refused = browser.once(Method::POST, &sync, &[("mark", &mark(&page)?), ("key", "k")]).await?;
        assert_eq!((refused.code()?.as_str(), refused.status.as_u16()), ("role_missing", 403));
        refused.says("only the Global Admin linked to the account")?;
    }
    assert_eq!(world.tester.count("select count(*) from admin.requests").await?, 0);
    assert_eq!(world.audited(world.first.id.0).await?, ["sync_stored refused", "sync_stored refused"]);
    let mut connie = world.sign_in("connie").await?;
    let page = connie.go(&world.page("/accounts/account1")).await?;
    page.says("<button class=\"entry\" type=\"submit\"><strong>Teams")?;
    page.says("A Manual Sync works with the sign-in of the Global Admin")?;
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn e22_e21_e34_without_auto_sync_only_manual_sync_which_asks_for_a_sign_in() -> Result<()> {
    let mut world = World::start().await?;
    world.tester.all_roles().await?;
    world.tester.auto_sync(&world.first, false).await?;
    world.tester.save(&world.first, &[(1, Some("+12125550101"))]).await?;
    let mut browser = world.sign_in("gale").await?;
    let page = browser.go(&world.page("/accounts/account1")).await?;
    page.says("Sync Now — Changes Queued")?;
    page.says("Changes queued")?;
    page.says("Auto Sync is off")?;
    assert!(!page.text.contains("<strong>Teams</strong>"));
    let refused = world.page("/accounts/account1/sync");
    let page_mark = mark(&page)?;
    let refused = browser.once(Method::POST, &refused, &[("mark", &page_mark), ("key", "k")]).await?;
    assert_eq!(refused.code()?, "teams_needs_auto_sync");
    let manual = world.page("/accounts/account1/sync/manual");
    let sent = browser.once(Method::POST, &manual, &[("mark", &page_mark)]).await?;
    let connect = browser.follow(sent).await?;
    connect.says("Sync the users of")?;
    let sent = browser.send_once(&connect, &[]).await?;
    let to = sent.redirect()?.context("Microsoft")?;
    assert!(to.query_pairs().any(|(name, value)| name == "prompt" && value == "login"), "{to}");
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn e16_e23_e24_e25_p3_p4_the_sync_log_and_a_job() -> Result<()> {
    let mut world = World::start().await?;
    world.tester.all_roles().await?;
    world.tester.save(&world.first, &[(1, Some("+12125550101"))]).await?;
    world.tester.at_rest().await;
    let mut browser = world.sign_in("adam").await?;
    let log = world.page("/accounts/account1/jobs");
    let page = browser.go(&log).await?;
    page.says("<th scope=\"col\">Type</th>")?;
    page.says("<td>Auto</td>")?;
    let all = jobs_of(&page);
    assert!(all > 0);
    for (query, jobs, column) in
        [("type=auto", all, true), ("type=manual", 0, false), ("type_column=hide", all, false)]
    {
        let mut filtered = log.clone();
        filtered.set_query(Some(query));
        let page = browser.go(&filtered).await?;
        assert_eq!(jobs_of(&page), jobs, "{query}");
        assert_eq!(page.text.contains("<th scope=\"col\">Type</th>"), column, "{query}");
    }
    for bad in ["type=pbx", "state=1", "since=yesterday", "since=2026-02-30", "after=-1", "until=99999-01-01"]
    {
        let mut filtered = log.clone();
        filtered.set_query(Some(bad));
        assert_eq!(browser.go(&filtered).await?.code()?, "bad_input", "{bad}");
    }
    let job: uuid::Uuid =
        sqlx::query_scalar("select job_id from log.jobs where account_id = $1 order by 1 desc limit 1")
            .bind(world.first.id.0)
            .fetch_one(&world.tester.admin)
            .await?;
    let page = browser.go(&world.page(&format!("/accounts/account1/jobs/{job}"))).await?;
    page.says("&#60;00:00&#62; JOB&#62; Started")?;
    page.says("GRAPH&#62; ")?;
    page.says("<td>Assign number</td><td>–</td><td>+12125550101</td>")?;
    page.says("Changes carried")?;
    page.says("Did numbers")?;
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a10_an_operator_gives_a_reason_and_every_look_is_on_record() -> Result<()> {
    let world = World::start().await?;
    let mut browser = world.sign_in("olga").await?;
    browser.go(&world.page("/")).await?.says("account2")?;
    let overview = world.page("/accounts/account1");
    assert_eq!(browser.go(&overview).await?.url.path(), "/accounts/account1/enter");
    let page = browser.go(&overview).await?;
    let enter = world.page("/accounts/account1/enter");
    let empty = browser.once(Method::POST, &enter, &[("mark", &mark(&page)?), ("reason", "  ")]).await?;
    assert_eq!(empty.code()?, "bad_input");
    world.enter(&mut browser, &world.first).await?.says("ticket 17")?;
    browser.go(&world.page("/accounts/account1/jobs")).await?;
    assert_eq!(browser.go(&world.page("/accounts/account2")).await?.url.path(), "/accounts/account2/enter");
    assert_eq!(
        world.audited(world.first.id.0).await?,
        ["enter_account allowed", "see_overview allowed", "see_jobs allowed"]
    );
    // B28: the look ends by itself; a click in between keeps the session
    world.hand.advance(Duration::from_secs(29 * 60));
    browser.go(&overview).await?.says("ticket 17")?;
    world.hand.advance(Duration::from_secs(29 * 60));
    browser.go(&overview).await?;
    world.hand.advance(Duration::from_secs(3 * 60));
    assert_eq!(browser.go(&overview).await?.url.path(), "/accounts/account1/enter");
    world.tester.finish().await
}

async fn post(world: &World, cookie: &str, token: &str, key: &str, body: &Value) -> Result<(u16, Value)> {
    let request = world.tester.http.post(world.page("/api/v1/accounts/account1/syncs"));
    let request =
        request.header("cookie", cookie).header("x-csrf-token", token).header("idempotency-key", key);
    let answer = request.json(body).send().await?;
    Ok((answer.status().as_u16(), answer.json().await?))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_says_the_same_and_does_things_once() -> Result<()> {
    let world = World::start().await?;
    let mut browser = world.sign_in("gale").await?;
    let get = async |browser: &mut Browser, path: &str| -> Result<Value> {
        Ok(serde_json::from_str(&browser.go(&world.page(path)).await?.text)?)
    };
    let me = get(&mut browser, "/api/v1/me").await?;
    assert!(me["name"].as_str().is_some_and(|name| name.starts_with("gale@")), "{me}");
    let accounts = get(&mut browser, "/api/v1/accounts").await?;
    assert_eq!(accounts["accounts"].as_array().map(Vec::len), Some(1), "{accounts}");
    assert_eq!(accounts["accounts"][0]["state"], "in_sync");
    let token = me["csrf_token"].as_str().context("a token")?;
    let cookie = browser.cookie(&world.base, "tandem").context("a session")?;
    let cookie = format!("tandem={cookie}");
    let body = json!({ "reason": "by program" });
    let (status, first) = post(&world, &cookie, token, "k1", &body).await?;
    assert_eq!(status, 202, "{first}");
    assert_eq!(post(&world, &cookie, token, "k1", &body).await?, (202, first));
    let (status, other) = post(&world, &cookie, token, "k1", &json!({ "reason": "another" })).await?;
    assert_eq!((status, &other["code"]), (422, &json!("idempotency_key_reused")));
    let (status, problem) = post(&world, &cookie, "made-up", "k2", &body).await?;
    assert_eq!((status, &problem["type"]), (403, &json!("urn:tandem:problem:form_stale")));
    let (status, problem) = post(&world, &cookie, token, "", &body).await?;
    assert_eq!((status, &problem["code"]), (400, &json!("idempotency_key_missing")));
    assert_eq!(world.tester.count("select count(*) from admin.requests").await?, 1);
    let problem = get(&mut Browser::new(), "/api/v1/me").await?;
    assert_eq!((&problem["status"], &problem["code"]), (&json!(401), &json!("sign_in_needed")));
    world.tester.abandon().await;
    Ok(())
}
