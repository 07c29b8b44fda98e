//! Subjects and stream names. An optional prefix lets several installations (or tests) share one broker.

use uuid::Uuid;

/// Builds and reads subjects under one prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subjects {
    /// Empty, or ends with a dot.
    prefix: String,
}

/// What a subject says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An account changed.
    Changed {
        /// The account.
        account: Uuid,
    },
    /// Several accounts changed.
    ChangedSeveral,
    /// A job waits.
    Due {
        /// `auto` or `manual`.
        job_type: String,
        /// The account.
        account: Uuid,
    },
    /// Something happened to a job.
    Event {
        /// The account.
        account: Uuid,
        /// The job.
        job: Uuid,
    },
}

/// Why a subject cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectsError {
    /// The prefix holds something else than words of lower-case letters, digits and `-`, joined by dots.
    #[error(
        "the subject prefix {prefix:?} is not made of lower-case letters, digits and '-', joined by dots"
    )]
    BadPrefix {
        /// The prefix.
        prefix: String,
    },
    /// Neither `auto` nor `manual`.
    #[error("a job type {job_type:?} has no subject")]
    BadJobType {
        /// The job type.
        job_type: String,
    },
}

/// The job types that have a subject of their own.
pub(crate) const JOB_TYPES: [&str; 2] = ["auto", "manual"];

/// Stands where the account would, when there are several.
const SEVERAL: &str = "several";

impl Subjects {
    /// Subjects below `prefix`: empty, or words of lower-case letters, digits and `-`, joined by dots. The narrow
    /// alphabet keeps stream names, which are made from it, free of collisions.
    pub fn new(prefix: &str) -> Result<Self, SubjectsError> {
        if prefix.is_empty() {
            return Ok(Self { prefix: String::new() });
        }
        let word = |word: &str| {
            !word.is_empty()
                && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if prefix.split('.').all(word) && prefix.len() <= 64 {
            Ok(Self { prefix: format!("{prefix}.") })
        } else {
            Err(SubjectsError::BadPrefix { prefix: prefix.to_owned() })
        }
    }

    /// Where it is said that an account changed.
    #[must_use]
    pub fn changed(&self, account: Uuid) -> String {
        self.under(&format!("changed.{account}"))
    }

    /// Where it is said that several accounts changed together.
    #[must_use]
    pub fn changed_several(&self) -> String {
        self.under(&format!("changed.{SEVERAL}"))
    }

    /// Where it is said that a job waits.
    pub fn due(&self, job_type: &str, account: Uuid) -> Result<String, SubjectsError> {
        if JOB_TYPES.contains(&job_type) {
            Ok(self.under(&format!("due.{job_type}.{account}")))
        } else {
            Err(SubjectsError::BadJobType { job_type: job_type.to_owned() })
        }
    }

    /// Where it is said what happened to a job.
    #[must_use]
    pub fn event(&self, account: Uuid, job: Uuid) -> String {
        self.under(&format!("event.{account}.{job}"))
    }

    /// Reads a subject; none when it is not one of ours.
    #[must_use]
    pub fn parse(&self, subject: &str) -> Option<Subject> {
        let rest = subject.strip_prefix(self.prefix.as_str())?.strip_prefix("tandem.v1.")?;
        let words: Vec<&str> = rest.split('.').collect();
        match words.as_slice() {
            ["changed", SEVERAL] => Some(Subject::ChangedSeveral),
            ["changed", account] => Some(Subject::Changed { account: account.parse().ok()? }),
            ["due", job_type, account] if JOB_TYPES.contains(job_type) => {
                Some(Subject::Due { job_type: (*job_type).to_owned(), account: account.parse().ok()? })
            }
            ["event", account, job] => {
                Some(Subject::Event { account: account.parse().ok()?, job: job.parse().ok()? })
            }
            _ => None,
        }
    }

    /// A subject or pattern below the prefix.
    pub(crate) fn under(&self, rest: &str) -> String {
        format!("{}tandem.v1.{rest}", self.prefix)
    }

    /// A stream's name: no dots are allowed there.
    pub(crate) fn stream(&self, name: &str) -> String {
        format!("{}TANDEM_{name}", self.prefix.to_ascii_uppercase().replace('.', "_"))
    }
}
