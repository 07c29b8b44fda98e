//! Reads: shapes, pages, absence.

use std::collections::HashSet;

use futures_util::StreamExt;
use serde_json::json;
use tandem_graph::{
    AssignmentCategory, ErrorClass, GraphError, NumberFilter, NumberType, PHONE_SYSTEM_PLAN, Priority,
    Unusable,
};
use uuid::Uuid;

use crate::lab::{ANA, BEN, DAN, Lab, TENANT};

const NUMBER: &str = "+12125550101;ext=1001";

async fn give(lab: &Lab, number: &str, user: Uuid) {
    let path = format!("tenants/{TENANT}/numbers/{number}");
    lab.put(&path, json!({ "assignedTo": user.to_string() })).await;
}

#[tokio::test]
async fn licensed_users_only() {
    let lab = Lab::start().await;
    let users = lab.tenant().licensed_users().collect().await.unwrap();
    let ids: HashSet<_> = users.iter().map(|user| user.id).collect();
    assert_eq!(ids, HashSet::from([ANA, BEN]));
    assert!(users.iter().all(|user| user.has_plan(PHONE_SYSTEM_PLAN)));
    let dan = lab.tenant().user(DAN).await.unwrap().unwrap();
    assert_eq!(
        (dan.user_principal_name.as_str(), dan.has_plan(PHONE_SYSTEM_PLAN)),
        ("dan@customer.example", false)
    );
    assert!(lab.tenant().user(Uuid::from_u128(1)).await.unwrap().is_none());
    lab.end().await;
}

#[tokio::test]
async fn pages_are_followed_to_the_end() {
    let lab = Lab::start().await;
    let bulk = json!({ "count": 2500, "baseNumber": "+12125550100" });
    lab.post(&format!("tenants/{TENANT}/users/bulk"), bulk).await;
    let client = lab.tenant().with_correlation(Uuid::from_u128(5)).with_priority(Priority::Normal);
    lab.fault("users.list", 1, json!({ "type": "nextLink", "mode": "empty" })).await;
    let mut users = client.licensed_users();
    let mut ids = HashSet::new();
    let mut pages = 0;
    while let Some(page) = users.next().await.unwrap() {
        pages += 1;
        ids.extend(page.into_iter().map(|user| user.id));
    }
    assert_eq!((ids.len(), users.count()), (2_502, Some(2_502)));
    assert!(pages > 3, "{pages} pages: the empty one was left out");
    for request in lab.seen("users.list").await {
        assert_eq!(request["priority"], "normal");
        assert_eq!(request["clientRequestId"], json!(Uuid::from_u128(5)));
    }

    let configurations = client.user_configurations().collect().await.unwrap();
    assert_eq!(configurations.len(), 2_503);
    let numbers: Vec<_> =
        client.number_assignments(&NumberFilter::DirectRouting).into_stream().collect().await;
    assert_eq!(numbers.into_iter().map(|page| page.unwrap().len()).sum::<usize>(), 2_500);
    lab.end().await;
}

#[tokio::test]
async fn a_user_as_teams_sees_it() {
    let lab = Lab::start().await;
    give(&lab, NUMBER, ANA).await;
    let user = json!({ "policies": { "OnlineVoiceRoutingPolicy": "Provider-US" } });
    lab.put(&format!("tenants/{TENANT}/users/{ANA}"), user).await;
    let record = lab.tenant().user_configuration(ANA).await.unwrap().unwrap();
    assert_eq!(record.primary_number(), Some(NUMBER));
    assert_eq!(record.telephone_numbers[0].assignment_category, Some(AssignmentCategory::Primary));
    assert_eq!(record.is_enterprise_voice_enabled, Some(true));
    let policy = record.policy("onlinevoiceroutingpolicy").unwrap();
    assert_eq!(policy.display_name.as_deref(), Some("Provider-US"));
    assert!(lab.tenant().user_configuration(Uuid::from_u128(1)).await.unwrap().is_none());
    lab.end().await;
}

#[tokio::test]
async fn a_number_and_its_holder() {
    let lab = Lab::start().await;
    give(&lab, NUMBER, ANA).await;
    give(&lab, "+12125550101;ext=1002", BEN).await;
    let client = lab.tenant();
    let number = client.number_assignment_by_number(NUMBER).await.unwrap().unwrap();
    assert_eq!((number.holder(), number.number_type.clone()), (Some(ANA), Some(NumberType::DirectRouting)));
    assert!(!number.is_free());
    assert!(client.number_assignment_by_number("+12125550101").await.unwrap().is_none());
    let held = client.number_assignments(&NumberFilter::HeldBy(BEN)).collect().await.unwrap();
    assert_eq!(held.len(), 1);
    assert_eq!(client.number_assignments(&NumberFilter::All).collect().await.unwrap().len(), 2);
    lab.end().await;
}

#[tokio::test]
async fn policies_by_name() {
    let lab = Lab::start().await;
    let client = lab.tenant();
    for unknown in ["empty", "notFound"] {
        lab.settings(json!({ "unknownPolicy": unknown })).await;
        let id = client.policy_id("OnlineVoiceRoutingPolicy", "Nobody's").await.unwrap();
        assert_eq!(id, None, "{unknown}");
    }
    assert!(client.policy_id("OnlineVoiceRoutingPolicy", "Provider-US").await.unwrap().is_some());
    assert!(client.policy_id("TeamsCallingPolicy", "Ana's policy").await.unwrap().is_some());
    lab.end().await;
}

#[tokio::test]
async fn links_are_not_followed_blindly() {
    let lab = Lab::start().await;
    lab.post(&format!("tenants/{TENANT}/users/bulk"), json!({ "count": 1500 })).await;
    for (mode, wanted) in [("loop", "circle"), ("foreign", "away")] {
        lab.fault("users.list", 99, json!({ "type": "nextLink", "mode": mode, "host": "evil.example" }))
            .await;
        let error = lab.tenant().licensed_users().collect().await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Protocol, "{error:?}");
        let GraphError::Unusable { source, .. } = error else { panic!("{error:?}") };
        assert!(matches!(source, Unusable::Circle | Unusable::ForeignLink));
        assert!(source.to_string().contains(wanted), "{source}");
        lab.delete("faults").await;
    }
    lab.end().await;
}
