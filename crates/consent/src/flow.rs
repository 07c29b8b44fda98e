//! The steps behind the pages: what is read, asked, decided and written. Each ends in an address to go on to, or a fault.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use secrecy::{ExposeSecret as _, SecretString};
use tandem_domain::AccountId;
use tandem_graph::{Discovery, SignInError};
use tandem_runtime::chain;
use tandem_store::connect::{self, Attempt, Link, NewAttempt, Purpose, Step};
use tandem_store::portal::pause;
use tandem_store::{StoreError, Tx};
use time::{Duration, OffsetDateTime};
use url::Url;

use crate::App;
use crate::answer::Answer;
use crate::fault::{Fault, Told, Who};
use crate::secret::{LinkCode, NoRandom, Secret, Session, challenge};
use crate::way::Way;

/// How long an answer of Microsoft's is waited for.
pub(crate) const STATE_LIFE: Duration = Duration::minutes(10);
/// A sign-in older than this is made again before consent.
const SIGN_IN_LIFE: Duration = Duration::minutes(10);
/// Where nobody says which organisation it is.
const ANY_ORGANISATION: &str = "organizations";
/// Where a browser goes on.
pub(crate) enum Next {
    /// To the page that says where it is.
    Status,
    /// To Microsoft once more.
    To(Url),
}

/// What ended a way, with who was involved.
pub(crate) struct Ended {
    pub(crate) fault: Fault,
    pub(crate) who: Who,
}

impl Ended {
    pub(crate) fn told(&self) -> Told {
        self.fault.told(self.who.clone())
    }
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Self {
        Self { fault, who: Who::default() }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        tracing::error!(error = %chain(&error), "a connect page could not do its work");
        if error.retryable() { Self::Unavailable } else { Self::Internal }
    }
}

impl From<NoRandom> for Fault {
    fn from(error: NoRandom) -> Self {
        tracing::error!(error = %chain(&error), "a connect page could not do its work");
        Self::Internal
    }
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        Fault::from(error).into()
    }
}

/// A sign-in or a look into the directory that gave nothing to go by.
pub(crate) fn asked_in_vain(error: &SignInError) -> Fault {
    tracing::warn!(error = %chain(error), "Microsoft's sign-in gave nothing to go by");
    Fault::LoginUnavailable
}

/// No sync is asked for during a pause: it would wait for the end, and the token of the sign-in would not.
pub(crate) async fn not_paused(
    tx: &mut Tx,
    link: &Link,
    account: AccountId,
    now: OffsetDateTime,
) -> Result<(), Fault> {
    match link.purpose {
        Purpose::Sync { .. } => match pause::lasting(tx, account, now).await? {
            Some(pause) => Err(Fault::Paused(pause.to_string())),
            None => Ok(()),
        },
        Purpose::Connect => Ok(()),
    }
}

impl App {
    pub(crate) fn page(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url
    }

    /// A link that may still be used.
    pub(crate) async fn link(&self, code: &LinkCode) -> Result<Link, Fault> {
        let mut tx = self.store.begin_for("connect.link", code.account).await?;
        let link = connect::link(&mut tx, code.account, &code.hash()).await?.ok_or(Fault::LinkUnknown)?;
        match (link.spent, link.expired) {
            (true, _) => Err(Fault::LinkUsed),
            (_, true) => Err(Fault::LinkExpired),
            _ => {
                not_paused(&mut tx, &link, code.account, self.clock.now()).await?;
                Ok(link)
            }
        }
    }

    /// A browser begins: the address of Microsoft's sign-in, and the session for its cookie.
    pub(crate) async fn begin(&self, code: LinkCode) -> Result<(Url, Session), Fault> {
        let link = self.link(&code).await?;
        let bound = link.bound.as_ref().map(|bound| bound.tenant.to_string());
        let authority = bound.or(link.expected_tenant).unwrap_or_else(|| ANY_ORGANISATION.to_owned());
        let discovery = self.sign_in.discover(&authority).await.map_err(|error| asked_in_vain(&error))?;
        let state = Secret::new()?;
        let session = Session::new(code)?;
        let account = session.link.account;
        let mut tx = self.store.begin_for("connect.begin", account).await?;
        let attempt = NewAttempt {
            id: self.ids.v7(&self.clock),
            account,
            link_hash: session.link.hash(),
            session_hash: session.secret.hash(),
            authority: &authority,
            state_hash: state.hash(),
            state_life: STATE_LIFE,
        };
        if !connect::begin(&mut tx, &attempt).await? {
            return Err(Fault::TooManySignIns);
        }
        tx.commit().await?;
        let mut url = self.sign_in_address(&discovery, &session, &state, &self.sign_in.config().scopes);
        // whoever is signed in to this browser by chance is not meant
        url.query_pairs_mut().append_pair("prompt", "login");
        Ok((url, session))
    }

    pub(crate) fn sign_in_address<S: AsRef<str>>(
        &self,
        discovery: &Discovery,
        session: &Session,
        state: &Secret,
        scopes: &[S],
    ) -> Url {
        let state = state.text();
        let nonce = session.secret.derive("nonce", &state);
        let verifier = session.secret.derive("verifier", &state);
        let scopes = scopes.iter().map(|scope| format!(" https://graph.microsoft.com/{}", scope.as_ref()));
        let mut url = discovery.authorization_endpoint.clone();
        url.query_pairs_mut()
            .append_pair("client_id", &self.sign_in.config().client_id)
            .append_pair("response_type", "code")
            .append_pair("response_mode", "query")
            .append_pair("redirect_uri", self.page("/connect/signed-in").as_str())
            .append_pair("scope", &format!("openid profile{}", scopes.collect::<String>()))
            .append_pair("state", &state)
            .append_pair("nonce", nonce.expose_secret())
            .append_pair("code_challenge", &challenge(verifier.expose_secret()))
            .append_pair("code_challenge_method", "S256");
        url
    }

    /// Where the browser of a session is, with its link.
    pub(crate) async fn whereabouts(&self, session: &Session) -> Result<(Attempt, Link), Fault> {
        let account = session.link.account;
        let mut tx = self.store.begin_for("connect.whereabouts", account).await?;
        let attempt = connect::attempt(&mut tx, account, &session.secret.hash()).await?;
        let attempt = attempt.ok_or(Fault::NoSession)?;
        let link = connect::link(&mut tx, account, &attempt.link_hash).await?.ok_or(Fault::LinkUnknown)?;
        Ok((attempt, link))
    }

    /// The attempt that an answer belongs to; from here on the answer counts as used.
    async fn take(
        &self,
        session: &Session,
        answer: &Answer,
        steps: &[Step],
    ) -> Result<(Attempt, Link), Fault> {
        let state = Secret::parse(answer.state()?).ok_or(Fault::StateUnknown)?.hash();
        let (attempt, link) = self.whereabouts(session).await?;
        let waits = steps.contains(&attempt.step);
        match &attempt.state_hash {
            Some(out) if waits && *out != state => return Err(Fault::StateUnknown),
            Some(_) if waits && attempt.state_late => return Err(Fault::StateExpired),
            Some(_) if waits => {}
            _ => return Err(Fault::StateUsed),
        }
        let account = session.link.account;
        let mut tx = self.store.begin_for("connect.take_state", account).await?;
        let taken = connect::take_state(&mut tx, account, attempt.id, attempt.step, &state).await?;
        tx.commit().await?;
        if taken { Ok((attempt, link)) } else { Err(Fault::StateUsed) }
    }

    /// The browser comes back from the sign-in; where it goes on.
    pub(crate) async fn signed_in(&self, session: &Session, query: Option<&str>) -> Result<Next, Ended> {
        let answer = Answer::read(query)?;
        let said = answer.sign_in()?;
        let (attempt, link) = self.take(session, &answer, &[Step::SigningIn, Step::Authorizing]).await?;
        let mut who = Who { signed_in: None, linked: linked(&link) };
        let way = Way { app: self, session, attempt: &attempt, link: &link };
        let went = match said {
            Err(text) => Err(Fault::SignInDenied(text)),
            Ok(code) => way.go_on(answer.state()?, &code, &mut who).await,
        };
        self.finish(session, &attempt, went.map_err(|fault| Ended { fault, who })).await
    }

    /// The browser is sent to Microsoft's consent page; `mark` shows that it was our form.
    pub(crate) async fn consent(&self, session: &Session, mark: &str) -> Result<Url, Fault> {
        let right = Self::mark(session);
        if verify_slices_are_equal(mark.as_bytes(), right.expose_secret().as_bytes()).is_err() {
            return Err(Fault::FormStale);
        }
        let (attempt, _) = self.whereabouts(session).await?;
        let (tenant, ..) = attempt.person.ok_or(Fault::FormStale)?;
        if attempt.since_sign_in >= SIGN_IN_LIFE {
            return Err(Fault::SignInOld);
        }
        let state = Secret::new()?;
        let account = session.link.account;
        let mut tx = self.store.begin_for("connect.consent", account).await?;
        if connect::bound_elsewhere(&mut tx, account, tenant).await? {
            return Err(Fault::TenantTaken);
        }
        let sent = connect::consenting(&mut tx, account, attempt.id, &state.hash(), STATE_LIFE, SIGN_IN_LIFE)
            .await?;
        tx.commit().await?;
        if !sent {
            return Err(Fault::FormStale);
        }
        let redirect = self.page("/connect/consented");
        Ok(self.sign_in.consent_address(tenant.0, &self.app, &redirect, &state.text()))
    }

    /// The browser comes back from the consent page. What it says about the tenant is compared and never believed.
    pub(crate) async fn consented(&self, session: &Session, query: Option<&str>) -> Result<Next, Ended> {
        let answer = Answer::read(query)?;
        let said = answer.consent()?.map(str::to_owned);
        let (attempt, link) = self.take(session, &answer, &[Step::Consenting]).await?;
        let Some((tenant, _, name)) = &attempt.person else { return Err(Fault::Internal.into()) };
        let who = Who { signed_in: Some(name.clone()), linked: linked(&link) };
        let went = match said {
            Err(text) => Err(Fault::ConsentDenied(text)),
            Ok(got) if got.eq_ignore_ascii_case(&tenant.to_string()) => {
                self.ask_proof(session, &attempt).await
            }
            Ok(got) => {
                let got = got.chars().filter(|c| !c.is_control()).take(80).collect();
                Err(Fault::ConsentOtherTenant { signed_in: *tenant, got })
            }
        };
        self.finish(session, &attempt, went.map_err(|fault| Ended { fault, who })).await
    }

    async fn ask_proof(&self, session: &Session, attempt: &Attempt) -> Result<Next, Fault> {
        let account = session.link.account;
        let proof = self.ids.v7(&self.clock);
        let mut tx = self.store.begin_for("connect.ask_proof", account).await?;
        connect::ask_proof(&mut tx, account, attempt.id, proof, &self.app).await?;
        tx.commit().await?;
        tracing::info!(%account, %proof, "consent was given; its proof is asked for");
        Ok(Next::Status)
    }

    /// A way that has ended is kept, so that whoever sent the link learns of it.
    async fn finish(
        &self,
        session: &Session,
        attempt: &Attempt,
        went: Result<Next, Ended>,
    ) -> Result<Next, Ended> {
        let ended = match went {
            Ok(next) => return Ok(next),
            Err(ended) => ended,
        };
        let account = session.link.account;
        tracing::warn!(%account, code = ended.fault.code(), "a sign-in on the connect pages was refused");
        let mut tx = self.store.begin_for("connect.refuse", account).await?;
        connect::refuse(&mut tx, account, attempt.id, &ended.told().json()).await?;
        tx.commit().await?;
        Err(ended)
    }

    /// What the consent form carries.
    pub(crate) fn mark(session: &Session) -> SecretString {
        session.secret.derive("mark", "")
    }
}

fn linked(link: &Link) -> Option<String> {
    link.bound.as_ref()?.admin.as_ref().map(|(_, name)| name.clone())
}
