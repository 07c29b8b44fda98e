//! Proving that a tenant lets us in, once its administrator has consented: the browser's word for it is worth nothing.
//!
//! An app-only token for exactly that tenant, fetched anew; one harmless read; the permissions compared. Consent takes
//! a while to reach every part of Microsoft, so what is missing is looked for again for some minutes. What was proved
//! is stored together with a change of the account, so that everything that waits for it begins.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tandem_graph::{ErrorClass, GraphError, TokenErrorKind, TokenInfo};
use tandem_runtime::{BoxError, chain, failpoint};
use tandem_store::change::{self, ChangeKind, NewChange};
use tandem_store::connect_proof::{self as proofs, Before, DueProof, Shown};
use tandem_store::{StoreError, Tx, outbox, vault};
use tandem_vault::Kind;
use tokio_util::sync::CancellationToken;

use crate::Shared;
use crate::job::REQUIRED_ROLES;
use crate::job_error::token_code;

/// Proofs made side by side.
const BATCH: i64 = 8;
/// While one process makes a proof, others leave it alone.
const HOLD: Duration = Duration::from_secs(60);
/// How long what is missing is looked for again.
const PATIENCE: time::Duration = time::Duration::minutes(5);
/// Wait between two looks.
const AGAIN: time::Duration = time::Duration::seconds(5);
/// Longest one look waits for throttling and its own retries.
const ONE_LOOK: Duration = Duration::from_secs(20);

/// Makes the proofs that are asked for until stopped.
pub(crate) async fn run_until(shared: Arc<Shared>, stop: CancellationToken) -> Result<(), BoxError> {
    while !stop.is_cancelled() {
        if let Err(error) = pass(&shared).await {
            tracing::warn!(error = %chain(error.as_ref()), "proofs could not be made; trying again");
        }
        tokio::select! {
            () = tokio::time::sleep(shared.settings.look) => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

async fn pass(shared: &Shared) -> Result<(), BoxError> {
    let due = proofs::take(&shared.store, BATCH, HOLD).await?;
    let made = due.iter().map(|due| async move {
        let looked = Box::pin(look(shared, due)).await;
        record(shared, due, judge(looked, shared.settings.ladder_time(due.now - due.requested_at))).await
    });
    futures_util::future::join_all(made).await.into_iter().collect()
}

/// A fresh token, since the one that is kept may be older than the consent, and one harmless read.
async fn look(shared: &Shared, due: &DueProof) -> Result<TokenInfo, GraphError> {
    let client = shared.graph.tenant(due.tenant.0).with_max_wait(ONE_LOOK).with_correlation(due.proof);
    let token = client.fresh_token_info().await?;
    client.organization().await?;
    Ok(token)
}

/// What a look means.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It may be there in a moment.
    Later(String),
    /// The tenant lets us in.
    Proved { state: &'static str, permissions: Vec<String>, detail: Option<String> },
    /// It does not.
    Refused { code: &'static str, detail: String },
}

fn judge(looked: Result<TokenInfo, GraphError>, waited: time::Duration) -> Verdict {
    let late = waited >= PATIENCE;
    match looked {
        Ok(token) => {
            let missing = token.missing(&REQUIRED_ROLES);
            let detail =
                (!missing.is_empty()).then(|| format!("permissions missing: {}", missing.join(", ")));
            match detail {
                Some(detail) if !late => Verdict::Later(detail),
                detail => {
                    let state = if detail.is_some() { "weakened" } else { "healthy" };
                    Verdict::Proved { state, permissions: token.roles, detail }
                }
            }
        }
        Err(error) => {
            let (code, at_once) = refusal(&error);
            let detail = chain(&error);
            if late || at_once { Verdict::Refused { code, detail } } else { Verdict::Later(detail) }
        }
    }
}

/// The code of a failed look, and whether looking again is of no use.
fn refusal(error: &GraphError) -> (&'static str, bool) {
    match error.class() {
        ErrorClass::Token(TokenErrorKind::Grant) => ("consent_not_visible", false),
        ErrorClass::Token(TokenErrorKind::Policy) => ("authorization_blocked", true),
        ErrorClass::Token(TokenErrorKind::WrongTenant) => ("wrong_tenant", true),
        ErrorClass::Token(kind) => (token_code(kind), false),
        ErrorClass::Unauthorized | ErrorClass::Forbidden => ("permission_missing", false),
        ErrorClass::Throttled { .. } => ("throttled", false),
        _ => ("microsoft_unavailable", false),
    }
}

async fn record(shared: &Shared, due: &DueProof, verdict: Verdict) -> Result<(), BoxError> {
    match verdict {
        Verdict::Later(detail) => {
            let wait = shared.settings.ladder(AGAIN);
            let mut tx = shared.store.begin("connect.proof_later").await?;
            proofs::later(&mut tx, due.proof, wait, &detail).await?;
            tx.commit().await?;
        }
        Verdict::Refused { code, detail } => refuse(shared, due, code, &detail).await?,
        Verdict::Proved { state, permissions, detail } => {
            let shown = Shown { state, permissions: &permissions, detail: detail.as_deref() };
            match keep(shared, due, &shown).await? {
                Ok(()) => {
                    shared.bell.ring();
                    tracing::info!(account = %due.account, tenant = %due.tenant, state, "tenant connected");
                }
                Err(code) => {
                    let detail = "the tenant that consented is not one that this account may have";
                    refuse(shared, due, code, detail).await?;
                }
            }
        }
    }
    Ok(())
}

async fn refuse(shared: &Shared, due: &DueProof, code: &'static str, detail: &str) -> Result<(), StoreError> {
    let mut tx = shared.store.begin("connect.proof_refused").await?;
    let ended = proofs::end(&mut tx, due.proof, "refused", Some(code), Some(detail)).await?;
    tx.commit().await?;
    if ended && code == "wrong_tenant" {
        tracing::error!(account = %due.account, tenant = %due.tenant, code, detail, "a token of another tenant; nothing was stored");
    } else if ended {
        tracing::warn!(account = %due.account, tenant = %due.tenant, code, detail, "tenant not connected");
    }
    Ok(())
}

/// Stores the authorization, the account's change and the end of the proof in one transaction; the code when another
/// account has the tenant, or this account another tenant.
async fn keep(
    shared: &Shared,
    due: &DueProof,
    shown: &Shown<'_>,
) -> Result<Result<(), &'static str>, BoxError> {
    let mut tx = shared.store.begin("connect.proof_kept").await?;
    let before = proofs::before(&mut tx, due.account).await?;
    match proofs::store(&mut tx, due, shown).await {
        Ok(true) => {}
        Ok(false) => return Ok(Err("other_tenant_bound")),
        Err(error) if error.constraint() == Some("authorizations_tenant_id_key") => {
            return Ok(Err("tenant_taken"));
        }
        Err(error) => return Err(error.into()),
    }
    if !proofs::end(&mut tx, due.proof, shown.state, None, shown.detail).await? {
        // another process was faster and has stored the same
        return Ok(Ok(()));
    }
    // the provider's app was proved, so it is the one in use
    vault::remove_secret(&mut tx, due.account, Kind::AppCredential.as_str()).await?;
    change(&mut tx, shared, due, before.as_ref(), shown).await?;
    failpoint::hit("wrk.before_proof_commit");
    tx.commit().await?;
    Ok(Ok(()))
}

async fn change(
    tx: &mut Tx,
    shared: &Shared,
    due: &DueProof,
    before: Option<&Before>,
    shown: &Shown<'_>,
) -> Result<(), BoxError> {
    let fields = |tenant, state: &str, admin| -> Map<String, Value> {
        let value = json!({ "tenant": tenant, "state": state, "admin": admin });
        Map::from_iter([("authorization".to_owned(), value)])
    };
    let at = shared.clock.now();
    let one = NewChange {
        account: due.account,
        user: None,
        kind: ChangeKind::Settings,
        fields: vec!["authorization"],
        before: before.map(|before| fields(before.tenant, &before.state, before.admin)),
        after: Some(fields(due.tenant, shown.state, Some(due.admin))),
        detected_at: at,
        saved_at: Some(due.requested_at),
    };
    let recorded = change::record(tx, "consent", &[one]).await?;
    for recorded in recorded {
        let announcement = shared.announcer.changed(due.account, recorded.generation, &[], at, at)?;
        outbox::put(tx, &announcement).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(roles: &[&str]) -> Result<TokenInfo, GraphError> {
        Ok(TokenInfo {
            tid: uuid::Uuid::nil(),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            expires: time::OffsetDateTime::UNIX_EPOCH,
        })
    }

    #[test]
    fn b69_what_does_not_show_yet_is_waited_for() {
        let soon = PATIENCE - time::Duration::SECOND;
        let full = judge(token(&REQUIRED_ROLES), time::Duration::ZERO);
        assert!(matches!(full, Verdict::Proved { state: "healthy", detail: None, .. }), "{full:?}");
        let some = || token(&REQUIRED_ROLES[..3]);
        let missing = format!("permissions missing: {}", REQUIRED_ROLES[3]);
        assert_eq!(judge(some(), soon), Verdict::Later(missing.clone()));
        let Verdict::Proved { state, detail, permissions } = judge(some(), PATIENCE) else {
            panic!("a tenant that lets us in is connected")
        };
        assert_eq!((state, detail, permissions.len()), ("weakened", Some(missing), 3));
        let silent = || Err(GraphError::Timeout { call: "organization", after: ONE_LOOK });
        assert!(matches!(judge(silent(), soon), Verdict::Later(_)));
        assert!(matches!(judge(silent(), PATIENCE), Verdict::Refused { code: "microsoft_unavailable", .. }));
    }

    #[test]
    fn f49_a_token_of_another_tenant_ends_the_proof_at_once() {
        let source =
            tandem_graph::TokenError::WrongTenant { asked: uuid::Uuid::nil(), got: "other".to_owned() };
        let error = GraphError::Token { tenant: uuid::Uuid::nil(), source };
        let verdict = judge(Err(error), time::Duration::ZERO);
        assert!(matches!(verdict, Verdict::Refused { code: "wrong_tenant", .. }), "{verdict:?}");
    }
}
