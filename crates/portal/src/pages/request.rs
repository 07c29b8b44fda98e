//! What has become of something that somebody asked for: the job, the answer, or a plan to look at before it is done.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use tandem_domain::job::JobScope;
use tandem_domain::roles::Act;
use tandem_store::admin::requests::Answer;
use tandem_store::portal::names::Names;
use tandem_store::previews::Preview;
use uuid::Uuid;

use super::held::ReasonForm;
use super::plan::{self, PlanShown};
use super::{Layout, form_key, html, see_other};
use crate::acts::{self, Wish};
use crate::extract::{Form, Query, id};
use crate::fault::Fault;
use crate::frame::Nonce;
use crate::guard::InAccount;
use crate::live::{self, Look, Seen};
use crate::{App, work};

#[derive(Template)]
#[template(path = "request.html")]
pub(crate) struct RequestPage {
    pub(crate) layout: Layout,
    pub(crate) shown: Shown,
}

/// The part that is fetched anew.
#[derive(Template)]
#[template(path = "request_live.html")]
pub(crate) struct Live {
    pub(crate) shown: Shown,
}

/// A plan, and how to do exactly that.
pub(crate) struct Planned {
    pub(crate) plan: PlanShown,
    pub(crate) looked_at: String,
    /// Where the form goes, what its button says, its mark and its key; none where this person may not.
    pub(crate) run: Option<(String, &'static str)>,
    pub(crate) refused: &'static str,
    pub(crate) mark: String,
    pub(crate) key: String,
}

/// Everything that is shown of a request.
pub(crate) struct Shown {
    pub(crate) account: String,
    pub(crate) id: String,
    pub(crate) waits: bool,
    /// Stands for the answer.
    pub(crate) version: String,
    pub(crate) job: Option<String>,
    pub(crate) refused: Option<(String, String)>,
    pub(crate) planned: Option<Planned>,
}

fn waits(answer: &Answer) -> bool {
    answer.job.is_none() && !answer.answered
}

impl Shown {
    pub(crate) fn of(
        inside: &InAccount,
        id: Uuid,
        answer: &Answer,
        preview: Option<&Preview>,
        names: &Names,
        key: String,
    ) -> Self {
        let account = inside.account.name.clone();
        let found = preview.and_then(|preview| Some((preview, preview.result.as_ref().ok()?)));
        let planned = found.map(|(preview, planned)| {
            let (act, to, button, looked_at) = match preview.undone {
                Some(job) => {
                    let to = format!("/accounts/{account}/jobs/{job}/undo/{id}");
                    (Act::Undo, to, "Undo exactly this", format!("What sync {job} wrote."))
                }
                None => {
                    let to = format!("/accounts/{account}/requests/{id}/run");
                    let looked_at = match preview.scope {
                        JobScope::All => "Everybody managed.".to_owned(),
                        JobScope::Changed => {
                            format!(
                                "Changes {} to {}, and deferred users that are due.",
                                planned.from, planned.to
                            )
                        }
                    };
                    (Act::SyncStored, to, "Do exactly this", looked_at)
                }
            };
            let nothing = planned.plan.steps.is_empty();
            Planned {
                plan: PlanShown::of(&planned.plan, names),
                looked_at,
                run: (inside.roles.may(act) && !nothing).then_some((to, button)),
                refused: if nothing { "There is nothing to do." } else { act.refusal() },
                mark: inside.visitor.mark.clone(),
                key,
            }
        });
        Self {
            account,
            id: id.to_string(),
            waits: waits(answer),
            version: live::version(answer),
            job: answer.job.map(|job| job.to_string()),
            refused: answer.refused.clone(),
            planned,
        }
    }
}

/// The page that follows a request.
pub(super) fn followed_at(inside: &InAccount, request: Uuid) -> Response {
    see_other(&format!("/accounts/{}/requests/{request}", inside.account.name))
}

async fn shown(app: &App, inside: &InAccount, request: &str) -> Result<Shown, Fault> {
    let id = id(request)?;
    let (answer, preview) = acts::followed(app, inside, id).await?;
    let planned = preview.as_ref().and_then(|preview| preview.result.as_ref().ok());
    let users = planned.map(|planned| plan::users(&planned.plan)).unwrap_or_default();
    let names = work::names(app, inside, &users).await?;
    Ok(Shown::of(inside, id, &answer, preview.as_ref(), &names, app.ids.v4().to_string()))
}

pub(crate) async fn page(
    State(app): State<Arc<App>>,
    nonce: Nonce,
    inside: InAccount,
    Path((_, request)): Path<(String, String)>,
) -> Result<Response, Fault> {
    let shown = shown(&app, &inside, &request).await?;
    html(&RequestPage { layout: Layout::inside(&nonce, &inside, "jobs"), shown })
}

pub(crate) async fn part(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Path((_, request)): Path<(String, String)>,
) -> Result<Response, Fault> {
    html(&Live { shown: shown(&app, &inside, &request).await? })
}

pub(crate) async fn events(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Path((_, request)): Path<(String, String)>,
    Query(seen): Query<Seen>,
) -> Result<Response, Fault> {
    let request = id(&request)?;
    acts::followed(&app, &inside, request).await?;
    Ok(live::changes(&app, inside.visitor.person, seen, move |app| {
        let inside = inside.clone();
        async move {
            let (answer, _) = acts::followed(&app, &inside, request).await?;
            Ok(Look { version: live::version(&answer), last: !waits(&answer) })
        }
    }))
}

/// Runs what a preview showed.
pub(crate) async fn run(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Path((_, request)): Path<(String, String)>,
    Form(form): Form<ReasonForm>,
) -> Result<Response, Fault> {
    form.asks(&app, &inside, Wish::Run(id(&request)?)).await
}

/// A preview that is asked for.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreviewForm {
    key: String,
    scope: String,
}

pub(crate) async fn preview(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Form(form): Form<PreviewForm>,
) -> Result<Response, Fault> {
    let scope = JobScope::parse(&form.scope).ok_or(Fault::BadInput("scope", "is all or changed"))?;
    let request = acts::ask(&app, &inside, Wish::Preview(scope), &form_key(&form.key)?, "").await?;
    Ok(followed_at(&inside, request))
}
