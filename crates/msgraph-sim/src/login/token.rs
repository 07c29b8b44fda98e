//! The token endpoint: which grant, and the client credentials grant.

use serde_json::json;

use super::client::{self, Form, required};
use super::errors::LoginError;
use super::tokens::{self, Claims, GRAPH, token_id};
use super::{Asked, redeem, refresh};
use crate::clock::Now;
use crate::reply::Reply;
use crate::state::State;
use crate::util::lock;

/// The default entry of `wids` in tokens of applications.
const APP_WIDS: uuid::Uuid = uuid::uuid!("0997a1d0-0d1d-4acb-b408-d5ca73121e90");

/// Issues tokens or says why not.
pub(crate) fn grant(state: &State, asked: &Asked<'_>, tenant: &str, now: Now) -> Result<Reply, LoginError> {
    let form: Form = url::form_urlencoded::parse(asked.body).into_owned().collect();
    match required(&form, "grant_type")? {
        "client_credentials" => client_credentials(state, asked, tenant, &form, now),
        "authorization_code" => redeem::code(state, asked, tenant, &form, now),
        "refresh_token" => refresh::token(state, asked, tenant, &form, now),
        _ => {
            let text = "The app requested an unsupported grant type.";
            Err(LoginError::new(400, "unsupported_grant_type", 70_003, text))
        }
    }
}

/// The refusal of a tenant that does not exist.
pub(crate) fn no_tenant(name: &str) -> LoginError {
    let text = format!(
        "Tenant '{name}' not found. Check to make sure you have the correct tenant ID and are signing into the correct \
         cloud."
    );
    LoginError::request(90_002, text)
}

/// What to say when there is no key to sign with.
pub(crate) fn unavailable() -> LoginError {
    LoginError::new(
        503,
        "temporarily_unavailable",
        90_033,
        "A transient error has occurred. Please try again.",
    )
}

/// Forbids caches to keep an answer with tokens.
pub(crate) fn uncached(reply: Reply) -> Reply {
    reply.with("Cache-Control", "no-store").with("Pragma", "no-cache")
}

fn client_credentials(
    state: &State,
    asked: &Asked<'_>,
    tenant: &str,
    form: &Form,
    now: Now,
) -> Result<Reply, LoginError> {
    let directory = state.tenant_named(tenant).ok_or_else(|| no_tenant(tenant))?;
    let client = required(form, "client_id")?;
    check_scope(required(form, "scope")?, asked.host)?;
    let app = client::registered(state, client, tenant)?;
    let settings = state.settings();
    let (tid, principal) = {
        let mut directory = lock(&directory);
        directory.advance(now, &settings);
        (directory.tid, directory.principals.get(&app.spec.app_id).cloned())
    };
    let Some(principal) = principal else {
        if settings.missing_principal_code == 700_016 {
            return Err(client::not_found(client, tenant));
        }
        let text =
            format!("The client application {client} is missing service principal in the tenant {tid}.");
        return Err(LoginError::client(7_000_229, text));
    };
    if !principal.enabled {
        return Err(client::disabled(&app));
    }
    let proof = client::authenticate(&app, form, asked.path, now)?;
    let change = &asked.change.access;
    let lifetime = change.lifetime_seconds.unwrap_or(settings.token_lifetime_seconds);
    let tid = change.tid.unwrap_or(tid);
    let roles = if change.without_roles { Vec::new() } else { principal.roles.iter().cloned().collect() };
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
        name: None,
        oid: principal.object_id,
        roles,
        scp: None,
        sub: principal.object_id.to_string(),
        tid,
        upn: None,
        uti: token_id(state.ids.uuid(), now),
        ver: "1.0".to_owned(),
        wids: vec![APP_WIDS],
    };
    let token = tokens::access(&state.keys, tid, &claims, change);
    let body = json!({
        "token_type": "Bearer",
        "expires_in": lifetime,
        "ext_expires_in": lifetime,
        "access_token": token.ok_or_else(unavailable)?,
    });
    Ok(uncached(Reply::ok(body)))
}

/// Whether a resource named in a scope is Graph; this simulator's own address is one of its names.
pub(crate) fn is_graph(resource: &str, host: &str) -> bool {
    let bare = resource.trim_end_matches('/');
    bare.split_once("://").is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(host))
        || bare.eq_ignore_ascii_case(GRAPH)
        || bare == "00000003-0000-0000-c000-000000000000"
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
    if is_graph(resource, host) {
        return Ok(());
    }
    let text = format!("The resource principal named {resource} was not found in the tenant.");
    Err(LoginError::new(400, "invalid_resource", 500_011, text))
}
