//! `tandem audit`: whether the records of what people did are what was written.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;
use tandem_domain::AccountId;
use tandem_domain::audit::{Broken, Follower, PROVIDER};
use tandem_store::Tx;
use tandem_store::portal::audit::{self, Head};

use crate::config::Config;
use crate::operator::Operator;
use crate::screen;

/// Records read at once.
const BATCH: i64 = 1000;

/// Subcommands of `tandem audit`.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Follow every chain of audit records to its end; a broken one is named with the place
    Verify,
    /// Print the records of an account, or those that concern no account, a JSON object a line
    Show {
        /// Its short name
        #[arg(long)]
        account: Option<String>,
    },
}

pub(crate) async fn run(command: AuditCommand, config: &Config) -> anyhow::Result<ExitCode> {
    let operator = Operator::at_terminal(config)?;
    match command {
        AuditCommand::Verify => verify(&operator).await,
        AuditCommand::Show { account } => {
            let account = match account {
                Some(name) => operator.account(&name).await?,
                None => PROVIDER,
            };
            show(&operator, account).await
        }
    }
}

async fn verify(operator: &Operator) -> anyhow::Result<ExitCode> {
    let mut tx = operator.store.begin("audit.verify").await?;
    let mut code = ExitCode::SUCCESS;
    for head in audit::heads(&mut tx).await? {
        let name = head.name.clone().unwrap_or_else(|| match head.account {
            PROVIDER => "(no account)".to_owned(),
            account => account.to_string(),
        });
        match follow(&mut tx, &head).await? {
            Ok(records) => {
                let hash: String = head.hash.iter().map(|byte| format!("{byte:02x}")).collect();
                screen::line(&format!("{name}: {records} records, ends with {hash}"));
            }
            Err(broken) => {
                screen::error(&format!("{name}: {broken}"));
                code = ExitCode::FAILURE;
            }
        }
    }
    for account in audit::headless(&mut tx).await? {
        screen::error(&format!("{account}: there are records, and their head is gone"));
        code = ExitCode::FAILURE;
    }
    Ok(code)
}

async fn follow(tx: &mut Tx, head: &Head) -> anyhow::Result<Result<i64, Broken>> {
    let (mut follower, mut after) = (Follower::default(), 0);
    loop {
        let records = audit::records(tx, head.account, after, BATCH).await?;
        let Some((last, _)) = records.last() else { break };
        after = last.number;
        for (record, hash) in &records {
            if let Err(broken) = follower.follow(record, hash) {
                return Ok(Err(broken));
            }
        }
    }
    Ok(follower.end(head.number, &head.hash))
}

async fn show(operator: &Operator, account: AccountId) -> anyhow::Result<ExitCode> {
    let mut tx = operator.store.begin("audit.show").await?;
    let mut after = 0;
    loop {
        let records = audit::records(&mut tx, account, after, BATCH).await?;
        let Some((last, _)) = records.last() else { return Ok(ExitCode::SUCCESS) };
        after = last.number;
        for (record, _) in &records {
            screen::line(&json!(record).to_string());
        }
    }
}
