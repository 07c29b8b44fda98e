//! `tandem accounts`: a provider's accounts as one declarative file, until the portal exists and for automation after.
//!
//! Promised: every mistake of the file is told at once and then nothing is saved; an account is saved in one
//! transaction, with its changes recorded and announced; saving what is stored already records nothing; accounts that
//! the file does not name are left alone. A tenant is bound only after an app-only token for exactly that tenant and
//! one harmless read have proved that its administrator has consented.

mod app_credential;
mod apply;
mod bind;
mod connect;
mod coverage;
mod diff;
mod disconnect;
mod embed_link;
mod file;
mod ledger;
mod resolve;
mod show;
mod standing;
mod users;
mod waiting;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};

pub(crate) use apply::{Options, apply_text};

use crate::config::Config;
use crate::operator::{Operator, person};
use crate::screen;

pub(crate) use crate::operator::Operator as Context;

/// Subcommands of `tandem accounts`.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountsCommand {
    /// Bring the stored accounts in line with a file; accounts it does not name are left alone
    Apply {
        /// The accounts, as in docs/samples/accounts.toml
        file: PathBuf,
        /// Show what would change and change nothing
        #[arg(long)]
        dry_run: bool,
        /// Prove the authorization of every tenant of the file anew
        #[arg(long)]
        prove: bool,
        /// Who does it; the user of the operating system otherwise
        #[arg(long)]
        person: Option<String>,
    },
    /// An app registration of the account's own, in place of the provider's
    #[command(subcommand)]
    AppCredential(app_credential::AppCredentialCommand),
    /// Have the Global Administrator of a tenant connect it to an account, in a browser on this machine
    Connect(connect::ConnectArgs),
    /// Forget the tenant of an account, once nothing of ours stands there any more
    Disconnect(disconnect::DisconnectArgs),
    /// Print a signed address of an account's page for the PBX's own pages
    EmbedLink(embed_link::EmbedLinkArgs),
    /// List the accounts
    List {
        /// How to print
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Show one account with its mappings, rules, tenant and state
    Show {
        /// Its short name
        name: String,
        /// How to print
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// List the Microsoft users of an account's tenant as the last full Manual job saw them
    Users(users::UsersArgs),
    /// Show what becomes of each profile field at Microsoft, with the account's rules
    Coverage {
        /// Short name of the account
        name: String,
        /// How to print
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Show how the account's integration licences were given and taken, oldest first
    Ledger {
        /// Short name of the account
        name: String,
        /// How to print
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
}

/// How a command prints its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Text,
    /// For programs
    Json,
}

pub(crate) async fn run(command: AccountsCommand, config: &Config) -> anyhow::Result<ExitCode> {
    let operator = Operator::at_terminal(config)?;
    match command {
        AccountsCommand::Apply { file, dry_run, prove, person: given } => {
            let text = std::fs::read_to_string(&file)
                .with_context(|| format!("read the accounts in {}", file.display()))?;
            let options = Options { dry_run, prove, person: person(given) };
            let report = apply_text(&operator, &text, &options)
                .await
                .with_context(|| format!("apply {}", file.display()))?;
            screen::line(report.to_string().trim_end());
        }
        AccountsCommand::AppCredential(command) => Box::pin(app_credential::run(&operator, command)).await?,
        AccountsCommand::Connect(args) => return Box::pin(connect::run(&operator, args)).await,
        AccountsCommand::Disconnect(args) => Box::pin(disconnect::run(&operator, args)).await?,
        AccountsCommand::EmbedLink(args) => embed_link::run(&operator, &args).await?,
        AccountsCommand::List { output } => show::list(&operator, output).await?,
        AccountsCommand::Show { name, output } => show::show(&operator, &name, output).await?,
        AccountsCommand::Users(args) => users::users(&operator, args).await?,
        AccountsCommand::Coverage { name, output } => coverage::coverage(&operator, &name, output).await?,
        AccountsCommand::Ledger { name, output } => ledger::ledger(&operator, &name, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}
