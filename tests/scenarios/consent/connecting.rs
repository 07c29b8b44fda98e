//! What consent does, and what it leaves alone.

use anyhow::Result;
use reqwest::Method;
use serde_json::json;
use sqlx::Row as _;
use tandem_store::connect::Purpose;
use tandem_tests::Browser;

use super::world::{ADMIN, SECOND_ADMIN, World, people};

#[tokio::test(flavor = "multi_thread")]
async fn e1_e10_a_global_administrator_connects_the_tenant_and_jobs_run_without_anybody() -> Result<()> {
    let world = World::start().await?;
    let (tester, account) = (&world.tester, &world.account);
    assert_eq!(tester.count("select count(*) from vault.authorizations").await?, 0, "not before (E10)");
    tester.save(account, &[(1, Some("+12125550101"))]).await?;

    let mut browser = Browser::new();
    let gale = world.upn(ADMIN);
    let page = world.connect(&mut browser, &gale).await?;
    page.says("Connected")?;
    page.says(&gale)?;
    let row = sqlx::query("select * from vault.authorizations").fetch_one(&tester.admin).await?;
    assert_eq!(row.get::<uuid::Uuid, _>("account_id"), account.id.0);
    assert_eq!(row.get::<uuid::Uuid, _>("tenant_id"), account.tenant);
    assert_eq!(row.get::<String, _>("state"), "healthy");
    assert_eq!(row.get::<String, _>("client_id"), msgraph_sim::DEMO_APP.to_string());
    assert_eq!(row.get::<String, _>("bound_by"), gale);
    assert_eq!(row.get::<Option<String>, _>("admin_name").as_deref(), Some(gale.as_str()));
    assert!(row.get::<Vec<String>, _>("permissions").len() >= 4);
    let recorded = "select count(*) from change.log where kind = 'settings' and fields = '{authorization}' and source = 'consent'";
    assert_eq!(tester.count(recorded).await?, 1);

    // the change saved before goes out by itself, nobody signed in any more
    drop(browser);
    tester.until("select count(*) from queue.jobs where state = 'succeeded' and job_type = 'auto'", 1).await;
    world.tester.at_rest().await;
    assert_eq!(world.tester.teams(&world.account, 1).await?.number.as_deref(), Some("+12125550101"));
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn e8_e9_nothing_of_the_authorization_runs_out_or_can_be_read() -> Result<()> {
    let world = World::start().await?;
    let mut browser = Browser::new();
    world.connect(&mut browser, &world.upn(ADMIN)).await?.says("Connected")?;
    // what is stored is the fact of the consent: no token, hence nothing to run out
    let row: serde_json::Value = sqlx::query_scalar("select to_json(v) from vault.authorizations v")
        .fetch_one(&world.tester.admin)
        .await?;
    let text = row.to_string();
    for word in ["eyJ", "expire", "secret", "refresh"] {
        assert!(!text.contains(word), "{word} in {text}");
    }
    let attempts: serde_json::Value = sqlx::query_scalar("select json_agg(a) from admin.connect_attempts a")
        .fetch_one(&world.tester.admin)
        .await?;
    assert!(!attempts.to_string().contains("eyJ"), "{attempts}");
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn b69_permissions_that_show_late_are_waited_for() -> Result<()> {
    let world = World::start().await?;
    world.tester.settings(&json!({ "landing": { "principalMs": 300, "permissionsMs": 900 } })).await?;
    let mut browser = Browser::new();
    let page = world.connect(&mut browser, &world.upn(ADMIN)).await?;
    page.says("Connected")?;
    let healthy = "select count(*) from vault.authorizations where state = 'healthy'";
    assert_eq!(world.tester.count(healthy).await?, 1);
    let looks = "select looks::bigint from vault.proofs where outcome = 'healthy'";
    assert!(world.tester.count(looks).await? > 1, "the first look found nothing yet");
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_is_not_given_is_named_and_consenting_again_heals_it() -> Result<()> {
    let world = World::start().await?;
    let action = json!({ "type": "consent", "withoutRoles": ["TeamsTelephoneNumber.ReadWrite.All"] });
    world.tester.fault(&json!({ "kind": "adminconsent", "method": "POST", "action": action })).await?;
    let mut browser = Browser::new();
    let page = world.connect(&mut browser, &world.upn(ADMIN)).await?;
    page.says("permissions missing: TeamsTelephoneNumber.ReadWrite.All")?;
    let weakened = "select count(*) from vault.authorizations where state = 'weakened'";
    assert_eq!(world.tester.count(weakened).await?, 1);
    world.tester.no_faults().await?;
    // another Global Administrator of the same tenant: whoever consented last is linked
    let gwen = world.upn(SECOND_ADMIN);
    world.connect(&mut browser, &gwen).await?.says("Connected")?;
    let row = sqlx::query("select state, admin_name, detail from vault.authorizations")
        .fetch_one(&world.tester.admin)
        .await?;
    assert_eq!(row.get::<String, _>("state"), "healthy");
    assert_eq!((row.get::<String, _>("admin_name"), row.get::<Option<String>, _>("detail")), (gwen, None));
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn b68_f60_a_tenant_of_another_account_is_refused_before_consent_and_by_the_proof() -> Result<()> {
    let mut world = World::start().await?;
    let other = world.tester.account(1).await?;
    sqlx::query("delete from vault.authorizations").execute(&world.tester.admin).await?;
    let person = world.upn(ADMIN);
    let link = world.link_of(&other, &Purpose::Connect, None, time::Duration::HOUR).await?;
    // two browsers come by the other account's link with the same tenant, while nobody has it
    let mut late = Browser::new();
    let microsoft = world.to_microsoft(&mut late, &link).await?;
    let confirm = late.send(&microsoft, &[("person", &person)]).await?;
    let consenting = late.send(&confirm, &[]).await?;
    let mut between = Browser::new();
    let microsoft = world.to_microsoft(&mut between, &link).await?;
    let confirm = between.send(&microsoft, &[("person", &person)]).await?;
    world.connect(&mut Browser::new(), &person).await?.says("Connected")?;

    // a third one learns it right after the sign-in: the page, which sees its own account's rows only, knows it
    let mut browser = Browser::new();
    let microsoft = world.to_microsoft(&mut browser, &link).await?;
    let page = browser.send(&microsoft, &[("person", &person)]).await?;
    assert_eq!((page.code()?.as_str(), page.status.as_u16()), ("tenant_taken", 403));
    let rest = page.text.replace(&person, "");
    assert!(!rest.contains(&world.account.name), "whose it is, is nobody's business: {rest}");
    // the second one when it goes on to the consent page
    assert_eq!(between.send(&confirm, &[]).await?.code()?, "tenant_taken");
    // the first one had gone there already: the proof has the last word
    late.send(&consenting, &[("person", &person)]).await?;
    let page = world.outcome(&mut late).await?;
    assert_eq!(page.code()?, "tenant_taken");
    assert_eq!(world.tester.count("select count(*) from vault.proofs").await?, 2);
    let bound: Vec<(uuid::Uuid, uuid::Uuid)> =
        sqlx::query_as("select account_id, tenant_id from vault.authorizations")
            .fetch_all(&world.tester.admin)
            .await?;
    assert_eq!(bound, [(world.account.id.0, world.account.tenant)]);
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn b67_b70_only_the_tenant_that_is_expected_or_bound() -> Result<()> {
    let mut world = World::start().await?;
    let other = world.tester.account(1).await?;
    sqlx::query("delete from vault.authorizations").execute(&world.tester.admin).await?;
    people(&world.tester, other.tenant, &format!("{}.example", other.name)).await?;
    let stranger = format!("{ADMIN}@{}.example", other.name);

    // the page says whose link it is, for which tenant, and what will be asked for
    let domain = format!("{}.example", world.account.name);
    let link = world.link(&Purpose::Connect, Some(&domain)).await?;
    let mut browser = Browser::new();
    let start = browser.go(&world.address(&link)).await?;
    for text in [
        world.account.name.as_str(),
        &domain,
        "TeamsTelephoneNumber.ReadWrite.All",
        "to give the telephone numbers",
    ] {
        start.says(text)?;
    }
    start.says("Operator &#60;b&#62;One&#60;/b&#62;")?;
    // whoever belongs elsewhere cannot even be chosen at the address of that tenant
    let microsoft = world.to_microsoft(&mut browser, &link).await?;
    let page = browser.send(&microsoft, &[("person", &stranger)]).await?;
    assert!(page.url.as_str().starts_with(world.tester.sim.base_url()), "still at Microsoft: {}", page.url);
    world.nothing_done().await?;

    // the tenant is bound; an administrator of another one comes by the account's next link
    world.connect(&mut browser, &world.upn(ADMIN)).await?.says("Connected")?;
    let link = world.link(&Purpose::Connect, None).await?;
    browser.go(&world.address(&link)).await?.says(&world.account.tenant.to_string())?;
    let answer = world.to_microsoft(&mut browser, &link).await?;
    let page = browser.send(&answer, &[("person", &stranger)]).await?;
    assert!(page.url.as_str().starts_with(world.tester.sim.base_url()), "still at Microsoft: {}", page.url);
    assert_eq!(world.tester.count("select count(*) from vault.authorizations").await?, 1);
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn b64_consent_is_asked_for_right_after_the_sign_in() -> Result<()> {
    let world = World::start().await?;
    let mut browser = Browser::new();
    let confirm = world.sign_in(&mut browser, &world.upn(ADMIN)).await?;
    for (ago, code) in [("10 minutes 1 second", Some("sign_in_old")), ("9 minutes 30 seconds", None)] {
        sqlx::query("update admin.connect_attempts set signed_in_at = now() - $1::text::interval")
            .bind(ago)
            .execute(&world.tester.admin)
            .await?;
        let page = browser.send_once(&confirm, &[]).await?;
        match code {
            Some(code) => assert_eq!((page.code()?.as_str(), page.status.as_u16()), (code, 403), "{ago}"),
            None => assert!(page.redirect()?.is_some_and(|to| to.path().ends_with("/adminconsent")), "{ago}"),
        }
    }
    world.nothing_done().await?;
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_begins_so_many_sign_ins_and_no_more() -> Result<()> {
    let world = World::start().await?;
    let link = world.link(&Purpose::Connect, None).await?;
    let mut browser = Browser::new();
    let start = browser.go(&world.address(&link)).await?;
    assert!(browser.send_once(&start, &[]).await?.redirect()?.is_some());
    let more = "insert into admin.connect_attempts (attempt_id, account_id, link_hash, session_hash, step, authority)
                select gen_random_uuid(), account_id, link_hash, sha256(n::text::bytea), step, authority
                  from admin.connect_attempts, generate_series(1, 99) n";
    sqlx::query(more).execute(&world.tester.admin).await?;
    let page = browser.send_once(&start, &[]).await?;
    assert_eq!((page.code()?.as_str(), page.status.as_u16()), ("too_many_sign_ins", 429));
    // an hour later it is good again, and so is any other link meanwhile
    world.at_microsoft(&mut browser).await?;
    let later = "update admin.connect_attempts set created_at = now() - interval '61 minutes'";
    sqlx::query(later).execute(&world.tester.admin).await?;
    assert!(browser.send_once(&start, &[]).await?.redirect()?.is_some());
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_providers_app_takes_the_place_of_an_accounts_own() -> Result<()> {
    let world = World::start().await?;
    let kept = "insert into vault.secrets (account_id, kind, tenant_id, key_id, sealed, label, created_by)
                values ($1, 'app_credential', $2, '0123456789abcdef', 'x', 'own', 'test')";
    sqlx::query(kept)
        .bind(world.account.id.0)
        .bind(world.account.tenant)
        .execute(&world.tester.admin)
        .await?;
    let mut browser = Browser::new();
    let link = world.link(&Purpose::Connect, None).await?;
    browser.go(&world.address(&link)).await?.says("an application registration of your own")?;
    // what was proved is what is used: with the credential left there, jobs would speak as an app that nobody proved
    world.connect(&mut browser, &world.upn(ADMIN)).await?.says("Connected")?;
    assert_eq!(world.tester.count("select count(*) from vault.secrets").await?, 0);
    let link = world.link(&Purpose::Connect, None).await?;
    let again = browser.go(&world.address(&link)).await?;
    assert!(!again.text.contains("of your own"), "{}", again.text);
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_commands_at_once_do_not_take_each_others_sign_ins_away() -> Result<()> {
    let mut world = World::start().await?;
    let mut browser = Browser::new();
    let person = world.upn(ADMIN);
    let first = world.at_microsoft(&mut browser).await?;
    // the same browser, another server on this machine: cookies do not tell ports apart
    let another = world.another_server().await?;
    let base = std::mem::replace(&mut world.base, another);
    world.at_microsoft(&mut browser).await?;
    world.base = base;
    let confirm = browser.send(&first, &[("person", &person)]).await?;
    confirm.says("Allow access at Microsoft")?;
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_good_for_a_while_and_for_one_connection() -> Result<()> {
    let world = World::start().await?;
    let mut browser = Browser::new();
    let old = world.link_of(&world.account, &Purpose::Connect, None, time::Duration::ZERO).await?;
    for (address, code) in [
        (world.address(&old), "link_expired"),
        (world.page("/connect/AAAA"), "link_unknown"),
        (world.page("/elsewhere"), "link_unknown"),
    ] {
        assert_eq!(browser.go(&address).await?.code()?, code, "{address}");
    }
    let link = world.link(&Purpose::Connect, None).await?;
    let person = world.upn(ADMIN);
    let microsoft = world.to_microsoft(&mut browser, &link).await?;
    let confirm = browser.send(&microsoft, &[("person", &person)]).await?;
    let microsoft = browser.send(&confirm, &[]).await?;
    browser.send(&microsoft, &[("person", &person)]).await?;
    world.outcome(&mut browser).await?.says("Connected")?;
    let again = Browser::new().go(&world.address(&link)).await?;
    assert_eq!(again.code()?, "link_used");
    // the secret of a link is kept nowhere
    let stored: String = sqlx::query_scalar("select string_agg(l::text, ' ') from admin.connect_links l")
        .fetch_one(&world.tester.admin)
        .await?;
    assert!(!stored.contains(&link.text()), "{stored}");
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_carries_strict_headers() -> Result<()> {
    let world = World::start().await?;
    let mut browser = Browser::new();
    let link = world.link(&Purpose::Connect, None).await?;
    let paths = ["/connect/status", "/connect/signed-in", "/connect/style.css", "/nothing"]
        .map(|path| world.page(path));
    for address in paths.into_iter().chain([world.address(&link)]) {
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::POST] {
            let page = browser.once(method.clone(), &address, &[]).await?;
            let kept = address.path() == "/connect/style.css" && method == Method::GET;
            for (name, value) in [
                ("cache-control", if kept { "max-age=600" } else { "no-store" }),
                ("cross-origin-resource-policy", "same-origin"),
                ("x-content-type-options", "nosniff"),
                ("x-frame-options", "DENY"),
                ("referrer-policy", "same-origin"),
            ] {
                assert_eq!(page.headers[name], value, "{method} {address}");
            }
            let csp = page.headers["content-security-policy"].to_str()?;
            assert!(
                csp.starts_with("default-src 'none'; style-src 'self'; form-action 'self' http://127.0.0.1:"),
                "{csp}"
            );
            assert!(csp.ends_with("frame-ancestors 'none'"), "{csp}");
        }
    }
    let start = browser.go(&world.address(&link)).await?;
    let sent = browser.send_once(&start, &[]).await?;
    let cookie = sent.headers["set-cookie"].to_str()?;
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{cookie}");
    // another name of the same machine
    let mut other = world.address(&link);
    other.set_host(Some("127.0.0.1"))?;
    assert_eq!(browser.go(&other).await?.code()?, "wrong_host");
    world.tester.finish().await
}
