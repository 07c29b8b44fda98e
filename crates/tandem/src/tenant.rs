//! `tandem tenant`: what has to be made in a customer's tenant once, because Microsoft Graph cannot make it.

mod powershell;
mod script;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use tandem_domain::wanted::AccountSettings;
use tandem_store::admin::accounts;

use crate::config::Config;
use crate::operator::Operator;
use crate::screen;
use script::Setup;

/// Subcommands of `tandem tenant`.
#[derive(Debug, Subcommand)]
pub(crate) enum TenantCommand {
    /// Print a PowerShell script that makes gateway, routing, dial plan and calling policies of an account
    SetupScript {
        /// Short name of the account
        name: String,
        /// Host name of the session border controller, as the tenant knows it; else the script asks for it
        #[arg(long, value_name = "FQDN", value_parser = script::host_name)]
        gateway: Option<String>,
        /// Its SIP signalling port
        #[arg(long, default_value_t = 5061, value_parser = clap::value_parser!(u16).range(1..))]
        port: u16,
        /// Name of the PSTN usage and of the voice route; that of the voice routing policy otherwise
        #[arg(long, value_name = "NAME")]
        route: Option<String>,
    },
}

pub(crate) async fn run(command: TenantCommand, config: &Config) -> anyhow::Result<ExitCode> {
    let operator = Operator::at_terminal(config)?;
    match command {
        TenantCommand::SetupScript { name, gateway, port, route } => {
            setup_script(&operator, &name, gateway, port, route).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn setup_script(
    operator: &Operator,
    name: &str,
    gateway: Option<String>,
    port: u16,
    route: Option<String>,
) -> anyhow::Result<()> {
    let mut tx = operator.store.begin("tenant.setup_script").await?;
    let account =
        accounts::find(&mut tx, name, false).await?.with_context(|| format!("there is no account {name}"))?;
    anyhow::ensure!(
        account.binding.is_some(),
        "the account {name} is bound to no PBX; set the PBX side up first (source and account_key in the accounts \
         file), else its numbers lead nowhere and users get no dial pad"
    );
    let extensions: Vec<String> =
        accounts::users(&mut tx, account.account).await?.into_values().flatten().collect();
    let settings = AccountSettings {
        voice_routing_policy: account.settings.voice_routing_policy,
        dial_plan: account.settings.dial_plan,
        rules: account.rules,
        ..AccountSettings::default()
    };
    let tenant = account.authorization.map(|stored| stored.tenant);
    let setup = Setup::new(name, tenant, &settings, &extensions, gateway, port, route);
    anyhow::ensure!(
        !setup.is_empty(),
        "the account {name} names no voice routing policy, no dial plan and no policy rules: there is nothing to make"
    );
    screen::raw(&setup.script());
    Ok(())
}
