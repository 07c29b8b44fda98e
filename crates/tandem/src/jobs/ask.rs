//! `tandem jobs run`.

use std::process::ExitCode;
use std::time::Duration;

use tandem_domain::JobId;
use tandem_domain::job::{JobScope, JobState};
use tandem_store::admin::{jobs, requests};
use tokio::time::Instant;

use crate::operator::{Operator, person};
use crate::screen;

/// How often it is looked whether something has happened.
const EVERY: Duration = Duration::from_millis(500);

/// Options of `tandem jobs run`.
#[derive(Debug, clap::Args)]
pub(crate) struct RunJobArgs {
    /// Which account
    #[arg(long, value_name = "NAME")]
    account: String,
    /// Look at every managed user, not only at those that changed
    #[arg(long)]
    full: bool,
    /// Why; it is kept with the job
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who asks; the user of the operating system otherwise
    #[arg(long)]
    person: Option<String>,
    /// Wait until the job has finished; exit code 1 unless it succeeded
    #[arg(long)]
    wait: bool,
    /// Wait until it has settled as well
    #[arg(long)]
    settled: bool,
    /// Longest wait
    #[arg(long, default_value = "30m", value_name = "DURATION")]
    timeout: tandem_runtime::config::HumanDuration,
}

pub(super) async fn run(operator: &Operator, args: RunJobArgs) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(!args.reason.trim().is_empty(), "--reason is empty");
    let account = operator.account(&args.account).await?;
    let scope = if args.full { JobScope::All } else { JobScope::Changed };
    let request = operator.ctx.ids.v7(&operator.ctx.clock);
    let mut tx = operator.store.begin("jobs.ask").await?;
    requests::ask(&mut tx, request, account, scope, &person(args.person), &args.reason).await?;
    tx.commit().await?;
    if !args.wait && !args.settled {
        screen::line(&format!(
            "Asked; request {request}. The debouncer turns it into a job within a second."
        ));
        return Ok(ExitCode::SUCCESS);
    }
    let deadline = Instant::now() + args.timeout.0;
    let late =
        || anyhow::anyhow!("the time is up; the request {request} stands and is carried out all the same");
    let job = loop {
        if let Some(job) = requests::job(&operator.store, request).await? {
            break job;
        }
        anyhow::ensure!(Instant::now() < deadline, late());
        tokio::time::sleep(EVERY).await;
    };
    screen::note(&format!("job {job}"));
    let state = loop {
        if let Some(state) = ended(operator, job, args.settled).await? {
            break state;
        }
        anyhow::ensure!(Instant::now() < deadline, late());
        tokio::time::sleep(EVERY).await;
    };
    screen::line(&format!("{job} {state}"));
    Ok(if state == JobState::Succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The state of a job that has ended (and settled).
async fn ended(operator: &Operator, job: JobId, settled: bool) -> anyhow::Result<Option<JobState>> {
    let mut tx = operator.store.begin("jobs.wait").await?;
    let Some(row) = jobs::job(&mut tx, job).await? else { anyhow::bail!("the job {job} is gone") };
    let failed = matches!(row.state, JobState::Failed | JobState::Cancelled);
    let over = row.state.is_final() && (!settled || failed || row.settled_at.is_some());
    Ok(over.then_some(row.state))
}
