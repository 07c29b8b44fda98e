//! One section of a configuration file, read so that every bad key of it is told, not only the first.

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::ConfigErrors;

/// Reads TOML. A mistake in the syntax is told with its line, never with the text of the line.
pub fn table(text: &str) -> Result<Table, ConfigErrors> {
    text.parse::<Table>().map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
        let mut errors = ConfigErrors::new();
        errors.push(format!("line {}", before.matches('\n').count() + 1), without_values(error.message()));
        errors
    })
}

/// Reads the section `key`; a missing one is an empty one. Give `T` `deny_unknown_fields` to have misspelt keys told.
///
/// When the section as a whole does not fit, each of its keys is tried alone, so that every bad one is found.
pub fn section<T: DeserializeOwned>(table: &Table, key: &str, errors: &mut ConfigErrors) -> Option<T> {
    let whole = match table.get(key) {
        None => Table::new(),
        Some(Value::Table(section)) => section.clone(),
        Some(_) => {
            errors.push_hint(key, "is not a section", format!("write [{key}] on a line of its own"));
            return None;
        }
    };
    let error = match Value::Table(whole.clone()).try_into::<T>() {
        Ok(section) => return Some(section),
        Err(error) => error,
    };
    let before = errors.iter().count();
    for (name, value) in &whole {
        try_alone::<T>(key, &mut vec![name.clone()], value, errors);
    }
    let missing = error.message().starts_with("missing field");
    if errors.iter().count() == before || missing {
        errors.push(key, without_values(error.message()));
    }
    None
}

/// Tries the section with nothing but the value at `path` in it, the leaves first.
fn try_alone<T: DeserializeOwned>(
    section: &str,
    path: &mut Vec<String>,
    value: &Value,
    errors: &mut ConfigErrors,
) {
    let mut only = value.clone();
    for name in path.iter().rev() {
        only = Value::Table(Table::from_iter([(name.clone(), only)]));
    }
    let Err(error) = only.try_into::<T>() else { return };
    if let Value::Table(inner) = value {
        let before = errors.iter().count();
        for (name, value) in inner {
            path.push(name.clone());
            try_alone::<T>(section, path, value, errors);
            path.pop();
        }
        if errors.iter().count() > before {
            return;
        }
    }
    // alone, a key lacks its neighbours; that says nothing about the key
    if !error.message().starts_with("missing field") {
        errors.push(format!("{section}.{}", path.join(".")), without_values(error.message()));
    }
}

/// Cuts quoted values out of the parser's text: a secret written under the wrong key must not reach the log.
fn without_values(message: &str) -> String {
    let message = message.trim().replace('\n', "; ");
    let Some(start) = message.find("string \"") else { return message };
    let after = start + "string".len();
    let end = message.rfind("\", expected").map_or(message.len(), |end| end + 1);
    format!("{}{}", &message[..after], message.get(end..).unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Window {
        #[serde(with = "crate::config::duration")]
        quiet: Duration,
        limit: u32,
        nested: Nested,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Nested {
        port: u16,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Needy {
        #[expect(dead_code, reason = "only its presence matters here")]
        url: String,
    }

    #[test]
    fn tells_every_mistake_by_key_and_no_value() {
        let text = "[window]\nquiet = \"soon\"\nlimit = \"hunter2\"\nlimitt = 3\n[window.nested]\nport = 70000\nprot = 1\n";
        let mut errors = ConfigErrors::new();
        assert_eq!(section::<Window>(&table(text).unwrap(), "window", &mut errors), None);
        let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(
            keys,
            ["window.limit", "window.limitt", "window.nested.port", "window.nested.prot", "window.quiet"]
        );
        let told = errors.to_string();
        assert!(!told.contains("hunter2"), "{told}");
        assert!(told.contains("unknown field `limitt`"), "{told}");
        assert!(errors.into_result().is_err());
    }

    #[test]
    fn a_missing_section_is_empty_and_a_missing_key_is_told() {
        let mut errors = ConfigErrors::new();
        assert_eq!(section::<Window>(&Table::new(), "window", &mut errors), Some(Window::default()));
        assert!(errors.is_empty());
        assert!(section::<Needy>(&Table::new(), "pbx", &mut errors).is_none());
        assert!(section::<Needy>(&table("pbx = 1").unwrap(), "pbx", &mut errors).is_none());
        let told: Vec<&str> = errors.iter().map(|error| error.problem.as_str()).collect();
        assert_eq!(told, ["missing field `url`", "is not a section"]);
    }

    #[test]
    fn bad_syntax_names_the_line_only() {
        let told = table("a = 1\npassword = \"hunter2\nb = 2\n").unwrap_err().to_string();
        assert!(told.contains("line 2") && !told.contains("hunter2"), "{told}");
    }
}
