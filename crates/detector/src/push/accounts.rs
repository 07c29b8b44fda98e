//! Who a sender claims to be, and the secrets it may sign with.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use tandem_domain::AccountId;
use tandem_pbx::push::{self, PushSecret};
use tandem_runtime::config::{SecretFileError, secret_file};
use tandem_runtime::{Batches, BoxError, Ids, chain};
use tandem_store::{Store, StoreError, pbx};
use tokio::time::Instant;

use crate::push::problem::Problem;

/// A changed account or secret is noticed after this long.
const FRESH: Duration = Duration::from_secs(2);
/// Entries remembered; senders that do not exist count too.
const MOST: usize = 20_000;
/// Accounts looked up in one go, when many come at once.
const TOGETHER: usize = 500;
/// Secrets of one file: one, or two while it is being replaced.
const MOST_SECRETS: usize = 2;

/// A sender that may sign.
#[derive(Clone, Debug)]
pub(crate) struct Sender<Id> {
    pub(crate) id: Id,
    pub(crate) secrets: Arc<[PushSecret]>,
}

type Cache<Id> = Mutex<HashMap<String, (Instant, Option<Sender<Id>>)>>;

/// What a path segment came to.
type Found = Result<Option<Sender<AccountId>>, Arc<StoreError>>;

/// Looks senders up, and remembers them for a moment.
pub(crate) struct Accounts {
    store: Store,
    secrets_dir: PathBuf,
    accounts: Cache<AccountId>,
    lookups: Batches<String, Found>,
    sources: Cache<String>,
    /// Signed against when there is no sender, so that one that does not exist answers like one that does.
    nobody: Arc<[PushSecret]>,
}

impl Accounts {
    pub(crate) fn new(store: Store, secrets_dir: PathBuf, ids: &Ids) -> Self {
        let random = ids.stream("detector.push.nobody").bytes::<32>();
        let nobody = PushSecret::parse(&format!("whsec_{}", STANDARD.encode(random)));
        Self {
            store,
            secrets_dir,
            accounts: Mutex::default(),
            lookups: Batches::new(1, TOGETHER),
            sources: Mutex::default(),
            nobody: nobody.into_iter().collect(),
        }
    }

    /// The secrets that nobody knows.
    pub(crate) fn nobody(&self) -> Arc<[PushSecret]> {
        Arc::clone(&self.nobody)
    }

    /// The account of a path segment: its name, or its id in lower case.
    pub(crate) async fn account(&self, segment: &str) -> Result<Option<Sender<AccountId>>, Problem> {
        if let Some(known) = remembered(&self.accounts, segment) {
            return Ok(known);
        }
        let looked_up =
            self.lookups.join(segment.to_owned(), 1, async |segments| self.look_up(&segments).await).await;
        let sender = looked_up.ok_or_else(Problem::internal)?.map_err(|error| Problem::storeless(&error))?;
        remember(&self.accounts, segment, sender.clone());
        Ok(sender)
    }

    async fn look_up(&self, segments: &[String]) -> Vec<Found> {
        let (mut ids, mut names) = (Vec::new(), Vec::new());
        for segment in segments {
            match push::parse_account(segment) {
                Ok(id) => ids.push(id),
                Err(_) if is_name(segment) => names.push(segment.as_str()),
                Err(_) => {}
            }
        }
        if ids.is_empty() && names.is_empty() {
            return segments.iter().map(|_| Ok(None)).collect();
        }
        let found = match pbx::push::accounts(&self.store, &ids, &names).await {
            Ok(found) => found,
            Err(error) => {
                let error = Arc::new(error);
                return segments.iter().map(|_| Err(Arc::clone(&error))).collect();
            }
        };
        let names = found.iter().map(|(_, name)| name.clone()).collect();
        let mut senders = HashMap::new();
        for ((id, name), secrets) in found.into_iter().zip(self.secrets(names).await) {
            if let Some(secrets) = secrets {
                senders.insert(name, Sender { id, secrets: Arc::clone(&secrets) });
                senders.insert(id.to_string(), Sender { id, secrets });
            }
        }
        segments.iter().map(|segment| Ok(senders.get(segment).cloned())).collect()
    }

    /// The source of a path segment. Its secrets are in `_source.<name>`, which is no account's name.
    pub(crate) async fn source(&self, segment: &str) -> Option<Sender<String>> {
        if let Some(known) = remembered(&self.sources, segment) {
            return known;
        }
        let sender = if is_name(segment) {
            let secrets = self.secrets(vec![format!("_source.{segment}")]).await.pop().flatten();
            secrets.map(|secrets| Sender { id: segment.to_owned(), secrets })
        } else {
            None
        };
        remember(&self.sources, segment, sender.clone());
        sender
    }

    /// The secrets in files of these names, in their order.
    async fn secrets(&self, names: Vec<String>) -> Vec<Option<Arc<[PushSecret]>>> {
        let folder = self.secrets_dir.clone();
        let read = move || names.iter().map(|name| usable_secrets(&folder, name)).collect();
        tokio::task::spawn_blocking(read).await.unwrap_or_default()
    }
}

fn usable_secrets(folder: &Path, name: &str) -> Option<Arc<[PushSecret]>> {
    read_secrets(&folder.join(name)).unwrap_or_else(|error| {
        tracing::warn!(sender = %name, error = %chain(error.as_ref()), "push secrets cannot be used");
        None
    })
}

/// `None` when there is no such file.
fn read_secrets(path: &Path) -> Result<Option<Arc<[PushSecret]>>, BoxError> {
    let text = match secret_file(path) {
        Err(SecretFileError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Ok(None);
        }
        other => other?,
    };
    let lines = text.expose_secret().lines().map(str::trim).filter(|line| !line.is_empty());
    let secrets = lines.map(PushSecret::parse).collect::<Result<Vec<_>, _>>()?;
    if secrets.is_empty() || secrets.len() > MOST_SECRETS {
        return Err(format!("{} holds {} secrets; write one or two", path.display(), secrets.len()).into());
    }
    Ok(Some(secrets.into()))
}

/// The names that accounts and sources may have; nothing else becomes part of a path.
fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| plain(b) || b == b'-')
        && text.bytes().next().is_some_and(plain)
}

fn remembered<Id: Clone>(cache: &Cache<Id>, segment: &str) -> Option<Option<Sender<Id>>> {
    let cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
    cache.get(segment).filter(|(at, _)| at.elapsed() < FRESH).map(|(_, sender)| sender.clone())
}

fn remember<Id>(cache: &Cache<Id>, segment: &str, sender: Option<Sender<Id>>) {
    let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
    if cache.len() >= MOST {
        cache.clear();
    }
    cache.insert(segment.to_owned(), (Instant::now(), sender));
}
