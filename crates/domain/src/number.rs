//! Telephone numbers as Direct Routing writes them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A Direct Routing number in canonical form: `+` and 7 to 15 digits (ITU-T E.164), optionally followed by
/// `;ext=` and 1 to 12 digits. Two numbers that differ in the extension only are two numbers
/// (Microsoft: "Plan Direct Routing", base number with extensions).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Number(String);

/// Why a text is not a Direct Routing number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// The text does not begin with `+`, so its country is not known.
    #[error("number does not begin with + and a country code")]
    NoPlus,
    /// Something else than ASCII digits stands where digits belong.
    #[error("number holds something else than digits")]
    NotDigits,
    /// Fewer than 7 or more than 15 digits.
    #[error("number has fewer than 7 or more than 15 digits")]
    Length,
    /// The part behind `;ext=` is not 1 to 12 digits.
    #[error("extension of the number is not 1 to 12 digits")]
    Extension,
}

impl Number {
    /// Reads a number that is already in canonical form but for surrounding blanks.
    ///
    /// # Errors
    /// [`NumberError`] says what is wrong; nothing is guessed or stripped, since a wrong guess calls a stranger.
    pub fn parse(text: &str) -> Result<Self, NumberError> {
        let text = text.trim();
        let (base, ext) = match text.split_once(";ext=") {
            Some((base, ext)) => (base, Some(ext)),
            None => (text, None),
        };
        let digits = base.strip_prefix('+').ok_or(NumberError::NoPlus)?;
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NumberError::NotDigits);
        }
        if !(7..=15).contains(&digits.len()) || digits.starts_with('0') {
            return Err(NumberError::Length);
        }
        if let Some(ext) = ext
            && !((1..=12).contains(&ext.len()) && ext.bytes().all(|b| b.is_ascii_digit()))
        {
            return Err(NumberError::Extension);
        }
        Ok(Self(text.to_owned()))
    }

    /// The same base number with an extension behind it.
    ///
    /// # Errors
    /// [`NumberError::Extension`] when `ext` is not 1 to 12 digits.
    pub fn with_extension(&self, ext: &str) -> Result<Self, NumberError> {
        Self::parse(&format!("{};ext={ext}", self.base()))
    }

    /// The part before `;ext=`.
    #[must_use]
    pub fn base(&self) -> &str {
        self.0.split(';').next().unwrap_or(&self.0)
    }

    /// The canonical text, as Graph takes it in `telephoneNumber`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a number as Microsoft shows it: canonical, without the plus, or with a `tel:` scheme.
    ///
    /// # Errors
    /// [`NumberError`] when nothing of the kind is there.
    pub fn from_microsoft(text: &str) -> Result<Self, NumberError> {
        let text = text.trim();
        let text = text.strip_prefix("tel:").unwrap_or(text);
        if text.starts_with('+') { Self::parse(text) } else { Self::parse(&format!("+{text}")) }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Number({})", self.0)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_forms_are_kept_and_others_refused() {
        for good in ["+12125550101", "+442079460101;ext=1001", " +3319900001 "] {
            assert_eq!(Number::parse(good).unwrap().as_str(), good.trim());
        }
        for (bad, why) in [
            ("12125550101", NumberError::NoPlus),
            ("+1 212 555", NumberError::NotDigits),
            ("+1234567890123456", NumberError::Length),
            ("+123456", NumberError::Length),
            ("+0123456789", NumberError::Length),
            ("+１２１２５５５", NumberError::NotDigits),
            ("+12125550101\u{200f}", NumberError::NotDigits),
            ("+12125550101;ext=", NumberError::Extension),
            ("+12125550101;ext=10x", NumberError::Extension),
            ("+12125550101x1001", NumberError::NotDigits),
        ] {
            assert_eq!(Number::parse(bad), Err(why), "{bad}");
        }
    }

    #[test]
    fn an_extension_makes_another_number() {
        let base = Number::parse("+12125550101").unwrap();
        let one = base.with_extension("1001").unwrap();
        assert_ne!(base, one);
        assert_eq!(one.base(), "+12125550101");
        assert_eq!(Number::from_microsoft("tel:+12125550101;ext=1001"), Ok(one));
        assert_eq!(Number::from_microsoft("12125550101"), Ok(base));
    }
}
