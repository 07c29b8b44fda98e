//! Bearer tokens: who somebody is without a browser, on the API alone.
//!
//! A token is `tandem_` and 256 random bits, of which the hash is kept. What it may is what its person may, read for each
//! request; the directory role Global Administrator shows in a sign-in alone, so no token carries it. An operator says in
//! a header why an account is looked into. A request that brings a token needs no form token: no browser adds one by itself.

use axum::http::{HeaderMap, header};
use secrecy::SecretString;
use tandem_consent::Secret;
use tandem_store::portal::tokens;
use time::{Duration, OffsetDateTime};

use crate::App;
use crate::acts;
use crate::fault::Fault;
use crate::guard::{By, Visitor};

/// What every token begins with.
const PREFIX: &str = "tandem_";
/// The header in which an operator says why.
const REASON: &str = "tandem-reason";
/// Uses within this time are noted once.
const TOUCH: Duration = Duration::minutes(1);

/// A token as it is shown once.
pub(crate) fn text(secret: &Secret) -> SecretString {
    format!("{PREFIX}{}", secret.text()).into()
}

/// Whether a request brings a token, or something in its place.
pub(crate) fn brought(headers: &HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION)
}

fn secret(headers: &HeaderMap) -> Option<Secret> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (all.next(), all.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.strip_prefix(PREFIX).filter(|_| scheme.eq_ignore_ascii_case("bearer"))?;
    Secret::parse(token)
}

/// Why, as an operator says it; texts beyond ASCII are sent as UTF-8.
fn reason(headers: &HeaderMap) -> Result<Option<String>, Fault> {
    let Some(value) = headers.get(REASON) else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes());
    let text = text.map_err(|_| Fault::BadInput("Tandem-Reason", "is not UTF-8"))?;
    acts::reason(text).map(|reason| Some(reason.to_owned()))
}

/// Whose token it is.
pub(crate) async fn visitor(app: &App, headers: &HeaderMap, now: OffsetDateTime) -> Result<Visitor, Fault> {
    let secret = secret(headers).ok_or(Fault::TokenRefused)?;
    let hash = secret.hash();
    let mut tx = app.store.begin("portal.bearer").await?;
    let found = tokens::find(&mut tx, &hash, now).await?.ok_or(Fault::TokenRefused)?;
    if found.used_at.is_none_or(|used| used + TOUCH < now) {
        tokens::touch(&mut tx, found.token, now).await?;
        tx.commit().await?;
    }
    Ok(Visitor {
        person: found.person,
        name: found.name,
        operator: found.operator,
        microsoft: found.microsoft,
        global_admin: false,
        by: By::Token { reason: reason(headers)? },
        mark: String::new(),
        paused: None,
    })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn b21_only_one_header_with_one_well_formed_token_counts() {
        let token = Secret::new().unwrap();
        let text = text(&token);
        let text = text.expose_secret();
        assert_eq!(text.len(), "tandem_".len() + 43);
        let found = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            secret(&headers).map(|secret| secret.hash())
        };
        let good = format!("Bearer {text}");
        assert_eq!(found(&[&good]), Some(token.hash()));
        assert_eq!(found(&[&good.replace("Bearer", "bearer")]), Some(token.hash()));
        for odd in [
            format!("Basic {text}"),
            format!("Bearer  {text}"),
            format!("Bearer {}", token.text()),
            format!("Bearer {text}x"),
            text.to_owned(),
            String::new(),
        ] {
            assert_eq!(found(&[&odd]), None, "{odd}");
        }
        assert_eq!(found(&[&good, &good]), None);
    }
}
