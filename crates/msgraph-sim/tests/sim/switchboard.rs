use msgraph_sim::{DEMO_APP, World};
use serde_json::json;

use crate::client::{CONFIGURATIONS, Tester};

#[tokio::test]
async fn the_request_log_tells_what_was_asked() {
    let t = Tester::start().await;
    let oid = t.oid("ana@contoso.example").await;
    let before = t.get("/_sim/requests").await.json["last"].as_u64().unwrap();
    t.get("/v1.0/organization").await;
    t.assign("+12125550101", &oid).await;
    let log = t.get(&format!("/_sim/requests?since={before}")).await.json;
    let kinds: Vec<&str> =
        log["requests"].as_array().unwrap().iter().map(|r| r["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["organization", "assignNumber"]);
    let write = &t.get("/_sim/requests?mutating=true").await.json["requests"][0];
    assert_eq!((&write["status"], &write["app"]), (&json!(202), &json!(DEMO_APP)));
    assert_eq!(write["body"]["telephoneNumber"], "+12125550101");
    let stats = t.get("/_sim/stats").await.json;
    assert_eq!((&stats["writes"], &stats["byKind"]["organization"]), (&json!(1), &json!(1)));
    t.delete("/_sim/requests").await;
    assert_eq!(t.get("/_sim/requests").await.json["requests"], json!([]));
}

#[tokio::test]
async fn a_tenant_is_built_from_nothing() {
    let t = Tester::with(World::demo()).await;
    let tid = "11111111-2222-4333-8444-555555555555";
    let spec = json!({
        "displayName": "Fabrikam Example", "domains": ["fabrikam.example"],
        "policies": [{ "type": "TenantDialPlan", "name": "Plan" }],
        "users": [{ "userPrincipalName": "eve@fabrikam.example", "phonePlan": "Enabled",
                    "policies": { "TenantDialPlan": "Plan" } }],
        "numbers": [{ "telephoneNumber": "+442079460001", "assignedTo": "eve@fabrikam.example" }],
        "consents": [{ "appId": DEMO_APP }],
    });
    t.put(&format!("/_sim/tenants/{tid}"), spec).await;
    let eve = t.get(&format!("/_sim/tenants/{tid}/users/eve@fabrikam.example")).await.json;
    assert_eq!(
        (&eve["enterpriseVoice"], &eve["policies"]["TenantDialPlan"]["effective"]),
        (&json!(true), &json!("Plan"))
    );
    assert_eq!(eve["shown"]["telephoneNumbers"][0]["telephoneNumber"], "+442079460001");
    let other = t.token_request(tid, "client_secret=demo-secret").await;
    let mut t = t;
    t.token = other.json["access_token"].as_str().unwrap().to_owned();
    assert_eq!(t.get(CONFIGURATIONS).await.values().len(), 1, "a token opens its own tenant alone");

    let path = format!("/_sim/tenants/{tid}/users/eve@fabrikam.example");
    let none = t.patch(&path, json!({ "policies": { "TenantDialPlan": null } })).await.json;
    assert_eq!(none["shown"]["effectivePolicyAssignments"], json!([]));
    t.delete(&path).await;
    assert_eq!(t.get(&path).await.status, 404);
    let orphan = t.get(&format!("/_sim/tenants/{tid}/numbers/+442079460001")).await.json;
    assert_eq!(orphan["truth"]["assignmentTargetId"], eve["id"], "the number outlives its holder");
}

#[tokio::test]
async fn mistakes_are_refused() {
    let t = Tester::start().await;
    let wrong = t.post("/_sim/faults", json!({ "action": { "type": "explode" } })).await;
    assert_eq!(wrong.status, 422);
    let patch =
        t.request(&axum::http::Method::PATCH, "/_sim/settings", Some(&json!({ "operationLatency": 1 })));
    assert_eq!(t.raw(patch).await.unwrap().status, 400);
    let user = t.request(
        &axum::http::Method::PUT,
        &t.tenant("users/new@contoso.example"),
        Some(&json!({ "nmae": 1 })),
    );
    assert_eq!(t.raw(user).await.unwrap().status, 400);
    assert_eq!(t.get("/_sim/tenants/00000000-0000-4000-8000-000000000001").await.status, 404);
}

#[test]
fn the_documented_world_can_be_read() {
    let doc = include_str!("../../../../docs/simulator.md");
    let (_, rest) = doc.split_once("```json world").expect("a sample world");
    let (sample, _) = rest.split_once("```").expect("its end");
    let world: World = serde_json::from_str(sample).unwrap();
    assert_eq!(world.tenants.len(), 1);
}
