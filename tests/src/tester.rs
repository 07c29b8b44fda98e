//! The servers of one test and the verbs to drive them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use msgraph_sim::{Sim, SimConfig, SimHandle};
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::PgPool;
use tandem_bus::{Auth, Bus, BusConfig};
use tandem_domain::window::Timing;
use tandem_graph::{AppCredential, Graph, GraphConfig};
use tandem_runtime::{Clock, Ctx, Ids};
use tandem_store::{DbConfig, Login, Store};
use tandem_testkit::{Nats, Pg};
use tandem_vault::Keyring;
use tandem_wire::{Subjects, settings};
use url::Url;

use crate::roles::Role;

/// Password of every login in tests.
pub const PASSWORD: &str = "loopback-only";

/// A provider of telephony in a test.
pub struct Tester {
    /// PostgreSQL.
    pub pg: Pg,
    /// The broker.
    pub nats: Nats,
    /// Microsoft.
    pub sim: SimHandle,
    /// The database as its owner, for looking behind the curtain.
    pub admin: PgPool,
    /// The sealing keys, with one key in it.
    pub keyring: tempfile::TempDir,
    /// Talks to the simulator's switchboard.
    pub http: reqwest::Client,
    /// Windows of accounts.
    pub timing: Timing,
    /// How often debouncers look for changes whose announcement never came.
    pub sweep: Duration,
    /// Requests per second: a tenant, all tenants.
    pub rates: (u32, u32),
    /// Longest time of one request to Microsoft.
    pub request_timeout: Duration,
    /// How long [`Tester::at_rest`] waits.
    pub patience: Duration,
    pub(crate) roles: Vec<Role>,
    pub(crate) accounts: u32,
}

impl Tester {
    /// Starts private servers and an empty, migrated database.
    ///
    /// # Errors
    /// When a server cannot be started.
    pub async fn start() -> Result<Self> {
        let key = format!("tester-{}", migrations_digest());
        let pg = Pg::start_prepared(&key, async |pg: &Pg| migrate(pg).await).await?;
        let nats = Nats::start().await?;
        let sim = Sim::start(SimConfig::default()).await?;
        let admin = PgPool::connect(&pg.url).await?;
        let keyring = tempfile::tempdir()?;
        Keyring::add(keyring.path(), Clock::system().now().unix_timestamp())?;
        let tester = Self {
            pg,
            nats,
            sim,
            admin,
            keyring,
            http: reqwest::Client::new(),
            sweep: Duration::from_secs(1),
            timing: Timing {
                quiet: time::Duration::milliseconds(300),
                max_wait: time::Duration::milliseconds(1500),
            },
            rates: (500, 2000),
            request_timeout: Duration::from_secs(20),
            patience: Duration::from_secs(60),
            roles: Vec::new(),
            accounts: 0,
        };
        tester.settings(&json!({ "operationLatencyMs": 150 })).await?;
        Ok(tester)
    }

    /// Turns settings of the simulator.
    ///
    /// # Errors
    /// When the simulator refuses them.
    pub async fn settings(&self, settings: &Value) -> Result<()> {
        self.switch(reqwest::Method::PATCH, "settings", Some(settings)).await.map(|_| ())
    }

    /// Switches a fault on; see `docs/simulator.md`.
    ///
    /// # Errors
    /// When the simulator refuses it.
    pub async fn fault(&self, fault: &Value) -> Result<()> {
        self.switch(reqwest::Method::POST, "faults", Some(fault)).await.map(|_| ())
    }

    /// Switches all faults off.
    ///
    /// # Errors
    /// When the simulator does not answer.
    pub async fn no_faults(&self) -> Result<()> {
        self.switch(reqwest::Method::DELETE, "faults", None).await.map(|_| ())
    }

    /// Requests that the simulator has logged, of the given kind.
    ///
    /// # Errors
    /// When the simulator does not answer.
    pub async fn requests(&self, kind: &str) -> Result<Vec<Value>> {
        let log = self.switch(reqwest::Method::GET, "requests?limit=100000", None).await?;
        let entries =
            log["requests"].as_array().or_else(|| log.as_array()).context("the request log is no list")?;
        Ok(entries.iter().filter(|r| r["kind"] == kind).cloned().collect())
    }

    /// One call of the switchboard.
    ///
    /// # Errors
    /// When it answers anything but success.
    pub async fn switch(&self, method: reqwest::Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let mut request = self.http.request(method, format!("{}/_sim/{path}", self.sim.base_url()));
        if let Some(body) = body {
            request = request.json(body);
        }
        let reply = request.send().await?;
        let status = reply.status();
        let text = reply.text().await?;
        ensure!(status.is_success(), "switchboard answered {status} to {path}: {text}");
        Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? })
    }

    /// The database as one login.
    #[must_use]
    pub fn store(&self, login: Login) -> Store {
        Store::connect(&self.database(), login, &SecretString::from(PASSWORD))
    }

    fn database(&self) -> DbConfig {
        DbConfig { max_connections: 6, ..DbConfig::local(self.pg.server.port(), &self.pg.database) }
    }

    /// A context as a process of its own would have one.
    #[must_use]
    pub fn context(&self) -> Ctx {
        Ctx::quiet(Clock::system(), Ids::random())
    }

    /// Names of subjects and streams.
    ///
    /// # Panics
    /// Never: the prefix is empty.
    #[must_use]
    pub fn subjects(&self) -> Subjects {
        Subjects::new("").expect("an empty prefix is valid")
    }

    /// The broker as a role sees it.
    ///
    /// # Errors
    /// When the broker is too old.
    pub async fn bus(&self, ctx: &Ctx) -> Result<Bus> {
        Ok(Bus::connect(ctx, self.bus_config()?, settings::all_streams(&self.subjects(), 1)).await?)
    }

    pub(crate) fn bus_config(&self) -> Result<BusConfig> {
        let url = Url::parse(&self.nats.url()?)?;
        let mut config = BusConfig::new(format!("nats://127.0.0.1:{}", self.nats.server.port()));
        config.auth = Auth::UserPassword {
            user: url.username().to_owned(),
            password: SecretString::from(url.password().unwrap_or_default()),
        };
        Ok(config)
    }

    /// Microsoft as a role sees it.
    ///
    /// # Errors
    /// When the configuration is refused.
    pub fn graph(&self) -> Result<Graph> {
        let base = Url::parse(self.sim.base_url())?;
        let credential = AppCredential::Secret(SecretString::from("demo-secret"));
        let mut config = GraphConfig::new(base.clone(), base, msgraph_sim::DEMO_APP.to_string(), credential);
        (config.tenant_rate_per_s, config.app_rate_per_s) = self.rates;
        config.request_timeout = self.request_timeout;
        config.tenant_operations_in_flight = 20;
        config.max_wait = Duration::from_secs(10);
        config.retry.first = Duration::from_millis(200);
        config.retry.longest = Duration::from_secs(2);
        Ok(Graph::new(config, Arc::new(|| Clock::system().now()))?)
    }
}

async fn migrate(pg: &Pg) -> Result<()> {
    let url = Url::parse(&pg.url)?;
    let owner = DbConfig::local(pg.server.port(), &pg.database);
    let passwords: BTreeMap<&'static str, SecretString> =
        Login::ALL.into_iter().map(|login| (login.name(), SecretString::from(PASSWORD))).collect();
    let password = SecretString::from(url.password().unwrap_or_default());
    tandem_store::migrate(&owner, url.username(), &password, &passwords).await?;
    Ok(())
}

/// Changes whenever a migration does.
fn migrations_digest() -> String {
    tandem_store::migrations_digest()
}
