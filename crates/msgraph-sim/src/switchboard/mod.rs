//! The operator's side: what happens to requests, what was asked, and the world itself, all over HTTP.

pub(crate) mod actions;
pub(crate) mod changes;
pub(crate) mod faults;
pub(crate) mod http;
pub(crate) mod log;
pub(crate) mod tenants;
pub(crate) mod throttle;
