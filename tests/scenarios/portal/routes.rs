//! What holds for every route of the table: who gets in, whose rows are shown, and which headers there are.

use anyhow::{Context, Result};
use reqwest::Method;
use tandem_domain::roles::{Act, Role, Roles};
use tandem_portal::{Access, Entry, table};
use tandem_tests::{Browser, Page};
use url::Url;

use super::world::{PEOPLE, World, mark};

/// A job that there is not.
const JOB: &str = "019a0000-0000-7000-8000-000000000001";

fn address(world: &World, entry: &Entry, account: &str) -> Url {
    world.page(&filled(entry.path, account, JOB, world.first.user(1).as_str()))
}

/// Parts of a path that name something which there is not.
const PARTS: [&str; 8] =
    ["{job}", "{held}", "{request}", "{preview}", "{user}", "{import}", "{bulk}", "{token}"];

/// The path with this account, this user, and this id for whatever else it names.
fn filled(path: &str, account: &str, id: &str, user: &str) -> String {
    let path = path.replace("{account}", account).replace("{issuer}", "provider").replace("{user}", user);
    PARTS.iter().fold(path, |path, part| path.replace(part, id))
}

fn names_a_part(entry: &Entry) -> bool {
    PARTS.iter().any(|part| entry.path.contains(part))
}

async fn ask(world: &World, browser: &mut Browser, entry: &Entry, account: &str, mark: &str) -> Result<Page> {
    let url = address(world, entry, account);
    let method = Method::from_bytes(entry.method.as_bytes())?;
    // too little for any of the forms to do something
    browser.once(method, &url, &[("mark", mark)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn i33_b25_every_route_lets_in_whom_the_role_table_names_and_nobody_else() -> Result<()> {
    let world = World::start().await?;
    let mut wrong = Vec::new();
    for (person, role) in PEOPLE {
        let mut browser = world.sign_in(person).await?;
        let page = browser.go(&world.page("/accounts")).await?;
        let mark = mark(&page)?;
        if role == Some(Role::Operator) {
            world.enter(&mut browser, &world.first).await?;
        }
        for entry in table().iter().filter(|entry| entry.path != "/sign-out") {
            let page = ask(&world, &mut browser, entry, &world.first.name, &mark).await?;
            let api = entry.path.starts_with("/api/");
            let code = page.text.contains("role_missing");
            let missing = page.status == 404 && !names_a_part(entry);
            let expected = match entry.access {
                Access::Open => !code && !missing,
                // what changes something through the API shows the mark in a header, which comes before the rights
                _ if api && entry.method != "GET" => page.status == 403,
                Access::Person(act) => {
                    let may = act.anywhere(role == Some(Role::Operator));
                    if may { !code && !missing } else { code && page.status == 403 }
                }
                Access::Account(_) if role.is_none() => page.status == 404,
                Access::Account(act) => {
                    let may = Roles::new(role.into_iter().collect()).may(act);
                    if may { !code && !missing } else { code && page.status == 403 }
                }
            };
            if !expected {
                wrong.push(format!("{person} {entry:?}: {} {}", page.status, page.text.len()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn i33_without_a_sign_in_only_the_open_routes_answer() -> Result<()> {
    let world = World::start().await?;
    for entry in table() {
        let page = ask(&world, &mut Browser::new(), &entry, &world.first.name, "made-up").await?;
        let shut = match page.headers.get("location").and_then(|to| to.to_str().ok()) {
            Some(to) => to.starts_with("/sign-in"),
            None => page.status == 401,
        };
        assert_eq!(shut, entry.access != Access::Open, "{entry:?}: {}", page.status);
    }
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn i13_no_route_shows_anything_of_another_account() -> Result<()> {
    let mut world = World::start().await?;
    world.tester.all_roles().await?;
    let canary = "+12125550199";
    world.tester.save(&world.second, &[(1, Some(canary))]).await?;
    world.tester.at_rest().await;
    let job: uuid::Uuid = sqlx::query_scalar("select job_id from log.jobs where account_id = $1 limit 1")
        .bind(world.second.id.0)
        .fetch_one(&world.tester.admin)
        .await?;
    // a user of the other account alone
    let only = format!("only {canary}");
    let profile = "insert into pbx.profiles (account_id, pbx_user_id, source, profile, digest) values ($1, $2, 'pbx', $3, 0)";
    sqlx::query(profile)
        .bind(world.second.id.0)
        .bind(&only)
        .bind(sqlx::types::Json(world.second.profile(9, None)))
        .execute(&world.tester.admin)
        .await?;
    let names = [canary.to_owned(), world.second.upn(1), world.second.tenant.to_string(), job.to_string()];
    for person in ["gale", "adam"] {
        let mut browser = world.sign_in(person).await?;
        for entry in table().iter().filter(|entry| entry.method == "GET") {
            for account in [&world.first.name, &world.second.name] {
                // the other account's job under the own account, and under its own
                let path = filled(entry.path, account, &job.to_string(), &only);
                let page = browser.go(&world.page(&path)).await?;
                let shut = matches!(entry.access, Access::Account(_));
                if names_a_part(entry) || (shut && *account == world.second.name) {
                    // what a role does not cover is refused before it is looked for
                    let refused = page.status == 403 && page.text.contains("role_missing");
                    let own = *account == world.first.name || !entry.path.contains("{account}");
                    assert!(page.status == 404 || own && refused, "{person} {path}: {}", page.status);
                }
                let shown = page.text.replace(page.url.as_str(), "");
                for name in &names[..3] {
                    assert!(!shown.contains(name), "{person} {path} shows {name}");
                }
            }
        }
        let list = browser.go(&world.page("/api/v1/accounts")).await?;
        assert!(!list.text.contains(&world.second.name), "{person}: {}", list.text);
    }
    // whoever belongs to both sees it
    let mut mia = world.sign_in("mia").await?;
    let page = mia.go(&world.page(&format!("/accounts/{}/jobs/{job}", world.second.name))).await?;
    page.says(canary)?;
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_every_route_has_the_headers() -> Result<()> {
    let world = World::start().await?;
    let mut browser = world.sign_in("adam").await?;
    let mark = mark(&browser.go(&world.page("/accounts")).await?)?;
    let connect = Entry { method: "GET", path: "/connect/nothing", access: Access::Open };
    let nothing = Entry { method: "GET", path: "/no/such/page", access: Access::Open };
    let wrong = Entry { method: "POST", path: "/accounts", access: Access::Person(Act::ListAccounts) };
    let mut nonces = std::collections::BTreeSet::new();
    for entry in
        table().into_iter().chain([connect, nothing, wrong]).filter(|entry| entry.path != "/sign-out")
    {
        let page = ask(&world, &mut browser, &entry, &world.first.name, &mark).await?;
        let header =
            |name: &str| page.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let csp = header("content-security-policy").to_owned();
        // the one page that others may show: the PBX's own pages, and nobody else (A19)
        let framed = entry.path.starts_with("/embed/");
        let around = if framed { "https://voice.provider.example" } else { "'none'" };
        assert!(csp.contains(&format!("frame-ancestors {around}")), "{entry:?}: {csp}");
        for part in ["default-src 'none'", "base-uri 'none'"] {
            assert!(csp.contains(part), "{entry:?}: {csp}");
        }
        assert!(!csp.contains("unsafe"), "{entry:?}: {csp}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{entry:?}");
        assert_eq!(header("referrer-policy"), "same-origin", "{entry:?}");
        assert_eq!(header("x-frame-options"), if framed { "" } else { "DENY" }, "{entry:?}");
        let kept = entry.path.starts_with("/assets/");
        assert_eq!(header("cache-control") == "no-store", !kept, "{entry:?}");
        assert_eq!(page.headers.get_all("content-security-policy").iter().count(), 1, "{entry:?}");
        if let Some((_, nonce)) = csp.split_once("'nonce-") {
            assert!(nonces.insert(nonce.split('\'').next().map(str::to_owned)), "a nonce is used once");
            assert!(!page.text.contains("<script>") && !page.text.contains(" onclick="), "{entry:?}");
        }
    }
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn b23_b37_forms_of_others_and_other_hosts_are_refused() -> Result<()> {
    let world = World::start().await?;
    let mut browser = world.sign_in("gale").await?;
    let overview = browser.go(&world.page("/accounts/account1")).await?;
    let sync = world.page("/accounts/account1/sync");
    for fields in [&[][..], &[("mark", "x")], &[("mark", ""), ("key", "k")]] {
        assert_eq!(browser.once(Method::POST, &sync, fields).await?.code()?, "form_stale", "{fields:?}");
    }
    let other = mark(&world.sign_in("gale").await?.go(&overview.url).await?)?;
    let page = browser.once(Method::POST, &sync, &[("mark", &other), ("key", "k")]).await?;
    assert_eq!(page.code()?, "form_stale", "the mark of another session");
    let http = &world.tester.http;
    for (name, value) in
        [("origin", "null"), ("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")]
    {
        let answer = http.post(sync.clone()).header(name, value).body("").send().await?;
        assert!(answer.text().await?.contains("<code>cross_site</code>"), "{name}: {value}");
    }
    let answer = http.get(world.page("/sign-in")).header("host", "evil.example").send().await?;
    assert_eq!(answer.status(), 421);
    for method in [Method::HEAD, Method::PUT, Method::TRACE] {
        let answer = http.request(method.clone(), world.page("/sign-in")).send().await?;
        assert_eq!(answer.status(), 405, "{method}");
    }
    assert_eq!(world.tester.count("select count(*) from admin.requests").await?, 0);
    let long = "x".repeat(40_000);
    let page = browser.once(Method::POST, &sync, &[("mark", &long)]).await?;
    assert_eq!(page.status.as_u16(), 413, "{}", page.text.get(..200).context("a page")?);
    assert_eq!(page.headers.get("connection").context("a header")?, "close", "the rest stays unread");
    world.tester.finish().await
}
