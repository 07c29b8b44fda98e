//! Every way in which an id token can be wrong, with keys made here.

use jsonwebtoken::{EncodingKey, Header};
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::json;
use time::macros::datetime;

use super::*;

const LOGIN: &str = "https://login.example";
const TENANT: &str = "7e4a0000-0000-4000-8000-00000000aaaa";
const OTHER: &str = "7e4a0000-0000-4000-8000-00000000bbbb";
const PERSONAL: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
const APP: &str = "c0ffee00-0000-4000-8000-000000000002";
const NOW: OffsetDateTime = datetime!(2026-11-25 12:00 UTC);

struct Forge {
    sign: EncodingKey,
    published: PublishedKey,
}

impl Forge {
    fn new(kid: &str, issuer: Option<&str>) -> Self {
        let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let sign = EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).unwrap();
        let jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&sign, Algorithm::RS256).unwrap();
        let mut jwk = serde_json::to_value(&jwk).unwrap();
        jwk["kid"] = json!(kid);
        jwk["use"] = json!("sig");
        jwk["issuer"] = json!(issuer);
        Self { sign, published: serde_json::from_value(jwk).unwrap() }
    }

    fn token(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.sign).unwrap()
    }
}

fn header(kid: &str) -> Header {
    Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::RS256) }
}

fn issuer(tenant: &str) -> String {
    format!("{LOGIN}/{tenant}/v2.0")
}

fn claims() -> Value {
    let now = NOW.unix_timestamp();
    json!({
        "iss": issuer(TENANT), "aud": APP, "tid": TENANT, "oid": "0a0a0a0a-1111-4222-8333-444444444401",
        "sub": "pairwise", "ver": "2.0", "nonce": "the-nonce", "iat": now, "nbf": now, "exp": now + 3600,
        "preferred_username": "ana@customer.example", "wids": ["62e90394-69f5-4237-9190-012177145e10"],
    })
}

/// The claims with one of them replaced, or removed by a null.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

fn judge(token: &str, keys: &[&Forge]) -> Result<Identity, TokenFault> {
    let keys: Vec<PublishedKey> = keys.iter().map(|forge| forge.published.clone()).collect();
    let expected = Expected {
        client_id: APP,
        issuer: &format!("{LOGIN}/{{tenantid}}/v2.0"),
        nonce: "the-nonce",
        now: NOW,
    };
    validate(token, &keys, &expected)
}

#[test]
fn b60_b61_b62_b63_a_token_that_is_wrong_in_one_point_proves_nothing() {
    let forge = Forge::new("k1", Some(&format!("{LOGIN}/{{tenantid}}/v2.0")));
    let good = judge(&forge.token(&header("k1"), &claims()), &[&forge]).unwrap();
    assert_eq!(good.tenant.to_string(), TENANT);
    assert_eq!((good.name.as_str(), good.guest), ("ana@customer.example", false));
    assert_eq!(good.roles.map(|roles| roles.len()), Some(1));

    use TokenFault::{Audience, Issuer, Kind, Malformed, Nonce, Time};
    let now = NOW.unix_timestamp();
    for (name, value, expected) in [
        // B61
        ("iss", json!(issuer(OTHER)), Issuer),
        ("tid", json!(OTHER), Issuer),
        ("iss", json!(format!("{}/", issuer(TENANT))), Issuer),
        ("iss", json!(issuer(TENANT).replace("https", "http")), Issuer),
        ("iss", json!(format!("https://login.other.example/{TENANT}/v2.0")), Issuer),
        ("iss", json!(format!("{LOGIN}/{{tenantid}}/v2.0")), Issuer),
        ("iss", json!(format!("https://sts.windows.net/{TENANT}/")), Issuer),
        ("tid", json!("{tenantid}"), Malformed),
        ("tid", Value::Null, Malformed),
        ("oid", Value::Null, Malformed),
        // B62
        ("aud", json!("c0ffee00-0000-4000-8000-000000000009"), Audience),
        ("aud", json!([APP]), Audience),
        ("aud", json!("https://graph.microsoft.com"), Audience),
        ("nonce", Value::Null, Nonce),
        ("nonce", json!("another"), Nonce),
        ("exp", json!(now - 61), Time),
        ("nbf", json!(now + 61), Time),
        ("iat", json!(now + 61), Time),
        // B63
        ("scp", json!("User.Read"), Kind),
        ("appid", json!(APP), Kind),
        ("ver", json!("1.0"), Kind),
    ] {
        let token = forge.token(&header("k1"), &with(name, value.clone()));
        assert_eq!(judge(&token, &[&forge]).unwrap_err(), expected, "{name} {value}");
    }
    for (name, value) in [("exp", json!(now - 60)), ("nbf", json!(now + 60)), ("nbf", Value::Null)] {
        let token = forge.token(&header("k1"), &with(name, value.clone()));
        assert!(judge(&token, &[&forge]).is_ok(), "clocks may differ by a minute: {name} {value}");
    }
}

#[test]
fn b60_only_published_keys_of_the_right_issuer_count() {
    use TokenFault::{Algorithm, KeyIssuer, KeyUnknown, Malformed, OwnKey, Signature};
    let forge = Forge::new("k1", Some(&issuer(TENANT)));
    let consumer = Forge::new("k2", Some(&issuer(PERSONAL)));
    let bare = Forge::new("k3", None);
    let keys = [&forge, &consumer, &bare];
    assert!(judge(&bare.token(&header("k3"), &claims()), &keys).is_ok(), "the entry is optional");
    // the right name, another key
    assert_eq!(judge(&bare.token(&header("k1"), &claims()), &keys).unwrap_err(), Signature);
    // a key that may sign for personal accounts signs for a work account
    assert_eq!(judge(&consumer.token(&header("k2"), &claims()), &keys).unwrap_err(), KeyIssuer);
    assert_eq!(judge(&forge.token(&header("k9"), &claims()), &keys).unwrap_err(), KeyUnknown);
    assert_eq!(
        judge(&forge.token(&Header::new(jsonwebtoken::Algorithm::RS256), &claims()), &keys).unwrap_err(),
        KeyUnknown
    );
    let cut =
        Forge { sign: forge.sign.clone(), published: PublishedKey { n: None, ..forge.published.clone() } };
    assert_eq!(judge(&forge.token(&header("k1"), &claims()), &[&cut]).unwrap_err(), KeyUnknown);
    let encrypts = PublishedKey { usage: Some("enc".to_owned()), ..forge.published.clone() };
    let encrypts = Forge { sign: forge.sign.clone(), published: encrypts };
    assert_eq!(judge(&forge.token(&header("k1"), &claims()), &[&encrypts]).unwrap_err(), KeyUnknown);

    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let unsigned = |header: Value| format!("{}.{}.", part(&header), part(&claims()));
    assert_eq!(judge(&unsigned(json!({ "alg": "none", "kid": "k1" })), &keys).unwrap_err(), Algorithm);
    assert_eq!(judge(&unsigned(json!({ "alg": "None", "kid": "k1" })), &keys).unwrap_err(), Algorithm);
    assert_eq!(judge(&unsigned(json!({ "alg": "RS256", "kid": "k1" })), &keys).unwrap_err(), Signature);
    // HS256 with the public key as its secret
    let public = forge.published.n.clone().unwrap();
    let secret = EncodingKey::from_secret(public.as_bytes());
    let hs = Header { kid: Some("k1".to_owned()), ..Header::new(jsonwebtoken::Algorithm::HS256) };
    assert_eq!(judge(&jsonwebtoken::encode(&hs, &claims(), &secret).unwrap(), &keys).unwrap_err(), Algorithm);
    for own in ["jku", "jwk", "x5u", "x5c", "crit"] {
        let token = unsigned(json!({ "alg": "RS256", "kid": "k1", own: ["https://evil.example/keys"] }));
        assert_eq!(judge(&token, &keys).unwrap_err(), OwnKey, "{own}");
    }
    for broken in ["", "a", "a.b.c", "e30.e30.e30", "....", &forge.token(&header("k1"), &claims())[1..]] {
        assert_eq!(judge(broken, &keys).unwrap_err(), Malformed, "{broken}");
    }
}

#[test]
fn b64_guests_and_unusable_roles_are_seen() {
    let forge = Forge::new("k1", None);
    let read = |claims: Value| judge(&forge.token(&header("k1"), &claims), &[&forge]).unwrap();
    assert!(read(with("acct", json!(1))).guest);
    assert!(!read(with("acct", json!(0))).guest);
    assert!(read(with("idp", json!(format!("https://sts.windows.net/{OTHER}/")))).guest);
    assert_eq!(read(with("wids", Value::Null)).roles, None);
    assert_eq!(read(with("wids", json!("62e90394-69f5-4237-9190-012177145e10"))).roles, None);
    assert_eq!(read(with("wids", json!([1]))).roles, None);
    assert_eq!(read(with("wids", json!([]))).roles, Some(vec![]));
}
