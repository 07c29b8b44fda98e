//! Issuers' signing keys, kept for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tandem_graph::{PublishedKey, SignInError};
use tokio::time::Instant;
use url::Url;

/// How long keys are kept.
const KEEP: Duration = Duration::from_secs(3600);
/// A key that is not there may be new, so the keys are fetched once more; but a storm of tokens with made-up key names
/// must not become a storm of requests.
const REFETCH_EVERY: Duration = Duration::from_secs(60);
/// Addresses kept; there is one for each tenant that somebody signs in to.
const ADDRESSES: usize = 256;

#[derive(Debug)]
struct Kept {
    keys: Arc<[PublishedKey]>,
    at: Instant,
    refetched_at: Option<Instant>,
}

/// Signing keys by address.
#[derive(Debug, Default)]
pub struct Keys(Mutex<HashMap<Url, Kept>>);

impl Keys {
    /// The published keys, looked at again by `fetch` if none of them is called `kid`.
    ///
    /// # Errors
    /// Those of `fetch`.
    pub async fn with(
        &self,
        at: &Url,
        kid: &str,
        fetch: impl Future<Output = Result<Vec<PublishedKey>, SignInError>>,
    ) -> Result<Arc<[PublishedKey]>, SignInError> {
        let now = Instant::now();
        let refetch = {
            let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match kept.get(at).filter(|kept| now - kept.at < KEEP) {
                None => false,
                Some(kept) if kept.keys.iter().any(|key| key.kid.as_deref() == Some(kid)) => {
                    return Ok(Arc::clone(&kept.keys));
                }
                Some(kept) if kept.refetched_at.is_some_and(|at| now - at < REFETCH_EVERY) => {
                    return Ok(Arc::clone(&kept.keys));
                }
                Some(_) => true,
            }
        };
        if refetch {
            // noted before the request, so that callers at the same time do not add to it
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(kept) = kept.get_mut(at) {
                kept.refetched_at = Some(now);
            }
        }
        let keys: Arc<[PublishedKey]> = fetch.await?.into();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= ADDRESSES && !kept.contains_key(at) {
            kept.clear();
        }
        let refetched_at = refetch.then_some(now);
        kept.insert(at.clone(), Kept { keys: Arc::clone(&keys), at: now, refetched_at });
        Ok(keys)
    }
}
