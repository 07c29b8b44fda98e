//! Support bundles: all that is known of one job, in one file that may leave the house.
//!
//! Names of people, the middle of numbers, and whatever looks like a secret are taken out ([`Mask`]); ids, Microsoft's
//! request ids, codes and times stay, since they are what a bundle is for.

use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tandem_domain::mask::Mask;
use tandem_domain::roles::Act;
use tandem_domain::{JobId, account_state};
use tandem_store::log_read::{JobRow, StepRow};
use tandem_store::log_text;
use tandem_store::portal::overview::Overview;
use tandem_store::portal::{audit, names};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::fault::Fault;
use crate::guard::{InAccount, of};
use crate::{App, work};

/// The most steps of a bundle.
const STEPS: usize = 10_000;

/// Makes the bundle of a job, on record.
pub(crate) async fn make(app: &App, inside: &InAccount, job: JobId) -> Result<Response, Fault> {
    let row = work::job(app, inside, job).await?;
    let (steps, complete) = steps(app, inside, job).await?;
    let account = work::overview(app, inside).await?;
    let (now, visitor) = (app.clock.now(), &inside.visitor);
    let mut tx = app.store.begin_for("portal.bundle", inside.id()).await?;
    let mut known = names::known(&mut tx, inside.id()).await?;
    let subject = job.to_string();
    let because = inside.visit.as_deref().unwrap_or_default();
    audit::append(&mut tx, &of(visitor, inside.id(), Act::SupportBundle, now, &subject, because, true))
        .await?;
    tx.commit().await?;
    known.extend(row.person.clone());
    known.extend([account.label.clone()]);
    known.extend(account.authorization.iter().filter_map(|found| found.admin.clone()));
    let made = tokio::task::spawn_blocking(move || {
        bundle(&Mask::of(seen_in(known, &row, &steps)), &row, &steps, &account, (now, complete))
    });
    let made = made.await.map_err(|_| Fault::Internal)?;
    let text = serde_json::to_string_pretty(&made).map_err(|_| Fault::Internal)?;
    let name = format!("attachment; filename=\"tandem-{}-{job}.json\"", inside.account.name);
    let headers =
        [(header::CONTENT_TYPE, "application/json".to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, text).into_response())
}

/// All steps of a job, and whether those are all.
async fn steps(app: &App, inside: &InAccount, job: JobId) -> Result<(Vec<StepRow>, bool), Fault> {
    let mut all: Vec<StepRow> = Vec::new();
    loop {
        let after = all.last().map_or(0, |step| step.number);
        let page = work::steps(app, inside, job, after).await?;
        all.extend(page.rows);
        if page.next.is_none() || all.len() >= STEPS {
            return Ok((all, page.next.is_none()));
        }
    }
}

/// The names that stand in what a bundle would say: an account may have thousands, a job is about a few.
fn seen_in(known: Vec<String>, row: &JobRow, steps: &[StepRow]) -> Vec<String> {
    let said = json!({ "job": row, "steps": steps }).to_string().to_lowercase();
    // texts within JSON have quotes and the like escaped; a name that holds one is kept to be safe
    let plain = |name: &str| name.chars().all(|c| c != '"' && c != '\\' && !c.is_control());
    known.into_iter().filter(|name| !plain(name) || said.contains(&name.to_lowercase())).collect()
}

fn masked_job(mask: &Mask, job: &JobRow) -> JobRow {
    let text = |text: &Option<String>| text.as_deref().map(|text| mask.text(text));
    JobRow {
        person: text(&job.person),
        reason: text(&job.reason),
        error_text: text(&job.error_text),
        ..job.clone()
    }
}

fn masked_step(mask: &Mask, step: &StepRow) -> StepRow {
    let text = |text: &Option<String>| text.as_deref().map(|text| mask.text(text));
    StepRow {
        pbx_user: step.pbx_user.as_ref().map(|user| tandem_domain::PbxUserId(mask.text(user.as_str()))),
        before: text(&step.before),
        after: text(&step.after),
        reason: text(&step.reason),
        detail: text(&step.detail),
        request_id: text(&step.request_id),
        data: mask.value(&step.data),
        ..step.clone()
    }
}

fn bundle(
    mask: &Mask,
    job: &JobRow,
    steps: &[StepRow],
    account: &Overview,
    (now, complete): (OffsetDateTime, bool),
) -> Value {
    let job = masked_job(mask, job);
    let steps: Vec<StepRow> = steps.iter().map(|step| masked_step(mask, step)).collect();
    let mut requests: Vec<&str> = steps.iter().filter_map(|step| step.request_id.as_deref()).collect();
    requests.sort_unstable();
    requests.dedup();
    let time = |at: OffsetDateTime| at.format(&Rfc3339).ok();
    let authorization = account.authorization.as_ref().map(|found| {
        json!({
            "tenant": found.tenant, "state": found.state.as_str(), "reason": found.reason.map(|reason| reason.as_str()),
            "since": time(found.since), "checked_at": found.checked_at.and_then(time),
        })
    });
    json!({
        "made_at": time(now),
        "versions": {
            "tandem": env!("CARGO_PKG_VERSION"),
            "schema": tandem_store::newest_version(),
        },
        "masked": "names, addresses of mail, numbers and secrets",
        "account": {
            "account_id": account.account, "name": account.name,
            "state": account_state::state(&account.facts).label(), "auto_sync": account.facts.auto_sync,
            "changes_queued": account.facts.queued, "paused_until": account.pause.as_ref().and_then(|(until, _)| time(*until)),
            "retry_at": account.retry_at.and_then(time), "licences": account.licences, "mapped": account.mapped,
            "authorization": authorization,
        },
        "job": job,
        "steps": steps,
        "steps_complete": complete,
        "microsoft_request_ids": requests,
        "log": log_text::render(&job, &steps).lines().collect::<Vec<_>>(),
    })
}
