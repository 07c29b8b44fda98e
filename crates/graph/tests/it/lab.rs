//! A simulator of one's own for each test, and the client that talks to it.

use std::sync::Arc;
use std::time::Duration;

use msgraph_sim::{Sim, SimConfig, SimHandle};
use serde_json::{Value, json};
use tandem_graph::{
    AppCredential, Graph, GraphConfig, Now, Operation, OperationRef, RetryPolicy, TenantClient,
};
use time::OffsetDateTime;
use url::Url;
use uuid::{Uuid, uuid};

pub(crate) const APP: Uuid = uuid!("c0ffee00-0000-4000-8000-000000000001");
pub(crate) const TENANT: Uuid = uuid!("7e4a0000-0000-4000-8000-00000000aaaa");
pub(crate) const OTHER_TENANT: Uuid = uuid!("7e4a0000-0000-4000-8000-00000000bbbb");
pub(crate) const ANA: Uuid = uuid!("0a0a0a0a-1111-4222-8333-444444444401");
pub(crate) const BEN: Uuid = uuid!("0a0a0a0a-1111-4222-8333-444444444402");
pub(crate) const DAN: Uuid = uuid!("0a0a0a0a-1111-4222-8333-444444444403");
pub(crate) const SECRET: &str = "a-secret-only-tests-know";

pub(crate) struct Lab {
    sim: SimHandle,
    pub(crate) base: Url,
    http: reqwest::Client,
}

impl Lab {
    /// A simulator with two tenants that consented.
    pub(crate) async fn start() -> Self {
        let sim = Sim::start(SimConfig::default()).await.unwrap();
        let base = sim.base_url().parse().unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let lab = Self { sim, base, http };
        lab.app(json!({ "secrets": [SECRET] })).await;
        let user = |id: Uuid, name: &str, plan: &str| json!({ "id": id, "userPrincipalName": format!("{name}@customer.example"), "phonePlan": plan });
        let tenant = json!({
            "displayName": "Customer",
            "domains": ["customer.example"],
            "policies": [
                { "type": "OnlineVoiceRoutingPolicy", "name": "Provider-US" },
                { "type": "TeamsCallingPolicy", "name": "Ana's policy" },
            ],
            "users": [user(ANA, "ana", "Enabled"), user(BEN, "ben", "Enabled"), user(DAN, "dan", "none")],
            "consents": [{ "appId": APP }],
        });
        lab.put(&format!("tenants/{TENANT}"), tenant).await;
        let other = json!({ "domains": ["other.example"], "consents": [{ "appId": APP }] });
        lab.put(&format!("tenants/{OTHER_TENANT}"), other).await;
        lab.settings(json!({ "operationLatencyMs": 0 })).await;
        lab
    }

    pub(crate) async fn app(&self, spec: Value) {
        self.put(&format!("apps/{APP}"), spec).await;
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Value {
        self.turn(reqwest::Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.turn(reqwest::Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        self.turn(reqwest::Method::POST, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Value {
        self.turn(reqwest::Method::DELETE, path, None).await
    }

    pub(crate) async fn settings(&self, patch: Value) {
        self.turn(reqwest::Method::PATCH, "settings", Some(patch)).await;
    }

    /// Something goes wrong with the next requests of a kind.
    pub(crate) async fn fault(&self, kind: &str, times: u64, action: Value) {
        self.post("faults", json!({ "kind": kind, "times": times, "action": action })).await;
    }

    async fn turn(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Value {
        let url = self.base.join(&format!("/_sim/{path}")).unwrap();
        let mut request = self.http.request(method, url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Requests of a kind, as the simulator saw them.
    pub(crate) async fn seen(&self, kind: &str) -> Vec<Value> {
        let log = self.get(&format!("requests?kind={kind}")).await;
        log["requests"].as_array().unwrap().clone()
    }

    pub(crate) async fn early_calls(&self) -> u64 {
        self.get("stats").await["earlyCalls"].as_u64().unwrap()
    }

    pub(crate) fn config(&self) -> GraphConfig {
        let credential = AppCredential::Secret(SECRET.into());
        let mut config = GraphConfig::new(self.base.clone(), self.base.clone(), APP.to_string(), credential);
        config.tenant_rate_per_s = 1_000;
        config.app_rate_per_s = 1_000;
        config.retry =
            RetryPolicy { first: Duration::from_millis(5), longest: Duration::from_millis(20), times: 3 };
        config
    }

    pub(crate) fn tenant(&self) -> TenantClient {
        graph(self.config()).tenant(TENANT)
    }

    pub(crate) async fn end(self) {
        self.sim.shutdown().await;
    }
}

pub(crate) fn graph(config: GraphConfig) -> Graph {
    Graph::new(config, clock()).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the simulator judges assertions by the wall clock")]
pub(crate) fn clock() -> Now {
    Arc::new(OffsetDateTime::now_utc)
}

/// Ids of writes: any will do, as long as they differ.
pub(crate) fn write_id(n: u128) -> Uuid {
    Uuid::from_u128(0x1111_0000 + n)
}

/// Polls an operation until it has ended.
pub(crate) async fn ended(client: &TenantClient, operation: &OperationRef) -> Operation {
    let poll = async {
        loop {
            let state = client.operation(operation).await.unwrap();
            if state.status.is_final() {
                return state;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), poll).await.unwrap()
}
