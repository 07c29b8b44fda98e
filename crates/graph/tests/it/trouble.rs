//! A network and a Microsoft that misbehave.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tandem_graph::{AssignNumber, Effect, ErrorClass, GraphError};
use tokio::net::TcpListener;

use crate::lab::{ANA, Lab, TENANT, graph, write_id};

fn order() -> AssignNumber {
    AssignNumber { number: "+12125550101".to_owned(), target: ANA, location_id: None }
}

#[tokio::test]
async fn reads_survive_passing_trouble() {
    let lab = Lab::start().await;
    for action in [
        json!({ "type": "respond", "status": 500 }),
        json!({ "type": "respond", "status": 502, "body": "<html>Bad Gateway</html>" }),
        json!({ "type": "respond", "status": 504 }),
        json!({ "type": "html" }),
        json!({ "type": "truncate" }),
        json!({ "type": "drop" }),
    ] {
        lab.fault("organization", 3, action.clone()).await;
        // each with a budget of retries of its own
        lab.tenant().organization().await.unwrap_or_else(|error| panic!("{action}: {error:?}"));
    }
    lab.fault("organization", 4, json!({ "type": "respond", "status": 500 })).await;
    let error = lab.tenant().organization().await.unwrap_err();
    assert_eq!((error.class(), error.status()), (ErrorClass::Transient, Some(500)));
    lab.end().await;
}

#[tokio::test]
async fn a_silent_microsoft_is_given_up_on() {
    let lab = Lab::start().await;
    let mut config = lab.config();
    config.request_timeout = Duration::from_millis(1_500);
    let client = graph(config).tenant(TENANT);
    client.organization().await.unwrap();
    lab.fault("assignNumber", 1, json!({ "type": "hang", "when": "after" })).await;
    let error = client.assign_number(&order(), write_id(1)).await.unwrap_err();
    assert!(matches!(error, GraphError::Timeout { .. }), "{error:?}");
    assert_eq!(error.effect(), Effect::Unknown);
    lab.end().await;
}

#[tokio::test]
async fn an_unreachable_microsoft_has_not_been_told_anything() {
    let lab = Lab::start().await;
    // a port that was just free
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut config = lab.config();
    config.graph = nobody.parse().unwrap();
    let client = graph(config).tenant(TENANT);
    let error = client.assign_number(&order(), write_id(1)).await.unwrap_err();
    assert_eq!((error.class(), error.effect()), (ErrorClass::Transient, Effect::NotSent), "{error:?}");
    lab.end().await;
}

#[tokio::test]
async fn a_worker_without_a_lease_starts_nothing() {
    let lab = Lab::start().await;
    let held = Arc::new(AtomicBool::new(true));
    let check = Arc::clone(&held);
    let client = lab.tenant().with_start_check(Arc::new(move || check.load(Ordering::SeqCst)));
    client.organization().await.unwrap();
    // the lease ends while the call waits for its next try
    lab.fault("organization", 9, json!({ "type": "respond", "status": 500 })).await;
    let (outcome, ()) = tokio::join!(client.organization(), async {
        held.store(false, Ordering::SeqCst);
    });
    assert!(matches!(outcome, Err(GraphError::Stopped { .. })), "{outcome:?}");
    let before = lab.seen("assignNumber").await.len();
    let error = client.assign_number(&order(), write_id(1)).await.unwrap_err();
    assert_eq!((error.class(), error.effect()), (ErrorClass::Stopped, Effect::NotSent));
    assert_eq!(lab.seen("assignNumber").await.len(), before);
    lab.end().await;
}

#[tokio::test]
async fn messages_hold_neither_numbers_nor_secrets() {
    let lab = Lab::start().await;
    lab.fault("assignNumber", 1, json!({ "type": "drop", "when": "after" })).await;
    let client = lab.tenant();
    let error = client.assign_number(&order(), write_id(1)).await.unwrap_err();
    lab.fault("numberAssignments.list", 9, json!({ "type": "drop" })).await;
    let read = client.number_assignment_by_number("+12125550101").await.unwrap_err();
    for error in [error, read] {
        let text = format!("{error:?} {error}");
        assert!(!text.contains("2125550101") && !text.contains(crate::lab::SECRET), "{text}");
    }
    lab.end().await;
}
