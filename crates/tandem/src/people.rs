//! `tandem people`: who has signed in to the portal, and shutting somebody out.

use std::process::ExitCode;

use clap::Subcommand;
use tandem_domain::audit::PROVIDER;
use tandem_store::portal::{audit, people, sessions, tokens};
use uuid::Uuid;

use crate::config::Config;
use crate::operator::{Operator, person};
use crate::screen::{self, Table};

/// Subcommands of `tandem people`.
#[derive(Debug, Subcommand)]
pub(crate) enum PeopleCommand {
    /// Everybody who has signed in to the portal
    List,
    /// Shut somebody out; all sessions of that person end at once
    Disable {
        /// Id, as `tandem people list` shows it
        id: Uuid,
        /// Why; kept on record
        #[arg(long)]
        reason: String,
    },
    /// Let somebody in again
    Enable {
        /// Id, as `tandem people list` shows it
        id: Uuid,
        /// Why; kept on record
        #[arg(long)]
        reason: String,
    },
}

pub(crate) async fn run(command: PeopleCommand, config: &Config) -> anyhow::Result<ExitCode> {
    let operator = Operator::at_terminal(config)?;
    match command {
        PeopleCommand::List => list(&operator).await?,
        PeopleCommand::Disable { id, reason } => switch(&operator, id, &reason, false).await?,
        PeopleCommand::Enable { id, reason } => switch(&operator, id, &reason, true).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(operator: &Operator) -> anyhow::Result<()> {
    let mut tx = operator.store.begin("people.list").await?;
    let mut table = Table::new(["ID", "NAME", "SIGNS IN AT", "OPERATOR", "LAST SIGN-IN", "SHUT OUT"]);
    for found in people::list(&mut tx).await? {
        table.row([
            found.person.to_string(),
            screen::one_line(&found.name),
            found.issuer,
            if found.operator { "yes" } else { "no" }.to_owned(),
            screen::time(found.signed_in_at),
            screen::time(found.disabled_at),
        ]);
    }
    screen::line(&table.text());
    Ok(())
}

async fn switch(operator: &Operator, id: Uuid, reason: &str, allowed: bool) -> anyhow::Result<()> {
    let now = operator.ctx.clock.now();
    let mut tx = operator.store.begin("people.switch").await?;
    let known = people::disable(&mut tx, id, (!allowed).then_some(now)).await?;
    anyhow::ensure!(known, "there is no person {id}");
    let ended = match allowed {
        true => (0, 0),
        // what somebody else may have got hold of must not count again when the person is let in again
        false => (sessions::close_all(&mut tx, id).await?, tokens::revoke_all(&mut tx, id, now).await?),
    };
    let (name, subject) = (person(None), id.to_string());
    let act = if allowed { "enable_person" } else { "disable_person" };
    let entry = audit::Entry {
        account: PROVIDER,
        at: now,
        person: None,
        name: &name,
        act,
        allowed: true,
        subject: &subject,
        reason,
    };
    audit::append(&mut tx, &entry).await?;
    tx.commit().await?;
    screen::line(&match allowed {
        true => format!("{id} may sign in again"),
        false => format!("{id} is shut out; {} sessions and {} tokens ended", ended.0, ended.1),
    });
    Ok(())
}
