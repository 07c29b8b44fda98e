//! Replays of many jobs: a selection, all that match, how far they are, and what ends them (rows B1, idea 11).

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};
use tandem_tests::{Account, Browser, Page};
use url::Url;
use uuid::Uuid;

use super::fleet_jobs::{failed, months};
use super::world::{World, mark};

/// An operator with the API at hand.
struct Desk {
    http: reqwest::Client,
    base: Url,
    browser: Browser,
    token: String,
    cookie: String,
}

impl Desk {
    async fn open(world: &World, person: &str) -> Result<Self> {
        let mut browser = world.sign_in(person).await?;
        let me: Value = serde_json::from_str(&browser.go(&world.page("/api/v1/me")).await?.text)?;
        let token = me["csrf_token"].as_str().context("a token")?.to_owned();
        let cookie = format!("tandem={}", browser.cookie(&world.base, "tandem").context("a session")?);
        Ok(Self { http: world.tester.http.clone(), base: world.base.clone(), browser, token, cookie })
    }

    async fn post(&self, path: &str, key: &str, body: &Value) -> Result<(u16, Value)> {
        let request = self.http.post(self.base.join(&format!("/api/v1/{path}"))?);
        let request = request.header("cookie", &self.cookie).header("x-csrf-token", &self.token);
        let answer = request.header("idempotency-key", key).json(body).send().await?;
        let (status, text) = (answer.status().as_u16(), answer.text().await?);
        Ok((status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? }))
    }

    async fn get(&mut self, path: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.browser.go(&self.base.join(&format!("/api/v1/{path}"))?).await?.text)?)
    }

    /// Makes a bulk act over these jobs.
    async fn replay(&self, jobs: &[Uuid]) -> Result<String> {
        let body =
            json!({ "name": "outage 9", "reason": "Graph is back", "jobs": jobs, "count": jobs.len() });
        let (status, made) = self.post("bulk", &format!("k{}{}", jobs.len(), jobs[0]), &body).await?;
        anyhow::ensure!(status == 202, "{status} {made}");
        Ok(made["bulk_id"].as_str().context("an id")?.to_owned())
    }

    /// The progress as `state jobs/accounts`.
    async fn progress(&mut self, bulk: &str) -> Result<Vec<String>> {
        let seen = self.get(&format!("bulk/{bulk}")).await?;
        let lines = seen["progress"].as_array().context("progress")?;
        let line = |line: &Value| {
            format!("{} {}/{}", line["state"].as_str().unwrap_or_default(), line["jobs"], line["accounts"])
        };
        let mut lines: Vec<String> = lines.iter().map(line).collect();
        lines.sort();
        Ok(lines)
    }
}

/// Account, linked job, type with scope, person and reason of a new job.
type Replayed = (Uuid, Option<Uuid>, String, Option<String>, Option<String>);

const FINISHED: &str = "select count(*) from admin.bulk_acts where finished_at is not null";

/// The part of a page that is a form with this action.
fn form(page: &Page, action: &str) -> Result<Page> {
    let found = page.text.split("<form").find(|part| part.contains(&format!("action=\"{action}\"")));
    let form = found.with_context(|| format!("no form {action}: {}", page.text))?;
    Ok(Page { text: format!("<form{}", form.split("</form>").next().unwrap_or_default()), ..page.clone() })
}

#[tokio::test(flavor = "multi_thread")]
async fn b1_selection_is_shown_confirmed_and_replayed_for_the_customer_to_see() -> Result<()> {
    let mut world = World::start().await?;
    months(&world).await?;
    let one = failed(&world, &world.first, "2 hours", "failed").await?;
    let two = failed(&world, &world.first, "1 hour", "partly").await?;
    let three = failed(&world, &world.second, "1 hour", "failed").await?;
    let done = failed(&world, &world.second, "3 hours", "succeeded").await?;
    world.tester.all_roles().await?;
    let mut olga = world.sign_in("olga").await?;
    let query = format!("/fleet/bulk/new?job={one}&job={two}&job={three}&job={done}");
    let page = olga.go(&world.page(&query)).await?;
    page.says("<h1>Replay 3 syncs</h1>")?;
    page.says("They are of 2 accounts")?;
    page.says("1 of the chosen syncs are not over")?;
    let sheet = form(&page, "/fleet/bulk")?;
    let blank = olga.send(&sheet, &[("name", "outage"), ("reason", " ")]).await?;
    assert_eq!(blank.code()?, "bad_input");
    let sent = olga.send(&sheet, &[("name", "outage 9"), ("reason", "Graph is back")]).await?;
    // the same form again is the same bulk act
    let again = olga.send(&sheet, &[("name", "outage 9"), ("reason", "Graph is back")]).await?;
    assert_eq!(again.url, sent.url);
    world.tester.until(FINISHED, 1).await;
    world.tester.at_rest().await;
    let page = olga.go(&sent.url).await?;
    page.says("Handed in")?;
    page.says("<span class=\"state good\">Succeeded</span></th><td class=\"number\">3</td><td class=\"number\">2</td>")?;
    let jobs: Vec<Replayed> = sqlx::query_as(
        "select account_id, linked_job, job_type || ' ' || scope, person, reason from log.jobs where cause = 'replay' order by account_id",
    )
    .fetch_all(&world.tester.admin)
    .await?;
    let because = Some("outage 9: Graph is back".to_owned());
    let olga_b = Some("olga <b>".to_owned());
    let (first, second) = (world.first.id.0, world.second.id.0);
    // one sync per account, linked to the newest; what was partly done is looked at by a job over everybody
    let mut expected = vec![
        (first, Some(two), "auto all".to_owned(), olga_b.clone(), because.clone()),
        (second, Some(three), "auto changed".to_owned(), olga_b, because),
    ];
    expected.sort();
    assert_eq!(jobs, expected);
    let mut gale = world.sign_in("gale").await?;
    gale.go(&world.page("/accounts/account1/jobs")).await?.says("olga &#60;b&#62;")?;
    assert_eq!(world.audited(first).await?, ["bulk_replay allowed"]);
    let own = world.audited(Uuid::nil()).await?;
    assert_eq!(own.iter().filter(|act| *act == "bulk_replay allowed").count(), 1, "{own:?}");
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn b1_filter_is_counted_fixed_and_confirmed_before_anything_happens() -> Result<()> {
    let world = World::start().await?;
    months(&world).await?;
    for ago in ["1 hour", "2 hours", "3 hours"] {
        failed(&world, &world.first, ago, "failed").await?;
    }
    failed(&world, &world.second, "1 hour", "succeeded").await?;
    failed(&world, &world.second, "1 hour", "cancelled").await?;
    let mut desk = Desk::open(&world, "olga").await?;
    for (query, code) in [
        ("", "bulk_filter_empty"),
        ("from=2026-01-01", "bulk_filter_empty"),
        ("from=2020-01-01&to=2020-01-02&state=failed", "bulk_nothing"),
        ("state=succeeded", "bulk_nothing"),
    ] {
        assert_eq!(desk.get(&format!("bulk-count?{query}")).await?["code"], code, "{query}");
        let page = desk.browser.go(&world.page(&format!("/fleet/bulk/new?{query}"))).await?;
        assert_eq!(page.code()?, code, "{query}");
    }
    assert_eq!(desk.get("bulk-count?type=auto").await?["jobs"], 3, "what a person cancelled is not meant");
    assert_eq!(desk.get("bulk-count?state=cancelled").await?["jobs"], 1);
    let counted = desk.get("bulk-count?account=account1").await?;
    assert_eq!((&counted["jobs"], &counted["accounts"]), (&json!(3), &json!(1)));
    let filter = &counted["filter"];
    assert!(filter["from"].as_str().is_some_and(|from| from.contains('T')), "{filter}");
    let new = |count: u32| json!({ "name": "n", "reason": "r", "filter": filter, "count": count });
    assert_eq!(desk.post("bulk", "k0", &new(4)).await?.1["code"], "bulk_changed");
    // what fails after the count is not a part of it
    failed(&world, &world.first, "-1 minute", "failed").await?;
    let (status, made) = desk.post("bulk", "k1", &new(3)).await?;
    assert_eq!(status, 202, "{made}");
    assert_eq!(desk.post("bulk", "k1", &new(3)).await?, (202, made.clone()));
    assert_eq!(desk.post("bulk", "k1", &new(2)).await?.1["code"], "idempotency_key_reused");
    // nobody hands it in yet: there is one at a time
    assert_eq!(desk.post("bulk", "k2", &new(3)).await?.1["code"], "bulk_running");
    let page = desk.browser.go(&world.page("/fleet/bulk")).await?;
    page.says("Running")?;
    page.says("<td class=\"number\">3</td>")?;
    assert_eq!(world.tester.count("select count(*) from admin.bulk_acts").await?, 1);
    for person in ["gale", "mia", "adam"] {
        let other = Desk::open(&world, person).await?;
        assert_eq!(other.post("bulk", "k3", &new(3)).await?.1["code"], "role_missing", "{person}");
    }
    world.tester.abandon().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn b1_a_thousand_and_one_ids_unknown_ones_and_odd_bodies_are_refused() -> Result<()> {
    let world = World::start().await?;
    months(&world).await?;
    let job = failed(&world, &world.first, "1 hour", "failed").await?;
    let done = failed(&world, &world.first, "1 hour", "succeeded").await?;
    let desk = Desk::open(&world, "olga").await?;
    let many: Vec<Uuid> = (0..1001).map(|i| Uuid::from_u128(i + 1)).collect();
    for (jobs, code) in [
        (json!(many), "bulk_too_many"),
        (json!(many[..1000]), "bulk_job_unknown"),
        (json!([job, Uuid::nil()]), "bulk_job_unknown"),
        (json!([done]), "bulk_nothing"),
        (json!([]), "bad_input"),
        (json!(["x"]), "bad_input"),
    ] {
        let body = json!({ "name": "n", "reason": "r", "jobs": jobs, "count": 1 });
        assert_eq!(desk.post("bulk", "k", &body).await?.1["code"], code);
    }
    let both =
        json!({ "name": "n", "reason": "r", "jobs": [job], "filter": { "state": "failed" }, "count": 1 });
    assert_eq!(desk.post("bulk", "k", &both).await?.1["code"], "bad_input");
    let empty = json!({ "name": "n", "reason": "r", "filter": {}, "count": 1 });
    assert_eq!(desk.post("bulk", "k", &empty).await?.1["code"], "bulk_filter_empty");
    let long = json!({ "name": "n".repeat(101), "reason": "r", "jobs": [job], "count": 1 });
    assert_eq!(desk.post("bulk", "k", &long).await?.1["code"], "bad_input");
    assert_eq!(world.tester.count("select count(*) from admin.bulk_acts").await?, 0);
    world.tester.abandon().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn idea11_three_hundred_failed_jobs_of_forty_accounts_become_forty_syncs() -> Result<()> {
    let mut world = World::start().await?;
    months(&world).await?;
    let mut accounts: Vec<Account> = vec![world.first.clone(), world.second.clone()];
    for _ in 2..40 {
        accounts.push(world.tester.account(1).await?);
    }
    for i in 0..300 {
        failed(&world, &accounts[i % 40], &format!("{} minutes", 400 - i), "failed").await?;
    }
    let mut desk = Desk::open(&world, "olga").await?;
    let counted = desk.get("bulk-count?fingerprint=f00d").await?;
    assert_eq!((&counted["jobs"], &counted["accounts"]), (&json!(300), &json!(40)));
    let body = json!({ "name": "outage", "reason": "it is over", "filter": counted["filter"], "count": 300 });
    let (_, made) = desk.post("bulk", "k", &body).await?;
    let bulk = made["bulk_id"].as_str().context("an id")?.to_owned();
    // two side by side do nothing twice
    world.tester.all_roles().await?;
    world.tester.debouncer().await?;
    world.tester.until(FINISHED, 1).await;
    world.tester.at_rest().await;
    assert_eq!(desk.progress(&bulk).await?, ["succeeded 300/40"]);
    let replays = "select count(*) from queue.jobs where cause = 'replay' and state = 'succeeded'";
    assert_eq!(world.tester.count(replays).await?, 40);
    assert_eq!(world.tester.count("select count(*) from admin.requests").await?, 40);
    let newest = "select count(*) from queue.jobs j where j.cause = 'replay' and j.linked_job =
                    (select max(l.job_id::text)::uuid from log.jobs l where l.account_id = j.account_id and l.state = 'failed')";
    assert_eq!(world.tester.count(newest).await?, 40);
    // 25 accounts in half a second
    let paced = "select count(*) from (select created_at from admin.requests group by created_at having count(*) > 25) p";
    assert_eq!(world.tester.count(paced).await?, 0);
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_act_goes_on_after_a_restart_and_stops_when_it_is_aborted() -> Result<()> {
    let mut world = World::start().await?;
    months(&world).await?;
    let mut jobs = Vec::new();
    for _ in 0..60 {
        let account = world.tester.account(0).await?;
        jobs.push(failed(&world, &account, "1 hour", "failed").await?);
    }
    let mut desk = Desk::open(&world, "olga").await?;
    let bulk = desk.replay(&jobs).await?;
    assert_eq!(desk.progress(&bulk).await?, ["waiting 60/0"]);
    world.tester.debouncer().await?;
    world.tester.until("select (count(*) >= 25)::int::bigint from admin.requests", 1).await;
    world.tester.stop_roles().await?;
    let before = world.tester.count("select count(*) from admin.requests").await?;
    assert!(before == 25 || before == 50, "{before}");
    world.tester.debouncer().await?;
    world.tester.until(FINISHED, 1).await;
    assert_eq!(world.tester.count("select count(*) from admin.requests").await?, 60);
    let once =
        "select count(*) from (select account_id from admin.requests group by 1 having count(*) > 1) twice";
    assert_eq!(world.tester.count(once).await?, 0);
    let over = world.page(&format!("/fleet/bulk/{bulk}/abort"));
    let page = desk.browser.go(&world.page(&format!("/fleet/bulk/{bulk}"))).await?;
    let sent = desk.browser.once(Method::POST, &over, &[("mark", &mark(&page)?), ("reason", "late")]).await?;
    assert_eq!(sent.code()?, "bulk_over");
    // another one, aborted before anything of it was handed in
    world.tester.stop_roles().await?;
    let bulk = desk.replay(&jobs[..3]).await?;
    let page = desk.browser.go(&world.page(&format!("/fleet/bulk/{bulk}"))).await?;
    let sheet = form(&page, &format!("/fleet/bulk/{bulk}/abort"))?;
    let sent = desk.browser.send(&sheet, &[("reason", "not over yet")]).await?;
    sent.says("Aborted")?;
    world.tester.debouncer().await?;
    world.tester.until(FINISHED, 2).await;
    assert_eq!(world.tester.count("select count(*) from admin.requests").await?, 60);
    let (status, problem) = desk.post(&format!("bulk/{bulk}/abort"), "k", &json!({ "reason": "r" })).await?;
    assert_eq!((status, &problem["code"]), (409, &json!("bulk_over")));
    assert_eq!(desk.progress(&bulk).await?, ["waiting 3/3"]);
    let page = desk.browser.go(&world.page(&format!("/fleet/bulk/{bulk}"))).await?;
    page.says("Not replayed: aborted")?;
    world.tester.abandon().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn b1_paused_accounts_and_those_without_auto_sync_are_refused_plainly_and_the_rest_goes_on()
-> Result<()> {
    let mut world = World::start().await?;
    months(&world).await?;
    let third = world.tester.account(1).await?;
    let mut jobs = Vec::new();
    for account in [&world.first, &world.second, &third] {
        jobs.push(failed(&world, account, "1 hour", "failed").await?);
    }
    for (sql, account) in [
        (
            "update admin.accounts set paused_until = now() + interval '1 h', pause_reason = 'move' where account_id = $1",
            &world.first,
        ),
        ("update admin.accounts set auto_sync = false where account_id = $1", &world.second),
    ] {
        sqlx::query(sql).bind(account.id.0).execute(&world.tester.admin).await?;
    }
    let mut desk = Desk::open(&world, "olga").await?;
    let bulk = desk.replay(&jobs).await?;
    world.tester.all_roles().await?;
    world.tester.until(FINISHED, 1).await;
    world.tester.at_rest().await;
    assert_eq!(desk.progress(&bulk).await?, ["refused 2/2", "succeeded 1/1"]);
    assert_eq!(world.tester.jobs(&third).await?, ["succeeded"]);
    assert_eq!(world.tester.count("select count(*) from queue.jobs").await?, 1);
    let page = desk.browser.go(&world.page(&format!("/fleet/bulk/{bulk}"))).await?;
    page.says("The account is paused.")?;
    page.says("Auto Sync is off")?;
    assert_eq!(world.audited(world.first.id.0).await?, ["bulk_replay refused"]);
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn b1_a_pause_of_the_fleet_refuses_what_is_not_handed_in_and_any_new_bulk_act() -> Result<()> {
    let mut world = World::start().await?;
    months(&world).await?;
    let job = failed(&world, &world.first, "1 hour", "failed").await?;
    let mut desk = Desk::open(&world, "olga").await?;
    let bulk = desk.replay(&[job]).await?;
    sqlx::query("insert into admin.fleet_pause (until, person, reason, since) values (now() + interval '1 h', 'olga', 'outage', now())")
        .execute(&world.tester.admin)
        .await?;
    let body = json!({ "name": "again", "reason": "Graph is back", "jobs": [job], "count": 1 });
    let (status, refused) = desk.post("bulk", "another", &body).await?;
    assert_eq!((status, refused["code"].as_str()), (409, Some("paused")), "{refused}");
    world.tester.all_roles().await?;
    world.tester.until(FINISHED, 1).await;
    assert_eq!(desk.progress(&bulk).await?, ["refused 1/1"]);
    assert_eq!(world.tester.count("select count(*) from admin.requests").await?, 0);
    assert_eq!(world.audited(world.first.id.0).await?, ["bulk_replay refused"]);
    world.tester.abandon().await;
    Ok(())
}
