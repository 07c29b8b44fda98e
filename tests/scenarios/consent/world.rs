//! An account whose tenant is not connected yet, people of that tenant, and the pages.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tandem_consent::{LinkCode, NewLink, Parts};
use tandem_graph::{SignIn, SignInConfig};
use tandem_store::connect::Purpose;
use tandem_store::{Login, Store};
use tandem_tests::{Account, Browser, Page, Tester};
use time::Duration;
use url::Url;
use uuid::Uuid;

/// People of every test tenant, by what they may do.
pub(crate) const ADMIN: &str = "gale";
pub(crate) const SECOND_ADMIN: &str = "gwen";
pub(crate) const READER: &str = "rhea";
pub(crate) const TEAMS_ADMIN: &str = "theo";
pub(crate) const NOBODY: &str = "nora";
pub(crate) const GUEST: &str = "vera_fabrikam.example#EXT#";

pub(crate) struct World {
    pub(crate) tester: Tester,
    pub(crate) account: Account,
    /// As the portal's login: what an operator may do the portal's pages may, too, and no more.
    pub(crate) store: Store,
    pub(crate) base: Url,
    keyring: tandem_testkit::TempDir,
}

impl World {
    /// An account that is not connected, in a world where a worker proves consents.
    pub(crate) async fn start() -> Result<Self> {
        let mut tester = Tester::start().await?;
        let account = tester.account(2).await?;
        sqlx::query("delete from vault.authorizations").execute(&tester.admin).await?;
        tester.revoke_consent(&account).await?;
        people(&tester, account.tenant, &format!("{}.example", account.name)).await?;
        let keyring = tandem_testkit::TempDir::new()?;
        let key = tandem_vault::Keyring::add(&keyring.path().join("keys"), 1)?;
        tandem_vault::Keyring::publish(&keyring.path().join("sealing.pub"), &key)?;
        let store = tester.store(Login::Portal);
        let base = serve(&tester, &store, keyring.path().join("sealing.pub")).await?;
        tester.all_roles().await?;
        Ok(Self { tester, account, store, base, keyring })
    }

    /// The same with one more server of the pages, as another process would be.
    pub(crate) async fn another_server(&self) -> Result<Url> {
        serve(&self.tester, &self.store, self.keyring.path().join("sealing.pub")).await
    }

    /// Where the private keys are.
    pub(crate) fn keyring(&self) -> PathBuf {
        self.keyring.path().join("keys")
    }

    pub(crate) async fn link(&self, purpose: &Purpose, expected: Option<&str>) -> Result<LinkCode> {
        self.link_of(&self.account, purpose, expected, Duration::HOUR).await
    }

    pub(crate) async fn link_of(
        &self,
        account: &Account,
        purpose: &Purpose,
        expected_tenant: Option<&str>,
        life: Duration,
    ) -> Result<LinkCode> {
        let new =
            NewLink { account: account.id, purpose, expected_tenant, made_by: "Operator <b>One</b>", life };
        Ok(tandem_consent::make_link(&self.store, &new).await?)
    }

    pub(crate) fn address(&self, link: &LinkCode) -> Url {
        tandem_consent::address(&self.base, link)
    }

    /// A page of ours.
    pub(crate) fn page(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url
    }

    /// Sign-in name of somebody in the account's tenant.
    pub(crate) fn upn(&self, person: &str) -> String {
        format!("{person}@{}.example", self.account.name)
    }

    /// Opens a link to connect and goes to Microsoft's page.
    pub(crate) async fn at_microsoft(&self, browser: &mut Browser) -> Result<Page> {
        let link = self.link(&Purpose::Connect, None).await?;
        self.to_microsoft(browser, &link).await
    }

    /// Opens this link and goes to Microsoft's page.
    pub(crate) async fn to_microsoft(&self, browser: &mut Browser, link: &LinkCode) -> Result<Page> {
        let start = browser.go(&self.address(link)).await?;
        ensure!(start.status.is_success(), "{} {}", start.status, start.text);
        browser.send(&start, &[]).await
    }

    /// Opens a link to connect, signs in as somebody, and shows what comes of it.
    pub(crate) async fn sign_in(&self, browser: &mut Browser, person: &str) -> Result<Page> {
        let microsoft = self.at_microsoft(browser).await?;
        browser.send(&microsoft, &[("person", person)]).await
    }

    /// The way back that Microsoft sends the browser after the sign-in, not gone yet.
    pub(crate) async fn answer(&self, browser: &mut Browser, person: &str) -> Result<Url> {
        let microsoft = self.at_microsoft(browser).await?;
        let sent = browser.send_once(&microsoft, &[("person", person)]).await?;
        browser.until(sent, "/connect/signed-in").await
    }

    /// The way back that Microsoft sends the browser after the consent, not gone yet.
    pub(crate) async fn consent_answer(&self, browser: &mut Browser) -> Result<Url> {
        let person = self.upn(ADMIN);
        let confirm = self.sign_in(browser, &person).await?;
        let microsoft = browser.send(&confirm, &[]).await?;
        let sent = browser.send_once(&microsoft, &[("person", &person)]).await?;
        browser.until(sent, "/connect/consented").await
    }

    /// Looks at the status page until it says something final.
    pub(crate) async fn outcome(&self, browser: &mut Browser) -> Result<Page> {
        let until = tokio::time::Instant::now() + self.tester.patience;
        loop {
            let page = browser.go(&self.page("/connect/status")).await?;
            if !page.text.contains("http-equiv=\"refresh\"") {
                return Ok(page);
            }
            ensure!(tokio::time::Instant::now() < until, "still waiting: {}", page.text);
            tokio::task::yield_now().await;
        }
    }

    /// Goes all the way and connects the tenant.
    pub(crate) async fn connect(&self, browser: &mut Browser, person: &str) -> Result<Page> {
        let confirm = self.sign_in(browser, person).await?;
        let microsoft = browser.send(&confirm, &[]).await?;
        browser.send(&microsoft, &[("person", person)]).await?;
        self.outcome(browser).await
    }

    /// Nothing has come of it: no authorization, no proof asked for, no request, no change.
    pub(crate) async fn nothing_done(&self) -> Result<()> {
        for table in [
            "select count(*) from vault.authorizations",
            "select count(*) from vault.proofs",
            "select count(*) from vault.job_tokens",
            "select count(*) from admin.requests",
            "select count(*) from change.log",
        ] {
            let rows = self.tester.count(table).await?;
            ensure!(rows == 0, "{rows}: {table}");
        }
        Ok(())
    }
}

async fn serve(tester: &Tester, store: &Store, sealing_key: PathBuf) -> Result<Url> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let base = Url::parse(&format!("http://localhost:{}/", listener.local_addr()?.port()))?;
    let microsoft = Url::parse(tester.sim.base_url())?;
    let ctx = tester.context();
    let router = tandem_consent::router(Parts {
        store: store.clone(),
        clock: ctx.clock.clone(),
        ids: ctx.ids.clone(),
        sign_in: SignIn::new(SignInConfig {
            authority: microsoft.clone(),
            graph: microsoft,
            client_id: msgraph_sim::DEMO_SIGN_IN_APP.to_string(),
            scopes: vec!["User.Read".to_owned()],
            request_timeout: std::time::Duration::from_secs(15),
            extra_root_pem: None,
        })?,
        app: msgraph_sim::DEMO_APP.to_string(),
        sealing_key: Some(sealing_key),
        base: base.clone(),
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(base)
}

/// Puts somebody into a tenant.
pub(crate) async fn person(tester: &Tester, tenant: Uuid, upn: &str, more: Value) -> Result<()> {
    let mut user = json!({ "userPrincipalName": upn, "phonePlan": "none", "knownToTeams": false });
    let fields = more.as_object().context("fields")?;
    for (name, value) in fields {
        user[name] = value.clone();
    }
    let name: String = url::form_urlencoded::byte_serialize(upn.as_bytes()).collect();
    tester.switch(Method::PUT, &format!("tenants/{tenant}/users/{name}"), Some(&user)).await?;
    Ok(())
}

/// Somebody for each kind of role.
pub(crate) async fn people(tester: &Tester, tenant: Uuid, domain: &str) -> Result<()> {
    for (name, role) in [
        (ADMIN, Some("Global Administrator")),
        (SECOND_ADMIN, Some("Global Administrator")),
        (READER, Some("Global Reader")),
        (TEAMS_ADMIN, Some("Teams Administrator")),
        (NOBODY, None),
    ] {
        let roles: Vec<&str> = role.into_iter().collect();
        person(tester, tenant, &format!("{name}@{domain}"), json!({ "roles": roles })).await?;
    }
    let home = "7e4a0000-0000-4000-8000-0000000000ff";
    let guest = json!({ "userType": "Guest", "homeTenant": home, "accountType": "guest", "roles": ["Global Administrator"],
                        "mail": "vera@fabrikam.example" });
    person(tester, tenant, &format!("{GUEST}@{domain}"), guest).await
}
