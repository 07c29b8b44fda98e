//! `tandem jobs preview` and `undo`: plans to look at before anything is written.

use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;
use tandem_domain::job::JobScope;
use tandem_domain::plan::{Action, Plan, Step, Verdict};
use tandem_domain::{AccountId, JobId};
use tandem_store::admin::jobs;
use tandem_store::admin::requests::{self, Ask};
use tandem_store::previews::{self, Planned};
use tokio::time::Instant;
use uuid::Uuid;

use super::ask::{self, Waiting, Who};
use crate::accounts::Output;
use crate::operator::{Operator, person};
use crate::screen::{self, Table};

/// Options of `tandem jobs preview`.
#[derive(Debug, clap::Args)]
pub(crate) struct PreviewArgs {
    /// Which account
    #[arg(long, value_name = "NAME")]
    account: String,
    /// What the job would look at: users that changed, or everybody managed
    #[arg(long, value_name = "all|changed", default_value = "changed", value_parser = scope)]
    scope: JobScope,
    /// Who asks; the user of the operating system otherwise
    #[arg(long)]
    person: Option<String>,
    /// Longest wait
    #[arg(long, default_value = "10m", value_name = "DURATION")]
    timeout: tandem_runtime::config::HumanDuration,
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Options of `tandem jobs undo`.
#[derive(Debug, clap::Args)]
pub(crate) struct UndoArgs {
    /// The job to undo
    job: Uuid,
    /// Why; it is kept with the new job
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
    reason: Option<String>,
    /// Who asks; the user of the operating system otherwise
    #[arg(long)]
    person: Option<String>,
    /// Only show what would be done, and what can no longer be undone
    #[arg(long, conflicts_with_all = ["preview", "reason"])]
    dry_run: bool,
    /// Do exactly what this preview of --dry-run showed, or nothing
    #[arg(long, value_name = "ID")]
    preview: Option<Uuid>,
    /// How to print the preview
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    waiting: Waiting,
}

fn scope(text: &str) -> Result<JobScope, String> {
    JobScope::parse(text).ok_or_else(|| "all or changed".to_owned())
}

pub(super) async fn preview(operator: &Operator, args: PreviewArgs) -> anyhow::Result<ExitCode> {
    let account = operator.account(&args.account).await?;
    let deadline = Instant::now() + args.timeout.0;
    let look = (Ask::Preview(args.scope), args.person, args.output);
    let more = |id: Uuid| {
        format!("To do exactly this: tandem jobs run {} --preview {id} --reason TEXT", args.account)
    };
    show(operator, account, look, deadline, more).await
}

pub(super) async fn undo(operator: &Operator, args: UndoArgs) -> anyhow::Result<ExitCode> {
    let job = JobId(args.job);
    let mut tx = operator.store.begin("jobs.undo").await?;
    let row = jobs::job(&mut tx, job).await?.with_context(|| format!("there is no job {job} to undo"))?;
    tx.commit().await?;
    if args.dry_run {
        let look = (Ask::PreviewUndo(job), args.person, args.output);
        let more =
            |id: Uuid| format!("To do exactly this: tandem jobs undo {job} --preview {id} --reason TEXT");
        return show(operator, row.account, look, Instant::now() + args.waiting.timeout(), more).await;
    }
    let who = Who { reason: args.reason.unwrap_or_default(), person: args.person };
    ask::job(operator, row.account, Ask::Undo(job, args.preview), who, &args.waiting).await
}

/// Has a plan made and shows it.
async fn show(
    operator: &Operator,
    account: AccountId,
    (ask, who, output): (Ask, Option<String>, Output),
    deadline: Instant,
    more: impl Fn(Uuid) -> String,
) -> anyhow::Result<ExitCode> {
    let id = ask::put(operator, account, ask, &person(who), None).await?;
    let answer = ask::until(deadline, id, async || {
        let answer = requests::answer(&operator.store, id).await?;
        Ok(answer.answered.then_some(answer))
    })
    .await?;
    if let Some((code, text)) = answer.refused {
        anyhow::bail!("{code}: {text}");
    }
    let mut tx = operator.store.begin("jobs.preview").await?;
    let found = previews::find(&mut tx, id).await?.context("the preview is gone")?;
    let Ok(Planned { from, to, plan }) = found.result else { anyhow::bail!("there is no plan") };
    if output == Output::Json {
        screen::json(
            &json!({ "preview_id": id, "account_id": account, "scope": found.scope, "job_id": found.undone,
                              "from_gen": from, "to_gen": to, "fingerprint": plan.fingerprint, "plan": plan }),
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    let looks_at = match (found.undone, found.scope) {
        (Some(job), _) => format!("what job {job} wrote"),
        (None, JobScope::All) => "everybody managed".to_owned(),
        (None, JobScope::Changed) => format!("changes {from} to {to}, and deferred users that are due"),
    };
    for (title, value) in
        [("Preview", id.to_string()), ("Looks at", looks_at), ("Fingerprint", plan.fingerprint.clone())]
    {
        screen::line(&format!("{title:<14}{}", screen::one_line(&value)));
    }
    screen::line(&format!("\n{}\n", text(&plan)));
    screen::line(&more(id));
    Ok(ExitCode::SUCCESS)
}

/// A plan to read.
fn text(plan: &Plan) -> String {
    let mut parts = vec![if plan.steps.is_empty() {
        "Nothing would be written.".to_owned()
    } else {
        format!("{} steps:\n{}", plan.steps.len(), steps(&plan.steps))
    }];
    if !plan.held.is_empty() {
        parts.push(format!(
            "{} removals would be held for a person:\n{}",
            plan.held.len(),
            steps(&plan.held)
        ));
    }
    let users = users(plan);
    if !users.is_empty() {
        parts.push(users);
    }
    let unchanged = plan.users.iter().filter(|user| user.verdict == Verdict::Unchanged).count();
    parts.push(format!("{unchanged} users are as they should be."));
    parts.join("\n\n")
}

/// Steps as a table.
pub(super) fn steps(steps: &[Step]) -> String {
    let mut table = Table::new(["NO", "PBX USER", "MICROSOFT USER", "ACTION", "WHAT", "AFTER STEP", "WHY"]);
    for step in steps {
        let what = match &step.action {
            Action::AssignNumber { number, .. } | Action::UnassignNumber { number } => number.to_string(),
            Action::AssignPolicy { policy_type, name, .. } | Action::UnassignPolicy { policy_type, name } => {
                format!("{policy_type} {name}")
            }
        };
        let after: Vec<String> = step.depends_on.iter().map(ToString::to_string).collect();
        table.row([
            step.no.to_string(),
            step.user.to_string(),
            step.oid.to_string(),
            step.action.kind().to_owned(),
            what,
            if after.is_empty() { "-".to_owned() } else { after.join(", ") },
            step.reason.clone().into_owned(),
        ]);
    }
    table.text()
}

/// Users without steps, and warnings.
fn users(plan: &Plan) -> String {
    let mut table = Table::new(["PBX USER", "RESULT", "CODE", "WHY"]);
    let mut rows = 0;
    let mut row = |user: String, result: &str, code: String, why: &str| {
        rows += 1;
        table.row([user, result.to_owned(), code, why.to_owned()]);
    };
    for user in &plan.users {
        let name = || user.user.to_string();
        match &user.verdict {
            Verdict::Steps | Verdict::Unchanged => {}
            Verdict::Conflict { code, text, .. } => row(name(), "conflict", code.to_string(), text),
            Verdict::Failed { code, text } => row(name(), "failed", code.to_string(), text),
            Verdict::Kept { code, text } => row(name(), "kept", code.to_string(), text),
            Verdict::Deferred { reason, text } => {
                row(name(), "deferred", reason.as_str().to_owned(), text);
            }
            Verdict::Held { text } => row(name(), "held", "-".to_owned(), text),
        }
        if let Some(warning) = &user.warning {
            row(name(), "warning", warning.code.to_string(), &warning.text);
        }
    }
    if rows == 0 { String::new() } else { table.text() }
}
