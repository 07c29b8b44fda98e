//! What operators see of all accounts together (ideas 3 and 12).

use anyhow::{Context, Result};
use serde_json::Value;
use tandem_domain::audit::PROVIDER;
use tandem_tests::{Browser, Page};

use super::world::World;

async fn json(browser: &mut Browser, world: &World, path: &str) -> Result<Value> {
    Ok(serde_json::from_str(&browser.go(&world.page(path)).await?.text)?)
}

/// The row of a table that begins with this text.
fn row(page: &Page, text: &str) -> Result<String> {
    let (_, rest) = page.text.split_once(text).with_context(|| format!("no `{text}`: {}", page.text))?;
    Ok(rest.split("</tr>").next().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn idea3_a16_the_fleet_counts_states_and_names_who_is_nearly_late() -> Result<()> {
    let mut world = World::start().await?;
    world.tester.all_roles().await?;
    for account in [&world.first, &world.second] {
        world.tester.save(account, &[(1, Some(&account.telephone(1)))]).await?;
    }
    world.tester.at_rest().await;
    world.tester.until("select count(*) from log.jobs where settled_at is not null", 2).await;
    let mut olga = world.sign_in("olga").await?;
    let page = olga.go(&world.page("/fleet")).await?;
    page.says("No account with Auto Sync waits")?;
    page.says("2 accounts.")?;
    assert!(row(&page, "state=in_sync\"")?.starts_with(">2<"), "{}", page.text);
    assert!(row(&page, ">All accounts<")?.contains(">2</td>"), "two syncs: {}", page.text);
    // the second account has a change that nobody gathers any more
    world.tester.stop_roles().await?;
    sqlx::query(
        "update queue.windows set first_change_at = now() - interval '9 minutes 30 seconds', last_change_at = now(), due_at = now() where account_id = $1",
    )
    .bind(world.second.id.0)
    .execute(&world.tester.admin)
    .await?;
    let part = olga.go(&world.page("/fleet/live")).await?;
    assert!(part.text.starts_with("<div id=\"live\""), "{}", part.text);
    let waits = row(&part, "href=\"/accounts/account2\"")?;
    assert!(waits.contains("nearly late") && waits.contains("9 min"), "{waits}");
    part.says("where Auto Sync is on: 9 min")?;
    let list = olga.go(&world.page("/accounts?state=changes_queued")).await?;
    list.says("/accounts/account2\"")?;
    assert!(!list.text.contains("/accounts/account1\""), "{}", list.text);
    assert_eq!(olga.go(&world.page("/accounts?state=lost")).await?.code()?, "bad_input");
    let fleet = json(&mut olga, &world, "/api/v1/fleet").await?;
    assert_eq!(fleet["all"]["accounts"], 2);
    assert_eq!(fleet["all"]["lateness"]["started"], 2);
    let queued =
        fleet["states"].as_array().context("states")?.iter().find(|s| s["state"] == "changes_queued");
    assert_eq!(queued.context("the state")?["accounts"], 1);
    assert_eq!(fleet["waiting"][0]["name"], "account2");
    assert!(fleet["waiting"][0]["promised_by"].is_string() && fleet["next"].is_null(), "{fleet}");
    sqlx::query("update queue.windows set first_change_at = null, last_change_at = null, due_at = null")
        .execute(&world.tester.admin)
        .await?;
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn idea12_b1_what_fails_in_many_accounts_is_one_line_that_leads_to_the_jobs() -> Result<()> {
    let world = World::start().await?;
    for statement in [
        "insert into log.failures (fingerprint, code, text) values ('transient-00c0ffee', 'transient', 'Service <is> unavailable')",
        "select log.make_month(now()::date)",
        "insert into log.jobs (job_id, account_id, job_type, scope, state, queued_at, finished_at, failures, event_number)
         select log.uuid_at(now() - (10 * n + right(a.name, 1)::int) * interval '1 s'), account_id, 'auto', 'changed', 'partly', now(), now(), '{transient-00c0ffee}', 1
           from admin.accounts a join generate_series(1, 3) n on n = 3 or n % 2 = right(a.name, 1)::int % 2",
    ] {
        sqlx::query(statement).execute(&world.tester.admin).await?;
    }
    let mut olga = world.sign_in("olga").await?;
    let page = olga.go(&world.page("/fleet?hours=48")).await?;
    let found = row(&page, "Service &#60;is&#62; unavailable")?;
    assert!(found.contains("href=\"/fleet/jobs?fingerprint=transient-00c0ffee\">"), "{found}");
    let failures = json(&mut olga, &world, "/api/v1/fleet/failures").await?;
    let group = &failures["failures"][0];
    assert_eq!((&group["fingerprint"], &group["accounts"]), (&"transient-00c0ffee".into(), &2.into()));
    assert_eq!(olga.go(&world.page("/fleet?hours=7")).await?.code()?, "bad_input");
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a10_each_look_at_the_fleet_is_on_record_and_customers_have_none() -> Result<()> {
    let world = World::start().await?;
    let mut olga = world.sign_in("olga").await?;
    for path in ["/fleet?hours=72", "/fleet/live", "/fleet/live"] {
        assert!(olga.go(&world.page(path)).await?.status.is_success(), "{path}");
    }
    for person in ["gale", "mia", "zoe"] {
        let mut browser = world.sign_in(person).await?;
        for path in ["/fleet", "/fleet/live", "/api/v1/fleet", "/api/v1/fleet/failures"] {
            let page = browser.go(&world.page(path)).await?;
            assert_eq!(page.status.as_u16(), 403, "{person} {path}");
            page.says("role_missing")?;
        }
        let list = browser.go(&world.page("/accounts?state=held")).await?;
        assert!(!list.text.contains("href=\"/fleet\""), "{person}");
    }
    let looks: Vec<(String, String, String)> = sqlx::query_as(
        "select outcome, name, subject from admin.audit where account_id = $1 and act = 'see_fleet' order by number",
    )
    .bind(PROVIDER.0)
    .fetch_all(&world.tester.admin)
    .await?;
    let of = |outcome: &str| looks.iter().filter(|look| look.0 == outcome).collect::<Vec<_>>();
    assert_eq!(of("allowed").len(), 1, "a look, and none for the parts fetched anew: {looks:?}");
    assert_eq!(of("allowed")[0].2, "/fleet?hours=72");
    assert_eq!(of("refused").len(), 12, "{looks:?}");
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn e23_what_the_detector_reads_is_for_operators_alone() -> Result<()> {
    let world = World::start().await?;
    for statement in [
        "insert into pbx.sources (source, last_started_at, last_ended_at, last_error_code, last_error) values ('pbx', now(), now(), 'zero_rows', 'none')",
        "insert into pbx.reads (source, started_at, ended_at, users, unbound, unusable, held, changes, error_code, error)
         select case when n = 60 then 'other' else 'pbx' end, now() - n * interval '1 min', now() - n * interval '1 min' + interval '42 ms', n, 0, 3, 0, 7,
                case when n = 1 then 'zero_rows' end, case when n = 1 then 'the source is empty' end
           from generate_series(1, 60) n",
        "insert into pbx.held_deletions (account_id, source, missing, known) select account_id, 'pbx', 40, 90 from admin.accounts where name = 'account1'",
        "insert into pbx.push_receipts (account_id, webhook_id, body_digest, gen, changed, waiting)
         select account_id, 'm', '', 5, 2, 'not_mapped' from admin.accounts where name = 'account2'",
    ] {
        sqlx::query(statement).execute(&world.tester.admin).await?;
    }
    let mut olga = world.sign_in("olga").await?;
    let page = olga.go(&world.page("/fleet/detector")).await?;
    for text in [
        "zero_rows: the source is empty",
        "refused",
        "42 ms",
        "3 unusable rows",
        "40 of 90",
        "Not mapped",
        "Older reads",
    ] {
        page.says(text)?;
    }
    let log = json(&mut olga, &world, "/api/v1/fleet/detector").await?;
    assert_eq!(log["reads"].as_array().map(Vec::len), Some(50));
    let next = log["next"].as_str().context("more")?;
    let rest = json(&mut olga, &world, &format!("/api/v1/fleet/detector?after={next}")).await?;
    let rest = rest["reads"].as_array().context("reads")?.clone();
    assert_eq!((rest.len(), &rest[9]["source"]), (10, &"other".into()));
    let one = json(&mut olga, &world, "/api/v1/fleet/detector?source=other").await?;
    assert_eq!((one["reads"].as_array().map(Vec::len), &one["next"]), (Some(1), &Value::Null));
    let own = json(&mut olga, &world, "/api/v1/fleet/detector?account=account2").await?;
    assert_eq!((&own["held"], &own["messages"][0]["changed"]), (&Value::Array(Vec::new()), &2.into()));
    assert_eq!(olga.go(&world.page("/fleet/detector?account=nobody")).await?.code()?, "bad_input");
    for person in ["gale", "connie", "mia", "adam"] {
        let mut browser = world.sign_in(person).await?;
        for path in ["/fleet/detector", "/api/v1/fleet/detector"] {
            let page = browser.go(&world.page(path)).await?;
            assert_eq!(page.status.as_u16(), 403, "{person} {path}");
            page.says("role_missing")?;
        }
        for path in ["/accounts/account1", "/accounts/account1/jobs", "/accounts/account1/settings"] {
            assert!(!browser.go(&world.page(path)).await?.text.contains("zero_rows"), "{person} {path}");
        }
    }
    world.tester.finish().await
}
