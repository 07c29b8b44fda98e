//! What one sender may take from the others: a rate for each account, and one message of an account at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tandem_domain::AccountId;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

/// A token bucket for each sender. Only senders whose signature was right get one, so there are not many.
pub(crate) struct Buckets {
    rate: f64,
    buckets: Mutex<HashMap<String, (f64, Instant)>>,
}

impl Buckets {
    /// `rate` messages a second, as many at once.
    pub(crate) fn new(rate: u32) -> Self {
        Self { rate: f64::from(rate.max(1)), buckets: Mutex::default() }
    }

    /// Whether one more message may be taken now.
    pub(crate) fn take(&self, sender: &str) -> bool {
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, at) = match buckets.get_mut(sender) {
            Some(bucket) => bucket,
            None => buckets.entry(sender.to_owned()).or_insert((self.rate, now)),
        };
        *tokens = (*tokens + now.duration_since(*at).as_secs_f64() * self.rate).min(self.rate);
        *at = now;
        let allowed = *tokens >= 1.0;
        if allowed {
            *tokens -= 1.0;
        }
        allowed
    }
}

/// One lane for each account: messages of one account wait here for each other, and not in the database, where they
/// would hold connections that other accounts need.
#[derive(Default)]
pub(crate) struct Lanes(Mutex<HashMap<AccountId, Arc<tokio::sync::Mutex<()>>>>);

impl Lanes {
    /// Waits until no other message of the account is being worked on.
    pub(crate) async fn enter(&self, account: AccountId) -> OwnedMutexGuard<()> {
        let lane = {
            let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if lanes.len() >= 1024 {
                // lanes that nobody is in or waits for
                lanes.retain(|_, lane| Arc::strong_count(lane) > 1);
            }
            Arc::clone(lanes.entry(account).or_default())
        };
        lane.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_bucket_refills_with_time_and_is_each_senders_own() {
        let buckets = Buckets::new(2);
        assert!(buckets.take("a") && buckets.take("a") && !buckets.take("a"));
        assert!(buckets.take("b"));
        tokio::time::advance(Duration::from_millis(500)).await;
        assert!(buckets.take("a") && !buckets.take("a"));
    }

    #[tokio::test]
    async fn one_message_of_an_account_at_a_time() {
        let lanes = Lanes::default();
        let (one, two) = (AccountId(Uuid::from_u128(1)), AccountId(Uuid::from_u128(2)));
        let held = lanes.enter(one).await;
        let _other = lanes.enter(two).await;
        let mut waiting = Box::pin(lanes.enter(one));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(held);
        waiting.await;
    }
}
