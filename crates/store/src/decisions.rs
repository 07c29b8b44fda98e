//! What people have decided about users; it holds until the next change of the user.

use sqlx::Row;
use tandem_domain::plan::{Decision, Decisions, UserKey};
use tandem_domain::{AccountId, Gen, JobId, ObjectId, PbxUserId};
use time::OffsetDateTime;

use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// Decisions about users that have not changed since.
    STANDING = "select d.pbx_user_id, d.microsoft_user, d.kind from sync.decisions d
                 where d.account_id = $1
                   and not exists (select from change.log c where c.account_id = d.account_id and c.gen > d.gen and c.pbx_user_id = d.pbx_user_id)";
    /// Decisions of an account for people to look at.
    LIST = "select pbx_user_id, kind, person, reason, decided_at from sync.decisions where account_id = $1 order by pbx_user_id, microsoft_user limit 1000";
    /// Keeps decisions; a new one about a user replaces the old one.
    DECIDE = "insert into sync.decisions (account_id, pbx_user_id, microsoft_user, kind, gen, person, reason, job_id)
              select $1, u.user_id, u.oid, $4, $5, $6, $7, $8 from unnest($2::text[], $3::uuid[]) as u (user_id, oid)
              on conflict (account_id, pbx_user_id, microsoft_user) do update
                set kind = excluded.kind, gen = excluded.gen, person = excluded.person, reason = excluded.reason,
                    job_id = excluded.job_id, decided_at = clock_timestamp()";
    /// Lets go of decisions that a change has ended, of approvals that were carried out, and, when a person had everything
    /// brought in line, of undone syncs.
    LIFT = "delete from sync.decisions d
             where d.account_id = $1
               and (exists (select from change.log c where c.account_id = d.account_id and c.gen > d.gen and c.gen <= $2 and c.pbx_user_id = d.pbx_user_id)
                 or d.kind = 'approved' and exists (select from unnest($3::text[], $4::uuid[]) as r (user_id, oid)
                                                     where r.user_id = d.pbx_user_id and r.oid = d.microsoft_user)
                 or $5 and d.kind = 'undone')";
}

/// Decisions that hold.
///
/// # Errors
/// [`StoreError`].
pub async fn standing(tx: &mut Tx, account: AccountId) -> Result<Decisions, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let rows = sqlx::query(STANDING).bind(account.0).fetch_all(&mut **tx).await.map_err(failed)?;
    rows.iter()
        .map(|row| {
            let kind = Decision::parse(row.get("kind"))
                .ok_or(StoreError::Inconsistent { work, column: "sync.decisions.kind" })?;
            let user = PbxUserId(row.get("pbx_user_id"));
            Ok(((user, ObjectId(row.get("microsoft_user"))), kind))
        })
        .collect()
}

/// A decision as people see it.
#[derive(Clone, Debug)]
pub struct Decided {
    /// The PBX user.
    pub user: PbxUserId,
    /// `approved`, `rejected` or `undone`.
    pub kind: String,
    /// Who decided.
    pub person: String,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub at: OffsetDateTime,
}

/// Decisions of an account, at most 1,000; some may have been ended by a change that no job has looked at yet.
///
/// # Errors
/// [`StoreError`].
pub async fn list(tx: &mut Tx, account: AccountId) -> Result<Vec<Decided>, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query(LIST).bind(account.0).fetch_all(&mut **tx).await.map_err(failed)?;
    Ok(rows
        .iter()
        .map(|row| Decided {
            user: PbxUserId(row.get("pbx_user_id")),
            kind: row.get("kind"),
            person: row.get("person"),
            reason: row.get("reason"),
            at: row.get("decided_at"),
        })
        .collect())
}

/// A decision to keep.
#[derive(Clone, Copy, Debug)]
pub struct NewDecision<'a> {
    /// Whose.
    pub account: AccountId,
    /// About whom.
    pub users: &'a [UserKey],
    /// What.
    pub decision: Decision,
    /// It holds for users without a change above this.
    pub generation: Gen,
    /// Who decided.
    pub person: &'a str,
    /// Why.
    pub reason: Option<&'a str>,
    /// The job that carries it out, or that was looked at.
    pub job: Option<JobId>,
}

/// Keeps a decision about users.
///
/// # Errors
/// [`StoreError`].
pub async fn decide(tx: &mut Tx, new: &NewDecision<'_>) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(DECIDE)
        .bind(new.account.0)
        .bind(new.users.iter().map(|(user, _)| user.as_str()).collect::<Vec<_>>())
        .bind(new.users.iter().map(|(_, oid)| oid.0).collect::<Vec<_>>())
        .bind(new.decision.as_str())
        .bind(new.generation)
        .bind(new.person)
        .bind(new.reason)
        .bind(new.job.map(|j| j.0))
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Lets go of decisions that have ended: by a change up to `upto`, by being carried out for the users `reached`, or,
/// with `everything`, because a person had the whole tenant brought in line.
///
/// # Errors
/// [`StoreError`].
pub async fn lift(
    tx: &mut Tx,
    account: AccountId,
    upto: Gen,
    reached: &[UserKey],
    everything: bool,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(LIFT)
        .bind(account.0)
        .bind(upto)
        .bind(reached.iter().map(|(user, _)| user.as_str()).collect::<Vec<_>>())
        .bind(reached.iter().map(|(_, oid)| oid.0).collect::<Vec<_>>())
        .bind(everything)
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(())
}
