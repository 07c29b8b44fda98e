//! `tandem jobs`: what happened, and asking for something. Nothing here touches a job: a request is a row that its owner
//! carries out, the debouncer what needs a job, teams-sync what needs none.

mod ask;
mod held;
mod look;
mod preview;
mod remote;

use std::process::ExitCode;

use clap::Subcommand;
use tandem_domain::job::{JobState, JobType};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::accounts::Output;
use crate::config::Config;
use crate::operator::Operator;

/// Subcommands of `tandem jobs`.
#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// List jobs, newest first
    List(ListArgs),
    /// Show one job and its log
    Show {
        /// Its id
        job: Uuid,
        /// Its account, where that is not plain, through the portal
        #[arg(long, value_name = "NAME", requires = "portal")]
        account: Option<String>,
        #[command(flatten)]
        remote: remote::MaybeRemote,
        /// How to print
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Follow a job until it is over, through the portal
    Watch(remote::OneArgs),
    /// Have a job that did not succeed done anew, through the portal
    Replay(remote::AskArgs),
    /// Stop a job that is queued or runs, through the portal; what it has done stays done
    Cancel(remote::AskArgs),
    /// Ask for a Manual job of an account; it uses the stored authorization
    Run(ask::RunJobArgs),
    /// Show what a job would do, without writing anything
    Preview(preview::PreviewArgs),
    /// List removals that wait for a person
    Held(held::HeldArgs),
    /// Have held removals carried out, exactly as they are listed
    Approve(held::DecideArgs),
    /// Drop held removals; they are not proposed again until something changes about their users
    Reject(held::DecideArgs),
    /// Undo what a job wrote, as far as it can be undone
    Undo(preview::UndoArgs),
}

/// Options of `tandem jobs list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Of this account only
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Of this type only
    #[arg(long = "type", value_name = "auto|manual", value_parser = job_type)]
    job_type: Option<JobType>,
    /// In this state only: queued, running, succeeded, partly, failed, cancelled
    #[arg(long, value_parser = job_state)]
    state: Option<JobState>,
    /// Cut since then: a time such as 2026-12-24T18:00:00Z, or how long ago, such as 2h
    #[arg(long, value_name = "TIME|DURATION")]
    since: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    #[command(flatten)]
    remote: remote::MaybeRemote,
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

fn job_type(text: &str) -> Result<JobType, String> {
    JobType::parse(text).ok_or_else(|| "auto or manual".to_owned())
}

fn job_state(text: &str) -> Result<JobState, String> {
    JobState::parse(text).ok_or_else(|| "queued, running, succeeded, partly, failed or cancelled".to_owned())
}

/// A time, or how long before `now`.
fn since(text: &str, now: OffsetDateTime) -> anyhow::Result<OffsetDateTime> {
    use time::format_description::well_known::Rfc3339;
    if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(at);
    }
    let ago = tandem_runtime::config::duration::parse(text).map_err(|_| {
        anyhow::anyhow!("--since is neither a time such as 2026-12-24T18:00:00Z nor a duration such as 2h")
    })?;
    Ok(now - ago)
}

pub(crate) async fn run(
    command: JobsCommand,
    load: impl FnOnce() -> anyhow::Result<Config>,
) -> anyhow::Result<ExitCode> {
    // what goes through the portal needs neither the configuration nor the database
    let command = match command {
        JobsCommand::List(args) if args.remote.asked() => return remote::list(&args).await,
        JobsCommand::Show { job, account, remote, output } if remote.asked() => {
            return remote::show(&remote, (job, account.as_deref()), output).await;
        }
        JobsCommand::Watch(args) => return remote::watch(&args).await,
        JobsCommand::Replay(args) => return remote::ask(&args, "replay").await,
        JobsCommand::Cancel(args) => return remote::ask(&args, "cancel").await,
        command => command,
    };
    let operator = Operator::at_terminal(&load()?)?;
    match command {
        JobsCommand::Watch(_) | JobsCommand::Replay(_) | JobsCommand::Cancel(_) => {}
        JobsCommand::List(args) => look::list(&operator, &args).await?,
        JobsCommand::Show { job, output, .. } => look::show(&operator, job.into(), output).await?,
        JobsCommand::Run(args) => return ask::run(&operator, args).await,
        JobsCommand::Preview(args) => return preview::preview(&operator, args).await,
        JobsCommand::Held(args) => held::list(&operator, &args).await?,
        JobsCommand::Approve(args) => return held::approve(&operator, args).await,
        JobsCommand::Reject(args) => return held::reject(&operator, args).await,
        JobsCommand::Undo(args) => return preview::undo(&operator, args).await,
    }
    Ok(ExitCode::SUCCESS)
}
