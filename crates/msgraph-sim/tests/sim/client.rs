//! A plain HTTP client with the few verbs that the tests need.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use msgraph_sim::{DEMO_APP, DEMO_TENANT, Sim, SimConfig, SimHandle, World};
use serde_json::{Value, json};
use tokio::net::TcpStream;

pub(crate) const NUMBERS: &str = "/v1.0/admin/teams/telephoneNumberManagement";
pub(crate) const CONFIGURATIONS: &str = "/v1.0/admin/teams/userConfigurations";
pub(crate) const POLICY: &str = "/v1.0/admin/teams/policy";
pub(crate) const LICENSED: &str = "$filter=assignedPlans/any(p:p/servicePlanId%20eq%204828c8ec-dc2e-4779-b502-87ac9ce28ab7%20and%20p/capabilityStatus%20eq%20'Enabled')&$count=true";

/// A reply with its content read.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) json: Value,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|v| v.to_str().unwrap()).unwrap_or_default()
    }

    pub(crate) fn code(&self) -> &str {
        self.json["error"]["code"].as_str().unwrap_or_default()
    }

    pub(crate) fn values(&self) -> &Vec<Value> {
        self.json["value"].as_array().unwrap()
    }
}

/// A running simulator with a token for the demo tenant.
pub(crate) struct Tester {
    pub(crate) sim: SimHandle,
    pub(crate) token: String,
}

impl Tester {
    pub(crate) async fn start() -> Self {
        Self::with(World::demo()).await
    }

    pub(crate) async fn with(world: World) -> Self {
        let config = SimConfig { world: Some(world), seed: Some(1), ..SimConfig::default() };
        let sim = Sim::start(config).await.unwrap();
        let mut tester = Self { sim, token: String::new() };
        tester.patch("/_sim/settings", json!({ "operationLatencyMs": 0 })).await;
        tester.token = tester.sign_in().await;
        tester
    }

    /// A fresh token by secret.
    pub(crate) async fn sign_in(&self) -> String {
        let reply = self.token_request(&DEMO_TENANT.to_string(), "client_secret=demo-secret").await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.json["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn token_request(&self, tenant: &str, proof: &str) -> Reply {
        let form = format!(
            "grant_type=client_credentials&client_id={DEMO_APP}&scope=https%3A%2F%2Fgraph.microsoft.com%2F.default&{proof}"
        );
        self.form(tenant, form).await
    }

    pub(crate) async fn form(&self, tenant: &str, form: String) -> Reply {
        let request = Request::post(format!("/{tenant}/oauth2/v2.0/token"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form));
        send(self.sim.address(), request.unwrap()).await.unwrap()
    }

    /// Sends a form, as a button of a page does.
    pub(crate) async fn post_form(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::post(path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form));
        send(self.sim.address(), request.unwrap()).await.unwrap()
    }

    pub(crate) fn request(&self, method: &Method, path: &str, body: Option<&Value>) -> Request<Body> {
        let mut request = Request::builder().method(method).uri(path.replace(' ', "%20"));
        if path.starts_with("/v1.0") {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        match body {
            None => request.body(Body::empty()).unwrap(),
            Some(body) => {
                let request = request.header("content-type", "application/json");
                request.body(Body::from(body.to_string())).unwrap()
            }
        }
    }

    pub(crate) async fn raw(&self, request: Request<Body>) -> Option<Reply> {
        send(self.sim.address(), request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.raw(self.request(&Method::GET, path, None)).await.unwrap()
    }

    /// A read that asks for the advanced query engine.
    pub(crate) async fn get_eventual(&self, path: &str) -> Reply {
        let mut request = self.request(&Method::GET, path, None);
        request.headers_mut().insert("ConsistencyLevel", "eventual".parse().unwrap());
        self.raw(request).await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.raw(self.request(&Method::POST, path, Some(&body))).await.unwrap()
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Reply {
        let reply = self.raw(self.request(&Method::PUT, path, Some(&body))).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Reply {
        let reply = self.raw(self.request(&Method::PATCH, path, Some(&body))).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.raw(self.request(&Method::DELETE, path, None)).await.unwrap()
    }

    pub(crate) async fn fault(&self, fault: Value) {
        let reply = self.post("/_sim/faults", fault).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    }

    /// Path and query of an absolute link of this simulator.
    pub(crate) fn local(&self, link: &str) -> String {
        link.strip_prefix(self.sim.base_url()).expect("a link to this simulator").to_owned()
    }

    /// Address of something in the demo tenant's switchboard.
    pub(crate) fn tenant(&self, rest: &str) -> String {
        format!("/_sim/tenants/{DEMO_TENANT}/{rest}")
    }

    pub(crate) async fn user(&self, upn: &str) -> Value {
        self.get(&self.tenant(&format!("users/{upn}"))).await.json
    }

    pub(crate) async fn oid(&self, upn: &str) -> String {
        self.user(upn).await["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn assign(&self, number: &str, oid: &str) -> Reply {
        let body =
            json!({ "telephoneNumber": number, "assignmentTargetId": oid, "numberType": "directRouting" });
        self.post(&format!("{NUMBERS}/numberAssignments/assignNumber"), body).await
    }

    /// Assigns and gives what the operation says.
    pub(crate) async fn assigned(&self, number: &str, oid: &str) -> Value {
        let reply = self.assign(number, oid).await;
        assert_eq!(reply.status, 202, "{}", reply.text);
        self.get(&self.local(reply.header("location"))).await.json
    }

    /// Polls until a look gives something.
    pub(crate) async fn until<T>(&self, mut look: impl AsyncFnMut(&Self) -> Option<T>) -> T {
        let polling = async {
            loop {
                if let Some(found) = look(self).await {
                    return found;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), polling).await.expect("what was waited for")
    }
}

/// One request on its own connection; `None` if the connection ended without a reply.
async fn send(address: SocketAddr, mut request: Request<Body>) -> Option<Reply> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let task = tokio::spawn(connection);
    request.headers_mut().insert("host", address.to_string().parse().unwrap());
    let response = sender.send_request(request).await;
    let reply = match response {
        Err(_) => None,
        Ok(response) => {
            let (parts, body) = response.into_parts();
            let bytes = to_bytes(Body::new(body), 64 << 20).await.unwrap();
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let json = serde_json::from_str(&text).unwrap_or(Value::Null);
            Some(Reply { status: parts.status, headers: parts.headers, text, json })
        }
    };
    task.abort();
    reply
}
