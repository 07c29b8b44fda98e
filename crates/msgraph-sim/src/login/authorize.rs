//! The authorization endpoint: a person is picked, a code goes back.

use std::collections::BTreeSet;

use super::codes::{Challenge, Code, Grant};
use super::errors::LoginError;
use super::front::{Choice, Front, Stop, problem, refusal};
use super::people::{self, Person};
use super::redirect::{Mode, Platform};
use super::scopes::{self, Scopes};
use super::{Asked, client, pages};
use crate::clock::Now;
use crate::model::roles;
use crate::reply::Reply;
use crate::state::State;
use crate::util::lock;
use crate::world::Pkce;

/// Answers a request of the browser: the page to pick a person from, or the way back to the application.
pub(crate) fn answer(state: &State, asked: &Asked<'_>, tenant: &str, now: Now) -> Reply {
    let front = match Front::read(state, asked, tenant) {
        Ok(front) => front,
        Err(error) => return problem(&error, asked, now),
    };
    let Some(mode) = Mode::parse(front.param("response_mode")) else {
        let text = "The response_mode of the request is not supported.";
        return front.back(Mode::Query, refusal(&LoginError::request(90_023, text), asked, now));
    };
    match step(state, asked, &front, mode, now) {
        Ok(reply) => reply,
        Err(Stop::Back(error)) => front.back(mode, refusal(&error, asked, now)),
        Err(Stop::Again(error)) => pages::sign_in(state, asked, &front, Some(&error)),
    }
}

fn step(state: &State, asked: &Asked<'_>, front: &Front, mode: Mode, now: Now) -> Result<Reply, Stop> {
    let wish = Wish::read(asked, front).map_err(Stop::Back)?;
    if let Some(error) = &asked.change.error {
        return Err(Stop::Back(error.clone()));
    }
    let person = match (&front.choice, front.param("prompt")) {
        (Choice::Deny, _) => {
            let text = "User declined to consent to access the app.";
            return Err(Stop::Back(LoginError::new(400, "access_denied", 65_004, text)));
        }
        (Choice::Person(text), _) => people::find(state, front.place, text).map_err(Stop::Again)?,
        (Choice::None, Some("none")) => {
            let hinted = front.param("login_hint").map(|hint| people::find(state, front.place, hint));
            hinted.and_then(Result::ok).ok_or_else(|| {
                let text = "Session information is not sufficient for single-sign-on.";
                Stop::Back(LoginError::new(400, "login_required", 50_058, text))
            })?
        }
        (Choice::None, _) => return Ok(pages::sign_in(state, asked, front, None)),
    };
    let silent = front.param("prompt") == Some("none");
    if !person.enabled {
        let error = people::blocked();
        return Err(if silent { Stop::Back(error) } else { Stop::Again(error) });
    }
    let scopes = consent(state, front, &person, wish.scopes, silent, now).map_err(Stop::Back)?;
    let grant = Grant {
        app: front.app.spec.app_id,
        tid: person.tid,
        oid: person.oid,
        scopes,
        auth_time: now.unix(),
        public: front.platform == Platform::Public,
    };
    let code = Code {
        grant,
        redirect_uri: front.redirect_uri.clone(),
        nonce: front.params.get("nonce").cloned(),
        challenge: wish.challenge,
        issued: now.mono,
        redeemed: false,
    };
    let text = format!("1.{}{}", state.ids.uuid().simple(), state.ids.uuid().simple());
    lock(&state.outstanding).add_code(text.clone(), code);
    Ok(front.back(mode, vec![("code", text), ("session_state", state.ids.uuid().to_string())]))
}

/// What the application asks for.
struct Wish {
    scopes: Scopes,
    challenge: Option<Challenge>,
}

impl Wish {
    fn read(asked: &Asked<'_>, front: &Front) -> Result<Self, LoginError> {
        if client::required(&front.params, "response_type")? != "code" {
            let text = "The response_type of the request is not enabled for the application.";
            return Err(LoginError::new(400, "unsupported_response_type", 700_054, text));
        }
        let prompts = [None, Some("none"), Some("login"), Some("consent"), Some("select_account")];
        if !prompts.contains(&front.param("prompt")) {
            let text = "The value of the parameter 'prompt' is not valid.";
            return Err(LoginError::request(90_023, text));
        }
        let scopes = Scopes::parse(client::required(&front.params, "scope")?, asked.host)?;
        Ok(Self { scopes, challenge: challenge(front)? })
    }
}

fn challenge(front: &Front) -> Result<Option<Challenge>, LoginError> {
    let pkce = front.app.spec.pkce;
    let Some(text) = front.param("code_challenge") else {
        if pkce == Pkce::Optional {
            return Ok(None);
        }
        return Err(LoginError::request(
            9_002_325,
            "Proof Key for Code Exchange is required for authorization code redemption.",
        ));
    };
    // RFC 7636: the method is plain if it is left out
    let hashed = match front.param("code_challenge_method").unwrap_or("plain") {
        "S256" => true,
        "plain" if pkce != Pkce::S256 => false,
        other => {
            let text = format!("The value '{other}' of the parameter 'code_challenge_method' is not valid.");
            return Err(LoginError::request(90_023, text));
        }
    };
    if !(43..=128).contains(&text.len()) {
        return Err(LoginError::request(501_491, "Invalid size of Code_Challenge parameter."));
    }
    Ok(Some(Challenge { text: text.to_owned(), hashed }))
}

/// Settles which permissions the grant has; what is not allowed yet the person allows now, if that is his to do.
fn consent(
    state: &State,
    front: &Front,
    person: &Person,
    mut wanted: Scopes,
    silent: bool,
    now: Now,
) -> Result<Scopes, LoginError> {
    let app = &front.app;
    let gone = || LoginError::request(90_002, "The directory does not exist any more.");
    let tenant = state.tenant(person.tid).ok_or_else(gone)?;
    let mut tenant = lock(&tenant);
    tenant.advance(now, &state.settings());
    let principal = tenant.principals.get(&app.spec.app_id);
    if principal.is_some_and(|p| !p.enabled) {
        return Err(client::disabled(app));
    }
    let granted = principal.map(|p| p.delegated(person.oid)).unwrap_or_default();
    if wanted.default {
        wanted.graph.extend(app.spec.scopes.iter().cloned());
        wanted.graph.extend(granted.iter().cloned());
    }
    let missing: BTreeSet<String> = wanted.graph.difference(&granted).cloned().collect();
    if !missing.is_empty() && silent {
        let text = format!(
            "The user or administrator has not consented to use the application with ID '{}' named '{}'. Send an \
             interactive authorization request for this user and resource.",
            app.spec.app_id, app.spec.display_name
        );
        return Err(LoginError::new(400, "consent_required", 65_001, text));
    }
    if !roles::may_consent(&person.roles) && !missing.iter().all(|name| scopes::for_oneself(name)) {
        let text = format!(
            "An administrator of {} has set a policy that prevents you from granting {} the permissions it is \
             requesting. Contact an administrator, who can grant permissions to this app on your behalf.",
            person.tenant, app.spec.display_name
        );
        return Err(LoginError::new(400, "access_denied", 90_094, text));
    }
    // the first sign-in creates the service principal, without any application permission
    tenant.principal(app.spec.app_id).allow(person.oid, missing);
    Ok(wanted)
}
