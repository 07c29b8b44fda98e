//! The notifier: reminders, notices and incident mail.
//!
//! It owns the schema `mail`. Promised: a mail goes out at most once per account, kind and period, also beside other
//! notifiers, after a crash, and while the mail server is away; a reminder that is not needed any more when its turn comes
//! does not go out. Not promised: that a mail which was being handed over when the process died has arrived (ADR 0025).
//!
//! [`Watch`] looks which accounts need a mail and puts it into the outbox; [`Courier`] makes its words and hands it over.

mod carrier;
mod compose;
mod courier;
mod folder;
mod metrics;
mod paper;
mod smtp;
mod watch;

use std::time::Duration;

use tandem_domain::mail::Address;
use tandem_domain::reminder::Calendar;
use tandem_letters::Office;
use tandem_runtime::{BoxError, Ctx};
use tandem_store::Store;

pub use crate::carrier::{Carrier, CarrierError, Handed};
pub use crate::courier::{Courier, Round};
pub use crate::paper::{Sender, SenderError};
pub use crate::smtp::{Smtp, SmtpConfig, TlsMode};
pub use crate::watch::Watch;

/// Settings of the role.
#[derive(Clone, Debug)]
pub struct NotifierSettings {
    /// How often accounts are looked at.
    pub sweep: Duration,
    /// How often the outbox is looked at.
    pub tick: Duration,
    /// Who writes.
    pub office: Office,
    /// From which address, and where refused mail goes.
    pub sender: Sender,
    /// Time zone and hour of accounts that set none.
    pub calendar: Calendar,
    /// The provider's operators.
    pub operators: Vec<Address>,
    /// Records of mails are kept for so long.
    pub keep: time::Duration,
    /// A mail that is being handed over for so long was lost.
    pub claim: time::Duration,
    /// Accounts whose jobs fail alike before the operators get a mail.
    pub incident_accounts: i64,
}

/// What the role works with.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The database as `Login::Notifier`.
    pub store: Store,
    /// What takes the mail away.
    pub carrier: Carrier,
}

/// Starts the role's tasks and returns; they end when `ctx.shutdown` fires.
pub fn start(ctx: &Ctx, parts: &Parts, settings: &NotifierSettings) {
    let watch = Watch::new(ctx, parts.store.clone(), settings.clone());
    let check = ctx.health.register("notifier.sweep");
    let (stop, every) = (ctx.shutdown.clone(), settings.sweep);
    ctx.spawn("notifier.sweep", async move {
        while !stop.is_cancelled() {
            match watch.sweep().await {
                Ok(_) => check.ok(),
                Err(error) => {
                    tracing::warn!(error = %tandem_runtime::chain(&error), "sweep of accounts failed; trying again");
                    check.degraded(error.to_string());
                }
            }
            let _stopped = stop.run_until_cancelled(tokio::time::sleep(every)).await;
        }
        Ok::<(), BoxError>(())
    });
    let courier = Courier::new(ctx, parts, settings.clone());
    let check = ctx.health.register("notifier.mail");
    let (stop, every) = (ctx.shutdown.clone(), settings.tick);
    ctx.spawn("notifier.mail", async move {
        while !stop.is_cancelled() {
            match courier.round(&stop).await {
                Ok(Round { away: None, .. }) => check.ok(),
                Ok(Round { away: Some(text), .. }) => check.degraded(text),
                Err(error) => {
                    tracing::warn!(error = %tandem_runtime::chain(&error), "the outbox of mail failed; trying again");
                    check.degraded(error.to_string());
                }
            }
            let _stopped = stop.run_until_cancelled(tokio::time::sleep(every)).await;
        }
        Ok::<(), BoxError>(())
    });
}
