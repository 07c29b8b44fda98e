//! Certificates that are changed, apps of customers' own, and people who signed in.

use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use serde_json::json;
use tandem_graph::{
    AppCredential, CertificatePem, ErrorClass, GraphError, TokenError, TokenErrorKind, UserToken,
};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::lab::{APP, Lab, OTHER_TENANT, SECRET, TENANT, clock, graph};

const OWN: Uuid = Uuid::from_u128(0xa11c_e000_0000_4000_8000_0000_0000_0e01);

fn certificate(from: OffsetDateTime, until: OffsetDateTime) -> CertificatePem {
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = (from, until);
    CertificatePem { cert_pem: params.self_signed(&key).unwrap().pem(), key_pem: key.serialize_pem().into() }
}

/// The first was made a year ago, the second today; both are good.
fn old_and_new() -> [CertificatePem; 2] {
    let now = clock()();
    let year = Duration::days(365);
    [certificate(now - year, now + Duration::days(10)), certificate(now - Duration::HOUR, now + year)]
}

#[tokio::test]
async fn i19_either_of_two_certificates_will_do() {
    let lab = Lab::start().await;
    let [old, new] = old_and_new();
    for known in [&old, &new] {
        lab.app(json!({ "certificates": [known.cert_pem] })).await;
        let before = lab.seen("token").await.len();
        let mut config = lab.config();
        config.credential = AppCredential::Certificates(vec![old.clone(), new.clone()]);
        let graph = graph(config);
        graph.tenant(TENANT).probe().await.unwrap();
        graph.tenant(OTHER_TENANT).probe().await.unwrap();
        // the newest is tried first; one that was refused rests, so it is refused once and not once a tenant
        let refused = usize::from(std::ptr::eq(known, &old));
        assert_eq!(lab.seen("token").await.len() - before, 2 + refused);
    }
    lab.end().await;
}

#[tokio::test]
async fn certificates_that_have_ended_are_our_own_fault_and_are_not_even_tried() {
    let lab = Lab::start().await;
    let now = clock()();
    let ended = certificate(now - Duration::days(9), now - Duration::days(1));
    let future = certificate(now + Duration::days(1), now + Duration::days(9));
    lab.app(json!({ "certificates": [ended.cert_pem, future.cert_pem] })).await;
    let mut config = lab.config();
    config.credential = AppCredential::Certificates(vec![ended, future]);
    let graph = graph(config);
    let error = graph.tenant(TENANT).probe().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Token(TokenErrorKind::OwnCredential), "{error:?}");
    assert!(lab.seen("token").await.is_empty());
    let dates: Vec<_> = graph.certificates().iter().map(|c| c.is_good(now)).collect();
    assert_eq!(dates, [false, false]);
    lab.end().await;
}

#[tokio::test]
async fn all_certificates_refused_are_our_own_fault() {
    let lab = Lab::start().await;
    let [old, new] = old_and_new();
    let mut config = lab.config();
    config.credential = AppCredential::Certificates(vec![old, new]);
    let graph = graph(config);
    for round in 1..=2 {
        let error = graph.tenant(TENANT).probe().await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Token(TokenErrorKind::OwnCredential), "{error:?}");
        // resting ones are tried all the same when there is no other, so that a repair works at once
        assert_eq!(lab.seen("token").await.len(), 2 * round);
    }
    lab.end().await;
}

#[tokio::test]
async fn an_own_app_has_tokens_of_its_own() {
    let lab = Lab::start().await;
    let [own, _] = old_and_new();
    lab.put(&format!("apps/{OWN}"), json!({ "certificates": [own.cert_pem] })).await;
    lab.post(&format!("tenants/{TENANT}/consent"), json!({ "appId": OWN })).await;
    let graph = graph(lab.config());
    let app = graph.own_app(TENANT, &OWN.to_string(), &own).unwrap();
    let client = graph.as_own_app(&app);
    assert!(client.is_own_app() && !graph.tenant(TENANT).is_own_app());
    for _ in 0..2 {
        client.probe().await.unwrap();
        graph.tenant(TENANT).probe().await.unwrap();
    }
    let apps: Vec<_> = lab.seen("organization").await.iter().map(|r| r["app"].clone()).collect();
    assert_eq!(apps, [json!(OWN), json!(APP), json!(OWN), json!(APP)]);
    assert_eq!(lab.seen("token").await.len(), 2);
    lab.end().await;
}

/// Signs somebody in with code and PKCE.
async fn sign_in(lab: &Lab) -> UserToken {
    let upn = "gale@customer.example";
    let gale = json!({ "users": [{ "userPrincipalName": upn, "roles": ["Global Administrator"] }] });
    lab.put(&format!("tenants/{TENANT}"), gale).await;
    let back = "http://localhost:51234/back";
    let spec = json!({ "secrets": [SECRET], "redirectUris": [back] });
    lab.put(&format!("apps/{OWN}"), spec).await;
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let base = format!("{}{TENANT}/oauth2/v2.0", lab.config().authority);
    let fields = [
        ("client_id", OWN.to_string()),
        ("response_type", "code".to_owned()),
        ("redirect_uri", back.to_owned()),
        ("scope", "openid User.Read.All Organization.Read.All".to_owned()),
        ("state", "s".to_owned()),
        ("nonce", "n".to_owned()),
        ("code_challenge", "cWe03uQVtIlxZ1m39bfQq3akJgApFc7NtYhFbcfolck".to_owned()),
        ("code_challenge_method", "S256".to_owned()),
    ];
    let page = url::Url::parse_with_params(&format!("{base}/authorize"), fields).unwrap();
    let reply = http.post(page).form(&[("person", upn)]).send().await.unwrap();
    let location = reply.headers()["location"].to_str().unwrap().to_owned();
    let location = url::Url::parse(&location).unwrap();
    let code = location.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned();
    let form = [
        ("grant_type", "authorization_code".to_owned()),
        ("client_id", OWN.to_string()),
        ("client_secret", SECRET.to_owned()),
        ("code", code),
        ("redirect_uri", back.to_owned()),
        ("code_verifier", "a-verifier-of-a-test-that-is-long-enough-0123456789".to_owned()),
    ];
    let answer = http.post(format!("{base}/token")).form(&form).send().await.unwrap();
    let answer: serde_json::Value = answer.json().await.unwrap();
    UserToken::new(answer["access_token"].as_str().expect("a token").into()).unwrap()
}

#[tokio::test]
async fn a_persons_token_is_used_as_it_is_and_ends_with_the_first_refusal() {
    let lab = Lab::start().await;
    let token = sign_in(&lab).await;
    assert_eq!(token.tenant(), TENANT);
    let graph = graph(lab.config());
    let client = graph.as_person(&token);
    assert_eq!(client.id(), TENANT);
    client.organization().await.unwrap();
    assert!(!client.sign_in_is_over());
    assert_eq!(lab.seen("token").await.len(), 1, "the sign-in and nothing else");
    assert_eq!(lab.seen("organization").await[0]["user"], json!(token.person()));

    lab.fault("organization", 1, json!({ "type": "respond", "status": 401 })).await;
    let error = client.organization().await.unwrap_err();
    assert!(matches!(error, GraphError::Token { source: TokenError::SignInOver, .. }), "{error:?}");
    assert!(client.sign_in_is_over() && graph.as_person(&token).sign_in_is_over());
    assert!(client.organization().await.is_err());
    assert_eq!((lab.seen("token").await.len(), lab.seen("organization").await.len()), (1, 2));
    // the app's own tokens have nothing to do with it
    graph.tenant(TENANT).organization().await.unwrap();
    lab.end().await;
}
