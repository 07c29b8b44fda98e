//! Announcements of changes: hints whose accounts are looked at.

use std::time::Duration;

use tandem_bus::{Delivery, Outcome};
use tandem_domain::AccountId;
use tandem_runtime::{chain, failpoint};
use tandem_store::windows::Named;
use tandem_wire::headers::TRACEPARENT;
use tandem_wire::{Changed, Headers};

use crate::gather::Gatherer;

/// Wait before a batch that met a database error is looked at again.
const AGAIN: Duration = Duration::from_secs(2);

/// Gathers the accounts that a batch names.
pub(crate) async fn handle(gatherer: &Gatherer, deliveries: &[Delivery]) -> Vec<Outcome> {
    let read: Vec<_> = deliveries.iter().map(|d| tandem_wire::decode_changed(&d.payload)).collect();
    let told = deliveries.iter().zip(&read).filter_map(|(of, read)| Some((&of.headers, read.as_ref().ok()?)));
    let accounts = told.flat_map(|(headers, told)| named(headers, told)).collect();
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

/// The accounts that a message tells of. The trace of the first travels in its headers.
fn named(headers: &Headers, told: &[Changed]) -> impl Iterator<Item = Named> {
    let mut of_message = headers.get(TRACEPARENT).map(str::to_owned);
    told.iter().map(move |changed| {
        let traceparent = of_message.take().or_else(|| changed.traceparent.clone());
        Named { account: AccountId(changed.account), traceparent }
    })
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;

    fn changed(account: u128, trace: Option<&str>) -> Changed {
        Changed {
            account: Uuid::from_u128(account),
            generation: 1,
            users: vec![],
            first_detected_at: OffsetDateTime::UNIX_EPOCH,
            last_detected_at: OffsetDateTime::UNIX_EPOCH,
            traceparent: trace.map(str::to_owned),
        }
    }

    /// The trace of each account, as they were named.
    fn traces(headers: &Headers, told: &[Changed]) -> Vec<(u128, Option<String>)> {
        named(headers, told).map(|named| (named.account.0.as_u128(), named.traceparent)).collect()
    }

    #[test]
    fn every_account_of_a_message_keeps_its_own_trace() {
        let several = [changed(1, None), changed(2, Some("two")), changed(3, None)];
        let told =
            |first: Option<&str>| vec![(1, first.map(str::to_owned)), (2, Some("two".to_owned())), (3, None)];
        let headers = Headers::from_iter([(TRACEPARENT, "one")]);
        assert_eq!(traces(&headers, &several), told(Some("one")));
        assert_eq!(traces(&Headers::new(), &several), told(None));
    }
}
