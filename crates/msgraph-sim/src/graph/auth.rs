//! Bearer tokens of Graph requests.

use std::sync::Arc;

use axum::http::{HeaderMap, header};

use super::errors::GraphError;
use super::route::GraphRoute;
use crate::clock::Now;
use crate::login::tokens::{Claims, GRAPH};
use crate::model::{Tenant, roles};
use crate::settings::{Delegated, Settings};
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
    let claims = state.tokens.check(&state.keys, token);
    claims.ok_or_else(|| {
        GraphError::unauthenticated("InvalidAuthenticationToken: the signature of the token is not valid.")
    })
}

/// Time, audience, revocation, permission and, for people, directory role.
pub(crate) fn authorize(
    claims: &Claims,
    route: &GraphRoute,
    tenant: &Tenant,
    settings: &Settings,
    now: Now,
) -> Result<(), GraphError> {
    if claims.exp <= now.unix() {
        return Err(GraphError::unauthenticated("Lifetime validation failed, the token is expired."));
    }
    if claims.aud != GRAPH {
        return Err(GraphError::unauthenticated("Access token validation failure. Invalid audience."));
    }
    if claims.issued() <= tenant.tokens_revoked {
        return Err(GraphError::revoked(tenant.tokens_revoked / 1_000_000 + 1));
    }
    if claims.delegated() {
        return person(claims, route, tenant, &settings.delegated);
    }
    if route.personal() {
        let text = "/me request is only valid with delegated authentication flow.";
        return Err(GraphError::bad_request(text));
    }
    let wanted = route.permissions();
    if wanted.is_empty() || claims.roles.iter().any(|role| wanted.contains(&role.as_str())) {
        return Ok(());
    }
    Err(GraphError::forbidden(route.teams(), wanted, route.kind()))
}

fn person(
    claims: &Claims,
    route: &GraphRoute,
    tenant: &Tenant,
    settings: &Delegated,
) -> Result<(), GraphError> {
    let user = tenant.users.get(&claims.oid.to_string());
    if !user.is_some_and(|user| user.spec.account_enabled) {
        return Err(GraphError::unauthenticated("The user of the token is disabled or does not exist."));
    }
    let wanted: Vec<&str> = match route {
        GraphRoute::MyRoles { .. } => settings.membership_scopes.iter().map(String::as_str).collect(),
        _ => route.permissions().to_vec(),
    };
    let scopes = claims.scp.as_deref().unwrap_or_default();
    if !wanted.is_empty() && !scopes.split(' ').any(|scope| wanted.contains(&scope)) {
        return Err(GraphError::forbidden(route.teams(), &wanted, route.kind()));
    }
    if !route.teams() {
        return Ok(());
    }
    let roles = if route.mutating() { &settings.write_roles } else { &settings.read_roles };
    let held = |name: &String| roles::template(name).is_ok_and(|role| claims.wids.contains(&role));
    if roles.is_empty() || roles.iter().any(held) {
        return Ok(());
    }
    Err(GraphError::access_denied(route.kind()))
}
