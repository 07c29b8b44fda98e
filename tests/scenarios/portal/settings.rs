//! Settings, on pages and over the API, named after the rows of the requirements.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tandem_tests::{Browser, Page};

use super::world::{World, mark};

/// What the first account's settings page shows now.
async fn page(world: &World, browser: &mut Browser) -> Result<Page> {
    browser.go(&world.page("/accounts/account1/settings")).await
}

/// The version that forms of a page name.
fn version(page: &Page) -> Result<String> {
    let (_, rest) = page.text.split_once("name=\"version\" value=\"").context("a version")?;
    Ok(rest.split('"').next().unwrap_or_default().to_owned())
}

/// Sends one of the forms of a page.
async fn save(
    world: &World,
    browser: &mut Browser,
    seen: &Page,
    form: &str,
    fields: &[(&str, &str)],
) -> Result<Page> {
    let (mark, version) = (mark(seen)?, version(seen)?);
    let mut all = vec![("mark", &*mark), ("version", &*version)];
    all.extend(fields);
    let to = world.page(&format!("/accounts/account1/settings/{form}"));
    browser.once(Method::POST, &to, &all).await
}

async fn saved(world: &World, browser: &mut Browser, form: &str, fields: &[(&str, &str)]) -> Result<Page> {
    let seen = page(world, browser).await?;
    let sent = save(world, browser, &seen, form, fields).await?;
    let shown = browser.follow(sent).await?;
    shown.says("role=\"status\">Saved.")?;
    Ok(shown)
}

async fn off(world: &World) -> Result<()> {
    world.tester.auto_sync(&world.first, false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn e14_e15_auto_sync_appears_once_next_gen_is_saved_and_the_global_admin_alone_switches() -> Result<()>
{
    let world = World::start().await?;
    off(&world).await?;
    let mut gale = world.sign_in("gale").await?;
    let first = page(&world, &mut gale).await?;
    first.says("Services › Teams")?;
    assert!(!first.text.contains("Auto Sync"), "not shown before Next Gen Teams Sync is on and saved");
    let refused = save(&world, &mut gale, &first, "auto-sync", &[("on", "true")]).await?;
    assert_eq!(refused.code()?, "next_gen_needed");
    for person in ["connie", "mia", "adam", "olga"] {
        let mut browser = world.sign_in(person).await?;
        if person == "olga" {
            world.enter(&mut browser, &world.first).await?;
        }
        let seen = page(&world, &mut browser).await?;
        seen.says("Only the Global Admin linked to the account may change this.")?;
        let fields = [("mark", &*mark(&seen)?), ("version", "x"), ("on", "true")];
        for form in ["next-gen", "auto-sync"] {
            let to = world.page(&format!("/accounts/account1/settings/{form}"));
            assert_eq!(
                browser.once(Method::POST, &to, &fields).await?.code()?,
                "role_missing",
                "{person} {form}"
            );
        }
    }
    assert_eq!(
        world.tester.count("select count(*) from admin.accounts where auto_sync or next_gen").await?,
        1
    );
    let shown = saved(&world, &mut gale, "next-gen", &[("on", "true")]).await?;
    shown.says("<h3 id=\"h-auto-sync\">Auto Sync</h3>")?;
    saved(&world, &mut gale, "auto-sync", &[("on", "true")]).await?;
    let on = "select count(*) from admin.accounts where name = 'account1' and auto_sync and next_gen";
    assert_eq!(world.tester.count(on).await?, 1);
    // off: Auto Sync ends with it (E15, E36)
    saved(&world, &mut gale, "next-gen", &[("on", "false")]).await?;
    let none =
        "select count(*) from admin.accounts where name = 'account1' and not auto_sync and not next_gen";
    assert_eq!(world.tester.count(none).await?, 1);
    let audited = world.audited(world.first.id.0).await?;
    let own = audited.iter().filter(|record| record.starts_with("switch_") && record.ends_with("allowed"));
    assert_eq!(own.count(), 4, "{audited:?}");
    world.tester.abandon().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn e10_auto_sync_asks_for_the_consent_and_what_waits_starts_with_it() -> Result<()> {
    let mut world = World::start().await?;
    world.tester.all_roles().await?;
    off(&world).await?;
    let number = world.first.telephone(1);
    world.tester.save(&world.first, &[(1, Some(&number))]).await?;
    let gone = "update vault.authorizations set state = 'revoked', reason = 'authorization_revoked' where account_id = $1";
    sqlx::query(gone).bind(world.first.id.0).execute(&world.tester.admin).await?;
    let mut gale = world.sign_in("gale").await?;
    saved(&world, &mut gale, "next-gen", &[("on", "true")]).await?;
    assert_eq!(world.tester.count("select count(*) from admin.connect_links").await?, 0, "not before");
    let seen = page(&world, &mut gale).await?;
    let sent = save(&world, &mut gale, &seen, "auto-sync", &[("on", "true")]).await?;
    let to = sent.redirect()?.context("the consent")?;
    assert!(to.path().starts_with("/connect/"), "{to}");
    gale.go(&world.page("/accounts/account1")).await?.says("waits for the authorization")?;
    assert_eq!(world.tester.count("select count(*) from vault.proofs").await?, 0);
    let upn = format!("gale@{}.example", world.first.name);
    let start = gale.go(&to).await?;
    let microsoft = gale.send(&start, &[]).await?;
    let confirm = gale.send(&microsoft, &[("person", &upn)]).await?;
    let microsoft = gale.send(&confirm, &[]).await?;
    gale.send(&microsoft, &[("person", &upn)]).await?;
    world.tester.until("select count(*) from vault.authorizations where state = 'healthy'", 2).await;
    world.tester.at_rest().await;
    assert_eq!(world.tester.numbers(&world.first, 1).await?, [Some(number)]);
    let auto = "select count(*) from log.jobs where job_type = 'auto' and state = 'succeeded'";
    assert!(world.tester.count(auto).await? >= 1);
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn switching_auto_sync_on_makes_what_waits_due() -> Result<()> {
    let mut world = World::start().await?;
    world.tester.all_roles().await?;
    off(&world).await?;
    let number = world.first.telephone(1);
    world.tester.save(&world.first, &[(1, Some(&number))]).await?;
    let waits = "select count(*) from queue.windows where first_change_at is not null and due_at is null";
    world.tester.until(waits, 1).await;
    let mut gale = world.sign_in("gale").await?;
    saved(&world, &mut gale, "next-gen", &[("on", "true")]).await?;
    saved(&world, &mut gale, "auto-sync", &[("on", "true")]).await?;
    world
        .tester
        .until("select count(*) from log.jobs where job_type = 'auto' and state = 'succeeded'", 1)
        .await;
    world.tester.at_rest().await;
    assert_eq!(world.tester.numbers(&world.first, 1).await?, [Some(number)]);
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn b34_a_stale_save_is_refused_and_each_save_is_a_change_with_its_record() -> Result<()> {
    let world = World::start().await?;
    let mut gale = world.sign_in("gale").await?;
    let seen = page(&world, &mut gale).await?;
    let fields = [("quiet", "0.5"), ("max_wait", "120")];
    saved(&world, &mut gale, "windows", &fields).await?.says("0.5 s")?;
    // somebody else has saved since the first page was read
    let stale = save(&world, &mut gale, &seen, "windows", &[("quiet", ""), ("max_wait", "")]).await?;
    assert_eq!((stale.code()?.as_str(), stale.status.as_u16()), ("version_stale", 412));
    for (quiet, max_wait) in [("0", "120"), ("300", "120"), ("1", "500"), ("x", "")] {
        let seen = page(&world, &mut gale).await?;
        let fields = [("quiet", quiet), ("max_wait", max_wait)];
        let refused = save(&world, &mut gale, &seen, "windows", &fields).await?;
        assert_eq!(refused.code()?, "bad_input", "{quiet} {max_wait}");
    }
    let rule = [
        ("when", "set"),
        ("field", "voicemail_enabled"),
        ("value", ""),
        ("policy_type", "TeamsCallingPolicy"),
        ("policy_name", "Tandem-PBX-Voicemail"),
        ("service", "voice"),
    ];
    saved(&world, &mut gale, "rules", &rule).await?.says("TeamsCallingPolicy: Tandem-PBX-Voicemail")?;
    let seen = page(&world, &mut gale).await?;
    let wrong = [rule[0], ("field", "no_such_field"), rule[2], rule[3], rule[4], rule[5]];
    assert_eq!(save(&world, &mut gale, &seen, "rules", &wrong).await?.code()?, "bad_input");
    saved(&world, &mut gale, "rules/remove", &[("position", "0")]).await?.says("There are none.")?;
    let changes: Vec<(i64, Vec<String>, String)> =
        sqlx::query_as("select gen, fields, source from change.log where account_id = $1 order by gen")
            .bind(world.first.id.0)
            .fetch_all(&world.tester.admin)
            .await?;
    let fields: Vec<_> = changes.iter().map(|(_, fields, _)| fields.join(",")).collect();
    assert_eq!(fields, ["quiet,max_wait", "policy_rules", "policy_rules"]);
    assert!(changes.iter().all(|(_, _, source)| source.starts_with("portal gale@")), "{changes:?}");
    assert_eq!(world.audited(world.first.id.0).await?, ["save_settings allowed"; 3]);
    let announced = "select count(*) from ops.outbox where subject like '%changed%'";
    assert_eq!(world.tester.count(announced).await?, 3, "each is announced");
    world.tester.abandon().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a25_licences_are_shown_and_no_way_leads_to_changing_them() -> Result<()> {
    let world = World::start().await?;
    let mut gale = world.sign_in("gale").await?;
    let seen = page(&world, &mut gale).await?;
    seen.says("<strong>13</strong>. Your provider changes how many there are")?;
    assert!(!seen.text.contains("name=\"licences\""));
    let refused =
        save(&world, &mut gale, &seen, "windows", &[("quiet", ""), ("max_wait", ""), ("licences", "99")]);
    assert_eq!(refused.await?.code()?, "bad_input");
    // and the portal's login could not, whatever its code did
    let store = world.tester.store(tandem_store::Login::Portal);
    let mut tx = store.begin_for("test.licences", world.first.id).await?;
    let refused = sqlx::query("update admin.accounts set licences = 99").execute(&mut *tx).await;
    ensure!(refused.is_err_and(|error| error.to_string().contains("permission denied")));
    drop(tx);
    store.close().await;
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_global_admin_names_sync_contributors_of_the_own_organisation() -> Result<()> {
    let mut world = World::start().await?;
    world.tester.all_roles().await?;
    world.tester.request(&world.first, "all").await?;
    world.tester.at_rest().await;
    let mut gale = world.sign_in("gale").await?;
    let seen = page(&world, &mut gale).await?;
    let to = world.page("/accounts/account1/settings/contributors");
    let fields = [("mark", &*mark(&seen)?), ("sign_in_name", "nobody@elsewhere.example")];
    assert_eq!(gale.once(Method::POST, &to, &fields).await?.code()?, "bad_input");
    let upn = world.first.upn(2);
    let fields = [("mark", &*mark(&seen)?), ("sign_in_name", &upn.to_uppercase())];
    for _ in 0..2 {
        let sent = gale.once(Method::POST, &to, &fields).await?;
        gale.follow(sent).await?.says(&format!("{upn}, named by gale@"))?;
    }
    let who: (String, uuid::Uuid) = sqlx::query_as(
        "select p.person_id::text, p.oid from admin.memberships m join admin.people p using (person_id)
          where m.role = 'sync_contributor' and m.source = 'named'",
    )
    .fetch_one(&world.tester.admin)
    .await?;
    assert_eq!(who.1, world.first.oid(2).0);
    let away = world.page("/accounts/account1/settings/contributors/remove");
    let fields = [("mark", &*mark(&seen)?), ("person", &*who.0)];
    let sent = gale.once(Method::POST, &away, &fields).await?;
    gale.follow(sent).await?.says("Nobody is named.")?;
    assert_eq!(gale.once(Method::POST, &away, &fields).await?.code()?, "not_found");
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn b27_the_api_saves_settings_under_their_etag_and_each_field_by_its_role() -> Result<()> {
    let world = World::start().await?;
    let path = world.page("/api/v1/accounts/account1/settings");
    let put =
        async |browser: &Browser, token: &str, etag: Option<&str>, body: Value| -> Result<(u16, Value)> {
            let cookie = format!("tandem={}", browser.cookie(&world.base, "tandem").context("a session")?);
            let mut request = world.tester.http.put(path.clone()).header("cookie", cookie);
            if let Some(etag) = etag {
                request = request.header("if-match", etag);
            }
            let answer = request.header("x-csrf-token", token).json(&body).send().await?;
            Ok((answer.status().as_u16(), answer.json().await?))
        };
    let token = async |browser: &mut Browser| -> Result<String> {
        let me: Value = serde_json::from_str(&browser.go(&world.page("/api/v1/me")).await?.text)?;
        Ok(me["csrf_token"].as_str().context("a token")?.to_owned())
    };
    let mut gale = world.sign_in("gale").await?;
    let gales = token(&mut gale).await?;
    let read = gale.go(&path).await?;
    let etag = read.headers.get("etag").context("a version")?.to_str()?.to_owned();
    // what was read, with something else in some fields
    let with = |read: &Page, fields: Value| -> Result<Value> {
        let mut all: Value = serde_json::from_str(&read.text)?;
        let all = all.as_object_mut().context("an object")?;
        all.retain(|name, _| !matches!(name.as_str(), "licences" | "connect"));
        all.extend(fields.as_object().cloned().unwrap_or_default());
        Ok(json!(all))
    };
    let body = with(&read, json!({ "quiet_ms": 500, "max_wait_ms": 120_000 }))?;
    let (status, problem) = put(&gale, &gales, None, body.clone()).await?;
    assert_eq!((status, &problem["code"]), (428, &json!("if_match_missing")));
    let (status, now) = put(&gale, &gales, Some(&etag), body.clone()).await?;
    assert_eq!((status, &now["quiet_ms"], &now["auto_sync"]), (200, &json!(500), &json!(true)), "{now}");
    let (status, problem) = put(&gale, &gales, Some(&etag), body).await?;
    assert_eq!((status, &problem["code"]), (412, &json!("version_stale")));
    for wrong in [
        json!({ "quiet_ms": 500 }),
        with(&read, json!({ "licences": 99 }))?,
        with(&read, json!({ "policy_rules": [{ "when": "sometimes" }] }))?,
    ] {
        let (status, problem) = put(&gale, &gales, Some(&etag), wrong).await?;
        assert_eq!((status, &problem["code"]), (400, &json!("bad_input")));
    }
    // only the API replaces, and from our own pages alone
    let http = &world.tester.http;
    let foreign = http.put(path.clone()).header("origin", "https://evil.example").json(&json!({}));
    assert_eq!(foreign.send().await?.json::<Value>().await?["code"], "cross_site");
    assert_eq!(http.put(world.page("/accounts")).send().await?.status(), 405);
    let (status, problem) = put(&gale, "no-token", Some(&etag), json!({})).await?;
    assert_eq!((status, &problem["code"]), (403, &json!("form_stale")));
    // an operator saves windows, and the switches are the Global Admin's
    let mut olga = world.sign_in("olga").await?;
    world.enter(&mut olga, &world.first).await?;
    let olgas = token(&mut olga).await?;
    let read = olga.go(&path).await?;
    let etag = read.headers.get("etag").context("a version")?.to_str()?.to_owned();
    let (status, problem) =
        put(&olga, &olgas, Some(&etag), with(&read, json!({ "auto_sync": false }))?).await?;
    assert_eq!((status, &problem["code"]), (403, &json!("role_missing")));
    let (status, now) = put(&olga, &olgas, Some(&etag), with(&read, json!({ "quiet_ms": null }))?).await?;
    assert_eq!(
        (status, &now["quiet_ms"], &now["max_wait_ms"]),
        (200, &Value::Null, &json!(120_000)),
        "{now}"
    );
    let audited = world.audited(world.first.id.0).await?;
    assert!(audited.contains(&"switch_auto_sync refused".to_owned()), "{audited:?}");
    world.tester.abandon().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn e36_a_manual_sync_is_offered_with_next_gen_and_auto_sync_off() -> Result<()> {
    let world = World::start().await?;
    let mut gale = world.sign_in("gale").await?;
    saved(&world, &mut gale, "next-gen", &[("on", "false")]).await?;
    let overview = gale.go(&world.page("/accounts/account1")).await?;
    overview.says("<strong>Manual Sync</strong>")?;
    let manual = world.page("/accounts/account1/sync/manual");
    let sent = gale.once(Method::POST, &manual, &[("mark", &mark(&overview)?)]).await?;
    gale.follow(sent).await?.says("Sync the users of")?;
    world.tester.abandon().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn e28_enable_sync_is_for_an_operator_with_a_reason_and_ends_after_a_day() -> Result<()> {
    let world = World::start().await?;
    let to = world.page("/accounts/account1/settings/troubleshooting");
    for person in ["gale", "connie", "mia", "adam"] {
        let mut browser = world.sign_in(person).await?;
        let seen = page(&world, &mut browser).await?;
        seen.says("<h3 id=\"h-pbx\">Enable Sync</h3>")?;
        assert!(!seen.text.contains("/settings/troubleshooting\""), "{person}");
        let fields = [("mark", &*mark(&seen)?), ("on", "true"), ("reason", "because")];
        assert_eq!(browser.once(Method::POST, &to, &fields).await?.code()?, "role_missing", "{person}");
    }
    let mut olga = world.sign_in("olga").await?;
    world.enter(&mut olga, &world.first).await?;
    let seen = page(&world, &mut olga).await?;
    seen.says("It is <strong>off</strong>, as it should be")?;
    let mark = mark(&seen)?;
    let fields = [("mark", &*mark), ("on", "true"), ("reason", " ")];
    assert_eq!(olga.once(Method::POST, &to, &fields).await?.code()?, "bad_input");
    let fields = [("mark", &*mark), ("on", "true"), ("reason", "edits do not arrive")];
    let sent = olga.once(Method::POST, &to, &fields).await?;
    olga.follow(sent).await?.says("edits do not arrive. The PBX is read whole every minute")?;
    let day = "select count(*) from pbx.troubleshooting where until = switched_at + interval '24 hours' and reason = 'edits do not arrive'";
    assert_eq!(world.tester.count(day).await?, 1);
    let logged = "select count(*) from admin.audit where act = 'switch_troubleshooting' and outcome = 'allowed' and reason = 'edits do not arrive'";
    assert_eq!(world.tester.count(logged).await?, 1);
    // a day passes
    let later = "update pbx.troubleshooting set until = until - interval '1 day', switched_at = switched_at - interval '1 day'";
    sqlx::query(later).execute(&world.tester.admin).await?;
    let mut gale = world.sign_in("gale").await?;
    page(&world, &mut gale).await?.says("It is <strong>off</strong>, as it should be")?;
    world.tester.finish().await
}
