//! Tokens of a person: ID token, access token, refresh token.

use aws_lc_rs::digest;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::client::Form;
use super::codes::Grant;
use super::errors::LoginError;
use super::keys::CONSUMERS;
use super::people::refuse_disabled;
use super::token::{unavailable, uncached};
use super::tokens::{self, Claims, GRAPH, token_id};
use super::{Asked, client, id_token};
use crate::clock::Now;
use crate::model::apps::App;
use crate::model::roles;
use crate::model::users::User;
use crate::reply::Reply;
use crate::state::State;
use crate::util::{b64url, lock};
use crate::world::MembershipClaims;

/// What tokens are issued for.
pub(crate) struct Issue<'a> {
    pub(crate) app: &'a App,
    pub(crate) grant: &'a Grant,
    pub(crate) nonce: Option<String>,
    /// `appidacr`
    pub(crate) proof: &'static str,
    pub(crate) form: &'a Form,
}

/// Issues the tokens of a grant, if its person may still sign in.
pub(crate) fn issue(
    state: &State,
    asked: &Asked<'_>,
    issue: &Issue<'_>,
    now: Now,
) -> Result<Reply, LoginError> {
    let Issue { app, grant, .. } = issue;
    let gone = || LoginError::new(400, "invalid_grant", 50_034, "The user account does not exist.");
    let directory = state.tenant(grant.tid).ok_or_else(gone)?;
    let user = {
        let directory = lock(&directory);
        if directory.principals.get(&app.spec.app_id).is_some_and(|p| !p.enabled) {
            return Err(client::disabled(app));
        }
        directory.users.get(&grant.oid.to_string()).cloned().ok_or_else(gone)?
    };
    refuse_disabled(&user)?;
    let settings = state.settings();
    let change = &asked.change.access;
    let lifetime = change.lifetime_seconds.unwrap_or(settings.token_lifetime_seconds);
    let uti = token_id(state.ids.uuid(), now);
    let access = access_claims(issue, &user, change.tid.unwrap_or(grant.tid), lifetime, uti.clone(), now);
    let access = tokens::access(&state.keys, grant.tid, &access, change);
    let mut body = json!({
        "token_type": "Bearer",
        "scope": grant.scopes.answered(),
        "expires_in": lifetime,
        "ext_expires_in": lifetime,
        "access_token": access.ok_or_else(unavailable)?,
    });
    if grant.scopes.openid() {
        let claims = id_claims(issue, &user, asked.base, &uti, now);
        let token = id_token::make(&state.keys, grant.tid, claims, &asked.change.id);
        body["id_token"] = json!(token.ok_or_else(unavailable)?);
        if asked.change.id.swap {
            let token = body["id_token"].take();
            body["id_token"] = std::mem::replace(&mut body["access_token"], token);
        }
    }
    if grant.scopes.offline {
        let text = format!("1.{}{}", state.ids.uuid().simple(), state.ids.uuid().simple());
        lock(&state.outstanding).add_refresh(text.clone(), (*grant).clone());
        body["refresh_token"] = json!(text);
    }
    if issue.form.get("client_info").is_some_and(|asked| asked == "1") {
        body["client_info"] = json!(b64url(json!({ "uid": user.id, "utid": grant.tid }).to_string()));
    }
    Ok(uncached(Reply::ok(body)))
}

/// `wids`: the person's directory roles, and the entry that every member has.
fn wids(user: &User) -> Vec<Uuid> {
    let default = (!user.guest()).then_some(roles::DEFAULT_USER);
    user.roles.iter().copied().chain(default).collect()
}

/// The identity provider of a person that another directory vouches for.
fn foreign_provider(user: &User) -> Option<String> {
    let home = user.spec.home_tenant?;
    Some(if home == CONSUMERS { "live.com".to_owned() } else { format!("https://sts.windows.net/{home}/") })
}

/// The subject: another one for each application.
fn subject(grant: &Grant) -> String {
    let name = format!("{} {} {}", grant.app, grant.tid, grant.oid);
    b64url(digest::digest(&digest::SHA256, name.as_bytes()))
}

fn access_claims(issue: &Issue<'_>, user: &User, tid: Uuid, lifetime: i64, uti: String, now: Now) -> Claims {
    let grant = issue.grant;
    let issuer = format!("https://sts.windows.net/{tid}/");
    Claims {
        aud: GRAPH.to_owned(),
        iss: issuer.clone(),
        iat: now.unix(),
        nbf: now.unix(),
        exp: now.unix() + lifetime,
        app_displayname: issue.app.spec.display_name.clone(),
        appid: issue.app.spec.app_id,
        appidacr: issue.proof.to_owned(),
        idp: foreign_provider(user).unwrap_or(issuer),
        idtyp: "user".to_owned(),
        name: user.spec.display_name.clone(),
        oid: user.id,
        roles: Vec::new(),
        scp: Some(grant.scopes.claim()),
        sub: subject(grant),
        tid,
        upn: Some(user.spec.user_principal_name.clone()),
        uti,
        ver: "1.0".to_owned(),
        wids: wids(user),
    }
}

fn id_claims(issue: &Issue<'_>, user: &User, base: &str, uti: &str, now: Now) -> Value {
    let Issue { app, grant, nonce, .. } = issue;
    let mut claims = Map::new();
    let mut add = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    add("aud", json!(app.spec.app_id));
    add("iss", json!(format!("{base}/{}/v2.0", grant.tid)));
    add("iat", json!(now.unix()));
    add("nbf", json!(now.unix()));
    add("exp", json!(now.unix() + 3600));
    add("oid", json!(user.id));
    add("sub", json!(subject(grant)));
    add("tid", json!(grant.tid));
    add("uti", json!(uti));
    add("ver", json!("2.0"));
    if grant.scopes.identity.contains("profile") {
        add("name", json!(user.spec.display_name));
        add("preferred_username", json!(user.spec.user_principal_name));
    }
    if let Some(nonce) = nonce {
        add("nonce", json!(nonce));
    }
    if let Some(provider) = foreign_provider(user) {
        add("idp", json!(provider));
    }
    let optional = |name: &str| app.spec.optional_claims.iter().any(|claim| claim == name);
    if grant.scopes.identity.contains("email") || optional("email") {
        add("email", json!(user.spec.mail));
    }
    if optional("acct") {
        add("acct", json!(u8::from(user.guest())));
    }
    if optional("auth_time") {
        add("auth_time", json!(grant.auth_time));
    }
    let shown = [MembershipClaims::DirectoryRole, MembershipClaims::All]
        .map(Some)
        .contains(&app.spec.group_membership_claims);
    let wids = wids(user);
    if shown && !wids.is_empty() {
        add("wids", json!(wids));
    }
    Value::Object(claims)
}
