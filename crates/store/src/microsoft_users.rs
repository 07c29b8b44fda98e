//! The Microsoft users of an account's tenant, as they were last seen.
//!
//! A list is read page by page into the table. A user that a complete reading did not show is marked gone; one that a
//! cut reading did not come to stays as it was. Only the claim that began a reading can go on with it.

use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::eligible::{Flag, NotEligible, PhonePlan, UserKind, Verdict};
use tandem_domain::{AccountId, JobId, ObjectId, PbxUserId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sql::{pattern, statements};
use crate::{StoreError, Tx};

statements! {
    /// A reading whose worker fell silent ends where it was.
    CLOSE = "update sync.discoveries set state = 'cut', ended_at = clock_timestamp(), cut_at = 'an unknown page',
                     detail = 'the worker that read fell silent'
              where account_id = $1 and ended_at is null";
    /// A reading begins.
    BEGIN = "insert into sync.discoveries (discovery_id, account_id, job_id, epoch, state) values ($1, $2, $3, $4, 'running')";
    /// Readings long past; the newest and the newest complete one stay.
    FORGET = "delete from sync.discoveries d where d.account_id = $1 and d.ended_at is not null
                 and d.discovery_id not in (select n.discovery_id from sync.discoveries n where n.account_id = $1 order by n.started_at desc limit 20)
                 and d.discovery_id is distinct from (select c.discovery_id from sync.discoveries c where c.account_id = $1 and c.state = 'complete'
                                                       order by c.started_at desc limit 1)";
    /// A page of users, as long as the claim that reads is in force.
    PAGE = "insert into sync.microsoft_users as m (account_id, microsoft_user, upn, display_name, kind, phone_plan, account_enabled,
                                                   not_eligible, flags, discovery_id)
            select d.account_id, u.oid, u.upn, u.name, u.kind, u.plan, u.enabled, u.reason,
                   coalesce(string_to_array(nullif(u.flags, ''), ','), '{}'), d.discovery_id
              from sync.discoveries d join queue.jobs j on j.job_id = d.job_id and j.epoch = d.epoch and j.state = 'running'
             cross join unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bool[], $8::text[], $9::text[])
                     as u (oid, upn, name, kind, plan, enabled, reason, flags)
             where d.discovery_id = $1 and d.ended_at is null
            on conflict (account_id, microsoft_user) do update
               set upn = excluded.upn, display_name = excluded.display_name, kind = excluded.kind, phone_plan = excluded.phone_plan,
                   account_enabled = excluded.account_enabled, not_eligible = excluded.not_eligible, flags = excluded.flags,
                   discovery_id = excluded.discovery_id, seen_at = clock_timestamp(), gone_at = null";
    /// Users that a complete reading did not show.
    GONE = "update sync.microsoft_users set gone_at = clock_timestamp() where account_id = $1 and discovery_id <> $2 and gone_at is null";
    /// Users gone so long ago are forgotten, unless they are mapped.
    FORGET_GONE = "delete from sync.microsoft_users u where account_id = $1 and gone_at < clock_timestamp() - interval '90 days'
                      and not exists (select from admin.mappings m where m.account_id = u.account_id and m.microsoft_user = u.microsoft_user)";
    /// A reading ends.
    END = "update sync.discoveries set state = $2, ended_at = clock_timestamp(), pages = $3, users = $4, gone = $5, counts = $6, cut_at = $7, detail = $8
            where discovery_id = $1 and ended_at is null";
    /// The newest reading, and the newest complete one.
    LATEST = "(select * from sync.discoveries where account_id = $1 order by started_at desc limit 1)
               union
              (select * from sync.discoveries where account_id = $1 and state = 'complete' order by started_at desc limit 1)
              order by started_at desc";
    /// Users by sign-in name. A search looks at names, kind and reason.
    LIST = "select u.*, m.pbx_user_id from sync.microsoft_users u left join admin.mappings m using (account_id, microsoft_user)
             where u.account_id = $1
               and (not $2 or (u.not_eligible is null and u.gone_at is null))
               and (not $3 or m.pbx_user_id is null)
               and ($4::text is null or concat_ws(' ', u.upn, u.display_name, u.kind, u.not_eligible) ilike '%' || $4 || '%')
               and ($5::text is null or (lower(u.upn), u.microsoft_user) > (lower($5), $6))
             order by lower(u.upn), u.microsoft_user limit $7";
}

/// Longest text that is kept of a name; Microsoft's own are shorter.
const LONGEST_NAME: usize = 400;

/// Begins a reading, and ends one that somebody else left behind.
///
/// # Errors
/// [`StoreError`].
pub async fn begin(
    tx: &mut Tx,
    discovery: Uuid,
    account: AccountId,
    job: JobId,
    epoch: i32,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(CLOSE).bind(account.0).execute(&mut **tx).await.map_err(&failed)?;
    sqlx::query(BEGIN)
        .bind(discovery)
        .bind(account.0)
        .bind(job.0)
        .bind(epoch)
        .execute(&mut **tx)
        .await
        .map_err(&failed)?;
    sqlx::query(FORGET).bind(account.0).execute(&mut **tx).await.map_err(&failed)?;
    Ok(())
}

/// A user as it was read just now.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Object id.
    pub oid: ObjectId,
    /// Sign-in name.
    pub upn: String,
    /// Display name.
    pub display_name: Option<String>,
    /// State of its Phone System plan.
    pub phone_plan: PhonePlan,
    /// Sign-in is allowed.
    pub account_enabled: bool,
    /// What it is and whether it is eligible.
    pub verdict: Verdict,
}

/// PostgreSQL keeps no zero bytes, and nobody needs a name of a page's length.
fn kept(text: &str) -> String {
    text.replace('\0', "\u{fffd}").chars().take(LONGEST_NAME).collect()
}

/// Keeps one page. A user may stand on it once only.
///
/// # Errors
/// [`StoreError::Superseded`] when the claim that began the reading is not in force any more.
pub async fn page(tx: &mut Tx, discovery: Uuid, users: &[Seen]) -> Result<(), StoreError> {
    if users.is_empty() {
        return Ok(());
    }
    let failed = tx.failed();
    let work = tx.work();
    let flags =
        |user: &Seen| user.verdict.flags.iter().map(|flag| flag.as_str()).collect::<Vec<_>>().join(",");
    let done = sqlx::query(PAGE)
        .bind(discovery)
        .bind(users.iter().map(|u| u.oid.0).collect::<Vec<_>>())
        .bind(users.iter().map(|u| kept(&u.upn)).collect::<Vec<_>>())
        .bind(users.iter().map(|u| u.display_name.as_deref().map(kept)).collect::<Vec<_>>())
        .bind(users.iter().map(|u| u.verdict.kind.as_str()).collect::<Vec<_>>())
        .bind(users.iter().map(|u| u.phone_plan.as_str()).collect::<Vec<_>>())
        .bind(users.iter().map(|u| u.account_enabled).collect::<Vec<_>>())
        .bind(users.iter().map(|u| u.verdict.why_not.map(NotEligible::as_str)).collect::<Vec<_>>())
        .bind(users.iter().map(flags).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    if done.rows_affected() == 0 { Err(StoreError::Superseded { work }) } else { Ok(()) }
}

/// How a reading ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Pages read of all lists.
    pub pages: usize,
    /// Users seen.
    pub users: usize,
    /// Counts of the users seen.
    pub counts: Value,
    /// Where it was cut, and why; none = complete.
    pub cut: Option<(String, String)>,
}

/// Ends a reading; tells how many users it found gone.
///
/// # Errors
/// [`StoreError::Superseded`] when it was ended by somebody else.
pub async fn end(tx: &mut Tx, discovery: Uuid, account: AccountId, ended: &Ended) -> Result<u64, StoreError> {
    let failed = tx.failed();
    let work = tx.work();
    let mut gone = 0;
    if ended.cut.is_none() {
        let done =
            sqlx::query(GONE).bind(account.0).bind(discovery).execute(&mut **tx).await.map_err(&failed)?;
        gone = done.rows_affected();
        sqlx::query(FORGET_GONE).bind(account.0).execute(&mut **tx).await.map_err(&failed)?;
    }
    let (cut_at, detail) = ended.cut.clone().unzip();
    let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let done = sqlx::query(END)
        .bind(discovery)
        .bind(if cut_at.is_none() { "complete" } else { "cut" })
        .bind(count(ended.pages))
        .bind(count(ended.users))
        .bind(i32::try_from(gone).unwrap_or(i32::MAX))
        .bind(&ended.counts)
        .bind(cut_at)
        .bind(detail.map(|detail| detail.replace('\0', "\u{fffd}")))
        .execute(&mut **tx)
        .await
        .map_err(&failed)?;
    if done.rows_affected() == 0 { Err(StoreError::Superseded { work }) } else { Ok(gone) }
}

/// A reading of the list.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// Its id.
    pub id: Uuid,
    /// The job that read.
    pub job: JobId,
    /// `running`, `complete` or `cut`.
    pub state: String,
    /// When it began.
    pub started_at: OffsetDateTime,
    /// When it ended.
    pub ended_at: Option<OffsetDateTime>,
    /// Pages read.
    pub pages: i32,
    /// Users seen.
    pub users: i32,
    /// Users found gone.
    pub gone: i32,
    /// Counts of the users seen.
    pub counts: Value,
    /// Where it was cut.
    pub cut_at: Option<String>,
    /// Why it was cut.
    pub detail: Option<String>,
}

/// The newest reading and, when that is another one, the newest complete one.
///
/// # Errors
/// [`StoreError`].
pub async fn latest(tx: &mut Tx, account: AccountId) -> Result<Vec<Discovery>, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query(LATEST).bind(account.0).fetch_all(&mut **tx).await.map_err(failed)?;
    Ok(rows
        .iter()
        .map(|row| Discovery {
            id: row.get("discovery_id"),
            job: JobId(row.get("job_id")),
            state: row.get("state"),
            started_at: row.get("started_at"),
            ended_at: row.get("ended_at"),
            pages: row.get("pages"),
            users: row.get("users"),
            gone: row.get("gone"),
            counts: row.get("counts"),
            cut_at: row.get("cut_at"),
            detail: row.get("detail"),
        })
        .collect())
}

/// Which users to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only those that can be connected.
    pub eligible: bool,
    /// Only those without a mapping.
    pub unmapped: bool,
    /// Only those whose names, kind or reason hold this text, whatever its case.
    pub search: Option<String>,
}

/// A user as it was last seen.
#[derive(Clone, Debug)]
pub struct MicrosoftUser {
    /// Object id.
    pub oid: ObjectId,
    /// Sign-in name.
    pub upn: String,
    /// Display name.
    pub display_name: Option<String>,
    /// What it is.
    pub kind: UserKind,
    /// State of its Phone System plan.
    pub phone_plan: PhonePlan,
    /// Sign-in is allowed.
    pub account_enabled: bool,
    /// Why it cannot be connected; none = eligible.
    pub why_not: Option<NotEligible>,
    /// What else is worth knowing.
    pub flags: Vec<Flag>,
    /// The PBX user that it is mapped to.
    pub mapped_to: Option<PbxUserId>,
    /// When it was first seen.
    pub first_seen_at: OffsetDateTime,
    /// When it was last seen.
    pub seen_at: OffsetDateTime,
    /// Since when a complete list has not shown it.
    pub gone_at: Option<OffsetDateTime>,
}

/// A page of the list by sign-in name, after the user given.
///
/// # Errors
/// [`StoreError`]; [`StoreError::Inconsistent`] for words that this release does not know.
pub async fn list(
    tx: &mut Tx,
    account: AccountId,
    filter: &Filter,
    after: Option<&MicrosoftUser>,
    limit: i64,
) -> Result<Vec<MicrosoftUser>, StoreError> {
    let failed = tx.failed();
    let work = tx.work();
    let search = filter.search.as_deref().map(pattern);
    let rows = sqlx::query(LIST)
        .bind(account.0)
        .bind(filter.eligible)
        .bind(filter.unmapped)
        .bind(search)
        .bind(after.map(|user| user.upn.as_str()))
        .bind(after.map(|user| user.oid.0))
        .bind(limit)
        .fetch_all(&mut **tx)
        .await
        .map_err(failed)?;
    rows.iter().map(|row| user(row, work)).collect()
}

fn user(row: &PgRow, work: &'static str) -> Result<MicrosoftUser, StoreError> {
    let wrong = |column| StoreError::Inconsistent { work, column };
    let why_not: Option<&str> = row.get("not_eligible");
    let flags: Vec<String> = row.get("flags");
    Ok(MicrosoftUser {
        oid: ObjectId(row.get("microsoft_user")),
        upn: row.get("upn"),
        display_name: row.get("display_name"),
        kind: UserKind::parse(row.get("kind")).ok_or(wrong("sync.microsoft_users.kind"))?,
        phone_plan: PhonePlan::parse(row.get("phone_plan"))
            .ok_or(wrong("sync.microsoft_users.phone_plan"))?,
        account_enabled: row.get("account_enabled"),
        why_not: why_not
            .map(|text| NotEligible::parse(text).ok_or(wrong("sync.microsoft_users.not_eligible")))
            .transpose()?,
        flags: flags.iter().filter_map(|text| Flag::parse(text)).collect(),
        mapped_to: row.get::<Option<String>, _>("pbx_user_id").map(PbxUserId),
        first_seen_at: row.get("first_seen_at"),
        seen_at: row.get("seen_at"),
        gone_at: row.get("gone_at"),
    })
}
