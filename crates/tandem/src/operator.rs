//! What every command of an operator needs.

use anyhow::Context as _;
use tandem_domain::AccountId;
use tandem_graph::{Graph, GraphConfig};
use tandem_runtime::config::ConfigErrors;
use tandem_runtime::{Clock, Ctx, Ids};
use tandem_store::admin::accounts;
use tandem_store::{Login, Store};
use tandem_wire::Subjects;

use crate::config::Config;

/// The database as the operator, and who the operator is.
#[derive(Clone)]
pub(crate) struct Operator {
    /// Clock and ids.
    pub(crate) ctx: Ctx,
    /// The database.
    pub(crate) store: Store,
    /// The configuration.
    pub(crate) config: Config,
    /// Names of subjects.
    pub(crate) subjects: Subjects,
}

impl Operator {
    /// Reads the operator's secrets; connects nothing yet.
    pub(crate) fn new(ctx: Ctx, config: &Config) -> anyhow::Result<Self> {
        let mut errors = ConfigErrors::new();
        let password = config.database.password(Login::Operator, &mut errors);
        errors.into_result()?;
        let mut database = config.database.config();
        database.max_connections = 2;
        let password = password.context("the operator has no password")?;
        Ok(Self {
            ctx,
            store: Store::connect(&database, Login::Operator, &password),
            config: config.clone(),
            subjects: config.bus.subjects()?,
        })
    }

    /// For a command at a terminal.
    pub(crate) fn at_terminal(config: &Config) -> anyhow::Result<Self> {
        Self::new(Ctx::quiet(Clock::system(), Ids::random()), config)
    }

    /// The client of Microsoft; none where the configuration has no such section.
    pub(crate) fn graph(&self) -> anyhow::Result<Option<Graph>> {
        let Some(config) = self.graph_config()? else { return Ok(None) };
        Ok(Some(Graph::new(config, crate::run::now(&self.ctx))?))
    }

    /// Its settings.
    pub(crate) fn graph_config(&self) -> anyhow::Result<Option<GraphConfig>> {
        let Some(microsoft) = &self.config.microsoft else { return Ok(None) };
        let mut errors = ConfigErrors::new();
        let config = microsoft.config(&mut errors);
        errors.into_result()?;
        Ok(config)
    }

    /// An account by its short name.
    pub(crate) async fn account(&self, name: &str) -> anyhow::Result<AccountId> {
        let mut tx = self.store.begin("operator.account").await?;
        let account = accounts::find(&mut tx, name, false).await?;
        Ok(account.with_context(|| format!("there is no account {name}"))?.account)
    }
}

/// Who is at the terminal, as far as the operating system knows.
pub(crate) fn person(given: Option<String>) -> String {
    let user = || nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|user| user.name);
    given.or_else(user).unwrap_or_else(|| format!("uid {}", nix::unistd::getuid()))
}
