//! What a user has in Teams: lines, policies, Enterprise Voice.

use std::collections::BTreeMap;

use time::OffsetDateTime;
use uuid::Uuid;

/// A number of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) number: String,
    pub(crate) category: &'static str,
}

/// A policy instance as an assignment names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PolicyRef {
    pub(crate) name: String,
    pub(crate) id: String,
}

/// The assignments of one policy type: the direct one beats the one through a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) policy_type: String,
    pub(crate) direct: Option<PolicyRef>,
    pub(crate) group: Option<(PolicyRef, Uuid)>,
}

/// Lines by number, policies by lower-case type.
#[derive(Clone, Debug)]
pub(crate) struct Voice {
    pub(crate) enterprise_voice: bool,
    pub(crate) lines: Vec<Line>,
    pub(crate) policies: BTreeMap<String, Hold>,
    pub(crate) modified: OffsetDateTime,
}

impl Voice {
    pub(crate) fn new(at: OffsetDateTime) -> Self {
        Self { enterprise_voice: false, lines: Vec::new(), policies: BTreeMap::new(), modified: at }
    }

    /// The line of a category.
    pub(crate) fn line(&self, category: &str) -> Option<&Line> {
        self.lines.iter().find(|line| line.category == category)
    }

    /// Gives a line; a primary one turns Enterprise Voice on.
    pub(crate) fn add(&mut self, number: &str, category: &'static str, at: OffsetDateTime) {
        self.lines.retain(|line| line.number != number);
        self.lines.push(Line { number: number.to_owned(), category });
        self.enterprise_voice |= category == "primary";
        self.modified = at;
    }

    /// Takes a line; without a primary one Enterprise Voice is off.
    pub(crate) fn remove(&mut self, number: &str, at: OffsetDateTime) {
        self.lines.retain(|line| line.number != number);
        self.enterprise_voice = self.line("primary").is_some();
        self.modified = at;
    }

    pub(crate) fn hold(&mut self, policy_type: &str, at: OffsetDateTime) -> &mut Hold {
        self.modified = at;
        self.policies
            .entry(policy_type.to_ascii_lowercase())
            .or_insert_with(|| Hold { policy_type: policy_type.to_owned(), ..Hold::default() })
    }

    /// Takes the lines from one state and leaves the policies, or the other way round.
    pub(crate) fn copy_lines(&mut self, from: &Self) {
        self.lines.clone_from(&from.lines);
        self.enterprise_voice = from.enterprise_voice;
        self.modified = from.modified;
    }

    /// See [`Self::copy_lines`].
    pub(crate) fn copy_policies(&mut self, from: &Self) {
        self.policies.clone_from(&from.policies);
        self.modified = from.modified;
    }
}
