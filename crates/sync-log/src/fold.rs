//! What an event does to the record of its job, and what it says as a step. Pure.

use serde_json::Value;
use tandem_domain::failure::{Failure, MOST_OF_A_JOB};
use tandem_domain::job::{JobScope, JobState, JobType};
use tandem_domain::{JobId, ObjectId, PbxUserId};
use tandem_store::log::{Event, NewStep, StepFacts};
use tandem_store::log_read::JobRow;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

/// Changes the record by its next event and returns the step that keeps the event, and the failure that the event tells of.
/// A final record changes no more, but for settling: what was counted once stays as it was counted.
pub(crate) fn apply(job: &mut JobRow, event: &Event) -> (NewStep, Option<Failure>) {
    let data = Data(&event.data);
    let was_final = job.state.is_final();
    match event.kind.as_str() {
        "settled" => job.settled_at = data.moment("settled_at").or(Some(event.at)),
        _ if job.state.is_final() => {}
        "queued" => queued(job, data),
        "merged" => {
            told(job, data);
            // a queued job that a person joined is that person's job from now on
            job.cause = data.text("cause").or(Some("request".to_owned()));
        }
        "started" => {
            job.state = JobState::Running;
            job.started_at = data.moment("started_at").or(Some(event.at));
        }
        "taken_over" => job.state = JobState::Running,
        // it may have run, and waits in the queue again
        "parked" => {
            job.state = JobState::Queued;
            job.started_at = None;
        }
        "planned" => {
            job.from_gen = data.integer("from_gen").or(job.from_gen);
            job.to_gen = data.integer("to_gen").or(job.to_gen);
            job.fingerprint = data.text("fingerprint").or(job.fingerprint.take());
        }
        "finished" => finished(job, data, event.at),
        _ => {}
    }
    job.event_number = event.number;
    let failure = if was_final { None } else { failure(&event.kind, data) };
    let failure = failure.filter(|failure| noted(job, failure));
    (NewStep { job_id: event.job, number: event.number, facts: facts(data) }, failure)
}

/// What an event says that the job, or a user of it, failed by.
fn failure(kind: &str, data: Data<'_>) -> Option<Failure> {
    let text = |name| data.text(name).unwrap_or_default();
    match kind {
        "user" => Failure::of_user(&data.text("outcome")?, &text("code"), &text("detail")),
        "finished" => Some(Failure::new(&data.text("error_code")?, &text("error_text"))),
        _ => None,
    }
}

/// Whether the record names the failure now; one with many names the first.
fn noted(job: &mut JobRow, failure: &Failure) -> bool {
    let known = job.failures.contains(&failure.fingerprint);
    if !known && job.failures.len() < MOST_OF_A_JOB {
        job.failures.push(failure.fingerprint.clone());
        return true;
    }
    known
}

fn queued(job: &mut JobRow, data: Data<'_>) {
    told(job, data);
    job.cause = data.text("cause").or(job.cause.take());
    job.linked_job = data.id("linked_job").map(JobId).or(job.linked_job);
    job.queued_at = data.moment("queued_at").unwrap_or(job.queued_at);
    job.due_at = data.moment("due_at").or(job.due_at);
    job.first_change_at = data.moment("first_change_at").or(job.first_change_at);
    job.from_gen = data.integer("from_gen").or(job.from_gen);
}

fn told(job: &mut JobRow, data: Data<'_>) {
    job.job_type = data.text("job_type").and_then(|t| JobType::parse(&t)).unwrap_or(job.job_type);
    job.scope = data.text("scope").and_then(|t| JobScope::parse(&t)).unwrap_or(job.scope);
    job.person = data.text("person").or(job.person.take());
    job.reason = data.text("reason").or(job.reason.take());
}

fn finished(job: &mut JobRow, data: Data<'_>, at: OffsetDateTime) {
    // a state that this release does not know is no reason to show a job as running for ever
    job.state = data
        .text("state")
        .and_then(|t| JobState::parse(&t))
        .filter(|state| state.is_final())
        .unwrap_or(JobState::Failed);
    job.finished_at = data.moment("finished_at").or(Some(at));
    job.counts = data.counts("counts");
    job.error_code = data.text("error_code");
    job.error_text = data.text("error_text");
}

fn facts(data: Data<'_>) -> StepFacts {
    StepFacts {
        pbx_user_id: data.text("pbx_user_id").map(PbxUserId),
        microsoft_user: data.id("microsoft_user").map(ObjectId),
        action: data.text("action"),
        outcome: data.text("outcome"),
        before: data.text("before"),
        after: data.text("after"),
        reason: data.text("reason").or_else(|| data.text("code")),
        detail: data.text("detail"),
        request_id: data.text("request_id"),
    }
}

/// The details of an event. All are optional, and one of an unexpected form counts as absent: the event is kept whole
/// beside the columns, so nothing is lost by it.
#[derive(Clone, Copy)]
struct Data<'a>(&'a Value);

impl Data<'_> {
    fn text(self, name: &str) -> Option<String> {
        match self.0.get(name)? {
            Value::Null => None,
            // PostgreSQL keeps no zero bytes in texts
            Value::String(text) => Some(text.replace('\0', "\u{fffd}")),
            other => Some(other.to_string().replace("\\u0000", "\\ufffd")),
        }
    }

    fn moment(self, name: &str) -> Option<OffsetDateTime> {
        OffsetDateTime::parse(self.0.get(name)?.as_str()?, &Rfc3339).ok()
    }

    fn integer(self, name: &str) -> Option<i64> {
        self.0.get(name)?.as_i64()
    }

    fn id(self, name: &str) -> Option<Uuid> {
        Uuid::parse_str(self.0.get(name)?.as_str()?).ok()
    }

    fn counts(self, name: &str) -> Option<Value> {
        let counts = self.0.get(name)?;
        counts.as_object()?.values().all(Value::is_i64).then(|| counts.clone())
    }
}
