//! Signing in at one of two issuers, with code, PKCE S256, state and nonce, and signing out.
//!
//! Nonce and PKCE verifier are derived from a secret that only the browser's cookie holds; the database has its hash
//! beside that of the state, and the row is used once. The session that comes of it has a new id.

mod arrive;
mod claims;
mod prove;

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tandem_consent::{Secret, challenge};
use tandem_domain::audit::PROVIDER;
use tandem_graph::Discovery;
use tandem_store::portal::people::Issuer;
use tandem_store::portal::{audit, sessions};
use time::Duration;
use url::{Url, form_urlencoded};

use crate::App;
use crate::cookies::Cookie;
use crate::extract::Form;
use crate::fault::Fault;
use crate::guard::{By, Visitor};

/// How long the answer of an issuer is waited for.
const STATE_LIFE: Duration = Duration::minutes(10);
/// Where work accounts of any organisation sign in.
const ANY_ORGANISATION: &str = "organizations";

/// A path of ours to go on to; anything else leads home.
pub(crate) fn own_path(text: Option<&str>) -> &str {
    let own = |text: &&str| {
        text.len() <= 512
            && text.starts_with('/')
            && !text.starts_with("//")
            && text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
    };
    text.filter(own).unwrap_or("/")
}

fn see_other(to: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()
}

impl App {
    fn back(&self, issuer: Issuer) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("/signed-in/{}", issuer.as_str()));
        url
    }

    async fn discovery(&self, issuer: Issuer) -> Result<Discovery, Fault> {
        match (issuer, &self.microsoft, &self.provider) {
            (Issuer::Microsoft, Some(microsoft), _) => Ok(microsoft.discover(ANY_ORGANISATION).await?),
            (Issuer::Provider, _, Some(provider)) => Ok(provider.discover().await?),
            _ => Err(Fault::SignInOff),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BeginForm {
    next: Option<String>,
}

/// Sends a browser to an issuer.
pub(crate) async fn begin(
    State(app): State<Arc<App>>,
    Path(issuer): Path<String>,
    Form(form): Form<BeginForm>,
) -> Result<Response, Fault> {
    let issuer = Issuer::parse(&issuer).ok_or(Fault::NotFound)?;
    let discovery = app.discovery(issuer).await?;
    let (browser, state, now) = (Secret::new()?, Secret::new()?, app.clock.now());
    let mut tx = app.store.begin("portal.sign_in").await?;
    let new = sessions::NewSignIn {
        state: state.hash(),
        browser: browser.hash(),
        issuer,
        go_on: own_path(form.next.as_deref()),
        expires_at: now + STATE_LIFE,
    };
    sessions::expect(&mut tx, &new, now).await?;
    tx.commit().await?;
    let (client, scopes) = match (issuer, &app.microsoft, &app.provider) {
        (Issuer::Microsoft, Some(microsoft), _) => {
            (&microsoft.config().client_id, "openid profile".to_owned())
        }
        (Issuer::Provider, _, Some(provider)) => {
            let more: String = provider.config().scopes.iter().map(|scope| format!(" {scope}")).collect();
            (&provider.config().client_id, format!("openid{more}"))
        }
        _ => return Err(Fault::SignInOff),
    };
    let text = state.text();
    let verifier = browser.derive("verifier", &text);
    let mut url = discovery.authorization_endpoint;
    url.query_pairs_mut()
        .append_pair("client_id", client)
        .append_pair("response_type", "code")
        .append_pair("redirect_uri", app.back(issuer).as_str())
        .append_pair("scope", &scopes)
        .append_pair("state", &text)
        .append_pair("nonce", browser.derive("nonce", &text).expose_secret())
        .append_pair("code_challenge", &challenge(verifier.expose_secret()))
        .append_pair("code_challenge_method", "S256");
    if issuer == Issuer::Microsoft {
        // whoever is signed in to this browser by chance is not meant
        url.query_pairs_mut().append_pair("prompt", "select_account");
    }
    let cookie = [(header::SET_COOKIE, Cookie::SignIn.set(&app.base, &browser))];
    Ok((cookie, see_other(url.as_str())).into_response())
}

/// What came back with a browser, each parameter once.
struct Answer {
    state: Secret,
    code: SecretString,
}

fn answer(query: Option<&str>) -> Result<Answer, Fault> {
    let mut found: [Option<String>; 3] = [None, None, None];
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if let Some(at) = ["state", "code", "error"].iter().position(|known| *known == name)
            && found[at].replace(value.into_owned()).is_some()
        {
            return Err(Fault::SignIn("answer_ambiguous"));
        }
    }
    let [state, code, error] = found;
    let state = state.as_deref().and_then(Secret::parse).ok_or(Fault::SignIn("state_unknown"))?;
    match (code.filter(|code| !code.is_empty()), error) {
        (Some(code), None) => Ok(Answer { state, code: code.into() }),
        (Some(_), Some(_)) => Err(Fault::SignIn("answer_ambiguous")),
        (None, Some(_)) => Err(Fault::SignIn("sign_in_denied")),
        (None, None) => Err(Fault::SignIn("answer_incomplete")),
    }
}

/// Takes a browser back from an issuer. The answer comes by GET and writes: bound to state and cookie, and once.
pub(crate) async fn back(
    State(app): State<Arc<App>>,
    Path(issuer): Path<String>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Fault> {
    let issuer = Issuer::parse(&issuer).ok_or(Fault::NotFound)?;
    let ended = signed_in(&app, issuer, &headers, query.as_deref()).await;
    let result = ended.as_ref().map_or_else(Fault::code, |_| "signed_in");
    app.metrics.sign_in(issuer.as_str(), result);
    let (go_on, session) = ended?;
    let cookies = AppendHeaders([
        (header::SET_COOKIE, Cookie::SignIn.unset(&app.base)),
        (header::SET_COOKIE, Cookie::Session.set(&app.base, &session)),
    ]);
    Ok((cookies, see_other(&go_on)).into_response())
}

async fn signed_in(
    app: &App,
    issuer: Issuer,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Result<(String, Secret), Fault> {
    let browser = Cookie::SignIn.read(&app.base, headers)?.ok_or(Fault::SignIn("session_unknown"))?;
    let Answer { state, code } = answer(query)?;
    let now = app.clock.now();
    let mut tx = app.store.begin("portal.signed_in").await?;
    let known = sessions::take(&mut tx, &state.hash(), &browser.hash(), now).await?;
    tx.commit().await?;
    let known = known.filter(|known| known.issuer == issuer).ok_or(Fault::SignIn("state_unknown"))?;
    if !known.fresh {
        return Err(Fault::SignIn("state_expired"));
    }
    let text = state.text();
    let proved = prove::prove(app, issuer, &browser, &text, &code).await?;
    let before = Cookie::Session.read(&app.base, headers)?;
    let session = arrive::arrive(app, &proved, before.as_ref(), now).await?;
    Ok((known.go_on, session))
}

/// Ends the session of this browser.
pub(crate) async fn sign_out(State(app): State<Arc<App>>, visitor: Visitor) -> Result<Response, Fault> {
    let mut tx = app.store.begin_for("portal.sign_out", PROVIDER).await?;
    if let By::Session(session) = &visitor.by {
        sessions::close(&mut tx, session).await?;
    }
    audit::append(
        &mut tx,
        &audit::Entry {
            account: PROVIDER,
            at: app.clock.now(),
            person: Some(visitor.person),
            name: &visitor.name,
            act: "sign_out",
            allowed: true,
            subject: "",
            reason: "",
        },
    )
    .await?;
    tx.commit().await?;
    let cookie = [(header::SET_COOKIE, Cookie::Session.unset(&app.base))];
    Ok((cookie, see_other("/signed-out")).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b31_only_paths_of_ours_are_gone_on_to() {
        for good in ["/", "/accounts/alpha", "/accounts/alpha/jobs?type=auto"] {
            assert_eq!(own_path(Some(good)), good);
        }
        for bad in [
            "//evil.example",
            "/\\evil.example",
            "\\\\evil",
            "https:evil",
            "javascript:alert(1)",
            "",
            "/a b",
            "/\n",
        ] {
            assert_eq!(own_path(Some(bad)), "/", "{bad}");
        }
        assert_eq!(own_path(None), "/");
    }

    #[test]
    fn b58_an_answer_says_one_thing_once() {
        let state = Secret::new().unwrap().text();
        let code = |query: &str| answer(Some(query)).map_err(|fault| fault.code()).err();
        assert_eq!(code(&format!("state={state}&code=c")), None);
        assert_eq!(code(&format!("state={state}&code=c&code=d")), Some("answer_ambiguous"));
        assert_eq!(code(&format!("state={state}&code=c&error=e")), Some("answer_ambiguous"));
        assert_eq!(code(&format!("state={state}")), Some("answer_incomplete"));
        assert_eq!(code(&format!("state={state}&error=access_denied")), Some("sign_in_denied"));
        assert_eq!(code("code=c"), Some("state_unknown"));
        assert_eq!(answer(None).map_err(|fault| fault.code()).err(), Some("state_unknown"));
    }
}
