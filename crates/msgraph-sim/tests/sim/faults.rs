use axum::http::Method;
use serde_json::json;

use crate::client::{NUMBERS, Tester};

const NUMBER: &str = "+12125550101";

async fn number_of_ana(t: &Tester) -> String {
    t.user("ana@contoso.example").await["numbers"][0]["telephoneNumber"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test]
async fn errors_before_and_after_the_effect() {
    let t = Tester::start().await;
    let oid = t.oid("ana@contoso.example").await;
    t.fault(json!({ "kind": "assignNumber", "times": 1, "action": { "type": "respond", "status": 503 } }))
        .await;
    let refused = t.assign(NUMBER, &oid).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (503, "ServiceUnavailable"));
    assert_eq!(number_of_ana(&t).await, "");
    t.fault(json!({ "number": NUMBER, "times": 1, "action": { "type": "respond", "status": 504, "when": "after" } }))
        .await;
    assert_eq!(t.assign(NUMBER, &oid).await.status, 504);
    assert_eq!(number_of_ana(&t).await, NUMBER);
    assert_eq!(t.assign(NUMBER, &oid).await.status, 202, "both faults are used up");
}

#[tokio::test]
async fn lost_requests_and_lost_replies() {
    let t = Tester::start().await;
    let oid = t.oid("ana@contoso.example").await;
    let body = json!({ "telephoneNumber": NUMBER, "assignmentTargetId": oid, "numberType": "directRouting" });
    let path = format!("{NUMBERS}/numberAssignments/assignNumber");
    let lost = async || t.raw(t.request(&Method::POST, &path, Some(&body))).await.is_none();
    t.fault(json!({ "user": oid, "times": 1, "action": { "type": "drop" } })).await;
    assert!(lost().await);
    assert_eq!(number_of_ana(&t).await, "");
    t.fault(json!({ "user": oid, "times": 1, "action": { "type": "drop", "when": "after" } })).await;
    assert!(lost().await);
    assert_eq!(number_of_ana(&t).await, NUMBER);
}

#[tokio::test]
async fn an_effect_comes_late_though_the_client_has_gone() {
    let t = Tester::start().await;
    let oid = t.oid("ana@contoso.example").await;
    t.fault(json!({ "kind": "assignNumber", "times": 1, "action": { "type": "delayEffect", "ms": 150 } }))
        .await;
    let arrived = async |t: &Tester| {
        let log = t.get("/_sim/requests?kind=assignNumber").await.json;
        (log["requests"].as_array().unwrap().len() == 1).then_some(())
    };
    tokio::select! {
        _ = t.assign(NUMBER, &oid) => panic!("the reply came before the effect"),
        () = t.until(arrived) => {}
    }
    assert_eq!(number_of_ana(&t).await, "");
    t.until(async |t| (number_of_ana(t).await == NUMBER).then_some(())).await;

    // an answer at once, and the effect behind it
    let fault = json!({ "kind": "unassignNumber", "action": { "type": "delayEffect", "ms": 100, "answerStatus": 504 } });
    t.fault(fault).await;
    let body = json!({ "telephoneNumber": NUMBER, "numberType": "directRouting" });
    assert_eq!(t.post(&format!("{NUMBERS}/numberAssignments/unassignNumber"), body).await.status, 504);
    assert_eq!(number_of_ana(&t).await, NUMBER);
    t.until(async |t| number_of_ana(t).await.is_empty().then_some(())).await;
}

#[tokio::test]
async fn operations_take_another_course() {
    let t = Tester::start().await;
    let oid = t.oid("ana@contoso.example").await;
    t.fault(json!({ "kind": "assignNumber", "times": 1, "action": { "type": "operation", "stuck": true } }))
        .await;
    let stuck = t.assigned(NUMBER, &oid).await;
    assert_eq!(stuck["status"], "running");
    let finish = t.tenant(&format!("operations/{}/finish", stuck["id"].as_str().unwrap()));
    assert_eq!(t.post(&finish, json!({ "status": "failed", "detail": "no" })).await.json["status"], "failed");
    let odd =
        json!({ "kind": "assignNumber", "times": 1, "action": { "type": "operation", "status": "skipped" } });
    t.fault(odd).await;
    assert_eq!(t.assigned(NUMBER, &oid).await["status"], "skipped");
    let fail =
        json!({ "kind": "assignNumber", "times": 1, "action": { "type": "operation", "detail": "busy" } });
    t.fault(fail).await;
    assert_eq!(t.assigned(NUMBER, &oid).await["numbers"][0]["statusDetail"], "busy");
    assert_eq!(number_of_ana(&t).await, "");
}

#[tokio::test]
async fn contents_and_links_are_spoilt() {
    let t = Tester::start().await;
    let spoilt = async |action: serde_json::Value| {
        t.fault(json!({ "kind": "users.list", "times": 1, "action": action })).await;
        t.get("/v1.0/users?$top=2").await
    };
    let cut = spoilt(json!({ "type": "truncate" })).await;
    assert!(cut.status == 200 && cut.json.is_null() && cut.text.starts_with('{'));
    let html = spoilt(json!({ "type": "html" })).await;
    assert!(html.status == 200 && html.text.starts_with("<!DOCTYPE html>"));
    let foreign = spoilt(json!({ "type": "nextLink", "mode": "foreign" })).await;
    assert!(
        foreign.json["@odata.nextLink"]
            .as_str()
            .unwrap()
            .starts_with("https://graph.other.example/v1.0/users")
    );
    let looping = spoilt(json!({ "type": "nextLink", "mode": "loop" })).await;
    assert_eq!(t.local(looping.json["@odata.nextLink"].as_str().unwrap()), "/v1.0/users?$top=2");
    let empty = spoilt(json!({ "type": "nextLink", "mode": "empty" })).await;
    assert!(empty.values().is_empty());
    let next = t.get(&t.local(empty.json["@odata.nextLink"].as_str().unwrap())).await;
    assert_eq!(next.values().len(), 2);
}

#[tokio::test]
async fn tokens_go_wrong() {
    let t = Tester::start().await;
    let ask =
        async || t.token_request(&msgraph_sim::DEMO_TENANT.to_string(), "client_secret=demo-secret").await;
    let action =
        json!({ "type": "tokenError", "code": 90_033, "error": "temporarily_unavailable", "status": 503 });
    t.fault(json!({ "kind": "token", "times": 1, "action": action })).await;
    let refused = ask().await;
    assert_eq!((refused.status.as_u16(), &refused.json["error_codes"][0]), (503, &json!(90_033)));
    let other = "00000000-0000-4000-8000-000000000bad";
    let action = json!({ "type": "token", "tid": other, "withoutRoles": true, "lifetimeSeconds": 5 });
    t.fault(json!({ "kind": "token", "times": 1, "action": action })).await;
    let odd = ask().await.json;
    let claims: serde_json::Value =
        jsonwebtoken::dangerous::insecure_decode_claims(odd["access_token"].as_str().unwrap()).unwrap();
    assert_eq!((&claims["tid"], &odd["expires_in"]), (&json!(other), &json!(5)));
    assert!(claims.get("roles").is_none());
}

#[tokio::test]
async fn callers_who_do_not_wait_are_noticed() {
    let t = Tester::start().await;
    let budget = json!({ "requests": 2, "windowSeconds": 3600, "retryAfterSeconds": 7 });
    t.patch("/_sim/settings", json!({ "throttling": { "perAppTenant": budget, "earlyGraceMs": 0 } })).await;
    assert_eq!(t.get("/v1.0/organization").await.status, 200);
    let last = t.get("/v1.0/organization").await;
    assert_eq!(last.header("x-ms-throttle-limit-percentage"), "1.00");
    let refused = t.get("/v1.0/organization").await;
    assert_eq!(
        (refused.status.as_u16(), refused.code(), refused.header("retry-after")),
        (429, "TooManyRequests", "7")
    );
    assert!(refused.header("x-ms-throttle-scope").starts_with("Tenant_Application/ReadWrite/"));
    assert_eq!(t.get("/_sim/stats").await.json["earlyCalls"], 0);
    assert_eq!(t.get("/v1.0/organization").await.status, 429);
    let stats = t.get("/_sim/stats").await.json;
    assert_eq!((&stats["earlyCalls"], &stats["throttled"]), (&json!(1), &json!(2)));

    // a fault's Retry-After is watched as well, in whatever form it is written
    t.patch("/_sim/settings", json!({ "throttling": { "perAppTenant": null, "earlyGraceMs": 0 } })).await;
    for header in ["30", "2.5", "Wed, 21 Oct 2099 07:28:00 GMT"] {
        t.delete("/_sim/throttle").await;
        t.delete("/_sim/stats").await;
        t.fault(json!({ "times": 1, "action": { "type": "throttle", "retryAfter": header } })).await;
        let refused = t.get("/v1.0/organization").await;
        assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (429, header));
        assert_eq!(t.get("/v1.0/organization").await.status, 200);
        assert_eq!(t.get("/_sim/stats").await.json["earlyCalls"], 1, "{header}");
    }
}

#[tokio::test]
async fn a_hanging_request_does_not_outlive_the_simulator() {
    let t = Tester::start().await;
    t.fault(json!({ "kind": "organization", "action": { "type": "hang" } })).await;
    let request = t.request(&Method::GET, "/v1.0/organization", None);
    let address = t.sim.address();
    let arrived = async |t: &Tester| {
        let log = t.get("/_sim/requests?kind=organization").await.json;
        (log["requests"].as_array().unwrap().len() == 1).then_some(())
    };
    let mut hanging = Box::pin(t.raw(request));
    tokio::select! {
        _ = &mut hanging => panic!("it answered"),
        () = t.until(arrived) => {}
    }
    drop(hanging);
    t.sim.shutdown().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
