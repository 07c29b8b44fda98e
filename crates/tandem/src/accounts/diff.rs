//! What differs between a stored account and what the file declares; pure.

use serde_json::{Map, Value, json};
use tandem_domain::policy::PolicyRule;
use tandem_domain::{AccountId, PbxUserId};
use tandem_store::admin::accounts::{Account, Mapping, Settings};
use tandem_store::admin::save::mapping_change;
use tandem_store::change::{ChangeKind, NewChange};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::resolve::Resolved;

/// What has to be saved.
#[derive(Debug, Default)]
pub(super) struct Diff<'a> {
    /// For people, a line each.
    pub(super) lines: Vec<String>,
    pub(super) settings: bool,
    pub(super) rules: bool,
    pub(super) binding: bool,
    /// The tenant is left.
    pub(super) leaves: bool,
    /// Mappings to take away, those that change included.
    pub(super) away: Vec<&'a PbxUserId>,
    /// Mappings to add.
    pub(super) new: Vec<(&'a PbxUserId, &'a Mapping)>,
    /// What is recorded.
    pub(super) changes: Vec<NewChange>,
}

impl Diff<'_> {
    /// Whether nothing has to be saved.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

type Fields = Vec<(&'static str, Value)>;

fn fields(settings: &Settings, rules: &[PolicyRule]) -> Fields {
    let pause = settings.pause.as_ref().map(
        |(until, reason)| json!({ "until": until.format(&Rfc3339).unwrap_or_default(), "reason": reason }),
    );
    vec![
        ("label", json!(settings.label)),
        ("licences", json!(settings.licences)),
        ("auto_sync", json!(settings.auto_sync)),
        ("paused", json!(pause)),
        ("quiet", json!(settings.quiet_ms.map(|ms| format!("{ms}ms")))),
        ("max_wait", json!(settings.max_wait_ms.map(|ms| format!("{ms}ms")))),
        ("voice_routing_policy", json!(settings.voice_routing_policy)),
        ("dial_plan", json!(settings.dial_plan)),
        ("shared_number", json!(settings.shared_number)),
        ("location_id", json!(settings.location_id)),
        ("policy_rules", json!(rules)),
    ]
}

fn map(fields: &[(&'static str, Value)]) -> Map<String, Value> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// The settings to be saved. A pause that the file says nothing of stays: it was set in the portal, and lifts itself.
pub(super) fn settings(declared: &Settings, stored: Option<&Account>) -> Settings {
    let pause = declared.pause.clone().or_else(|| stored.and_then(|account| account.settings.pause.clone()));
    Settings { pause, ..declared.clone() }
}

/// Two lists of the same fields, cut down to those that differ.
fn differing(before: Fields, after: Fields) -> (Fields, Fields) {
    before.into_iter().zip(after).filter(|(before, after)| before.1 != after.1).unzip()
}

fn names(fields: &[(&'static str, Value)]) -> Vec<&'static str> {
    fields.iter().map(|(name, _)| *name).collect()
}

/// Compares. `stored` is what the database has now; none for a new account.
pub(super) fn diff<'a>(
    account: AccountId,
    stored: Option<&'a Account>,
    resolved: &'a Resolved,
    now: OffsetDateTime,
) -> Diff<'a> {
    let mut diff = Diff::default();
    let declared = &resolved.declared;
    if stored.is_none() {
        diff.lines.push("+ account".to_owned());
    }
    // a new account differs from one on which nothing has been set
    let blank = Settings::default();
    let (old_settings, old_rules) =
        stored.map_or((&blank, &[][..]), |account| (&account.settings, account.rules.as_slice()));
    let settings = settings(&declared.settings, stored);
    let (before, after) = differing(fields(old_settings, old_rules), fields(&settings, &declared.rules));
    for ((name, old), (_, new)) in before.iter().zip(&after) {
        diff.lines.push(format!("~ {name}: {old} -> {new}"));
    }
    diff.rules = after.iter().any(|(name, _)| *name == "policy_rules");
    diff.settings = after.iter().any(|(name, _)| *name != "policy_rules");
    if !after.is_empty() {
        let old = stored.is_some().then(|| map(&before));
        diff.changes.push(NewChange {
            account,
            user: None,
            kind: ChangeKind::Settings,
            fields: names(&after),
            before: old,
            after: Some(map(&after)),
            detected_at: now,
            saved_at: Some(now),
        });
    }
    let old_binding = stored.and_then(|account| account.binding.as_ref());
    if old_binding != declared.binding.as_ref() {
        diff.binding = true;
        let text = |binding: Option<&(String, String)>| {
            binding.map_or("none".to_owned(), |(source, key)| format!("{source}/{key}"))
        };
        let (old, new) = (text(old_binding), text(declared.binding.as_ref()));
        diff.lines.push(format!("~ source: {old} -> {new}"));
    }
    let tenant = stored.and_then(|account| account.authorization.as_ref());
    // a tenant that its administrator has connected need not stand in the file
    diff.leaves = tenant.is_some_and(|tenant| tenant.admin.is_none()) && declared.tenant.is_none();
    if diff.leaves {
        diff.lines.push("- tenant".to_owned());
    }
    if let Some(proved) = &resolved.proved {
        diff.lines.push(format!("~ tenant {}: authorization {}", proved.tenant, proved.state));
    }
    mappings(&mut diff, account, stored, resolved, now);
    diff
}

fn mappings<'a>(
    diff: &mut Diff<'a>,
    account: AccountId,
    stored: Option<&'a Account>,
    resolved: &'a Resolved,
    now: OffsetDateTime,
) {
    for (user, old) in stored.into_iter().flat_map(|account| &account.mappings) {
        if resolved.mappings.contains_key(user) {
            continue;
        }
        diff.lines.push(format!("- mapping {user} = {}", old.microsoft_user));
        diff.away.push(user);
        diff.changes.extend(mapping_change(account, user, (Some(old), None), now));
    }
    for (user, new) in &resolved.mappings {
        let old = stored.and_then(|account| account.mappings.get(user));
        let Some(change) = mapping_change(account, user, (old, Some(new)), now) else { continue };
        if let (Some(before), Some(after)) = (&change.before, &change.after) {
            for name in &change.fields {
                let side = |fields: &Map<String, Value>| fields.get(*name).cloned().unwrap_or_default();
                diff.lines.push(format!("~ mapping {user} {name}: {} -> {}", side(before), side(after)));
            }
            diff.away.push(user);
        } else {
            let (oid, service) = (new.microsoft_user, new.service.as_str());
            diff.lines.push(format!("+ mapping {user} = {oid} ({service})"));
        }
        diff.changes.push(change);
        diff.new.push((user, new));
    }
}
