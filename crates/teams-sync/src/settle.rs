//! Settling: confirmed users are looked at again until every read path agrees.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tandem_domain::ladder;
use tandem_domain::policy::same_policy_name;
use tandem_domain::{AccountId, JobId, Number, ObjectId, TenantId};
use tandem_graph::{GraphError, NumberAssignment, NumberFilter, TenantClient, UserConfiguration};
use tandem_runtime::{BoxError, chain};
use tandem_store::claims::{self, NewEvent};
use tandem_store::settling::{self, SettleResult, ToSettle};
use tandem_store::{StoreError, vault};
use tokio_util::sync::CancellationToken;

use crate::Shared;
use crate::journal::announce;
use crate::who::NoClient;

/// Users checked in one go.
const BATCH: i64 = 2000;
/// While one process checks, others leave the users alone.
const HOLD: time::Duration = time::Duration::minutes(2);
/// However fast the ladders run, a look takes a moment.
const SHORTEST_HOLD: Duration = Duration::from_secs(5);
/// Users of a tenant checked one by one at most; more are checked in pages.
const SINGLE: usize = 3;

/// Checks users until stopped.
pub(crate) async fn run_until(shared: Arc<Shared>, stop: CancellationToken) -> Result<(), BoxError> {
    while !stop.is_cancelled() {
        if let Err(error) = pass(&shared).await {
            tracing::warn!(error = %chain(&error), "users could not be settled; trying again");
        }
        tokio::select! {
            () = tokio::time::sleep(shared.settings.look) => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

async fn pass(shared: &Shared) -> Result<(), StoreError> {
    if shared.gate.is_shut() {
        // no tenant gives a token to anybody; what is due stays due
        return Ok(());
    }
    let mut by_account: BTreeMap<(AccountId, TenantId), Vec<ToSettle>> = BTreeMap::new();
    let hold = shared.settings.ladder(HOLD).max(SHORTEST_HOLD);
    for user in settling::take_to_settle(&shared.store, BATCH, hold).await? {
        let Some(tenant) = user.tenant else { continue };
        by_account.entry((user.account, tenant)).or_default().push(user);
    }
    let accounts: Vec<AccountId> = by_account.keys().map(|(account, _)| *account).collect();
    let authorities = vault::authorities(&shared.store, &accounts).await?;
    for ((account, tenant), due) in by_account {
        let authority = authorities.get(&account).copied().unwrap_or_default();
        let client = match shared.looking_client(account, tenant, &authority).await {
            Ok(client) => client,
            Err(NoClient::Store(error)) => return Err(error),
            Err(error) => {
                tracing::info!(%account, error = %chain(&error), "settle check postponed");
                continue;
            }
        };
        match read(&client, &due).await {
            Ok(tenant) => check(shared, account, &due, &tenant).await?,
            // the hold ends by itself and the users come again
            Err(error) => tracing::info!(%account, error = %chain(&error), "settle check postponed"),
        }
    }
    Ok(())
}

/// The tenant through both read paths.
struct Tenant {
    records: BTreeMap<ObjectId, UserConfiguration>,
    inventory: BTreeMap<Number, NumberAssignment>,
}

async fn read(client: &TenantClient, due: &[ToSettle]) -> Result<Tenant, GraphError> {
    let mut tenant = Tenant { records: BTreeMap::new(), inventory: BTreeMap::new() };
    let mut keep = |entry: NumberAssignment| {
        if let Ok(number) = Number::from_microsoft(&entry.telephone_number) {
            tenant.inventory.insert(number, entry);
        }
    };
    if due.len() <= SINGLE {
        for user in due {
            // what the inventory says of this user, and of the number that should be its own
            client
                .number_assignments(&NumberFilter::HeldBy(user.oid.0))
                .collect()
                .await?
                .into_iter()
                .for_each(&mut keep);
            if let Some(record) = client.user_configuration(user.oid.0).await? {
                tenant.records.insert(user.oid, record);
            }
        }
    } else {
        client.number_assignments(&NumberFilter::All).collect().await?.into_iter().for_each(&mut keep);
        let records = client.user_configurations().collect().await?;
        tenant.records = records.into_iter().map(|record| (ObjectId(record.id), record)).collect();
    }
    Ok(tenant)
}

/// Why a user is not as it should stand; `None` when both paths agree with what should.
fn differs(user: &ToSettle, tenant: &Tenant) -> Option<String> {
    let record = tenant.records.get(&user.oid);
    let wanted = user.number.as_deref().and_then(|n| Number::parse(n).ok());
    if let Some(number) = &wanted {
        let on_record = record.is_some_and(|r| {
            r.telephone_numbers
                .iter()
                .any(|h| Number::from_microsoft(&h.telephone_number).as_ref() == Ok(number))
        });
        let in_inventory =
            tenant.inventory.get(number).is_some_and(|entry| entry.holder() == Some(user.oid.0));
        if let Some(entry) = tenant.inventory.get(number).filter(|_| in_inventory) {
            if entry.has_failed() {
                return Some(format!("Microsoft could not activate {number}"));
            }
            if entry.is_pending() {
                return Some(format!("Microsoft is still working on {number}"));
            }
        }
        match (on_record, in_inventory) {
            (true, true) => {}
            (true, false) => return Some(format!("{number} is on the record but not in the inventory")),
            (false, true) => return Some(format!("{number} is in the inventory but not on the record")),
            (false, false) => return Some(format!("{number} is neither on the record nor in the inventory")),
        }
    }
    let still_there = user.removed.iter().filter_map(|n| Number::parse(n).ok()).find(|number| {
        record.is_some_and(|r| {
            r.telephone_numbers
                .iter()
                .any(|h| Number::from_microsoft(&h.telephone_number).as_ref() == Ok(number))
        }) || tenant.inventory.get(number).is_some_and(|entry| entry.holder() == Some(user.oid.0))
    });
    if let Some(number) = still_there {
        return Some(format!("{number} was taken off but still shows"));
    }
    for (policy_type, name) in &user.policies {
        let shown = record.and_then(|r| r.policy(&policy_type.0)).and_then(|p| p.display_name.as_deref());
        if !shown.is_some_and(|shown| same_policy_name(shown, name)) {
            return Some(format!("{policy_type} {name} is not in effect"));
        }
    }
    None
}

async fn check(
    shared: &Shared,
    account: AccountId,
    due: &[ToSettle],
    tenant: &Tenant,
) -> Result<(), StoreError> {
    let mut tx = shared.store.begin("settle.check").await?;
    let mut jobs: BTreeMap<JobId, Vec<NewEvent>> = BTreeMap::new();
    let mut landed = 0;
    for user in due {
        let why = differs(user, tenant);
        let result = match &why {
            None => SettleResult::Agrees,
            Some(why) => {
                let waited = shared.settings.ladder_time(user.waited);
                match ladder::settle_look(user.looks + 1, waited) {
                    Some(wait) => SettleResult::Again(shared.settings.ladder(wait), why.clone()),
                    None => SettleResult::Issue(why.clone()),
                }
            }
        };
        landed += usize::from(why.is_none());
        settling::settled(&mut tx, account, &user.user, &result).await?;
        if let Some(job) = user.job {
            jobs.entry(job).or_default().push(NewEvent {
                kind: "settling",
                data: json!({ "pbx_user_id": user.user, "microsoft_user": user.oid, "look": user.looks + 1,
                              "agrees": why.is_none(), "detail": why }),
            });
        }
    }
    for (job, events) in jobs {
        let mut written = Vec::new();
        for event in events {
            written.extend(claims::append_afterwards(&mut tx, job, event).await?);
        }
        announce(shared, &mut tx, &written).await?;
    }
    let settled = claims::settle(&mut tx, account).await?;
    for job in &settled {
        let event = NewEvent { kind: "settled", data: json!({ "settled_at": job.at.unix_timestamp() }) };
        let written: Vec<_> = claims::append_afterwards(&mut tx, job.job, event).await?.into_iter().collect();
        announce(shared, &mut tx, &written).await?;
    }
    tx.commit().await?;
    shared.bell.ring();
    shared.metrics.landed(landed);
    for job in &settled {
        shared.metrics.settled(job);
        tracing::info!(%account, job = %job.job, "job settled");
    }
    Ok(())
}
