//! A keyring of its own for each test.

use secrecy::{ExposeSecret, SecretString};
use tandem_domain::{AccountId, ObjectId, TenantId};
use tandem_vault::{Binding, KeyId, Keyring, Opener, Sealer};
use uuid::Uuid;

/// A ring of its own in a folder of its own.
pub(crate) struct Ring {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) opener: Opener,
    pub(crate) sealer: Sealer,
}

impl Ring {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = Keyring::add(folder.path(), 1_700_000_000).unwrap();
        Self { opener: Opener::load(folder.path()).unwrap(), sealer: Sealer::new(key), folder }
    }

    /// Adds a key made `later` seconds after the first.
    pub(crate) fn add(&self, later: i64) -> KeyId {
        Keyring::add(self.folder.path(), 1_700_000_000 + later).unwrap().id()
    }

    pub(crate) fn drop_key(&self, id: KeyId) {
        std::fs::remove_file(self.folder.path().join(format!("{id}.key"))).unwrap();
    }
}

fn id(text: &str) -> Uuid {
    Uuid::parse_str(text).unwrap()
}

pub(crate) fn account() -> AccountId {
    AccountId(id("018f0000-0000-7000-8000-000000000001"))
}

pub(crate) fn tenant() -> TenantId {
    TenantId(id("72f988bf-0000-4000-8000-000000000002"))
}

pub(crate) fn request() -> Uuid {
    id("018f0000-0000-7000-8000-000000000003")
}

pub(crate) fn person() -> ObjectId {
    ObjectId(id("5a8f0000-0000-4000-8000-000000000004"))
}

pub(crate) fn job_token() -> Binding {
    Binding::job_token(account(), tenant(), request(), person())
}

pub(crate) fn app_credential() -> Binding {
    Binding::app_credential(account(), tenant())
}

pub(crate) fn text(secret: &SecretString) -> &str {
    secret.expose_secret()
}
