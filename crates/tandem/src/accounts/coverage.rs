//! `tandem accounts coverage`: what becomes of each profile field of an account.

use anyhow::Context as _;
use serde_json::json;
use tandem_domain::coverage::{COVERAGE, carried, rules_on};
use tandem_store::admin::accounts;

use super::Output;
use crate::operator::Operator;
use crate::screen::{self, Table};

pub(super) async fn coverage(operator: &Operator, name: &str, output: Output) -> anyhow::Result<()> {
    let mut tx = operator.store.begin("accounts.coverage").await?;
    let account =
        accounts::find(&mut tx, name, false).await?.with_context(|| format!("there is no account {name}"))?;
    let mut table = Table::new(["FIELD", "PUSHED", "RULES", "WHAT THAT MEANS"]);
    let mut document = Vec::new();
    for row in &COVERAGE {
        let pushed: Vec<&str> = carried(row, &account.rules).into_iter().map(|way| way.as_str()).collect();
        let rules = rules_on(row.field, &account.rules);
        let named: Vec<String> = rules
            .iter()
            .map(|(place, rule)| format!("{place}: {} {}", rule.policy_type, rule.policy_name))
            .collect();
        document.push(json!({ "field": row.field, "pushed": pushed, "rules": named, "text": row.text }));
        table.row([
            row.field.to_owned(),
            pushed.join("; "),
            if named.is_empty() { "-".to_owned() } else { named.join("; ") },
            row.text.to_owned(),
        ]);
    }
    if output == Output::Json {
        return screen::json(&document);
    }
    screen::line(&table.text());
    Ok(())
}
