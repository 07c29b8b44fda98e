//! Two accounts, people of every role, and a portal on a clock that is moved by hand.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tandem_domain::roles::Role;
use tandem_graph::{Issuer, IssuerConfig, SignIn, SignInConfig};
use tandem_portal::{ClaimRules, EmbedSettings, Mailing, Parts, PortalSettings, Windows};
use tandem_runtime::{Clock, Ctx, Ids, TestClock};
use tandem_store::Login;
use tandem_tests::{Account, Browser, Page, Tester};
use url::Url;

/// Everybody who plays, by what they are to the first account.
pub(crate) const PEOPLE: [(&str, Option<Role>); 6] = [
    ("gale", Some(Role::GlobalAdmin)),
    ("connie", Some(Role::SyncContributor)),
    ("mia", Some(Role::AccountManager)),
    ("adam", Some(Role::AccountAdmin)),
    ("olga", Some(Role::Operator)),
    // of the second account alone
    ("zoe", None),
];

/// What the PBX's own pages sign with.
pub(crate) const EMBED_KEY: &str = "a-key-of-tests-with-more-than-32-characters";

pub(crate) struct World {
    pub(crate) tester: Tester,
    pub(crate) first: Account,
    pub(crate) second: Account,
    pub(crate) base: Url,
    pub(crate) hand: TestClock,
    _keyring: tandem_testkit::TempDir,
}

fn issuer_people(first: &str, second: &str, client: &str) -> Value {
    let person = |name: &str, role: &str, accounts: &[&str]| json!({ "subject": name, "name": format!("{name} <b>"), "claims": { "role": role, "accounts": accounts } });
    json!({ "clientId": client, "clientSecret": "s/ecret", "redirectUris": ["http://localhost/*"], "people": [
        person("mia", "manager", &[first, second]),
        person("adam", "admin", &[first]),
        person("olga", "operator", &[]),
        person("zoe", "admin", &[second]),
        person("nemo", "admin", &["no-such-account"]),
    ] })
}

impl World {
    pub(crate) async fn start() -> Result<Self> {
        Self::of(3).await
    }

    /// With so many users in the first account.
    pub(crate) async fn of(users: u32) -> Result<Self> {
        let mut tester = Tester::start().await?;
        let (first, second) = (tester.account(users).await?, tester.account(2).await?);
        for account in [&first, &second] {
            sqlx::query("insert into pbx.bindings (source, account_key, account_id) values ('pbx', $1, $2)")
                .bind(&account.name)
                .bind(account.id.0)
                .execute(&tester.admin)
                .await?;
            let gale = tester.global_admin(account, "gale").await?;
            sqlx::query(
                "update vault.authorizations set admin_oid = $2, admin_name = $3 where account_id = $1",
            )
            .bind(account.id.0)
            .bind(gale.0)
            .bind(format!("gale@{}.example", account.name))
            .execute(&tester.admin)
            .await?;
        }
        let people = issuer_people(&first.name, &second.name, "portal");
        tester.switch(Method::PUT, "provider", Some(&people)).await?;
        let keyring = tandem_testkit::TempDir::new()?;
        let key = tandem_vault::Keyring::add(&keyring.path().join("keys"), 1)?;
        let sealing_key = keyring.path().join("sealing.pub");
        tandem_vault::Keyring::publish(&sealing_key, &key)?;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let base = Url::parse(&format!("http://localhost:{}/", listener.local_addr()?.port()))?;
        let microsoft = Url::parse(tester.sim.base_url())?;
        let parts = Parts {
            store: tester.store(Login::Portal),
            fleet: tester.store(Login::PortalFleet),
            operators: tester.store(Login::PortalProvider),
            microsoft: Some(SignIn::new(SignInConfig {
                authority: microsoft.clone(),
                graph: microsoft.clone(),
                client_id: msgraph_sim::DEMO_SIGN_IN_APP.to_string(),
                scopes: vec!["User.Read".to_owned()],
                request_timeout: std::time::Duration::from_secs(15),
                extra_root_pem: None,
            })?),
            provider: Some(Issuer::new(IssuerConfig {
                issuer: microsoft.join("provider")?,
                client_id: "portal".to_owned(),
                client_secret: Some("s/ecret".to_owned().into()),
                scopes: vec!["profile".to_owned()],
                request_timeout: std::time::Duration::from_secs(15),
                extra_root_pem: None,
            })?),
            app: msgraph_sim::DEMO_APP.to_string(),
            sealing_key: Some(sealing_key),
            subjects: tester.subjects(),
        };
        let named = |text: &str, role| (text.to_owned(), role);
        let roles: BTreeMap<String, Role> = [
            named("manager", Role::AccountManager),
            named("admin", Role::AccountAdmin),
            named("operator", Role::Operator),
        ]
        .into();
        let claims = ClaimRules { role: "role".to_owned(), account: "accounts".to_owned(), roles };
        let windows = Windows { usual: tester.timing, longest: time::Duration::minutes(6) };
        let mail = Some(Mailing {
            office: tandem_letters::samples::office(),
            calendar: tandem_domain::reminder::Calendar::new("UTC", 8)?,
        });
        let embed = EmbedSettings {
            key: EMBED_KEY.to_owned().into(),
            origins: vec![Url::parse("https://voice.provider.example")?],
            max_life: time::Duration::minutes(10),
        };
        let settings = PortalSettings {
            listen: listener.local_addr()?,
            base: base.clone(),
            claims,
            windows,
            embed: Some(embed),
            mail,
        };
        let hand = TestClock::at(Clock::system().now());
        let router = tandem_portal::router(&Ctx::quiet(hand.clock(), Ids::random()), parts, &settings);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { tester, first, second, base, hand, _keyring: keyring })
    }

    pub(crate) fn page(&self, path: &str) -> Url {
        self.base.join(path).expect("a path")
    }

    /// Signs somebody in with a new browser.
    pub(crate) async fn sign_in(&self, person: &str) -> Result<Browser> {
        let mut browser = Browser::new();
        let page = self.arrive(&mut browser, person).await?;
        ensure!(page.status.is_success(), "{person}: {} {} {}", page.status, page.url, page.text);
        Ok(browser)
    }

    /// Signs somebody in and shows where that leads.
    pub(crate) async fn arrive(&self, browser: &mut Browser, person: &str) -> Result<Page> {
        let microsoft = matches!(person, "gale" | "connie" | "stray");
        if person == "connie" {
            self.contributor().await?;
        }
        let way = if microsoft { "/sign-in/microsoft" } else { "/sign-in/provider" };
        let sent = browser.once(Method::POST, &self.page(way), &[("next", "/")]).await?;
        let choose = browser.follow(sent).await?;
        let upn = format!("{person}@{}.example", self.first.name);
        browser.send(&choose, &[("person", if microsoft { &upn } else { person })]).await
    }

    /// Somebody of the tenant whom the Global Admin has named.
    async fn contributor(&self) -> Result<()> {
        let name = "connie";
        let upn = format!("{name}@{}.example", self.first.name);
        let user = json!({ "users": [{ "userPrincipalName": upn }] });
        let path = format!("tenants/{}", self.first.tenant);
        self.tester.switch(Method::PUT, &path, Some(&user)).await?;
        let found = self.tester.switch(Method::GET, &format!("{path}/users/{upn}"), None).await?;
        let oid = uuid::Uuid::parse_str(found["id"].as_str().context("an id")?)?;
        sqlx::query(
            "with p as (insert into admin.people (person_id, issuer, subject, tenant_id, oid, name, created_at)
                        values ($1, 'microsoft', ($2::uuid)::text || '/' || ($1::uuid)::text, $2, $1, $3, now()) on conflict do nothing returning person_id)
             insert into admin.memberships (account_id, person_id, role, source, granted_by)
             select $4, person_id, 'sync_contributor', 'named', 'gale' from p",
        )
        .bind(oid)
        .bind(self.first.tenant)
        .bind(name)
        .bind(self.first.id.0)
        .execute(&self.tester.admin)
        .await?;
        Ok(())
    }

    /// An operator enters an account with a reason.
    pub(crate) async fn enter(&self, browser: &mut Browser, account: &Account) -> Result<Page> {
        let path = self.page(&format!("/accounts/{}/enter", account.name));
        let page = browser.go(&path).await?;
        let mark = mark(&page)?;
        let sent = browser.once(Method::POST, &path, &[("mark", &mark), ("reason", "ticket 17")]).await?;
        browser.follow(sent).await
    }

    /// Audit records as `act outcome`, oldest first.
    pub(crate) async fn audited(&self, account: uuid::Uuid) -> Result<Vec<String>> {
        let query = sqlx::query_scalar(
            "select act || ' ' || outcome from admin.audit where account_id = $1 order by number",
        );
        Ok(query.bind(account).fetch_all(&self.tester.admin).await?)
    }
}

/// The mark that forms of a page show.
pub(crate) fn mark(page: &Page) -> Result<String> {
    let (_, rest) = page
        .text
        .split_once("name=\"mark\" value=\"")
        .with_context(|| format!("no form: {} {}", page.status, page.text))?;
    Ok(rest.split('"').next().unwrap_or_default().to_owned())
}

/// The value of the hidden field of this name.
pub(crate) fn hidden(page: &Page, name: &str) -> Result<String> {
    let (_, rest) = page.text.split_once(&format!("name=\"{name}\" value=\"")).context("the field")?;
    Ok(rest.split('"').next().unwrap_or_default().to_owned())
}

impl World {
    /// Puts the i-th user of the first tenant on the list of Microsoft users.
    pub(crate) async fn listed(&self, i: u32, not_eligible: Option<&str>) -> Result<()> {
        sqlx::query(
            "insert into sync.microsoft_users (account_id, microsoft_user, upn, kind, phone_plan, account_enabled, not_eligible, discovery_id)
             values ($1, $2, $3, 'user', 'enabled', true, $4, $2)",
        )
        .bind(self.first.id.0)
        .bind(self.first.oid(i).0)
        .bind(self.first.upn(i))
        .bind(not_eligible)
        .execute(&self.tester.admin)
        .await?;
        Ok(())
    }

    /// The first account has these mappings and as many licences as are said, without anybody having saved it.
    pub(crate) async fn start_with(&self, mapped: &[u32], licences: i32) -> Result<()> {
        let users: Vec<String> = mapped.iter().map(|i| self.first.user(*i).0).collect();
        sqlx::query("delete from admin.mappings where account_id = $1 and pbx_user_id <> all ($2)")
            .bind(self.first.id.0)
            .bind(users)
            .execute(&self.tester.admin)
            .await?;
        sqlx::query("update admin.accounts set licences = $2 where account_id = $1")
            .bind(self.first.id.0)
            .bind(licences)
            .execute(&self.tester.admin)
            .await?;
        Ok(())
    }

    /// Where the mapping of the i-th user of the first account is chosen.
    pub(crate) fn mapping(&self, i: u32) -> Url {
        self.page(&format!("/accounts/{}/users/{}/mapping", self.first.name, self.first.user(i)))
    }

    /// Opens the page of a mapping and saves `to` there: the number of a Microsoft user, or none.
    pub(crate) async fn choose(&self, browser: &mut Browser, i: u32, to: Option<u32>) -> Result<Page> {
        let page = browser.go(&self.mapping(i)).await?;
        self.chosen(browser, &page, to).await
    }

    /// Saves on a page that is open.
    pub(crate) async fn chosen(&self, browser: &mut Browser, page: &Page, to: Option<u32>) -> Result<Page> {
        let (mark, version) = (mark(page)?, hidden(page, "version")?);
        let oid = to.map_or_else(|| "none".to_owned(), |to| self.first.oid(to).to_string());
        let fields =
            [("mark", mark.as_str()), ("version", &version), ("microsoft_user", &oid), ("service", "voice")];
        browser.once(Method::POST, &page.url, &fields).await
    }
}
