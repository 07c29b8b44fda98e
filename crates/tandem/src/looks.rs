//! Looking at a tenant with the app that its account uses: with the provider's here, through teams-sync with an account's
//! own, whose credential nobody else can open.

use std::time::Duration;

use anyhow::Context as _;
use tandem_domain::{AccountId, TenantId};
use tandem_graph::Graph;
use tandem_runtime::chain;
use tandem_store::admin::requests;
use tandem_store::{looks, vault};
use tandem_teams_sync::{Question, Seen, look};
use tandem_vault::Kind;
use tokio::time::Instant;

use crate::operator::Operator;

/// Longest wait of one question to Microsoft, throttling and retries included: somebody sits at the terminal.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// A teams-sync that runs takes a request within a second.
const TAKEN: Duration = Duration::from_secs(10);
/// And has answered by then.
const ANSWERED: Duration = Duration::from_secs(90);
/// How often it is looked whether it has.
const EVERY: Duration = Duration::from_millis(250);

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// Microsoft or teams-sync said no: stable code, where there is one, and text.
    Refused(String),
    /// No teams-sync has answered.
    Silent,
}

impl NoAnswer {
    /// What happened.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Refused(text) => text.clone(),
            Self::Silent => {
                "teams_sync_silent: no teams-sync has answered, and it alone can speak to the tenant as the \
                             account's own app"
                    .to_owned()
            }
        }
    }

    /// What to do.
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::Refused(_) => "has the administrator of exactly this tenant consented to the app?",
            Self::Silent => "start teams-sync, or see why it stands still, and try again",
        }
    }
}

/// The app of the account's own, if it has one for this tenant: its client id.
pub(crate) async fn own_app(
    operator: &Operator,
    account: AccountId,
    tenant: TenantId,
) -> anyhow::Result<Option<String>> {
    let mut tx = operator.store.begin("looks.own_app").await?;
    let secret = vault::secret(&mut tx, account, Kind::AppCredential.as_str()).await?;
    Ok(secret.filter(|secret| secret.tenant == tenant).map(|secret| secret.label))
}

/// With the provider's app.
pub(crate) async fn here(graph: &Graph, tenant: TenantId, question: &Question) -> Result<Seen, NoAnswer> {
    let client = graph.tenant(tenant.0).with_max_wait(PATIENCE);
    let seen = Box::pin(look(&client, graph.client_id(), question)).await;
    seen.map_err(|error| NoAnswer::Refused(chain(&error)))
}

/// Through teams-sync.
pub(crate) async fn through_teams_sync(
    operator: &Operator,
    account: AccountId,
    person: &str,
    question: &Question,
) -> anyhow::Result<Result<Seen, NoAnswer>> {
    let id = operator.ctx.ids.v7(&operator.ctx.clock);
    let mut tx = operator.store.begin("looks.ask").await?;
    looks::ask(&mut tx, id, account, person, &serde_json::to_value(question)?).await?;
    tx.commit().await?;
    let begun = Instant::now();
    loop {
        let answer = requests::answer(&operator.store, id).await?;
        if answer.answered {
            let seen = looks::take(&operator.store, id).await?;
            if let Some((code, text)) = answer.refused {
                return Ok(Err(NoAnswer::Refused(format!("{code}: {text}"))));
            }
            let seen = seen.context("teams-sync has answered, and the answer is gone; try again")?;
            return Ok(Ok(serde_json::from_value(seen).context("read the answer of teams-sync")?));
        }
        if begun.elapsed() > if answer.taken { ANSWERED } else { TAKEN } {
            looks::take(&operator.store, id).await?;
            return Ok(Err(NoAnswer::Silent));
        }
        tokio::time::sleep(EVERY).await;
    }
}
