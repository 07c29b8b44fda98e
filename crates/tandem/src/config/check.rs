//! `tandem config check`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use tandem_runtime::config::ConfigErrors;

use super::Config;
use crate::run::{Prepared, Role};
use crate::screen;

/// Subcommands of `tandem config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Tell every mistake in the configuration and in the files it names; nothing is connected
    Check,
}

pub(crate) fn run(command: &ConfigCommand, file: &Path) -> anyhow::Result<ExitCode> {
    let ConfigCommand::Check = command;
    let config = Config::load(file)?;
    let mut errors = ConfigErrors::new();
    let roles: Vec<Role> = Role::ALL
        .into_iter()
        // a file without [microsoft] serves machines on which teams-sync does not run
        .filter(|role| *role != Role::TeamsSync || config.microsoft.is_some())
        .collect();
    let prepared = Prepared::collect(&config, &roles, &mut errors);
    errors.into_result().with_context(|| format!("use the configuration {}", file.display()))?;
    prepared?;
    screen::line(&format!("{} is fine.", file.display()));
    Ok(ExitCode::SUCCESS)
}
