//! PBX users of an account as people see them: who they are, whom they are mapped to, and how they stand.
//!
//! A user is listed while the PBX has it, while it is mapped, or while something of ours still stands for it in Teams.

use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::eligible::NotEligible;
use tandem_domain::job::Outcome;
use tandem_domain::policy::Service;
use tandem_domain::user_state::UserFacts;
use tandem_domain::{AccountId, ObjectId, PbxUserId, Profile};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::admin::accounts::Mapping;
use crate::sql::{pattern, statements};
use crate::{StoreError, Tx};

statements! {
    /// Keys of users behind another, in order: those the PBX has, those with a mapping, those of whom something stands.
    KEYS = "select u.pbx_user_id from (
              (select p.pbx_user_id from pbx.profiles p
                where p.account_id = $1 and p.pbx_user_id > $2 and p.deleted_at is null
                  and not ($3 and exists (select from admin.mappings m where m.account_id = $1 and m.pbx_user_id = p.pbx_user_id))
                order by p.pbx_user_id limit $4)
              union
              (select m.pbx_user_id from admin.mappings m where m.account_id = $1 and m.pbx_user_id > $2 and not $3
                order by m.pbx_user_id limit $4)
              union
              -- something may stand on several Microsoft users of one PBX user
              (select distinct x.pbx_user_id from sync.standing x
                where x.account_id = $1 and x.pbx_user_id > $2
                  and not ($3 and exists (select from admin.mappings m where m.account_id = $1 and m.pbx_user_id = x.pbx_user_id))
                order by x.pbx_user_id limit $4)) u
             order by u.pbx_user_id limit $4";
    /// The same of those who hold a text in one of the fields that people know them by. A profile is read only where
    /// its text holds what is searched for: reading ten thousand takes longer than a page may. Keys are found as they
    /// are written, since looking away from case takes five times as long.
    SEARCH = "select u.pbx_user_id from (
                (select p.pbx_user_id from pbx.profiles p
                  where p.account_id = $1 and p.pbx_user_id > $2
                    and (p.pbx_user_id like '%' || $8 || '%'
                         or case when p.profile::text ~* $6
                                 then concat_ws(e'\\n', p.profile ->> 'extension', p.profile ->> 'display_name', p.profile ->> 'email',
                                                p.profile ->> 'did_numbers') ~* $5
                            end)
                    and (p.deleted_at is null
                         or exists (select from admin.mappings m where m.account_id = $1 and m.pbx_user_id = p.pbx_user_id)
                         or exists (select from sync.standing x where x.account_id = $1 and x.pbx_user_id = p.pbx_user_id))
                    and not ($3 and exists (select from admin.mappings m where m.account_id = $1 and m.pbx_user_id = p.pbx_user_id))
                  order by p.pbx_user_id limit $4)
                union
                (select m.pbx_user_id from sync.microsoft_users t join admin.mappings m using (account_id, microsoft_user)
                  where t.account_id = $1 and m.pbx_user_id > $2 and $7 and not $3 and concat_ws(e'\\n', t.upn, t.display_name) ~* $5
                  order by m.pbx_user_id limit $4)
                union
                (select m.pbx_user_id from admin.mappings m
                  where m.account_id = $1 and m.pbx_user_id > $2 and not $3 and m.pbx_user_id like '%' || $8 || '%'
                  order by m.pbx_user_id limit $4)) u
               order by u.pbx_user_id limit $4";
    /// How users stand, by key.
    ROWS = "with waiting as materialized (
              select distinct g.pbx_user_id from change.log g
               where g.account_id = $1 and g.pbx_user_id = any ($2)
                 and g.gen > coalesce((select s.covered_gen from sync.accounts s where s.account_id = $1), 0))
            select u.pbx_user_id, p.profile, p.deleted_at is not null or p.profile is null as gone,
                   m.microsoft_user, m.service, m.number, t.upn, t.display_name as microsoft_name, t.seen_at,
                   x.standing, exists (select from waiting w where w.pbx_user_id = u.pbx_user_id) as queued,
                   s.outcome, s.code, s.detail, s.settle_issue, s.confirmed_at, s.settled_at,
                   coalesce(s.confirmed_gen, 0) as confirmed_gen, coalesce(s.settled_gen, 0) as settled_gen,
                   d.reason, d.detail as wait_detail, d.since, d.next_look
              from unnest($2::text[]) u (pbx_user_id)
              left join pbx.profiles p on p.account_id = $1 and p.pbx_user_id = u.pbx_user_id
              left join admin.mappings m on m.account_id = $1 and m.pbx_user_id = u.pbx_user_id
              left join sync.microsoft_users t on t.account_id = $1 and t.microsoft_user = m.microsoft_user
              left join sync.users s on s.account_id = $1 and s.pbx_user_id = u.pbx_user_id and s.microsoft_user = m.microsoft_user
              left join sync.deferred d on d.account_id = $1 and d.pbx_user_id = u.pbx_user_id
              cross join lateral (select exists (select from sync.standing x where x.account_id = $1 and x.pbx_user_id = u.pbx_user_id)) x (standing)
             where (p.profile is not null and p.deleted_at is null) or m.pbx_user_id is not null or x.standing
             order by u.pbx_user_id";
    /// Saves of mappings happen one after the other: whoever has the row counts what the one before has saved.
    LOCK = "select licences from admin.accounts where account_id = $1 for no key update";
    /// How many licences are in use, and how many are not free yet: something of ours still stands on somebody who lost one.
    USED = "select (select count(*) from admin.mappings where account_id = $1) as used,
                   (select count(*) from sync.standing t where t.account_id = $1
                       and not exists (select from admin.mappings m where m.account_id = $1 and m.microsoft_user = t.microsoft_user)) as leaving";
    /// A Microsoft user, and whether it can be mapped.
    MICROSOFT = "select t.upn, t.not_eligible, t.gone_at is not null as gone, m.pbx_user_id
                   from sync.microsoft_users t left join admin.mappings m using (account_id, microsoft_user)
                  where t.account_id = $1 and t.microsoft_user = $2";
}

/// Why and until when a user waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Stable name of the reason.
    pub reason: String,
    /// In words.
    pub detail: String,
    /// Since when.
    pub since: OffsetDateTime,
    /// When it is looked at again.
    pub next_look: OffsetDateTime,
}

/// A PBX user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// Its key in the PBX.
    pub user: PbxUserId,
    /// Its profile; none where the PBX never told one.
    pub profile: Option<Profile>,
    /// The PBX has it no more.
    pub gone: bool,
    /// Its mapping.
    pub mapping: Option<Mapping>,
    /// Sign-in name of the Microsoft user, as last seen.
    pub upn: Option<String>,
    /// Name of the Microsoft user, as last seen.
    pub microsoft_name: Option<String>,
    /// When the Microsoft user was last seen in the directory.
    pub seen_at: Option<OffsetDateTime>,
    /// What its state is made of.
    pub facts: UserFacts,
    /// Stable code of its last outcome.
    pub code: Option<String>,
    /// The same in words.
    pub detail: Option<String>,
    /// What it waits for.
    pub wait: Option<Wait>,
    /// When something of it was last done and read back.
    pub confirmed_at: Option<OffsetDateTime>,
    /// When all read paths agreed.
    pub settled_at: Option<OffsetDateTime>,
}

/// Which users to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those without a mapping.
    pub unmapped: bool,
    /// Only those who hold this text in key, name, address, extension or numbers; in the key as it is written, in the
    /// others whatever its case.
    pub search: Option<String>,
    /// A search looks at the Microsoft user's names too.
    pub microsoft: bool,
}

/// A regular expression that matches nothing but the text as it is written.
fn literally(text: &str) -> String {
    let mut expression = String::with_capacity(text.len());
    for letter in text.chars().filter(|letter| *letter != '\0') {
        if letter.is_ascii() && !letter.is_ascii_alphanumeric() {
            expression.push('\\');
        }
        expression.push(letter);
    }
    expression
}

/// Users behind `after`, by key.
///
/// # Errors
/// [`StoreError`].
pub async fn list(
    tx: &mut Tx,
    account: AccountId,
    filter: &Filter,
    after: &str,
    limit: i64,
) -> Result<Vec<UserRow>, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query_scalar(if filter.search.is_some() { SEARCH } else { KEYS });
    let mut query = query.bind(account.0).bind(after).bind(filter.unmapped).bind(limit);
    if let Some(text) = &filter.search {
        let quoted = Value::from(text.as_str()).to_string();
        let in_profile = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(&quoted);
        query = query
            .bind(literally(text))
            .bind(literally(in_profile))
            .bind(filter.microsoft)
            .bind(pattern(text));
    }
    let keys: Vec<String> = query.fetch_all(&mut **tx).await.map_err(failed)?;
    rows(tx, account, &keys.iter().map(String::as_str).collect::<Vec<_>>()).await
}

/// One user.
///
/// # Errors
/// [`StoreError`].
pub async fn one(tx: &mut Tx, account: AccountId, user: &PbxUserId) -> Result<Option<UserRow>, StoreError> {
    Ok(rows(tx, account, &[user.as_str()]).await?.pop())
}

/// The named users, as far as there is such a user, by key.
async fn rows(tx: &mut Tx, account: AccountId, keys: &[&str]) -> Result<Vec<UserRow>, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let rows = sqlx::query(ROWS).bind(account.0).bind(keys).fetch_all(&mut **tx).await.map_err(failed)?;
    rows.iter().map(|row| read(row, work)).collect()
}

fn read(row: &PgRow, work: &'static str) -> Result<UserRow, StoreError> {
    let odd = |column| StoreError::Inconsistent { work, column };
    let mapping = match row.get::<Option<Uuid>, _>("microsoft_user") {
        Some(oid) => Some(Mapping {
            microsoft_user: ObjectId(oid),
            service: Service::parse(row.get("service")).ok_or_else(|| odd("admin.mappings.service"))?,
            number: row.get("number"),
        }),
        None => None,
    };
    let profile: Option<Value> = row.get("profile");
    let outcome: Option<&str> = row.get("outcome");
    let reason: Option<String> = row.get("reason");
    let wait = reason.map(|reason| Wait {
        reason,
        detail: row.get("wait_detail"),
        since: row.get("since"),
        next_look: row.get("next_look"),
    });
    Ok(UserRow {
        user: PbxUserId(row.get("pbx_user_id")),
        profile: profile.map(serde_json::from_value).transpose().map_err(|_| odd("pbx.profiles.profile"))?,
        gone: row.get("gone"),
        facts: UserFacts {
            mapped: mapping.is_some(),
            standing: row.get("standing"),
            queued: row.get("queued"),
            deferred: wait.is_some(),
            outcome: outcome
                .map(|text| Outcome::parse(text).ok_or_else(|| odd("sync.users.outcome")))
                .transpose()?,
            issue: row.get::<Option<&str>, _>("settle_issue").is_some(),
            confirmed: row.get("confirmed_gen"),
            settled: row.get("settled_gen"),
        },
        mapping,
        upn: row.get("upn"),
        microsoft_name: row.get("microsoft_name"),
        seen_at: row.get("seen_at"),
        code: row.get("code"),
        detail: row.get::<Option<String>, _>("settle_issue").or_else(|| row.get("detail")),
        wait,
        confirmed_at: row.get("confirmed_at"),
        settled_at: row.get("settled_at"),
    })
}

/// Licences of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Licences {
    /// Sold.
    pub sold: i64,
    /// In use.
    pub used: i64,
    /// Given back, but not free before a sync has taken off what still stands.
    pub leaving: i64,
}

impl Licences {
    /// How many can be given away now.
    #[must_use]
    pub fn free(self) -> i64 {
        (self.sold - self.used - self.leaving).max(0)
    }
}

/// Makes this the only transaction that saves mappings of the account, and counts its licences.
///
/// # Errors
/// [`StoreError`].
pub async fn lock(tx: &mut Tx, account: AccountId) -> Result<Licences, StoreError> {
    let failed = tx.failed();
    let sold: i32 = sqlx::query_scalar(LOCK).bind(account.0).fetch_one(&mut **tx).await.map_err(&failed)?;
    // a statement of its own: it has to see what the holder of the lock before has saved
    let row = sqlx::query(USED).bind(account.0).fetch_one(&mut **tx).await.map_err(failed)?;
    Ok(Licences { sold: sold.into(), used: row.get("used"), leaving: row.get("leaving") })
}

/// A Microsoft user that somebody wants to map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Sign-in name.
    pub upn: String,
    /// Why it cannot be mapped.
    pub why_not: Option<NotEligible>,
    /// A complete list did not show it any more.
    pub gone: bool,
    /// Who has it.
    pub mapped_to: Option<PbxUserId>,
}

/// A Microsoft user of the account's tenant, as last seen.
///
/// # Errors
/// [`StoreError`].
pub async fn candidate(
    tx: &mut Tx,
    account: AccountId,
    oid: ObjectId,
) -> Result<Option<Candidate>, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let query = sqlx::query(MICROSOFT).bind(account.0).bind(oid.0);
    let Some(row) = query.fetch_optional(&mut **tx).await.map_err(failed)? else { return Ok(None) };
    let column = "sync.microsoft_users.not_eligible";
    let why_not = row.get::<Option<&str>, _>("not_eligible");
    let why_not = why_not.map(|why| NotEligible::parse(why).ok_or(StoreError::Inconsistent { work, column }));
    Ok(Some(Candidate {
        upn: row.get("upn"),
        why_not: why_not.transpose()?,
        gone: row.get("gone"),
        mapped_to: row.get::<Option<String>, _>("pbx_user_id").map(PbxUserId),
    }))
}
