//! A name for what a plan does.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::types::{Action, Step};
use crate::policy::bare_policy_name;

fn line(step: &Step, held: bool) -> String {
    let (what, with): (Value, Value) = match &step.action {
        Action::UnassignNumber { number } => (json!(number), Value::Null),
        Action::AssignNumber { number, location_id } => (json!(number), json!(location_id)),
        Action::AssignPolicy { policy_type, name, .. } | Action::UnassignPolicy { policy_type, name } => {
            (json!(policy_type.0.to_ascii_lowercase()), json!(bare_policy_name(name).to_ascii_lowercase()))
        }
    };
    json!([step.user, step.oid, held, step.action.kind(), what, with]).to_string()
}

/// Hex SHA-256 over the actions of all steps, sorted. Reasons, ids of policies, the numbering and what stands in the
/// way of others do not count: a person who saw one plan agrees with every plan that does the same.
#[must_use]
pub fn fingerprint(steps: &[Step], held: &[Step]) -> String {
    let all = steps.iter().map(|step| line(step, false)).chain(held.iter().map(|step| line(step, true)));
    let mut lines: Vec<Box<str>> = all.map(String::into_boxed_str).collect();
    lines.sort_unstable();
    let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for (index, line) in lines.iter().enumerate() {
        hash.update(if index == 0 { b"" } else { b"\n" });
        hash.update(line.as_bytes());
    }
    hash.finish().as_ref().iter().fold(String::with_capacity(64), |mut hex, byte| {
        // writing into a String cannot fail
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// How a plan differs from the one that a person has seen, a line per step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Steps that were seen and would not be made any more.
    pub gone: Vec<String>,
    /// Steps that were not seen.
    pub new: Vec<String>,
}

impl Difference {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.new.is_empty()
    }
}

/// What differs between the steps that were seen and those that would be made now; lists of steps come with whether
/// they are held.
#[must_use]
pub fn difference(seen: &[(&[Step], bool)], now: &[(&[Step], bool)]) -> Difference {
    let lines = |lists: &[(&[Step], bool)]| -> BTreeSet<(String, String)> {
        let all = lists.iter().flat_map(|(steps, held)| steps.iter().map(move |step| (step, *held)));
        all.map(|(step, held)| (line(step, held), told(step, held))).collect()
    };
    let (seen, now) = (lines(seen), lines(now));
    let beyond = |some: &BTreeSet<(String, String)>, others: &BTreeSet<(String, String)>| {
        some.iter()
            .filter(|(key, _)| !others.iter().any(|(other, _)| other == key))
            .map(|(_, text)| text.clone())
            .collect()
    };
    Difference { gone: beyond(&seen, &now), new: beyond(&now, &seen) }
}

fn told(step: &Step, held: bool) -> String {
    let what = match &step.action {
        Action::UnassignNumber { number } | Action::AssignNumber { number, .. } => number.to_string(),
        Action::AssignPolicy { policy_type, name, .. } | Action::UnassignPolicy { policy_type, name } => {
            format!("{policy_type} {name}")
        }
    };
    let held = if held { " (held)" } else { "" };
    format!("{}: {} {what}{held}", step.user, step.action.kind())
}
