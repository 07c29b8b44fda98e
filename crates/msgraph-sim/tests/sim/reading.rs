use std::collections::BTreeSet;

use axum::http::Method;
use msgraph_sim::DEMO_TENANT;
use serde_json::json;

use crate::client::{CONFIGURATIONS, LICENSED, NUMBERS, Reply, Tester};

async fn walk(t: &Tester, first: &str) -> (Vec<Reply>, BTreeSet<String>) {
    let mut pages = Vec::new();
    let mut ids = BTreeSet::new();
    let mut path = first.to_owned();
    loop {
        let page = t.get_eventual(&path).await;
        assert_eq!(page.status, 200, "{}", page.text);
        for item in page.values() {
            assert!(ids.insert(item["id"].as_str().unwrap().to_owned()), "an item came twice");
        }
        let next = page.json["@odata.nextLink"].as_str().map(|link| t.local(link));
        pages.push(page);
        match next {
            Some(next) => path = next,
            None => return (pages, ids),
        }
    }
}

#[tokio::test]
async fn licensed_users_are_found_by_plan() {
    let t = Tester::start().await;
    let select = "$select=id,userPrincipalName,assignedPlans";
    let page = t.get_eventual(&format!("/v1.0/users?{LICENSED}&{select}&$top=999")).await;
    assert_eq!(page.json["@odata.count"], 3);
    let names: Vec<&str> = page.values().iter().map(|u| u["userPrincipalName"].as_str().unwrap()).collect();
    assert_eq!(names, ["ana@contoso.example", "ben@contoso.example", "cleo@contoso.example"]);
    assert_eq!(page.values()[0].as_object().unwrap().len(), 3);
    assert!(page.values()[0]["assignedPlans"].to_string().contains("MicrosoftCommunicationsOnline"));

    // a licence taken away leaves its entry, marked as deleted
    t.patch(&t.tenant("users/ben@contoso.example"), json!({ "phonePlan": "Deleted" })).await;
    let page = t.get_eventual(&format!("/v1.0/users?{LICENSED}")).await;
    assert_eq!(page.json["@odata.count"], 2);
    assert!(page.values()[0].get("assignedPlans").is_none(), "not in the default set");
}

#[tokio::test]
async fn advanced_queries_need_header_and_count() {
    let t = Tester::start().await;
    let refused = t.get(&format!("/v1.0/users?{LICENSED}")).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (400, "Request_UnsupportedQuery"));
    let plain = t.get("/v1.0/users?$count=true").await;
    assert!(plain.json.get("@odata.count").is_none(), "ignored without the header");
    let count = t.get("/v1.0/users/$count").await;
    assert_eq!((count.status.as_u16(), count.code()), (400, "Request_BadRequest"));
    assert_eq!(t.get_eventual("/v1.0/users/$count").await.text, "8");
    let quoted = t.get_eventual("/v1.0/users?$count=true&$filter=assignedPlans/any(p:p/servicePlanId eq '4828c8ec-dc2e-4779-b502-87ac9ce28ab7')").await;
    assert_eq!(quoted.code(), "Request_BadRequest");
    for bad in ["$top=1000", "$skip=1", "$select=nothing", "$filter=id eq", "$skiptoken=zzz"] {
        assert_eq!(t.get_eventual(&format!("/v1.0/users?{bad}")).await.status, 400, "{bad}");
    }
    let named = t.get("/v1.0/users?$filter=startswith(userPrincipalName,'AN') or displayName eq 'Dan'").await;
    assert_eq!(named.values().len(), 2);
}

#[tokio::test]
async fn twenty_thousand_users_in_pages() {
    let t = Tester::start().await;
    let made =
        t.post(&t.tenant("users/bulk"), json!({ "count": 20_000, "baseNumber": "+12125550100" })).await;
    assert_eq!(made.json["created"], 20_000);
    let (pages, ids) = walk(&t, &format!("/v1.0/users?{LICENSED}&$select=id,assignedPlans&$top=999")).await;
    assert_eq!((pages.len(), ids.len()), (21, 20_003));
    assert_eq!(pages[0].json["@odata.count"], 20_003);
    assert!(pages[1].json.get("@odata.count").is_none(), "only on page one");
    let (pages, ids) = walk(&t, &format!("{CONFIGURATIONS}?$top=999")).await;
    assert_eq!((pages.len(), ids.len()), (21, 20_004));
    let (pages, ids) = walk(&t, &format!("{NUMBERS}/numberAssignments?$top=1000")).await;
    assert_eq!((pages.len(), ids.len()), (20, 20_000));
    let one = t
        .get(&format!("{NUMBERS}/numberAssignments?$filter=telephoneNumber eq '%2B12125550100;ext=777'"))
        .await;
    assert_eq!(one.values().len(), 1);
    let holder = one.values()[0]["assignmentTargetId"].as_str().unwrap();
    let held = t.get(&format!("{NUMBERS}/numberAssignments?$filter=assignmentTargetId eq '{holder}'")).await;
    assert_eq!(held.values()[0]["telephoneNumber"], "+12125550100;ext=777");
}

#[tokio::test]
async fn single_entities_are_bare() {
    let t = Tester::start().await;
    let oid = t.oid("ana@contoso.example").await;
    let bare = t.get(&format!("{CONFIGURATIONS}/{oid}")).await.json;
    assert_eq!(bare["id"], json!(oid));
    assert!(bare.get("value").is_none());
    assert_eq!(bare["featureTypes"], json!(["Teams", "PhoneSystem"]));
    assert_eq!(bare["createdDateTime"].as_str().unwrap().len(), "2026-08-01T09:00:00.1234567Z".len());
    let expanded = t.get(&format!("{CONFIGURATIONS}('{oid}')?$expand=user")).await.json;
    assert_eq!(expanded["user"]["userPrincipalName"], "ana@contoso.example");
    let user = t.get(&format!("{CONFIGURATIONS}/{oid}/user?$select=id,accountEnabled")).await.json;
    assert_eq!(user["accountEnabled"], true);
    assert_eq!(t.get("/v1.0/users/ana@contoso.example").await.json["id"], json!(oid));

    let missing = t.get(&format!("{CONFIGURATIONS}/00000000-0000-4000-8000-000000000009")).await;
    assert_eq!((missing.status.as_u16(), missing.code()), (404, "UnknownError"));
    let inner: serde_json::Value =
        serde_json::from_str(missing.json["error"]["message"].as_str().unwrap()).unwrap();
    assert_eq!(inner["code"], "NotFound");
    let missing = t.get("/v1.0/users/nobody@contoso.example").await;
    assert_eq!((missing.status.as_u16(), missing.code()), (404, "Request_ResourceNotFound"));
    let level = t.get("/v1.0/admin/teams").await;
    assert_eq!((level.status.as_u16(), level.code()), (400, "BadRequest"));
}

#[tokio::test]
async fn organization_licences_and_request_ids() {
    let t = Tester::start().await;
    let org = t.get("/v1.0/organization?$select=id,displayName,verifiedDomains").await.json;
    assert_eq!(org["value"][0]["id"], json!(DEMO_TENANT));
    assert_eq!(org["value"][0]["verifiedDomains"][0]["name"], "contoso.example");
    let skus = t.get("/v1.0/subscribedSkus").await.json;
    assert_eq!(
        (&skus["value"][0]["consumedUnits"], &skus["value"][0]["prepaidUnits"]["enabled"]),
        (&json!(3), &json!(13))
    );
    let oid = t.oid("ana@contoso.example").await;
    let details = t.get(&format!("/v1.0/users/{oid}/licenseDetails")).await;
    assert_eq!(details.values()[0]["skuPartNumber"], "MCOEV");

    let mut request = t.request(&Method::GET, "/v1.0/users/nobody", None);
    request.headers_mut().insert("client-request-id", "my-own-id".parse().unwrap());
    let reply = t.raw(request).await.unwrap();
    assert_eq!(reply.header("client-request-id"), "my-own-id");
    assert_eq!(reply.json["error"]["innerError"]["client-request-id"], "my-own-id");
    assert_eq!(reply.json["error"]["innerError"]["request-id"], reply.header("request-id"));
    assert!(!reply.header("date").is_empty());
}

#[tokio::test]
async fn delta_tells_what_changed() {
    let t = Tester::start().await;
    let (pages, ids) = walk(&t, "/v1.0/users/delta()?$select=id,displayName").await;
    assert_eq!(ids.len(), 8);
    let link = t.local(pages[0].json["@odata.deltaLink"].as_str().unwrap());
    assert!(t.get(&link).await.values().is_empty());
    t.patch(&t.tenant("users/ana@contoso.example"), json!({ "displayName": "Ana B" })).await;
    t.delete(&t.tenant("users/ben@contoso.example")).await;
    let round = t.get(&link).await;
    assert_eq!(round.values().len(), 2);
    assert_eq!(round.values()[0]["displayName"], "Ana B");
    assert_eq!(round.values()[1]["@removed"]["reason"], "changed");
    assert_eq!(t.get("/v1.0/users/delta()?$deltatoken=old").await.status, 410);
}
