use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use msgraph_sim::{DEMO_APP, DEMO_TENANT, make_cert};
use serde_json::{Value, json};

use crate::client::Tester;

const JWT_BEARER: &str = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";

fn seconds() -> i64 {
    jsonwebtoken::get_current_timestamp() as i64
}

#[tokio::test]
async fn a_secret_gives_a_signed_token() {
    let t = Tester::start().await;
    let discovery = t.get(&format!("/{DEMO_TENANT}/v2.0/.well-known/openid-configuration")).await.json;
    let keys = t.get(&t.local(discovery["jwks_uri"].as_str().unwrap())).await.json;
    let set: JwkSet = serde_json::from_value(keys).unwrap();
    let header = jsonwebtoken::decode_header(&t.token).unwrap();
    let key = DecodingKey::from_jwk(set.find(header.kid.as_deref().unwrap()).unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&["https://graph.microsoft.com"]);
    let claims = jsonwebtoken::decode::<Value>(&t.token, &key, &validation).unwrap().claims;
    assert_eq!(claims["tid"], json!(DEMO_TENANT));
    assert_eq!(claims["appid"], json!(DEMO_APP));
    assert_eq!(claims["iss"], format!("https://sts.windows.net/{DEMO_TENANT}/"));
    assert_eq!(claims["idtyp"], "app");
    assert_eq!(claims["appidacr"], "1");
    assert!(claims["roles"].as_array().unwrap().contains(&json!("User.Read.All")));
    // a verified domain names the tenant as well
    assert_eq!(t.token_request("contoso.example", "client_secret=demo-secret").await.status, 200);
}

#[tokio::test]
async fn refusals_carry_their_codes() {
    let t = Tester::start().await;
    let tid = DEMO_TENANT.to_string();
    let code = |reply: &crate::client::Reply| reply.json["error_codes"][0].as_u64().unwrap();

    let wrong = t.token_request(&tid, "client_secret=no").await;
    assert_eq!((wrong.status.as_u16(), code(&wrong)), (401, 7_000_215));
    assert_eq!(wrong.json["error"], "invalid_client");
    assert!(wrong.json["error_description"].as_str().unwrap().starts_with("AADSTS7000215: "));

    let nowhere = t.token_request("00000000-0000-4000-8000-00000000dead", "client_secret=demo-secret").await;
    assert_eq!((nowhere.status.as_u16(), code(&nowhere)), (400, 90_002));

    let form = "grant_type=client_credentials&client_id=x&scope=https://graph.microsoft.com/.default";
    let stranger = t.form(&tid, form.to_owned()).await;
    assert_eq!((stranger.json["error"].as_str(), code(&stranger)), (Some("unauthorized_client"), 700_016));

    t.post(&t.tenant("consent"), json!({ "appId": DEMO_APP, "enabled": false })).await;
    let disabled = t.token_request(&tid, "client_secret=demo-secret").await;
    assert_eq!(code(&disabled), 7_000_112);

    t.delete(&t.tenant(&format!("consent?appId={DEMO_APP}"))).await;
    let gone = t.token_request(&tid, "client_secret=demo-secret").await;
    assert_eq!((gone.status.as_u16(), code(&gone)), (401, 7_000_229));
}

#[tokio::test]
async fn a_certificate_signs_the_assertion() {
    let t = Tester::start().await;
    let folder = tempfile::tempdir().unwrap();
    make_cert(folder.path()).unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let (certificate, key) = (read("app-cert.pem"), read("app-key.pem"));
    t.put(&format!("/_sim/apps/{DEMO_APP}"), json!({ "certificates": [certificate] })).await;

    let body: String = certificate.lines().filter(|l| !l.starts_with("-----")).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
    let mut header = Header::new(Algorithm::PS256);
    header.x5t_s256 = Some(URL_SAFE_NO_PAD.encode(digest(&SHA256, &der)));
    let key = EncodingKey::from_rsa_pem(key.as_bytes()).unwrap();
    let now = seconds();
    let good = json!({
        // the client may know the endpoint under another host
        "aud": format!("https://login.placeholder.example/{DEMO_TENANT}/oauth2/v2.0/token"),
        "iss": DEMO_APP, "sub": DEMO_APP, "jti": "1", "nbf": now - 5, "iat": now, "exp": now + 300,
    });
    let ask = async |header: &Header, claims: &Value| {
        let assertion = jsonwebtoken::encode(header, claims, &key).unwrap();
        let proof = format!("client_assertion_type={JWT_BEARER}&client_assertion={assertion}");
        t.token_request(&DEMO_TENANT.to_string(), &proof).await.json
    };
    let token = ask(&header, &good).await;
    let token = token["access_token"].as_str().unwrap();
    let claims: Value = jsonwebtoken::dangerous::insecure_decode_claims(token).unwrap();
    assert_eq!(claims["appidacr"], "2");

    let mut unknown = header.clone();
    unknown.x5t_s256 = Some("AAAA".to_owned());
    assert_eq!(ask(&unknown, &good).await["error_codes"][0], 700_027);
    let mut late = good.clone();
    late["exp"] = json!(now - 1000);
    assert_eq!(ask(&header, &late).await["error_codes"][0], 700_024);
    let mut elsewhere = good.clone();
    elsewhere["aud"] = json!("https://login.placeholder.example/other/oauth2/v2.0/token");
    assert_eq!(ask(&header, &elsewhere).await["error_codes"][0], 700_023);
}

#[tokio::test]
async fn a_federated_assertion_is_matched_exactly() {
    let t = Tester::start().await;
    let folder = tempfile::tempdir().unwrap();
    make_cert(folder.path()).unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let federated = json!([{
        "issuer": "https://idp.provider.example", "subject": "tandem", "publicKey": read("app-cert.pem"),
    }]);
    t.put(&format!("/_sim/apps/{DEMO_APP}"), json!({ "federated": federated })).await;
    let key = EncodingKey::from_rsa_pem(read("app-key.pem").as_bytes()).unwrap();
    let ask = async |subject: &str| {
        let claims = json!({
            "aud": "api://AzureADTokenExchange", "iss": "https://idp.provider.example", "sub": subject,
            "exp": seconds() + 300,
        });
        let assertion = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key).unwrap();
        let proof = format!("client_assertion_type={JWT_BEARER}&client_assertion={assertion}");
        t.token_request(&DEMO_TENANT.to_string(), &proof).await
    };
    assert_eq!(ask("tandem").await.status, 200);
    assert_eq!(ask("Tandem").await.json["error_codes"][0], 70_021);
}

#[tokio::test]
async fn graph_checks_token_and_permission() {
    let mut t = Tester::start().await;
    let good = std::mem::take(&mut t.token);
    let none = t.get("/v1.0/users").await;
    assert_eq!((none.status.as_u16(), none.code()), (401, "InvalidAuthenticationToken"));
    assert!(none.header("www-authenticate").starts_with("Bearer"));
    let (head, _) = good.rsplit_once('.').unwrap();
    t.token = format!("{head}.AAAA");
    assert_eq!(t.get("/v1.0/users").await.status, 401);

    // a grant without roles still gives a token, and Graph refuses it in two dialects
    t.post(&t.tenant("consent"), json!({ "appId": DEMO_APP, "roles": [] })).await;
    t.token = t.sign_in().await;
    let users = t.get("/v1.0/users").await;
    assert_eq!((users.status.as_u16(), users.code()), (403, "Authorization_RequestDenied"));
    let teams = t.get(crate::client::CONFIGURATIONS).await;
    assert_eq!((teams.status.as_u16(), teams.code()), (403, "forbidden"));
    assert!(teams.json["error"]["message"].as_str().unwrap().contains("TeamsUserConfiguration.Read.All"));
    assert_eq!(teams.json["error"]["innerError"]["code"], "Forbidden");

    t.token = good;
    assert_eq!(t.get("/v1.0/organization").await.status, 200);
    t.post(&t.tenant("revoke-tokens"), json!({})).await;
    let revoked = t.get("/v1.0/organization").await;
    assert!(revoked.header("www-authenticate").contains("insufficient_claims"));
}
