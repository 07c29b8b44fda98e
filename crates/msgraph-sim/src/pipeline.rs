//! The way of a login or Graph request: log, throttle, fault, answer.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State as Shared};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Response, header};
use serde_json::Value;
use uuid::Uuid;

use crate::clock::{self, Now, ms};
use crate::deliver::Delivery;
use crate::faulty::{self, Cut, Given, Plan};
use crate::graph::auth;
use crate::graph::call::Call;
use crate::graph::errors::GraphError;
use crate::graph::odata::Query;
use crate::graph::route::GraphRoute;
use crate::login::tokens::Claims;
use crate::login::{self, Asked, LoginRoute};
use crate::reply::Reply;
use crate::state::State;
use crate::switchboard::faults::Probe;
use crate::switchboard::log::Entry;
use crate::switchboard::throttle::Verdict;
use crate::util::{lock, percent_decode};

/// Largest request body taken.
const LARGEST_BODY: usize = 4 << 20;
const GRAPH_JSON: &str =
    "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8";
const LOGIN_JSON: &str = "application/json; charset=utf-8";

/// Marks a response that stands for a closed connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closed;

/// Whether the listener speaks TLS, for links.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scheme(pub(crate) &'static str);

enum Target {
    Login(LoginRoute),
    Graph(GraphRoute),
    Nothing,
}

impl Target {
    fn parse(parts: &Parts) -> Self {
        let path = parts.uri.path().trim_matches('/');
        let segments: Vec<String> = path.split('/').map(percent_decode).collect();
        match segments.first().map(String::as_str) {
            Some("v1.0") => Self::Graph(GraphRoute::parse(&parts.method, &segments[1..])),
            _ => LoginRoute::parse(&segments).map_or(Self::Nothing, Self::Login),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Login(route) => route.kind(),
            Self::Graph(route) => route.kind(),
            Self::Nothing => "unknown",
        }
    }
}

/// One request with what every step needs.
struct Job {
    state: Arc<State>,
    parts: Parts,
    body: Bytes,
    target: Target,
    claims: Option<Result<Arc<Claims>, GraphError>>,
    request_id: Uuid,
    client_request_id: String,
    base: String,
    host: String,
}

/// The handler of everything outside the switchboard. The work runs in a task of its own, so that it goes on
/// when the client hangs up: a request that was received has its effect.
pub(crate) async fn entry(Shared(state): Shared<Arc<State>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LARGEST_BODY).await else {
        return Reply::empty(413).into_response(LOGIN_JSON, &Delivery::Whole);
    };
    let closing = state.clone();
    let work = tokio::spawn(async move {
        tokio::select! {
            () = closing.closed() => closed(),
            response = run(state, parts, body) => response,
        }
    });
    work.await.unwrap_or_else(|_| Reply::empty(500).into_response(LOGIN_JSON, &Delivery::Whole))
}

fn closed() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(Closed);
    response
}

async fn run(state: Arc<State>, parts: Parts, body: Bytes) -> Response<Body> {
    let now = Now::read();
    let target = Target::parse(&parts);
    let claims = matches!(target, Target::Graph(_)).then(|| auth::claims(&state, &parts.headers));
    let known = claims.as_ref().and_then(|c| c.as_ref().ok());
    let tenant = match &target {
        Target::Login(route) => route.tenant().and_then(|t| state.tenant_named(t)).map(|t| lock(&t).tid),
        _ => known.map(|c| c.tid),
    };
    let limits = state.settings().throttling;
    let verdict = match (known, tenant, &target) {
        (Some(c), ..) => lock(&state.throttle).count(c.appid, c.tid, now.mono, &limits),
        (None, Some(tenant), Target::Login(LoginRoute::Token(_))) => {
            lock(&state.throttle).login(tenant, now.mono, &limits)
        }
        _ => Verdict::default(),
    };
    let app = known.map(|c| c.appid);
    let request_id = state.ids.uuid();
    let client_request_id = text(&parts.headers, "client-request-id");
    let host = text(&parts.headers, "host").unwrap_or_else(|| "localhost".to_owned());
    let scheme = parts.extensions.get::<Scheme>().map_or("http", |s| s.0);
    let address = parts.uri.path_and_query().map_or_else(String::new, |p| p.as_str().to_owned());
    let kind = target.kind();
    let action = lock(&state.faults).take(&Probe {
        method: parts.method.as_str(),
        kind,
        tenant,
        address: &percent_decode(&address),
        body: &body,
    });
    let mutating = matches!(&target, Target::Graph(route) if route.mutating());
    let entry = Entry {
        seq: 0,
        at: clock::seven_digits(now.wall),
        method: parts.method.to_string(),
        path: address,
        kind,
        tenant,
        app,
        user: known.filter(|c| c.delegated()).map(|c| c.oid),
        request_id,
        client_request_id: client_request_id.clone(),
        user_agent: text(&parts.headers, "user-agent"),
        priority: text(&parts.headers, "x-ms-throttle-priority"),
        mutating,
        body: mutating.then(|| serde_json::from_slice(&body).unwrap_or(Value::Null)),
        early: verdict.early,
        fault: action.is_some(),
        status: None,
    };
    tracing::debug!(kind, path = %entry.path, "request");
    let seq = lock(&state.log).begin(entry);
    let latency = state.settings().request_latency_ms.draw(&state.ids);
    if latency > 0 {
        tokio::time::sleep(ms(latency)).await;
    }
    let job = Job {
        parts,
        body,
        target,
        claims,
        request_id,
        client_request_id: client_request_id.unwrap_or_else(|| request_id.to_string()),
        base: format!("{scheme}://{host}"),
        host,
        state: state.clone(),
    };
    let plan = Plan::of(action, kind);
    match (&plan.told_to_wait, app, tenant) {
        (Some((wait, everywhere)), Some(app), Some(tenant)) => {
            lock(&state.throttle).told(app, (!everywhere).then_some(tenant), wait, now);
        }
        (Some((wait, _)), None, Some(tenant)) if kind == "token" => {
            lock(&state.throttle).told_login(tenant, wait, now);
        }
        _ => {}
    }
    job.finish(plan, verdict, seq).await
}

impl Job {
    /// Carries the request out as the fault, if any, has it.
    async fn finish(self, plan: Plan, verdict: Verdict, seq: u64) -> Response<Body> {
        let job = Arc::new(self);
        let state = job.state.clone();
        if plan.effect_delay_ms > 0 && plan.answer_before_effect.is_none() {
            tokio::time::sleep(ms(plan.effect_delay_ms)).await;
        }
        let mut reply = match &plan.instead {
            Some(given) => job.given(given),
            None if plan.cut == Some(Cut::Before) => Reply::empty(0),
            None if plan.hang == Some(Cut::Before) => Reply::empty(0),
            None => match plan.answer_before_effect {
                Some(status) => {
                    let (late, late_plan) = (job.clone(), plan.clone());
                    let closing = state.clone();
                    drop(tokio::spawn(async move {
                        tokio::select! {
                            () = closing.closed() => {}
                            () = tokio::time::sleep(ms(late_plan.effect_delay_ms)) => {
                                late.answer(&late_plan, &Verdict::default());
                            }
                        }
                    }));
                    job.error(&GraphError::standard(status))
                }
                None => job.answer(&plan, &verdict),
            },
        };
        if let Some(given) = &plan.after {
            reply = job.given(given);
        }
        if plan.reply_delay_ms > 0 {
            tokio::time::sleep(ms(plan.reply_delay_ms)).await;
        }
        if plan.hang.is_some() {
            state.closed().await;
        }
        if plan.cut.is_some() || plan.hang.is_some() {
            return closed();
        }
        for (name, value) in &plan.headers {
            reply = reply.with(name, value.clone());
        }
        faulty::spoil_links(&mut reply, &plan, &job.base, &job.parts.uri.to_string());
        lock(&state.log).end(seq, reply.status);
        let graph = !matches!(job.target, Target::Login(_));
        reply = reply
            .with("request-id", job.request_id.to_string())
            .with("client-request-id", job.client_request_id.clone());
        if graph {
            reply = reply.with("OData-Version", "4.0").with(
                "x-ms-ags-diagnostic",
                "{\"ServerInfo\":{\"DataCenter\":\"Simulated\",\"Slice\":\"E\",\"Ring\":\"1\",\"ScaleUnit\":\"000\",\"RoleInstance\":\"SIM\"}}",
            );
        } else {
            reply = reply.with("x-ms-request-id", job.request_id.to_string());
        }
        reply.into_response(if graph { GRAPH_JSON } else { LOGIN_JSON }, &plan.delivery)
    }

    fn given(&self, given: &Given) -> Reply {
        match given {
            Given::Reply(reply) => reply.clone(),
            Given::Error(error) => self.error(error),
        }
    }

    fn error(&self, error: &GraphError) -> Reply {
        error.reply(Now::read(), self.request_id, &self.client_request_id)
    }

    /// The undisturbed answer, with its effect.
    fn answer(&self, plan: &Plan, verdict: &Verdict) -> Reply {
        let now = Now::read();
        match &self.target {
            Target::Nothing => self.error(&GraphError::no_segment(self.parts.uri.path())),
            Target::Graph(route) => match self.graph(route, plan, verdict, now) {
                Ok(reply) => reply,
                Err(error) => self.error(&error),
            },
            Target::Login(route) => {
                let correlation = Uuid::try_parse(&self.client_request_id).unwrap_or(self.request_id);
                let uri = &self.parts.uri;
                let asked = Asked {
                    post: self.parts.method == Method::POST,
                    path: uri.path(),
                    address: uri.path_and_query().map_or("", |p| p.as_str()),
                    query: uri.query().unwrap_or_default(),
                    base: &self.base,
                    host: &self.host,
                    body: &self.body,
                    trace: self.request_id,
                    correlation,
                    change: &plan.login,
                };
                login::answer(&self.state, &asked, route, now)
                    .unwrap_or_else(|error| error.reply(now, self.request_id, correlation, &self.base))
            }
        }
    }

    fn graph(
        &self,
        route: &GraphRoute,
        plan: &Plan,
        verdict: &Verdict,
        now: Now,
    ) -> Result<Reply, GraphError> {
        let claims = match &self.claims {
            Some(Ok(claims)) => claims,
            Some(Err(error)) => return Err(error.clone()),
            None => return Err(GraphError::standard(401)),
        };
        if let Some(refusal) = &verdict.refusal {
            let mut error = GraphError::standard(429);
            error.headers = vec![
                ("Retry-After", refusal.retry_after_seconds.to_string()),
                ("x-ms-throttle-scope", refusal.scope.clone()),
                ("x-ms-throttle-information", "ResourceUnitLimitExceeded".to_owned()),
            ];
            return Err(error);
        }
        let tenant = self
            .state
            .tenant(claims.tid)
            .ok_or_else(|| GraphError::unauthenticated("The tenant of the token is not known."))?;
        let query = Query::parse(self.parts.uri.query().unwrap_or_default())?;
        let settings = self.state.settings();
        let call = Call {
            route,
            path: self.parts.uri.path(),
            base: &self.base,
            query: &query,
            headers: &self.parts.headers,
            claims,
            body: &self.body,
            now,
            settings: &settings,
            ids: &self.state.ids,
            operation: &plan.operation,
        };
        let mut tenant = lock(&tenant);
        tenant.advance(now, &settings);
        auth::authorize(claims, route, &tenant, &settings, now)?;
        let mut reply = crate::graph::answer(&call, &mut tenant)?;
        tenant.advance(now, &settings);
        if !route.teams() {
            let mut units = route.resource_units();
            units = units.saturating_sub(u32::from(query.select.is_some()));
            units = units.saturating_sub(u32::from(query.top.is_some_and(|t| t < 20)));
            units += u32::from(!query.expand.is_empty());
            reply = reply.with("x-ms-resource-unit", units.max(1).to_string());
        }
        if verdict.used >= 0.8 {
            reply = reply.with("x-ms-throttle-limit-percentage", format!("{:.2}", verdict.used.min(1.8)));
        }
        Ok(reply)
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let name = header::HeaderName::try_from(name).ok()?;
    headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned)
}
