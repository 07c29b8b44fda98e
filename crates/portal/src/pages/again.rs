//! Doing a job anew, taking it back, and stopping it.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use tandem_domain::JobId;
use tandem_domain::job::JobType;

use super::held::ReasonForm;
use super::jobs::Row;
use super::request::followed_at;
use super::{Layout, form_key, html};
use crate::acts::{self, Wish};
use crate::extract::{Form, id};
use crate::fault::Fault;
use crate::frame::Nonce;
use crate::guard::InAccount;
use crate::{App, work};

#[derive(Template)]
#[template(path = "replay.html")]
pub(crate) struct ReplayPage {
    pub(crate) layout: Layout,
    pub(crate) name: String,
    pub(crate) row: Row,
    pub(crate) auto: bool,
    pub(crate) key: String,
}

/// Asks once more before a replay.
pub(crate) async fn page(
    State(app): State<Arc<App>>,
    nonce: Nonce,
    inside: InAccount,
    Path((_, job)): Path<(String, String)>,
) -> Result<Response, Fault> {
    let job = work::job(&app, &inside, JobId(id(&job)?)).await?;
    if !acts::may_replay(&job) {
        return Err(Fault::NothingToReplay);
    }
    html(&ReplayPage {
        layout: Layout::inside(&nonce, &inside, "jobs"),
        name: inside.account.name.clone(),
        row: Row::of(&job, app.clock.now()),
        auto: job.job_type == JobType::Auto,
        key: app.ids.v4().to_string(),
    })
}

pub(crate) async fn replay(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Path((_, job)): Path<(String, String)>,
    Form(form): Form<ReasonForm>,
) -> Result<Response, Fault> {
    form.asks(&app, &inside, Wish::Replay(JobId(id(&job)?))).await
}

#[derive(Template)]
#[template(path = "cancel.html")]
pub(crate) struct CancelPage {
    pub(crate) layout: Layout,
    pub(crate) name: String,
    pub(crate) row: Row,
    pub(crate) key: String,
}

/// Asks once more before a job is stopped.
pub(crate) async fn before_cancel(
    State(app): State<Arc<App>>,
    nonce: Nonce,
    inside: InAccount,
    Path((_, job)): Path<(String, String)>,
) -> Result<Response, Fault> {
    let job = work::job(&app, &inside, JobId(id(&job)?)).await?;
    if !acts::may_cancel(&job) {
        return Err(Fault::NothingToCancel);
    }
    html(&CancelPage {
        layout: Layout::inside(&nonce, &inside, "jobs"),
        name: inside.account.name.clone(),
        row: Row::of(&job, app.clock.now()),
        key: app.ids.v4().to_string(),
    })
}

pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Path((_, job)): Path<(String, String)>,
    Form(form): Form<ReasonForm>,
) -> Result<Response, Fault> {
    form.asks(&app, &inside, Wish::Cancel(JobId(id(&job)?))).await
}

/// A plan of an undo that is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreviewForm {
    key: String,
}

pub(crate) async fn preview(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Path((_, job)): Path<(String, String)>,
    Form(form): Form<PreviewForm>,
) -> Result<Response, Fault> {
    let wish = Wish::PreviewUndo(JobId(id(&job)?));
    let request = acts::ask(&app, &inside, wish, &form_key(&form.key)?, "").await?;
    Ok(followed_at(&inside, request))
}

/// Undoes exactly what a preview showed.
pub(crate) async fn undo(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Path((_, job, preview)): Path<(String, String, String)>,
    Form(form): Form<ReasonForm>,
) -> Result<Response, Fault> {
    form.asks(&app, &inside, Wish::Undo(JobId(id(&job)?), Some(id(&preview)?))).await
}
