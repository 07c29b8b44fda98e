//! Plans and held removals as lines of a table.

use tandem_domain::plan::{Plan, Step, Verdict};
use tandem_store::portal::names::Names;

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

/// The users of a plan.
pub(crate) fn users(plan: &Plan) -> Vec<&str> {
    let steps = plan.steps.iter().chain(&plan.held).map(|step| step.user.as_str());
    steps.chain(plan.users.iter().map(|user| user.user.as_str())).collect()
}

pub(crate) fn steps(steps: &[Step], names: &Names) -> Vec<PlanStep> {
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "\u{2013}".to_owned());
    let one = |step: &Step| PlanStep {
        user: names.of(step.user.as_str()).to_owned(),
        action: view::word(step.action.kind()),
        before: or_none(&step.before),
        after: or_none(&step.after),
        why: step.reason.clone().into_owned(),
    };
    steps.iter().map(one).collect()
}

impl PlanShown {
    pub(crate) fn of(plan: &Plan, names: &Names) -> Self {
        let mut users = Vec::new();
        for user in &plan.users {
            let mut add = |result, code: &str, why: &str| {
                let (code, why) = (code.to_owned(), why.to_owned());
                users.push(PlanUser { user: names.of(user.user.as_str()).to_owned(), result, code, why });
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
            steps: steps(&plan.steps, names),
            held: steps(&plan.held, names),
            users,
            unchanged: plan.users.iter().filter(|user| user.verdict == Verdict::Unchanged).count(),
        }
    }
}
