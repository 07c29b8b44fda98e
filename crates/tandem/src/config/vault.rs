//! Section `vault`: where the sealing keys are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use serde::Deserialize;
use tandem_runtime::chain;
use tandem_runtime::config::ConfigErrors;
use tandem_vault::{Opener, Sealer};

use super::resolve_some;

/// Section `vault`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct VaultSection {
    /// The private keys; only teams-sync and `tandem keys` need them.
    pub(crate) keyring: Option<PathBuf>,
    /// The public key that secrets are sealed to.
    pub(crate) public_key_file: Option<PathBuf>,
}

impl VaultSection {
    pub(super) fn resolve(&mut self, folder: &Path) {
        resolve_some(folder, &mut self.keyring);
        resolve_some(folder, &mut self.public_key_file);
    }

    /// What opens sealed secrets; none where no keyring is named.
    pub(crate) fn opener(&self, errors: &mut ConfigErrors) -> Option<Arc<Opener>> {
        let opener = Opener::load(self.keyring.as_ref()?);
        opener.map(Arc::new).map_err(|error| errors.push("vault.keyring", chain(&error))).ok()
    }

    /// What seals secrets.
    pub(crate) fn sealer(&self) -> anyhow::Result<Sealer> {
        let file = self.public_key_file.as_ref().context("the configuration has no vault.public_key_file")?;
        Ok(Sealer::load(file)?)
    }

    /// The folder of the private keys.
    pub(crate) fn folder(&self) -> anyhow::Result<&Path> {
        self.keyring.as_deref().context("the configuration has no vault.keyring")
    }
}
