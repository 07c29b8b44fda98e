//! `tandem migrate`: brings the schema up to date and sets the passwords of the roles' logins.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use tandem_runtime::config::ConfigErrors;
use tandem_store::{Login, StoreError, newest_version};

use crate::config::Config;
use crate::screen;

/// Longest wait for a database that is only just starting.
const PATIENCE: Duration = Duration::from_secs(30);

/// Works as the owner of the schema; two at once wait for each other.
pub(crate) async fn run(config: &Config) -> anyhow::Result<()> {
    let mut errors = ConfigErrors::new();
    let owner = config.database.owner(&mut errors);
    let passwords: BTreeMap<_, _> = Login::ALL
        .into_iter()
        .filter_map(|login| Some((login.name(), config.database.password(login, &mut errors)?)))
        .collect();
    errors.into_result()?;
    let (user, password) = owner.context("the owner of the schema is not configured")?;
    let mut database = config.database.config();
    // a large table may take its time
    database.statement_timeout = Duration::ZERO;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match tandem_store::migrate(&database, user, &password, &passwords).await {
            Ok(()) => return Ok(()),
            Err(error @ StoreError::Unavailable { .. }) if tokio::time::Instant::now() < deadline => {
                tracing::warn!(error = %tandem_runtime::chain(&error), "the database is not there yet; trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The command.
pub(crate) async fn command(config: &Config) -> anyhow::Result<ExitCode> {
    run(config).await?;
    screen::line(&format!("The schema is at version {}.", newest_version()));
    Ok(ExitCode::SUCCESS)
}
