//! Client assertions: signed with a registered certificate, or federated from another issuer.

use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

use super::errors::LoginError;
use crate::clock::Now;
use crate::model::apps::App;
use crate::util::from_b64url;

/// Clocks may differ by this much, as Entra allows.
const SKEW: f64 = 300.0;

/// Accepts an assertion or says why not. `path` is the path of the token endpoint: the host in `aud` is not
/// compared, since clients may know the endpoint under another name.
pub(crate) fn verify(app: &App, assertion: &str, path: &str, now: Now) -> Result<(), LoginError> {
    let malformed = || LoginError::new(400, "invalid_request", 50_027, "JWT token is invalid or malformed.");
    let assertion = Assertion::read(assertion).ok_or_else(malformed)?;
    let own = app.spec.app_id.to_string();
    if assertion.claims["iss"].as_str().is_some_and(|iss| iss.eq_ignore_ascii_case(&own)) {
        by_certificate(app, &assertion, path, now)
    } else {
        federated(app, &assertion, now)
    }
}

/// A JWT taken apart. Read by hand, because azure-identity for Python pads its base64url, which RFC 7515 forbids
/// and Entra takes.
struct Assertion<'a> {
    signed: &'a str,
    signature: &'a str,
    header: Value,
    claims: Value,
}

impl<'a> Assertion<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let json = |part: &str| serde_json::from_slice(&from_b64url(part)?).ok();
        let signature = signature.trim_end_matches('=');
        Some(Self { signed, signature, header: json(header)?, claims: json(claims)? })
    }

    fn named(&self, name: &str) -> Option<&str> {
        self.header[name].as_str()
    }

    fn signed_by(&self, key: &DecodingKey) -> bool {
        let algorithm = match self.named("alg") {
            Some("RS256") => Algorithm::RS256,
            Some("PS256") => Algorithm::PS256,
            Some("ES256") => Algorithm::ES256,
            _ => return false,
        };
        jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), key, algorithm).unwrap_or(false)
    }
}

fn by_certificate(app: &App, assertion: &Assertion<'_>, path: &str, now: Now) -> Result<(), LoginError> {
    let claims = &assertion.claims;
    let unknown = || {
        let name = &app.spec.display_name;
        let text = format!(
            "The certificate with identifier used to sign the client assertion is not registered on application \
             '{name}', or the signature does not match. Reason: the key was not found."
        );
        LoginError::client(700_027, text)
    };
    let named = ["x5t#S256", "x5t", "kid"].into_iter().find_map(|name| assertion.named(name));
    let wanted = named.map(|print| print.trim_end_matches('='));
    let matches = |prints: &Option<[String; 2]>| match (prints, wanted) {
        (Some(prints), Some(wanted)) => prints.iter().any(|p| p == wanted),
        (None, _) => true,
        (Some(_), None) => false,
    };
    let mut candidates = app.keys.iter().filter(|k| matches(&k.thumbprints));
    if !candidates.any(|k| assertion.signed_by(&k.key)) {
        return Err(unknown());
    }
    if claims["sub"] != claims["iss"] {
        let text = "Client assertion application identifier doesn't match 'client_id' parameter.";
        return Err(LoginError::client(700_021, text));
    }
    let audience = claims["aud"].as_str().and_then(|aud| url::Url::parse(aud).ok());
    if !audience.is_some_and(|aud| aud.path().eq_ignore_ascii_case(path)) {
        let text = "Client assertion audience claim does not match Realm issuer.";
        return Err(LoginError::client(700_023, text));
    }
    if claims["jti"].as_str().is_none_or(str::is_empty) {
        return Err(LoginError::client(700_027, "Client assertion contains no 'jti' claim."));
    }
    in_time(claims, now)
}

fn federated(app: &App, assertion: &Assertion<'_>, now: Now) -> Result<(), LoginError> {
    let claims = &assertion.claims;
    let text = |name: &str| claims[name].as_str().unwrap_or_default();
    let record = app.federated.iter().find(|f| f.spec.issuer == text("iss") && f.spec.subject == text("sub"));
    let Some(record) = record else {
        let text = format!(
            "No matching federated identity record found for presented assertion. Assertion Issuer: '{}'. \
             Assertion Subject: '{}'.",
            text("iss"),
            text("sub")
        );
        return Err(LoginError::request(70_021, text));
    };
    let audience = match &claims["aud"] {
        Value::Array(all) => all.iter().any(|a| a == record.spec.audience.as_str()),
        one => one == record.spec.audience.as_str(),
    };
    if !audience {
        let text = "No matching federated identity record found for presented assertion audience.";
        return Err(LoginError::request(70_021, text));
    }
    let kid = assertion.named("kid");
    let fits = |id: &Option<String>| id.is_none() || kid.is_none() || id.as_deref() == kid;
    if !record.keys.iter().any(|(id, key)| fits(id) && assertion.signed_by(key)) {
        return Err(LoginError::client(700_027, "Client assertion failed signature validation."));
    }
    in_time(claims, now)
}

fn in_time(claims: &Value, now: Now) -> Result<(), LoginError> {
    // NumericDate may have a fraction (RFC 7519), and msal sends one
    let at = now.unix() as f64;
    let good = claims["exp"].as_f64().is_some_and(|exp| exp + SKEW > at)
        && claims["nbf"].as_f64().is_none_or(|nbf| nbf - SKEW <= at);
    if good {
        return Ok(());
    }
    let text =
        "Client assertion is not within its valid time range. Check the clock of the machine that made it.";
    Err(LoginError::client(700_024, text))
}
