//! A job that cannot go on now gives its place to others.

use std::time::Duration;

use tandem_domain::authorization::Reason;
use tandem_store::claims::{Claim, Ending};
use tandem_store::parking::{self, PutBack};
use tandem_store::{StoreError, users};

use crate::Shared;
use crate::finish;
use crate::journal::{Journal, announce};
use crate::rates::ADAPTATION;

/// Why a job cannot go on, for which nobody but ourselves or Microsoft is to blame.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Because {
    /// Microsoft asked to wait for so long.
    Throttled(Duration),
    /// Microsoft refuses the provider's own credential.
    OwnCredential,
}

/// Puts a claimed job back into the queue; it is claimed again when its reason is gone. Nobody counts it: no failure of
/// the account, no try of a user. What it has done stays on record. When the account's next job waits already, that one
/// takes over what is to be done and this one ends.
pub(crate) async fn put_back(
    shared: &Shared,
    claim: &Claim,
    journal: &Journal,
    because: Because,
    text: &str,
) -> Result<(), StoreError> {
    match park(shared, claim, journal, because, text).await {
        // the next job was cut at this moment and is found now
        Err(StoreError::Constraint { .. }) => park(shared, claim, journal, because, text).await?,
        done => done?,
    }
    shared.bell.ring();
    if let Because::Throttled(_) = because {
        shared.metrics.parked();
    }
    tracing::info!(account = %claim.account, job = %claim.job, reason = because.why(), "job waits in the queue again");
    Ok(())
}

impl Because {
    fn why(self) -> &'static str {
        match self {
            Self::Throttled(_) => "throttled",
            Self::OwnCredential => Reason::OwnCredential.as_str(),
        }
    }
}

/// The least that the tenant of a parked job is left alone, so that a storm of short waits does not bring the job back
/// every few seconds: 30 s, twice as long after each claim, at most 15 min.
fn rest_of(epoch: i32) -> time::Duration {
    let doubled = u32::try_from(epoch - 1).unwrap_or(0).min(5);
    (time::Duration::seconds(30) * 2_i32.pow(doubled)).min(time::Duration::minutes(15))
}

async fn park(
    shared: &Shared,
    claim: &Claim,
    journal: &Journal,
    because: Because,
    text: &str,
) -> Result<(), StoreError> {
    let mut tx = journal.begin("jobs.put_back").await?;
    match parking::put_back(&mut tx, claim, because.why(), text).await? {
        PutBack::Queued(event) => announce(shared, &mut tx, std::slice::from_ref(&event)).await?,
        PutBack::GivenUpFor(_, merged) => {
            announce(shared, &mut tx, merged.as_slice()).await?;
            users::cancelled(&mut tx, claim.account, claim.job).await?;
            finish::end(shared, &mut tx, claim, &Ending::cancelled()).await?;
        }
    }
    if let Because::Throttled(wait) = because {
        let wait = wait.max(shared.settings.ladder(rest_of(claim.epoch)));
        parking::rest(&mut tx, claim.account, wait, &ADAPTATION).await?;
    }
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use super::rest_of;

    #[test]
    fn the_rest_of_a_tenant_grows_and_ends() {
        let rests = [1, 2, 3, 5, 6, 7, 1000].map(|epoch| rest_of(epoch).whole_seconds());
        assert_eq!(rests, [30, 60, 120, 480, 900, 900, 900]);
    }
}
