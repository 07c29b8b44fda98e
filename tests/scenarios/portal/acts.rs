//! Approving, rejecting, replaying, undoing and previewing, on pages and over the API (row "replay, undo, approve").

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};
use tandem_tests::{Browser, Page};

use super::world::{World, mark};

/// The newest job of the first account.
async fn last_job(world: &World) -> Result<uuid::Uuid> {
    let query = "select job_id from log.jobs where account_id = $1 order by job_id desc limit 1";
    Ok(sqlx::query_scalar(query).bind(world.first.id.0).fetch_one(&world.tester.admin).await?)
}

/// Everybody of the first account has a number.
async fn numbered(world: &mut World, users: u32) -> Result<Vec<String>> {
    world.tester.all_roles().await?;
    let numbers: Vec<String> = (1..=users).map(|i| world.first.telephone(i)).collect();
    let edits: Vec<_> = numbers.iter().zip(1..).map(|(number, i)| (i, Some(number.as_str()))).collect();
    world.tester.save(&world.first, &edits).await?;
    world.tester.at_rest().await;
    Ok(numbers)
}

/// Waits until nothing that was asked for waits, and looks at the page anew.
async fn until(world: &World, browser: &mut Browser, page: &Page, text: &str) -> Result<Page> {
    let none =
        "select (count(*) = 0)::int::bigint from admin.requests where job_id is null and answered_at is null";
    world.tester.until(none, 1).await;
    let found = browser.go(&page.url).await?;
    found.says(text)?;
    Ok(found)
}

/// The part of a page from a text on: the form that stands there is the first.
fn from(page: &Page, text: &str) -> Result<Page> {
    let (_, rest) = page.text.split_once(text).with_context(|| format!("no `{text}`: {}", page.text))?;
    let rest = rest.split("</form>").next().unwrap_or_default();
    Ok(Page { text: format!("<form {rest}"), ..page.clone() })
}

#[tokio::test(flavor = "multi_thread")]
async fn b36_held_removals_are_approved_with_a_reason_by_those_who_may_and_once() -> Result<()> {
    let mut world = World::of(8).await?;
    numbered(&mut world, 8).await?;
    let leave: Vec<_> = (1..=4).map(|i| (i, None)).collect();
    world.tester.save(&world.first, &leave).await?;
    world.tester.at_rest().await;
    let held = world.page("/accounts/account1/held");
    let mut gale = world.sign_in("gale").await?;
    gale.go(&world.page("/accounts/account1")).await?.says("href=\"/accounts/account1/held\"")?;
    let job = last_job(&world).await?;
    gale.go(&world.page(&format!("/accounts/account1/jobs/{job}"))).await?.says("wait for a person")?;
    let page = gale.go(&held).await?;
    page.says("<td>Unassign number</td>")?;
    let form = from(&page, "<form class=\"way\"")?;
    assert!(form.form()?.path().ends_with("/approve"));
    let empty = gale.once(Method::POST, &form.form()?, &[("mark", &mark(&page)?), ("key", "k")]).await?;
    assert_eq!(empty.code()?, "bad_input");
    let blank = [("mark", &*mark(&page)?), ("key", "k"), ("reason", " ")];
    assert_eq!(gale.once(Method::POST, &form.form()?, &blank).await?.code()?, "bad_input");
    for person in ["mia", "adam"] {
        let mut browser = world.sign_in(person).await?;
        let seen = browser.go(&held).await?;
        seen.says("a Sync Contributor or your provider decides this")?;
        assert!(!seen.text.contains("/approve\""), "no form to send");
        let fields = [("mark", &*mark(&seen)?), ("key", "k"), ("reason", "site closed")];
        let refused = browser.once(Method::POST, &form.form()?, &fields).await?;
        assert_eq!((refused.code()?.as_str(), refused.status.as_u16()), ("role_missing", 403));
    }
    assert_eq!(world.tester.count("select count(*) from admin.requests").await?, 0);
    let sent = gale.send(&form, &[("reason", "site closed")]).await?;
    until(&world, &mut gale, &sent, "Carried out by").await?;
    world.tester.at_rest().await;
    assert_eq!(world.tester.numbers(&world.first, 4).await?.iter().flatten().count(), 0);
    gale.go(&held).await?.says("No removals wait for a person")?;
    let fields = [("mark", &*mark(&page)?), ("key", "another"), ("reason", "site closed")];
    assert_eq!(gale.once(Method::POST, &form.form()?, &fields).await?.code()?, "held_decided");
    let told: (String, String) =
        sqlx::query_as("select person, reason from sync.held where outcome = 'approved'")
            .fetch_one(&world.tester.admin)
            .await?;
    assert!(told.0.starts_with("gale@") && told.1 == "site closed", "{told:?}");
    let refused = "decide_held refused".to_owned();
    let allowed = "decide_held allowed".to_owned();
    assert_eq!(world.audited(world.first.id.0).await?, [refused.clone(), refused, allowed]);
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn b1_a_replay_is_a_new_job_of_the_same_type_with_person_and_reason() -> Result<()> {
    let mut world = World::start().await?;
    world.tester.all_roles().await?;
    let number = world.first.telephone(1);
    world.tester.stranger(&world.first, "desk@account1.example", &number).await?;
    world.tester.save(&world.first, &[(1, Some(&number))]).await?;
    world.tester.at_rest().await;
    let job = last_job(&world).await?;
    world.tester.take_away(&world.first, &number).await?;
    let mut browser = world.sign_in("olga").await?;
    world.enter(&mut browser, &world.first).await?;
    let page = browser.go(&world.page(&format!("/accounts/account1/jobs/{job}"))).await?;
    page.says("Replay this sync")?;
    let page = browser.go(&world.page(&format!("/accounts/account1/jobs/{job}/replay"))).await?;
    let form = from(&page, "<form method=\"post\" ")?;
    let to = world.page(&format!("/accounts/account1/jobs/{job}/replay"));
    world.tester.auto_sync(&world.first, false).await?;
    let fields = [("mark", &*mark(&page)?), ("key", "off"), ("reason", "number is free")];
    assert_eq!(browser.once(Method::POST, &to, &fields).await?.code()?, "teams_needs_auto_sync");
    world.tester.auto_sync(&world.first, true).await?;
    world.tester.at_rest().await;
    let key = form.text.split("name=\"key\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let fields = [("mark", &*mark(&page)?), ("key", key.context("a key")?), ("reason", "number is free")];
    for _ in 0..2 {
        let sent = browser.once(Method::POST, &to, &fields).await?;
        let sent = browser.follow(sent).await?;
        until(&world, &mut browser, &sent, "Carried out by").await?;
    }
    world.tester.at_rest().await;
    let (job_type, linked, person, reason): (String, uuid::Uuid, String, String) = sqlx::query_as(
        "select job_type, linked_job, person, reason from log.jobs where cause = 'replay' and state = 'succeeded'",
    )
    .fetch_one(&world.tester.admin)
    .await?;
    assert_eq!((job_type.as_str(), linked, reason.as_str()), ("auto", job, "number is free"));
    assert!(person.starts_with("olga"), "{person}");
    assert_eq!(world.tester.numbers(&world.first, 1).await?, [Some(number)]);
    let old = browser.go(&world.page(&format!("/accounts/account1/jobs/{job}"))).await?;
    old.says("Partly")?;
    let done = last_job(&world).await?;
    let page = browser.go(&world.page(&format!("/accounts/account1/jobs/{done}"))).await?;
    assert!(!page.text.contains("Replay this sync"), "what succeeded is not replayed");
    let refused = browser.go(&world.page(&format!("/accounts/account1/jobs/{done}/replay"))).await?;
    assert_eq!(refused.code()?, "replay_nothing");
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_is_looked_at_first_and_does_exactly_that() -> Result<()> {
    let mut world = World::start().await?;
    numbered(&mut world, 1).await?;
    let job = last_job(&world).await?;
    let path = world.page(&format!("/accounts/account1/jobs/{job}"));
    let mut mia = world.sign_in("mia").await?;
    assert!(!mia.go(&path).await?.text.contains("/undo\""), "an Account Manager undoes nothing");
    let mut connie = world.sign_in("connie").await?;
    let page = connie.go(&path).await?;
    let form = from(&page, "<form method=\"post\" ")?;
    let sent = connie.send(&form, &[]).await?;
    let plan = until(&world, &mut connie, &sent, "This is the plan").await?;
    plan.says("<td>Unassign number</td>")?;
    let form = from(&plan, "<form class=\"way\"")?;
    assert_eq!(world.tester.requests("unassignNumber").await?.len(), 0, "nothing was written");
    let sent = connie.send(&form, &[("reason", "wrong person")]).await?;
    until(&world, &mut connie, &sent, "Carried out by").await?;
    world.tester.at_rest().await;
    assert_eq!(world.tester.numbers(&world.first, 1).await?, [None]);
    let audited = world.audited(world.first.id.0).await?;
    assert_eq!(audited, ["undo allowed", "undo allowed"]);
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_writes_nothing_and_its_run_does_exactly_that() -> Result<()> {
    let mut world = World::start().await?;
    let numbers = numbered(&mut world, 1).await?;
    world.tester.take_away(&world.first, &numbers[0]).await?;
    let mut gale = world.sign_in("gale").await?;
    let page = gale.go(&world.page("/accounts/account1")).await?;
    let form = from(&page, "<form class=\"filters\" method=\"post\"")?;
    let previews = world.page("/accounts/account1/previews");
    let fields = [("mark", &*mark(&form)?), ("key", "k"), ("scope", "all")];
    let sent = gale.once(Method::POST, &previews, &fields).await?;
    let sent = gale.follow(sent).await?;
    let plan = until(&world, &mut gale, &sent, "This is the plan").await?;
    plan.says("<td>Assign number</td>")?;
    assert_eq!(world.tester.numbers(&world.first, 1).await?, [None]);
    let form = from(&plan, "<form class=\"way\"")?;
    let sent = gale.send(&form, &[("reason", "put it back")]).await?;
    until(&world, &mut gale, &sent, "Carried out by").await?;
    world.tester.at_rest().await;
    assert_eq!(world.tester.numbers(&world.first, 1).await?, [Some(numbers[0].clone())]);
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_decides_once_and_says_what_became_of_it() -> Result<()> {
    let mut world = World::of(8).await?;
    numbered(&mut world, 8).await?;
    let leave: Vec<_> = (1..=4).map(|i| (i, None)).collect();
    world.tester.save(&world.first, &leave).await?;
    world.tester.at_rest().await;
    let mut gale = world.sign_in("gale").await?;
    let get = async |browser: &mut Browser, path: &str| -> Result<Value> {
        Ok(serde_json::from_str(&browser.go(&world.page(path)).await?.text)?)
    };
    let token = get(&mut gale, "/api/v1/me").await?["csrf_token"].as_str().context("a token")?.to_owned();
    let cookie = format!("tandem={}", gale.cookie(&world.base, "tandem").context("a session")?);
    let post = async |path: &str, key: &str, body: Value| -> Result<(u16, Value)> {
        let request = world.tester.http.post(world.page(&format!("/api/v1/accounts/account1/{path}")));
        let request = request.header("cookie", &cookie).header("x-csrf-token", &token);
        let answer = request.header("idempotency-key", key).json(&body).send().await?;
        Ok((answer.status().as_u16(), answer.json().await?))
    };
    let held = get(&mut gale, "/api/v1/accounts/account1/held").await?;
    assert_eq!(held["held"][0]["removals"].as_array().map(Vec::len), Some(4), "{held}");
    let path = format!("held/{}/reject", held["held"][0]["held_id"].as_str().context("an id")?);
    let (status, problem) = post(&path, "k0", json!({ "reason": "" })).await?;
    assert_eq!((status, &problem["code"]), (400, &json!("bad_input")));
    let (status, first) = post(&path, "k1", json!({ "reason": "wrong export" })).await?;
    assert_eq!(status, 202, "{first}");
    assert_eq!(post(&path, "k1", json!({ "reason": "wrong export" })).await?, (202, first.clone()));
    let (status, problem) = post(&path, "k1", json!({ "reason": "another" })).await?;
    assert_eq!((status, &problem["code"]), (422, &json!("idempotency_key_reused")));
    let request = first["request_id"].as_str().context("an id")?;
    let followed = format!("/api/v1/accounts/account1/requests/{request}");
    world.tester.until("select count(*) from sync.held where outcome = 'rejected'", 1).await;
    world.tester.at_rest().await;
    let told = get(&mut gale, &followed).await?;
    assert_eq!((&told["waits"], &told["refused"]), (&json!(false), &Value::Null), "{told}");
    let (status, problem) = post(&path, "k2", json!({ "reason": "again" })).await?;
    assert_eq!((status, &problem["code"]), (409, &json!("held_decided")));
    let foreign = format!("/api/v1/accounts/account2/requests/{request}");
    assert_eq!(gale.go(&world.page(&foreign)).await?.status, 404);
    world.tester.finish().await
}
