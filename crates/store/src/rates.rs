//! The budget of requests to Microsoft that all processes share, on the database's clock.
//!
//! A buyer locks the row of its scope for one statement; whoever learns that Microsoft wants to wait tells the
//! others by a notification, and the row tells whoever did not hear it. Row and functions: `sync.budgets`, `sync.buy`,
//! `sync.shut`.

use std::time::Duration;

use serde::Deserialize;
use sqlx::Row;
use sqlx::postgres::PgListener;

use crate::sql::statements;
use crate::{Store, StoreError};

statements! {
    /// Books requests.
    BUY = "select after_ms, shut_ms, parked from sync.buy($1, $2, $3, $4, $5)";
    /// Shuts a gate.
    SHUT = "select sync.shut($1, $2, $3, $4, $5, $6)";
    /// Slows a scope down, unless that was done a moment ago.
    EASE = "with off as materialized (select set_config('synchronous_commit', 'off', true))
            update sync.budgets b
               set share = greatest($3, $2 * least(1, b.share + $4 * extract(epoch from clock_timestamp() - b.changed)::float8)),
                   changed = clock_timestamp()
              from off where b.scope = $1
               and (b.share >= 1 or b.changed < clock_timestamp() - $5 * interval '1 ms')";
    /// Gates that are shut now.
    SHUT_NOW = "select scope, extract(epoch from shut_until - clock_timestamp())::float8 * 1000 as wait_ms, parked
                  from sync.budgets where shut_until > clock_timestamp()";
    /// Scopes that nobody has used for a day are as good as new.
    FORGET = "delete from sync.budgets where booked < clock_timestamp() - interval '1 day'
                 and changed < clock_timestamp() - interval '1 day' and (shut_until is null or shut_until < clock_timestamp())";
}

/// The channel on which shut gates are told.
const CHANNEL: &str = "tandem_throttled";

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn duration(millis: f64) -> Duration {
    Duration::try_from_secs_f64(millis.max(0.0) / 1000.0).unwrap_or(Duration::MAX)
}

/// How rates of scopes change.
#[derive(Clone, Copy, Debug)]
pub struct Adaptation {
    /// What is left of a rate after Microsoft throttled.
    pub cut: f64,
    /// What is left of a rate when a limit is near.
    pub ease: f64,
    /// A scope is not eased again before this has passed.
    pub ease_pause: Duration,
    /// No rate falls below this part of the configured one.
    pub floor: f64,
    /// Part of the configured rate that comes back each second.
    pub recovery_per_s: f64,
}

/// What the books answer to a buyer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bought {
    /// The requests may go after this wait.
    After(Duration),
    /// The gate stays shut for so long; whether Microsoft asked for more than an hour.
    Shut(Duration, bool),
}

/// Books requests of a scope with this full rate and burst.
///
/// # Errors
/// [`StoreError`].
pub async fn buy(
    store: &Store,
    scope: &str,
    (per_second, burst): (f64, u32),
    requests: u32,
    adaptation: &Adaptation,
) -> Result<Bought, StoreError> {
    let row = sqlx::query(BUY)
        .bind(scope)
        .bind(per_second)
        .bind(i32::try_from(burst).unwrap_or(i32::MAX))
        .bind(i32::try_from(requests).unwrap_or(i32::MAX))
        .bind(adaptation.recovery_per_s)
        .fetch_one(store.pool())
        .await
        .map_err(|source| StoreError::of("rates.buy", source))?;
    let shut = duration(row.get("shut_ms"));
    Ok(if shut.is_zero() {
        Bought::After(duration(row.get("after_ms")))
    } else {
        Bought::Shut(shut, row.get("parked"))
    })
}

/// Shuts the gate of a scope for at least `wait` and tells the other processes.
///
/// # Errors
/// [`StoreError`].
pub async fn shut(
    store: &Store,
    scope: &str,
    wait: Duration,
    parked: bool,
    adaptation: &Adaptation,
) -> Result<(), StoreError> {
    sqlx::query(SHUT)
        .bind(scope)
        .bind(millis(wait))
        .bind(parked)
        .bind(adaptation.cut)
        .bind(adaptation.floor)
        .bind(adaptation.recovery_per_s)
        .execute(store.pool())
        .await
        .map(|_| ())
        .map_err(|source| StoreError::of("rates.shut", source))
}

/// Slows a scope down a little.
///
/// # Errors
/// [`StoreError`].
pub async fn ease(store: &Store, scope: &str, adaptation: &Adaptation) -> Result<(), StoreError> {
    sqlx::query(EASE)
        .bind(scope)
        .bind(adaptation.ease)
        .bind(adaptation.floor)
        .bind(adaptation.recovery_per_s)
        .bind(millis(adaptation.ease_pause))
        .execute(store.pool())
        .await
        .map(|_| ())
        .map_err(|source| StoreError::of("rates.ease", source))
}

/// Forgets scopes that nobody has used for a day; returns how many.
///
/// # Errors
/// [`StoreError`].
pub async fn forget(store: &Store) -> Result<u64, StoreError> {
    let done = sqlx::query(FORGET).execute(store.pool()).await;
    done.map(|done| done.rows_affected()).map_err(|source| StoreError::of("rates.forget", source))
}

/// A gate that was shut.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ShutGate {
    /// Whose, as the buyer names it.
    pub scope: String,
    /// How long from now, in milliseconds.
    pub wait_ms: u64,
    /// Whether Microsoft asked for more than an hour.
    pub parked: bool,
}

/// News of shut gates, on a connection of its own.
#[derive(Debug)]
pub struct Gates {
    store: Store,
    listener: PgListener,
}

impl Gates {
    /// Starts to listen. The news begins with the gates that are shut already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn listen(store: &Store) -> Result<(Self, Vec<ShutGate>), StoreError> {
        let failed = |source| StoreError::of("rates.listen", source);
        let mut listener = PgListener::connect_with(store.pool()).await.map_err(failed)?;
        // a lost connection is an error here, so that the caller reads again what it may have missed
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await.map_err(failed)?;
        let gates = Self { store: store.clone(), listener };
        let shut = gates.shut_now().await?;
        Ok((gates, shut))
    }

    /// The next gate that is shut. A notification that cannot be read is passed over. Safe to cancel.
    ///
    /// # Errors
    /// [`StoreError`] when the connection was lost.
    pub async fn next(&mut self) -> Result<ShutGate, StoreError> {
        loop {
            let heard =
                self.listener.try_recv().await.map_err(|source| StoreError::of("rates.listen", source))?;
            let heard = heard.ok_or_else(|| {
                let lost = std::io::Error::from(std::io::ErrorKind::ConnectionAborted);
                StoreError::of("rates.listen", sqlx::Error::Io(lost))
            })?;
            if let Ok(gate) = serde_json::from_str(heard.payload()) {
                return Ok(gate);
            }
        }
    }

    async fn shut_now(&self) -> Result<Vec<ShutGate>, StoreError> {
        let rows = sqlx::query(SHUT_NOW)
            .fetch_all(self.store.pool())
            .await
            .map_err(|source| StoreError::of("rates.shut_now", source))?;
        let gate = |row: &sqlx::postgres::PgRow| ShutGate {
            scope: row.get("scope"),
            wait_ms: u64::try_from(duration(row.get("wait_ms")).as_millis()).unwrap_or(u64::MAX),
            parked: row.get("parked"),
        };
        Ok(rows.iter().map(gate).collect())
    }
}
