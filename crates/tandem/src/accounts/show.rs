//! `tandem accounts list` and `show`.

use anyhow::Context as _;
use serde_json::{Value, json};
use tandem_runtime::config::duration;
use tandem_store::Tx;
use tandem_store::admin::accounts::{self, Account, Stands};
use tandem_store::quarantine::{self, Shown};
use tandem_store::vault;
use tandem_vault::Kind;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Output, standing};
use crate::operator::Operator;
use crate::screen::{self, Table};

pub(super) async fn list(operator: &Operator, output: Output) -> anyhow::Result<()> {
    let mut tx = operator.store.begin("accounts.list").await?;
    let mut found = Vec::new();
    for (_, name, _) in accounts::names(&mut tx).await? {
        found.extend(one(&mut tx, &name).await?);
    }
    if output == Output::Json {
        return screen::json(
            &found
                .iter()
                .map(|(account, stands, shown)| document(account, stands, shown))
                .collect::<Vec<_>>(),
        );
    }
    let mut table = Table::new([
        "NAME",
        "LABEL",
        "AUTO SYNC",
        "MAPPINGS",
        "LICENCES",
        "AUTHORIZATION",
        "GEN",
        "DEFERRED",
        "HELD",
    ]);
    for (account, stands, _) in &found {
        let settings = &account.settings;
        table.row([
            account.name.clone(),
            settings.label.clone(),
            if settings.auto_sync { "on" } else { "off" }.to_owned(),
            account.mappings.len().to_string(),
            settings.licences.to_string(),
            account.authorization.as_ref().map_or("none".to_owned(), |stored| stored.state.clone()),
            stands.generation.to_string(),
            stands.deferred.to_string(),
            stands.held.to_string(),
        ]);
    }
    screen::line(&table.text());
    Ok(())
}

pub(super) async fn show(operator: &Operator, name: &str, output: Output) -> anyhow::Result<()> {
    let mut tx = operator.store.begin("accounts.show").await?;
    let (account, stands, shown) =
        one(&mut tx, name).await?.with_context(|| format!("there is no account {name}"))?;
    if output == Output::Json {
        return screen::json(&document(&account, &stands, &shown));
    }
    for (title, value) in lines(&account, &stands, &shown) {
        screen::line(&format!("{title:<22}{}", screen::one_line(&value)));
    }
    if let Some(own) = vault::secret(&mut tx, account.account, Kind::AppCredential.as_str()).await? {
        let until = screen::time(own.not_after);
        let text = format!("{}, certificate until {until}, given by {}", own.label, own.created_by);
        screen::line(&format!("{:<22}{}", "Own app", screen::one_line(&text)));
    }
    let mut table = Table::new(["PBX USER", "MICROSOFT USER", "SERVICE", "OWN NUMBER"]);
    for (user, mapping) in &account.mappings {
        table.row([
            user.to_string(),
            mapping.microsoft_user.to_string(),
            mapping.service.as_str().to_owned(),
            mapping.number.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    screen::line(&format!("\n{}", table.text()));
    super::waiting::print(&mut tx, account.account).await?;
    if !account.rules.is_empty() {
        screen::line("\nPolicy rules, in order:");
        for rule in &account.rules {
            screen::line(&format!("  {}", screen::one_line(&serde_json::to_string(rule)?)));
        }
    }
    Ok(())
}

async fn one(tx: &mut Tx, name: &str) -> anyhow::Result<Option<(Account, Stands, Shown)>> {
    let Some(account) = accounts::find(tx, name, false).await? else { return Ok(None) };
    let stands = accounts::stands(tx, account.account).await?;
    let shown = quarantine::shown(tx, account.account).await?;
    Ok(Some((account, stands, shown)))
}

fn millis(value: Option<i32>) -> String {
    let whole = value.and_then(|ms| u64::try_from(ms).ok());
    whole.map_or("default".to_owned(), |ms| duration::format(std::time::Duration::from_millis(ms)))
}

fn lines(account: &Account, stands: &Stands, shown: &Shown) -> Vec<(&'static str, String)> {
    let settings = &account.settings;
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
    let authorization = account.authorization.as_ref();
    let mut lines = vec![
        ("Account", format!("{} ({})", account.name, account.account)),
        ("Label", settings.label.clone()),
        ("Auto Sync", if settings.auto_sync { "on" } else { "off" }.to_owned()),
        (
            "Paused",
            settings.pause.as_ref().map_or("no".to_owned(), |(until, reason)| {
                format!("until {}: {reason}", screen::time(Some(*until)))
            }),
        ),
        ("Quiet, max wait", format!("{}, {}", millis(settings.quiet_ms), millis(settings.max_wait_ms))),
        ("Licences", format!("{} of {} used", account.mappings.len(), settings.licences)),
        ("Voice routing policy", or_none(&settings.voice_routing_policy)),
        ("Dial plan", or_none(&settings.dial_plan)),
        ("Shared number", or_none(&settings.shared_number)),
        ("Emergency location", or_none(&settings.location_id)),
        (
            "Source",
            account
                .binding
                .as_ref()
                .map_or("none".to_owned(), |(source, key)| format!("{source}, account key {key}")),
        ),
        ("Tenant", authorization.map_or("none".to_owned(), |stored| stored.tenant.to_string())),
    ];
    lines.extend(standing::lines(account, shown));
    lines.extend([
        ("Generation", stands.generation.to_string()),
        (
            "Window opened, due",
            format!("{}, {}", screen::time(stands.first_change_at), screen::time(stands.due_at)),
        ),
        ("Deferred users", stands.deferred.to_string()),
        ("Held removals", stands.held.to_string()),
        ("Newest job", stands.last_job.map_or("none".to_owned(), |job| job.to_string())),
    ]);
    lines
}

fn document(account: &Account, stands: &Stands, shown: &Shown) -> Value {
    let time = |at: Option<OffsetDateTime>| at.and_then(|at| at.format(&Rfc3339).ok());
    let settings = &account.settings;
    let mappings: Vec<Value> = account
        .mappings
        .iter()
        .map(|(user, mapping)| {
            json!({ "pbx_user_id": user, "microsoft_user": mapping.microsoft_user, "service": mapping.service,
                    "number": mapping.number })
        })
        .collect();
    json!({
        "account_id": account.account,
        "name": account.name,
        "label": settings.label,
        "auto_sync": settings.auto_sync,
        "paused": settings.pause.as_ref().map(|(until, reason)| json!({ "until": time(Some(*until)), "reason": reason })),
        "quiet_ms": settings.quiet_ms,
        "max_wait_ms": settings.max_wait_ms,
        "licences": settings.licences,
        "voice_routing_policy": settings.voice_routing_policy,
        "dial_plan": settings.dial_plan,
        "shared_number": settings.shared_number,
        "location_id": settings.location_id,
        "binding": account.binding.as_ref().map(|(source, key)| json!({ "source": source, "account_key": key })),
        "authorization": account.authorization.as_ref().map(|stored| json!({
            "tenant_id": stored.tenant, "client_id": stored.client_id, "state": stored.state,
            "reason": stored.reason, "since": time(Some(stored.since)), "next_look": time(Some(stored.next_canary)),
            "permissions": stored.permissions, "bound_by": stored.bound_by, "bound_at": time(Some(stored.bound_at)),
            "checked_at": time(stored.checked_at), "detail": stored.detail })),
        "quarantine": standing::document(shown),
        "parked": shown.parked,
        "mappings": mappings,
        "policy_rules": account.rules,
        "gen": stands.generation,
        "first_change_at": time(stands.first_change_at),
        "due_at": time(stands.due_at),
        "deferred": stands.deferred,
        "held": stands.held,
        "last_job": stands.last_job,
    })
}
