//! Error bodies and refusals by name.

use msgraph_sim::DEMO_TENANT;
use serde_json::{Value, json};

use crate::client::{Reply, Tester};

async fn captured(t: &Tester, name: &str) -> Reply {
    t.fault(json!({ "times": 1, "action": { "type": "captured", "name": name } })).await;
    t.get("/v1.0/organization").await
}

#[tokio::test]
async fn captured_bodies_have_their_status_and_code() {
    let t = Tester::start().await;
    let cases = [
        ("bad_request", 400, "BadRequest"),
        ("forbidden_lower", 403, "forbidden"),
        ("forbidden_nested", 403, "UnknownError"),
        ("not_found_nested", 404, "UnknownError"),
        ("not_found_plain", 404, "NotFound"),
        ("service_unavailable_400", 400, "BadRequest"),
        ("invalid_authentication_token", 401, "InvalidAuthenticationToken"),
        ("claims_challenge", 401, "InvalidAuthenticationToken"),
        ("authorization_request_denied", 403, "Authorization_RequestDenied"),
        ("resource_not_found", 404, "Request_ResourceNotFound"),
        ("request_bad_request", 400, "Request_BadRequest"),
        ("unsupported_query", 400, "Request_UnsupportedQuery"),
        ("conflict", 409, "Conflict"),
        ("sync_state_not_found", 410, "syncStateNotFound"),
        ("resync_required", 410, "resyncRequired"),
        ("too_many_requests", 429, "TooManyRequests"),
        ("innererror_lower", 404, "UnknownError"),
        ("number_taken", 400, "BadRequest"),
        ("no_licence", 400, "BadRequest"),
        ("on_premises", 400, "BadRequest"),
        ("number_not_found", 400, "BadRequest"),
        ("malformed_number", 400, "BadRequest"),
        ("bad_gateway", 502, "BadGateway"),
        ("service_unavailable", 503, "ServiceUnavailable"),
        ("gateway_timeout", 504, "GatewayTimeout"),
        ("bandwidth_limit_exceeded", 509, "BandwidthLimitExceeded"),
    ];
    for (name, status, code) in cases {
        let reply = captured(&t, name).await;
        assert_eq!((reply.status.as_u16(), reply.code()), (status, code), "{name}");
        let known = ["innerError", "innererror"]
            .into_iter()
            .any(|n| reply.json["error"][n]["request-id"].is_string());
        assert!(known, "{name}: {}", reply.text);
    }
    let nested = |reply: &Reply| -> Value {
        serde_json::from_str(reply.json["error"]["message"].as_str().unwrap()).unwrap()
    };
    assert_eq!(nested(&captured(&t, "forbidden_nested").await)["code"], "Forbidden");
    assert_eq!(nested(&captured(&t, "not_found_nested").await)["code"], "NotFound");
    let lower = captured(&t, "forbidden_lower").await.json["error"]["innerError"].clone();
    assert_eq!(
        (&lower["code"], &lower["message"], &lower["target"]),
        (&json!("Forbidden"), &Value::Null, &Value::Null)
    );
    assert!(lower["additionalData"]["action"].is_string());
    let challenge = captured(&t, "claims_challenge").await;
    assert!(challenge.header("www-authenticate").contains("claims="));
    let busy = captured(&t, "service_unavailable_400").await.text;
    assert!(busy.contains("Service is unavailable. Please try again"));
}

#[tokio::test]
async fn aadsts_codes_bring_their_error_and_status() {
    let t = Tester::start().await;
    let cases = [
        (700_027, "invalid_client", 401),
        (7_000_222, "invalid_client", 401),
        (700_016, "unauthorized_client", 400),
        (7_000_229, "invalid_client", 401),
        (7_000_112, "unauthorized_client", 400),
        (53_003, "access_denied", 400),
        (90_002, "invalid_request", 400),
        (50_173, "invalid_grant", 400),
        (90_033, "temporarily_unavailable", 503),
        (123_456, "invalid_request", 400),
    ];
    for (code, error, status) in cases {
        t.fault(json!({ "kind": "token", "times": 1, "action": { "type": "tokenError", "code": code } }))
            .await;
        let reply = t.token_request(&DEMO_TENANT.to_string(), "client_secret=demo-secret").await;
        assert_eq!((reply.status.as_u16(), &reply.json["error"]), (status, &json!(error)), "{code}");
        assert_eq!(reply.json["error_codes"], json!([code]));
    }
}

#[tokio::test]
async fn every_form_of_retry_after_and_the_throttle_headers() {
    let t = Tester::start().await;
    t.patch("/_sim/settings", json!({ "throttling": { "earlyGraceMs": 0 } })).await;
    for wait in ["10", "2.128", "Wed, 21 Oct 2099 07:28:00 GMT", "86400", "-5", "soon"] {
        t.fault(json!({ "times": 1, "action": { "type": "throttle", "retryAfter": wait } })).await;
        assert_eq!(t.get("/v1.0/organization").await.header("retry-after"), wait);
        t.delete("/_sim/throttle").await;
    }
    let action = json!({
        "type": "throttle", "retryAfter": "30", "scope": "Application/ReadWrite/x", "information": "WriteLimitExceeded",
        "limitPercentage": "1.2",
    });
    t.fault(json!({ "times": 1, "action": action })).await;
    let refused = t.get("/v1.0/organization").await;
    assert_eq!(refused.header("x-ms-throttle-scope"), "Application/ReadWrite/x");
    assert_eq!(refused.header("x-ms-throttle-information"), "WriteLimitExceeded");
    assert_eq!(refused.header("x-ms-throttle-limit-percentage"), "1.2");
    // it holds for the application: another tenant's call is early too
    let tid = "00000000-0000-4000-8000-0000000000aa";
    t.put(&format!("/_sim/tenants/{tid}"), json!({ "consents": [{ "appId": msgraph_sim::DEMO_APP }] })).await;
    let mut t = t;
    let token = t.token_request(tid, "client_secret=demo-secret").await.json["access_token"].clone();
    token.as_str().unwrap().clone_into(&mut t.token);
    t.get("/v1.0/organization").await;
    assert_eq!(t.get("/_sim/stats").await.json["earlyCalls"], 1);

    let headers = json!({ "x-ms-throttle-limit-percentage": "0.9" });
    t.fault(json!({ "times": 1, "action": { "type": "headers", "headers": headers } })).await;
    let warned = t.get("/v1.0/organization").await;
    assert_eq!((warned.status.as_u16(), warned.header("x-ms-throttle-limit-percentage")), (200, "0.9"));
}

#[tokio::test]
async fn a_licence_goes_while_the_operation_runs() {
    let t = Tester::start().await;
    let ana = t.oid("ana@contoso.example").await;
    let action = json!({ "type": "operation", "licenceRemoved": true });
    t.fault(json!({ "kind": "assignNumber", "times": 1, "action": action })).await;
    let failed = t.assigned("+12125550101", &ana).await;
    assert_eq!(failed["status"], "failed");
    assert!(failed["numbers"][0]["statusDetail"].as_str().unwrap().contains("lacks appropriate licenses"));
    let user = t.get_eventual(&format!("/v1.0/users/{ana}?$select=assignedPlans")).await.json;
    assert!(user["assignedPlans"].to_string().contains("Deleted"), "{user}");
}
