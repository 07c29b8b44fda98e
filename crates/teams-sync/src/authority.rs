//! What jobs and canaries see of the stored authorization, and what is done about it.
//!
//! The decision is `tandem_domain::authorization::observe`; here its effects are carried out. When the provider's own
//! credential is refused, no account is touched: the job goes back into the queue and every other one waits there.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tandem_domain::authorization::{self, Effect, Observation, Owner, Reason, Standing, Verdict};
use tandem_domain::job::JobType;
use tandem_domain::{AccountId, TenantId};
use tandem_graph::{ErrorClass, GraphError, TokenErrorKind, Unusable};
use tandem_runtime::chain;
use tandem_store::StoreError;
use tandem_store::authorizations::{self, Stored};
use tandem_store::claims::Claim;
use tandem_store::wanted::Snapshot;
use tokio::sync::Mutex;

use crate::Shared;
use crate::job::REQUIRED_ROLES;
use crate::who::NoClient;

/// Shut while the provider's own credential is refused: nobody asks Microsoft for anything but whether it works again.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    shut: AtomicBool,
    /// One at a time finds out whether the fault is ours.
    finding_out: Mutex<()>,
}

impl Gate {
    /// Whether to ask nothing.
    pub(crate) fn is_shut(&self) -> bool {
        self.shut.load(Ordering::Relaxed)
    }

    /// Shuts or opens it.
    pub(crate) fn set(&self, shut: bool) {
        self.shut.store(shut, Ordering::Relaxed);
    }
}

/// What an error of Microsoft says of the authorization. A refused request (403) says it only beside the permissions
/// of a fresh token; see [`refusal`].
pub(crate) fn seen(error: &GraphError) -> Observation {
    let said = chain(error);
    match error.class() {
        ErrorClass::Token(TokenErrorKind::Grant) => Observation::NoGrant(said),
        ErrorClass::Token(TokenErrorKind::OwnCredential) => Observation::CredentialRefused(said),
        ErrorClass::Token(TokenErrorKind::Policy) => Observation::Policy(said),
        ErrorClass::Token(TokenErrorKind::TenantGone) => Observation::TenantGone(said),
        ErrorClass::Token(TokenErrorKind::WrongTenant) => Observation::WrongTenant(said),
        ErrorClass::Unauthorized => Observation::TokenRejected(said),
        ErrorClass::Forbidden => Observation::Refused(said),
        _ if matches!(error, GraphError::Unusable { source: Unusable::OtherTenant, .. }) => {
            Observation::WrongTenant(said)
        }
        _ => Observation::Unclear(said),
    }
}

/// What the stable code of a failed job says of the authorization; codes that are no reason say nothing.
fn told(code: &str, text: &str) -> Observation {
    let said = text.to_owned();
    match Reason::parse(code) {
        Some(Reason::PermissionMissing | Reason::PermissionRefused) => Observation::Refused(said),
        Some(Reason::Revoked) => Observation::NoGrant(said),
        Some(Reason::TokenRejected) => Observation::TokenRejected(said),
        Some(Reason::TenantGone) => Observation::TenantGone(said),
        Some(Reason::PolicyBlocked) => Observation::Policy(said),
        Some(Reason::WrongTenant) => Observation::WrongTenant(said),
        Some(Reason::OwnCredential) => Observation::CredentialRefused(said),
        None => Observation::Unclear(said),
    }
}

/// A 403 is judged by the permissions of a token that is fetched now: what was taken back shows there.
async fn refusal(shared: &Shared, account: AccountId, said: String) -> Result<Observation, StoreError> {
    let mut tx = shared.store.begin("authorizations.tenant").await?;
    let stored = authorizations::lock(&mut tx, account).await?;
    tx.commit().await?;
    let Some(stored) = stored else { return Ok(Observation::Unclear(said)) };
    let client = match shared.account_client(account, stored.tenant).await {
        Ok(client) => client,
        Err(NoClient::Store(error)) => return Err(error),
        Err(error) => return Ok(Observation::Unclear(chain(&error))),
    };
    client.forget_token().await;
    Ok(match client.token_info().await {
        Ok(token) => match token.missing(&REQUIRED_ROLES).as_slice() {
            [] => Observation::Refused(said),
            missing => Observation::Missing(missing.iter().map(|&role| role.to_owned()).collect()),
        },
        Err(error) => seen(&error),
    })
}

/// Whose credential the tokens of an account are asked for with.
pub(crate) fn owner(shared: &Shared, stored: &Stored) -> Owner {
    if stored.client_id == shared.graph.client_id() { Owner::Provider } else { Owner::Customer }
}

/// Carries out what an observation means, but for the quarantine, which belongs to whoever counts the tries.
/// None when the account has no authorization any more.
pub(crate) async fn observed(
    shared: &Shared,
    account: AccountId,
    seen: &Observation,
    permissions: Option<&[String]>,
) -> Result<Option<Verdict>, StoreError> {
    let mut tx = shared.store.begin("authorizations.observe").await?;
    let Some(stored) = authorizations::lock(&mut tx, account).await? else { return Ok(None) };
    let mut verdict = authorization::observe(stored.standing, seen, owner(shared, &stored));
    let Standing { state, reason } = verdict.standing;
    if verdict.effects.contains(&Effect::Record) || verdict.detail.is_some() || permissions.is_some() {
        let detail = verdict.detail.as_deref();
        authorizations::record(&mut tx, account, verdict.standing, detail, permissions).await?;
    }
    tx.commit().await?;
    if let Observation::CredentialRefused(said) = seen
        && verdict.provider_fault()
        && !provider_fault(shared, stored.tenant, said).await?
    {
        verdict.effects.clear();
    }
    for effect in &verdict.effects {
        match effect {
            Effect::Record => {
                let reason = reason.map_or("", Reason::as_str);
                let (from, detail) = (stored.standing.state, verdict.detail.as_deref().unwrap_or_default());
                tracing::warn!(%account, from = %from, state = %state, reason, detail, "the authorization changed");
            }
            Effect::DropToken => match shared.account_client(account, stored.tenant).await {
                Ok(client) => client.forget_token().await,
                Err(NoClient::Store(error)) => return Err(error),
                // what cannot be opened has no token to forget
                Err(error) => tracing::debug!(%account, error = %chain(&error), "no token to forget"),
            },
            Effect::Alarm(reason) => {
                shared.metrics.alarm(*reason);
                let detail = verdict.detail.as_deref().unwrap_or_default();
                tracing::error!(%account, error.code = reason.as_str(), detail, "Microsoft answered for another tenant; nothing was written");
            }
            Effect::ProviderFault(_) | Effect::Quarantine(_) => {}
        }
    }
    Ok(Some(verdict))
}

/// Our own credential is refused: nobody but us is to blame, and everybody waits. False when another tenant takes it
/// all the same: Microsoft may say of one tenant what sounds as if we were to blame, and that must not stop the others.
async fn provider_fault(shared: &Shared, tenant: TenantId, said: &str) -> Result<bool, StoreError> {
    let _one_at_a_time = shared.gate.finding_out.lock().await;
    if shared.gate.is_shut() {
        return Ok(true);
    }
    if let Some(other) = authorizations::other_tenant(&shared.store, shared.graph.client_id(), tenant).await?
    {
        let client = shared.graph.tenant(other.0);
        client.forget_token().await;
        if client.token_info().await.is_ok() {
            tracing::warn!(%tenant, detail = said, "the app's credential is refused for one tenant, and taken for another");
            return Ok(false);
        }
    }
    shared.gate.set(true);
    let wait = shared.settings.ladder(authorization::probe_wait(0));
    if authorizations::at_fault(&shared.store, shared.graph.client_id(), said, wait).await? {
        tracing::error!(
            error.code = Reason::OwnCredential.as_str(),
            detail = said,
            "Microsoft refuses our own credential: the jobs of all tenants wait, no customer is to blame"
        );
    }
    Ok(true)
}

/// What becomes of a job that met a refusal.
#[derive(Debug)]
pub(crate) enum Met {
    /// It fails, with this code and text.
    Failed(&'static str, String),
    /// It goes back into the queue: our own credential is at fault.
    Waits(String),
}

/// Judges the refusal that ends a job.
pub(crate) async fn met(
    shared: &Shared,
    claim: &Claim,
    code: &'static str,
    text: String,
) -> Result<Met, StoreError> {
    if claim.token_request.is_some() {
        // what a person's token met says nothing about the stored authorization
        return Ok(Met::Failed(code, text));
    }
    let mut seen = told(code, &text);
    if let Observation::Refused(said) = &seen {
        seen = refusal(shared, claim.account, said.clone()).await?;
    }
    if let Observation::Unclear(_) = seen {
        return Ok(Met::Failed(code, text));
    }
    let Some(verdict) = observed(shared, claim.account, &seen, None).await? else {
        return Ok(Met::Failed(code, text));
    };
    if verdict.provider_fault() {
        return Ok(Met::Waits(text));
    }
    let code = match (&seen, verdict.standing.reason) {
        (Observation::CredentialRefused(_), reason) if reason != Some(Reason::OwnCredential) => {
            "authorization_failed"
        }
        (_, reason) => reason.map_or(code, Reason::as_str),
    };
    let text = match &seen {
        Observation::Missing(names) => format!("the tenant has not granted {}", names.join(", ")),
        _ => text,
    };
    Ok(Met::Failed(code, text))
}

/// Something good was seen by a job whose authorization was not known to be well.
pub(crate) async fn seen_by_job(
    shared: &Shared,
    claim: &Claim,
    snapshot: &Snapshot,
    seen: &Observation,
) -> Result<(), StoreError> {
    if claim.token_request.is_none()
        && snapshot.authorization.is_some_and(|(_, standing)| standing != Standing::HEALTHY)
    {
        observed(shared, claim.account, seen, None).await?;
    }
    Ok(())
}

/// Whether a job may start although the authorization is not known to be well: a person may always try, and one try
/// is due when a change was refused before.
pub(crate) fn may_try(job_type: JobType, standing: Standing) -> bool {
    job_type == JobType::Manual || standing.reason.is_none_or(|reason| !reason.stops_jobs())
}

/// How much faster than the clock the ladders run.
pub(crate) fn scale(shared: &Shared) -> f64 {
    f64::from(shared.settings.ladder_speed.max(1))
}

/// A wait as the ladders run here; never nothing, however fast they run.
pub(crate) fn wait(shared: &Shared, wait: time::Duration) -> Duration {
    shared.settings.ladder(wait).max(Duration::from_millis(50))
}
