//! Sealing anew, after a key was added. It may be killed and run again at any point: each secret opens before and
//! after, and one that was replaced in between is left alone.

use tandem_domain::AccountId;
use tandem_runtime::failpoint;
use tandem_store::vault::{self, SealedRow};
use tandem_store::{Store, StoreError};
use tandem_vault::{Binding, KeyId, Opener, Sealed, Sealer, VaultError};

/// Secrets read in one go.
const BATCH: i64 = 200;

/// What was done.
#[derive(Debug)]
pub struct Resealed {
    /// The key that seals now.
    pub key: KeyId,
    /// Secrets and tokens sealed anew.
    pub resealed: usize,
    /// Accounts with a secret that could not be opened.
    pub failed: Vec<(AccountId, VaultError)>,
}

/// Why nothing more could be sealed anew.
#[derive(Debug, thiserror::Error)]
pub enum ResealError {
    /// The keyring cannot be read.
    #[error("read the keyring")]
    Keyring(#[source] VaultError),
    /// The database.
    #[error("read or write sealed secrets")]
    Store(#[from] StoreError),
}

/// Seals everything with the newest key of the ring that another key sealed.
///
/// # Errors
/// [`ResealError`]; what was sealed anew until then stays so.
pub async fn reseal(store: &Store, opener: &Opener) -> Result<Resealed, ResealError> {
    let sealer = opener.newest().map_err(ResealError::Keyring)?;
    let key = sealer.key_id();
    let mut done = Resealed { key, resealed: 0, failed: Vec::new() };
    let mut after = String::new();
    loop {
        let rows = vault::other_keys(store, &key.to_string(), &after, BATCH).await?;
        let Some(last) = rows.last() else { return Ok(done) };
        after.clone_from(&last.place);
        for row in rows {
            match anew(opener, &sealer, &row) {
                Ok(sealed) => {
                    let kept = vault::resealed(store, &row, &key.to_string(), sealed.as_bytes()).await?;
                    done.resealed += usize::from(kept);
                    failpoint::hit("vault.between_reseals");
                }
                Err(error) => done.failed.push((row.account, error)),
            }
        }
    }
}

fn anew(opener: &Opener, sealer: &Sealer, row: &SealedRow) -> Result<Sealed, VaultError> {
    let binding = match row.person {
        Some((request, oid)) => Binding::job_token(row.account, row.tenant, request, oid),
        None => Binding::app_credential(row.account, row.tenant),
    };
    let secret = opener.open(&binding, &Sealed::parse(row.sealed.clone())?)?;
    sealer.seal(&binding, &secret)
}
