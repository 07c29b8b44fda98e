//! The stored profiles.

use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueRef};
use sqlx::{Decode, Postgres, Type, TypeInfo as _};
use tandem_domain::{AccountId, PbxUserId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// Locks the counters of accounts, in key order.
    LOCK = "select account_id from change.generations where account_id = any ($1) order by account_id for update";
    /// What is stored about the users named; the profile only where the digest differs.
    COMPARE = "select i.n, p.digest is not distinct from i.digest as same,
                      case when p.digest <> i.digest then p.profile end as profile,
                      p.missing_since is not null as missing, p.deleted_at is not null as deleted,
                      coalesce(p.updated_at > $4, false) as newer, p.ctid::text as place
                 from unnest($1::uuid[], $2::text[], $3::bigint[])
                      with ordinality as i (account_id, pbx_user_id, digest, n)
                 join pbx.profiles p on p.account_id = i.account_id and p.pbx_user_id = i.pbx_user_id";
    /// Writes profiles that were found; see the function.
    REWRITE = "select pbx.rewrite($1::text[]::tid[], $2::text[]::json[], $3::bigint[], $4)";
    /// Writes profiles, which makes their users present.
    UPSERT = "insert into pbx.profiles (account_id, pbx_user_id, source, profile, digest)
              select account_id, pbx_user_id, $5, profile, digest
                from unnest($1::uuid[], $2::text[], $3::text[]::json[], $4::bigint[])
                     as i (account_id, pbx_user_id, profile, digest)
              on conflict (account_id, pbx_user_id) do update
                set source = excluded.source, profile = excluded.profile, digest = excluded.digest,
                    missing_since = null, deleted_at = null, updated_at = now()";
    /// Takes missing marks away.
    CLEAR = "update pbx.profiles p set missing_since = null
               from unnest($1::uuid[], $2::text[]) as i (account_id, pbx_user_id)
              where p.account_id = i.account_id and p.pbx_user_id = i.pbx_user_id and p.missing_since is not null";
}

/// A user to compare with what is stored.
#[derive(Clone, Copy, Debug)]
pub struct Probe<'a> {
    /// Whose.
    pub account: AccountId,
    /// Which user.
    pub user: &'a PbxUserId,
    /// The digest it has now, where it is known.
    pub digest: Option<i64>,
}

/// What is stored about one of the probes.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The digests are equal.
    pub same: bool,
    /// The stored profile as JSON, where the digests differ.
    pub profile: Option<String>,
    /// It carries a missing mark.
    pub missing: bool,
    /// It is a tombstone.
    pub deleted: bool,
    /// It was written after the time given.
    pub newer: bool,
    /// Where it is, until the transaction ends that holds the lock of its account.
    pub place: String,
}

/// The place of a probe, then the members of [`Stored`] in their order.
type Found = (i64, bool, Option<JsonText>, bool, bool, bool, String);

/// A `json` column as the text that it is: the server need not make one of it, and nobody here takes it apart.
struct JsonText(String);

impl Type<Postgres> for JsonText {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("json")
    }

    fn compatible(ty: &PgTypeInfo) -> bool {
        ty.name().eq_ignore_ascii_case("json")
    }
}

impl Decode<'_, Postgres> for JsonText {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        Ok(Self(value.as_str()?.to_owned()))
    }
}

/// A profile to write.
#[derive(Clone, Debug)]
pub struct Write<'a> {
    /// Whose.
    pub account: AccountId,
    /// Which user.
    pub user: &'a PbxUserId,
    /// The profile as JSON.
    pub json: &'a str,
    /// Its digest.
    pub digest: i64,
    /// Where the stored one was found.
    pub place: Option<String>,
}

/// Locks the accounts for the rest of the transaction; those that exist, in key order.
///
/// # Errors
/// [`StoreError`].
pub async fn lock(tx: &mut Tx, accounts: &[Uuid]) -> Result<Vec<AccountId>, StoreError> {
    let failed = tx.failed();
    let rows: Vec<Uuid> =
        sqlx::query_scalar(LOCK).bind(accounts).fetch_all(&mut **tx).await.map_err(failed)?;
    Ok(rows.into_iter().map(AccountId).collect())
}

/// What is stored about users, in the order of the probes; `None` where nothing is. `since` is the time for [`Stored::newer`].
///
/// # Errors
/// [`StoreError`].
pub async fn compare(
    tx: &mut Tx,
    probes: &[Probe<'_>],
    since: Option<OffsetDateTime>,
) -> Result<Vec<Option<Stored>>, StoreError> {
    let failed = tx.failed();
    let rows: Vec<Found> = sqlx::query_as(COMPARE)
        .bind(probes.iter().map(|p| p.account.0).collect::<Vec<_>>())
        .bind(probes.iter().map(|p| p.user.as_str()).collect::<Vec<_>>())
        .bind(probes.iter().map(|p| p.digest).collect::<Vec<_>>())
        .bind(since)
        .fetch_all(&mut **tx)
        .await
        .map_err(failed)?;
    let mut stored: Vec<Option<Stored>> = probes.iter().map(|_| None).collect();
    for (n, same, profile, missing, deleted, newer, place) in rows {
        // ordinality counts from 1
        let at = usize::try_from(n - 1).unwrap_or(usize::MAX);
        if let Some(slot) = stored.get_mut(at) {
            let profile = profile.map(|JsonText(profile)| profile);
            *slot = Some(Stored { same, profile, missing, deleted, newer, place });
        }
    }
    Ok(stored)
}

/// Writes profiles; no user may come twice, and none may have been written since it was found.
///
/// # Errors
/// [`StoreError`].
pub async fn upsert(tx: &mut Tx, source: &str, rows: &[Write<'_>]) -> Result<(), StoreError> {
    let (found, new): (Vec<&Write<'_>>, Vec<&Write<'_>>) = rows.iter().partition(|r| r.place.is_some());
    let failed = tx.failed();
    if !found.is_empty() {
        sqlx::query(REWRITE)
            .bind(found.iter().filter_map(|r| r.place.as_deref()).collect::<Vec<_>>())
            .bind(found.iter().map(|r| r.json).collect::<Vec<_>>())
            .bind(found.iter().map(|r| r.digest).collect::<Vec<_>>())
            .bind(source)
            .execute(&mut **tx)
            .await
            .map_err(&failed)?;
    }
    if !new.is_empty() {
        sqlx::query(UPSERT)
            .bind(new.iter().map(|r| r.account.0).collect::<Vec<_>>())
            .bind(new.iter().map(|r| r.user.as_str()).collect::<Vec<_>>())
            .bind(new.iter().map(|r| r.json).collect::<Vec<_>>())
            .bind(new.iter().map(|r| r.digest).collect::<Vec<_>>())
            .bind(source)
            .execute(&mut **tx)
            .await
            .map_err(failed)?;
    }
    Ok(())
}

/// Takes missing marks away.
///
/// # Errors
/// [`StoreError`].
pub async fn clear_missing(tx: &mut Tx, users: &[(AccountId, &PbxUserId)]) -> Result<(), StoreError> {
    if users.is_empty() {
        return Ok(());
    }
    let failed = tx.failed();
    sqlx::query(CLEAR)
        .bind(users.iter().map(|(account, _)| account.0).collect::<Vec<_>>())
        .bind(users.iter().map(|(_, user)| user.as_str()).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(())
}
