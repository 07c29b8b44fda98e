//! Whether an id token proves who signed in: a pure function of token, keys, expectation and time.
//!
//! RS256 only; the key is looked up by its name among the published ones and may sign for its own issuer only; issuer,
//! audience, nonce and tenant are compared exactly. Nothing that the token itself says about keys is believed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::Value;
use tandem_domain::{ObjectId, TenantId};
use tandem_graph::PublishedKey;
use time::OffsetDateTime;
use uuid::Uuid;

/// How far clocks may differ, in seconds.
const LEEWAY: i64 = 60;

/// What a token has to say to be believed.
#[derive(Clone, Debug)]
pub(crate) struct Expected<'a> {
    /// Our client id.
    pub(crate) client_id: &'a str,
    /// The issuer that Microsoft login names, with `{tenantid}` where it leaves the tenant open.
    pub(crate) issuer: &'a str,
    /// The nonce that went out.
    pub(crate) nonce: &'a str,
    /// The time.
    pub(crate) now: OffsetDateTime,
}

/// Who signed in, as the token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) tenant: TenantId,
    pub(crate) oid: ObjectId,
    /// For display; it proves nothing.
    pub(crate) name: String,
    /// The person belongs to another organisation.
    pub(crate) guest: bool,
    /// Templates of directory roles; `None` where the token says nothing usable about roles.
    pub(crate) roles: Option<Vec<String>>,
}

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenFault {
    Malformed,
    Algorithm,
    OwnKey,
    KeyUnknown,
    KeyIssuer,
    Signature,
    Issuer,
    Audience,
    Nonce,
    Time,
    Kind,
}

impl TokenFault {
    /// The stable code.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Malformed => "id_token_malformed",
            Self::Algorithm => "id_token_algorithm",
            Self::OwnKey => "id_token_own_key",
            Self::KeyUnknown => "id_token_key_unknown",
            Self::KeyIssuer => "id_token_key_issuer",
            Self::Signature => "id_token_signature",
            Self::Issuer => "id_token_issuer",
            Self::Audience => "id_token_audience",
            Self::Nonce => "id_token_nonce",
            Self::Time => "id_token_time",
            Self::Kind => "id_token_kind",
        }
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    jku: Option<Value>,
    jwk: Option<Value>,
    x5u: Option<Value>,
    x5c: Option<Value>,
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Value,
    tid: String,
    oid: String,
    exp: i64,
    nbf: Option<i64>,
    iat: Option<i64>,
    ver: Option<String>,
    nonce: Option<String>,
    preferred_username: Option<String>,
    name: Option<String>,
    wids: Option<Value>,
    /// 1 for a guest.
    acct: Option<Value>,
    /// The issuer that the person belongs to, where it is another one.
    idp: Option<String>,
    /// Access tokens have these two; id tokens do not.
    scp: Option<Value>,
    appid: Option<Value>,
}

/// The name of the key that a token says it was signed with; anything but RS256 with a published key is refused here.
pub(crate) fn key_name(token: &str) -> Result<String, TokenFault> {
    let header = token.split('.').next().unwrap_or_default();
    let json = URL_SAFE_NO_PAD.decode(header).map_err(|_| TokenFault::Malformed)?;
    let header: Header = serde_json::from_slice(&json).map_err(|_| TokenFault::Malformed)?;
    if header.alg != "RS256" {
        return Err(TokenFault::Algorithm);
    }
    if [&header.jku, &header.jwk, &header.x5u, &header.x5c, &header.crit].into_iter().any(Option::is_some) {
        return Err(TokenFault::OwnKey);
    }
    header.kid.filter(|kid| !kid.is_empty()).ok_or(TokenFault::KeyUnknown)
}

/// Who a token proves to have signed in. `keys` are the published ones.
pub(crate) fn validate(
    token: &str,
    keys: &[PublishedKey],
    expected: &Expected<'_>,
) -> Result<Identity, TokenFault> {
    let kid = key_name(token)?;
    let key = keys.iter().find(|key| key.kid.as_deref() == Some(kid.as_str()));
    let key = key.ok_or(TokenFault::KeyUnknown)?;
    let claims = signed(token, key)?;
    let tenant = Uuid::try_parse(&claims.tid).map_err(|_| TokenFault::Malformed)?;
    let oid = Uuid::try_parse(&claims.oid).map_err(|_| TokenFault::Malformed)?;
    let with_tenant = |issuer: &str| issuer.replace("{tenantid}", &tenant.to_string());
    if claims.iss != with_tenant(expected.issuer) || !claims.iss.contains(&format!("/{tenant}/")) {
        return Err(TokenFault::Issuer);
    }
    if key.issuer.as_deref().is_some_and(|issuer| with_tenant(issuer) != claims.iss) {
        return Err(TokenFault::KeyIssuer);
    }
    if claims.aud != expected.client_id {
        return Err(TokenFault::Audience);
    }
    if claims.scp.is_some() || claims.appid.is_some() || claims.ver.as_deref() != Some("2.0") {
        return Err(TokenFault::Kind);
    }
    if claims.nonce.as_deref() != Some(expected.nonce) {
        return Err(TokenFault::Nonce);
    }
    let now = expected.now.unix_timestamp();
    let early = [claims.nbf, claims.iat].into_iter().flatten().any(|from| from > now + LEEWAY);
    if early || claims.exp < now - LEEWAY {
        return Err(TokenFault::Time);
    }
    let elsewhere = claims.idp.as_deref().is_some_and(|idp| idp != claims.iss);
    let acct = claims.acct.as_ref().is_some_and(|acct| *acct == 1 || *acct == "1");
    let roles = claims.wids.and_then(|wids| serde_json::from_value::<Vec<String>>(wids).ok());
    Ok(Identity {
        tenant: TenantId(tenant),
        oid: ObjectId(oid),
        name: claims.preferred_username.or(claims.name).unwrap_or_else(|| oid.to_string()),
        guest: elsewhere || acct,
        roles,
    })
}

/// The claims, if this key signed them. Times are compared above, against the clock that is handed in.
fn signed(token: &str, key: &PublishedKey) -> Result<Claims, TokenFault> {
    let signs = key.kty == "RSA" && key.usage.as_deref().is_none_or(|usage| usage == "sig");
    let (Some(n), Some(e), true) = (&key.n, &key.e, signs) else { return Err(TokenFault::KeyUnknown) };
    let decoding = DecodingKey::from_rsa_components(n, e).map_err(|_| TokenFault::KeyUnknown)?;
    let mut validation = Validation::new(Algorithm::RS256);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    jsonwebtoken::decode::<Claims>(token, &decoding, &validation).map(|data| data.claims).map_err(|error| {
        match error.kind() {
            jsonwebtoken::errors::ErrorKind::InvalidSignature => TokenFault::Signature,
            _ => TokenFault::Malformed,
        }
    })
}

#[cfg(test)]
mod tests;
