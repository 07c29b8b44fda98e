//! `tandem up`: a small real installation on one machine, with a database and a broker of its own.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use tandem_runtime::lifecycle::{DRAIN_DEADLINE, Interrupts};
use tandem_runtime::{Clock, Ctx, Ids, lifecycle};

use crate::config::Config;
use crate::private::{Private, write_once};
use crate::run::{self, Prepared, Role};
use crate::{migrate, screen};

/// What the first start writes behind the servers' sections.
const FIRST: &str = include_str!("up/first.toml");

/// Options of `tandem up`.
#[derive(Debug, clap::Args)]
pub(crate) struct UpArgs {
    /// Folder that keeps everything: data, passwords and the configuration, DIR/tandem.toml
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

/// Runs until SIGTERM or SIGINT.
pub(crate) async fn run(args: UpArgs) -> anyhow::Result<ExitCode> {
    let mut interrupts = Some(Interrupts::signals().context("catch signals")?);
    let private = Private::start(&args.data, &mut |text| screen::note(text)).await?;
    let code = Box::pin(with(&args.data, &private, &mut interrupts)).await;
    screen::note("stopping the servers");
    private.stop().await;
    code
}

async fn with(
    data: &Path,
    private: &Private,
    interrupts: &mut Option<Interrupts>,
) -> anyhow::Result<ExitCode> {
    let file = data.join("tandem.toml");
    if write_once(&file, &first(private))? {
        screen::note(&format!("wrote {}: add your PBX and your app registration there", file.display()));
    }
    private.follow_ports(&file)?;
    let config = Config::load(&file)?;
    migrate::run(&config).await?;
    let roles = Role::configured(&config);
    if config.microsoft.is_none() {
        screen::note("teams-sync does not run: the configuration has no section [microsoft] yet");
    }
    let prepared = Prepared::new(&config, &roles)?;
    let telemetry = run::telemetry(&config, "tandem")?;
    let ctx = Ctx::new(Clock::system(), Ids::random(), telemetry.meter());
    let health = run::serve_health(&ctx, config.telemetry.health.all, telemetry.registry()).await?;
    let running = Box::pin(run::start(&ctx, &prepared)).await;
    let exit = match running {
        Ok(running) => {
            if let Some(push) = running.push {
                screen::note(&format!("taking pushes at http://{push}"));
            }
            if let Some(portal) = running.portal {
                screen::note(&format!("letting people in at http://{portal}"));
            }
            screen::note(&format!("ready; health and metrics at http://{health}; Ctrl-C stops everything"));
            let waiting = interrupts.take().context("signals are caught once")?;
            tokio::select! {
                exit = lifecycle::wait(&ctx, waiting, DRAIN_DEADLINE) => Ok(exit.into()),
                how = private.ended() => Err(anyhow::anyhow!("{how}")),
            }
        }
        Err(error) => Err(error),
    };
    ctx.stop();
    let _drained = ctx.drain(DRAIN_DEADLINE).await;
    for error in ctx.background_errors() {
        screen::error(&format!("the task {} ended: {}", error.task, error.message));
    }
    telemetry.shutdown(Duration::from_secs(3)).await;
    exit
}

fn first(private: &Private) -> String {
    FIRST.replace("#SERVERS#\n", &private.sections())
}
