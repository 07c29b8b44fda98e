//! `tandem accounts embed-link`: a signed address as the PBX's own pages make them, to try it out.

use anyhow::Context as _;
use tandem_runtime::config::{ConfigErrors, HumanDuration};

use crate::operator::Operator;
use crate::screen;

/// Options of `tandem accounts embed-link`.
#[derive(Debug, clap::Args)]
pub(crate) struct EmbedLinkArgs {
    /// Its short name
    name: String,
    /// How long the address is good
    #[arg(long, default_value = "5m", value_name = "DURATION")]
    life: HumanDuration,
}

pub(super) async fn run(operator: &Operator, args: &EmbedLinkArgs) -> anyhow::Result<()> {
    let portal = operator.config.portal.as_ref().context("the configuration has no section [portal]")?;
    let mut errors = ConfigErrors::new();
    let embed = portal.embed(&mut errors);
    errors.into_result()?;
    let embed = embed.context("the configuration has no section [portal.embed]")?;
    let base = portal.base().context("the configuration has no portal.base")?;
    let life = time::Duration::try_from(args.life.0)?;
    anyhow::ensure!(life <= embed.max_life, "addresses are good for portal.embed.max_life at most");
    operator.account(&args.name).await?;
    let expires = operator.ctx.clock.now() + life;
    screen::line(tandem_portal::embed_link(base, &embed.key, &args.name, expires)?.as_str());
    Ok(())
}
