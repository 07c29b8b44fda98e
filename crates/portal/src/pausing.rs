//! Pauses: an operator holds an account, or the whole fleet, for a while and with a reason. A pause lifts itself.

use serde::Deserialize;
use tandem_domain::AccountId;
use tandem_domain::audit::PROVIDER;
use tandem_domain::roles::Act;
use tandem_domain::window::{LatenessBudget, Near};
use tandem_store::Tx;
use tandem_store::portal::audit;
use tandem_store::portal::pause::{self, Kept};
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;

use crate::fault::Fault;
use crate::guard::{InAccount, Visitor, of};
use crate::work::claim;
use crate::{App, acts, view};

/// How long a pause lasts where nobody says otherwise.
pub(crate) const USUAL_HOURS: i64 = 24;
/// How long a pause may last: what waits for longer should be switched off.
const LONGEST_HOURS: i64 = 7 * 24;
/// Users that are named of those whose changes wait.
const NAMED: i32 = 20;

/// A pause that is set, or lifted.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    /// Whether there shall be a pause.
    pub(crate) on: bool,
    /// For how many hours, 1 to 168; 24 where nothing is said.
    pub(crate) hours: Option<i64>,
    pub(crate) reason: String,
}

impl Wish {
    /// Until when it asks for a pause, if for one.
    fn until(&self, now: OffsetDateTime) -> Result<Option<OffsetDateTime>, Fault> {
        let hours = self.hours.unwrap_or(USUAL_HOURS);
        if !(1..=LONGEST_HOURS).contains(&hours) {
            return Err(Fault::BadInput("hours", "is between 1 and 168"));
        }
        Ok(self.on.then(|| now + Duration::hours(hours)))
    }
}

fn subject(until: Option<OffsetDateTime>) -> String {
    until.map_or_else(|| "lifted".to_owned(), |until| format!("until {}", view::full(until)))
}

/// Pauses an account, or lifts its pause. Under a key, which comes with what was asked under it, it is done once: a post
/// that is sent again sets no pause that somebody has lifted meanwhile.
pub(crate) async fn account(
    app: &App,
    inside: &InAccount,
    wish: &Wish,
    key: Option<(&str, &[u8])>,
) -> Result<(), Fault> {
    let (account, visitor, now) = (inside.id(), &inside.visitor, app.clock.now());
    let (reason, until) = (acts::reason(&wish.reason)?, wish.until(now)?);
    let mut tx = app.store.begin_for("portal.pause", account).await?;
    if let Some(key) = key
        && claim(&mut tx, inside, key, app.ids.v7(&app.clock), now).await?.is_some()
    {
        return Ok(());
    }
    pause::set(&mut tx, account, until.map(|until| (until, reason))).await?;
    audit::append(&mut tx, &of(visitor, account, Act::Pause, now, &subject(until), reason, true)).await?;
    tx.commit().await?;
    tracing::info!(%account, on = wish.on, "a pause was set or lifted in the portal");
    Ok(())
}

/// Pauses the fleet, or lifts its pause.
pub(crate) async fn fleet(app: &App, visitor: &Visitor, wish: &Wish) -> Result<(), Fault> {
    let now = app.clock.now();
    let (reason, until) = (acts::reason(&wish.reason)?, wish.until(now)?);
    let mut tx = app.store.begin_for("portal.pause_fleet", PROVIDER).await?;
    match until {
        Some(until) => {
            pause::pause_fleet(&mut tx, until, &visitor.name, reason, now).await?;
        }
        None => pause::lift_fleet(&mut tx).await?,
    }
    audit::append(&mut tx, &of(visitor, PROVIDER, Act::Pause, now, &subject(until), reason, true)).await?;
    tx.commit().await?;
    tracing::warn!(on = wish.on, "the pause of the fleet was set or lifted in the portal");
    Ok(())
}

/// No sync is asked for during a pause: it would only wait for the end.
pub(crate) async fn refuse(tx: &mut Tx, account: AccountId, now: OffsetDateTime) -> Result<(), Fault> {
    match pause::lasting(tx, account, now).await? {
        Some(pause) => Err(Fault::Paused(pause.to_string())),
        None => Ok(()),
    }
}

/// What a pause keeps from being synced, in words, and how near the ten minutes are.
pub(crate) struct Waits {
    pub(crate) what: String,
    /// When the ten minutes end, or ended.
    pub(crate) promise: Option<(Near, String)>,
}

impl Waits {
    pub(crate) fn of(kept: &Kept, auto_sync: bool, now: OffsetDateTime) -> Self {
        let names = kept.names.join(", ");
        let more = kept.users - i64::try_from(kept.names.len()).unwrap_or(kept.users);
        let of = match (kept.users, more) {
            (0, _) => String::new(),
            (_, 0) => format!(", of {names}"),
            _ => format!(", of {names} and {more} more users"),
        };
        let what = match kept.changes {
            0 => "No change waits.".to_owned(),
            1 => format!("1 change waits{of}."),
            many => format!("{many} changes wait{of}."),
        };
        let promise = kept.since.filter(|_| auto_sync).map(|since| {
            let end = since + LatenessBudget::PROMISE;
            let text = match Near::of(since, now) {
                Near::Broken => format!("The ten minutes were over at {}.", view::clock(end, now)),
                Near::Warning | Near::Fine => {
                    format!("The ten minutes end at {}, in {}.", view::clock(end, now), view::span(end - now))
                }
            };
            (Near::of(since, now), text)
        });
        Self { what, promise }
    }
}

/// What the pause of an account, or that of the fleet, keeps from being synced there.
pub(crate) async fn waits(app: &App, account: AccountId, auto_sync: bool) -> Result<Waits, Fault> {
    let mut tx = app.store.begin_for("portal.waits", account).await?;
    Ok(Waits::of(&pause::waiting(&mut tx, account, NAMED).await?, auto_sync, app.clock.now()))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-03-01 14:07:09 UTC);

    fn kept(changes: i64, users: i64, minutes: i64) -> Kept {
        let names = (0..users.min(2)).map(|n| (101 + n).to_string()).collect();
        Kept { changes, users, names, since: (changes > 0).then(|| NOW - Duration::minutes(minutes)) }
    }

    #[test]
    fn idea18_a_pause_shows_what_waits_and_when_the_ten_minutes_end() {
        let said = |kept, auto| {
            let waits = Waits::of(&kept, auto, NOW);
            (waits.what, waits.promise.map(|(near, text)| format!("{near:?} {text}")))
        };
        assert_eq!(said(kept(0, 0, 0), true), ("No change waits.".to_owned(), None));
        let (what, promise) = said(kept(1, 1, 3), true);
        assert_eq!(what, "1 change waits, of 101.");
        assert_eq!(promise.as_deref(), Some("Fine The ten minutes end at 14:14 UTC, in 7 min 0 s."));
        let (what, promise) = said(kept(9, 7, 9), true);
        assert_eq!(what, "9 changes wait, of 101, 102 and 5 more users.");
        assert_eq!(promise.as_deref(), Some("Warning The ten minutes end at 14:08 UTC, in 1 min 0 s."));
        let (_, promise) = said(kept(2, 0, 12), true);
        assert_eq!(promise.as_deref(), Some("Broken The ten minutes were over at 14:05 UTC."));
        assert_eq!(said(kept(2, 0, 12), false), ("2 changes wait.".to_owned(), None), "nobody promised");
    }

    #[test]
    fn idea18_a_pause_has_an_end_and_lasts_a_day_unless_somebody_says_otherwise() {
        let until = |on, hours| Wish { on, hours, reason: "r".to_owned() }.until(NOW);
        assert_eq!(until(true, None), Ok(Some(NOW + Duration::DAY)));
        assert_eq!(until(true, Some(1)), Ok(Some(NOW + Duration::HOUR)));
        assert_eq!(until(false, None), Ok(None));
        for wrong in [0, -1, 169, i64::MAX] {
            assert!(until(true, Some(wrong)).is_err(), "{wrong}");
        }
    }
}
