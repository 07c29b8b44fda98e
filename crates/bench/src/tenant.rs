//! A tenant in the simulator, its account, and a worker for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use msgraph_sim::{Sim, SimConfig, SimHandle};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tandem_domain::{AccountId, PbxUserId, Profile};
use tandem_graph::{AppCredential, Graph, GraphConfig};
use tandem_outbox::Relay;
use tandem_runtime::{Clock, Ctx};
use tandem_store::Login;
use tandem_store::change::{self, ChangeKind, NewChange};
use tandem_teams_sync::TeamsSyncSettings;
use tokio::time::{Instant, sleep};
use url::Url;
use uuid::Uuid;

use crate::servers::Stage;

/// Users told to the simulator in one call.
const AT_ONCE: usize = 2_000;

/// How hard a worker may press on a tenant.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Pressure {
    pub(crate) rate_per_s: u32,
    pub(crate) operations: usize,
}

impl Pressure {
    /// The defaults.
    pub(crate) const PRODUCTION: Self = Self { rate_per_s: 5, operations: 10 };
}

/// Microsoft, as a worker sees it.
pub(crate) fn graph(base: &str, pressure: Pressure) -> Result<Graph> {
    let base = Url::parse(base)?;
    let credential = AppCredential::Secret(SecretString::from("demo-secret"));
    let mut config = GraphConfig::new(base.clone(), base, msgraph_sim::DEMO_APP.to_string(), credential);
    config.tenant_rate_per_s = pressure.rate_per_s;
    config.app_rate_per_s = config.app_rate_per_s.max(pressure.rate_per_s);
    config.tenant_operations_in_flight = pressure.operations;
    Ok(Graph::new(config, Arc::new(|| Clock::system().now()))?)
}

/// A worker with its relay, as `tandem run` starts them.
pub(crate) async fn worker(
    ctx: &Ctx,
    stage: &Stage,
    graph: Graph,
    settings: &TeamsSyncSettings,
) -> Result<()> {
    let store = stage.store(Login::TeamsSync);
    let bus = stage.bus(ctx).await?;
    let bell = Relay::spawn(ctx, store.clone(), bus.clone());
    let parts =
        tandem_teams_sync::Parts { store, bus, subjects: stage.subjects.clone(), bell, graph, vault: None };
    tandem_teams_sync::start(ctx, &parts, settings);
    Ok(())
}

/// The simulator and how to turn it.
pub(crate) struct Microsoft {
    pub(crate) sim: SimHandle,
    http: reqwest::Client,
}

impl Microsoft {
    /// A simulator whose operations take so long.
    pub(crate) async fn start(operation: Duration) -> Result<Self> {
        let sim = Sim::start(SimConfig::default()).await?;
        let it = Self { sim, http: reqwest::Client::new() };
        let settings = json!({ "operationLatencyMs": u64::try_from(operation.as_millis())? });
        it.switch(reqwest::Method::PATCH, "settings", Some(&settings)).await?;
        Ok(it)
    }

    /// One call of the switchboard.
    pub(crate) async fn switch(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value> {
        let mut request = self.http.request(method, format!("{}/_sim/{path}", self.sim.base_url()));
        if let Some(body) = body {
            request = request.json(body);
        }
        let reply = request.send().await?;
        let status = reply.status();
        let text = reply.text().await?;
        ensure!(status.is_success(), "the switchboard answered {status} to {path}: {text}");
        Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? })
    }

    /// Requests by kind since the counters were reset, that is, since this was last asked.
    pub(crate) async fn counted(&self) -> Result<BTreeMap<String, u64>> {
        let stats = self.switch(reqwest::Method::GET, "stats", None).await?;
        self.switch(reqwest::Method::DELETE, "stats", None).await?;
        Ok(serde_json::from_value(stats["byKind"].clone())?)
    }
}

/// An account, its tenant and its users.
pub(crate) struct Customer {
    pub(crate) account: AccountId,
    pub(crate) tenant: Uuid,
    number: u32,
    users: u32,
}

impl Customer {
    /// A customer with a consented tenant of `users` licensed users, all mapped, nobody with a number.
    pub(crate) async fn make(stage: &Stage, microsoft: &Microsoft, number: u32, users: u32) -> Result<Self> {
        let customer = Self {
            account: AccountId(Uuid::from_u128(
                0xacc0_0000_0000_4000_8000_0000_0000_0000 | u128::from(number),
            )),
            tenant: Uuid::from_u128(0x7e0a_0000_0000_4000_8000_0000_0000_0000 | u128::from(number)),
            number,
            users,
        };
        let people: Vec<Value> = (1..=users)
            .map(|user| {
                json!({ "id": customer.oid(user), "userPrincipalName": format!("user{user}@c{number}.example"),
                        "usageLocation": "US", "phonePlan": "Enabled", "knownToTeams": true, "accountEnabled": true })
            })
            .collect();
        let path = format!("tenants/{}", customer.tenant);
        let tenant = json!({
            "displayName": format!("c{number}"), "domains": [format!("c{number}.example")], "country": "US",
            "consents": [{ "appId": msgraph_sim::DEMO_APP }],
        });
        microsoft.switch(reqwest::Method::PUT, &path, Some(&tenant)).await?;
        for some in people.chunks(AT_ONCE) {
            microsoft.switch(reqwest::Method::PUT, &path, Some(&json!({ "users": some }))).await?;
        }
        customer.seed(stage).await?;
        Ok(customer)
    }

    async fn seed(&self, stage: &Stage) -> Result<()> {
        let account = "with fresh as (
                         insert into admin.accounts (account_id, name, label, auto_sync, licences) values ($1, $2, $2, true, $3)
                         returning account_id),
                       counted as (insert into change.generations (account_id) select account_id from fresh)
                       insert into vault.authorizations (account_id, tenant_id, client_id, state, bound_by)
                       select account_id, $4, $5, 'healthy', 'bench' from fresh";
        sqlx::query(account)
            .bind(self.account.0)
            .bind(format!("c{}", self.number))
            .bind(i32::try_from(self.users)?)
            .bind(self.tenant)
            .bind(msgraph_sim::DEMO_APP.to_string())
            .execute(&stage.owner)
            .await?;
        let ids: Vec<String> = (1..=self.users).map(|user| Self::user(user).0).collect();
        let oids: Vec<Uuid> = (1..=self.users).map(|user| self.oid(user)).collect();
        let mappings = "insert into admin.mappings (account_id, pbx_user_id, microsoft_user, service)
                        select $1, u.id, u.oid, 'voice' from unnest($2::text[], $3::uuid[]) as u (id, oid)";
        let mut seeding = stage.owner.acquire().await?;
        // the count of licences is right by construction; checking it for each row takes long where there are many
        sqlx::raw_sql("set session_replication_role = replica").execute(&mut *seeding).await?;
        sqlx::query(mappings).bind(self.account.0).bind(&ids).bind(oids).execute(&mut *seeding).await?;
        sqlx::raw_sql("set session_replication_role = default").execute(&mut *seeding).await?;
        drop(seeding);
        let profiles: Vec<Profile> = (1..=self.users).map(Self::profile).collect();
        let digests: Vec<i64> = profiles.iter().map(Profile::digest).collect();
        let texts: Vec<String> = profiles.iter().map(|profile| json!(profile).to_string()).collect();
        let stored = "insert into pbx.profiles (account_id, pbx_user_id, source, profile, digest)
                      select $1, u.id, 'bench', u.profile::json, u.digest
                        from unnest($2::text[], $3::text[], $4::bigint[]) as u (id, profile, digest)";
        sqlx::query(stored)
            .bind(self.account.0)
            .bind(&ids)
            .bind(texts)
            .bind(digests)
            .execute(&stage.owner)
            .await?;
        Ok(())
    }

    fn user(user: u32) -> PbxUserId {
        PbxUserId(format!("ext-{user:05}"))
    }

    fn oid(&self, user: u32) -> Uuid {
        Uuid::from_u128(
            0x0a00_0000_0000_4000_8000_0000_0000_0000 | (u128::from(self.number) << 32) | u128::from(user),
        )
    }

    /// A user with a number of the range reserved for fiction, widened by an extension.
    fn profile(user: u32) -> Profile {
        Profile {
            display_name: Some(format!("User {user}")),
            did_numbers: vec![format!("+121255501{:02}{:04}", user % 100, user / 100)],
            extension: Some(format!("{}", 10_000 + user)),
            enabled: true,
            ..Profile::default()
        }
    }

    /// Tells that the users from `first` to `last` got their numbers, and makes a job of it at once.
    pub(crate) async fn changed(&self, stage: &Stage, first: u32, last: u32) -> Result<()> {
        let now = Clock::system().now();
        let changes: Vec<NewChange> = (first..=last)
            .map(|user| NewChange {
                account: self.account,
                user: Some(Self::user(user)),
                kind: ChangeKind::Updated,
                fields: vec!["did_numbers"],
                before: Some(Profile::default().pick(&["did_numbers"])),
                after: Some(Self::profile(user).pick(&["did_numbers"])),
                detected_at: now,
                saved_at: None,
            })
            .collect();
        let store = stage.store(Login::Detector);
        let mut tx = store.begin("bench.changed").await?;
        change::record(&mut tx, "bench", &changes).await?;
        tx.commit().await?;
        store.close().await;
        let job = "insert into queue.jobs (job_id, account_id, job_type, scope, state, cause, due_at)
                   values (gen_random_uuid(), $1, 'auto', 'changed', 'queued', 'bench', now())";
        sqlx::query(job).bind(self.account.0).execute(&stage.owner).await?;
        Ok(())
    }

    /// A person asks for a sync of everybody.
    pub(crate) async fn everybody(&self, stage: &Stage) -> Result<()> {
        let job = "insert into queue.jobs (job_id, account_id, job_type, scope, state, cause, due_at)
                   values (gen_random_uuid(), $1, 'manual', 'all', 'queued', 'bench', now())";
        sqlx::query(job).bind(self.account.0).execute(&stage.owner).await?;
        Ok(())
    }

    /// Waits for the end of the account's newest job: state, seconds from claim to end, counts.
    pub(crate) async fn ended(&self, stage: &Stage, within: Duration) -> Result<(String, f64, Value)> {
        let deadline = Instant::now() + within;
        let ended =
            "select state, extract(epoch from finished_at - started_at)::float8, coalesce(counts, 'null')
                       from queue.jobs where account_id = $1 and not exists (
                         select from queue.jobs where account_id = $1 and finished_at is null)
                      order by queued_at desc limit 1";
        loop {
            let found: Option<(String, f64, Value)> =
                sqlx::query_as(ended).bind(self.account.0).fetch_optional(&stage.owner).await?;
            if let Some(found) = found {
                return Ok(found);
            }
            ensure!(Instant::now() < deadline, "the job does not end");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Requests that reading the tenant in pages takes.
    pub(crate) async fn pages(&self, microsoft: &Microsoft, graph: &Graph) -> Result<u64> {
        let client = graph.tenant(self.tenant);
        client.token_info().await?;
        microsoft.counted().await?;
        client.licensed_users().collect().await.context("users")?;
        client.user_configurations().collect().await.context("configurations")?;
        client.number_assignments(&tandem_graph::NumberFilter::All).collect().await.context("numbers")?;
        Ok(microsoft.counted().await?.values().sum())
    }
}
