//! Announcements of events: hints whose jobs are looked at.

use std::collections::HashMap;
use std::time::Duration;

use tandem_bus::{Delivery, Outcome};
use tandem_domain::JobId;
use tandem_runtime::{chain, failpoint};
use tandem_store::StoreError;

use crate::keeper::Keeper;

/// Wait before a batch that met a database error is looked at again.
const AGAIN: Duration = Duration::from_secs(2);

/// Keeps what happened to the jobs that a batch names.
pub(crate) async fn handle(keeper: &Keeper, deliveries: &[Delivery]) -> Vec<Outcome> {
    let read: Vec<_> = deliveries.iter().map(|d| tandem_wire::decode_event(&d.payload)).collect();
    let jobs: Vec<JobId> = read.iter().flatten().map(|event| JobId(event.job)).collect();
    let kept = keeper.keep_each(&jobs).await;
    failpoint::hit("log.after_keep_before_ack");
    let failures: HashMap<JobId, &StoreError> = match &kept {
        Ok(failures) => failures.iter().map(|(job, error)| (*job, error)).collect(),
        Err(error) => jobs.iter().map(|job| (*job, error)).collect(),
    };
    read.into_iter()
        .map(|read| match read {
            Err(error) => Outcome::Reject { code: error.code().to_owned(), reason: error.to_string() },
            Ok(event) => match failures.get(&JobId(event.job)) {
                None => Outcome::Done,
                Some(error) => Outcome::Retry { after: AGAIN, cause: chain(error) },
            },
        })
        .collect()
}
