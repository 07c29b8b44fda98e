//! How large tenants are, as far as they have been read: it decides whether a few users are cheaper than pages.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

/// Users of a tenant that nobody has read yet.
const UNKNOWN: usize = 3000;
/// Users on a page (Graph `/users`, `$top` at most 999).
const PAGE: usize = 999;

/// Sizes of tenants.
#[derive(Debug, Default)]
pub(crate) struct Tenants(Mutex<HashMap<Uuid, usize>>);

impl Tenants {
    /// Requests that reading the tenant in pages takes: directory, Teams, numbers.
    pub(crate) fn pages(&self, tenant: Uuid) -> usize {
        let users = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&tenant).copied();
        3 * users.unwrap_or(UNKNOWN).div_ceil(PAGE).max(1)
    }

    /// A tenant was read in pages.
    pub(crate) fn seen(&self, tenant: Uuid, users: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant, users);
    }
}
