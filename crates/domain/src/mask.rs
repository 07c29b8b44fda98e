//! Taking what names people and numbers out of texts, for what leaves the house.
//!
//! Promised: of an account's known names none is left; of a number the first four and the last two digits are; of an
//! address of mail its domain; a text that looks like a secret is left out whole. Equal texts are masked alike, so that
//! what happened can still be followed.

use serde_json::Value;

/// Digits of a number that say nothing about a person: the country, and a little more.
const KEPT: usize = 4;
/// Digits in a row that are a number.
const NUMBER: usize = 7;
/// Characters in a row that no word, id or path has: a token.
const SECRET: usize = 40;

/// What is taken out.
#[derive(Clone, Debug, Default)]
pub struct Mask {
    names: Vec<(String, String)>,
}

impl Mask {
    /// Takes out these names, each as `name-` and its place; the longest first, so that none is left of a longer one.
    #[must_use]
    pub fn of(names: impl IntoIterator<Item = String>) -> Self {
        let mut names: Vec<String> = names
            .into_iter()
            .map(|name| name.trim().to_owned())
            .filter(|name| name.chars().count() > 1)
            .collect();
        names.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        names.dedup();
        let names = names.into_iter().enumerate();
        Self { names: names.map(|(place, name)| (name, format!("[name-{}]", place + 1))).collect() }
    }

    /// The text without what it should not show.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        for (name, instead) in &self.names {
            masked = replace(&masked, name, instead);
        }
        words(&masked)
    }

    /// The same for every text within a value; keys stay.
    #[must_use]
    pub fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(values) => values.iter().map(|value| self.value(value)).collect(),
            Value::Object(fields) => {
                fields.iter().map(|(key, value)| (key.clone(), self.value(value))).collect()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }
}

/// Replaces a name wherever it stands as whole words, whatever its case.
fn replace(text: &str, name: &str, instead: &str) -> String {
    let (letters, wanted): (Vec<char>, Vec<char>) = (text.chars().collect(), name.chars().collect());
    let same = |a: char, b: char| a == b || a.to_lowercase().eq(b.to_lowercase());
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(letter) = letters.get(at) {
        let here = letters.get(at..at + wanted.len());
        let before = at.checked_sub(1).and_then(|at| letters.get(at));
        let after = letters.get(at + wanted.len());
        let whole = ![before, after].into_iter().flatten().any(|c| c.is_alphanumeric());
        if whole && here.is_some_and(|here| here.iter().zip(&wanted).all(|(a, b)| same(*a, *b))) {
            out.push_str(instead);
            at += wanted.len();
        } else {
            out.push(*letter);
            at += 1;
        }
    }
    out
}

/// Masks numbers, addresses of mail and secrets, word by word.
fn words(text: &str) -> String {
    let breaks = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '(' | ')' | ',' | ';');
    let mut out = String::with_capacity(text.len());
    for piece in text.split_inclusive(breaks) {
        let end =
            piece.char_indices().next_back().filter(|(_, c)| breaks(*c)).map_or(piece.len(), |(at, _)| at);
        let (word, rest) = piece.split_at(end);
        out.push_str(&masked(word));
        out.push_str(rest);
    }
    out
}

fn masked(word: &str) -> String {
    if word.len() >= SECRET || word.starts_with("eyJ") || word.contains("tandem_") {
        return "[left out]".to_owned();
    }
    if let Some((_, domain)) = word.rsplit_once('@') {
        return format!("***@{domain}");
    }
    if is_id(word) { word.to_owned() } else { numbers(word) }
}

/// Ids are of things, not of people, and times are no numbers.
fn is_id(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    uuid::Uuid::try_parse(word).is_ok()
}

/// Each run of digits that is a number, with its middle hidden.
fn numbers(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    let mut run = String::new();
    for c in word.chars().map(Some).chain([None]) {
        match c.filter(char::is_ascii_digit) {
            Some(digit) => run.push(digit),
            None => {
                let hidden = run.len().saturating_sub(KEPT + 2);
                if run.len() < NUMBER {
                    out.push_str(&run);
                } else {
                    out.push_str(run.get(..KEPT).unwrap_or_default());
                    out.extend(std::iter::repeat_n('*', hidden));
                    out.push_str(run.get(KEPT + hidden..).unwrap_or_default());
                }
                run.clear();
                out.extend(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn idea17_names_numbers_addresses_and_secrets_are_taken_out() {
        let mask =
            Mask::of(["Ana Costa", "Ana", "ana.costa@customer.example", "", "X", "Zoë"].map(str::to_owned));
        for (text, expected) in [
            ("+12125550101 is held by Ana Costa", "+1212*****01 is held by [name-2]"),
            ("+12125550101;ext=101", "+1212*****01;ext=101"),
            ("ANA and Anabel, zoë.", "[name-4] and Anabel, [name-3]."),
            ("of ana.costa@customer.example", "of [name-1]"),
            ("of bob@customer.example;", "of ***@customer.example;"),
            (
                "request 0b8a4d2e-9f3c-4c55-8a01-123456789012 at 2026-03-01 14:07",
                "request 0b8a4d2e-9f3c-4c55-8a01-123456789012 at 2026-03-01 14:07",
            ),
            ("Bearer eyJhbGciOi.x.y", "Bearer [left out]"),
            ("tandem_abc", "[left out]"),
            ("12125550101", "1212*****01"),
        ] {
            assert_eq!(mask.text(text), expected);
        }
        assert_eq!(mask.text(&"a".repeat(40)), "[left out]");
        let data = json!({ "number": "+12125550101", "users": [{ "name": "Ana" }], "n": 12_125_550_101_u64 });
        let masked =
            json!({ "number": "+1212*****01", "users": [{ "name": "[name-4]" }], "n": 12_125_550_101_u64 });
        assert_eq!(mask.value(&data), masked);
    }
}
