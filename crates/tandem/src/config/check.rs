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
    /// Print who may do what, as docs/roles.md has it
    Roles,
    /// Print the OpenAPI document of the REST API, as docs/openapi.json has it
    Openapi,
}

pub(crate) fn run(command: &ConfigCommand, file: &Path) -> anyhow::Result<ExitCode> {
    match command {
        ConfigCommand::Check => {}
        ConfigCommand::Roles => {
            screen::line(tandem_domain::roles::document().trim_end());
            return Ok(ExitCode::SUCCESS);
        }
        ConfigCommand::Openapi => {
            screen::line(tandem_portal::openapi().trim_end());
            return Ok(ExitCode::SUCCESS);
        }
    }
    let config = Config::load(file)?;
    let mut errors = ConfigErrors::new();
    let roles = Role::configured(&config);
    let prepared = Prepared::collect(&config, &roles, &mut errors);
    errors.into_result().with_context(|| format!("use the configuration {}", file.display()))?;
    prepared?;
    screen::line(&format!("{} is fine.", file.display()));
    Ok(ExitCode::SUCCESS)
}
