//! Announcements of changes: hints whose accounts are looked at.

use std::time::Duration;

use tandem_bus::{Delivery, Outcome};
use tandem_domain::AccountId;
use tandem_runtime::{chain, failpoint};

use tandem_store::windows::Named;

use crate::gather::Gatherer;

/// Wait before a batch that met a database error is looked at again.
const AGAIN: Duration = Duration::from_secs(2);

/// Gathers the accounts that a batch names.
pub(crate) async fn handle(gatherer: &Gatherer, deliveries: &[Delivery]) -> Vec<Outcome> {
    let read: Vec<_> = deliveries.iter().map(|d| tandem_wire::decode_changed(&d.payload)).collect();
    let mut accounts = Vec::new();
    for (delivery, read) in deliveries.iter().zip(&read) {
        let mut of_message = delivery.headers.get(tandem_wire::headers::TRACEPARENT).map(str::to_owned);
        for changed in read.iter().flatten() {
            let traceparent = of_message.take().or_else(|| changed.traceparent.clone());
            accounts.push(Named { account: AccountId(changed.account), traceparent });
        }
    }
    let failure = gatherer.gather(accounts).await.err();
    failpoint::hit("deb.after_gather_before_ack");
    read.into_iter()
        .map(|read| match (read, &failure) {
            (Err(error), _) => Outcome::Reject { code: error.code().to_owned(), reason: error.to_string() },
            (Ok(_), None) => Outcome::Done,
            (Ok(_), Some(error)) => Outcome::Retry { after: AGAIN, cause: chain(error) },
        })
        .collect()
}
