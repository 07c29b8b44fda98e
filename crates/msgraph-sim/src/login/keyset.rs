//! The answer of the keys endpoint, and what faults make of it.

use serde_json::{Value, json};

use super::keys::Keys;
use crate::switchboard::actions::KeysMode;

/// The published keys; `fault` gives a mode and a number of keys.
pub(crate) fn answer(keys: &Keys, base: &str, tenant: &str, fault: Option<(KeysMode, usize)>) -> Vec<Value> {
    let good = keys.published(base, tenant);
    let (mode, count) = match fault {
        None => return good,
        Some((KeysMode::Empty, _)) => return Vec::new(),
        Some((KeysMode::Other, _)) => (KeysMode::Other, 1),
        Some((KeysMode::Huge, count)) => (KeysMode::Huge, count.saturating_sub(good.len())),
    };
    let other = |n: usize| {
        keys.with_stranger(|key| {
            let mut jwk = key.jwk.clone();
            jwk["kid"] = json!(format!("other-{n}"));
            jwk["issuer"] = json!(format!("{base}/{tenant}/v2.0"));
            Some(jwk)
        })
    };
    let others = (0..count).filter_map(other);
    // the real ones come last, for whoever stops reading early
    if mode == KeysMode::Huge { others.chain(good).collect() } else { others.collect() }
}
