//! `tandem jobs held`, `approve` and `reject`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tandem_domain::guard::HELD_DAYS;
use tandem_store::admin::requests::{self, Ask};
use tandem_store::held::{self, Held};
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;
use uuid::Uuid;

use super::ask::{self, Waiting, Who};
use super::{look, preview};
use crate::accounts::Output;
use crate::operator::{Operator, person};
use crate::screen;

/// Options of `tandem jobs held`.
#[derive(Debug, clap::Args)]
pub(crate) struct HeldArgs {
    /// Of this account only
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Options of `tandem jobs approve` and `reject`.
#[derive(Debug, clap::Args)]
pub(crate) struct DecideArgs {
    /// Id of the held removals
    held: Uuid,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    waiting: Waiting,
}

/// A rejection is carried out at once.
const SOON: Duration = Duration::from_secs(60);

pub(super) async fn list(operator: &Operator, args: &HeldArgs) -> anyhow::Result<()> {
    let account = match &args.account {
        Some(name) => Some(operator.account(name).await?),
        None => None,
    };
    let mut tx = operator.store.begin("jobs.held").await?;
    let names = look::names(&mut tx).await?;
    let found = held::list(&mut tx, account).await?;
    if args.output == Output::Json {
        let lists: Vec<_> = found
            .iter()
            .map(|held| {
                json!({ "held_id": held.id, "account_id": held.account, "account": look::name(&names, held.account),
                        "job_id": held.job, "fingerprint": held.fingerprint, "removals": held.removals,
                        "since": held.created_at.format(&Rfc3339).ok(), "expired": held.expired })
            })
            .collect();
        return screen::json(&lists);
    }
    if found.is_empty() {
        screen::line("No removals wait for a person.");
        return Ok(());
    }
    for held in found {
        show(&held, &look::name(&names, held.account));
    }
    Ok(())
}

fn show(held: &Held, account: &str) {
    let until = held.created_at + time::Duration::days(i64::from(HELD_DAYS));
    let until = if held.expired {
        "expired; ask for a new job with tandem jobs run --full".to_owned()
    } else {
        screen::time(Some(until))
    };
    for (title, value) in [
        ("Held", held.id.to_string()),
        ("Account", account.to_owned()),
        ("Job", held.job.to_string()),
        ("Since", screen::time(Some(held.created_at))),
        ("Approve until", until),
        ("Fingerprint", held.fingerprint.clone()),
    ] {
        screen::line(&format!("{title:<14}{}", screen::one_line(&value)));
    }
    screen::line(&format!("\n{}\n", preview::steps(&held.removals)));
}

pub(super) async fn approve(operator: &Operator, args: DecideArgs) -> anyhow::Result<ExitCode> {
    let held = find(operator, args.held).await?;
    ask::job(operator, held.account, Ask::Approve(held.id), args.who, &args.waiting).await
}

pub(super) async fn reject(operator: &Operator, args: DecideArgs) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(!args.who.reason.trim().is_empty(), "--reason is empty");
    let held = find(operator, args.held).await?;
    let who = person(args.who.person);
    let request =
        ask::put(operator, held.account, Ask::Reject(held.id), &who, Some(&args.who.reason)).await?;
    let answer = ask::until(Instant::now() + SOON, request, async || {
        let answer = requests::answer(&operator.store, request).await?;
        Ok(answer.answered.then_some(answer))
    })
    .await?;
    if let Some((code, text)) = answer.refused {
        anyhow::bail!("{code}: {text}");
    }
    screen::line(
        "Rejected: these removals are not proposed again until something changes about their users.",
    );
    Ok(ExitCode::SUCCESS)
}

async fn find(operator: &Operator, id: Uuid) -> anyhow::Result<Held> {
    let mut tx = operator.store.begin("jobs.held").await?;
    held::find(&mut tx, id).await?.with_context(|| format!("there are no held removals {id}"))
}
