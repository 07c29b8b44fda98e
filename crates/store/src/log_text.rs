//! The log of a job as text, a line per step: `<mm:ss> SOURCE> text`, where the time is what has passed since the job
//! began and the source says who speaks (`JOB`, `PLAN`, `GRAPH`, `USER`, `SETTLE`). What failed is said by `ERROR`.

use std::fmt::Write;

use crate::log_read::{JobRow, StepRow};
use serde_json::Value;
use time::OffsetDateTime;

/// All lines of a job.
#[must_use]
pub fn render(job: &JobRow, steps: &[StepRow]) -> String {
    steps.iter().map(|step| line(job, step) + "\n").collect()
}

/// The line of one step, without a line end.
#[must_use]
pub fn line(job: &JobRow, step: &StepRow) -> String {
    let said = Said(&step.data);
    let (source, text) = match step.kind.as_str() {
        "queued" => (
            "JOB",
            said.list("Queued", &["job_type", "scope", "cause", "person", "reason", "linked_job", "subject"]),
        ),
        "merged" => ("JOB", said.list("A request joined", &["job_type", "scope", "person", "reason"])),
        "started" => ("JOB", said.list("Started", &["worker", "epoch"])),
        "taken_over" => ("JOB", said.list("Taken over", &["worker", "epoch"])),
        "parked" => ("JOB", said.list("Waits", &["reason", "detail"])),
        "released" => ("JOB", "May start".to_owned()),
        "cancel_asked" => ("JOB", said.list("Asked to stop", &["person", "reason"])),
        "handed_over" => ("JOB", "Handed over to the next job".to_owned()),
        "planned" => ("PLAN", planned(said)),
        "read" => (
            "GRAPH",
            said.list(
                &said.text("what").map_or("Read".to_owned(), |w| format!("Read {w}")),
                &["pages", "users"],
            ),
        ),
        "discovered" => ("GRAPH", discovered(said)),
        "step" => ("GRAPH", stepped(step, said)),
        "user" => ("USER", user(step, said)),
        "settling" => ("SETTLE", said.list(&name(step), &["look", "agrees", "detail"])),
        "settled" => ("SETTLE", "Settled: every read path agrees".to_owned()),
        "finished" => ("JOB", finished(said)),
        "alert" => ("ERROR", alert(step, said)),
        "plan_changed" => ("PLAN", changed(said)),
        "held_decided" => {
            ("JOB", said.list("Held removals decided", &["outcome", "person", "reason", "held_id"]))
        }
        kind => ("JOB", format!("{kind} {}", step.data)),
    };
    let failed = step.outcome.as_deref() == Some("failed")
        || (step.kind == "finished" && said.text("state").as_deref() == Some("failed"));
    let source = if failed { "ERROR" } else { source };
    format!("<{}> {source}> {}", elapsed(job.started_at.unwrap_or(job.queued_at), step.at), one_line(&text))
}

/// Minutes and seconds; minutes go on beyond an hour. What happened before the begin happened at 00:00.
fn elapsed(begin: OffsetDateTime, at: OffsetDateTime) -> String {
    let seconds = (at - begin).whole_seconds().max(0);
    format!("{:02}:{:02}", seconds / 60, seconds % 60)
}

/// Texts from outside must not forge lines.
fn one_line(text: &str) -> String {
    text.trim_end().replace(|c: char| c.is_control() || c == '\u{2028}' || c == '\u{2029}', " ")
}

fn planned(said: Said<'_>) -> String {
    let title = match (said.text("from_gen"), said.text("to_gen")) {
        (Some(from), Some(to)) => format!("Planned changes {from} to {to}"),
        _ => "Planned".to_owned(),
    };
    said.list(&title, &["users", "steps", "conflicts", "held", "deferred"])
}

/// Counts of a tenant's users, and where their list was cut.
fn discovered(said: Said<'_>) -> String {
    let mut title = "Enabled users".to_owned();
    if said.0.get("complete") == Some(&Value::Bool(false)) {
        let [at, why] = ["cut_at", "detail"].map(|name| said.text(name).unwrap_or("unknown".to_owned()));
        append(&mut title, format_args!(", list cut at {at} ({why})"));
    }
    let all =
        ["total", "licensed", "phoneSystem", "excludedByCallingPlan", "resource", "eligible", "warning"];
    let mut counts = said.0.get("counts").map_or(Vec::new(), |counts| Said(counts).pairs(&all));
    counts.extend(said.pairs(&["gone"]));
    format!("{title}: {}", counts.join(", "))
}

fn stepped(step: &StepRow, said: Said<'_>) -> String {
    let mut text = format!("{}: {}", name(step), step.action.as_deref().unwrap_or("step"));
    match (said.text("number"), said.text("policy_type")) {
        (Some(number), _) => append(&mut text, format_args!(" {number}")),
        (None, Some(kind)) => {
            append(&mut text, format_args!(" {kind}={}", said.text("policy_name").unwrap_or_default()));
        }
        (None, None) => {}
    }
    append(&mut text, format_args!(" {}", step.outcome.as_deref().unwrap_or("unknown")));
    if step.before.is_some() || step.after.is_some() {
        let shown = |value: &Option<String>| value.clone().unwrap_or("nothing".to_owned());
        append(&mut text, format_args!(" ({} -> {})", shown(&step.before), shown(&step.after)));
    }
    explained(text, step, said)
}

fn user(step: &StepRow, said: Said<'_>) -> String {
    let text = format!("{}: {}", name(step), step.outcome.as_deref().unwrap_or("unknown"));
    let mut text = explained(text, step, said);
    for (name, title) in [("next_look", "next look"), ("expected_by", "expected by"), ("warning", "beware:")]
    {
        if let Some(more) = said.text(name) {
            append(&mut text, format_args!(", {title} {more}"));
        }
    }
    if let Some(gap) = said.text("gap_s") {
        append(&mut text, format_args!(", without dial tone for {gap} s"));
    }
    text
}

fn alert(step: &StepRow, said: Said<'_>) -> String {
    let code = said.text("code").unwrap_or("unknown".to_owned());
    let had = step.before.as_ref().map(|number| format!(", it had {number}")).unwrap_or_default();
    let detail = step.detail.as_ref().map(|detail| format!(", {detail}")).unwrap_or_default();
    format!("{}: {code}{had}{detail}", name(step))
}

/// How a plan differs from the one that a person had seen.
fn changed(said: Said<'_>) -> String {
    let lines = |name: &str| -> String {
        let lines = said.0.get(name).and_then(Value::as_array);
        let lines: Vec<&str> = lines.into_iter().flatten().filter_map(Value::as_str).collect();
        if lines.is_empty() { "nothing".to_owned() } else { lines.join(", ") }
    };
    format!(
        "Something has changed since the plan was seen; no longer: {}; new: {}",
        lines("gone"),
        lines("new")
    )
}

/// Adds why, and Microsoft's id of the request where somebody may have to ask Microsoft about it.
fn explained(mut text: String, step: &StepRow, said: Said<'_>) -> String {
    for more in [&step.reason, &step.detail].into_iter().flatten() {
        append(&mut text, format_args!(", {more}"));
    }
    if let Some(request) = said.text("request_id") {
        append(&mut text, format_args!(" [request {request}]"));
    }
    text
}

fn finished(said: Said<'_>) -> String {
    let mut text = format!("Finished: {}", said.text("state").unwrap_or("unknown".to_owned()));
    let all = ["planned", "confirmed", "unchanged", "deferred", "held", "conflict", "failed"];
    let counts = said.0.get("counts").map_or(Vec::new(), |counts| Said(counts).pairs(&all));
    for count in counts {
        append(&mut text, format_args!(", {count}"));
    }
    for name in ["error_code", "error_text"] {
        if let Some(more) = said.text(name) {
            append(&mut text, format_args!(", {more}"));
        }
    }
    text
}

fn name(step: &StepRow) -> String {
    match (&step.pbx_user, step.microsoft_user) {
        (Some(user), _) => user.to_string(),
        (None, Some(user)) => user.to_string(),
        (None, None) => "-".to_owned(),
    }
}

fn append(text: &mut String, more: std::fmt::Arguments<'_>) {
    // writing to a String cannot fail
    let _ = text.write_fmt(more);
}

/// The details of an event.
#[derive(Clone, Copy)]
struct Said<'a>(&'a Value);

impl Said<'_> {
    fn text(self, name: &str) -> Option<String> {
        match self.0.get(name)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            // of lists a line has room for the length only; the step holds them whole
            Value::Array(list) => Some(list.len().to_string()),
            other => Some(other.to_string()),
        }
    }

    /// `name=value` of those of the names that were said.
    fn pairs(self, names: &[&str]) -> Vec<String> {
        names.iter().filter_map(|name| Some(format!("{name}={}", self.text(name)?))).collect()
    }

    /// `title: a=1, b=2`.
    fn list(self, title: &str, names: &[&str]) -> String {
        let pairs = self.pairs(names);
        if pairs.is_empty() { title.to_owned() } else { format!("{title}: {}", pairs.join(", ")) }
    }
}
