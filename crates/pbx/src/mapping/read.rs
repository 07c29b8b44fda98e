//! From TOML to a [`Mapping`], collecting mistakes instead of stopping at the first.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tandem_domain::Profile;
use toml::{Table, Value};

use super::{Column, Kind, Mapping, MappingError, MappingErrors, query};
use crate::country::Country;

const KEYS: [&str; 14] = [
    "name",
    "product",
    "query",
    "query_file",
    "account_key",
    "account_label",
    "user_key",
    "statement_timeout",
    "minimum_postgresql",
    "columns",
    "default_country",
    "country",
    "reads",
    "secrets",
];

/// Longest time that a query may be given: a longer one would outlast any sensible interval between two looks.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(600);

pub(super) fn mapping(
    toml: &str,
    query_file: impl FnOnce(&str) -> Result<String, String>,
) -> Result<Mapping, MappingErrors> {
    let mut reader = Reader { errors: Vec::new() };
    let table: Table = toml.parse().map_err(|error: toml::de::Error| {
        let line =
            error.span().map_or(1, |span| toml[..span.start.min(toml.len())].matches('\n').count() + 1);
        let problem = format!("line {line} is not TOML: {}", error.message());
        MappingErrors(vec![MappingError {
            code: "mapping_syntax",
            key: "(file)".to_owned(),
            problem,
            remedy: "correct the line; every key may stand once".to_owned(),
        }])
    })?;
    reader.unknown_keys("", &table, &KEYS);
    let mapping = Mapping {
        name: reader.required(&table, "name"),
        product: reader.required(&table, "product"),
        query: reader.query(&table, query_file),
        account_key: reader.required(&table, "account_key"),
        account_label: reader.text(&table, "", "account_label"),
        user_key: reader.required(&table, "user_key"),
        statement_timeout: reader.timeout(&table),
        minimum_postgresql: reader.version(&table),
        columns: reader.columns(&table),
        default_country: table
            .get("default_country")
            .and_then(|value| reader.country("default_country", value)),
        countries: reader.countries(&table),
        reads: reader.columns_of_tables(&table, "reads"),
        secrets: reader.columns_of_tables(&table, "secrets"),
    };
    if reader.errors.is_empty() { Ok(mapping) } else { Err(MappingErrors(reader.errors)) }
}

struct Reader {
    errors: Vec<MappingError>,
}

impl Reader {
    fn error(
        &mut self,
        code: &'static str,
        key: &str,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.errors.push(MappingError {
            code,
            key: key.to_owned(),
            problem: problem.into(),
            remedy: remedy.into(),
        });
    }

    fn wrong_type(&mut self, key: &str, value: &Value, wanted: &str) {
        let problem = format!("a {} stands where a {wanted} belongs", value.type_str());
        self.error("mapping_wrong_type", key, problem, format!("write a {wanted}"));
    }

    fn unknown_keys(&mut self, section: &str, table: &Table, known: &[&str]) {
        for key in table.keys().filter(|key| !known.contains(&key.as_str())) {
            let remedy = format!("remove it or write one of: {}", known.join(", "));
            self.error("mapping_unknown_key", &dotted(section, key), "the key is not known", remedy);
        }
    }

    fn text(&mut self, table: &Table, section: &str, key: &str) -> Option<String> {
        let path = dotted(section, key);
        match table.get(key)? {
            Value::String(text) if text.trim().is_empty() => {
                self.error("mapping_bad_value", &path, "the text is blank", "write a text or remove the key");
                None
            }
            Value::String(text) => Some(text.clone()),
            other => {
                self.wrong_type(&path, other, "text");
                None
            }
        }
    }

    fn required(&mut self, table: &Table, key: &str) -> String {
        if !table.contains_key(key) {
            self.error("mapping_missing_key", key, "the key is missing", format!("add {key} = \"...\""));
        }
        self.text(table, "", key).unwrap_or_default()
    }

    fn query(&mut self, table: &Table, query_file: impl FnOnce(&str) -> Result<String, String>) -> String {
        let inline = self.text(table, "", "query");
        let file = self.text(table, "", "query_file");
        let text = match (inline, file) {
            (Some(_), Some(_)) => {
                self.error(
                    "mapping_query_twice",
                    "query",
                    "there is a query and a query_file",
                    "keep one of them",
                );
                return String::new();
            }
            (Some(text), None) => text,
            (None, Some(name)) => match query_file(&name) {
                Ok(text) => text,
                Err(problem) => {
                    self.error(
                        "mapping_query_file",
                        "query_file",
                        problem,
                        "put the file beside the mapping file",
                    );
                    return String::new();
                }
            },
            (None, None) => {
                if !table.contains_key("query") && !table.contains_key("query_file") {
                    let remedy = "add query = \"...\" or query_file = \"...\"";
                    self.error("mapping_missing_key", "query", "the query is missing", remedy);
                }
                return String::new();
            }
        };
        if let Err(problem) = query::check(&text) {
            let (what, remedy) = problem.texts();
            self.error(problem.code(), "query", what, remedy);
        }
        text
    }

    fn timeout(&mut self, table: &Table) -> Duration {
        let key = "statement_timeout";
        let Some(text) = self.text(table, "", key) else {
            return Duration::from_secs(60);
        };
        match tandem_runtime::config::duration::parse(&text) {
            Ok(time) if !time.is_zero() && time <= LONGEST_TIMEOUT => time,
            _ => {
                self.error(
                    "mapping_bad_value",
                    key,
                    "not a time between 1ms and 10m",
                    "write a time such as \"60s\"",
                );
                Duration::ZERO
            }
        }
    }

    fn version(&mut self, table: &Table) -> u32 {
        let key = "minimum_postgresql";
        match table.get(key) {
            None => 12,
            Some(Value::Integer(number)) => match u32::try_from(*number) {
                Ok(version @ 12..=99) => version,
                _ => {
                    let remedy = "write a major release, 12 or later";
                    self.error("mapping_bad_value", key, "not a release that can be read", remedy);
                    12
                }
            },
            Some(other) => {
                self.wrong_type(key, other, "whole number");
                12
            }
        }
    }

    fn section<'t>(&mut self, table: &'t Table, key: &str) -> Option<&'t Table> {
        match table.get(key)? {
            Value::Table(section) => Some(section),
            other => {
                self.wrong_type(key, other, "table");
                None
            }
        }
    }

    fn columns(&mut self, table: &Table) -> Vec<Column> {
        if !table.contains_key("columns") {
            let remedy = "add [columns] with a line for each field";
            self.error("mapping_missing_key", "columns", "the section is missing", remedy);
        }
        let Some(section) = self.section(table, "columns") else {
            return Vec::new();
        };
        for key in section.keys().filter(|key| !Profile::FIELDS.contains(&key.as_str())) {
            let remedy = format!("remove it or write one of: {}", Profile::FIELDS.join(", "));
            self.error(
                "mapping_unknown_field",
                &dotted("columns", key),
                "a profile has no such field",
                remedy,
            );
        }
        if section.is_empty() {
            self.error("mapping_missing_key", "columns", "the section is empty", "add a line for each field");
        }
        Profile::FIELDS
            .into_iter()
            .filter_map(|field| {
                let path = dotted("columns", field);
                match section.get(field)? {
                    Value::Table(entry) => self.column(field, &path, entry),
                    other => {
                        self.wrong_type(&path, other, "table such as { column = \"...\", kind = \"...\" }");
                        None
                    }
                }
            })
            .collect()
    }

    fn column(&mut self, field: &'static str, path: &str, entry: &Table) -> Option<Column> {
        self.unknown_keys(path, entry, &["column", "kind", "separator"]);
        for key in ["column", "kind"] {
            if !entry.contains_key(key) {
                let remedy = format!("add {key} = \"...\"");
                self.error("mapping_missing_key", &dotted(path, key), "the key is missing", remedy);
            }
        }
        let column = self.text(entry, path, "column");
        let kind = self.text(entry, path, "kind");
        let separator = entry.get("separator").and_then(|value| match value {
            // a blank can separate, so the rule for other texts does not hold here
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            other => {
                self.wrong_type(&dotted(path, "separator"), other, "text");
                None
            }
        });
        let kind = kind.and_then(|kind| {
            let fitting = Kind::fitting(field);
            if fitting.contains(&kind.as_str()) {
                return Kind::parse(&kind);
            }
            let known = Kind::parse(&kind).is_some();
            let code = if known { "mapping_wrong_kind" } else { "mapping_unknown_kind" };
            let problem = if known { "the kind does not fit the field" } else { "there is no such kind" };
            self.error(code, &dotted(path, "kind"), problem, format!("write one of: {}", fitting.join(", ")));
            None
        });
        Some(Column { field, column: column?, kind: kind?, separator })
    }

    fn country(&mut self, path: &str, value: &Value) -> Option<Country> {
        let country: Country = match value.clone().try_into() {
            Ok(country) => country,
            Err(error) => {
                let problem = format!("not a country: {}", toml::de::Error::message(&error));
                self.error(
                    "mapping_bad_country",
                    path,
                    problem,
                    "write { code = \"44\", trunk = \"0\", digits = [10] }",
                );
                return None;
            }
        };
        if let Some(problem) = country.problem() {
            self.error(
                "mapping_bad_country",
                path,
                problem,
                "write { code = \"44\", trunk = \"0\", digits = [10] }",
            );
            return None;
        }
        Some(country)
    }

    fn countries(&mut self, table: &Table) -> BTreeMap<String, Country> {
        let Some(section) = self.section(table, "country") else {
            return BTreeMap::new();
        };
        section
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), self.country(&dotted("country", key), value)?)))
            .collect()
    }

    fn columns_of_tables(&mut self, table: &Table, key: &str) -> BTreeMap<String, BTreeSet<String>> {
        let Some(section) = self.section(table, key) else {
            return BTreeMap::new();
        };
        let mut tables = BTreeMap::new();
        for (name, value) in section {
            let names: Option<BTreeSet<String>> = value
                .as_array()
                .and_then(|list| list.iter().map(|item| item.as_str().map(str::to_owned)).collect());
            match names {
                Some(names) => {
                    tables.insert(name.clone(), names);
                }
                None => self.wrong_type(&dotted(key, name), value, "list of column names"),
            }
        }
        tables
    }
}

fn dotted(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}
