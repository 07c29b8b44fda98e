//! Tokens that have done their work are erased; what nobody can look at any more is said to be so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::json;
use tandem_domain::JobId;
use tandem_runtime::{BoxError, chain, failpoint};
use tandem_store::StoreError;
use tandem_store::claims::{self, NewEvent};
use tandem_store::vault;
use tokio_util::sync::CancellationToken;

use crate::Shared;
use crate::journal::announce;

/// What a user shows whose job's token ended before every read path agreed.
const NOT_RECHECKED: &str = "confirmed, not re-checked: the sign-in of its job is over";

/// Erases until stopped.
pub(crate) async fn run_until(shared: Arc<Shared>, stop: CancellationToken) -> Result<(), BoxError> {
    while !stop.is_cancelled() {
        if let Err(error) = pass(&shared).await {
            tracing::warn!(error = %chain(&error), "spent tokens could not be erased; trying again");
        }
        tokio::select! {
            () = tokio::time::sleep(shared.settings.sweep) => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

async fn pass(shared: &Shared) -> Result<(), StoreError> {
    let erased = vault::erase_spent(&shared.store).await?;
    if erased > 0 {
        failpoint::hit("vault.after_erase");
        tracing::info!(tokens = erased, "tokens of people who signed in erased");
    }
    let mut tx = shared.store.begin("vault.not_rechecked").await?;
    let users = vault::not_rechecked(&mut tx, NOT_RECHECKED).await?;
    if users.is_empty() {
        return Ok(());
    }
    let mut events: BTreeMap<JobId, Vec<NewEvent>> = BTreeMap::new();
    let accounts: BTreeSet<_> = users.iter().map(|user| user.account).collect();
    for user in &users {
        events.entry(user.job).or_default().push(NewEvent {
            kind: "settling",
            data: json!({ "pbx_user_id": user.user, "microsoft_user": user.oid, "look": user.looks,
                          "agrees": false, "detail": NOT_RECHECKED }),
        });
    }
    for (job, events) in events {
        for event in events {
            let written = claims::append_afterwards(&mut tx, job, event).await?;
            announce(shared, &mut tx, written.as_slice()).await?;
        }
    }
    for account in accounts {
        for job in claims::settle(&mut tx, account).await? {
            let event = NewEvent { kind: "settled", data: json!({ "settled_at": job.at.unix_timestamp() }) };
            let written = claims::append_afterwards(&mut tx, job.job, event).await?;
            announce(shared, &mut tx, written.as_slice()).await?;
        }
    }
    tx.commit().await?;
    shared.bell.ring();
    Ok(())
}
