//! Mapping files: which query gives the users of a PBX, and which of its columns is which field of the profile.
//!
//! A mapping is data, TOML beside SQL, so that another PBX or another release needs no new program. A file is taken
//! whole or not at all, and every mistake in it is told at once. `docs/sources.md` describes the keys and codes.

mod query;
mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Component, Path};
use std::time::Duration;

use crate::country::Country;

/// Names of the mappings that the program brings along.
pub const BUILTINS: [&str; 1] = ["fusionpbx"];

/// How one column is read. NULL and blank are the same everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One text; uuids, numbers and flags are taken as their text.
    Text,
    /// On or off: boolean, number, or one of `true t 1 yes on` in any case.
    Flag,
    /// A set of texts.
    List,
    /// A list whose order counts; NULL is "none", an empty list is a list.
    OrderedList,
    /// A set of telephone numbers, brought into E.164 where that is possible without guessing.
    E164,
}

impl Kind {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "text" => Self::Text,
            "flag" => Self::Flag,
            "list" => Self::List,
            "ordered_list" => Self::OrderedList,
            "e164" => Self::E164,
            _ => return None,
        })
    }

    /// The kinds that a profile field can be read by.
    fn fitting(field: &str) -> &'static [&'static str] {
        match field {
            "voicemail_enabled" | "dnd" | "enabled" => &["flag"],
            "did_numbers" => &["e164", "list"],
            "follow_me" => &["ordered_list"],
            _ => &["text"],
        }
    }
}

/// Where a field of the profile comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The field, one of [`Profile::FIELDS`](tandem_domain::Profile::FIELDS).
    pub field: &'static str,
    /// The column of the query.
    pub column: String,
    /// How it is read.
    pub kind: Kind,
    /// What separates the items of a list that is stored as one text.
    pub separator: Option<String>,
}

/// A mapping that was found to be whole.
#[derive(Clone, Debug)]
pub struct Mapping {
    name: String,
    product: String,
    query: String,
    account_key: String,
    account_label: Option<String>,
    user_key: String,
    statement_timeout: Duration,
    minimum_postgresql: u32,
    columns: Vec<Column>,
    default_country: Option<Country>,
    countries: BTreeMap<String, Country>,
    reads: BTreeMap<String, BTreeSet<String>>,
    secrets: BTreeMap<String, BTreeSet<String>>,
}

impl Mapping {
    /// A mapping that the program brings along, by its name.
    #[must_use]
    pub fn builtin(name: &str) -> Option<Self> {
        let (toml, sql) = match name {
            "fusionpbx" => {
                (include_str!("../mappings/fusionpbx.toml"), include_str!("../mappings/fusionpbx.sql"))
            }
            _ => return None,
        };
        Self::parse(toml, |_| Ok(sql.to_owned())).ok()
    }

    /// Reads a mapping file and, if it names one, the query file in the same folder.
    ///
    /// # Errors
    /// [`MappingErrors`] with every mistake found.
    pub fn load(path: &Path) -> Result<Self, MappingErrors> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            MappingErrors(vec![MappingError {
                code: "mapping_unreadable",
                key: path.display().to_string(),
                problem: format!("the file cannot be read: {}", error.kind()),
                remedy: "give the path of a mapping file in UTF-8 that this user may read".to_owned(),
            }])
        })?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Self::parse(&text, |name| {
            let file = Path::new(name);
            if !file.components().all(|part| matches!(part, Component::Normal(_))) {
                return Err("the path leaves the folder of the mapping file".to_owned());
            }
            std::fs::read_to_string(folder.join(file))
                .map_err(|error| format!("the file cannot be read: {}", error.kind()))
        })
    }

    /// Reads the text of a mapping; `query_file` gives the text of the query file that it names, or what is wrong
    /// with it.
    ///
    /// # Errors
    /// [`MappingErrors`] with every mistake found.
    pub fn parse(
        toml: &str,
        query_file: impl FnOnce(&str) -> Result<String, String>,
    ) -> Result<Self, MappingErrors> {
        read::mapping(toml, query_file)
    }

    /// Its name, for messages and configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The product and releases that it was made for.
    #[must_use]
    pub fn product(&self) -> &str {
        &self.product
    }

    /// The one statement that gives all users.
    #[must_use]
    pub fn query(&self) -> &str {
        &self.query
    }

    /// How long the statement may run.
    #[must_use]
    pub fn statement_timeout(&self) -> Duration {
        self.statement_timeout
    }

    /// Names of the profile fields that it gives.
    #[must_use]
    pub fn fields(&self) -> Vec<&'static str> {
        self.columns.iter().map(|column| column.field).collect()
    }

    /// Where each field comes from, in the order of the profile.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Column of the key by which the PBX knows an account.
    #[must_use]
    pub fn account_key(&self) -> &str {
        &self.account_key
    }

    /// Column of a name of the account for people, if there is one.
    #[must_use]
    pub fn account_label(&self) -> Option<&str> {
        self.account_label.as_deref()
    }

    /// Column of the stable key of a user.
    #[must_use]
    pub fn user_key(&self) -> &str {
        &self.user_key
    }

    /// Tables and columns that the query reads, as far as the file says so.
    #[must_use]
    pub fn reads(&self) -> &BTreeMap<String, BTreeSet<String>> {
        &self.reads
    }

    /// Tables and columns that the role should not be able to read.
    #[must_use]
    pub fn secrets(&self) -> &BTreeMap<String, BTreeSet<String>> {
        &self.secrets
    }

    /// Oldest major release of PostgreSQL that the query works on.
    #[must_use]
    pub fn minimum_postgresql(&self) -> u32 {
        self.minimum_postgresql
    }

    /// How numbers without `+` of an account are written, if the file says so.
    #[must_use]
    pub fn country(&self, account_key: &str) -> Option<&Country> {
        self.countries.get(account_key).or(self.default_country.as_ref())
    }
}

/// One mistake in a mapping file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingError {
    /// Stable name of the kind of mistake.
    pub code: &'static str,
    /// The key it is about, with dots.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({}); {}", self.key, self.problem, self.code, self.remedy)
    }
}

/// Every mistake in a mapping file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct MappingErrors(Vec<MappingError>);

impl MappingErrors {
    /// The mistakes, in the order of the file's keys.
    pub fn iter(&self) -> impl Iterator<Item = &MappingError> {
        self.0.iter()
    }
}

impl fmt::Display for MappingErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mapping file refused")?;
        self.0.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}
