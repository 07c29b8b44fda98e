//! Named points at which a test makes a process die; see "When something dies" in `docs/architecture.md`.

use tandem_runtime::failpoint;

use crate::config::Config;

/// Where to die.
#[derive(Debug, clap::Args)]
pub(crate) struct Failpoints {
    /// Die at a named point, at its N-th hit; in development only
    #[arg(long, hide = true, value_name = "NAME[:N]")]
    failpoint: Vec<String>,
}

impl Failpoints {
    /// Arms the points; refused where customers are served.
    pub(crate) fn arm(&self, config: &Config) -> anyhow::Result<()> {
        if !self.failpoint.is_empty() {
            anyhow::ensure!(
                config.environment.is_development(),
                "--failpoint is accepted only with environment = \"development\""
            );
            failpoint::arm(&self.failpoint);
        }
        Ok(())
    }
}
