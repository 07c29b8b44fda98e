//! The transactional outbox: announcements are written with the fact and published afterwards.

use serde_json::Value;
use sqlx::Row as _;
use time::OffsetDateTime;

use crate::sql::statements;
use crate::{Store, StoreError, Tx};

statements! {
    /// Adds announcements.
    PUT = "insert into ops.outbox (subject, headers, payload, message_id)
           select * from unnest($1::text[], $2::text[]::json[], $3::bytea[], $4::text[])";
    /// Takes the oldest announcements that nobody else is publishing out of the table.
    /// Rows of the outbox never move, so that a place leads to each, whatever the planner believes of the table.
    TAKE = "delete from ops.outbox where ctid = any (array(select ctid from ops.outbox order by id limit $1 for update skip locked))
            returning id, subject, headers, payload, message_id, created_at";
    /// Puts announcements back that could not be published, as old as they are.
    GIVE_BACK = "insert into ops.outbox (subject, headers, payload, message_id, created_at)
                 select * from unnest($1::text[], $2::text[]::json[], $3::bytea[], $4::text[], $5::timestamptz[])";
    /// Drops announcements too old to be of use: the sweeps have long done their work.
    EXPIRE = "delete from ops.outbox where id in
                (select id from ops.outbox where created_at < now() - make_interval(secs => $1) limit 10000 for update skip locked)";
    /// How many wait.
    WAITING = "select count(*) from ops.outbox";
}

/// An announcement.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// Subject, prefix included.
    pub subject: String,
    /// Headers as a JSON object of texts.
    pub headers: Value,
    /// Body.
    pub payload: Vec<u8>,
    /// Deterministic id for the broker's deduplication.
    pub message_id: String,
}

/// Adds announcements within the caller's transaction.
///
/// # Errors
/// [`StoreError`].
pub async fn put(tx: &mut Tx, announcements: &[Announcement]) -> Result<(), StoreError> {
    if announcements.is_empty() {
        return Ok(());
    }
    let failed = tx.failed();
    sqlx::query(PUT)
        .bind(announcements.iter().map(|a| a.subject.as_str()).collect::<Vec<_>>())
        .bind(announcements.iter().map(|a| a.headers.to_string()).collect::<Vec<_>>())
        .bind(announcements.iter().map(|a| a.payload.as_slice()).collect::<Vec<_>>())
        .bind(announcements.iter().map(|a| a.message_id.as_str()).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Announcements taken for publishing. They are gone from the table with [`Taken::done`]; dropping it gives them back.
#[derive(Debug)]
pub struct Taken {
    tx: Tx,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    id: i64,
    created_at: OffsetDateTime,
    announcement: Announcement,
}

impl Taken {
    /// What was taken, oldest first.
    pub fn announcements(&self) -> impl Iterator<Item = &Announcement> {
        self.rows.iter().map(|row| &row.announcement)
    }

    /// How many were taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether nothing was waiting.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Lets those go that were published, `published[i]` telling it of the i-th, and gives the others back.
    ///
    /// # Errors
    /// [`StoreError`]; then all are given back and will be published again under the same message id.
    pub async fn done(mut self, published: &[bool]) -> Result<(), StoreError> {
        let left: Vec<&Row> = self
            .rows
            .iter()
            .zip(published)
            .filter(|(_, published)| !**published)
            .map(|(row, _)| row)
            .collect();
        if left.len() == self.rows.len() {
            // the transaction is rolled back
            return Ok(());
        }
        if !left.is_empty() {
            let failed = self.tx.failed();
            sqlx::query(GIVE_BACK)
                .bind(left.iter().map(|row| row.announcement.subject.as_str()).collect::<Vec<_>>())
                .bind(left.iter().map(|row| row.announcement.headers.to_string()).collect::<Vec<_>>())
                .bind(left.iter().map(|row| row.announcement.payload.as_slice()).collect::<Vec<_>>())
                .bind(left.iter().map(|row| row.announcement.message_id.as_str()).collect::<Vec<_>>())
                .bind(left.iter().map(|row| row.created_at).collect::<Vec<_>>())
                .execute(&mut *self.tx)
                .await
                .map_err(failed)?;
        }
        self.tx.commit().await
    }
}

/// Takes up to `most` announcements.
///
/// # Errors
/// [`StoreError`].
pub async fn take(store: &Store, most: i64) -> Result<Taken, StoreError> {
    let mut tx = store.begin("outbox.take").await?;
    let failed = tx.failed();
    let rows = sqlx::query(TAKE).bind(most).fetch_all(&mut *tx).await.map_err(failed)?;
    let mut rows: Vec<Row> = rows
        .iter()
        .map(|row| Row {
            id: row.get("id"),
            created_at: row.get("created_at"),
            announcement: Announcement {
                subject: row.get("subject"),
                headers: row.get("headers"),
                payload: row.get("payload"),
                message_id: row.get("message_id"),
            },
        })
        .collect();
    rows.sort_unstable_by_key(|row| row.id);
    Ok(Taken { tx, rows })
}

/// Drops announcements older than `seconds`; returns how many.
///
/// # Errors
/// [`StoreError`].
pub async fn expire(store: &Store, seconds: f64) -> Result<u64, StoreError> {
    let done = sqlx::query(EXPIRE)
        .bind(seconds)
        .execute(store.pool())
        .await
        .map_err(|source| StoreError::of("outbox.expire", source))?;
    Ok(done.rows_affected())
}

/// How many announcements wait.
///
/// # Errors
/// [`StoreError`].
pub async fn waiting(store: &Store) -> Result<i64, StoreError> {
    sqlx::query_scalar(WAITING)
        .fetch_one(store.pool())
        .await
        .map_err(|source| StoreError::of("outbox.waiting", source))
}
