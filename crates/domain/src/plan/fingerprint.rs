//! A name for what a plan does.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::types::{Action, Step};
use crate::policy::bare_policy_name;

/// Hex SHA-256 over the actions of all steps, sorted. Reasons, ids of policies, the numbering and what stands in the
/// way of others do not count: a person who saw one plan agrees with every plan that does the same.
pub(super) fn fingerprint(steps: &[Step], held: &[Step]) -> String {
    let line = |step: &Step, held: bool| -> String {
        let (what, with): (Value, Value) = match &step.action {
            Action::UnassignNumber { number } => (json!(number), Value::Null),
            Action::AssignNumber { number, location_id } => (json!(number), json!(location_id)),
            Action::AssignPolicy { policy_type, name, .. } | Action::UnassignPolicy { policy_type, name } => {
                (
                    json!(policy_type.0.to_ascii_lowercase()),
                    json!(bare_policy_name(name).to_ascii_lowercase()),
                )
            }
        };
        json!([step.user, step.oid, held, step.action.kind(), what, with]).to_string()
    };
    let mut lines: Vec<String> =
        steps.iter().map(|step| line(step, false)).chain(held.iter().map(|step| line(step, true))).collect();
    lines.sort_unstable();
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, lines.join("\n").as_bytes());
    hash.as_ref().iter().fold(String::with_capacity(64), |mut hex, byte| {
        // writing into a String cannot fail
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
