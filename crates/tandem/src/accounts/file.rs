//! The accounts file: its form, and everything about it that can be checked without looking anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use tandem_domain::policy::{PolicyRule, Service};
use tandem_domain::{Number, ObjectId, PbxUserId, Profile, TenantId};
use tandem_runtime::config::{self, ConfigErrors, duration};
use tandem_store::admin::accounts::Settings;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use toml::{Table, Value};
use uuid::Uuid;

/// An account as the file declares it.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    /// Where it stands, for messages.
    pub(super) key: String,
    pub(super) name: String,
    pub(super) settings: Settings,
    pub(super) binding: Option<(String, String)>,
    pub(super) tenant: Option<TenantId>,
    pub(super) mappings: Vec<DeclaredMapping>,
    pub(super) rules: Vec<PolicyRule>,
}

/// A mapping as the file declares it.
#[derive(Clone, Debug)]
pub(super) struct DeclaredMapping {
    pub(super) key: String,
    pub(super) pbx: PbxUser,
    pub(super) microsoft: MicrosoftUser,
    pub(super) service: Service,
    pub(super) number: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PbxUser {
    Id(PbxUserId),
    Extension(String),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum MicrosoftUser {
    Oid(ObjectId),
    /// Lower case.
    Upn(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawAccount {
    name: String,
    label: Option<String>,
    source: Option<String>,
    account_key: Option<String>,
    tenant: Option<Uuid>,
    licences: u16,
    auto_sync: bool,
    #[serde(with = "duration::option")]
    quiet: Option<Duration>,
    #[serde(with = "duration::option")]
    max_wait: Option<Duration>,
    voice_routing_policy: Option<String>,
    dial_plan: Option<String>,
    shared_number: Option<String>,
    location: Option<String>,
    pause: Option<RawPause>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPause {
    until: String,
    reason: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawMapping {
    pbx_user: Option<String>,
    extension: Option<String>,
    microsoft_user: Option<Uuid>,
    upn: Option<String>,
    service: Option<Service>,
    number: Option<String>,
}

/// What the whole installation allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Windows of accounts that set none.
    pub(super) quiet: Duration,
    pub(super) max_wait: Duration,
    /// Beyond this the promise of ten minutes could not be kept.
    pub(super) longest_max_wait: Duration,
}

/// Reads the file; every mistake is added to `errors`.
pub(super) fn read(text: &str, limits: Limits, errors: &mut ConfigErrors) -> Vec<Declared> {
    let mut table = match config::table(text) {
        Ok(table) => table,
        Err(told) => {
            told.iter().for_each(|error| errors.push(error.key.clone(), error.problem.clone()));
            return Vec::new();
        }
    };
    let accounts = tables(&mut table, "account", "account", errors);
    for key in table.keys() {
        errors.push_hint(key.clone(), "is not a key of an accounts file", "begin with [[account]]");
    }
    let accounts: Vec<Declared> = accounts
        .into_iter()
        .enumerate()
        .filter_map(|(index, account)| account_of(account, index, limits, errors))
        .collect();
    twice(&accounts, |account| Some(account.name.clone()), "name", errors);
    twice(&accounts, |account| account.tenant, "tenant", errors);
    twice(&accounts, |account| account.binding.clone(), "account_key", errors);
    accounts
}

/// Takes a list of tables out of a table.
fn tables(table: &mut Table, name: &str, key: &str, errors: &mut ConfigErrors) -> Vec<Table> {
    let Some(value) = table.remove(name) else { return Vec::new() };
    let list: Option<Vec<Table>> = match value {
        Value::Array(list) => list
            .into_iter()
            .map(|item| if let Value::Table(table) = item { Some(table) } else { None })
            .collect(),
        _ => None,
    };
    list.unwrap_or_else(|| {
        errors.push_hint(key, "is not a list of tables", format!("write [[{key}]] above each"));
        Vec::new()
    })
}

fn twice<T: Ord>(
    accounts: &[Declared],
    of: impl Fn(&Declared) -> Option<T>,
    name: &str,
    errors: &mut ConfigErrors,
) {
    let mut seen: BTreeMap<T, &str> = BTreeMap::new();
    for account in accounts {
        if let Some(value) = of(account)
            && let Some(first) = seen.insert(value, &account.key)
        {
            errors.push(format!("{}.{name}", account.key), format!("{first} has the same"));
        }
    }
}

fn read_as<T: serde::de::DeserializeOwned>(key: &str, table: Table, errors: &mut ConfigErrors) -> Option<T> {
    config::section(&Table::from_iter([(key.to_owned(), Value::Table(table))]), key, errors)
}

fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    name.len() <= 63 && name.bytes().next().is_some_and(plain) && name.bytes().all(|b| plain(b) || b == b'-')
}

fn account_of(mut table: Table, index: usize, limits: Limits, errors: &mut ConfigErrors) -> Option<Declared> {
    let key = match table.get("name").and_then(Value::as_str) {
        Some(name) if is_name(name) => format!("account[{name}]"),
        _ => format!("account[{index}]"),
    };
    let mappings = tables(&mut table, "mapping", "account.mapping", errors);
    let rules = tables(&mut table, "policy_rule", "account.policy_rule", errors);
    let mappings: Vec<DeclaredMapping> = mappings
        .into_iter()
        .enumerate()
        .filter_map(|(index, mapping)| mapping_of(format!("{key}.mapping[{index}]"), mapping, errors))
        .collect();
    let rules: Vec<PolicyRule> = rules
        .into_iter()
        .enumerate()
        .filter_map(|(index, rule)| rule_of(&format!("{key}.policy_rule[{index}]"), rule, errors))
        .collect();
    check_twice(&mappings, errors);
    let raw: RawAccount = read_as(&key, table, errors)?;
    if !is_name(&raw.name) {
        errors.push(format!("{key}.name"), "is 1 to 63 lower-case letters, digits and hyphens");
    }
    check_mappings(&key, &raw, &mappings, errors);
    if raw.auto_sync && raw.tenant.is_none() {
        errors.push(format!("{key}.auto_sync"), "needs a tenant whose administrator has consented");
    }
    let binding = match (&raw.source, &raw.account_key) {
        (Some(source), Some(account)) => Some((source.clone(), account.clone())),
        (None, None) => None,
        _ => {
            errors.push(format!("{key}.source"), "source and account_key belong together");
            None
        }
    };
    let settings = settings_of(&key, &raw, limits, errors);
    let tenant = raw.tenant.map(TenantId);
    Some(Declared { key, name: raw.name, settings, binding, tenant, mappings, rules })
}

fn settings_of(key: &str, raw: &RawAccount, limits: Limits, errors: &mut ConfigErrors) -> Settings {
    let (quiet, max_wait) = (raw.quiet.unwrap_or(limits.quiet), raw.max_wait.unwrap_or(limits.max_wait));
    let range = Duration::from_millis(100)..=Duration::from_secs(600);
    for (name, value) in [("quiet", raw.quiet), ("max_wait", raw.max_wait)] {
        if value.is_some_and(|value| !range.contains(&value)) {
            errors.push(format!("{key}.{name}"), "is between 100ms and 10m");
        }
    }
    if quiet > max_wait {
        errors.push(format!("{key}.quiet"), "is longer than max_wait");
    }
    if max_wait > limits.longest_max_wait {
        let problem = format!(
            "is above {}: with the other waits of the configuration a job might start later than ten minutes after the save",
            duration::format(limits.longest_max_wait)
        );
        errors.push(format!("{key}.max_wait"), problem);
    }
    let pause = raw.pause.as_ref().and_then(|pause| {
        if pause.reason.trim().is_empty() {
            errors.push(format!("{key}.pause.reason"), "is empty");
        }
        let until = OffsetDateTime::parse(&pause.until, &Rfc3339).ok();
        if until.is_none() {
            errors.push(format!("{key}.pause.until"), "is a time such as \"2026-12-24T18:00:00Z\"");
        }
        Some((until?, pause.reason.clone()))
    });
    let millis = |value: Option<Duration>| value.and_then(|value| i32::try_from(value.as_millis()).ok());
    Settings {
        label: raw.label.clone().unwrap_or_else(|| raw.name.clone()),
        auto_sync: raw.auto_sync,
        quiet_ms: millis(raw.quiet),
        max_wait_ms: millis(raw.max_wait),
        licences: i32::from(raw.licences),
        voice_routing_policy: raw.voice_routing_policy.clone(),
        dial_plan: raw.dial_plan.clone(),
        shared_number: number(&format!("{key}.shared_number"), raw.shared_number.as_deref(), errors),
        location_id: raw.location.clone(),
        pause,
    }
}

fn number(key: &str, text: Option<&str>, errors: &mut ConfigErrors) -> Option<String> {
    Number::parse(text?)
        .map(|number| number.as_str().to_owned())
        .map_err(|error| errors.push_hint(key, error.to_string(), "write it as +12125550101"))
        .ok()
}

fn check_twice(mappings: &[DeclaredMapping], errors: &mut ConfigErrors) {
    let (mut pbx, mut microsoft, mut numbers) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for mapping in mappings {
        if !pbx.insert(&mapping.pbx) {
            errors.push(mapping.key.clone(), "another mapping has the same PBX user");
        }
        if !microsoft.insert(&mapping.microsoft) {
            errors.push(mapping.key.clone(), "another mapping has the same Microsoft user");
        }
        if mapping.number.as_ref().is_some_and(|number| !numbers.insert(number)) {
            errors.push(format!("{}.number", mapping.key), "another mapping has the same number");
        }
    }
}

fn check_mappings(key: &str, raw: &RawAccount, mappings: &[DeclaredMapping], errors: &mut ConfigErrors) {
    if mappings.len() > usize::from(raw.licences) {
        let problem = format!("{} licences do not cover {} mappings", raw.licences, mappings.len());
        errors.push(format!("{key}.licences"), problem);
    }
    for mapping in mappings {
        if matches!(mapping.microsoft, MicrosoftUser::Upn(_)) && raw.tenant.is_none() {
            errors.push(format!("{}.upn", mapping.key), "cannot be looked up without a tenant");
        }
    }
}

fn mapping_of(key: String, table: Table, errors: &mut ConfigErrors) -> Option<DeclaredMapping> {
    let raw: RawMapping = read_as(&key, table, errors)?;
    let pbx = match (raw.pbx_user, raw.extension) {
        (Some(id), None) if !id.is_empty() && id.len() <= PbxUserId::MAX_BYTES => {
            Some(PbxUser::Id(PbxUserId(id)))
        }
        (None, Some(extension)) if !extension.is_empty() => Some(PbxUser::Extension(extension)),
        _ => {
            errors.push(key.clone(), "needs one of pbx_user and extension");
            None
        }
    };
    let microsoft = match (raw.microsoft_user, raw.upn) {
        (Some(oid), None) => Some(MicrosoftUser::Oid(ObjectId(oid))),
        (None, Some(upn)) if upn.contains('@') => Some(MicrosoftUser::Upn(upn.to_lowercase())),
        _ => {
            errors.push(key.clone(), "needs one of microsoft_user and upn");
            None
        }
    };
    let service = raw.service.unwrap_or(Service::Voice);
    if service == Service::App && raw.number.is_some() {
        errors.push(format!("{key}.number"), "an App mapping carries no number");
    }
    let number = number(&format!("{key}.number"), raw.number.as_deref(), errors);
    Some(DeclaredMapping { key, pbx: pbx?, microsoft: microsoft?, service, number })
}

fn rule_of(key: &str, table: Table, errors: &mut ConfigErrors) -> Option<PolicyRule> {
    let rule: PolicyRule = read_as(key, table, errors)?;
    if let Some(field) = rule.when.field()
        && !Profile::FIELDS.contains(&field)
    {
        let hint = format!("fields are {}", Profile::FIELDS.join(", "));
        errors.push_hint(format!("{key}.when"), format!("there is no profile field {field}"), hint);
    }
    for (name, text) in [("policy_type", &rule.policy_type.0), ("policy_name", &rule.policy_name)] {
        if text.trim().is_empty() {
            errors.push(format!("{key}.{name}"), "is empty");
        }
    }
    Some(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_fine() {
        let text = include_str!("../../../../docs/samples/accounts.toml");
        let second = Duration::from_secs(1);
        let limits = Limits { quiet: second, max_wait: second * 2, longest_max_wait: second * 360 };
        let mut errors = ConfigErrors::new();
        let accounts = read(text, limits, &mut errors);
        assert_eq!(errors, ConfigErrors::new());
        assert_eq!(
            accounts.iter().map(|account| account.name.as_str()).collect::<Vec<_>>(),
            ["alpha", "bravo"]
        );
        assert_eq!(accounts[0].mappings.len(), 2);
        assert_eq!(accounts[1].settings.label, "bravo");
    }
}
