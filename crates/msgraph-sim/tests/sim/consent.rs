use msgraph_sim::{DEMO_APP, DEMO_TENANT};
use serde_json::{Value, json};

use crate::client::{Reply, Tester};
use crate::sign_in::{BACK, SignIn, back, form};

const OTHER: &str = "00000000-0000-4000-8000-0000000000aa";
const DEFAULT: &str = "https://graph.microsoft.com/.default";

fn address(tenant: &str, version: &str, fields: &[(&str, &str)]) -> String {
    let app = DEMO_APP.to_string();
    let mut all = vec![("client_id", app.as_str()), ("redirect_uri", BACK), ("state", "s-2")];
    all.extend_from_slice(fields);
    format!("/{tenant}{version}/adminconsent?{}", form(&all))
}

fn v2() -> String {
    address(&DEMO_TENANT.to_string(), "/v2.0", &[("scope", DEFAULT)])
}

/// A tenant that has not consented yet.
async fn fresh() -> Tester {
    let t = Tester::start().await;
    t.delete(&t.tenant("consent")).await;
    let spec = json!({
        "displayName": "Fabrikam Example", "domains": ["fabrikam.example"],
        "users": [{ "userPrincipalName": "faye@fabrikam.example", "roles": ["Global Administrator"] }],
    });
    t.put(&format!("/_sim/tenants/{OTHER}"), spec).await;
    t
}

async fn app_token(t: &Tester, tenant: &str) -> Reply {
    t.token_request(tenant, "client_secret=demo-secret").await
}

fn roles(reply: &Reply) -> Value {
    let token = reply.json["access_token"].as_str().unwrap_or_else(|| panic!("{}", reply.text));
    let claims: Value = jsonwebtoken::dangerous::insecure_decode_claims(token).unwrap();
    claims["roles"].clone()
}

#[tokio::test]
async fn an_administrator_consents() {
    let t = fresh().await;
    let tenant = DEMO_TENANT.to_string();
    assert_eq!(app_token(&t, &tenant).await.status, 401);
    let page = t.get(&v2()).await;
    for text in [
        "Demo application",
        "organization <strong>Contoso Example</strong>",
        "TeamsTelephoneNumber.ReadWrite.All",
        "User.Read",
        "Cancel",
    ] {
        assert!(page.text.contains(text), "{text}: {}", page.text);
    }
    let fields = back(&t.post_form(&v2(), &[("person", "gale@contoso.example")]).await);
    assert_eq!((fields["admin_consent"].as_str(), fields["tenant"].as_str()), ("True", tenant.as_str()));
    assert_eq!((fields["scope"].as_str(), fields["state"].as_str()), (DEFAULT, "s-2"));
    let granted = roles(&app_token(&t, &tenant).await);
    assert_eq!(granted.as_array().map(Vec::len), Some(6));
    // delegated permissions of the registration hold for everybody now
    let silent = SignIn::new().with("prompt", "none").with("login_hint", "ana@contoso.example");
    assert!(back(&t.get(&silent.address()).await).contains_key("code"));
}

#[tokio::test]
async fn refusals_say_admin_consent_all_the_same() {
    let t = fresh().await;
    let declined = back(&t.post_form(&v2(), &[("deny", "1")]).await);
    assert_eq!(
        (declined["error"].as_str(), declined["admin_consent"].as_str()),
        ("consent_required", "True")
    );
    assert!(declined["error_description"].starts_with("AADSTS65004: "));
    assert!(!declined.contains_key("tenant"));
    for nobody in ["ana@contoso.example", "rhea@contoso.example", "theo@contoso.example"] {
        let refused = back(&t.post_form(&v2(), &[("person", nobody)]).await);
        assert!(refused["error_description"].starts_with("AADSTS90094: "), "{nobody}");
    }
    let stranger = t.post_form(&v2(), &[("person", "faye@fabrikam.example")]).await;
    assert_eq!(stranger.status, 400, "a person of another tenant");
    let elsewhere = address(&DEMO_TENANT.to_string(), "/v2.0", &[("scope", DEFAULT), ("redirect_uri", "x")]);
    assert_eq!(t.get(&elsewhere).await.status, 400, "a doubled parameter");
    assert_eq!(app_token(&t, &DEMO_TENANT.to_string()).await.status, 401, "nothing was granted");

    let v1 = address("common", "", &[]);
    let declined = back(&t.post_form(&v1, &[("deny", "1")]).await);
    assert_eq!((declined["error"].as_str(), declined.get("admin_consent")), ("permission_denied", None));
    let given = back(&t.post_form(&v1, &[("person", "faye@fabrikam.example")]).await);
    assert_eq!((given["tenant"].as_str(), given.get("scope")), (OTHER, None));
    assert_eq!(app_token(&t, OTHER).await.status, 200);
}

#[tokio::test]
async fn permissions_show_late_or_in_part_or_elsewhere() {
    let t = fresh().await;
    let tenant = DEMO_TENANT.to_string();
    let accept = async || back(&t.post_form(&v2(), &[("person", "gale@contoso.example")]).await);
    let landing = async |principal: u64, permissions: u64| {
        let landing = json!({ "principalMs": principal, "permissionsMs": permissions });
        t.patch("/_sim/settings", json!({ "landing": landing })).await
    };
    landing(600_000, 0).await;
    accept().await;
    assert_eq!(app_token(&t, &tenant).await.status, 401, "the service principal is not replicated yet");
    landing(0, 600_000).await;
    accept().await;
    assert_eq!(roles(&app_token(&t, &tenant).await), Value::Null, "its permissions are not there yet");
    landing(0, 50).await;
    accept().await;
    t.until(async |t| (!roles(&app_token(t, &tenant).await).is_null()).then_some(())).await;

    landing(0, 0).await;
    t.delete(&t.tenant("consent")).await;
    let part = json!({ "type": "consent", "withoutRoles": ["TeamsPolicyUserAssign.ReadWrite.All"] });
    t.fault(json!({ "kind": "adminconsent", "method": "POST", "times": 1, "action": part })).await;
    accept().await;
    assert_eq!(roles(&app_token(&t, &tenant).await).as_array().map(Vec::len), Some(5));

    t.delete(&t.tenant("consent")).await;
    let other = json!({ "type": "consent", "tenant": OTHER });
    t.fault(json!({ "kind": "adminconsent", "method": "POST", "times": 1, "action": other })).await;
    assert_eq!(accept().await["tenant"], OTHER);
    assert_eq!(
        (app_token(&t, OTHER).await.status.as_u16(), app_token(&t, &tenant).await.status.as_u16()),
        (200, 401)
    );

    let refusal = json!({ "type": "tokenError", "code": 90_095, "error": "consent_required" });
    t.fault(json!({ "kind": "adminconsent", "times": 1, "action": refusal })).await;
    let refused = accept().await;
    assert_eq!((refused["error"].as_str(), refused["admin_consent"].as_str()), ("consent_required", "True"));
}
