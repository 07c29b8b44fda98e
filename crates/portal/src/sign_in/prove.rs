//! From the code that a browser brings back to who signed in: redeemed, validated, nothing kept yet.

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tandem_consent::Secret;
use tandem_consent::id_token::{self, Expected, TokenFault};
use tandem_graph::PublishedKey;
use tandem_store::portal::people::{Issuer, Proved};
use uuid::{Uuid, uuid};

use super::claims::{self, Given};
use crate::App;
use crate::fault::Fault;

/// Template of the role Global Administrator.
const GLOBAL_ADMINISTRATOR: Uuid = uuid!("62e90394-69f5-4237-9190-012177145e10");

/// Who signed in.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) issuer: Issuer,
    pub(crate) proved: Proved,
    pub(crate) name: String,
    /// Microsoft showed the directory role Global Administrator.
    pub(crate) global_admin: bool,
    /// What the provider's claims give.
    pub(crate) given: Given,
}

fn bad(fault: TokenFault) -> Fault {
    Fault::SignIn(fault.code())
}

pub(super) async fn prove(
    app: &App,
    issuer: Issuer,
    browser: &Secret,
    state: &str,
    code: &SecretString,
) -> Result<Arrival, Fault> {
    let discovery = app.discovery(issuer).await?;
    let (verifier, nonce) = (browser.derive("verifier", state), browser.derive("nonce", state));
    let (at, redirect, jwks) = (&discovery.token_endpoint, app.back(issuer), &discovery.jwks_uri);
    let now = app.clock.now();
    let expected =
        |client_id| Expected { client_id, issuer: &discovery.issuer, nonce: nonce.expose_secret(), now };
    match (issuer, &app.microsoft, &app.provider) {
        (Issuer::Microsoft, Some(microsoft), _) => {
            let token = microsoft.redeem(at, code, &verifier, &redirect).await?.id_token;
            let kid = id_token::key_name(token.expose_secret()).map_err(bad)?;
            let keys = app.keys.with(jwks, &kid, microsoft.keys(jwks)).await?;
            let expected = expected(&microsoft.config().client_id);
            let identity = id_token::validate(token.expose_secret(), &keys, &expected).map_err(bad)?;
            if identity.guest {
                return Err(Fault::SignIn("guest_account"));
            }
            let role = |role: &String| Uuid::try_parse(role).is_ok_and(|role| role == GLOBAL_ADMINISTRATOR);
            Ok(Arrival {
                issuer,
                proved: Proved::Microsoft(identity.tenant, identity.oid),
                name: identity.name,
                global_admin: identity.roles.iter().flatten().any(role),
                given: Given::default(),
            })
        }
        (Issuer::Provider, _, Some(provider)) => {
            let token = provider.redeem(at, code, &verifier, &redirect).await?;
            let kid = id_token::key_name(token.expose_secret()).map_err(bad)?;
            let keys = app.keys.with(jwks, &kid, provider.keys(jwks)).await?;
            let expected = expected(&provider.config().client_id);
            let (subject, name, claims) =
                of_provider(token.expose_secret(), &keys, &expected).map_err(bad)?;
            let given = claims::read(&claims, &app.claims);
            let proved = Proved::Provider { subject, operator: given.operator };
            Ok(Arrival { issuer, proved, name, global_admin: false, given })
        }
        _ => Err(Fault::SignInOff),
    }
}

/// Whether a token of the provider's issuer proves who signed in (OpenID Connect Core 1.0, section 3.1.3.7): subject,
/// name for display, and all claims.
fn of_provider(
    token: &str,
    keys: &[PublishedKey],
    expected: &Expected<'_>,
) -> Result<(String, String, Value), TokenFault> {
    let (claims, _): (Value, _) = id_token::verified(token, keys)?;
    let text = |name: &str| claims[name].as_str().filter(|text| !text.is_empty());
    if text("iss") != Some(expected.issuer) {
        return Err(TokenFault::Issuer);
    }
    let ours = match &claims["aud"] {
        Value::String(audience) => audience == expected.client_id,
        Value::Array(list) => match list.as_slice() {
            [only] => *only == expected.client_id,
            // a token for several is good where it says that it was made for us
            several => {
                several.iter().any(|one| *one == expected.client_id)
                    && text("azp") == Some(expected.client_id)
            }
        },
        _ => false,
    };
    if !ours {
        return Err(TokenFault::Audience);
    }
    if text("nonce") != Some(expected.nonce) {
        return Err(TokenFault::Nonce);
    }
    let seconds = |name: &str| claims[name].as_i64();
    let until = seconds("exp").ok_or(TokenFault::Malformed)?;
    if !id_token::in_time(expected.now, &[seconds("nbf"), seconds("iat")], until) {
        return Err(TokenFault::Time);
    }
    let subject = text("sub").ok_or(TokenFault::Malformed)?.to_owned();
    let name =
        ["name", "preferred_username", "email"].into_iter().find_map(text).unwrap_or(&subject).to_owned();
    Ok((subject, name, claims))
}

/// A name as it is kept: one line, not without end.
pub(super) fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(200).collect()
}
