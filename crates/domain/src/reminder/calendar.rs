//! The days of an account: its time zone, and the hour at which it gets its mail.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use thiserror::Error;
use time::OffsetDateTime;

/// Time zone and hour of an account.
#[derive(Clone, Debug)]
pub struct Calendar {
    zone: TimeZone,
    hour: i8,
}

/// Not a calendar.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CalendarError {
    /// Not a name of the IANA time zone database.
    #[error("there is no time zone {0:?}; names are like Europe/Berlin")]
    Zone(String),
    /// Not an hour of the day.
    #[error("there is no hour {0} in a day; it is 0 to 23")]
    Hour(i16),
}

impl CalendarError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Zone(_) => "time_zone",
            Self::Hour(_) => "mail_hour",
        }
    }
}

/// What an account has chosen of its calendar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// Its time zone.
    pub zone: Option<String>,
    /// Its hour.
    pub hour: Option<i16>,
}

impl Chosen {
    /// The calendar of the account: what it has not chosen, or what cannot be used, is that of the installation.
    #[must_use]
    pub fn over(&self, usual: &Calendar) -> Calendar {
        let mut calendar = usual.clone();
        if let Some(hour) = self.hour.and_then(hour) {
            calendar.hour = hour;
        }
        if let Some(zone) = self.zone.as_deref().and_then(|zone| TimeZone::get(zone).ok()) {
            calendar.zone = zone;
        }
        calendar
    }
}

/// An hour of the day.
fn hour(hour: i16) -> Option<i8> {
    i8::try_from(hour).ok().filter(|hour| (0..24).contains(hour))
}

impl Calendar {
    /// A calendar.
    ///
    /// # Errors
    /// Which of the two is none.
    pub fn new(zone: &str, of_day: i16) -> Result<Self, CalendarError> {
        let hour = hour(of_day).ok_or(CalendarError::Hour(of_day))?;
        let zone = TimeZone::get(zone).map_err(|_| CalendarError::Zone(zone.to_owned()))?;
        Ok(Self { zone, hour })
    }

    /// The day of a moment.
    #[must_use]
    pub fn day(&self, at: OffsetDateTime) -> Date {
        self.zone.to_datetime(timestamp(at)).date()
    }

    /// The account's hour on the day after; a moment later where the clocks jump over it.
    #[must_use]
    pub fn hour_after(&self, day: Date) -> OffsetDateTime {
        self.after(day, self.hour)
    }

    /// When the day after begins.
    #[must_use]
    pub fn begin_after(&self, day: Date) -> OffsetDateTime {
        self.after(day, 0)
    }

    /// A moment as the account's people write it.
    #[must_use]
    pub fn text(&self, at: OffsetDateTime) -> String {
        self.local(at).strftime("%A, %-d %B %Y, %H:%M %Z").to_string()
    }

    pub(super) fn local(&self, at: OffsetDateTime) -> jiff::Zoned {
        timestamp(at).to_zoned(self.zone.clone())
    }

    fn after(&self, day: Date, hour: i8) -> OffsetDateTime {
        // a day at the end of time has none after it, and stays
        let next = day.checked_add(1.day()).unwrap_or(day);
        let moment = self.zone.to_ambiguous_timestamp(next.at(hour, 0, 0, 0)).compatible();
        moment.map_or(OffsetDateTime::UNIX_EPOCH, offset)
    }
}

/// Moments of today's clocks are within both.
fn timestamp(at: OffsetDateTime) -> Timestamp {
    Timestamp::from_nanosecond(at.unix_timestamp_nanos()).unwrap_or_default()
}

fn offset(at: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(at.as_nanosecond()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
