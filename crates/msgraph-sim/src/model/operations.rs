//! Number orders that are carried out later.

use std::collections::{HashMap, VecDeque};

use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

/// Operations are readable for this many newer ones; how long Microsoft keeps them is not documented.
const KEPT: usize = 50_000;

/// What an operation will do.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    Assign { target: Uuid, number_type: &'static str, category: &'static str, location_id: Option<String> },
    Unassign { number_type: &'static str },
}

/// What the switchboard decided about an operation beforehand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forced {
    /// Never ends by itself.
    pub(crate) stuck: bool,
    /// Ends with this status text and without effect, unless it is `succeeded`.
    pub(crate) status: Option<String>,
    /// Text of the failure.
    pub(crate) detail: Option<String>,
    /// The user loses the phone licence just before the effect.
    pub(crate) licence_removed: bool,
}

/// An accepted order.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) id: String,
    pub(crate) number: String,
    pub(crate) order: Order,
    pub(crate) created: OffsetDateTime,
    /// From when on it says `running` instead of `notStarted`.
    pub(crate) running_from: Instant,
    pub(crate) forced: Forced,
    /// Status and detail once it ended.
    pub(crate) outcome: Option<(String, Option<String>)>,
}

impl Operation {
    /// What a read at this moment says.
    pub(crate) fn status(&self, now: Instant) -> (&str, Option<&str>) {
        match &self.outcome {
            Some((status, detail)) => (status, detail.as_deref()),
            None if now < self.running_from => ("notStarted", None),
            None => ("running", None),
        }
    }
}

/// All operations of a tenant, bounded.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    by_id: HashMap<String, Operation>,
    order: VecDeque<String>,
}

impl Operations {
    pub(crate) fn add(&mut self, operation: Operation) {
        self.order.push_back(operation.id.clone());
        self.by_id.insert(operation.id.clone(), operation);
        // an operation that has not ended must not be forgotten: its effect would be lost with it
        while self.order.len() > KEPT
            && self.order.front().and_then(|id| self.by_id.get(id)).is_none_or(|o| o.outcome.is_some())
        {
            if let Some(id) = self.order.pop_front() {
                self.by_id.remove(&id);
            }
        }
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Operation> {
        self.by_id.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Operation> {
        self.by_id.get_mut(id)
    }

    /// Newest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Operation> {
        self.order.iter().rev().filter_map(|id| self.by_id.get(id))
    }
}
