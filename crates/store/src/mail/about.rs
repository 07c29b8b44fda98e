//! What the words of a mail are made from: an account as it stands when the mail is handed over.

use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::quarantine::Cause;
use tandem_domain::{AccountId, Profile};
use time::OffsetDateTime;

use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// An account, its last sync, and what happens next by itself.
    ACCOUNT = "select a.name, a.label, a.auto_sync, a.pause_reason, a.paused_until, v.reason,
                      s.quarantine_reason, s.quarantined_at, s.retry_at, j.error_code, j.error_text,
                      (select sum(json_array_length(h.removals)) from sync.held h where h.account_id = a.account_id and h.closed_at is null) as held,
                      exists (select from vault.apps p where p.client_id = v.client_id and p.state = 'own_fault')
                        or exists (select from log.jobs l join mail.mails m on m.account_id is null and m.kind = 'incident'
                                      and m.created_at > l.finished_at - interval '7 days' and split_part(m.period, ' ', 1) = any (l.failures)
                                    where l.job_id = j.job_id) as incident
                 from admin.accounts a left join vault.authorizations v using (account_id) left join sync.accounts s using (account_id)
                 left join queue.jobs j on j.job_id = s.last_job and j.account_id = a.account_id
                where a.account_id = $1";
    /// Who has saved changes that no sync covered: the first of them, with how many there are.
    WAITING = "with w as materialized (
                 select g.pbx_user_id, g.kind, g.fields, g.detected_at from change.counting g
                  where g.account_id = $1 and g.gen > coalesce((select s.covered_gen from sync.accounts s where s.account_id = $1), 0)
                  order by g.gen limit 20000
               )
               select w.pbx_user_id, min(w.detected_at) as since, array_agg(distinct w.kind) as kinds,
                      array_agg(distinct f.field) filter (where f.field is not null) as fields, count(*) over () as users,
                      (select p.profile from pbx.profiles p where p.account_id = $1 and p.pbx_user_id = w.pbx_user_id) as profile
                 from w left join lateral unnest(w.fields) as f (field) on true
                group by w.pbx_user_id order by since, w.pbx_user_id limit $2";
    /// Users that the last sync could not bring in line: the first of them, with how many there are.
    TROUBLED = "select u.pbx_user_id, u.outcome, u.code, u.detail, u.updated_at, count(*) over () as users,
                       (select p.profile from pbx.profiles p where p.account_id = $1 and p.pbx_user_id = u.pbx_user_id) as profile
                  from sync.users u where u.account_id = $1 and u.outcome in ('failed', 'conflict', 'deferred')
                 order by u.outcome desc, u.updated_at, u.pbx_user_id limit $2";
}

/// An account as it stands.
#[derive(Clone, Debug)]
pub struct About {
    /// Short name.
    pub name: String,
    /// Name for people.
    pub label: String,
    /// It syncs by itself.
    pub auto_sync: bool,
    /// Why the stored authorization does not work.
    pub authorization: Option<Cause>,
    /// The provider has paused it: until when, and why.
    pub pause: Option<(OffsetDateTime, String)>,
    /// Why and since when automatic work has stopped.
    pub quarantine: Option<(Cause, OffsetDateTime)>,
    /// The next automatic try.
    pub retry_at: Option<OffsetDateTime>,
    /// The code by which the last sync failed as a whole.
    pub error_code: Option<String>,
    /// The same in words.
    pub error_text: Option<String>,
    /// Removals that wait for a person.
    pub held: i64,
    /// Known to the provider and not the customer's to mend: its own credential is refused, or its operators had a mail about
    /// what the last sync failed by.
    pub incident: bool,
    /// Who has saved changes, the first of them.
    pub waiting: Listed,
    /// Whom the last sync could not bring in line, the first of them.
    pub troubled: Listed,
}

/// The first users of a list.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// The first.
    pub users: Vec<Person>,
    /// How many there are in all.
    pub all: i64,
}

/// A PBX user, or the settings of the account.
#[derive(Clone, Debug)]
pub struct Person {
    /// Its id in the PBX; none for the settings.
    pub user: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Its extension.
    pub extension: Option<String>,
    /// Since when.
    pub since: OffsetDateTime,
    /// Changed fields, or the code of what stands in the way.
    pub what: Vec<String>,
    /// Kinds of the changes, or the outcome.
    pub how: Vec<String>,
    /// In words.
    pub detail: Option<String>,
}

/// An account as it stands, with at most `most` users of each list.
///
/// # Errors
/// [`StoreError`].
pub async fn about(tx: &mut Tx, account: AccountId, most: i64) -> Result<Option<About>, StoreError> {
    let failed = tx.failed();
    let row = sqlx::query(ACCOUNT).bind(account.0).fetch_optional(&mut **tx).await.map_err(&failed)?;
    let Some(row) = row else { return Ok(None) };
    let waiting =
        sqlx::query(WAITING).bind(account.0).bind(most).fetch_all(&mut **tx).await.map_err(&failed)?;
    let troubled =
        sqlx::query(TROUBLED).bind(account.0).bind(most).fetch_all(&mut **tx).await.map_err(&failed)?;
    let cause = |column| row.get::<Option<&str>, _>(column).and_then(Cause::parse);
    Ok(Some(About {
        name: row.get("name"),
        label: row.get("label"),
        auto_sync: row.get("auto_sync"),
        authorization: cause("reason"),
        pause: row.get::<Option<_>, _>("paused_until").zip(row.get("pause_reason")),
        quarantine: cause("quarantine_reason").zip(row.get("quarantined_at")),
        retry_at: row.get("retry_at"),
        error_code: row.get("error_code"),
        error_text: row.get("error_text"),
        held: row.get::<Option<i64>, _>("held").unwrap_or(0),
        incident: row.get("incident"),
        waiting: listed(&waiting, changed),
        troubled: listed(&troubled, stuck),
    }))
}

fn listed(rows: &[PgRow], read: impl Fn(&PgRow) -> Person) -> Listed {
    let all = rows.first().map_or(0, |row| row.get("users"));
    Listed { users: rows.iter().map(read).collect(), all }
}

fn person(row: &PgRow, since: OffsetDateTime) -> Person {
    let profile: Option<Value> = row.try_get("profile").unwrap_or(None);
    let profile: Option<Profile> = profile.and_then(|profile| serde_json::from_value(profile).ok());
    let profile = profile.unwrap_or_default();
    Person {
        user: row.get("pbx_user_id"),
        name: profile.display_name,
        extension: profile.extension,
        since,
        what: Vec::new(),
        how: Vec::new(),
        detail: None,
    }
}

fn changed(row: &PgRow) -> Person {
    let what = row.get::<Option<_>, _>("fields").unwrap_or_default();
    Person { what, how: row.get("kinds"), ..person(row, row.get("since")) }
}

fn stuck(row: &PgRow) -> Person {
    let what = row.get::<Option<String>, _>("code").into_iter().collect();
    let how = row.get::<Option<String>, _>("outcome").into_iter().collect();
    Person { what, how, detail: row.get("detail"), ..person(row, row.get("updated_at")) }
}
