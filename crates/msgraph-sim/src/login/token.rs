//! The token endpoint, client credentials grant.

use std::collections::HashMap;

use serde_json::json;
use uuid::Uuid;

use super::assertion;
use super::errors::LoginError;
use super::tokens::{self, Claims, GRAPH};
use crate::clock::Now;
use crate::reply::Reply;
use crate::state::State;
use crate::switchboard::faults::TokenChange;
use crate::util::{b64url, lock};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A token request as it arrived.
pub(crate) struct TokenRequest<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) path: &'a str,
    /// Host of this simulator, accepted as resource as well.
    pub(crate) host: &'a str,
    pub(crate) form: &'a HashMap<String, String>,
    pub(crate) change: &'a TokenChange,
}

/// Issues a token or says why not.
pub(crate) fn grant(state: &State, request: &TokenRequest<'_>, now: Now) -> Result<Reply, LoginError> {
    let tenant = state.tenant_named(request.tenant).ok_or_else(|| {
        let text = format!(
            "Tenant '{}' not found. Check to make sure you have the correct tenant ID and are signing into the \
             correct cloud.",
            request.tenant
        );
        LoginError::request(90_002, text)
    })?;
    let field = |name: &str| request.form.get(name).map(String::as_str);
    let required = |name: &'static str| {
        field(name).filter(|v| !v.is_empty()).ok_or_else(|| {
            let text = format!("The request body must contain the following parameter: '{name}'.");
            LoginError::request(900_144, text)
        })
    };
    if required("grant_type")? != "client_credentials" {
        let text = "The app requested an unsupported grant type.";
        return Err(LoginError::new(400, "unsupported_grant_type", 70_003, text));
    }
    let client = required("client_id")?;
    check_scope(required("scope")?, request.host)?;
    let not_found = || {
        let text = format!(
            "Application with identifier '{client}' was not found in the directory '{}'. This can happen if the \
             application has not been installed by the administrator of the tenant or consented to by any user in \
             the tenant.",
            request.tenant
        );
        LoginError::unauthorized(700_016, text)
    };
    let app = Uuid::try_parse(client).ok().and_then(|id| state.app(id)).ok_or_else(not_found)?;
    let settings = state.settings();
    let (tid, principal) = {
        let tenant = lock(&tenant);
        (tenant.tid, tenant.principals.get(&app.spec.app_id).cloned())
    };
    let Some(principal) = principal else {
        if settings.missing_principal_code == 700_016 {
            return Err(not_found());
        }
        let text =
            format!("The client application {client} is missing service principal in the tenant {tid}.");
        return Err(LoginError::client(7_000_229, text));
    };
    if !principal.enabled {
        let text = format!("Application '{client}'({}) is disabled.", app.spec.display_name);
        return Err(LoginError::unauthorized(7_000_112, text));
    }
    let proof = if let Some(secret) = field("client_secret") {
        if !app.spec.secrets.iter().any(|s| s == secret) {
            let text = format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret \
                 value, not the client secret ID, for a secret added to app '{client}'."
            );
            return Err(LoginError::client(7_000_215, text));
        }
        "1"
    } else {
        let assertion = field("client_assertion").ok_or_else(|| {
            let text = "The request body must contain the following parameter: 'client_assertion' or \
                        'client_secret'.";
            LoginError::client(7_000_218, text)
        })?;
        if field("client_assertion_type") != Some(JWT_BEARER) {
            return Err(LoginError::request(900_144, "The client assertion type is not supported."));
        }
        assertion::verify(&app, assertion, request.path, now)?;
        "2"
    };
    let unavailable = || {
        LoginError::new(
            503,
            "temporarily_unavailable",
            90_033,
            "A transient error has occurred. Please try again.",
        )
    };
    let key = state.key.get().ok_or_else(unavailable)?;
    let lifetime = request.change.lifetime_seconds.unwrap_or(settings.token_lifetime_seconds);
    let tid = request.change.tid.unwrap_or(tid);
    let roles =
        if request.change.without_roles { Vec::new() } else { principal.roles.iter().cloned().collect() };
    let issuer = format!("https://sts.windows.net/{tid}/");
    let claims = Claims {
        aud: GRAPH.to_owned(),
        iss: issuer.clone(),
        iat: now.unix(),
        nbf: now.unix(),
        exp: now.unix() + lifetime,
        app_displayname: app.spec.display_name.clone(),
        appid: app.spec.app_id,
        appidacr: proof.to_owned(),
        idp: issuer,
        idtyp: "app".to_owned(),
        oid: principal.object_id,
        roles,
        sub: principal.object_id,
        tid,
        uti: b64url(state.ids.uuid().as_bytes()),
        ver: "1.0".to_owned(),
        wids: vec!["0997a1d0-0d1d-4acb-b408-d5ca73121e90".to_owned()],
    };
    let token = tokens::sign(key, &claims).ok_or_else(unavailable)?;
    let body = json!({
        "token_type": "Bearer",
        "expires_in": lifetime,
        "ext_expires_in": lifetime,
        "access_token": token,
    });
    Ok(Reply::ok(body).with("Cache-Control", "no-store").with("Pragma", "no-cache"))
}

fn check_scope(scope: &str, host: &str) -> Result<(), LoginError> {
    let named = scope.split_whitespace().find_map(|s| s.strip_suffix("/.default"));
    let Some(resource) = named else {
        let text = format!(
            "The provided request must include a 'scope' input parameter. The provided value for the input \
             parameter 'scope' is not valid. The scope {scope} is not valid."
        );
        return Err(LoginError::new(400, "invalid_scope", 70_011, text));
    };
    let bare = resource.trim_end_matches('/');
    let own = bare.split_once("://").is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(host));
    if own || bare.eq_ignore_ascii_case(GRAPH) || bare == "00000003-0000-0000-c000-000000000000" {
        return Ok(());
    }
    let text = format!("The resource principal named {resource} was not found in the tenant.");
    Err(LoginError::new(400, "invalid_resource", 500_011, text))
}
