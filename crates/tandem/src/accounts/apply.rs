//! Applying an accounts file.

use std::fmt;
use std::time::Duration;

use anyhow::Context as _;
use tandem_domain::{AccountId, PbxUserId};
use tandem_outbox::Announcer;
use tandem_runtime::config::ConfigErrors;
use tandem_store::admin::{accounts, save};
use tandem_store::{StoreError, Tx, change, outbox, vault};
use tandem_vault::Kind;

use super::diff::{Diff, diff, settings};
use super::file::{self, Limits};
use super::resolve::{Resolved, Resolver, id_of};
use crate::config::longest_max_wait;
use crate::operator::Operator;

/// How to apply.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Show what would change and change nothing.
    pub(crate) dry_run: bool,
    /// Prove authorizations that look well, too.
    pub(crate) prove: bool,
    /// Who does it.
    pub(crate) person: String,
}

/// What was done, or would be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// In the order of the file.
    pub(crate) accounts: Vec<AccountReport>,
    dry_run: bool,
}

/// What was done to one account.
#[derive(Clone, Debug)]
pub(crate) struct AccountReport {
    /// Its short name.
    pub(crate) name: String,
    /// A line for each difference.
    pub(crate) lines: Vec<String>,
    /// What the operator should know.
    pub(crate) warnings: Vec<String>,
    /// The generation of its last change, if any was recorded.
    pub(crate) generation: Option<i64>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for account in &self.accounts {
            let state = match (account.lines.is_empty(), self.dry_run, account.generation) {
                (true, ..) => "as stored".to_owned(),
                (false, true, _) => "would change".to_owned(),
                (false, false, Some(generation)) => format!("saved, at generation {generation}"),
                (false, false, None) => "saved".to_owned(),
            };
            writeln!(f, "{}: {state}", account.name)?;
            for line in &account.lines {
                writeln!(f, "  {line}")?;
            }
            for warning in &account.warnings {
                writeln!(f, "  ! {warning}")?;
            }
        }
        Ok(())
    }
}

/// Applies the text of an accounts file. The error lists every mistake; then nothing has been saved.
pub(crate) async fn apply_text(operator: &Operator, text: &str, options: &Options) -> anyhow::Result<Report> {
    let timing = operator.config.debouncer.timing;
    let limits = Limits {
        quiet: Duration::try_from(timing.quiet).unwrap_or_default(),
        max_wait: Duration::try_from(timing.max_wait).unwrap_or_default(),
        longest_max_wait: longest_max_wait(&operator.config),
    };
    let mut errors = ConfigErrors::new();
    let declared = file::read(text, limits, &mut errors);
    let resolved = resolve(operator, declared, options, &mut errors).await?;
    errors.into_result()?;
    let mut report = Report { accounts: Vec::new(), dry_run: options.dry_run };
    for account in &resolved {
        let name = &account.declared.name;
        let saved = Box::pin(apply(operator, account, options)).await;
        let done = report.accounts.len();
        report.accounts.push(saved.with_context(|| match done {
            0 => format!("account {name} was not saved, nor any other"),
            n => format!("account {name} was not saved, the {n} before it were"),
        })?);
    }
    Ok(report)
}

async fn resolve(
    operator: &Operator,
    declared: Vec<file::Declared>,
    options: &Options,
    errors: &mut ConfigErrors,
) -> anyhow::Result<Vec<Resolved>> {
    let graph = operator.graph()?;
    let client_id = operator.config.microsoft.as_ref().map_or("", |microsoft| &microsoft.client_id);
    let mut resolver = Resolver { operator, graph: graph.as_ref(), client_id, options, errors };
    let mut resolved = Vec::with_capacity(declared.len());
    for account in declared {
        resolved.push(Box::pin(resolver.resolve(account)).await?);
    }
    Ok(resolved)
}

/// One account, in one transaction.
async fn apply(operator: &Operator, resolved: &Resolved, options: &Options) -> anyhow::Result<AccountReport> {
    let declared = &resolved.declared;
    let mut tx = operator.store.begin("accounts.apply").await?;
    let stored = accounts::find(&mut tx, &declared.name, true).await?;
    let account = id_of(stored.as_ref(), || operator.ctx.ids.v7(&operator.ctx.clock));
    let diff = diff(account, stored.as_ref(), resolved, operator.ctx.clock.now());
    let mut report = AccountReport {
        name: declared.name.clone(),
        lines: diff.lines.clone(),
        warnings: resolved.warnings.clone(),
        generation: None,
    };
    if diff.is_empty() || options.dry_run {
        return Ok(report);
    }
    let told = |error| explained(error, resolved);
    if stored.is_none() {
        save::create(&mut tx, account, &declared.name).await.map_err(told)?;
    }
    if diff.settings {
        let settings = settings(&declared.settings, stored.as_ref());
        save::put_settings(&mut tx, account, &settings).await.map_err(told)?;
    }
    if diff.rules {
        save::put_rules(&mut tx, account, &declared.rules).await.map_err(told)?;
    }
    if diff.binding {
        let binding = declared.binding.as_ref().map(|(source, key)| (source.as_str(), key.as_str()));
        save::put_binding(&mut tx, account, binding).await.map_err(told)?;
    }
    if diff.leaves {
        save::disconnect(&mut tx, account).await.map_err(told)?;
        forget_own_app(&mut tx, account).await.map_err(told)?;
    }
    if let Some(proved) = &resolved.proved {
        save::authorize(&mut tx, account, proved, &options.person).await.map_err(told)?;
        match &resolved.own_app {
            Some(client_id) => still_own_app(&mut tx, account, client_id).await?,
            // the provider's app was proved, so it is the one in use
            None => drop(forget_own_app(&mut tx, account).await.map_err(told)?),
        }
    }
    if !diff.away.is_empty() || !diff.new.is_empty() {
        save::put_mappings(&mut tx, account, &diff.away, &diff.new).await.map_err(told)?;
    }
    let source = format!("operator {}", options.person);
    let recorded = change::record(&mut tx, &source, &diff.changes).await.map_err(told)?;
    report.generation = recorded.first().map(|recorded| recorded.generation);
    if let Some(recorded) = recorded.first() {
        let announcer = Announcer::new(operator.subjects.clone(), "operator", &operator.ctx);
        let at = operator.ctx.clock.now();
        let users = users(&diff);
        outbox::put(&mut tx, &announcer.changed(account, recorded.generation, &users, at, at)?)
            .await
            .map_err(told)?;
    }
    tx.commit().await.map_err(told)?;
    Ok(report)
}

/// What was proved is the app that the account has now.
async fn still_own_app(tx: &mut Tx, account: AccountId, client_id: &str) -> anyhow::Result<()> {
    let secret = vault::secret(tx, account, Kind::AppCredential.as_str()).await?;
    anyhow::ensure!(
        secret.is_some_and(|secret| secret.label == client_id),
        "the account's own app was changed meanwhile; apply again"
    );
    Ok(())
}

async fn forget_own_app(tx: &mut Tx, account: AccountId) -> Result<bool, StoreError> {
    vault::remove_secret(tx, account, Kind::AppCredential.as_str()).await
}

fn users(diff: &Diff<'_>) -> Vec<PbxUserId> {
    diff.changes.iter().filter_map(|change| change.user.clone()).collect()
}

/// What a refusal of the database means here: somebody else saved in between.
fn explained(error: StoreError, resolved: &Resolved) -> anyhow::Error {
    let text = match error.constraint() {
        Some("mappings_within_licences") => format!(
            "{} licences do not cover {} mappings",
            resolved.declared.settings.licences,
            resolved.mappings.len()
        ),
        Some("authorizations_tenant_id_key") => "another account has the tenant".to_owned(),
        Some("bindings_pkey") => "another account is bound to this customer of the source".to_owned(),
        Some("mappings_account_id_microsoft_user_key") => {
            "two mappings have the same Microsoft user".to_owned()
        }
        Some("accounts_name_key") => "somebody else has just made an account of this name".to_owned(),
        _ => return error.into(),
    };
    anyhow::Error::new(error).context(text)
}
