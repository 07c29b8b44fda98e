//! What happened to accounts that their people are told of once: Auto Sync, and quarantines.

use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::AccountId;
use tandem_domain::quarantine::Cause;
use time::OffsetDateTime;

use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// Steps of the history that no mail was made for. A quarantine of an account that people sync by hand stops nothing.
    STEPS = "select h.id, h.account_id, h.subject, h.to_state, h.reason, h.at from vault.authorization_history h join admin.accounts a using (account_id)
              where h.subject in ('quarantine', 'auto_sync') and h.at > $1::timestamptz - interval '3 days'
                and (h.subject, h.to_state) in (('quarantine', 'quarantine'), ('auto_sync', 'on'), ('auto_sync', 'off'))
                and (a.auto_sync or h.to_state = 'off')
                and not exists (select from mail.mails m where m.account_id = h.account_id and m.period = h.id::text
                                   and m.kind in ('quarantine', 'auto_sync_on', 'auto_sync_off'))
              order by h.at limit $2";
    /// Accounts that sync by themselves and have been in quarantine for a day.
    QUARANTINED = "select s.account_id, s.quarantined_at, s.quarantine_reason from sync.accounts s join admin.accounts a using (account_id)
                    where s.quarantined_at < $1::timestamptz - interval '1 day' and a.auto_sync and s.account_id > $2 order by s.account_id limit $3";
    /// What jobs of several accounts failed by within a day, and no mail told of within a week.
    ALIKE = "with failed as (
               select f.fingerprint, j.account_id, j.finished_at from log.jobs j, unnest(j.failures) as f (fingerprint)
                where j.failures is not null and j.job_id > log.uuid_at($1::timestamptz - interval '25 hours')
                  and j.finished_at > $1::timestamptz - interval '24 hours'
             ), alike as (
               select f.fingerprint, count(*) as jobs, count(distinct f.account_id) as accounts, min(f.finished_at) as since,
                      (array_agg(distinct f.account_id))[1:$3] as first
                 from failed f group by f.fingerprint having count(distinct f.account_id) >= $2
             )
             select a.fingerprint, a.jobs, a.accounts, a.since, l.code, l.text,
                    (select array_agg(x.name order by x.name) from admin.accounts x where x.account_id = any (a.first)) as names
               from alike a join log.failures l using (fingerprint)
              where not exists (select from mail.mails m where m.account_id is null and m.kind = 'incident'
                                   and m.created_at > $1::timestamptz - interval '7 days' and split_part(m.period, ' ', 1) = a.fingerprint)
              order by a.accounts desc, a.fingerprint limit 50";
}

/// What a step was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Automatic work stopped, or its reason changed.
    Quarantine(Cause),
    /// Auto Sync was switched on.
    AutoSyncOn,
    /// Auto Sync was switched off by the system.
    AutoSyncOff(Option<Cause>),
}

/// A step of an account's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Its number.
    pub id: i64,
    /// Whose.
    pub account: AccountId,
    /// What.
    pub step: Step,
    /// When.
    pub at: OffsetDateTime,
}

/// Steps that no mail was made for, oldest first.
///
/// # Errors
/// [`StoreError`].
pub async fn steps(tx: &mut Tx, now: OffsetDateTime, most: i64) -> Result<Vec<Noted>, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let rows = sqlx::query(STEPS).bind(now).bind(most).fetch_all(&mut **tx).await.map_err(failed)?;
    let column = "vault.authorization_history.reason";
    rows.iter()
        .map(|row| {
            let cause = row.get::<Option<&str>, _>("reason").and_then(Cause::parse);
            let step = match (row.get("subject"), row.get("to_state"), cause) {
                ("auto_sync", "on", _) => Step::AutoSyncOn,
                ("auto_sync", _, cause) => Step::AutoSyncOff(cause),
                (_, _, Some(cause)) => Step::Quarantine(cause),
                _ => return Err(StoreError::Inconsistent { work, column }),
            };
            Ok(Noted {
                id: row.get("id"),
                account: AccountId(row.get("account_id")),
                step,
                at: row.get("at"),
            })
        })
        .collect()
}

/// Jobs of several accounts that fail alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alike {
    /// What they have in common.
    pub fingerprint: String,
    /// The stable code.
    pub code: String,
    /// In words that name nobody.
    pub text: String,
    /// How many jobs.
    pub jobs: i64,
    /// Of how many accounts.
    pub accounts: i64,
    /// The first of them, by short name.
    pub names: Vec<String>,
    /// When the first of them failed.
    pub since: OffsetDateTime,
}

/// What jobs of at least `accounts` accounts failed by within a day, and no mail told of within a week.
///
/// # Errors
/// [`StoreError`].
pub async fn alike(
    tx: &mut Tx,
    now: OffsetDateTime,
    accounts: i64,
    names: i32,
) -> Result<Vec<Alike>, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(ALIKE).bind(now).bind(accounts).bind(names);
    let rows = query.fetch_all(&mut **tx).await.map_err(failed)?;
    let one = |row: &PgRow| Alike {
        fingerprint: row.get("fingerprint"),
        code: row.get("code"),
        text: row.get("text"),
        jobs: row.get("jobs"),
        accounts: row.get("accounts"),
        names: row.get::<Option<_>, _>("names").unwrap_or_default(),
        since: row.get("since"),
    };
    Ok(rows.iter().map(one).collect())
}

/// An account in quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Whose.
    pub account: AccountId,
    /// Since when.
    pub since: OffsetDateTime,
    /// Why.
    pub cause: Cause,
}

/// Accounts that sync by themselves and have been in quarantine for a day, by id above `after`.
///
/// # Errors
/// [`StoreError`].
pub async fn quarantined(
    tx: &mut Tx,
    after: AccountId,
    now: OffsetDateTime,
    most: i64,
) -> Result<Vec<Quarantined>, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let query = sqlx::query(QUARANTINED).bind(now).bind(after.0).bind(most);
    let rows = query.fetch_all(&mut **tx).await.map_err(failed)?;
    let column = "sync.accounts.quarantine_reason";
    rows.iter()
        .map(|row| {
            let cause = Cause::parse(row.get("quarantine_reason"));
            Ok(Quarantined {
                account: AccountId(row.get("account_id")),
                since: row.get("quarantined_at"),
                cause: cause.ok_or(StoreError::Inconsistent { work, column })?,
            })
        })
        .collect()
}
