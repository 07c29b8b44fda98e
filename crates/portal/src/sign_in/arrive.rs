//! What becomes of somebody who has proved who they are: kept, given what the claims say, and let in with a new session,
//! or turned away with a record of it.

use tandem_consent::Secret;
use tandem_domain::AccountId;
use tandem_domain::audit::PROVIDER;
use tandem_store::portal::people::{self, Proved};
use tandem_store::portal::{audit, sessions};
use time::OffsetDateTime;
use uuid::Uuid;

use super::prove::{Arrival, shown};
use crate::App;
use crate::fault::Fault;
use crate::guard::{IDLE, LONGEST};

/// Lets somebody in. `before` is the session that the browser had; it ends.
pub(super) async fn arrive(
    app: &App,
    arrival: &Arrival,
    before: Option<&Secret>,
    now: OffsetDateTime,
) -> Result<Secret, Fault> {
    let name = shown(&arrival.name);
    let mut tx = app.store.begin("portal.person").await?;
    let id = app.ids.v7(&app.clock);
    let (person, disabled) = people::signed_in(&mut tx, id, &arrival.proved, &name, now).await?;
    tx.commit().await?;
    let belongs = match arrival.proved {
        _ if disabled => false,
        Proved::Microsoft(tenant, oid) => {
            let mut fleet = app.fleet.begin("portal.linked").await?;
            people::linked_to(&mut fleet, tenant, oid).await?.is_some()
                || !people::memberships(&mut fleet, person).await?.is_empty()
        }
        Proved::Provider { operator, .. } => renew(app, arrival, person).await? || operator,
    };
    let fault = match (disabled, belongs) {
        (true, _) => Some(Fault::Disabled),
        (false, false) => Some(Fault::NoAccount(name.clone())),
        (false, true) => None,
    };
    let secret = Secret::new()?;
    let mut tx = app.store.begin_for("portal.arrive", PROVIDER).await?;
    if fault.is_none() {
        if let Some(before) = before {
            sessions::close(&mut tx, &before.hash()).await?;
        }
        sessions::open(&mut tx, &secret.hash(), (person, arrival.global_admin), now, (IDLE, LONGEST)).await?;
    }
    let entry = audit::Entry {
        account: PROVIDER,
        at: now,
        person: Some(person),
        name: &name,
        act: "sign_in",
        allowed: fault.is_none(),
        subject: arrival.issuer.as_str(),
        reason: fault.as_ref().map_or("", Fault::code),
    };
    audit::append(&mut tx, &entry).await?;
    tx.commit().await?;
    fault.map_or(Ok(secret), Err)
}

/// Brings the memberships that come from claims in line with this sign-in; whether any account is left. Accounts that
/// there are not give nothing.
async fn renew(app: &App, arrival: &Arrival, person: Uuid) -> Result<bool, Fault> {
    let mut fleet = app.fleet.begin("portal.claims").await?;
    let named = people::named(&mut fleet, &arrival.given.accounts).await?;
    let mut accounts: Vec<AccountId> = named.iter().map(|account| account.account).collect();
    let now: Vec<AccountId> = accounts.clone();
    accounts.extend(people::memberships(&mut fleet, person).await?.into_iter().map(|(account, _)| account));
    drop(fleet);
    accounts.sort_unstable_by_key(|account| account.0);
    accounts.dedup();
    for account in accounts {
        let role = arrival.given.role.filter(|_| now.contains(&account));
        let mut tx = app.store.begin_for("portal.renew", account).await?;
        people::renew_claims(&mut tx, account, person, role).await?;
        tx.commit().await?;
    }
    Ok(!now.is_empty())
}
