//! Policy instances that administrators prepared.

use std::collections::{BTreeMap, HashMap};

use aws_lc_rs::digest::{SHA256, digest};
use uuid::Uuid;

use super::voice::PolicyRef;
use crate::util::b64url;
use crate::world::PolicySpec;

/// A policy instance.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) policy_type: String,
    pub(crate) reference: PolicyRef,
}

/// Instances by type and name, and by id; types and names in any casing.
#[derive(Debug, Default)]
pub(crate) struct PolicyBook {
    by_name: BTreeMap<(String, String), Policy>,
    by_id: HashMap<String, (String, String)>,
}

impl PolicyBook {
    pub(crate) fn put(&mut self, tid: Uuid, spec: PolicySpec) -> String {
        let key = key(&spec.kind, &spec.name);
        let id = spec
            .id
            .unwrap_or_else(|| b64url(digest(&SHA256, format!("{tid}|{}|{}", key.0, key.1).as_bytes())));
        self.by_id.insert(id.clone(), key.clone());
        let name = bare(&spec.name).to_owned();
        let policy = Policy { policy_type: spec.kind, reference: PolicyRef { name, id: id.clone() } };
        if let Some(old) = self.by_name.insert(key, policy)
            && old.reference.id != id
        {
            self.by_id.remove(&old.reference.id);
        }
        id
    }

    pub(crate) fn remove(&mut self, kind: &str, name: &str) -> bool {
        let old = self.by_name.remove(&key(kind, name));
        if let Some(old) = &old {
            self.by_id.remove(&old.reference.id);
        }
        old.is_some()
    }

    pub(crate) fn by_name(&self, kind: &str, name: &str) -> Option<&Policy> {
        self.by_name.get(&key(kind, name))
    }

    pub(crate) fn by_id(&self, kind: &str, id: &str) -> Option<&Policy> {
        self.by_id
            .get(id)
            .and_then(|k| self.by_name.get(k))
            .filter(|p| p.policy_type.eq_ignore_ascii_case(kind))
    }

    pub(crate) fn knows_type(&self, kind: &str) -> bool {
        let from = key(kind, "");
        self.by_name.range(from.clone()..).next().is_some_and(|((k, _), _)| *k == from.0)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Policy> {
        self.by_name.values()
    }
}

fn bare(name: &str) -> &str {
    match name.split_at_checked(4) {
        Some((tag, rest)) if tag.eq_ignore_ascii_case("tag:") => rest,
        _ => name,
    }
}

fn key(kind: &str, name: &str) -> (String, String) {
    (kind.to_ascii_lowercase(), bare(name).to_ascii_lowercase())
}
