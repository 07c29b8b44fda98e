//! `tandem accounts ledger`: integration licences given and taken, one line each.

use anyhow::Context as _;
use serde_json::{Value, json};
use tandem_store::admin::accounts;
use tandem_store::change::{self, LedgerEntry};
use time::format_description::well_known::Rfc3339;

use super::Output;
use crate::operator::Operator;
use crate::screen::{self, Table};

pub(super) async fn ledger(operator: &Operator, name: &str, output: Output) -> anyhow::Result<()> {
    let mut tx = operator.store.begin("accounts.ledger").await?;
    let account =
        accounts::find(&mut tx, name, false).await?.with_context(|| format!("there is no account {name}"))?;
    let entries = change::ledger(&mut tx, account.account).await?;
    if output == Output::Json {
        return screen::json(&entries.iter().map(document).collect::<Vec<_>>());
    }
    let mut table = Table::new(["GEN", "TIME", "STEP", "PBX USER", "MICROSOFT USER", "USED", "BY"]);
    for entry in &entries {
        table.row([
            entry.generation.to_string(),
            screen::time(Some(entry.at)),
            step(entry).to_owned(),
            entry.user.to_string(),
            microsoft(entry).unwrap_or_else(|| "-".to_owned()),
            entry.used.to_string(),
            entry.source.clone(),
        ]);
    }
    screen::line(&table.text());
    let settings = &account.settings;
    screen::line(&format!("\n{} of {} licences used", account.mappings.len(), settings.licences));
    Ok(())
}

fn step(entry: &LedgerEntry) -> &'static str {
    match entry.difference {
        1 => "given",
        -1 => "taken",
        _ => "altered",
    }
}

/// Who has it now, or had it.
fn microsoft(entry: &LedgerEntry) -> Option<String> {
    let of = |side: &Option<Value>| side.as_ref()?.get("microsoft_user")?.as_str().map(str::to_owned);
    of(&entry.after).or_else(|| of(&entry.before))
}

fn document(entry: &LedgerEntry) -> Value {
    json!({
        "gen": entry.generation, "at": entry.at.format(&Rfc3339).ok(), "step": step(entry), "pbx_user_id": entry.user,
        "microsoft_user": microsoft(entry), "used": entry.used, "source": entry.source,
        "before": entry.before, "after": entry.after,
    })
}
