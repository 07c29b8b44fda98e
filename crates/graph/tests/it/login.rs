//! Tokens by every kind of credential, and what Microsoft login may say instead.

use msgraph_sim::{AppSpec, ConsentSpec, Sim, SimConfig, TenantSpec, World, make_cert};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use serde_json::json;
use tandem_graph::{
    AppCredential, CertificatePem, Effect, ErrorClass, GraphConfig, GraphError, TokenError, TokenErrorKind,
};
use uuid::Uuid;

use crate::lab::{APP, Lab, OTHER_TENANT, SECRET, TENANT, clock, graph};

struct Pair {
    key: KeyPair,
    cert: String,
}

impl Pair {
    fn pem(&self) -> CertificatePem {
        CertificatePem { cert_pem: self.cert.clone(), key_pem: self.key.serialize_pem().into() }
    }
}

fn pair() -> Pair {
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let cert = CertificateParams::default().self_signed(&key).unwrap().pem();
    Pair { key, cert }
}

#[tokio::test]
async fn a_secret_gives_a_token_for_each_tenant() {
    let lab = Lab::start().await;
    let graph = graph(lab.config());
    for tenant in [TENANT, OTHER_TENANT] {
        let probe = graph.tenant(tenant).probe().await.unwrap();
        assert_eq!((probe.token.tid, probe.organization.id), (tenant, tenant));
        assert!(probe.token.missing(&["User.Read.All"]).is_empty());
        assert!(probe.token.expires > clock()());
    }
    lab.end().await;
}

#[tokio::test]
async fn a_certificate_signs_assertions() {
    let lab = Lab::start().await;
    let pair = pair();
    lab.app(json!({ "certificates": [&pair.cert] })).await;
    let mut config = lab.config();
    config.credential = AppCredential::Certificates(vec![pair.pem()]);
    graph(config).tenant(TENANT).probe().await.unwrap();
    lab.end().await;
}

#[tokio::test]
async fn a_workload_identity_is_read_anew_each_time() {
    let lab = Lab::start().await;
    let pair = pair();
    let (issuer, subject) = ("https://platform.example", "system:serviceaccount:tandem:teams-sync");
    let federated = json!({ "issuer": issuer, "subject": subject, "publicKey": pair.cert });
    lab.app(json!({ "federated": [federated] })).await;
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    let mut config = lab.config();
    config.credential = AppCredential::Federated { token_file: token_file.clone() };
    let graph = graph(config);

    let error = graph.tenant(TENANT).probe().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Token(TokenErrorKind::OwnCredential), "no file yet: {error:?}");

    let now = clock()().unix_timestamp();
    let claims = json!({
        "iss": issuer, "sub": subject, "aud": "api://AzureADTokenExchange",
        "iat": now, "nbf": now, "exp": now + 600,
    });
    let key = jsonwebtoken::EncodingKey::from_rsa_pem(pair.key.serialize_pem().as_bytes()).unwrap();
    let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::RS256);
    let token = jsonwebtoken::encode(&header, &claims, &key).unwrap();
    std::fs::write(&token_file, format!("{token}\n")).unwrap();
    graph.tenant(TENANT).probe().await.unwrap();
    lab.end().await;
}

#[tokio::test]
async fn one_token_serves_many_requests() {
    let lab = Lab::start().await;
    let client = lab.tenant();
    let many = (0..20).map(|_| client.organization());
    for outcome in futures_util::future::join_all(many).await {
        outcome.unwrap();
    }
    assert_eq!(lab.seen("token").await.len(), 1);
    lab.end().await;
}

#[tokio::test]
async fn a_rejected_token_is_replaced_once() {
    let lab = Lab::start().await;
    let client = lab.tenant();
    client.probe().await.unwrap();
    lab.fault("organization", 1, json!({ "type": "respond", "status": 401 })).await;
    client.probe().await.unwrap();
    assert_eq!(lab.seen("token").await.len(), 2);

    lab.fault("organization", 9, json!({ "type": "respond", "status": 401 })).await;
    let error = client.probe().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Unauthorized);
    assert_eq!(lab.seen("token").await.len(), 3);
    lab.end().await;
}

/// However many calls meet a rejection that lasts, one fresh token shows that it does.
#[tokio::test]
async fn f46_a_rejection_that_lasts_costs_one_fresh_token() {
    let lab = Lab::start().await;
    let client = lab.tenant();
    client.organization().await.unwrap();
    lab.fault("organization", 99, json!({ "type": "respond", "status": 401 })).await;
    for _ in 0..5 {
        let error = client.organization().await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Unauthorized);
    }
    assert_eq!(lab.seen("token").await.len(), 2);
    assert_eq!(lab.seen("organization").await.len(), 1 + 6, "one more request for one more token");
    // who throws the token away asks with a new one, and once
    client.forget_token().await;
    client.organization().await.unwrap_err();
    assert_eq!((lab.seen("token").await.len(), lab.seen("organization").await.len()), (3, 8));
    lab.delete("faults").await;
    client.organization().await.unwrap();
    assert_eq!(lab.seen("token").await.len(), 3, "it is good after all");
    lab.end().await;
}

/// The token endpoint asks to wait: nobody asks it before that, whoever wants a token of that tenant, and no call is lost
/// for it.
#[tokio::test]
async fn i23_a_token_endpoint_that_throttles_is_left_alone() {
    let lab = Lab::start().await;
    for (form, status) in [(json!("1.2"), 429), (json!("1"), 503), (json!(null), 429)] {
        lab.fault("token", 1, json!({ "type": "throttle", "retryAfter": form, "status": status })).await;
        let graph = graph(lab.config());
        let (one, two) = (graph.tenant(TENANT), graph.tenant(TENANT));
        let start = tokio::time::Instant::now();
        let (a, b) = tokio::join!(one.organization(), two.token_info());
        a.unwrap();
        b.unwrap();
        assert!(start.elapsed() >= std::time::Duration::from_secs(1), "{form} {status}");
    }
    assert_eq!(lab.seen("token").await.len(), 6, "each was refused once and asked once more");
    assert_eq!(lab.early_calls().await, 0);
    lab.end().await;
}

/// Who does not wait that long is told how long, another process that shares the books asks nothing either, and the
/// neighbour is served.
#[tokio::test]
async fn i23_a_shut_token_endpoint_is_known_to_all_processes() {
    let lab = Lab::start().await;
    lab.fault("token", 1, json!({ "type": "throttle", "retryAfter": "600" })).await;
    let books = std::sync::Arc::new(tandem_graph::LocalLedger::default());
    let process = || {
        let graph = graph(lab.config());
        graph.share_budgets(std::sync::Arc::clone(&books) as _);
        graph
    };
    let (one, two) = (process(), process());
    for client in [one.tenant(TENANT), one.tenant(TENANT), two.tenant(TENANT)] {
        let error = client.organization().await.unwrap_err();
        let ErrorClass::Throttled { retry_after, parked } = error.class() else { panic!("{error:?}") };
        assert!(retry_after > std::time::Duration::from_secs(500) && !parked, "{retry_after:?}");
        assert_eq!(error.effect(), Effect::NotSent);
    }
    assert_eq!(lab.seen("token").await.len(), 1);
    two.tenant(OTHER_TENANT).organization().await.unwrap();
    assert_eq!(lab.early_calls().await, 0);
    lab.end().await;
}

#[tokio::test]
async fn a_token_of_another_tenant_is_never_used() {
    let lab = Lab::start().await;
    lab.fault("token", 1, json!({ "type": "token", "tid": OTHER_TENANT })).await;
    let client = lab.tenant();
    let error = client.probe().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Token(TokenErrorKind::WrongTenant));
    assert_eq!(error.effect(), Effect::NotSent);
    assert!(lab.seen("organization").await.is_empty());
    client.probe().await.unwrap();
    lab.end().await;
}

#[tokio::test]
async fn permissions_taken_back_show_in_the_token_and_as_403() {
    let lab = Lab::start().await;
    lab.fault("token", 1, json!({ "type": "token", "withoutRoles": true })).await;
    let client = lab.tenant();
    assert!(client.token_info().await.unwrap().roles.is_empty());
    let error = client.licensed_users().next().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Forbidden);
    assert_eq!(error.refusal().unwrap().code, "Authorization_RequestDenied");
    let error = client.user_configurations().next().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Forbidden);
    lab.end().await;
}

#[tokio::test]
async fn refusals_of_login_are_told_apart() {
    let lab = Lab::start().await;
    let kind_of = async |tenant: Uuid, secret: &str| {
        let mut config = lab.config();
        config.credential = AppCredential::Secret(secret.into());
        match graph(config).tenant(tenant).probe().await.unwrap_err().class() {
            ErrorClass::Token(kind) => kind,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(kind_of(TENANT, "wrong").await, TokenErrorKind::OwnCredential);
    assert_eq!(kind_of(Uuid::from_u128(7), SECRET).await, TokenErrorKind::TenantGone);
    for (code, error, status, kind) in [
        (53003, "invalid_grant", 400, TokenErrorKind::Policy),
        (65001, "invalid_grant", 400, TokenErrorKind::Grant),
        (700_016, "unauthorized_client", 400, TokenErrorKind::Grant),
        (999_999, "something_new", 400, TokenErrorKind::Other),
    ] {
        let action = json!({ "type": "tokenError", "code": code, "error": error, "status": status });
        lab.fault("token", 1, action).await;
        assert_eq!(kind_of(TENANT, SECRET).await, kind, "{code}");
    }
    lab.delete(&format!("tenants/{TENANT}/consent?appId={APP}")).await;
    assert_eq!(kind_of(TENANT, SECRET).await, TokenErrorKind::Grant);
    lab.end().await;
}

#[tokio::test]
async fn passing_trouble_of_login_is_waited_out() {
    let lab = Lab::start().await;
    for action in [
        json!({ "type": "tokenError", "code": 90033, "error": "temporarily_unavailable", "status": 503 }),
        json!({ "type": "html", "status": 502 }),
        json!({ "type": "html" }),
        json!({ "type": "drop" }),
    ] {
        lab.fault("token", 1, action).await;
        lab.tenant().probe().await.unwrap();
    }
    lab.fault("token", 99, json!({ "type": "html" })).await;
    let error = lab.tenant().probe().await.unwrap_err();
    assert!(matches!(error, GraphError::Token { source: TokenError::Unreadable, .. }), "{error:?}");
    lab.end().await;
}

/// As in production: https for login and Graph alike, a certificate for the app.
#[tokio::test]
async fn over_tls_with_a_private_authority() {
    let folder = tempfile::tempdir().unwrap();
    make_cert(folder.path()).unwrap();
    let file = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let sim = Sim::start(SimConfig {
        tls: Some((folder.path().join("tls-cert.pem"), folder.path().join("tls-key.pem"))),
        world: Some(World {
            apps: vec![AppSpec {
                app_id: APP,
                certificates: vec![file("app-cert.pem")],
                ..AppSpec::default()
            }],
            tenants: vec![TenantSpec {
                tid: Some(TENANT),
                consents: vec![ConsentSpec { app_id: APP, ..ConsentSpec::default() }],
                ..TenantSpec::default()
            }],
            ..World::default()
        }),
        ..SimConfig::default()
    })
    .await
    .unwrap();
    let base: url::Url = sim.base_url().parse().unwrap();
    assert_eq!(base.scheme(), "https");
    let credential = AppCredential::Certificates(vec![CertificatePem {
        cert_pem: file("app-cert.pem"),
        key_pem: file("app-key.pem").into(),
    }]);
    let mut config = GraphConfig::new(base.clone(), base, APP.to_string(), credential);
    config.retry.times = 0;
    let stranger = graph(config.clone()).tenant(TENANT).probe().await.unwrap_err();
    assert_eq!(stranger.effect(), Effect::NotSent, "an unknown authority is refused: {stranger:?}");
    config.extra_root_pem = Some(file("ca.pem"));
    graph(config).tenant(TENANT).probe().await.unwrap();
    sim.shutdown().await;
}
