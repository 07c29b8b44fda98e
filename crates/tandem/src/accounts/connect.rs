//! `tandem accounts connect`: the connect pages, served on this machine for one account.

use std::process::ExitCode;

use anyhow::Context as _;
use tandem_consent::{NewLink, Progress};
use tandem_runtime::config::HumanDuration;
use tandem_store::admin::accounts;
use tandem_store::connect::Purpose;
use uuid::Uuid;

use crate::operator::{Operator, person};
use crate::pages::{Pages, PagesArgs};
use crate::screen;

/// Options of `tandem accounts connect`.
#[derive(Debug, clap::Args)]
pub(crate) struct ConnectArgs {
    /// Its short name
    name: String,
    /// The only tenant that may be connected: its id or one of its verified domains
    #[arg(long, value_name = "ID|DOMAIN")]
    tenant: Option<String>,
    #[command(flatten)]
    pages: PagesArgs,
    /// How long the link is good
    #[arg(long, default_value = "1h", value_name = "DURATION")]
    timeout: HumanDuration,
    /// Who asks; the user of the operating system otherwise
    #[arg(long)]
    person: Option<String>,
}

pub(super) async fn run(operator: &Operator, args: ConnectArgs) -> anyhow::Result<ExitCode> {
    let mut tx = operator.store.begin("accounts.connect").await?;
    let account = accounts::find(&mut tx, &args.name, false).await?;
    drop(tx);
    let account = account.with_context(|| format!("there is no account {}", args.name))?;
    let mut pages = Pages::serve(operator, &args.pages).await?;
    if let Some(tenant) = &args.tenant {
        let bound = account.authorization.as_ref().map(|authorization| authorization.tenant.0);
        check(&pages, tenant, bound).await?;
    }
    let new = NewLink {
        account: account.account,
        purpose: &Purpose::Connect,
        expected_tenant: args.tenant.as_deref(),
        made_by: &person(args.person),
        life: time::Duration::try_from(args.timeout.0)?,
    };
    Ok(match pages.lead(operator, &new, &args.pages).await? {
        Some(Progress::Connected { by, missing }) => {
            screen::line(&format!("{} is connected; {by} has consented", args.name));
            if let Some(missing) = missing {
                screen::line(&format!("  ! {missing}"));
            }
            ExitCode::SUCCESS
        }
        Some(Progress::Refused { code, text, .. }) => {
            screen::error(&format!("not connected ({code}): {text}"));
            ExitCode::FAILURE
        }
        _ => {
            screen::error("nobody has connected the account; the link is closed");
            ExitCode::FAILURE
        }
    })
}

/// The tenant that is expected exists, and is the one that is bound, if one is.
async fn check(pages: &Pages, expected: &str, bound: Option<Uuid>) -> anyhow::Result<()> {
    let told = || format!("Microsoft knows no organisation {expected}");
    let issuer = pages.sign_in.discover(expected).await.with_context(told)?.issuer;
    let tenant = issuer.split('/').find_map(|part| Uuid::try_parse(part).ok()).with_context(told)?;
    match bound {
        Some(bound) if bound != tenant => {
            anyhow::bail!("the account is connected to the organisation {bound}; {expected} is {tenant}")
        }
        _ => Ok(()),
    }
}
