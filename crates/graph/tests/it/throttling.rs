//! `Retry-After` is obeyed: the simulator counts who comes early.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::json;
use tandem_graph::{
    AssignNumber, Effect, ErrorClass, GraphError, Ledger, LocalLedger, Offer, Priority, ScopeId, Terms,
};
use tokio::time::Instant;

use crate::lab::{ANA, Lab, OTHER_TENANT, TENANT, graph, write_id};

fn order() -> AssignNumber {
    AssignNumber { number: "+12125550101".to_owned(), target: ANA, location_id: None }
}

#[tokio::test]
async fn reads_and_writes_wait_and_go_on() {
    let lab = Lab::start().await;
    let client = lab.tenant();
    client.organization().await.unwrap();
    let start = Instant::now();
    lab.fault("organization", 1, json!({ "type": "throttle", "retryAfter": "1.2" })).await;
    lab.fault("assignNumber", 1, json!({ "type": "throttle", "retryAfter": "1", "status": 503 })).await;
    let (read, write) =
        tokio::join!(client.organization(), async { client.assign_number(&order(), write_id(1)).await });
    read.unwrap();
    write.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(1_200));
    assert_eq!(lab.seen("assignNumber").await.len(), 2);
    assert_eq!(lab.early_calls().await, 0);
    lab.end().await;
}

/// A crowd runs into a budget smaller than its own: everybody gets through, nobody comes early, and few run into it.
#[tokio::test]
async fn a_crowd_obeys() {
    let lab = Lab::start().await;
    let budget = json!({ "requests": 6, "windowSeconds": 1.0 });
    lab.settings(json!({ "throttling": { "perAppTenant": budget } })).await;
    let mut config = lab.config();
    config.tenant_rate_per_s = 8;
    let client = graph(config).tenant(TENANT);
    let many = (0..20).map(|_| client.organization());
    for outcome in futures_util::future::join_all(many).await {
        outcome.unwrap();
    }
    assert_eq!(lab.early_calls().await, 0);
    assert!(lab.get("stats").await["throttled"].as_u64().unwrap() > 0);
    lab.end().await;
}

#[tokio::test]
async fn impatient_callers_are_told_how_long() {
    let lab = Lab::start().await;
    let client = lab.tenant().with_max_wait(Duration::from_secs(5));
    lab.fault("assignNumber", 1, json!({ "type": "throttle", "retryAfter": "600" })).await;
    let error = client.assign_number(&order(), write_id(1)).await.unwrap_err();
    let ErrorClass::Throttled { retry_after, parked: false } = error.class() else { panic!("{error:?}") };
    assert!(retry_after > Duration::from_secs(590), "{retry_after:?}");
    assert_eq!(error.effect(), Effect::Refused);
    assert!(error.ids().unwrap().request_id.is_some());

    // the same tenant is not asked again, by nobody
    let error = client.organization().await.unwrap_err();
    assert!(matches!(error, GraphError::Throttled { .. }), "{error:?}");
    assert_eq!(error.effect(), Effect::NotSent);
    assert!(lab.seen("organization").await.is_empty());
    lab.end().await;
}

#[tokio::test]
async fn absurd_waits_are_parked() {
    let lab = Lab::start().await;
    let client = lab.tenant();
    lab.fault("organization", 1, json!({ "type": "throttle", "retryAfter": "86400" })).await;
    let error = client.organization().await.unwrap_err();
    let ErrorClass::Throttled { retry_after, parked: true } = error.class() else { panic!("{error:?}") };
    assert!(retry_after <= Duration::from_secs(3_600));
    lab.end().await;
}

#[tokio::test]
async fn other_tenants_go_on_unless_the_whole_app_is_meant() {
    let lab = Lab::start().await;
    let graph = graph(lab.config());
    let throttle = |scope: &str| {
        json!({
            "type": "respond", "status": 429,
            "headers": { "Retry-After": "30", "x-ms-throttle-scope": scope },
        })
    };
    let of = |tenant| graph.tenant(tenant).with_max_wait(Duration::from_secs(1));
    lab.fault("organization", 1, throttle("Tenant_Application/ReadWrite/a/b")).await;
    of(TENANT).organization().await.unwrap_err();
    of(OTHER_TENANT).organization().await.unwrap();
    lab.fault("organization", 1, throttle("Application/ReadWrite/a")).await;
    of(OTHER_TENANT).organization().await.unwrap_err();
    let third = uuid::Uuid::from_u128(9);
    let consents = json!([{ "appId": crate::lab::APP }]);
    lab.put(&format!("tenants/{third}"), json!({ "domains": ["third.example"], "consents": consents })).await;
    let error = of(third).organization().await.unwrap_err();
    assert!(matches!(error, GraphError::Throttled { .. }), "{error:?}");
    lab.end().await;
}

/// What one client is told, another one with the same books obeys before it asks.
#[tokio::test]
async fn i23_clients_with_one_ledger_share_what_they_are_told() {
    let lab = Lab::start().await;
    let books: Arc<LocalLedger> = Arc::default();
    let [one, two] = [0, 1].map(|_| {
        let graph = graph(lab.config());
        graph.share_budgets(books.clone());
        graph.tenant(TENANT).with_max_wait(Duration::from_secs(5))
    });
    two.organization().await.unwrap();
    lab.fault("organization", 1, json!({ "type": "throttle", "retryAfter": "600" })).await;
    one.organization().await.unwrap_err();
    let before = lab.seen("organization").await.len();
    let error = two.user(ANA).await.unwrap_err();
    assert!(matches!(error, GraphError::Throttled { .. }), "{error:?}");
    assert_eq!((lab.seen("organization").await.len(), lab.early_calls().await), (before, 0));
    lab.end().await;
}

/// Microsoft says that a limit is near before it refuses: the rate falls, and nothing is refused.
#[tokio::test]
async fn a_limit_that_is_near_slows_us_down() {
    let lab = Lab::start().await;
    let books: Arc<Eased> = Arc::default();
    let graph = graph(lab.config());
    graph.share_budgets(books.clone());
    let near = |used: &str| {
        json!({ "type": "respond", "status": 200, "when": "after", "body": { "value": [{ "id": TENANT }] },
                "headers": { "x-ms-throttle-limit-percentage": used, "x-ms-resource-unit": "2" } })
    };
    lab.fault("organization", 1, near("0.79")).await;
    graph.tenant(TENANT).organization().await.unwrap();
    assert_eq!(books.1.load(Ordering::SeqCst), 0);
    lab.fault("organization", 2, near("1.2")).await;
    graph.tenant(TENANT).organization().await.unwrap();
    graph.tenant(TENANT).organization().await.unwrap();
    assert_eq!(books.1.load(Ordering::SeqCst), 1, "not with every answer");
    lab.end().await;
}

/// Books that count how often they were told that a limit is near.
#[derive(Debug, Default)]
struct Eased(LocalLedger, AtomicUsize);

impl Ledger for Eased {
    fn buy<'a>(&'a self, scope: &'a ScopeId, terms: Terms, requests: u32) -> BoxFuture<'a, Offer> {
        self.0.buy(scope, terms, requests)
    }

    fn shut<'a>(&'a self, scope: &'a ScopeId, wait: Duration, parked: bool) -> BoxFuture<'a, ()> {
        self.0.shut(scope, wait, parked)
    }

    fn ease<'a>(&'a self, scope: &'a ScopeId) -> BoxFuture<'a, ()> {
        assert_eq!(*scope, ScopeId::Tenant(TENANT));
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.ease(scope)
    }
}

#[tokio::test]
async fn i23_retries_end_with_their_budget() {
    let lab = Lab::start().await;
    let client = lab.tenant();
    lab.fault("organization", 10_000, json!({ "type": "respond", "status": 500 })).await;
    for _ in 0..40 {
        client.organization().await.unwrap_err();
    }
    let sent = lab.seen("organization").await.len();
    // forty first tries, the credit of ten, and a tenth of what was sent
    assert!((50..=55).contains(&sent), "{sent}");
    lab.end().await;
}

#[tokio::test]
async fn the_priority_of_a_request_says_whether_a_person_waits() {
    let lab = Lab::start().await;
    lab.tenant().organization().await.unwrap();
    lab.tenant().with_priority(Priority::Normal).organization().await.unwrap();
    let seen: Vec<_> = lab.seen("organization").await.iter().map(|r| r["priority"].clone()).collect();
    assert_eq!(seen, ["low", "normal"]);
    lab.end().await;
}
