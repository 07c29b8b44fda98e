//! What the provider's operators do to accounts, and that nobody else can.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::json;
use tandem_domain::roles::Role;
use tandem_store::Login;
use tandem_tests::{Browser, Page};
use url::Url;

use super::world::{PEOPLE, World, mark};

/// Everything that is posted on the page of the first account, with fields that would do.
const POSTS: [(&str, &[(&str, &str)]); 4] = [
    ("licences", &[("licences", "99"), ("reason", "order 4")]),
    ("source", &[("source", "pbx"), ("account_key", "other"), ("reason", "order 4")]),
    ("invitation", &[("invited", "gale"), ("tenant", "account1.example"), ("reason", "order 4")]),
    ("removal", &[("confirm", "account1"), ("reason", "order 4")]),
];

fn administration(world: &World, part: &str) -> Url {
    world.page(&format!("/accounts/account1/administration{part}"))
}

/// An operator who has entered the first account.
async fn olga(world: &World) -> Result<Browser> {
    let mut browser = world.sign_in("olga").await?;
    world.enter(&mut browser, &world.first).await?;
    Ok(browser)
}

async fn post(world: &World, browser: &mut Browser, part: &str, fields: &[(&str, &str)]) -> Result<Page> {
    let mark = mark(&browser.go(&world.page("/accounts")).await?)?;
    let all: Vec<(&str, &str)> = fields.iter().copied().chain([("mark", mark.as_str())]).collect();
    browser.once(Method::POST, &administration(world, &format!("/{part}")), &all).await
}

async fn told(world: &World, query: &'static str) -> Result<String> {
    Ok(sqlx::query_scalar(query).bind(world.first.id.0).fetch_one(&world.tester.admin).await?)
}

const STANDS: &str = "select concat_ws(' ', a.licences, a.auto_sync, v.state, b.account_key, (select count(*) from admin.connect_links))
                        from admin.accounts a left join vault.authorizations v using (account_id) left join pbx.bindings b using (account_id)
                       where account_id = $1";

async fn sources(world: &World) -> Result<()> {
    sqlx::query("insert into pbx.sources (source) values ('pbx') on conflict do nothing")
        .execute(&world.tester.admin)
        .await?;
    Ok(())
}

/// The link on the page of an invitation.
fn link(page: &Page) -> Result<Url> {
    let (_, rest) = page.text.split_once("readonly value=\"").with_context(|| page.text.clone())?;
    Ok(Url::parse(&rest.split('"').next().unwrap_or_default().replace("&#x2f;", "/").replace("&#47;", "/"))?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a25_customers_see_licences_and_removal_and_can_do_neither() -> Result<()> {
    let world = World::start().await?;
    sources(&world).await?;
    let before = told(&world, STANDS).await?;
    for (person, _) in PEOPLE.iter().filter(|(_, role)| !matches!(role, Some(Role::Operator) | None)) {
        let mut browser = world.sign_in(person).await?;
        let settings = browser.go(&world.page("/accounts/account1/settings")).await?;
        settings.says("Your provider changes how many there are, and removes the integration.")?;
        assert!(!settings.text.contains("/administration"), "{person}");
        assert_eq!(browser.go(&administration(&world, "")).await?.code()?, "role_missing", "{person}");
        for (part, fields) in POSTS {
            let page = post(&world, &mut browser, part, fields).await?;
            assert_eq!(
                (page.code()?.as_str(), page.status.as_u16()),
                ("role_missing", 403),
                "{person} {part}"
            );
            page.says("Only your provider may do this.")?;
        }
        let page = browser.go(&world.page("/provider/accounts")).await?;
        assert_eq!(page.code()?, "role_missing", "{person}");
    }
    assert_eq!(told(&world, STANDS).await?, before);
    let refused = world.audited(world.first.id.0).await?;
    assert!(refused.iter().all(|one| one.ends_with(" refused")) && refused.len() == 20, "{refused:?}");
    let provider = world.audited(uuid::Uuid::nil()).await?;
    assert_eq!(provider.iter().filter(|one| *one == "see_fleet refused").count(), 4);
    // the login that works for customers could not, either
    let store = world.tester.store(Login::Portal);
    for statement in [
        "update admin.accounts set licences = 99",
        "delete from vault.authorizations",
        "insert into pbx.bindings (source, account_key, account_id) values ('pbx', 'x', gen_random_uuid())",
    ] {
        let mut tx = store.begin_for("test.portal", world.first.id).await?;
        let refused = sqlx::query(statement).execute(&mut *tx).await;
        assert!(refused.is_err_and(|error| error.to_string().contains("permission denied")), "{statement}");
    }
    // and the one that works for operators sees one account, and gives no authorization
    let store = world.tester.store(Login::PortalProvider);
    let mut tx = store.begin_for("test.provider", world.first.id).await?;
    let seen: i64 = sqlx::query_scalar("select count(*) from admin.accounts").fetch_one(&mut *tx).await?;
    assert_eq!(seen, 1);
    let healed = sqlx::query("update vault.authorizations set state = 'weakened'").execute(&mut *tx).await;
    assert!(healed.is_err_and(|error| error.to_string().contains("row-level security")));
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn p11_b40_b70_p24_an_account_is_made_bound_and_its_global_admin_invited() -> Result<()> {
    let world = World::start().await?;
    sources(&world).await?;
    let mut browser = world.sign_in("olga").await?;
    let form = browser.go(&world.page("/provider/accounts")).await?;
    let mark = mark(&form)?;
    let make = |name: &'static str, zone: &'static str, reason: &'static str| {
        vec![
            ("mark", mark.clone()),
            ("name", name.into()),
            ("label", "Gamma A/S".into()),
            ("time_zone", zone.into()),
            ("tenant", "Account1.example".into()),
            ("licences", "5".into()),
            ("reason", reason.into()),
        ]
    };
    let mut made = None;
    for (name, zone, reason, code) in [
        ("Gamma", "Europe/Copenhagen", "order 4", "bad_input"),
        ("gamma", "Europe/Nowhere", "order 4", "bad_input"),
        ("gamma", "Europe/Copenhagen", " ", "bad_input"),
        ("account1", "Europe/Copenhagen", "order 4", "name_taken"),
        ("gamma", "Europe/Copenhagen", "order 4", ""),
    ] {
        let fields = make(name, zone, reason);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let page = browser.once(Method::POST, &form.url, &fields).await?;
        match code {
            "" => made = Some(page),
            code => assert_eq!(page.code()?, code, "{name} {zone} {reason}"),
        }
    }
    let enter = browser.follow(made.context("it was made")?).await?;
    assert_eq!(enter.url.path(), "/accounts/gamma/enter");
    browser.once(Method::POST, &enter.url, &[("mark", &mark), ("reason", "order 4")]).await?;
    let page = world.page("/accounts/gamma/administration");
    let at = |part: &str| world.page(&format!("/accounts/gamma/administration/{part}"));
    let shown = browser.go(&page).await?;
    for text in ["Europe/Copenhagen", "0 of 5 are in use", "Bind the account to its PBX first."] {
        shown.says(text)?;
    }
    // P24: the Teams side waits for the PBX side
    let invite = |tenant: &'static str| {
        [
            ("mark", mark.clone()),
            ("invited", "Gale <gale@account1.example>".into()),
            ("tenant", tenant.into()),
            ("reason", "order 4".into()),
        ]
    };
    let send = async |browser: &mut Browser, tenant: &'static str| {
        let fields = invite(tenant);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        browser.once(Method::POST, &at("invitation"), &fields).await
    };
    let early = send(&mut browser, "account1.example").await?;
    assert_eq!((early.code()?.as_str(), early.status.as_u16()), ("pbx_first", 409));
    early.says("Have your provider bind the account to its PBX first.")?;
    let bind = [("mark", mark.as_str()), ("source", "pbx"), ("reason", "order 4")];
    for (source, key, code) in [
        ("nothing", "gamma", "bad_input"),
        ("pbx", "account2", "source_taken"),
        ("pbx", "gamma.pbx.example", ""),
    ] {
        let fields = [bind[0], ("source", source), bind[2], ("account_key", key)];
        let bound = browser.once(Method::POST, &at("source"), &fields).await?;
        if code.is_empty() {
            browser.follow(bound).await?.says("<strong>gamma.pbx.example</strong>")?;
        } else {
            assert_eq!(bound.code()?, code, "{source} {key}");
        }
    }
    for tenant in ["", "not a tenant", "-x.example"] {
        assert_eq!(send(&mut browser, tenant).await?.code()?, "bad_input", "{tenant}");
    }
    let first = send(&mut browser, "account1.example").await?;
    first.says("it is shown this once and kept nowhere")?;
    assert_eq!(first.headers["cache-control"], "no-store");
    let (first, second) = (link(&first)?, link(&send(&mut browser, "account1.example").await?)?);
    let listed = browser.go(&page).await?;
    assert!(!listed.text.contains(second.path()) && listed.text.contains("gale@account1.example"));
    // nothing of the link is kept but its hash, which says until when: 48 hours
    let kept: Vec<(String, f64, i32)> = sqlx::query_as(
        "select l.expected_tenant, (extract(epoch from l.expires_at - l.created_at) / 3600)::float8, octet_length(i.link_hash)
           from admin.connect_links l join admin.invitations i using (link_hash) where l.expires_at > now()",
    )
    .fetch_all(&world.tester.admin)
    .await?;
    assert_eq!(kept, [("account1.example".to_owned(), 48.0, 32)]);
    // B40: the one before is closed; B70: the page names the customer, and another tenant is turned away
    assert_eq!(Browser::new().go(&first).await?.status.as_u16(), 410);
    let mut foreign = Browser::new();
    let connect = foreign.go(&second).await?;
    connect.says("Gamma A/S")?;
    let choose = foreign.send(&connect, &[]).await?;
    assert!(
        choose.url.path().starts_with("/account1.example/"),
        "it signs in at that tenant: {}",
        choose.url
    );
    let refused = foreign.send(&choose, &[("person", "gale@account2.example")]).await?;
    assert_eq!(refused.status.as_u16(), 400, "and nobody of another can: {}", refused.url);
    sqlx::query("update admin.connect_links set expires_at = now()").execute(&world.tester.admin).await?;
    let late = Browser::new().go(&second).await?;
    assert_eq!(late.status.as_u16(), 410);
    late.says("link_expired")?;
    let acts: Vec<String> = sqlx::query_scalar(
        "select act || ' ' || reason from admin.audit r join admin.accounts a using (account_id)
          where a.name = 'gamma' and outcome = 'allowed' and act <> 'see_administration' order by number",
    )
    .fetch_all(&world.tester.admin)
    .await?;
    let of_pages = ["bind_source", "invite_admin"];
    let own: Vec<&String> = acts
        .iter()
        .filter(|act| {
            act.ends_with("order 4")
                && (act.starts_with("create") || of_pages.iter().any(|one| act.starts_with(one)))
        })
        .collect();
    assert!(own.len() >= 4, "{acts:?}");
    world.tester.abandon().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn p11_b40_p24_an_invitation_by_mail_shows_no_link_and_closes_those_before() -> Result<()> {
    let world = World::start().await?;
    sources(&world).await?;
    let mut browser = olga(&world).await?;
    let fields = |way: &'static str, to: &'static str| {
        [
            ("invited", "Gale"),
            ("tenant", "account1.example"),
            ("way", way),
            ("mail_to", to),
            ("reason", "order 4"),
        ]
    };
    // P24: the Teams side waits for the PBX side
    sqlx::query("delete from pbx.bindings where account_id = $1")
        .bind(world.first.id.0)
        .execute(&world.tester.admin)
        .await?;
    let early = post(&world, &mut browser, "invitation", &fields("mail", "gale@account1.example")).await?;
    assert_eq!(early.code()?, "pbx_first");
    assert_eq!(world.tester.count("select count(*) from mail.mails").await?, 0);
    let bind = [("source", "pbx"), ("account_key", "account1.pbx.example"), ("reason", "order 4")];
    post(&world, &mut browser, "source", &bind).await?;
    for wrong in ["", "gale", "gale@account1.example, eve@evil.example"] {
        let page = post(&world, &mut browser, "invitation", &fields("mail", wrong)).await?;
        assert_eq!(page.code()?, "bad_input", "{wrong}");
    }
    let shown = link(&post(&world, &mut browser, "invitation", &fields("link", "")).await?)?;
    assert_eq!(Browser::new().go(&shown).await?.status.as_u16(), 200);
    let sent = post(&world, &mut browser, "invitation", &fields("mail", "gale@account1.example")).await?;
    let page = browser.follow(sent).await?;
    page.says("The invitation is on its way by mail.")?;
    page.says("by mail to gale@account1.example: Waits for the mail server")?;
    assert!(!page.text.contains("/connect/"));
    assert_eq!(Browser::new().go(&shown).await?.status.as_u16(), 410, "the one shown before is closed");
    let open = "select count(*) from admin.connect_links where expires_at > now()";
    assert_eq!(world.tester.count(open).await?, 0, "a link comes with the mail, and not before");
    assert_eq!(
        told(&world, "select concat_ws(' ', kind, about ->> 'tenant', about ->> 'made_by') from mail.mails where account_id = $1").await?,
        "invitation account1.example olga <b>"
    );
    assert_eq!(
        told(&world, "select expected_tenant from admin.accounts where account_id = $1").await?,
        "account1.example"
    );
    let record = "select subject || ', ' || reason from admin.audit where account_id = $1 and act = 'invite_admin' order by number desc limit 1";
    assert_eq!(
        told(&world, record).await?,
        "Gale, tenant account1.example, by mail to gale@account1.example, order 4"
    );
    // and the other way round: a link that is shown is the newest
    post(&world, &mut browser, "invitation", &fields("link", "")).await?;
    let newest = "select (mail_id is null)::text from admin.invitations where account_id = $1 order by created_at desc limit 1";
    assert_eq!(told(&world, newest).await?, "true");
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn p24_auto_sync_asks_for_no_consent_before_the_pbx_is_set_up() -> Result<()> {
    let world = World::start().await?;
    world.tester.auto_sync(&world.first, false).await?;
    for statement in [
        "delete from pbx.bindings",
        "update vault.authorizations set state = 'revoked'",
        "update admin.accounts set next_gen = true",
    ] {
        sqlx::query(statement).execute(&world.tester.admin).await?;
    }
    let mut gale = world.sign_in("gale").await?;
    let settings = gale.go(&world.page("/accounts/account1/settings")).await?;
    let version = super::world::hidden(&settings, "version")?;
    let fields = [("mark", mark(&settings)?), ("version", version), ("on", "true".to_owned())];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let page = gale.once(Method::POST, &world.page("/accounts/account1/settings/auto-sync"), &fields).await?;
    assert_eq!(page.code()?, "pbx_first");
    assert_eq!(world.tester.count("select count(*) from admin.connect_links").await?, 0);
    world.tester.abandon().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn licences_are_never_fewer_than_are_mapped_and_the_refusal_names_who_would_be_over() -> Result<()> {
    let world = World::start().await?;
    world.start_with(&[1, 2, 3], 3).await?;
    sqlx::query(
        "update admin.mappings set created_at = now() + interval '1 s' where pbx_user_id = 'ext-00002'",
    )
    .execute(&world.tester.admin)
    .await?;
    let mut browser = olga(&world).await?;
    let over = post(&world, &mut browser, "licences", &[("licences", "2"), ("reason", "order 4")]).await?;
    assert_eq!((over.code()?.as_str(), over.status.as_u16()), ("licences_over", 409));
    over.says("1 users more are mapped than there would be licences. Mapped last: ext-00002")?;
    for wrong in [&[("licences", "-1"), ("reason", "order 4")], &[("licences", "9"), ("reason", "")]] {
        assert_eq!(post(&world, &mut browser, "licences", wrong).await?.code()?, "bad_input");
    }
    let saved = post(&world, &mut browser, "licences", &[("licences", "7"), ("reason", "order 4")]).await?;
    browser.follow(saved).await?.says("3 of 7 are in use")?;
    let change = told(&world, "select before::text || after::text || source from change.log where account_id = $1 and kind = 'settings'").await?;
    assert!(change.starts_with("{\"licences\":3}{\"licences\":7}operator olga"), "{change}");
    let record = told(&world, "select subject || ' ' || reason from admin.audit where account_id = $1 and act = 'set_licences' and outcome = 'allowed' and subject <> ''").await?;
    assert_eq!(record, "licences: 3 -> 7 order 4");
    world.tester.abandon().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f66_removing_the_integration_stops_a_job_before_its_next_write_and_keeps_what_was_recorded()
-> Result<()> {
    let users = 40;
    let mut world = World::of(users).await?;
    world.tester.patience = Duration::from_secs(120);
    world
        .tester
        .fault(&json!({ "kind": "assignNumber", "action": { "type": "delayReply", "ms": 700 } }))
        .await?;
    world.tester.all_roles().await?;
    let edits: Vec<(u32, String)> = (1..=users).map(|i| (i, world.first.telephone(i))).collect();
    let edits: Vec<(u32, Option<&str>)> =
        edits.iter().map(|(i, number)| (*i, Some(number.as_str()))).collect();
    world.tester.save(&world.first, &edits).await?;
    world.tester.until("select least(count(*), 1) from sync.intents where action = 'assign_number'", 1).await;
    let mut browser = olga(&world).await?;
    let untyped =
        post(&world, &mut browser, "removal", &[("confirm", "account"), ("reason", "order 4")]).await?;
    assert_eq!(untyped.code()?, "bad_input");
    let gone =
        post(&world, &mut browser, "removal", &[("confirm", "account1"), ("reason", "order 4")]).await?;
    browser.follow(gone).await?.says("Saved.")?;
    world.tester.until("select count(*) from queue.jobs where state = 'cancelled'", 1).await;
    let written = world.tester.requests("assignNumber").await?.len();
    assert!(written > 0 && written < users as usize, "{written}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.tester.requests("assignNumber").await?.len(), written, "nothing writes any more");
    // something of ours stands there, so the tenant stays bound; mappings and records stay as well
    assert_eq!(told(&world, STANDS).await?, format!("{} f none account1 0", users + 10));
    assert_eq!(world.tester.count("select count(*) from admin.mappings where account_id in (select account_id from admin.accounts where name = 'account1')").await?, i64::from(users));
    // and the customer does not bring it back
    let mut gale = world.sign_in("gale").await?;
    for (part, code) in [("next-gen", None), ("auto-sync", Some("integration_removed"))] {
        let settings = gale.go(&world.page("/accounts/account1/settings")).await?;
        let (own, version) = (mark(&settings)?, super::world::hidden(&settings, "version")?);
        let on = [("mark", own.as_str()), ("version", version.as_str()), ("on", "true")];
        let page =
            gale.once(Method::POST, &world.page(&format!("/accounts/account1/settings/{part}")), &on).await?;
        match code {
            Some(code) => assert_eq!(page.code()?, code),
            None => assert_eq!(page.status, 303),
        }
        let manual = world.page("/accounts/account1/sync/manual");
        let page = gale.once(Method::POST, &manual, &[("mark", own.as_str())]).await?;
        assert_eq!(page.code()?, "integration_removed");
    }
    let page = browser.go(&administration(&world, "")).await?;
    page.says("It is removed since")?;
    page.says("and stays there; the tenant stays bound to this account")?;
    let record = told(&world, "select act || ' ' || reason from admin.audit where account_id = $1 and subject like '% keep what stands in Teams'").await?;
    assert_eq!(record, "remove_integration order 4");
    world.tester.abandon().await;
    Ok(())
}
