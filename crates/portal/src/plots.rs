//! Which charts there are: the hours up to now, with a place for each, also where nothing happened.

use tandem_domain::job::JobState;
use tandem_store::portal::charts::{Late, Throughput};
use time::macros::format_description;
use time::{Duration, OffsetDateTime, Time};

use crate::chart::{Chart, Form, Series};
use crate::view;

/// What finished jobs came to, from the bottom of a bar to its top.
const RESULTS: [(JobState, &str, &str); 4] = [
    (JobState::Succeeded, "Succeeded", "good"),
    (JobState::Partly, "Partly", "warn"),
    (JobState::Failed, "Failed", "bad"),
    (JobState::Cancelled, "Cancelled", "quiet"),
];

/// The beginnings of so many hours, the last that of now.
fn begins(hours: i64, now: OffsetDateTime) -> Vec<OffsetDateTime> {
    let now = now.to_offset(time::UtcOffset::UTC);
    let last = now.replace_time(Time::from_hms(now.hour(), 0, 0).unwrap_or(Time::MIDNIGHT));
    (0..hours).rev().map(|back| last - Duration::hours(back)).collect()
}

fn named(begins: &[OffsetDateTime]) -> Vec<String> {
    let form = format_description!("[month]-[day] [hour]:00");
    begins.iter().map(|begin| begin.format(form).unwrap_or_default()).collect()
}

/// Finished jobs by hour and result.
pub(crate) fn throughput(jobs: &Throughput, hours: i64, now: OffsetDateTime) -> Chart {
    let begins = begins(hours, now);
    #[expect(clippy::cast_precision_loss, reason = "nobody finishes that many jobs in an hour")]
    let of = |state| begins.iter().map(|hour| jobs.get(&(*hour, state)).map(|jobs| *jobs as f64)).collect();
    Chart {
        id: "jobs",
        title: format!("Syncs that ended, by hour and result, the last {hours} hours"),
        form: Form::Bars,
        places: named(&begins),
        series: RESULTS.map(|(state, name, class)| Series { name, class, values: of(state) }).into(),
        told: |jobs| format!("{jobs:.0}"),
    }
}

/// From the first change to the start, by the hour of the start.
pub(crate) fn late(late: &Late, hours: i64, now: OffsetDateTime) -> Chart {
    let begins = begins(hours, now);
    let of = |pick: fn(&(f64, f64)) -> f64| begins.iter().map(|hour| late.get(hour).map(pick)).collect();
    Chart {
        id: "late",
        title: format!("From the first change to the start of an Auto sync, the last {hours} hours"),
        form: Form::Lines,
        places: named(&begins),
        series: vec![
            Series { name: "Half within", class: "line", values: of(|(p50, _)| *p50) },
            Series { name: "95 % within", class: "line dashed", values: of(|(_, p95)| *p95) },
        ],
        told: |seconds| view::span(Duration::saturating_seconds_f64(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-03-01 14:07:09 UTC);

    #[test]
    fn each_hour_has_its_place_and_what_is_older_has_none() {
        let jobs = Throughput::from([
            ((datetime!(2026-03-01 14:00 UTC), JobState::Succeeded), 7),
            ((datetime!(2026-02-28 15:00 UTC), JobState::Failed), 2),
            ((datetime!(2026-02-28 14:00 UTC), JobState::Failed), 9),
        ]);
        let chart = throughput(&jobs, 24, NOW);
        assert_eq!(chart.places.len(), 24);
        assert_eq!((chart.places[0].as_str(), chart.places[23].as_str()), ("02-28 15:00", "03-01 14:00"));
        let rows = chart.rows();
        assert_eq!(rows[23].1, ["7", "\u{2013}", "\u{2013}", "\u{2013}"]);
        assert_eq!(rows[0].1, ["\u{2013}", "\u{2013}", "2", "\u{2013}"]);
        assert!(chart.svg().contains("Failed: 2 in all."), "{}", chart.svg());
    }

    #[test]
    fn idea3_lateness_is_told_as_a_time() {
        let late = late(&Late::from([(datetime!(2026-03-01 13:00 UTC), (61.0, 230.4))]), 72, NOW);
        assert_eq!(late.rows()[70].1, ["1 min 1 s", "3 min 50 s"]);
        let svg = late.svg();
        assert!(
            svg.contains("95 % within: 3 min 50 s at most.") && svg.contains("class=\"line dashed\""),
            "{svg}"
        );
        assert!(svg.len() < 3000, "{}", svg.len());
    }
}
