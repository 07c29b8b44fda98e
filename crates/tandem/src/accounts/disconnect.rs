//! `tandem accounts disconnect`: an account without a tenant again.

use anyhow::Context as _;
use serde_json::{Map, json};
use tandem_outbox::Announcer;
use tandem_store::admin::{accounts, save};
use tandem_store::change::{self, ChangeKind, NewChange};
use tandem_store::{outbox, vault};
use tandem_vault::Kind;

use crate::operator::{Operator, person};
use crate::screen;

/// Options of `tandem accounts disconnect`.
#[derive(Debug, clap::Args)]
pub(crate) struct DisconnectArgs {
    /// Its short name
    name: String,
    /// Who does it; the user of the operating system otherwise
    #[arg(long)]
    person: Option<String>,
}

pub(super) async fn run(operator: &Operator, args: DisconnectArgs) -> anyhow::Result<()> {
    let mut tx = operator.store.begin("accounts.disconnect").await?;
    let account = accounts::find(&mut tx, &args.name, true).await?;
    let account = account.with_context(|| format!("there is no account {}", args.name))?;
    let authorization = account.authorization.with_context(|| format!("{} has no tenant", args.name))?;
    let standing = accounts::standing(&mut tx, account.account).await?;
    anyhow::ensure!(
        standing == 0,
        "something of ours stands on {standing} users of the tenant {}: remove the mappings, let a sync take everything off, \
         then disconnect",
        authorization.tenant
    );
    save::disconnect(&mut tx, account.account).await?;
    // the key to a tenant that is left is not kept
    vault::remove_secret(&mut tx, account.account, Kind::AppCredential.as_str()).await?;
    let at = operator.ctx.clock.now();
    let before = json!({ "tenant": authorization.tenant, "state": authorization.state });
    let change = NewChange {
        account: account.account,
        user: None,
        kind: ChangeKind::Settings,
        fields: vec!["authorization"],
        before: Some(Map::from_iter([("authorization".to_owned(), before)])),
        after: Some(Map::from_iter([("authorization".to_owned(), json!(null))])),
        detected_at: at,
        saved_at: Some(at),
    };
    let source = format!("operator {}", person(args.person));
    let announcer = Announcer::new(operator.subjects.clone(), "operator", &operator.ctx);
    for recorded in change::record(&mut tx, &source, &[change]).await? {
        let announcement = announcer.changed(account.account, recorded.generation, &[], at, at)?;
        outbox::put(&mut tx, &announcement).await?;
    }
    tx.commit().await?;
    screen::line(&format!("{} is not connected any more", args.name));
    Ok(())
}
