//! `tandem accounts app-credential`: an app registration that a customer has made in its own tenant.
//!
//! The credential is proved with the files at hand, sealed and stored. From then on teams-sync alone can use it, for
//! this account and nothing else, and nothing shows it again.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use tandem_domain::TenantId;
use tandem_graph::CertificatePem;
use tandem_runtime::config::secret_file;
use tandem_store::admin::{accounts, save};
use tandem_store::vault::{self, NewSecret};
use tandem_teams_sync::{Question, look, pack_app_credential};
use tandem_vault::{Binding, Kind};
use uuid::Uuid;

use super::bind;
use crate::looks::PATIENCE;
use crate::operator::{Operator, person};
use crate::screen;

/// Subcommands of `tandem accounts app-credential`.
#[derive(Debug, Subcommand)]
pub(crate) enum AppCredentialCommand {
    /// Prove, seal and store the credential; it replaces the one before, and the provider's app for this account
    Set {
        /// The account's short name
        name: String,
        /// Application (client) id of the app registration
        #[arg(long, value_name = "ID")]
        client_id: Uuid,
        /// File with its certificate, PEM
        #[arg(long, value_name = "FILE")]
        cert: PathBuf,
        /// File with the certificate's RSA private key, PEM
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// The tenant, for an account that is bound to none yet
        #[arg(long, value_name = "TENANT ID")]
        tenant: Option<Uuid>,
        /// Who does it; the user of the operating system otherwise
        #[arg(long)]
        person: Option<String>,
    },
    /// Remove it; the account needs the consent to the provider's app again, see `accounts apply`
    Remove {
        /// The account's short name
        name: String,
    },
}

pub(super) async fn run(operator: &Operator, command: AppCredentialCommand) -> anyhow::Result<()> {
    match command {
        AppCredentialCommand::Set { name, client_id, cert, key, tenant, person: given } => {
            let cert_pem = std::fs::read_to_string(&cert)
                .with_context(|| format!("read the certificate in {}", cert.display()))?;
            let certificate = CertificatePem { cert_pem, key_pem: secret_file(&key)? };
            set(operator, &name, client_id, &certificate, tenant.map(TenantId), &person(given)).await
        }
        AppCredentialCommand::Remove { name } => remove(operator, &name).await,
    }
}

async fn set(
    operator: &Operator,
    name: &str,
    client_id: Uuid,
    certificate: &CertificatePem,
    tenant: Option<TenantId>,
    person: &str,
) -> anyhow::Result<()> {
    let dates = certificate.check()?;
    let now = operator.ctx.clock.now();
    anyhow::ensure!(dates.is_good(now), "the certificate is not good now: it ends at {}", dates.not_after);
    let sealer = operator.config.vault.sealer()?;
    let graph = operator.graph()?.context("the configuration has no section [microsoft]")?;
    let mut tx = operator.store.begin("app_credential.find").await?;
    let account =
        accounts::find(&mut tx, name, false).await?.with_context(|| format!("there is no account {name}"))?;
    drop(tx);
    let bound = account.authorization.as_ref().map(|stored| stored.tenant);
    let tenant = match (bound, tenant) {
        (Some(bound), Some(given)) if bound != given => {
            anyhow::bail!("{name} is bound to the tenant {bound}; remove that in its accounts file first")
        }
        (bound, given) => bound.or(given).context("the account is bound to no tenant: give --tenant")?,
    };
    let client_id = client_id.to_string();
    let app = graph.own_app(tenant.0, &client_id, certificate)?;
    let client = graph.as_own_app(&app).with_max_wait(PATIENCE);
    let seen = Box::pin(look(&client, &client_id, &Question::default())).await;
    let seen = seen.context("the credential does not work in the tenant; nothing was stored")?;
    let proved = bind::proved(tenant, &seen);
    let binding = Binding::app_credential(account.account, tenant);
    let sealed = sealer.seal(&binding, &pack_app_credential(&client_id, certificate))?;
    let mut tx = operator.store.begin("app_credential.set").await?;
    save::authorize(&mut tx, account.account, &proved, person)
        .await
        .context("another account may have the tenant")?;
    let secret = NewSecret {
        account: account.account,
        kind: Kind::AppCredential.as_str(),
        tenant,
        key_id: &sealed.key_id().to_string(),
        sealed: sealed.as_bytes(),
        label: &client_id,
        not_after: Some(dates.not_after),
        person,
    };
    vault::keep_secret(&mut tx, &secret).await?;
    tx.commit().await?;
    screen::line(&format!("{name} uses its own app {client_id} in the tenant {tenant}: {}", proved.state));
    if let Some(detail) = &proved.detail {
        screen::line(&format!("  ! {detail}"));
    }
    screen::line(&format!("its certificate is good until {}", screen::time(Some(dates.not_after))));
    Ok(())
}

async fn remove(operator: &Operator, name: &str) -> anyhow::Result<()> {
    let account = operator.account(name).await?;
    let mut tx = operator.store.begin("app_credential.remove").await?;
    let removed = vault::remove_secret(&mut tx, account, Kind::AppCredential.as_str()).await?;
    tx.commit().await?;
    anyhow::ensure!(removed, "{name} has no app of its own");
    screen::line(&format!(
        "removed; prove the provider's app with `tandem accounts apply --prove` before the next job of {name}"
    ));
    Ok(())
}
