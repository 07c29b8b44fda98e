//! Accounts that may need a reminder, and what decides about it.

use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::AccountId;
use tandem_domain::authorization::AuthorizationState;
use tandem_domain::job::JobState;
use tandem_domain::reminder::{Chosen, Facts, Failing, Sent, Waiting};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// Accounts that may need a reminder, by key alone: a window is open while changes wait, and a job is queued while it
    /// may not start. Who had today's mail is left out.
    CANDIDATES = "select a.account_id from admin.accounts a
                    left join queue.windows w using (account_id) left join sync.accounts s using (account_id)
                    left join vault.authorizations v using (account_id)
                   where a.account_id > $1
                     and ((a.auto_sync and v.state is distinct from 'healthy') or w.first_change_at is not null
                       or exists (select from queue.jobs j where j.account_id = a.account_id and j.state = 'queued')
                       or exists (select from sync.held h where h.account_id = a.account_id and h.closed_at is null)
                       or exists (select from queue.jobs j where j.job_id = s.last_job and j.state in ('failed', 'partly', 'cancelled')))
                     and not exists (select from mail.mails m where m.account_id = a.account_id and m.kind = 'reminder'
                                        and m.created_at > $2::timestamptz - interval '3 days' and m.quiet_until > $2)
                   order by a.account_id limit $3";
    /// How accounts stand. A cancelled sync neither failed nor succeeded: what was before it counts. A reminder that may
    /// have gone out counts as sent; $2 is one that is left out.
    STAND = "select a.account_id, a.auto_sync, coalesce(v.state, 'none') as authorization_state, coalesce(v.since, a.updated_at) as authorization_since,
                    c.first, c.last, j.state as job_state, j.finished_at, f.since as failing_since, f.states as failing_states,
                    h.held_since, a.time_zone, t.hour, m.sent_at, m.sent_day
               from admin.accounts a
               left join vault.authorizations v using (account_id) left join sync.accounts s using (account_id)
               left join mail.settings t using (account_id)
               left join queue.jobs j on j.job_id = s.last_job and j.account_id = a.account_id
               left join lateral (select min(g.detected_at) as first, max(g.detected_at) as last from change.counting g
                                   where g.account_id = a.account_id and g.gen > coalesce(s.covered_gen, 0)
                                 ) c on true
               left join lateral (select min(l.finished_at) as since, array_agg(l.state order by l.job_id desc) as states from log.jobs l
                                   where l.account_id = a.account_id and l.state in ('failed', 'partly')
                                     and l.job_id > coalesce((select o.job_id from log.jobs o where o.account_id = a.account_id and o.state = 'succeeded'
                                                               order by o.job_id desc limit 1), '00000000-0000-0000-0000-000000000000')
                                 ) f on j.state in ('failed', 'partly', 'cancelled')
               left join lateral (select min(x.created_at) as held_since from sync.held x where x.account_id = a.account_id and x.closed_at is null) h on true
               left join lateral (select max(d.handed_at) as sent_at, max(x.period) as sent_day from mail.mails x join mail.deliveries d using (mail_id)
                                   where x.account_id = a.account_id and x.kind = 'reminder' and x.mail_id is distinct from $2
                                     and x.created_at > $3::timestamptz - interval '5 days' and d.outcome in ('sending', 'sent', 'unknown')) m on true
              where a.account_id = any ($1) order by a.account_id";
}

/// Accounts that may need a reminder, by id above `after`, `limit` at most.
///
/// # Errors
/// [`StoreError`].
pub async fn candidates(
    tx: &mut Tx,
    after: AccountId,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<AccountId>, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query_scalar(CANDIDATES).bind(after.0).bind(now).bind(limit);
    let ids: Vec<Uuid> = query.fetch_all(&mut **tx).await.map_err(failed)?;
    Ok(ids.into_iter().map(AccountId).collect())
}

/// What decides about an account's reminder.
#[derive(Clone, Debug)]
pub struct Stands {
    /// Its id.
    pub account: AccountId,
    /// What gives cause.
    pub facts: Facts,
    /// The last reminder that may have arrived.
    pub last: Option<Sent>,
    /// Its own time zone and hour.
    pub calendar: Chosen,
}

/// How accounts stand, by id; `but` is a mail that is not counted as sent.
///
/// # Errors
/// [`StoreError`].
pub async fn stand(
    tx: &mut Tx,
    accounts: &[AccountId],
    but: Option<Uuid>,
    now: OffsetDateTime,
) -> Result<Vec<Stands>, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let ids: Vec<Uuid> = accounts.iter().map(|account| account.0).collect();
    let query = sqlx::query(STAND).bind(ids).bind(but).bind(now);
    let rows = query.fetch_all(&mut **tx).await.map_err(failed)?;
    rows.iter().map(|row| read(row, work)).collect()
}

fn read(row: &PgRow, work: &'static str) -> Result<Stands, StoreError> {
    let odd = |column| StoreError::Inconsistent { work, column };
    let state = AuthorizationState::parse(row.get("authorization_state"));
    let state = state.ok_or_else(|| odd("vault.authorizations.state"))?;
    let first: Option<OffsetDateTime> = row.get("first");
    let last: Option<OffsetDateTime> = row.get("last");
    let sent_day: Option<&str> = row.get("sent_day");
    let sent_day = sent_day.map(str::parse).transpose().map_err(|_| odd("mail.mails.period"))?;
    let sent_at: Option<OffsetDateTime> = row.get("sent_at");
    Ok(Stands {
        account: AccountId(row.get("account_id")),
        facts: Facts {
            auto_sync: row.get("auto_sync"),
            waiting: first.zip(last).map(|(first, last)| Waiting { first, last }),
            failing: failing(row).map_err(odd)?,
            held: row.get("held_since"),
            authorization: Some((state, row.get("authorization_since"))),
        },
        last: sent_at.zip(sent_day).map(|(at, day)| Sent { at, day }),
        calendar: Chosen { zone: row.get("time_zone"), hour: row.get("hour") },
    })
}

/// Syncs without success. The queue knows of the last one at once, the log of those before it.
fn failing(row: &PgRow) -> Result<Option<Failing>, &'static str> {
    let column = "queue.jobs.state";
    let Some(state) = row.get::<Option<&str>, _>("job_state") else { return Ok(None) };
    let state = JobState::parse(state).ok_or(column)?;
    let logged: Option<OffsetDateTime> = row.get("failing_since");
    let ended: Option<OffsetDateTime> = row.get("finished_at");
    Ok(match state {
        JobState::Failed | JobState::Partly => {
            let since = logged.into_iter().chain(ended).min();
            since.map(|since| Failing { since, partly: state == JobState::Partly })
        }
        JobState::Cancelled => {
            let states: Vec<String> = row.get::<Option<_>, _>("failing_states").unwrap_or_default();
            let partly = states.first().is_some_and(|state| state == JobState::Partly.as_str());
            logged.map(|since| Failing { since, partly })
        }
        _ => None,
    })
}
