//! Bearer tokens of Graph requests.

use std::sync::Arc;

use axum::http::{HeaderMap, header};

use super::errors::GraphError;
use super::route::GraphRoute;
use crate::clock::Now;
use crate::login::tokens::{Claims, GRAPH};
use crate::model::Tenant;
use crate::state::State;

/// The claims of the token, whatever its time; for throttling and the request log.
pub(crate) fn claims(state: &State, headers: &HeaderMap) -> Result<Arc<Claims>, GraphError> {
    let value = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let token = match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => "",
    };
    if token.is_empty() {
        return Err(GraphError::unauthenticated("Access token is empty."));
    }
    let claims = state.key.get().and_then(|key| state.tokens.check(key, token));
    claims.ok_or_else(|| {
        GraphError::unauthenticated("InvalidAuthenticationToken: the signature of the token is not valid.")
    })
}

/// Time, audience, revocation and permission.
pub(crate) fn authorize(
    claims: &Claims,
    route: &GraphRoute,
    tenant: &Tenant,
    now: Now,
) -> Result<(), GraphError> {
    if claims.exp <= now.unix() {
        return Err(GraphError::unauthenticated("Lifetime validation failed, the token is expired."));
    }
    if claims.aud != GRAPH {
        return Err(GraphError::unauthenticated("Access token validation failure. Invalid audience."));
    }
    if claims.iat < tenant.tokens_valid_from {
        return Err(GraphError::revoked(tenant.tokens_valid_from));
    }
    let wanted = route.permissions();
    if wanted.is_empty() || claims.roles.iter().any(|role| wanted.contains(&role.as_str())) {
        return Ok(());
    }
    Err(GraphError::forbidden(route.teams(), wanted, route.kind()))
}
