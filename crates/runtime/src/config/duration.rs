//! Durations as people write them: `250ms`, `60s`, `4m`, `1h`, `1d`.
//!
//! Use `#[serde(with = "tandem_runtime::config::duration")]` on a `std::time::Duration`, or [`HumanDuration`].

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Text that is no duration. It does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a whole number with a unit, such as \"250ms\", \"60s\", \"4m\", \"1h\" or \"1d\"")]
pub struct DurationError;

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a duration.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or(DurationError)?;
    let (number, unit) = text.split_at(split);
    let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit.trim()).ok_or(DurationError)?;
    let number: u64 = number.parse().map_err(|_| DurationError)?;
    number.checked_mul(*millis).map(Duration::from_millis).ok_or(DurationError)
}

/// Writes a duration in the largest unit that keeps it whole; anything below a millisecond is cut.
#[must_use]
pub fn format(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".to_owned();
    }
    let fitting = UNITS.iter().find(|(_, unit)| millis.is_multiple_of(*unit));
    fitting.map_or_else(|| format!("{millis}ms"), |(name, unit)| format!("{}{name}", millis / unit))
}

/// For serde: writes a duration as text.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*duration))
}

/// For serde: reads a duration from text.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    HumanDuration::deserialize(deserializer).map(|HumanDuration(duration)| duration)
}

/// The same for an optional duration.
pub mod option {
    use super::{Deserialize, Deserializer, Duration, HumanDuration, Serialize, Serializer};

    /// For serde: writes an optional duration as text.
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        duration.map(HumanDuration).serialize(serializer)
    }

    /// For serde: reads an optional duration from text.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<HumanDuration>::deserialize(deserializer)?.map(|HumanDuration(duration)| duration))
    }
}

/// A duration that reads and prints as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HumanDuration(pub Duration);

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format(self.0))
    }
}

impl FromStr for HumanDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        parse(text).map(Self)
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_the_same_text() {
        for text in ["250ms", "60s", "4m", "1h", "1d", "90s", "0s"] {
            let duration = parse(text).unwrap();
            assert_eq!(parse(&format(duration)), Ok(duration));
        }
        assert_eq!(format(Duration::from_secs(240)), "4m");
        assert_eq!(format(Duration::from_millis(1_500)), "1500ms");
        assert_eq!("60s".parse::<HumanDuration>().unwrap().to_string(), "1m");
    }

    #[test]
    fn refuses_everything_else() {
        for text in ["", "60", "s", "1.5s", "-1s", "1 week", "99999999999999999999s", "18446744073709551615d"]
        {
            assert_eq!(parse(text), Err(DurationError), "{text}");
        }
    }
}
