//! `Retry-After` is obeyed: the simulator counts who comes early.

use std::time::Duration;

use serde_json::json;
use tandem_graph::{AssignNumber, Effect, ErrorClass, GraphError};
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

/// A crowd runs into a budget smaller than its own: everybody gets through, nobody comes early.
#[tokio::test]
async fn a_crowd_obeys() {
    let lab = Lab::start().await;
    let budget = json!({ "requests": 6, "windowSeconds": 1.0 });
    lab.settings(json!({ "throttling": { "perAppTenant": budget } })).await;
    let client = lab.tenant();
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
