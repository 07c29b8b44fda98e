//! `tandem jobs list` and `show`.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::{Value, json};
use tandem_domain::{AccountId, JobId};
use tandem_store::Tx;
use tandem_store::admin::{accounts, jobs};
use tandem_store::log_read::{self, JobFilter, JobRow, MAX_PAGE, StepFilter, StepRow};

use super::{ListArgs, since};
use crate::accounts::Output;
use crate::operator::Operator;
use crate::screen::{self, Table};

pub(super) async fn list(operator: &Operator, args: &ListArgs) -> anyhow::Result<()> {
    let now = operator.ctx.clock.now();
    let account = match &args.account {
        Some(name) => Some(operator.account(name).await?),
        None => None,
    };
    let filter = JobFilter {
        account,
        job_type: args.job_type,
        state: args.state,
        since: args.since.as_deref().map(|text| since(text, now)).transpose()?,
        ..JobFilter::default()
    };
    let mut tx = operator.store.begin("jobs.list").await?;
    let names = names(&mut tx).await?;
    let most = usize::from(args.limit);
    let mut found: Vec<JobRow> = Vec::new();
    while found.len() < most {
        let left = i64::try_from(most - found.len()).unwrap_or(MAX_PAGE).min(MAX_PAGE);
        let after = found.last().map(|job| job.job);
        let page = log_read::jobs(&mut tx, &filter, after, left).await?;
        if page.is_empty() {
            break;
        }
        found.extend(page);
    }
    if args.output == Output::Json {
        return screen::json(&found);
    }
    let mut table = Table::new(["JOB", "ACCOUNT", "TYPE", "STATE", "QUEUED", "FINISHED", "USERS", "ERROR"]);
    for job in &found {
        table.row([
            job.job.to_string(),
            name(&names, job.account),
            job.job_type.to_string(),
            job.state.to_string(),
            screen::time(Some(job.queued_at)),
            screen::time(job.finished_at),
            counts(job.counts.as_ref()),
            job.error_code.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    screen::line(&table.text());
    Ok(())
}

pub(super) async fn names(tx: &mut Tx) -> anyhow::Result<BTreeMap<AccountId, String>> {
    Ok(accounts::names(tx).await?.into_iter().map(|(account, name, _)| (account, name)).collect())
}

pub(super) fn name(names: &BTreeMap<AccountId, String>, account: AccountId) -> String {
    names.get(&account).cloned().unwrap_or_else(|| account.to_string())
}

/// The counts that are not zero.
fn counts(counts: Option<&Value>) -> String {
    let Some(Value::Object(counts)) = counts else { return "-".to_owned() };
    let some = counts.iter().filter(|(_, count)| count.as_i64() != Some(0));
    let text: Vec<String> = some.map(|(name, count)| format!("{name} {count}")).collect();
    if text.is_empty() { "none".to_owned() } else { text.join(", ") }
}

/// A job and its steps as the log has them; the queue's own record where the log has not caught up.
pub(super) async fn find(tx: &mut Tx, id: JobId) -> anyhow::Result<(JobRow, Vec<StepRow>)> {
    let logged = log_read::job(tx, id).await?;
    let queued = jobs::job(tx, id).await?;
    let job = match (logged, queued) {
        (Some(logged), Some(queued)) if queued.event_number > logged.event_number => queued,
        (Some(logged), _) => logged,
        (None, queued) => queued.with_context(|| format!("there is no job {id}"))?,
    };
    let mut steps: Vec<StepRow> = Vec::new();
    loop {
        let after = steps.last().map_or(0, |step| step.number);
        let page = log_read::steps(tx, id, &StepFilter::default(), after, MAX_PAGE).await?;
        if page.is_empty() {
            return Ok((job, steps));
        }
        steps.extend(page);
    }
}

pub(super) async fn show(operator: &Operator, id: JobId, output: Output) -> anyhow::Result<()> {
    let mut tx = operator.store.begin("jobs.show").await?;
    let (job, steps) = find(&mut tx, id).await?;
    if output == Output::Json {
        return screen::json(&json!({ "job": job, "steps": steps }));
    }
    let names = names(&mut tx).await?;
    let optional = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let mut lines = vec![
        ("Job", job.job.to_string()),
        ("Account", name(&names, job.account)),
        ("Type, scope", format!("{}, {}", job.job_type, job.scope)),
        ("State", job.state.to_string()),
        ("Cause", optional(&job.cause)),
        ("Changes", format!("{} to {}", gen_text(job.from_gen), gen_text(job.to_gen))),
        ("Queued", screen::time(Some(job.queued_at))),
        ("Started", screen::time(job.started_at)),
        ("Finished", screen::time(job.finished_at)),
        ("Settled", screen::time(job.settled_at)),
        ("Users", counts(job.counts.as_ref())),
    ];
    if job.person.is_some() || job.reason.is_some() {
        lines.push(("Asked by", format!("{}: {}", optional(&job.person), optional(&job.reason))));
    }
    if let Some(linked) = job.linked_job {
        lines.push(("Follows", linked.to_string()));
    }
    if let Some(code) = &job.error_code {
        lines.push(("Error", format!("{code}: {}", optional(&job.error_text))));
    }
    for (title, value) in lines {
        screen::line(&format!("{title:<14}{}", screen::one_line(&value)));
    }
    screen::line("");
    screen::line(tandem_store::log_text::render(&job, &steps).trim_end());
    let known = steps.last().map_or(0, |step| step.number);
    if known < job.event_number {
        screen::note(&format!(
            "the log is behind: {} more events are on their way",
            job.event_number - known
        ));
    }
    Ok(())
}

fn gen_text(generation: Option<i64>) -> String {
    generation.map_or("-".to_owned(), |generation| generation.to_string())
}
