//! Reminders over many virtual days.

use jiff::civil::Date;
use proptest::prelude::*;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use super::*;

const DAYS: i64 = 60;
const STEP: Duration = Duration::minutes(10);
/// Zones with the odd cases: none, north, south, half an hour, midnight that is jumped over, both ends of the day line.
const ZONES: [&str; 9] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Africa/Cairo",
    "America/Santiago",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
];

fn calendar(zone: &str, hour: i16) -> Calendar {
    Calendar::new(zone, hour).unwrap()
}

/// An account that lives through time, with the mails it got.
struct Life {
    calendar: Calendar,
    facts: Facts,
    now: OffsetDateTime,
    mails: Vec<(OffsetDateTime, Reminder)>,
}

impl Life {
    fn new(calendar: Calendar, now: OffsetDateTime, auto_sync: bool) -> Self {
        Self { calendar, facts: Facts { auto_sync, ..Facts::default() }, now, mails: Vec::new() }
    }

    fn decide(&self) -> Decision {
        let last = self.mails.last().map(|(at, mail)| Sent { at: *at, day: mail.day });
        decide(&self.facts, last.as_ref(), &self.calendar, self.now)
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            if let Decision::Send(mail) = self.decide() {
                self.mails.push((self.now, mail));
            }
            self.now += STEP;
        }
    }

    fn edit(&mut self) {
        let first = self.facts.waiting.map_or(self.now, |waiting| waiting.first);
        self.facts.waiting = Some(Waiting { first, last: self.now });
    }

    fn fail(&mut self, partly: bool) {
        let since = self.facts.failing.map_or(self.now, |failing| failing.since);
        self.facts.failing = Some(Failing { since, partly });
    }

    fn succeed(&mut self) {
        self.facts = Facts { auto_sync: self.facts.auto_sync, ..Facts::default() };
    }

    /// Days and times of the mails.
    fn times(&self) -> Vec<String> {
        self.mails
            .iter()
            .map(|(at, _)| self.calendar.local(*at).strftime("%m-%d %H:%M").to_string())
            .collect()
    }
}

const MONDAY: OffsetDateTime = datetime!(2026-11-02 09:00 UTC);

#[test]
fn a11_waiting_changes_mail_after_half_an_hour_of_quiet() {
    let mut life = Life::new(calendar("UTC", 8), MONDAY, false);
    for _ in 0..4 {
        life.edit();
        life.pass(Duration::minutes(20));
    }
    assert!(life.mails.is_empty(), "in the middle of editing: {:?}", life.times());
    life.pass(Duration::minutes(30));
    assert_eq!(life.times(), ["11-02 10:30"]);
    assert_eq!(life.mails[0].1.reasons.iter().map(|r| r.cause).collect::<Vec<_>>(), [Cause::Waiting]);
}

#[test]
fn a11_edits_that_never_stop_mail_after_a_day() {
    let mut life = Life::new(calendar("UTC", 8), MONDAY, false);
    for _ in 0..(26 * 3) {
        life.edit();
        life.pass(Duration::minutes(20));
    }
    assert_eq!(life.times(), ["11-03 09:00"]);
}

#[test]
fn a11_changes_of_an_auto_account_count_after_a_day() {
    let mut life = Life::new(calendar("UTC", 8), MONDAY, true);
    life.edit();
    life.pass(Duration::hours(23));
    assert_eq!(life.mails.len(), 0);
    assert_eq!(life.decide(), Decision::Wait(MONDAY + Duration::hours(24)));
    life.pass(Duration::hours(2));
    assert_eq!(life.times(), ["11-03 09:00"]);
}

#[test]
fn a12_a_failed_sync_mails_when_nothing_is_pending() {
    let mut life = Life::new(calendar("UTC", 8), MONDAY, true);
    life.fail(false);
    life.pass(Duration::minutes(10));
    assert_eq!(life.times(), ["11-02 09:00"], "at once: nobody is at work on it");
    assert_eq!(life.mails[0].1.reasons[0].cause, Cause::Failed);
    let mut life = Life::new(calendar("UTC", 8), MONDAY, false);
    life.fail(false);
    life.pass(Duration::hours(1));
    assert_eq!(life.times(), ["11-02 09:30"], "somebody is at the screen");
}

#[test]
fn a14_one_mail_a_day_at_the_accounts_hour() {
    let mut life = Life::new(calendar("Europe/Berlin", 8), MONDAY, true);
    life.fail(false);
    // the ladder tries again at night, and the removals are held on top
    life.pass(Duration::hours(17));
    life.fail(false);
    life.facts.held = Some(life.now);
    life.pass(Duration::days(3));
    assert_eq!(life.times(), ["11-02 10:00", "11-03 08:00", "11-04 08:00", "11-05 08:00"]);
    assert_eq!(life.mails[1].1.reasons.len(), 2, "one mail names all causes");
}

#[test]
fn a14_a_new_cause_on_a_day_that_had_its_mail_waits_for_the_next() {
    let mut life = Life::new(calendar("UTC", 8), MONDAY, true);
    life.fail(false);
    life.pass(Duration::hours(2));
    life.succeed();
    life.pass(Duration::hours(2));
    life.fail(true);
    life.pass(Duration::days(1));
    assert_eq!(life.times(), ["11-02 09:00", "11-03 00:00"]);
}

#[test]
fn a14_a_mail_before_midnight_keeps_the_morning_free() {
    let mut life = Life::new(calendar("UTC", 8), datetime!(2026-11-02 23:50 UTC), true);
    life.fail(false);
    life.pass(Duration::days(2));
    assert_eq!(life.times(), ["11-02 23:50", "11-03 11:50", "11-04 08:00"]);
}

#[test]
fn a15_success_stops_the_mails_and_partly_does_not() {
    let mut life = Life::new(calendar("UTC", 8), MONDAY, false);
    life.edit();
    life.pass(Duration::days(1));
    assert_eq!(life.mails.len(), 2);
    // everything was taken along, but not for everybody
    life.facts.waiting = None;
    life.fail(true);
    life.pass(Duration::days(2));
    assert_eq!(life.mails.len(), 4);
    assert_eq!(life.mails[3].1.reasons[0].cause, Cause::Partly);
    life.succeed();
    life.pass(Duration::days(5));
    assert_eq!(life.mails.len(), 4);
    assert_eq!(life.decide(), Decision::Rest);
}

#[test]
fn a17_what_changes_in_microsoft_alone_is_no_cause() {
    // neither drift nor a Microsoft user that is gone makes any of the facts; a healthy authorization is none
    let facts = Facts { authorization: Some((AuthorizationState::Healthy, MONDAY)), ..Facts::default() };
    for auto_sync in [false, true] {
        assert_eq!(reasons(&Facts { auto_sync, ..facts }), []);
    }
}

#[test]
fn an_authorization_that_does_not_work_counts_with_auto_sync_only() {
    for state in AuthorizationState::ALL {
        let facts = Facts { authorization: Some((*state, MONDAY)), ..Facts::default() };
        assert_eq!(reasons(&facts), [], "{state} by hand");
        let auto = reasons(&Facts { auto_sync: true, ..facts });
        assert_eq!(auto.len(), usize::from(*state != AuthorizationState::Healthy), "{state} by itself");
    }
}

#[test]
fn the_second_contact_joins_after_three_days() {
    let mut life = Life::new(calendar("UTC", 8), MONDAY, true);
    life.fail(false);
    life.pass(Duration::days(5));
    let second: Vec<bool> = life.mails.iter().map(|(_, mail)| mail.second_contact).collect();
    assert_eq!(second, [false, false, false, false, true, true]);
}

#[test]
fn b42_an_hour_that_the_clocks_jump_over_and_29_february() {
    let berlin = calendar("Europe/Berlin", 2);
    // 28 March 2027: 02:00 does not exist; 31 October: it comes twice
    let day = |text: &str| text.parse::<Date>().unwrap();
    assert_eq!(berlin.hour_after(day("2027-03-27")), datetime!(2027-03-28 01:00 UTC));
    assert_eq!(berlin.hour_after(day("2027-10-30")), datetime!(2027-10-31 00:00 UTC));
    assert_eq!(berlin.hour_after(day("2028-02-28")), datetime!(2028-02-29 01:00 UTC));
    assert_eq!(berlin.hour_after(day("2028-02-29")), datetime!(2028-03-01 01:00 UTC));
    // Samoa had no 30 December 2011, Cairo has no midnight on the last Friday of April
    let samoa = calendar("Pacific/Apia", 8);
    assert_eq!(samoa.hour_after(day("2011-12-29")), datetime!(2011-12-30 18:00 UTC));
    assert_eq!(calendar("Africa/Cairo", 0).begin_after(day("2026-04-23")), datetime!(2026-04-23 22:00 UTC));
}

#[test]
fn what_is_no_calendar_is_refused() {
    assert_eq!(Calendar::new("Mars/Olympus", 8).unwrap_err().code(), "time_zone");
    assert_eq!(Calendar::new("../../etc/passwd", 8).unwrap_err().code(), "time_zone");
    for hour in [-1, 24, 300] {
        assert_eq!(Calendar::new("UTC", hour).unwrap_err().code(), "mail_hour");
    }
}

#[test]
fn a14_what_an_account_has_not_chosen_is_as_usual() {
    let usual = calendar("Europe/Berlin", 8);
    let hour = |zone: Option<&str>, hour| {
        let chosen = Chosen { zone: zone.map(str::to_owned), hour };
        chosen.over(&usual).hour_after("2026-07-01".parse().unwrap())
    };
    assert_eq!(hour(None, None), datetime!(2026-07-02 06:00 UTC));
    assert_eq!(hour(Some("Asia/Tokyo"), None), datetime!(2026-07-01 23:00 UTC));
    assert_eq!(hour(None, Some(20)), datetime!(2026-07-02 18:00 UTC));
    assert_eq!(hour(Some("Asia/Tokyo"), Some(20)), datetime!(2026-07-02 11:00 UTC));
    assert_eq!(hour(Some("Mars/Olympus"), Some(24)), datetime!(2026-07-02 06:00 UTC));
}

/// What befalls an account.
#[derive(Clone, Copy, Debug)]
enum Event {
    Edit,
    Failed,
    Partly,
    Held,
    Revoked,
    Succeed,
    Switch,
    Move(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => Just(Event::Edit),
        2 => Just(Event::Failed),
        2 => Just(Event::Partly),
        1 => Just(Event::Held),
        1 => Just(Event::Revoked),
        4 => Just(Event::Succeed),
        1 => Just(Event::Switch),
        1 => (0..ZONES.len()).prop_map(Event::Move),
    ]
}

fn befall(life: &mut Life, event: Event, hour: i16) {
    match event {
        Event::Edit => life.edit(),
        Event::Failed => life.fail(false),
        Event::Partly => life.fail(true),
        Event::Held => life.facts.held = life.facts.held.or(Some(life.now)),
        Event::Revoked => life.facts.authorization = Some((AuthorizationState::Revoked, life.now)),
        Event::Succeed => life.succeed(),
        Event::Switch => life.facts.auto_sync = !life.facts.auto_sync,
        Event::Move(zone) => life.calendar = calendar(ZONES[zone], hour),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happens over 60 days, and wherever the account moves: no two mails on one day nor close to each other,
    /// and none without a cause. It begins so that the clocks of both halves of the earth change, and in a leap year.
    #[test]
    fn a14_never_two_mails_in_a_day(
        zone in 0..ZONES.len(), hour in 0_i16..24, begins in 0_i64..500, auto in any::<bool>(),
        events in prop::collection::vec((event(), 0_i64..72), 1..80),
    ) {
        let begin = datetime!(2027-02-01 00:00 UTC) + Duration::days(begins);
        let mut life = Life::new(calendar(ZONES[zone], hour), begin, auto);
        for (event, hours) in events {
            let before = life.mails.len();
            befall(&mut life, event, hour);
            if reasons(&life.facts).is_empty() {
                life.pass(Duration::hours(hours));
                prop_assert_eq!(life.mails.len(), before, "a mail without a cause");
            } else {
                life.pass(Duration::hours(hours));
            }
            if life.now > begin + Duration::days(DAYS) {
                break;
            }
        }
        for pair in life.mails.windows(2) {
            let [(at, mail), (next_at, next)] = pair else { unreachable!() };
            prop_assert!(next.day > mail.day, "two mails on {}", mail.day);
            prop_assert!(*next_at - *at >= LEAST_GAP, "{at} and {next_at}");
        }
        for (at, mail) in &life.mails {
            prop_assert!(!mail.reasons.is_empty());
            prop_assert!(mail.reasons.iter().all(|reason| reason.ready <= *at && reason.since <= *at));
        }
    }

    /// While a cause lasts, each day of 60 has its mail, from the second on at the account's hour, whatever the clocks do.
    #[test]
    fn a14_each_day_has_its_mail_until_a_sync_succeeds(
        zone in 0..ZONES.len(), hour in 0_i16..24, begins in 0_i64..500, minutes in 0_i64..144,
    ) {
        let begin = datetime!(2027-02-01 00:00 UTC) + Duration::days(begins) + STEP * i32::try_from(minutes).unwrap();
        let mut life = Life::new(calendar(ZONES[zone], hour), begin, true);
        life.fail(false);
        life.pass(Duration::days(DAYS));
        let first = life.calendar.day(begin);
        let days: Vec<Date> = life.mails.iter().map(|(_, mail)| mail.day).collect();
        for (nth, day) in days.iter().enumerate() {
            let expected = first.checked_add(jiff::Span::new().days(i64::try_from(nth).unwrap())).unwrap();
            prop_assert_eq!(*day, expected, "a day without mail");
        }
        prop_assert!(days.len() >= 59, "{} mails", days.len());
        for (at, mail) in &life.mails[2..] {
            let due = life.calendar.hour_after(mail.day.yesterday().unwrap());
            prop_assert!((*at - due).abs() < STEP, "{at} in place of {due}");
        }
        life.succeed();
        let sent = life.mails.len();
        life.pass(Duration::days(3));
        prop_assert_eq!(life.mails.len(), sent);
    }

    /// The foreseen time of the next mail is when it comes, if nothing changes.
    #[test]
    fn the_preview_is_true(
        zone in 0..ZONES.len(), hour in 0_i16..24, auto in any::<bool>(),
        events in prop::collection::vec((event(), 0_i64..48), 1..12),
    ) {
        let mut life = Life::new(calendar(ZONES[zone], hour), MONDAY, auto);
        for (event, hours) in events {
            befall(&mut life, event, hour);
            life.pass(Duration::hours(hours));
        }
        if let Decision::Wait(until) = life.decide() {
            life.now = until - Duration::seconds(1);
            prop_assert_eq!(life.decide(), Decision::Wait(until));
            life.now = until;
            prop_assert!(matches!(life.decide(), Decision::Send(_)));
        }
    }
}
