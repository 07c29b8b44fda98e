//! Plans that a person looked at without anything being written.

use serde_json::{Value, json};
use sqlx::Row;
use tandem_domain::job::JobScope;
use tandem_domain::plan::Plan;
use tandem_domain::{AccountId, Gen, JobId};
use uuid::Uuid;

use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// Keeps a preview, or why there is none.
    KEEP = "insert into sync.previews (preview_id, account_id, kind, scope, job_id, person, from_gen, to_gen, fingerprint, plan, error_code, error_text)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) on conflict (preview_id) do nothing";
    /// One preview.
    ONE = "select * from sync.previews where preview_id = $1";
}

/// What was planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// It looks at the changes above this.
    pub from: Gen,
    /// It looks at the changes up to here.
    pub to: Gen,
    /// The plan.
    pub plan: Plan,
}

/// A preview.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// Its id, that of the request.
    pub id: Uuid,
    /// Whose.
    pub account: AccountId,
    /// What a job would look at.
    pub scope: JobScope,
    /// For the preview of an undo: the job to undo.
    pub undone: Option<JobId>,
    /// Who asked.
    pub person: String,
    /// The plan, or stable code and text of why there is none.
    pub result: Result<Planned, (String, String)>,
}

/// Keeps a preview.
///
/// # Errors
/// [`StoreError`].
pub async fn keep(tx: &mut Tx, preview: &Preview) -> Result<(), StoreError> {
    let failed = tx.failed();
    let planned = preview.result.as_ref().ok();
    let error = preview.result.as_ref().err();
    sqlx::query(KEEP)
        .bind(preview.id)
        .bind(preview.account.0)
        .bind(if preview.undone.is_some() { "undo" } else { "sync" })
        .bind(preview.scope.as_str())
        .bind(preview.undone.map(|j| j.0))
        .bind(&preview.person)
        .bind(planned.map(|p| p.from))
        .bind(planned.map(|p| p.to))
        .bind(planned.map(|p| p.plan.fingerprint.clone()))
        .bind(planned.map(|p| json!(p.plan)))
        .bind(error.map(|(code, _)| code))
        .bind(error.map(|(_, text)| text))
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(())
}

/// One preview.
///
/// # Errors
/// [`StoreError`].
pub async fn find(tx: &mut Tx, id: Uuid) -> Result<Option<Preview>, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let odd = |column| StoreError::Inconsistent { work, column };
    let row = sqlx::query(ONE).bind(id).fetch_optional(&mut **tx).await.map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    let result = match row.get::<Option<Value>, _>("plan") {
        Some(plan) => Ok(Planned {
            from: row.get::<Option<Gen>, _>("from_gen").unwrap_or(0),
            to: row.get::<Option<Gen>, _>("to_gen").unwrap_or(0),
            plan: serde_json::from_value(plan).map_err(|_| odd("sync.previews.plan"))?,
        }),
        None => Err((row.get("error_code"), row.get::<Option<String>, _>("error_text").unwrap_or_default())),
    };
    Ok(Some(Preview {
        id,
        account: AccountId(row.get("account_id")),
        scope: JobScope::parse(row.get("scope")).ok_or(odd("sync.previews.scope"))?,
        undone: row.get::<Option<Uuid>, _>("job_id").map(JobId),
        person: row.get("person"),
        result,
    }))
}
