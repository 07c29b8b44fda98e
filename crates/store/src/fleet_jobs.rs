//! Looking for jobs over all accounts.
//!
//! Promised: a search reads at most [`WINDOW`] jobs, newest first, and says how far it came. What has an index of its own
//! (account, state, fingerprint, the job ids behind a number or a request id) narrows what is read; the rest is compared
//! row by row within the window.

use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::job::{JobState, JobType};
use tandem_domain::{AccountId, JobId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::log_read::{JobRow, MAX_PAGE};
use crate::sql::statements;
use crate::{StoreError, Tx};

/// The most jobs that one search reads.
pub const WINDOW: i64 = 100_000;
/// The most jobs that are looked up behind a number or a request id, the newest.
const BEHIND: i64 = 1000;

statements! {
    /// What is not asked for falls out of the plan only where the values are known to the planner.
    KNOWN_VALUES = "set local plan_cache_mode = force_custom_plan";
    /// Jobs within the window that match.
    SEARCH = "select j.*, a.name as account_name, a.label as account_label from (
                select j.* from log.jobs j
                 where j.job_id < coalesce($1, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
                   and j.job_id < coalesce(log.uuid_at($2), 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
                   and j.job_id >= coalesce(log.uuid_at($3), '00000000-0000-0000-0000-000000000000'::uuid)
                   and ($4::uuid is null or j.account_id = $4)
                   and ($5::text[] is null or j.state = any ($5))
                   and ($6::text is null or j.failures is not null and j.failures @> array[$6])
                   and ($7::uuid[] is null or j.job_id = any ($7))
                 order by j.job_id desc limit $8) j
              left join admin.accounts a using (account_id)
             where ($9::text is null or j.job_type = $9)
               and ($10::text is null or strpos(lower(concat_ws(' ', j.person, j.error_code, j.error_text)), lower($10)) > 0)
             order by j.job_id desc limit $11";
    /// The last job that such a search reads, where the window ends before the jobs do.
    WINDOW_END = "select j.job_id from log.jobs j
                   where j.job_id < coalesce($1, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
                     and j.job_id < coalesce(log.uuid_at($2), 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
                     and j.job_id >= coalesce(log.uuid_at($3), '00000000-0000-0000-0000-000000000000'::uuid)
                     and ($4::uuid is null or j.account_id = $4)
                     and ($5::text[] is null or j.state = any ($5))
                     and ($6::text is null or j.failures is not null and j.failures @> array[$6])
                     and ($7::uuid[] is null or j.job_id = any ($7))
                   order by j.job_id desc offset $8 limit 1";
    /// Ids and accounts of all that match within the window.
    MATCHING = "select j.job_id, j.account_id from (
                  select j.* from log.jobs j
                   where j.job_id < coalesce(log.uuid_at($1), 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
                     and j.job_id >= coalesce(log.uuid_at($2), '00000000-0000-0000-0000-000000000000'::uuid)
                     and ($3::uuid is null or j.account_id = $3)
                     and ($4::text[] is null or j.state = any ($4))
                     and ($5::text is null or j.failures is not null and j.failures @> array[$5])
                     and ($6::uuid[] is null or j.job_id = any ($6))
                   order by j.job_id desc limit $7) j
               where ($8::text is null or j.job_type = $8)
                 and ($9::text is null or strpos(lower(concat_ws(' ', j.person, j.error_code, j.error_text)), lower($9)) > 0)
               order by j.job_id desc";
    /// Jobs that wrote, or took away, a number.
    OF_NUMBER = "select job_id from (
                   (select job_id from log.steps where before like '+%' and split_part(before, ';', 1) = $1 order by job_id desc limit $2)
                   union
                   (select job_id from log.steps where after like '+%' and split_part(after, ';', 1) = $1 order by job_id desc limit $2)
                 ) found order by job_id desc limit $2";
    /// The job of this id, and jobs with a step that Microsoft gave this request id.
    OF_ID = "select job_id from log.jobs where job_id = $1
             union
             (select job_id from log.steps where request_id = ($1::uuid)::text order by job_id desc limit $2)";
    /// Which of these jobs there are.
    CHOSEN = "select j.job_id, j.account_id, j.state from log.jobs j where j.job_id = any ($1) order by j.job_id desc";
}

/// A text to look for, by its form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Needle {
    /// A number, written `+E164`.
    Number(String),
    /// The id of a job, or Microsoft's of a request.
    Id(Uuid),
    /// A part of a person's name, of an error's code or of its text.
    Text(String),
}

impl Needle {
    /// What a text is; nothing where it is blank.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.strip_prefix('+').filter(|digits| (3..=15).contains(&digits.len()));
        if digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit())) {
            return Some(Self::Number(text.to_owned()));
        }
        match Uuid::try_parse(text) {
            _ if text.is_empty() => None,
            Ok(id) => Some(Self::Id(id)),
            Err(_) => Some(Self::Text(text.to_owned())),
        }
    }
}

/// Which jobs to look for; an empty search finds all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobSearch {
    /// Of this account.
    pub account: Option<AccountId>,
    /// Auto or Manual.
    pub job_type: Option<JobType>,
    /// In one of these states; empty: in any.
    pub states: Vec<JobState>,
    /// Cut at or after this time.
    pub since: Option<OffsetDateTime>,
    /// Cut before this time.
    pub until: Option<OffsetDateTime>,
    /// Failed with this fingerprint.
    pub fingerprint: Option<String>,
    /// A text.
    pub needle: Option<Needle>,
}

/// A job with the account that it is of.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetJob {
    /// The job.
    pub row: JobRow,
    /// Short name and label of the account, while there is one.
    pub account: Option<(String, String)>,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// A page of jobs, newest first.
    pub rows: Vec<FleetJob>,
    /// The search ended here without a full page, and there are older jobs.
    pub looked_to: Option<JobId>,
}

impl JobSearch {
    fn states(&self) -> Option<Vec<&'static str>> {
        (!self.states.is_empty()).then(|| self.states.iter().map(|state| state.as_str()).collect())
    }

    fn text(&self) -> Option<&str> {
        match &self.needle {
            Some(Needle::Text(text)) => Some(text),
            _ => None,
        }
    }
}

/// The ids behind a number or a request id; none where the search is for something else.
async fn ids(tx: &mut Tx, search: &JobSearch) -> Result<Option<Vec<Uuid>>, StoreError> {
    let failed = tx.failed();
    let query = match &search.needle {
        Some(Needle::Number(number)) => sqlx::query_scalar(OF_NUMBER).bind(number.as_str()),
        Some(Needle::Id(id)) => sqlx::query_scalar(OF_ID).bind(*id),
        Some(Needle::Text(_)) | None => return Ok(None),
    };
    query.bind(BEHIND).fetch_all(&mut **tx).await.map(Some).map_err(failed)
}

/// A page of jobs older than `after`, newest first; at most `limit` and never more than [`MAX_PAGE`].
///
/// # Errors
/// [`StoreError`].
pub async fn search(
    tx: &mut Tx,
    search: &JobSearch,
    after: Option<JobId>,
    limit: i64,
) -> Result<Found, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    sqlx::query(KNOWN_VALUES).execute(&mut **tx).await.map_err(&failed)?;
    let (ids, states) = (ids(tx, search).await?, search.states());
    let limit = limit.clamp(0, MAX_PAGE);
    let (after, account) = (after.map(|job| job.0), search.account.map(|account| account.0));
    let query = sqlx::query(SEARCH).bind(after).bind(search.until).bind(search.since).bind(account);
    let query = query.bind(states.clone()).bind(search.fingerprint.as_deref()).bind(ids.clone());
    let query = query.bind(WINDOW).bind(search.job_type.map(JobType::as_str)).bind(search.text()).bind(limit);
    let rows = query.fetch_all(&mut **tx).await.map_err(&failed)?;
    let rows = rows.iter().map(|row| read(row, work)).collect::<Result<Vec<_>, _>>()?;
    let full = i64::try_from(rows.len()).is_ok_and(|rows| rows >= limit);
    let looked_to = if full {
        None
    } else {
        let query = sqlx::query_scalar(WINDOW_END).bind(after).bind(search.until).bind(search.since);
        let query = query.bind(account).bind(states).bind(search.fingerprint.as_deref()).bind(ids);
        query.bind(WINDOW - 1).fetch_optional(&mut **tx).await.map_err(failed)?.map(JobId)
    };
    Ok(Found { rows, looked_to })
}

fn read(row: &PgRow, work: &'static str) -> Result<FleetJob, StoreError> {
    let name: Option<String> = row.get("account_name");
    Ok(FleetJob { row: JobRow::read(row, work)?, account: name.zip(row.get("account_label")) })
}

/// All jobs that match, with their accounts, newest first; none where more would have to be read than [`WINDOW`].
///
/// # Errors
/// [`StoreError`].
pub async fn matching(
    tx: &mut Tx,
    search: &JobSearch,
) -> Result<Option<Vec<(JobId, AccountId)>>, StoreError> {
    let failed = tx.failed();
    sqlx::query(KNOWN_VALUES).execute(&mut **tx).await.map_err(&failed)?;
    let (ids, states) = (ids(tx, search).await?, search.states());
    let account = search.account.map(|account| account.0);
    let query = sqlx::query_scalar::<_, Uuid>(WINDOW_END).bind(None::<Uuid>).bind(search.until);
    let query = query.bind(search.since).bind(account).bind(states.clone());
    let query = query.bind(search.fingerprint.as_deref()).bind(ids.clone()).bind(WINDOW);
    if query.fetch_optional(&mut **tx).await.map_err(&failed)?.is_some() {
        return Ok(None);
    }
    let query = sqlx::query(MATCHING).bind(search.until).bind(search.since).bind(account).bind(states);
    let query = query.bind(search.fingerprint.as_deref()).bind(ids).bind(WINDOW);
    let query = query.bind(search.job_type.map(JobType::as_str)).bind(search.text());
    let rows = query.fetch_all(&mut **tx).await.map_err(failed)?;
    let one = |row: &PgRow| (JobId(row.get("job_id")), AccountId(row.get("account_id")));
    Ok(Some(rows.iter().map(one).collect()))
}

/// Those of these jobs that there are, with account and state, newest first.
///
/// # Errors
/// [`StoreError`].
pub async fn chosen(tx: &mut Tx, jobs: &[Uuid]) -> Result<Vec<(JobId, AccountId, JobState)>, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let rows = sqlx::query(CHOSEN).bind(jobs).fetch_all(&mut **tx).await.map_err(failed)?;
    let odd = StoreError::Inconsistent { work, column: "log.jobs.state" };
    let one = |row: &PgRow| {
        let state = JobState::parse(row.get("state"))?;
        Some((JobId(row.get("job_id")), AccountId(row.get("account_id")), state))
    };
    rows.iter().map(one).collect::<Option<Vec<_>>>().ok_or(odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_for_shows_in_its_form() {
        let text = |text: &str| Some(Needle::Text(text.to_owned()));
        assert_eq!(Needle::of(" +12125550101 "), Some(Needle::Number("+12125550101".to_owned())));
        assert_eq!(
            Needle::of("019a0000-0000-7000-8000-000000000001").map(|n| matches!(n, Needle::Id(_))),
            Some(true)
        );
        assert_eq!(Needle::of("  "), None);
        assert_eq!(Needle::of("+1 212"), text("+1 212"));
        assert_eq!(Needle::of("100%_"), text("100%_"));
    }
}
