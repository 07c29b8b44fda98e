//! The PBX's *Enable Sync* of an account: its sources are read whole every minute, for a day at most. The claim of a
//! source looks at it, see [`super::sources::claim`].

use sqlx::Row;
use tandem_domain::AccountId;
use time::OffsetDateTime;

use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// Whether it is on.
    CURRENT = "select until, person, reason from pbx.troubleshooting where account_id = $1 and until > $2";
    /// Switches it on, or on again.
    ON = "insert into pbx.troubleshooting (account_id, until, person, reason, switched_at) values ($1, $2, $3, $4, $5)
          on conflict (account_id) do update
            set until = excluded.until, person = excluded.person, reason = excluded.reason, switched_at = excluded.switched_at";
    /// Switches it off.
    OFF = "delete from pbx.troubleshooting where account_id = $1";
}

/// The switch while it is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Troubleshooting {
    /// When it goes off by itself.
    pub until: OffsetDateTime,
    /// Who switched it on.
    pub person: String,
    /// Why.
    pub reason: String,
}

/// The switch of an account, if it is on.
///
/// # Errors
/// [`StoreError`].
pub async fn current(
    tx: &mut Tx,
    account: AccountId,
    now: OffsetDateTime,
) -> Result<Option<Troubleshooting>, StoreError> {
    let failed = tx.failed();
    let row =
        sqlx::query(CURRENT).bind(account.0).bind(now).fetch_optional(&mut **tx).await.map_err(failed)?;
    Ok(row.map(|row| Troubleshooting {
        until: row.get("until"),
        person: row.get("person"),
        reason: row.get("reason"),
    }))
}

/// Switches it on for a while.
///
/// # Errors
/// [`StoreError::Constraint`] for more than a day.
pub async fn on(
    tx: &mut Tx,
    account: AccountId,
    switch: &Troubleshooting,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(ON).bind(account.0).bind(switch.until).bind(&switch.person).bind(&switch.reason);
    query.bind(now).execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// Switches it off.
///
/// # Errors
/// [`StoreError`].
pub async fn off(tx: &mut Tx, account: AccountId) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(OFF).bind(account.0).execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}
