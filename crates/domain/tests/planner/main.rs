//! The planner against a model of a tenant: classic cases by snapshot, everything else by property.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod classic;
mod decided;
mod faults;
mod large;
mod made_up;
mod obstacles;
mod properties;
mod tenant;
mod wanted;
