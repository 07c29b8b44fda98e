//! Whether an id token proves who signed in: a pure function of token, keys, expectation and time.
//!
//! RS256 only; the key is looked up by its name among the published ones and may sign for its own issuer only; issuer,
//! audience, nonce and tenant are compared exactly. Nothing that the token itself says about keys is believed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tandem_domain::{ObjectId, TenantId};
use tandem_graph::PublishedKey;
use time::OffsetDateTime;
use uuid::Uuid;

/// How far clocks may differ, in seconds.
const LEEWAY: i64 = 60;

/// What a token has to say to be believed.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    /// Our client id.
    pub client_id: &'a str,
    /// The issuer that Microsoft login names, with `{tenantid}` where it leaves the tenant open.
    pub issuer: &'a str,
    /// The nonce that went out.
    pub nonce: &'a str,
    /// The time.
    pub now: OffsetDateTime,
}

/// Who signed in, as the token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The tenant.
    pub tenant: TenantId,
    /// The object id.
    pub oid: ObjectId,
    /// For display; it proves nothing.
    pub name: String,
    /// The person belongs to another organisation.
    pub guest: bool,
    /// Templates of directory roles; `None` where the token says nothing usable about roles.
    pub roles: Option<Vec<String>>,
}

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// It cannot be read.
    Malformed,
    /// It is signed in another way than RS256.
    Algorithm,
    /// It brings a key of its own.
    OwnKey,
    /// Nobody has published its key.
    KeyUnknown,
    /// Its key is published for another issuer.
    KeyIssuer,
    /// The signature is wrong.
    Signature,
    /// It is of another issuer.
    Issuer,
    /// It is for somebody else.
    Audience,
    /// It answers another request.
    Nonce,
    /// It is too old, or not good yet.
    Time,
    /// It is no id token.
    Kind,
}

impl TokenFault {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
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
///
/// # Errors
/// [`TokenFault`]
pub fn key_name(token: &str) -> Result<String, TokenFault> {
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

/// Who a token of Microsoft's proves to have signed in. `keys` are the published ones.
///
/// # Errors
/// [`TokenFault`]
pub fn validate(token: &str, keys: &[PublishedKey], expected: &Expected<'_>) -> Result<Identity, TokenFault> {
    let (claims, key): (Claims, _) = verified(token, keys)?;
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
    if !in_time(expected.now, &[claims.nbf, claims.iat], claims.exp) {
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

/// The claims of any issuer's token, and the published key that signed them. Nothing of what they say is compared yet.
///
/// # Errors
/// [`TokenFault`]
pub fn verified<'k, T: DeserializeOwned>(
    token: &str,
    keys: &'k [PublishedKey],
) -> Result<(T, &'k PublishedKey), TokenFault> {
    let kid = key_name(token)?;
    let key = keys.iter().find(|key| key.kid.as_deref() == Some(kid.as_str()));
    let key = key.ok_or(TokenFault::KeyUnknown)?;
    Ok((signed(token, key)?, key))
}

/// Whether a token is good now, as far as its own times say.
#[must_use]
pub fn in_time(now: OffsetDateTime, from: &[Option<i64>], until: i64) -> bool {
    let now = now.unix_timestamp();
    until >= now - LEEWAY && from.iter().flatten().all(|from| *from <= now + LEEWAY)
}

/// The claims, if this key signed them. Times are compared above, against the clock that is handed in.
fn signed<T: DeserializeOwned>(token: &str, key: &PublishedKey) -> Result<T, TokenFault> {
    let signs = key.kty == "RSA" && key.usage.as_deref().is_none_or(|usage| usage == "sig");
    let (Some(n), Some(e), true) = (&key.n, &key.e, signs) else { return Err(TokenFault::KeyUnknown) };
    let decoding = DecodingKey::from_rsa_components(n, e).map_err(|_| TokenFault::KeyUnknown)?;
    let mut validation = Validation::new(Algorithm::RS256);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    jsonwebtoken::decode::<T>(token, &decoding, &validation).map(|data| data.claims).map_err(|error| {
        match error.kind() {
            jsonwebtoken::errors::ErrorKind::InvalidSignature => TokenFault::Signature,
            _ => TokenFault::Malformed,
        }
    })
}

#[cfg(test)]
mod tests;
