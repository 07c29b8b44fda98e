//! From the code that a browser brings back to who signed in, and to what that person came for.

use secrecy::{ExposeSecret as _, SecretString};
use tandem_domain::permission::PERMISSION_NAMES;
use tandem_graph::{Discovery, Redeemed, SignInError};
use tandem_runtime::{chain, failpoint};
use tandem_store::admin::requests;
use tandem_store::connect::{self, Attempt, Link, Person, Purpose, Step};
use tandem_store::vault::NewJobToken;
use tandem_vault::{Binding, Sealer};

use crate::App;
use crate::fault::{Fault, Who};
use crate::flow::{Next, STATE_LIFE, asked_in_vain, not_paused};
use crate::id_token::{self, Expected, Identity};
use crate::judge;
use crate::secret::{Secret, Session};

/// One browser that comes back with a code.
pub(crate) struct Way<'a> {
    pub(crate) app: &'a App,
    pub(crate) session: &'a Session,
    pub(crate) attempt: &'a Attempt,
    pub(crate) link: &'a Link,
}

impl Way<'_> {
    pub(crate) async fn go_on(&self, state: &str, code: &SecretString, who: &mut Who) -> Result<Next, Fault> {
        let sign_in = &self.app.sign_in;
        let vain = |error: SignInError| asked_in_vain(&error);
        let discovery = sign_in.discover(&self.attempt.authority).await.map_err(vain)?;
        let redeemed = self.redeem(&discovery, state, code).await?;
        failpoint::hit("consent.after_code_redeemed_before_store");
        let identity = self.identify(state, &discovery, &redeemed).await?;
        who.signed_in = Some(identity.name.clone());
        judge::by_token(&identity, self.link)?;
        if self.attempt.step == Step::Authorizing {
            return self.ask(&identity, redeemed).await;
        }
        let me = sign_in.me(&redeemed.access_token).await.map_err(vain)?;
        let roles = sign_in.role_templates(&redeemed.access_token).await.map_err(vain)?;
        let person = judge::by_directory(&identity, &me, &roles)?;
        who.signed_in = Some(person.name.clone());
        let next = self.may(&discovery, &person).await?;
        let account = self.session.link.account;
        tracing::info!(%account, tenant = %person.tenant, oid = %person.oid, "a Global Administrator signed in");
        Ok(next)
    }

    async fn redeem(
        &self,
        discovery: &Discovery,
        state: &str,
        code: &SecretString,
    ) -> Result<Redeemed, Fault> {
        let verifier = self.session.secret.derive("verifier", state);
        let redirect = self.app.page("/connect/signed-in");
        let redeemed = self.app.sign_in.redeem(&discovery.token_endpoint, code, &verifier, &redirect).await;
        redeemed.map_err(|error| match &error {
            SignInError::Refused { error, codes, status: 400..=499, .. } => {
                Fault::CodeRefused(format!("{error} {codes:?}"))
            }
            other => asked_in_vain(other),
        })
    }

    async fn identify(
        &self,
        state: &str,
        discovery: &Discovery,
        redeemed: &Redeemed,
    ) -> Result<Identity, Fault> {
        let bad = |fault: id_token::TokenFault| Fault::IdToken(fault.code());
        let token = redeemed.id_token.expose_secret();
        let kid = id_token::key_name(token).map_err(bad)?;
        let keys =
            self.app.keys.with(&discovery.jwks_uri, &kid, self.app.sign_in.keys(&discovery.jwks_uri)).await;
        let keys = keys.map_err(|error| asked_in_vain(&error))?;
        let nonce = self.session.secret.derive("nonce", state);
        let expected = Expected {
            client_id: &self.app.sign_in.config().client_id,
            issuer: &discovery.issuer,
            nonce: nonce.expose_secret(),
            now: self.app.clock.now(),
        };
        id_token::validate(token, &keys, &expected).map_err(bad)
    }

    /// The person may do what the link is for. A token that may write is fetched for a sync only, and only now, so that
    /// nobody who is refused is asked to allow anything.
    async fn may(&self, discovery: &Discovery, person: &Person) -> Result<Next, Fault> {
        let (account, attempt) = (self.session.link.account, self.attempt.id);
        let mut tx = self.app.store.begin_for("connect.signed_in", account).await?;
        let (kept, next) = match &self.link.purpose {
            Purpose::Connect => {
                if connect::bound_elsewhere(&mut tx, account, person.tenant).await? {
                    return Err(Fault::TenantTaken);
                }
                (connect::signed_in(&mut tx, account, attempt, person).await?, Next::Status)
            }
            Purpose::Sync { .. } => {
                let state = Secret::new()?;
                let mut url = self.app.sign_in_address(discovery, self.session, &state, &PERMISSION_NAMES);
                url.query_pairs_mut().append_pair("login_hint", &person.name);
                let kept = connect::authorizing(&mut tx, account, attempt, person, &state.hash(), STATE_LIFE)
                    .await?;
                (kept, Next::To(url))
            }
        };
        if !kept {
            return Err(Fault::StateUsed);
        }
        tx.commit().await?;
        Ok(next)
    }

    /// Asks for the sync: the request and the sealed token of the same person, or neither.
    async fn ask(&self, identity: &Identity, redeemed: Redeemed) -> Result<Next, Fault> {
        let (Some((tenant, oid, name)), Purpose::Sync { scope, reason }) =
            (&self.attempt.person, &self.link.purpose)
        else {
            return Err(Fault::StateUsed);
        };
        if (*tenant, *oid) != (identity.tenant, identity.oid) {
            return Err(Fault::OtherPerson);
        }
        let account = self.session.link.account;
        let request = self.app.ids.v7(&self.app.clock);
        let binding = Binding::job_token(account, *tenant, request, *oid);
        // read anew each time: after a rotation it names the new key
        let file = self.app.sealing_key.as_ref().ok_or(Fault::Internal)?;
        let sealed = Sealer::load(file).and_then(|sealer| sealer.seal(&binding, &redeemed.access_token));
        let sealed = sealed.map_err(|error| {
            tracing::error!(error = %chain(&error), "a token could not be sealed");
            Fault::Internal
        })?;
        let expires_at = self.app.clock.now() + redeemed.expires_in;
        let token = NewJobToken {
            request,
            account,
            tenant: *tenant,
            oid: *oid,
            key_id: &sealed.key_id().to_string(),
            sealed: sealed.as_bytes(),
            expires_at,
        };
        let mut tx = self.app.store.begin_for("connect.ask_sync", account).await?;
        not_paused(&mut tx, self.link, account, self.app.clock.now()).await?;
        requests::ask_signed_in(&mut tx, &token, *scope, name, reason).await?;
        if !connect::asked(&mut tx, account, self.attempt.id, request).await? {
            return Err(Fault::StateUsed);
        }
        tx.commit().await?;
        tracing::info!(%account, %request, "a sync was asked for by a person who signed in");
        Ok(Next::Status)
    }
}
