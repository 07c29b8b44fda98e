//! Bringing the numbers of a PBX into E.164 without guessing.

use serde::{Deserialize, Serialize};
use tandem_domain::Number;

/// How numbers without `+` of one account are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Country {
    /// Country calling code without `+`, such as `44` (ITU-T E.164, list of assigned codes).
    pub code: String,
    /// Prefix that is dialled in front of a national number and does not belong to it, such as `0`.
    #[serde(default)]
    pub trunk: Option<String>,
    /// Lengths that a national number has, without the trunk prefix.
    pub digits: Vec<usize>,
}

impl Country {
    /// What is wrong with the description itself, if anything.
    #[must_use]
    pub fn problem(&self) -> Option<&'static str> {
        let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
        if !((1..=3).contains(&self.code.len()) && digits(&self.code) && !self.code.starts_with('0')) {
            return Some("`code` is not a country calling code of 1 to 3 digits");
        }
        if self.trunk.as_ref().is_some_and(|t| t.is_empty() || t.len() > 3 || !digits(t)) {
            return Some("`trunk` is not 1 to 3 digits");
        }
        if self.digits.is_empty() || self.digits.iter().any(|&n| !(4..=14).contains(&n)) {
            return Some("`digits` does not list lengths between 4 and 14");
        }
        None
    }

    /// The number in E.164 when there is exactly one way to read the digits.
    fn complete(&self, digits: &str) -> Option<String> {
        let fits = |national: &str| self.digits.contains(&national.len());
        let mut readings: Vec<String> = Vec::new();
        let national = self.trunk.as_deref().and_then(|trunk| digits.strip_prefix(trunk)).unwrap_or(digits);
        if fits(national) {
            readings.push(format!("+{}{national}", self.code));
        }
        if let Some(rest) = digits.strip_prefix(self.code.as_str())
            && fits(rest)
        {
            readings.push(format!("+{digits}"));
        }
        readings.dedup();
        match readings.as_slice() {
            [one] => Number::parse(one).ok().map(|number| number.as_str().to_owned()),
            _ => None,
        }
    }
}

/// A number as it stands in a PBX, in E.164 where it says so itself or the country leaves no doubt, otherwise the
/// bare digits, which no one will take for a Direct Routing number. `None` when no digit is left.
#[must_use]
pub fn to_e164(raw: &str, country: Option<&Country>) -> Option<String> {
    let raw = raw.trim();
    let digits: String = raw.chars().filter(char::is_ascii_digit).collect();
    if digits.is_empty() {
        return None;
    }
    if raw.starts_with('+') {
        return Some(format!("+{digits}"));
    }
    Some(country.and_then(|c| c.complete(&digits)).unwrap_or(digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_completed_only_without_doubt() {
        let us = Country { code: "1".into(), trunk: Some("1".into()), digits: vec![10] };
        let uk = Country { code: "44".into(), trunk: Some("0".into()), digits: vec![9, 10] };
        // a national number may begin with the digits of its own country code
        let doubtful = Country { code: "33".into(), trunk: None, digits: vec![7, 9] };
        for (raw, country, expected) in [
            ("+1 (212) 555-0101", None, Some("+12125550101")),
            ("2125550101", None, Some("2125550101")),
            ("2125550101", Some(&us), Some("+12125550101")),
            ("1-212-555-0101", Some(&us), Some("+12125550101")),
            ("555 0101", Some(&us), Some("5550101")),
            ("020 7946 0101", Some(&uk), Some("+442079460101")),
            ("442079460101", Some(&uk), Some("+442079460101")),
            ("331990001", Some(&doubtful), Some("331990001")),
            (" ", Some(&uk), None),
            ("+", None, None),
        ] {
            assert_eq!(to_e164(raw, country).as_deref(), expected, "{raw}");
        }
    }

    #[test]
    fn a_country_is_checked() {
        let country = |code: &str, trunk: Option<&str>, digits: &[usize]| Country {
            code: code.into(),
            trunk: trunk.map(Into::into),
            digits: digits.to_vec(),
        };
        assert_eq!(country("44", Some("0"), &[10]).problem(), None);
        for bad in [country("+44", None, &[10]), country("44", Some(""), &[10]), country("44", None, &[])] {
            assert!(bad.problem().is_some(), "{bad:?}");
        }
    }
}
