//! What Graph lets a person do, and what it shows of deleted users.

use serde_json::json;

use crate::client::{CONFIGURATIONS, NUMBERS, Tester};
use crate::sign_in::{GLOBAL_ADMINISTRATOR, SignIn};

const ROLES: &str = "/v1.0/me/transitiveMemberOf/microsoft.graph.directoryRole";
const WIDE: &str = "openid https://graph.microsoft.com/User.Read.All TeamsTelephoneNumber.ReadWrite.All \
                    TeamsUserConfiguration.Read.All";

async fn signed_in(t: &mut Tester, person: &str, scope: &str) {
    let tokens = SignIn::new().with("scope", scope).tokens(t, person).await;
    tokens["access_token"].as_str().unwrap().clone_into(&mut t.token);
}

#[tokio::test]
async fn me_is_the_person_of_the_token() {
    let mut t = Tester::start().await;
    let app = t.get("/v1.0/me").await;
    assert_eq!((app.status.as_u16(), app.code()), (400, "BadRequest"));
    assert_eq!(app.json["error"]["message"], "/me request is only valid with delegated authentication flow.");
    assert_eq!(t.get(ROLES).await.status, 400);

    signed_in(&mut t, "gale@contoso.example", "openid profile User.Read").await;
    let me = t.get("/v1.0/me?$select=id,displayName").await.json;
    assert_eq!(
        (&me["id"], &me["displayName"]),
        (&json!(t.oid("gale@contoso.example").await), &json!("Gale"))
    );
    let roles = t.get(ROLES).await;
    assert_eq!(
        (roles.values().len(), &roles.values()[0]["roleTemplateId"]),
        (1, &json!(GLOBAL_ADMINISTRATOR))
    );
    let log = t.get("/_sim/requests?kind=me").await.json;
    assert_eq!(log["requests"][1]["user"], me["id"], "the log names the person: {log}");
    // a role that was taken away is gone here at once, whatever the token says
    t.patch(&t.tenant("users/gale@contoso.example"), json!({ "roles": [] })).await;
    assert!(t.get(ROLES).await.values().is_empty());
    assert_eq!(t.get("/v1.0/users").await.status, 403, "User.Read is oneself alone");

    t.patch("/_sim/settings", json!({ "delegated": { "membershipScopes": ["Directory.Read.All"] } })).await;
    assert_eq!(t.get(ROLES).await.code(), "Authorization_RequestDenied");
    t.patch(&t.tenant("users/gale@contoso.example"), json!({ "accountEnabled": false })).await;
    assert_eq!(t.get("/v1.0/me").await.status, 401);
}

#[tokio::test]
async fn an_id_token_is_no_access_token() {
    let mut t = Tester::start().await;
    let tokens = SignIn::new().tokens(&t, "gale@contoso.example").await;
    tokens["id_token"].as_str().unwrap().clone_into(&mut t.token);
    assert_eq!(t.get("/v1.0/me").await.status, 401);
}

#[tokio::test]
async fn writes_need_scope_and_directory_role() {
    let mut t = Tester::start().await;
    let ana = t.oid("ana@contoso.example").await;
    signed_in(&mut t, "gale@contoso.example", WIDE).await;
    assert_eq!(t.assign("+12125550101", &ana).await.status, 202);
    signed_in(&mut t, "gale@contoso.example", "openid TeamsTelephoneNumber.Read.All").await;
    assert_eq!(t.assign("+12125550102", &ana).await.code(), "forbidden", "the scope is missing");

    // with tenant-wide delegated consent everybody has the scope, and the role decides
    let scopes = ["User.Read.All", "TeamsTelephoneNumber.ReadWrite.All", "TeamsUserConfiguration.Read.All"];
    let app = msgraph_sim::DEMO_APP;
    t.post(&t.tenant("consent"), json!({ "appId": app, "scopes": scopes })).await;
    for (person, reads, writes) in [
        ("theo@contoso.example", 200, 202),
        ("rhea@contoso.example", 200, 403),
        ("ben@contoso.example", 403, 403),
    ] {
        signed_in(&mut t, person, WIDE).await;
        assert_eq!(t.get(CONFIGURATIONS).await.status, reads, "{person}");
        assert_eq!(t.assign("+12125550101", &ana).await.status, writes, "{person}");
    }
    let refused = t.assign("+12125550101", &ana).await;
    assert_eq!(refused.code(), "UnknownError");
    assert!(refused.json["error"]["message"].as_str().unwrap().contains("Access Denied"));
    t.patch("/_sim/settings", json!({ "delegated": { "writeRoles": [] } })).await;
    assert_eq!(t.assign("+12125550101", &ana).await.status, 202);
}

#[tokio::test]
async fn deleted_users_can_be_seen_and_restored() {
    let t = Tester::start().await;
    let ana = t.oid("ana@contoso.example").await;
    t.assigned("+12125550101", &ana).await;
    let path = t.tenant("users/ana@contoso.example");
    assert_eq!(t.delete(&path).await.status, 200);
    assert_eq!(t.get(&format!("/v1.0/users/{ana}")).await.code(), "Request_ResourceNotFound");
    assert_eq!(t.get(&format!("{CONFIGURATIONS}/{ana}")).await.status, 404);
    let deleted = t.get("/v1.0/directory/deletedItems/microsoft.graph.user").await;
    assert_eq!((deleted.values().len(), &deleted.values()[0]["id"]), (1, &json!(ana)));
    let item = t.get(&format!("/v1.0/directory/deletedItems/{ana}")).await.json;
    assert_eq!(item["@odata.type"], "#microsoft.graph.user");
    assert!(item["deletedDateTime"].is_string());
    let number =
        async || t.get(&t.tenant("numbers/+12125550101")).await.json["truth"]["assignmentTargetId"].clone();
    assert_eq!(number().await, json!(ana), "the number stays with the deleted user");

    assert_eq!(
        t.post(&format!("{path}/restore"), json!({})).await.json["numbers"][0]["telephoneNumber"],
        "+12125550101"
    );
    assert_eq!(t.get(&format!("/v1.0/users/{ana}")).await.status, 200);
    assert_eq!(t.get(&format!("/v1.0/directory/deletedItems/{ana}")).await.status, 404);

    // the same name with another id is another user, and the old one cannot come back beside it
    t.delete(&format!("{path}?releaseNumbers=true")).await;
    assert_eq!(number().await, json!(null));
    let other = "0a0a0a0a-1111-4222-8333-4444444444ff";
    t.put(&path, json!({ "id": other })).await;
    assert_eq!(t.oid("ana@contoso.example").await, other);
    assert_eq!(t.post(&t.tenant(&format!("users/{ana}/restore")), json!({})).await.status, 400);
    t.delete(&t.tenant(&format!("users/{ana}?permanent=true"))).await;
    assert_eq!(t.get(&format!("/v1.0/directory/deletedItems/{ana}")).await.status, 404);
    let delta = t.get("/v1.0/users/delta()?$deltatoken=latest").await.json;
    t.delete(&format!("{path}?permanent=true")).await;
    let link = t.local(delta["@odata.deltaLink"].as_str().unwrap());
    assert_eq!(t.get(&link).await.values()[0]["@removed"]["reason"], "deleted");
    assert_eq!(t.get(&format!("{NUMBERS}/numberAssignments")).await.status, 200);
}
