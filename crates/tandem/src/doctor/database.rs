//! PostgreSQL, as each login sees it.

use tandem_runtime::config::ConfigErrors;
use tandem_runtime::{Ctx, chain};
use tandem_store::admin::server;
use tandem_store::{Login, Store, newest_version};

use super::findings::{Findings, Severity};
use crate::config::Config;

const AREA: &str = "database";
/// PostgreSQL 15: the oldest that the project is tested with.
const OLDEST: i32 = 150_000;

pub(super) async fn look(ctx: &Ctx, config: &Config, findings: &mut Findings) {
    let mut database = config.database.config();
    database.max_connections = 1;
    for login in Login::ALL {
        // files that cannot be read have been told already
        let Some(password) = config.database.password(login, &mut ConfigErrors::new()) else { continue };
        let store = Store::connect(&database, login, &password);
        let looked = as_login(ctx, &store, config.environment.is_development(), findings).await;
        store.close().await;
        if !looked {
            return;
        }
    }
}

/// False when looking on as others is of no use.
async fn as_login(ctx: &Ctx, store: &Store, development: bool, findings: &mut Findings) -> bool {
    let login = store.login();
    let before = ctx.clock.now();
    let facts = match server::facts(store).await {
        Ok(facts) => facts,
        Err(error) => {
            let remedy =
                "start it, correct [database], or run `tandem migrate` so that the passwords are set";
            findings.error(AREA, format!("{} cannot look: {}", login.name(), chain(&error)), remedy);
            // a wrong password concerns one login, a database that is away all of them
            return !error.retryable();
        }
    };
    if facts.superuser || facts.bypasses {
        let remedy = format!("alter role {} nosuperuser nobypassrls", login.name());
        findings.error(AREA, format!("{} is not bound by row-level security", login.name()), &remedy);
    }
    match server::unreadable(store, server::needed_tables(login)).await {
        Ok(tables) if tables.is_empty() => findings.ok(AREA, format!("{} has its rights", login.name())),
        Ok(tables) => {
            let text = format!("{} cannot read {}", login.name(), tables.join(", "));
            findings.error(AREA, text, "run `tandem migrate`");
        }
        Err(error) => {
            findings.error(
                AREA,
                format!("rights of {}: {}", login.name(), chain(&error)),
                "run `tandem migrate`",
            );
        }
    }
    if login == Login::ALL[0] {
        findings.clocks("clock", "the database", facts.now - before);
        about(&facts, development, findings);
        schema(store, findings).await;
    }
    true
}

fn about(facts: &server::Facts, development: bool, findings: &mut Findings) {
    let version = format!("PostgreSQL {}", facts.version);
    if facts.number >= OLDEST {
        findings.ok(AREA, version);
    } else {
        findings.error(AREA, format!("{version} is too old"), "run PostgreSQL 15 or newer");
    }
    if facts.synchronous_commit == "off" {
        let text = "synchronous_commit is off: a crash of the server loses what was saved last".to_owned();
        let severity = if development { Severity::Warning } else { Severity::Error };
        findings.add(AREA, severity, text, Some("set synchronous_commit = on".to_owned()));
    }
}

async fn schema(store: &Store, findings: &mut Findings) {
    let newest = newest_version();
    match server::schema_version(store).await {
        Ok(version) if version == newest => findings.ok(AREA, format!("the schema is at version {version}")),
        Ok(version) if version > newest => {
            let text = format!("the schema is at version {version}, newer than this program ({newest})");
            findings.warning(AREA, text, "finish the upgrade of this machine");
        }
        Ok(version) => {
            let text = format!("the schema is at version {version}, this program needs {newest}");
            findings.error(AREA, text, "run `tandem migrate`");
        }
        Err(error) => findings.error(AREA, format!("the schema: {}", chain(&error)), "run `tandem migrate`"),
    }
    match server::open_tables(store).await {
        Ok(tables) if tables.is_empty() => {}
        Ok(tables) => {
            let text = format!("row-level security does not close {}", tables.join(", "));
            findings.error(
                AREA,
                text,
                "run `tandem migrate`; nobody should have changed these tables by hand",
            );
        }
        Err(error) => findings.error(AREA, chain(&error), "run `tandem migrate`"),
    }
}
