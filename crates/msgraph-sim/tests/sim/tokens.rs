//! ID tokens, keys and access tokens that go wrong on command.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use msgraph_sim::DEMO_TENANT;
use serde_json::{Value, json};

use crate::client::Tester;
use crate::sign_in::{SignIn, claims};

const WHO: &str = "gale@contoso.example";

async fn spoilt(t: &Tester, mut action: Value) -> Value {
    action["type"] = json!("idToken");
    t.fault(json!({ "kind": "token", "times": 1, "action": action })).await;
    SignIn::new().tokens(t, WHO).await
}

fn header(token: &Value) -> Value {
    let text = token.as_str().unwrap().split('.').next().unwrap().to_owned();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

async fn keys(t: &Tester) -> JwkSet {
    serde_json::from_value(t.get(&format!("/{DEMO_TENANT}/discovery/v2.0/keys")).await.json).unwrap()
}

fn good(token: &Value, key: &DecodingKey) -> bool {
    let mut validation = Validation::new(Algorithm::RS256);
    validation.validate_aud = false;
    validation.validate_exp = false;
    jsonwebtoken::decode::<Value>(token.as_str().unwrap(), key, &validation).is_ok()
}

#[tokio::test]
async fn claims_and_header_are_patched_under_a_good_signature() {
    let t = Tester::start().await;
    let plain = claims(&SignIn::new().tokens(&t, WHO).await["id_token"]);
    let patch = json!({
        "claims": { "iss": format!("https://sts.windows.net/{DEMO_TENANT}/"), "wids": "one text", "nonce": null },
        "header": { "jku": "https://evil.example/keys", "x5t": null },
        "shift": { "exp": -3661, "nbf": 61 },
    });
    let token = spoilt(&t, patch).await["id_token"].clone();
    let id = claims(&token);
    assert_eq!((&id["wids"], id.get("nonce")), (&json!("one text"), None));
    assert!(id["iss"].as_str().unwrap().starts_with("https://sts.windows.net/"));
    let moved = |name: &str| id[name].as_i64().unwrap() - plain[name].as_i64().unwrap();
    assert!((-3661..-3600).contains(&moved("exp")) && (61..120).contains(&moved("nbf")), "{id}");
    let head = header(&token);
    assert_eq!((&head["jku"], head.get("x5t")), (&json!("https://evil.example/keys"), None));
    let set = keys(&t).await;
    let key = set.find(head["kid"].as_str().unwrap()).unwrap();
    assert!(good(&token, &DecodingKey::from_jwk(key).unwrap()), "the signature covers what was patched");
}

#[tokio::test]
async fn signatures_are_none_or_made_with_the_wrong_key() {
    let t = Tester::start().await;
    let none = spoilt(&t, json!({ "sign": "none" })).await["id_token"].clone();
    assert_eq!(header(&none)["alg"], "none");
    assert!(none.as_str().unwrap().ends_with('.'));

    // whoever takes the public key for a shared secret finds the signature good
    let confused = spoilt(&t, json!({ "sign": "publicKey" })).await["id_token"].clone();
    let head = header(&confused);
    assert_eq!(head["alg"], "HS256");
    let published = t.get(&format!("/{DEMO_TENANT}/discovery/v2.0/keys")).await.json["keys"][0].clone();
    assert_eq!(head["kid"], published["kid"]);
    let (text, signature) = confused.as_str().unwrap().rsplit_once('.').unwrap();
    let pem = public_pem(&published);
    let secret = hmac::Key::new(hmac::HMAC_SHA256, pem.as_bytes());
    hmac::verify(&secret, text.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();

    let stranger = spoilt(&t, json!({ "sign": "stranger", "embedKey": true })).await["id_token"].clone();
    let head = header(&stranger);
    assert!(keys(&t).await.find(head["kid"].as_str().unwrap()).is_none(), "an unknown kid");
    let own: Jwk = serde_json::from_value(head["jwk"].clone()).unwrap();
    assert!(good(&stranger, &DecodingKey::from_jwk(&own).unwrap()), "good by the key that it brings along");

    // the key of personal accounts is published with its own issuer, and signs for a work account
    let consumer = spoilt(&t, json!({ "sign": "consumer" })).await["id_token"].clone();
    let published = t.get(&format!("/{DEMO_TENANT}/discovery/v2.0/keys")).await.json;
    let kid = header(&consumer)["kid"].clone();
    let key = published["keys"].as_array().unwrap().iter().find(|k| k["kid"] == kid).unwrap();
    assert!(key["issuer"].as_str().unwrap().contains("9188040d-6c67-4c5b-b112-36a304b66dad"));
    assert_eq!(claims(&consumer)["tid"], json!(DEMO_TENANT));
}

/// SubjectPublicKeyInfo of an RSA key with the exponent 65537 and 2048 bits, as PEM.
fn public_pem(jwk: &Value) -> String {
    let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    assert_eq!((modulus.len(), &jwk["e"]), (256, &json!("AQAB")));
    let mut der = vec![
        0x30, 0x82, 0x01, 0x22, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01,
        0x05, 0x00, 0x03, 0x82, 0x01, 0x0f, 0x00, 0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00,
    ];
    der.extend_from_slice(&modulus);
    der.extend_from_slice(&[0x02, 0x03, 0x01, 0x00, 0x01]);
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|l| std::str::from_utf8(l).unwrap()).collect();
    // rcgen ends its lines as RFC 7468 recommends for any system
    let end = if cfg!(windows) { "\r\n" } else { "\n" };
    format!("-----BEGIN PUBLIC KEY-----{end}{}{end}-----END PUBLIC KEY-----{end}", lines.join(end))
}

#[tokio::test]
async fn id_token_and_access_token_change_places() {
    let t = Tester::start().await;
    let tokens = spoilt(&t, json!({ "swap": true })).await;
    assert_eq!(claims(&tokens["id_token"])["aud"], "https://graph.microsoft.com");
    assert_eq!(claims(&tokens["access_token"])["ver"], "2.0");
}

#[tokio::test]
async fn the_keys_are_gone_many_or_others() {
    let t = Tester::start().await;
    let kid = header(&SignIn::new().tokens(&t, WHO).await["id_token"])["kid"].clone();
    let answered = async |action: Value| {
        t.fault(json!({ "kind": "keys", "times": 1, "action": action })).await;
        keys(&t).await
    };
    assert!(answered(json!({ "type": "keys", "mode": "empty" })).await.keys.is_empty());
    let huge = answered(json!({ "type": "keys", "mode": "huge" })).await;
    assert_eq!(huge.keys.len(), 10_000);
    assert!(huge.find(kid.as_str().unwrap()).is_some(), "the real key is among them");
    let other = answered(json!({ "type": "keys", "mode": "other" })).await;
    assert!(other.keys.len() == 1 && other.find(kid.as_str().unwrap()).is_none());
}

#[tokio::test]
async fn access_tokens_are_patched() {
    let t = Tester::start().await;
    let action =
        json!({ "type": "token", "claims": { "oid": "0a0a0a0a-1111-4222-8333-4444444444ff", "wids": [] } });
    t.fault(json!({ "kind": "token", "times": 1, "action": action })).await;
    let access = claims(&SignIn::new().tokens(&t, WHO).await["access_token"]);
    assert_eq!(
        (&access["oid"], &access["wids"]),
        (&json!("0a0a0a0a-1111-4222-8333-4444444444ff"), &json!([]))
    );
}
