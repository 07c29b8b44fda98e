//! What is printed: one JSON line for each figure.

use std::io::Write;

use anyhow::Result;
use serde::Serialize;

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target {
    /// Not less.
    AtLeast(f64),
    /// Not more.
    AtMost(f64),
    /// Told for reading the others; nothing is promised.
    None,
}

impl Target {
    fn holds(self, value: f64) -> Option<bool> {
        match self {
            Self::AtLeast(least) => Some(value >= least),
            Self::AtMost(most) => Some(value <= most),
            Self::None => None,
        }
    }

    fn text(self) -> Option<String> {
        match self {
            Self::AtLeast(least) => Some(format!(">= {least}")),
            Self::AtMost(most) => Some(format!("<= {most}")),
            Self::None => None,
        }
    }
}

/// One figure after all its runs.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    /// Its stable name.
    pub(crate) name: &'static str,
    /// What it counts.
    pub(crate) unit: &'static str,
    /// What it should be.
    pub(crate) target: Target,
    /// One value for each run.
    pub(crate) runs: Vec<f64>,
    /// How it was measured, in a sentence.
    pub(crate) note: String,
}

#[derive(Serialize)]
struct Line<'a> {
    figure: &'a str,
    value: f64,
    unit: &'a str,
    target: Option<String>,
    holds: Option<bool>,
    runs: Vec<f64>,
    note: &'a str,
}

impl Figure {
    /// Prints the line.
    pub(crate) fn print(&self) -> Result<()> {
        let value = rounded(median(&self.runs));
        let line = Line {
            figure: self.name,
            value,
            unit: self.unit,
            target: self.target.text(),
            holds: self.target.holds(value),
            runs: self.runs.iter().copied().map(rounded).collect(),
            note: &self.note,
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string(&line)?)?;
        Ok(out.flush()?)
    }
}

/// The middle value; of an even number the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.len() % 2, sorted.get(middle.saturating_sub(1)), sorted.get(middle)) {
        (_, _, None) => f64::NAN,
        (0, Some(low), Some(high)) => f64::midpoint(*low, *high),
        (_, _, Some(value)) => *value,
    }
}

/// The value below which `share` of the values lie.
pub(crate) fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index within the list")]
    let index = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

/// Four significant digits: more would pretend.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    #[expect(clippy::cast_possible_truncation, reason = "a magnitude")]
    let digits = 3 - value.abs().log10().floor() as i32;
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

/// A line about what happens, for whoever watches.
pub(crate) fn say(text: &str) {
    // a closed standard error must not end a measurement
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::{Target, median, percentile, rounded};

    #[test]
    fn the_middle_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!((percentile(&hundred, 0.5), percentile(&hundred, 0.99)), (50.0, 99.0));
    }

    #[test]
    fn four_digits_are_kept() {
        assert_eq!([rounded(123_456.0), rounded(0.123_456), rounded(0.0)], [123_500.0, 0.1235, 0.0]);
    }

    #[test]
    fn a_target_is_met_at_its_edge() {
        assert_eq!(Target::AtLeast(0.5).holds(0.5), Some(true));
        assert_eq!(Target::AtMost(8.0).holds(8.1), Some(false));
        assert_eq!(Target::None.holds(1.0), None);
    }
}
