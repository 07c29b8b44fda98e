//! Services, PBX: *Enable Sync*, with which an operator has the account read whole every minute for a day at most.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use tandem_domain::roles::Act;
use tandem_store::pbx::troubleshooting::{self, Troubleshooting};
use tandem_store::portal::audit;
use time::Duration;

use super::settings::saved;
use crate::extract::Form;
use crate::fault::Fault;
use crate::guard::{InAccount, of};
use crate::{App, acts};

/// How long it stays on.
const LASTS: Duration = Duration::hours(24);

/// The switch, with the reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SwitchForm {
    on: bool,
    reason: String,
}

pub(crate) async fn switch(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Form(form): Form<SwitchForm>,
) -> Result<Response, Fault> {
    let reason = acts::reason(&form.reason)?;
    let (account, visitor, now) = (inside.id(), &inside.visitor, app.clock.now());
    let mut tx = app.store.begin_for("portal.troubleshooting", account).await?;
    let subject = if form.on {
        let (person, reason) = (visitor.name.clone(), reason.to_owned());
        let switch = Troubleshooting { until: now + LASTS, person, reason };
        troubleshooting::on(&mut tx, account, &switch, now).await?;
        "on for 24 hours"
    } else {
        troubleshooting::off(&mut tx, account).await?;
        "off"
    };
    let act = Act::SwitchTroubleshooting;
    audit::append(&mut tx, &of(visitor, account, act, now, subject, reason, true)).await?;
    tx.commit().await?;
    tracing::info!(%account, on = form.on, "Enable Sync was switched in the portal");
    Ok(saved(&inside))
}

/// The switch while it is on.
pub(super) async fn current(app: &App, inside: &InAccount) -> Result<Option<Troubleshooting>, Fault> {
    let mut tx = app.store.begin_for("portal.settings", inside.id()).await?;
    Ok(troubleshooting::current(&mut tx, inside.id(), app.clock.now()).await?)
}
