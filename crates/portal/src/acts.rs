//! What people decide about jobs. The portal records a request; who owns jobs carries it out, and looks again whether it
//! still fits.

use tandem_domain::job::{JobScope, JobType};
use tandem_domain::roles::Act;
use tandem_domain::{JobId, replay};
use tandem_store::Tx;
use tandem_store::admin::requests::{self, Answer, Ask};
use tandem_store::held::{self, Held};
use tandem_store::log_read::JobRow;
use tandem_store::portal::{audit, overview};
use tandem_store::previews::{self, Preview};
use uuid::Uuid;

use crate::App;
use crate::extract::is_line;
use crate::fault::Fault;
use crate::guard::{InAccount, of};
use crate::pausing;
use crate::work::{claim, find_job};

/// What somebody wishes to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Held removals are carried out.
    Approve(Uuid),
    /// Held removals are dropped.
    Reject(Uuid),
    /// What a job did not achieve is done anew.
    Replay(JobId),
    /// A job that is queued or runs stops.
    Cancel(JobId),
    /// A plan of an undo.
    PreviewUndo(JobId),
    /// A job is undone, exactly as a preview showed where one is named.
    Undo(JobId, Option<Uuid>),
    /// A plan of a sync.
    Preview(JobScope),
    /// A sync that does exactly what a preview showed.
    Run(Uuid),
}

impl Wish {
    /// What it is in the role table.
    fn act(self) -> Act {
        match self {
            Self::Approve(_) | Self::Reject(_) => Act::DecideHeld,
            Self::Replay(_) => Act::Replay,
            Self::Cancel(_) => Act::Cancel,
            Self::PreviewUndo(_) | Self::Undo(..) => Act::Undo,
            Self::Preview(_) | Self::Run(_) => Act::SyncStored,
        }
    }

    /// Whether a job comes of it. A plan and a rejection write nothing, and what runs by somebody's hand goes on in a
    /// pause, so it must be possible to stop it then.
    fn starts_a_job(self) -> bool {
        match self {
            Self::Approve(_) | Self::Replay(_) | Self::Undo(..) | Self::Run(_) => true,
            Self::Preview(_) | Self::PreviewUndo(_) | Self::Reject(_) | Self::Cancel(_) => false,
        }
    }

    /// What it is about, for the audit.
    fn subject(self) -> String {
        match self {
            Self::Approve(held) => format!("approve {held}"),
            Self::Reject(held) => format!("reject {held}"),
            Self::Replay(job) => format!("replay {job}"),
            Self::Cancel(job) => format!("cancel {job}"),
            Self::PreviewUndo(job) => format!("preview of undoing {job}"),
            Self::Undo(job, None) => format!("undo {job}"),
            Self::Undo(job, Some(preview)) => format!("undo {job} as {preview} showed"),
            Self::Preview(scope) => format!("preview {scope}"),
            Self::Run(preview) => format!("run {preview}"),
        }
    }
}

/// Why somebody does something, in one line.
pub(crate) fn reason(text: &str) -> Result<&str, Fault> {
    let reason = text.trim();
    if !is_line(reason, 500) {
        return Err(Fault::BadInput("reason", "is one line of 1 to 500 characters"));
    }
    Ok(reason)
}

/// Whether a job has left something to be done anew.
pub(crate) fn may_replay(job: &JobRow) -> bool {
    replay::leaves_something(job.state)
}

/// Whether there is something of a job to stop.
pub(crate) fn may_cancel(job: &JobRow) -> bool {
    !job.state.is_final()
}

/// Whether a job has done something that could be undone.
pub(crate) fn may_undo(job: &JobRow) -> bool {
    let confirmed = job.counts.as_ref().and_then(|counts| counts.get("confirmed")?.as_i64());
    job.state.is_final() && confirmed.is_some_and(|users| users > 0)
}

/// Records a wish: a request, its audit record and its key, or none of them. The same key again is the same request.
pub(crate) async fn ask(
    app: &App,
    inside: &InAccount,
    wish: Wish,
    key: &str,
    reason: &str,
) -> Result<Uuid, Fault> {
    let (account, visitor) = (inside.id(), &inside.visitor);
    let (now, request, subject) = (app.clock.now(), app.ids.v7(&app.clock), wish.subject());
    let what = format!("{subject}\n{reason}");
    let mut tx = app.store.begin_for("portal.ask", account).await?;
    if let Some(before) = claim(&mut tx, inside, (key, what.as_bytes()), request, now).await? {
        return Ok(before);
    }
    let stands = overview::stand(&mut tx, &[account], now).await?;
    let facts = stands.first().ok_or(Fault::NotFound)?.facts;
    if wish.starts_a_job() {
        pausing::refuse(&mut tx, account, now).await?;
    }
    let ask = match wish {
        Wish::Approve(id) => {
            let held = open_list(&mut tx, id).await?;
            if held.expired {
                return Err(Fault::HeldExpired);
            }
            Ask::Approve(id)
        }
        Wish::Reject(id) => Ask::Reject(open_list(&mut tx, id).await?.id),
        Wish::Replay(job) => {
            let row = find_job(&mut tx, job).await?;
            if !may_replay(&row) {
                return Err(Fault::NothingToReplay);
            }
            if row.job_type == JobType::Auto && !facts.auto_sync {
                return Err(Fault::TeamsNeedsAutoSync);
            }
            Ask::Replay(job, replay::scope(row.state, row.scope))
        }
        Wish::Cancel(job) => {
            if !may_cancel(&find_job(&mut tx, job).await?) {
                return Err(Fault::NothingToCancel);
            }
            Ask::Cancel(job)
        }
        Wish::PreviewUndo(job) | Wish::Undo(job, _) => {
            if !may_undo(&find_job(&mut tx, job).await?) {
                return Err(Fault::NothingToUndo);
            }
            match wish {
                Wish::Undo(_, None) => Ask::Undo(job, None),
                Wish::Undo(_, Some(id)) => {
                    let preview = find_preview(&mut tx, id).await?;
                    if preview.undone != Some(job) {
                        return Err(Fault::NotFound);
                    }
                    Ask::Undo(job, Some(id))
                }
                _ => Ask::PreviewUndo(job),
            }
        }
        Wish::Preview(_) | Wish::Run(_) if !facts.auto_sync => return Err(Fault::TeamsNeedsAutoSync),
        Wish::Preview(scope) => Ask::Preview(scope),
        Wish::Run(id) => {
            let preview = find_preview(&mut tx, id).await?;
            if preview.undone.is_some() || preview.result.is_err() {
                return Err(Fault::NotFound);
            }
            Ask::Run(id, preview.scope)
        }
    };
    // a replay waits for a sign-in, and the others write nothing
    if !facts.healthy && !matches!(wish, Wish::Replay(_) | Wish::Reject(_) | Wish::Cancel(_)) {
        return Err(Fault::NotAuthorized);
    }
    let kept = Some(reason).filter(|reason| !reason.is_empty());
    requests::ask(&mut tx, request, account, ask, &visitor.name, kept).await?;
    audit::append(&mut tx, &of(visitor, account, wish.act(), now, &subject, reason, true)).await?;
    tx.commit().await?;
    tracing::info!(%account, %request, "somebody decided about a job in the portal");
    Ok(request)
}

async fn open_list(tx: &mut Tx, id: Uuid) -> Result<Held, Fault> {
    let found = held::find(tx, id).await?.ok_or(Fault::NotFound)?;
    if found.outcome.is_some() { Err(Fault::HeldDecided) } else { Ok(found) }
}

async fn find_preview(tx: &mut Tx, id: Uuid) -> Result<Preview, Fault> {
    previews::find(tx, id).await?.ok_or(Fault::NotFound)
}

/// The removals that wait for a person in the account, if any do.
pub(crate) async fn held(app: &App, inside: &InAccount) -> Result<Option<Held>, Fault> {
    let mut tx = app.store.begin_for("portal.held", inside.id()).await?;
    Ok(held::list(&mut tx, Some(inside.id())).await?.into_iter().next())
}

/// What has become of a request, with the plan where it asked for one.
pub(crate) async fn followed(
    app: &App,
    inside: &InAccount,
    request: Uuid,
) -> Result<(Answer, Option<Preview>), Fault> {
    let mut tx = app.store.begin_for("portal.request", inside.id()).await?;
    let answer = requests::answer_in(&mut tx, request).await?.ok_or(Fault::NotFound)?;
    Ok((answer, previews::find(&mut tx, request).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idea18_a_pause_keeps_back_what_starts_a_job_and_lets_one_be_stopped() {
        let (id, job) = (Uuid::nil(), JobId(Uuid::nil()));
        let kept = [Wish::Approve(id), Wish::Replay(job), Wish::Undo(job, None), Wish::Run(id)];
        assert!(kept.into_iter().all(Wish::starts_a_job));
        let free =
            [Wish::Reject(id), Wish::Cancel(job), Wish::PreviewUndo(job), Wish::Preview(JobScope::All)];
        assert!(!free.into_iter().any(Wish::starts_a_job));
    }
}
