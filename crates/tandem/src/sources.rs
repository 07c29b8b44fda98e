//! `tandem sources`: how the reads of PBX databases go, and letting held deletions happen.

use std::process::ExitCode;

use clap::Subcommand;
use tandem_store::admin::sources;
use tandem_store::pbx;

use crate::accounts::Output;
use crate::config::Config;
use crate::operator::{Operator, person};
use crate::screen::{self, Table};

/// Subcommands of `tandem sources`.
#[derive(Debug, Subcommand)]
pub(crate) enum SourcesCommand {
    /// List the sources and how their last reads went
    List {
        /// How to print
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Have a source read now
    Read {
        /// Its name
        name: String,
    },
    /// Let the held deletions of an account happen at the next read
    ReleaseDeletions {
        /// Which account
        #[arg(long, value_name = "NAME")]
        account: String,
        /// Why; it is kept with the release
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Who releases; the user of the operating system otherwise
        #[arg(long)]
        person: Option<String>,
    },
}

pub(crate) async fn run(command: SourcesCommand, config: &Config) -> anyhow::Result<ExitCode> {
    let operator = Operator::at_terminal(config)?;
    match command {
        SourcesCommand::List { output } => list(&operator, output).await?,
        SourcesCommand::Read { name } => {
            anyhow::ensure!(
                pbx::sources::read_now(&operator.store, &name).await?,
                "no detector has a source {name} yet"
            );
            screen::line(&format!("{name} is read within a second or two, if a detector runs."));
        }
        SourcesCommand::ReleaseDeletions { account, reason, person: given } => {
            anyhow::ensure!(!reason.trim().is_empty(), "--reason is empty");
            let id = operator.account(&account).await?;
            let mut tx = operator.store.begin("sources.release_deletions").await?;
            let released = sources::release_deletions(&mut tx, id, &person(given), &reason).await?;
            tx.commit().await?;
            anyhow::ensure!(released > 0, "no deletions of {account} are held");
            screen::line(&format!("The deletion of {released} users of {account} happens at the next read."));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(operator: &Operator, output: Output) -> anyhow::Result<()> {
    let found = sources::list(&operator.store).await?;
    if output == Output::Json {
        return screen::json(&found);
    }
    let count = |count: Option<i64>| count.map_or("-".to_owned(), |count| count.to_string());
    let mut table = Table::new([
        "SOURCE",
        "ACCOUNTS",
        "USERS",
        "UNBOUND",
        "LAST GOOD READ",
        "NEXT READ",
        "HELD",
        "ERROR",
    ]);
    for source in &found {
        let error = match (&source.error_code, &source.error) {
            (Some(code), Some(text)) => format!("{code}: {text}"),
            _ if source.reading => "(reading)".to_owned(),
            _ => "-".to_owned(),
        };
        table.row([
            source.source.clone(),
            source.accounts.to_string(),
            count(source.users),
            count(source.unbound),
            screen::time(source.last_ok_at),
            screen::time(source.next_read_at),
            source.held.to_string(),
            error,
        ]);
    }
    screen::line(&table.text());
    Ok(())
}
