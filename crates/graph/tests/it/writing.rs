//! Writes: orders for numbers and policies, and what is known after a failure.

use serde_json::json;
use tandem_graph::{AssignNumber, Effect, ErrorClass, OperationStatus, PolicyId};
use uuid::Uuid;

use crate::lab::{ANA, BEN, DAN, Lab, TENANT, ended, write_id};

const NUMBER: &str = "+12125550101;ext=1001";

fn order(target: Uuid) -> AssignNumber {
    AssignNumber { number: NUMBER.to_owned(), target, location_id: None }
}

#[tokio::test]
async fn a_number_goes_on_and_off() {
    let lab = Lab::start().await;
    let client = lab.tenant();
    let _slot = client.operation_slot().await;
    let accepted = client.assign_number(&order(ANA), write_id(1)).await.unwrap();
    assert_eq!(accepted.ids.client_request_id, Some(write_id(1).to_string()));
    assert!(accepted.ids.request_id.is_some() && accepted.ids.date.is_some());
    assert_eq!(ended(&client, &accepted.operation).await.status, OperationStatus::Succeeded);
    let record = client.user_configuration(ANA).await.unwrap().unwrap();
    assert_eq!(record.primary_number(), Some(NUMBER));

    client.update_location(NUMBER, Some("3f2a"), write_id(2)).await.unwrap();
    let number = client.number_assignment_by_number(NUMBER).await.unwrap().unwrap();
    assert_eq!(number.location_id.as_deref(), Some("3f2a"));

    let accepted = client.unassign_number(NUMBER, write_id(3)).await.unwrap();
    assert_eq!(ended(&client, &accepted.operation).await.status, OperationStatus::Succeeded);
    let number = client.number_assignment_by_number(NUMBER).await.unwrap();
    assert!(number.is_none_or(|number| number.is_free()));
    let sent: Vec<_> = lab.seen("assignNumber").await;
    assert_eq!(sent[0]["clientRequestId"], json!(write_id(1)));
    assert_eq!(sent[0]["body"]["assignmentTargetId"], json!(ANA));
    lab.end().await;
}

#[tokio::test]
async fn a_failed_operation_says_why() {
    let lab = Lab::start().await;
    let client = lab.tenant();
    let accepted = client.assign_number(&order(ANA), write_id(1)).await.unwrap();
    ended(&client, &accepted.operation).await;
    let accepted = client.assign_number(&order(BEN), write_id(2)).await.unwrap();
    let operation = ended(&client, &accepted.operation).await;
    assert_eq!(operation.status, OperationStatus::Failed);
    assert!(operation.detail().unwrap().contains("another user"), "{operation:?}");
    lab.end().await;
}

#[tokio::test]
async fn a_policy_goes_on_and_off() {
    let lab = Lab::start().await;
    let client = lab.tenant();
    let kind = "OnlineVoiceRoutingPolicy";
    let policy = client.policy_id(kind, "Provider-US").await.unwrap().unwrap();
    let done = client.assign_policy(ANA, kind, &policy, write_id(1)).await.unwrap();
    assert!(done.ids.request_id.is_some());
    let record = client.user_configuration(ANA).await.unwrap().unwrap();
    assert_eq!(record.policy(kind).and_then(|p| p.policy_id.clone()), Some(policy.0));
    client.unassign_policy(ANA, kind, write_id(2)).await.unwrap();
    let record = client.user_configuration(ANA).await.unwrap().unwrap();
    assert!(record.policy(kind).is_none());

    let unknown = PolicyId("bm8gc3VjaA".to_owned());
    let error = client.assign_policy(ANA, kind, &unknown, write_id(3)).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Refused, "{error:?}");
    lab.end().await;
}

#[tokio::test]
async fn refusals_have_no_effect() {
    let lab = Lab::start().await;
    let client = lab.tenant();
    let error = client.assign_number(&order(DAN), write_id(1)).await.unwrap_err();
    assert_eq!((error.class(), error.effect()), (ErrorClass::BadRequest, Effect::Refused), "{error:?}");
    let stranger = Uuid::from_u128(1);
    let error = client.assign_number(&order(stranger), write_id(2)).await.unwrap_err();
    assert_eq!((error.class(), error.effect()), (ErrorClass::NotFound, Effect::Refused), "{error:?}");
    let bad = AssignNumber { number: "1001".to_owned(), target: ANA, location_id: None };
    let error = client.assign_number(&bad, write_id(3)).await.unwrap_err();
    assert_eq!((error.class(), error.effect()), (ErrorClass::BadRequest, Effect::Refused), "{error:?}");
    assert_eq!(error.ids().unwrap().client_request_id, Some(write_id(3).to_string()));
    lab.end().await;
}

/// The heart of the matter: the order was taken, the answer never came.
#[tokio::test]
async fn a_lost_reply_leaves_the_effect_unknown_and_is_not_repeated() {
    let lab = Lab::start().await;
    let client = lab.tenant();
    for (n, action) in [
        json!({ "type": "drop", "when": "after" }),
        json!({ "type": "drop", "when": "before" }),
        json!({ "type": "respond", "status": 500, "when": "after" }),
        json!({ "type": "respond", "status": 502, "when": "before" }),
        json!({ "type": "respond", "status": 503, "when": "after" }),
        json!({ "type": "respond", "status": 504, "when": "after" }),
        json!({ "type": "html" }),
    ]
    .into_iter()
    .enumerate()
    {
        lab.fault("assignNumber", 1, action.clone()).await;
        let error = client.assign_number(&order(ANA), write_id(1)).await.unwrap_err();
        assert_eq!(error.effect(), Effect::Unknown, "{action}: {error:?}");
        assert_eq!(lab.seen("assignNumber").await.len(), n + 1, "{action} was repeated");
    }
    let record = lab.get(&format!("tenants/{TENANT}/users/{ANA}")).await;
    assert_eq!(record["numbers"][0]["telephoneNumber"], NUMBER);
    lab.end().await;
}

/// What failed in passing without effect is repeated by whoever has it on record, not by the client.
#[tokio::test]
async fn a_refused_write_is_left_to_the_caller() {
    let lab = Lab::start().await;
    let busy = json!({
        "type": "respond", "status": 400,
        "body": { "error": { "code": "BadRequest", "message": "Service is unavailable. Please try again" } },
    });
    lab.fault("assignNumber", 1, busy).await;
    let client = lab.tenant();
    let error = client.assign_number(&order(ANA), write_id(1)).await.unwrap_err();
    assert_eq!((error.class(), error.effect()), (ErrorClass::Transient, Effect::Refused), "{error:?}");
    assert_eq!(lab.seen("assignNumber").await.len(), 1);
    client.assign_number(&order(ANA), write_id(2)).await.unwrap();
    lab.end().await;
}
