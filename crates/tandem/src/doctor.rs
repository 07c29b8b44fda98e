//! `tandem doctor`: looks at everything an installation depends on and says what to do.
//!
//! It changes nothing but one thing: like every role, it makes the streams of the broker that are missing.

mod account;
mod bus;
mod database;
mod findings;
mod microsoft;

use std::process::ExitCode;

use tandem_runtime::config::ConfigErrors;
use tandem_runtime::{Clock, Ctx, Ids};

use crate::accounts::Output;
use crate::config::Config;
use crate::run::{Prepared, Role};
use crate::screen;
use findings::{Findings, Severity};

/// Options of `tandem doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    /// Look at this account as well: authorization, policies, mapped users and their numbers
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Exit code 1 when something is an error.
pub(crate) async fn run(args: DoctorArgs, config: &Config) -> anyhow::Result<ExitCode> {
    let mut findings = Findings::default();
    secrets(config, &mut findings);
    let ctx = Ctx::quiet(Clock::system(), Ids::random());
    database::look(&ctx, config, &mut findings).await;
    Box::pin(bus::look(&ctx, config, &mut findings)).await;
    sources(&ctx, config, &mut findings).await;
    Box::pin(microsoft::look(&ctx, config, args.account.as_deref(), &mut findings)).await;
    if let Some(name) = &args.account {
        Box::pin(account::look(&ctx, config, name, &mut findings)).await;
    }
    ctx.stop();
    let _drained = ctx.drain(std::time::Duration::from_secs(2)).await;
    match args.output {
        Output::Json => screen::json(&findings)?,
        Output::Text => screen::line(&findings.text()),
    }
    Ok(if findings.worst() == Severity::Error { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The files that the configuration names.
fn secrets(config: &Config, findings: &mut Findings) {
    let mut errors = ConfigErrors::new();
    let roles = Role::configured(config);
    if let Err(error) = Prepared::collect(config, &roles, &mut errors) {
        findings.error("config", format!("{error:#}"), "correct the configuration");
    }
    for error in errors.iter() {
        let remedy = error.hint.clone().unwrap_or_else(|| "correct the configuration".to_owned());
        findings.error("config", format!("{}: {}", error.key, error.problem), &remedy);
    }
    if errors.is_empty() {
        findings.ok("config", format!("{} and the files it names are fine", config.file.display()));
    }
    if config.environment.is_development() {
        let text = "environment = \"development\": client secrets, failpoints and fast ladders are accepted";
        findings.note("config", text.to_owned(), "never serve customers like this");
    }
}

async fn sources(ctx: &Ctx, config: &Config, findings: &mut Findings) {
    // what is wrong with the files has been told already
    let settings = config.detector.settings(&mut ConfigErrors::new());
    for source in &settings.sources {
        let report = source.source.pre_flight(&ctx.clock).await;
        for finding in report.findings {
            let area = format!("source {}", source.name);
            let severity = Severity::from(finding.severity);
            findings.add(&area, severity, format!("{} ({})", finding.text, finding.code), finding.remedy);
        }
    }
    if settings.sources.is_empty() && settings.push.is_none() {
        let remedy = "add [[detector.sources]] or [detector.push]";
        findings.warning("source", "neither a source nor the push endpoint is configured".to_owned(), remedy);
    }
}
