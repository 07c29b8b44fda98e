//! Asking for something and waiting for what becomes of it; `tandem jobs run`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use tandem_consent::{NewLink, Progress};
use tandem_domain::job::{JobScope, JobState};
use tandem_domain::{AccountId, JobId};
use tandem_store::admin::jobs;
use tandem_store::admin::requests::{self, Ask};
use tandem_store::connect::Purpose;
use tandem_store::portal::pause;
use tandem_store::previews;
use tokio::time::Instant;
use uuid::Uuid;

use crate::operator::{Operator, person};
use crate::pages::{Pages, PagesArgs};
use crate::screen;

/// How often it is looked whether something has happened.
const EVERY: Duration = Duration::from_millis(500);

/// Options of `tandem jobs run`.
#[derive(Debug, clap::Args)]
pub(crate) struct RunJobArgs {
    /// Which account
    #[arg(value_name = "NAME", required_unless_present = "account")]
    name: Option<String>,
    /// Which account
    #[arg(long, value_name = "NAME", conflicts_with = "name")]
    account: Option<String>,
    /// Look at every managed user, not only at those that changed
    #[arg(long, conflicts_with = "preview")]
    full: bool,
    /// Do exactly what this preview showed, or nothing
    #[arg(long, value_name = "ID")]
    preview: Option<Uuid>,
    #[command(flatten)]
    who: Who,
    /// Have the linked Global Administrator sign in, in a browser on this machine: the job works in that person's name
    /// and needs no stored authorization
    #[arg(long, conflicts_with = "preview")]
    sign_in: bool,
    #[command(flatten)]
    pages: PagesArgs,
    #[command(flatten)]
    waiting: Waiting,
}

/// Who asks, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct Who {
    /// Why; it is kept with the job
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: String,
    /// Who asks; the user of the operating system otherwise
    #[arg(long)]
    pub(super) person: Option<String>,
}

/// How long to wait for a job.
#[derive(Debug, clap::Args)]
pub(crate) struct Waiting {
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

impl Waiting {
    /// The longest wait.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout.0
    }
}

pub(super) async fn run(operator: &Operator, args: RunJobArgs) -> anyhow::Result<ExitCode> {
    let name = args.name.as_deref().or(args.account.as_deref()).context("no account is named")?;
    let account = operator.account(name).await?;
    let scope = if args.full { JobScope::All } else { JobScope::Changed };
    let ask = match args.preview {
        Some(id) => {
            let mut tx = operator.store.begin("jobs.preview").await?;
            let preview = previews::find(&mut tx, id).await?.filter(|preview| preview.undone.is_none());
            let preview = preview.with_context(|| format!("there is no preview {id} of a job to run"))?;
            anyhow::ensure!(preview.account == account, "the preview {id} is of another account");
            Ask::Run(id, preview.scope)
        }
        None if args.sign_in => {
            anyhow::ensure!(!args.who.reason.trim().is_empty(), "--reason is empty");
            let Some(request) = by_sign_in(operator, account, scope, &args).await? else {
                screen::error("nobody has asked for the sync; the link is closed");
                return Ok(ExitCode::FAILURE);
            };
            return carried_out(operator, request, &args.waiting).await;
        }
        None => Ask::Sync(scope),
    };
    job(operator, account, ask, args.who, &args.waiting).await
}

/// Asks for something that a job carries out.
pub(super) async fn job(
    operator: &Operator,
    account: AccountId,
    ask: Ask,
    who: Who,
    waiting: &Waiting,
) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(!who.reason.trim().is_empty(), "--reason is empty");
    let request = put(operator, account, ask, &person(who.person), Some(&who.reason)).await?;
    carried_out(operator, request, waiting).await
}

/// Waits for the job of a request, as far as that is wanted.
async fn carried_out(operator: &Operator, request: Uuid, waiting: &Waiting) -> anyhow::Result<ExitCode> {
    if !waiting.wait && !waiting.settled {
        screen::line(&format!(
            "Asked; request {request}. The debouncer turns it into a job within a second."
        ));
        return Ok(ExitCode::SUCCESS);
    }
    let deadline = Instant::now() + waiting.timeout.0;
    let job =
        until(deadline, request, async || Ok(requests::answer(&operator.store, request).await?.job)).await?;
    screen::note(&format!("job {job}"));
    let row = until(deadline, request, async || ended(operator, job, waiting.settled).await).await?;
    screen::line(&format!("{job} {}", row.state));
    if let Some(code) = &row.error_code {
        let text = row.error_text.as_deref().unwrap_or_default();
        screen::line(&screen::one_line(&format!("{code}: {text}")));
    }
    Ok(if row.state == JobState::Succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Puts a request where its owner finds it; returns its id.
pub(super) async fn put(
    operator: &Operator,
    account: AccountId,
    ask: Ask,
    person: &str,
    reason: Option<&str>,
) -> anyhow::Result<Uuid> {
    let request = operator.ctx.ids.v7(&operator.ctx.clock);
    let mut tx = operator.store.begin("jobs.ask").await?;
    if !matches!(ask, Ask::Preview(_) | Ask::PreviewUndo(_) | Ask::Reject(_) | Ask::Look)
        && let Some(pause) = pause::lasting(&mut tx, account, operator.ctx.clock.now()).await?
    {
        anyhow::bail!("{pause}");
    }
    requests::ask(&mut tx, request, account, ask, person, reason).await?;
    tx.commit().await?;
    Ok(request)
}

/// Waits until something is there.
pub(super) async fn until<T>(
    deadline: Instant,
    request: Uuid,
    look: impl AsyncFn() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "the time is up; the request {request} stands and is carried out all the same"
        );
        tokio::time::sleep(EVERY).await;
    }
}

/// Serves the pages on which the linked person signs in; the request that came of it.
async fn by_sign_in(
    operator: &Operator,
    account: AccountId,
    scope: JobScope,
    args: &RunJobArgs,
) -> anyhow::Result<Option<Uuid>> {
    // what is sealed later is missed now, not after somebody has signed in
    operator.config.vault.sealer()?;
    let mut pages = Pages::serve(operator, &args.pages).await?;
    let new = NewLink {
        account,
        purpose: &Purpose::Sync { scope, reason: args.who.reason.clone() },
        expected_tenant: None,
        made_by: &person(args.who.person.clone()),
        life: time::Duration::try_from(args.waiting.timeout())?,
    };
    match pages.lead(operator, &new, &args.pages).await? {
        Some(Progress::Asked { by, request, .. }) => {
            screen::note(&format!("{by} has asked for it"));
            Ok(Some(request))
        }
        _ => Ok(None),
    }
}

/// A job that has ended (and settled).
async fn ended(
    operator: &Operator,
    job: JobId,
    settled: bool,
) -> anyhow::Result<Option<tandem_store::log_read::JobRow>> {
    let mut tx = operator.store.begin("jobs.wait").await?;
    let Some(row) = jobs::job(&mut tx, job).await? else { anyhow::bail!("the job {job} is gone") };
    let failed = matches!(row.state, JobState::Failed | JobState::Cancelled);
    let over = row.state.is_final() && (!settled || failed || row.settled_at.is_some());
    Ok(over.then_some(row))
}
