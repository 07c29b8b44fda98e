//! Plans and held removals as lines of a table.

use tandem_domain::plan::{Plan, Step, Verdict};

use crate::view;

/// A step that would be done.
pub(crate) struct PlanStep {
    pub(crate) user: String,
    pub(crate) action: String,
    pub(crate) before: String,
    pub(crate) after: String,
    pub(crate) why: String,
}

/// A user without steps, or with a warning.
pub(crate) struct PlanUser {
    pub(crate) user: String,
    pub(crate) result: &'static str,
    pub(crate) code: String,
    pub(crate) why: String,
}

/// Everything that is shown of a plan.
pub(crate) struct PlanShown {
    pub(crate) steps: Vec<PlanStep>,
    pub(crate) held: Vec<PlanStep>,
    pub(crate) users: Vec<PlanUser>,
    pub(crate) unchanged: usize,
}

pub(crate) fn steps(steps: &[Step]) -> Vec<PlanStep> {
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "\u{2013}".to_owned());
    let one = |step: &Step| PlanStep {
        user: step.user.to_string(),
        action: view::word(step.action.kind()),
        before: or_none(&step.before),
        after: or_none(&step.after),
        why: step.reason.clone(),
    };
    steps.iter().map(one).collect()
}

impl PlanShown {
    pub(crate) fn of(plan: &Plan) -> Self {
        let mut users = Vec::new();
        for user in &plan.users {
            let mut add = |result, code: &str, why: &str| {
                let (code, why) = (code.to_owned(), why.to_owned());
                users.push(PlanUser { user: user.user.to_string(), result, code, why });
            };
            match &user.verdict {
                Verdict::Steps | Verdict::Unchanged => {}
                Verdict::Conflict { code, text, .. } => add("Conflict", code.as_str(), text),
                Verdict::Failed { code, text } => add("Failed", code.as_str(), text),
                Verdict::Kept { code, text } => add("Kept", code.as_str(), text),
                Verdict::Deferred { reason, text } => add("Deferred", reason.as_str(), text),
                Verdict::Held { text } => add("Held", "", text),
            }
            if let Some(warning) = &user.warning {
                add("Warning", warning.code.as_str(), &warning.text);
            }
        }
        Self {
            steps: steps(&plan.steps),
            held: steps(&plan.held),
            users,
            unchanged: plan.users.iter().filter(|user| user.verdict == Verdict::Unchanged).count(),
        }
    }
}
