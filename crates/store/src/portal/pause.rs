//! Pauses: of one account, or of the whole fleet. Each has an end and a reason, and lifts itself: whoever starts jobs
//! compares the end with the database's clock.

use std::fmt;

use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::AccountId;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// The pause of the fleet, while it lasts.
    FLEET = "select until, reason, true as fleet from admin.fleet_pause where until > $1";
    /// What keeps an account from syncing: the pause of the fleet, else its own.
    LASTING = "select p.until, p.reason, p.fleet
                 from (select f.until, f.reason, true as fleet from admin.fleet_pause f
                       union all
                       select a.paused_until, a.pause_reason, false from admin.accounts a where a.account_id = $1) p
                where p.until > $2 order by p.fleet desc limit 1";
    /// Pauses the fleet, or changes its pause.
    PAUSE_FLEET = "insert into admin.fleet_pause as p (until, person, reason, since) values ($1, $2, $3, $4)
                   on conflict (one) do update set until = excluded.until, person = excluded.person, reason = excluded.reason,
                     since = excluded.since";
    /// Lifts the pause of the fleet.
    LIFT_FLEET = "delete from admin.fleet_pause";
    /// Pauses an account, changes its pause, or lifts it.
    ACCOUNT = "update admin.accounts set paused_until = $2, pause_reason = $3, updated_at = now() where account_id = $1";
    /// What would have been synced: the changes that wait, and whose they are.
    WAITING = "select count(*) as changes, count(distinct g.pbx_user_id) as users, min(g.detected_at) as since,
                      (array_agg(distinct g.pbx_user_id) filter (where g.pbx_user_id is not null))[1:$2::int] as names
                 from change.counting g left join sync.accounts s using (account_id)
                where g.account_id = $1 and g.gen > coalesce(s.covered_gen, 0)";
    /// Accounts with Auto Sync that wait, and the oldest change among theirs.
    FLEET_WAITING = "select count(*) as accounts, min(f.since) as since
                       from admin.accounts a
                       left join queue.windows w using (account_id)
                       left join queue.jobs j on j.account_id = a.account_id and j.state = 'queued'
                      cross join lateral (select least(w.first_change_at, j.first_change_at) as since) f
                      where a.auto_sync and f.since is not null";
}

/// A pause that lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// When it lifts itself.
    pub until: OffsetDateTime,
    /// Why.
    pub reason: String,
    /// Whether it is that of the fleet.
    pub fleet: bool,
}

impl Pause {
    fn read(row: &PgRow) -> Self {
        Self { until: row.get("until"), reason: row.get("reason"), fleet: row.get("fleet") }
    }
}

/// As everybody is told of it: until when, and why.
impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
        let until = self.until.to_offset(UtcOffset::UTC).format(form).unwrap_or_default();
        let who = if self.fleet { "All syncs are" } else { "The account is" };
        write!(f, "{who} paused until {until}: {}", self.reason)
    }
}

/// The pause of the fleet that lasts at this moment.
///
/// # Errors
/// [`StoreError`].
pub async fn fleet(tx: &mut Tx, now: OffsetDateTime) -> Result<Option<Pause>, StoreError> {
    let failed = tx.failed();
    let row = sqlx::query(FLEET).bind(now).fetch_optional(&mut **tx).await.map_err(failed)?;
    Ok(row.as_ref().map(Pause::read))
}

/// What keeps an account from syncing at this moment.
///
/// # Errors
/// [`StoreError`].
pub async fn lasting(
    tx: &mut Tx,
    account: AccountId,
    now: OffsetDateTime,
) -> Result<Option<Pause>, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(LASTING).bind(account.0).bind(now);
    let row = query.fetch_optional(&mut **tx).await.map_err(failed)?;
    Ok(row.as_ref().map(Pause::read))
}

/// Pauses the fleet from now on; a pause that lasts becomes this one.
///
/// # Errors
/// [`StoreError`].
pub async fn pause_fleet(
    tx: &mut Tx,
    until: OffsetDateTime,
    person: &str,
    reason: &str,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(PAUSE_FLEET).bind(until).bind(person).bind(reason).bind(now);
    query.execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// Ends the pause of the fleet.
///
/// # Errors
/// [`StoreError`].
pub async fn lift_fleet(tx: &mut Tx) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(LIFT_FLEET).execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// Pauses an account until then for this reason, or (`None`) ends its pause.
///
/// # Errors
/// [`StoreError`].
pub async fn set(
    tx: &mut Tx,
    account: AccountId,
    pause: Option<(OffsetDateTime, &str)>,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    let (until, reason) = pause.unzip();
    let query = sqlx::query(ACCOUNT).bind(account.0).bind(until).bind(reason);
    query.execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// What a pause keeps from being synced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Changes that wait.
    pub changes: i64,
    /// Users whose changes these are.
    pub users: i64,
    /// The first of these users, by id.
    pub names: Vec<String>,
    /// When the oldest of the changes was noticed.
    pub since: Option<OffsetDateTime>,
}

/// What waits in an account, with the names of `most` users.
///
/// # Errors
/// [`StoreError`].
pub async fn waiting(tx: &mut Tx, account: AccountId, most: i32) -> Result<Kept, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(WAITING).bind(account.0).bind(most);
    let row = query.fetch_one(&mut **tx).await.map_err(failed)?;
    Ok(Kept {
        changes: row.get("changes"),
        users: row.get("users"),
        names: row.get::<Option<_>, _>("names").unwrap_or_default(),
        since: row.get("since"),
    })
}

/// How many accounts with Auto Sync wait, and since when the first of them does.
///
/// # Errors
/// [`StoreError`].
pub async fn fleet_waiting(tx: &mut Tx) -> Result<(i64, Option<OffsetDateTime>), StoreError> {
    let failed = tx.failed();
    let row = sqlx::query(FLEET_WAITING).fetch_one(&mut **tx).await.map_err(failed)?;
    Ok((row.get("accounts"), row.get("since")))
}
