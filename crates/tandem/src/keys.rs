//! `tandem keys`: the keys that secrets are sealed with. No command shows a private key or a secret.
//!
//! Rotation: `new` adds a key, which seals from then on; `reseal` seals what older keys sealed anew; once `list` shows
//! that an older key seals nothing any more, its file is deleted. teams-sync runs on through all of it.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use tandem_runtime::config::ConfigErrors;
use tandem_runtime::{Clock, chain};
use tandem_store::vault::{KeyUse, key_uses};
use tandem_store::{Login, Store};
use tandem_vault::{Keyring, VaultError};
use time::OffsetDateTime;

use crate::config::Config;
use crate::failpoints::Failpoints;
use crate::operator::Operator;
use crate::screen::{self, Table};

/// Subcommands of `tandem keys`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key; secrets are sealed to it from now on
    New,
    /// List the keys and what each has sealed
    List,
    /// Seal with the newest key what others sealed, so that they can be deleted
    Reseal(Failpoints),
}

pub(crate) async fn run(command: KeysCommand, config: &Config) -> anyhow::Result<ExitCode> {
    match command {
        KeysCommand::New => new(config, &Clock::system()),
        KeysCommand::List => list(config).await,
        KeysCommand::Reseal(failpoints) => {
            failpoints.arm(config)?;
            reseal(config).await
        }
    }
}

/// Makes a key and publishes its public half.
pub(crate) fn new(config: &Config, clock: &Clock) -> anyhow::Result<ExitCode> {
    let folder = config.vault.folder()?;
    let newest = match Keyring::load(folder) {
        Ok(ring) => Some(ring.newest().created()),
        Err(VaultError::Empty { .. }) => None,
        Err(VaultError::Unreadable { .. }) if !folder.exists() => None,
        Err(error) => return Err(error.into()),
    };
    // the newest key seals, also where a clock was set back or two were made within a second
    let now = clock.now().unix_timestamp();
    let created = newest.map_or(now, |newest| now.max(newest + 1));
    let key = Keyring::add(folder, created)?;
    screen::line(&format!("key {} in {}", key.id(), folder.display()));
    match &config.vault.public_key_file {
        Some(file) => {
            Keyring::publish(file, &key)?;
            screen::line(&format!("secrets are sealed to it: {}", file.display()));
        }
        None => screen::line(&format!("the public key, for those who seal:\n{key}")),
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(config: &Config) -> anyhow::Result<ExitCode> {
    let ring = Keyring::load(config.vault.folder()?)?;
    let operator = Operator::at_terminal(config)?;
    let mut uses: BTreeMap<String, KeyUse> =
        key_uses(&operator.store).await?.into_iter().map(|used| (used.key_id.clone(), used)).collect();
    let sealer = config.vault.sealer().map(|sealer| sealer.key_id()).ok();
    let mut table = Table::new(["KEY", "MADE", "SEALS", "SECRETS", "JOB TOKENS"]);
    for key in ring.keys() {
        let id = key.id().to_string();
        let used = uses.remove(&id);
        table.row([
            id,
            screen::time(OffsetDateTime::from_unix_timestamp(key.created()).ok()),
            if sealer == Some(key.id()) { "yes" } else { "no" }.to_owned(),
            used.as_ref().map_or(0, |used| used.secrets).to_string(),
            used.as_ref().map_or(0, |used| used.tokens).to_string(),
        ]);
    }
    for (id, used) in &uses {
        table.row([
            id.clone(),
            "MISSING".to_owned(),
            "no".to_owned(),
            used.secrets.to_string(),
            used.tokens.to_string(),
        ]);
    }
    screen::line(&table.text());
    if uses.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    screen::error(
        "the keyring lacks keys that secrets are sealed with: put their files back, or set those secrets anew",
    );
    Ok(ExitCode::FAILURE)
}

async fn reseal(config: &Config) -> anyhow::Result<ExitCode> {
    let mut errors = ConfigErrors::new();
    let password = config.database.password(Login::TeamsSync, &mut errors);
    let opener = config.vault.opener(&mut errors);
    errors.into_result()?;
    let opener = opener.context("the configuration has no vault.keyring")?;
    let password = password.context("the login tandem_teams_sync has no password")?;
    let store = Store::connect(&config.database.config(), Login::TeamsSync, &password);
    let done = tandem_teams_sync::reseal(&store, &opener).await?;
    screen::line(&format!("{} sealed anew with {}", done.resealed, done.key));
    for (account, error) in &done.failed {
        screen::error(&format!("account {account}: {}", chain(error)));
    }
    Ok(if done.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
