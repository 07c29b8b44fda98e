//! The look before a source is used: what `tandem doctor` prints.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor, Row, SqlSafeStr, Statement};
use tandem_domain::Number;
use tandem_runtime::Clock;

use super::error::SourceError;
use super::read::Plan;
use super::{Inner, SqlSource, open};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// Works, but should be changed.
    Warning,
    /// Does not work, or must not be used like this.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One thing that the look before found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Stable name of the kind of finding.
    pub code: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What was found.
    pub text: String,
    /// What to do, where something is to be done.
    pub remedy: Option<String>,
}

/// Everything that the look before found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreFlight {
    /// In the order of the checks.
    pub findings: Vec<Finding>,
}

impl PreFlight {
    /// The worst severity among the findings.
    #[must_use]
    pub fn worst(&self) -> Severity {
        self.findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok)
    }

    /// The first finding of a kind.
    #[must_use]
    pub fn find(&self, code: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.code == code)
    }

    fn good(&mut self, code: &'static str, severity: Severity, text: impl Into<String>) {
        self.findings.push(Finding { code, severity, text: text.into(), remedy: None });
    }

    fn bad(
        &mut self,
        code: &'static str,
        severity: Severity,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.findings.push(Finding { code, severity, text: text.into(), remedy: Some(remedy.into()) });
    }

    fn failed(&mut self, error: &SourceError, remedy: &str) {
        self.bad(error.code(), Severity::Error, tandem_runtime::chain(error), remedy);
    }
}

pub(super) async fn run(source: &SqlSource, clock: &Clock) -> PreFlight {
    let mut report = PreFlight::default();
    let inner = &source.inner;
    let mut connection = match open::connection(inner).await {
        Ok(connection) => connection,
        Err(error) => {
            report.failed(&error, "check address, login, pg_hba.conf and certificate of the PBX database");
            return report;
        }
    };
    if let Err(source) = session(inner, &mut connection, &mut report).await {
        report.failed(&SourceError::Query { source }, "look at the server's log");
    }
    match rights(inner, &mut connection, &mut report).await {
        Ok(()) => {}
        Err(source) => report.failed(&SourceError::Query { source }, "look at the server's log"),
    }
    if shape(inner, &mut connection, &mut report).await {
        drop(connection);
        content(source, clock, &mut report).await;
    }
    report
}

const SESSION: &str = "SELECT current_setting('server_version_num')::int4 / 10000 AS release, pg_is_in_recovery() AS standby, \
    coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS encrypted, \
    inet_server_addr() IS NULL OR inet_server_addr() <<= '127.0.0.0/8' OR inet_server_addr() = '::1' AS near, \
    rolsuper, rolreplication, rolcreaterole OR rolcreatedb AS rolcreates FROM pg_roles WHERE rolname = current_user";

async fn session(
    inner: &Inner,
    connection: &mut PgConnection,
    report: &mut PreFlight,
) -> Result<(), sqlx::Error> {
    let row = sqlx::query(SESSION).persistent(false).fetch_one(connection).await?;
    let release: i32 = row.try_get("release")?;
    let minimum = inner.mapping.minimum_postgresql();
    if u32::try_from(release).is_ok_and(|release| release >= minimum) {
        report.good("server_version", Severity::Ok, format!("PostgreSQL {release}"));
    } else {
        let text = format!("PostgreSQL {release} is older than {minimum}, which the mapping needs");
        report.bad("server_version", Severity::Error, text, "upgrade the server or write a mapping for it");
    }
    if row.try_get("standby")? {
        let text = "a standby: what is saved arrives with its lag, and a long query may be cancelled";
        report.good("server_standby", Severity::Note, text);
    } else {
        report.good("server_primary", Severity::Ok, "a primary: nothing arrives late");
    }
    if !row.try_get::<bool, _>("encrypted")? && !row.try_get::<bool, _>("near")? {
        let remedy = "add sslmode=verify-full to the address";
        report.bad("not_encrypted", Severity::Warning, "the connection is not encrypted", remedy);
    }
    let remedy = "use a login role with SELECT on the columns of the mapping and nothing else";
    if row.try_get("rolsuper")? {
        report.bad(
            "role_superuser",
            Severity::Error,
            "the role is a superuser: it can read and write everything",
            remedy,
        );
    }
    if row.try_get("rolreplication")? {
        let text = "the role has REPLICATION: it can read every secret of the server whatever its grants";
        report.bad("role_replication", Severity::Error, text, remedy);
    }
    if row.try_get("rolcreates")? {
        report.bad("role_creates", Severity::Warning, "the role may create roles or databases", remedy);
    }
    Ok(())
}

const COLUMNS: &str = "SELECT t.name AS table_name, c.name AS column_name, r.oid IS NOT NULL AS there, a.attnum IS NOT NULL AS known, \
    coalesce(has_column_privilege(r.oid, a.attnum, 'SELECT'), false) AS readable, \
    coalesce(has_table_privilege(r.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') \
      OR has_any_column_privilege(r.oid, 'INSERT, UPDATE'), false) AS writable \
    FROM unnest($1::text[], $2::text[]) AS c(table_name, name) CROSS JOIN LATERAL (SELECT c.table_name AS name) AS t \
    LEFT JOIN pg_class AS r ON r.oid = to_regclass(quote_ident(t.name)) \
    LEFT JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attname = c.name AND a.attnum > 0 AND NOT a.attisdropped";

async fn rights(
    inner: &Inner,
    connection: &mut PgConnection,
    report: &mut PreFlight,
) -> Result<(), sqlx::Error> {
    let reads = inner.mapping.reads();
    if reads.is_empty() {
        let text = "the mapping does not say which tables it reads, so rights could not be checked";
        report.bad("reads_unknown", Severity::Note, text, "add a section [reads] to the mapping file");
    } else {
        let (mut denied, mut gone, mut writable) = (Vec::new(), Vec::new(), BTreeSet::new());
        for found in columns(connection, reads).await? {
            if !found.known {
                gone.push(found.name());
            } else if !found.readable {
                denied.push(found.name());
            }
            if found.writable {
                writable.insert(found.table);
            }
        }
        if !gone.is_empty() {
            let text = format!("columns that the mapping reads are not there: {}", gone.join(", "));
            let remedy = format!(
                "is this {}? look at schema and search_path, or use another mapping",
                inner.mapping.product()
            );
            report.bad("columns_missing", Severity::Error, text, remedy);
        }
        if !denied.is_empty() {
            let text = format!("columns that the mapping reads are not granted: {}", denied.join(", "));
            report.bad(
                "columns_denied",
                Severity::Error,
                text,
                "GRANT SELECT (column, ...) ON table TO the role",
            );
        }
        if gone.is_empty() && denied.is_empty() {
            report.good("columns_readable", Severity::Ok, "every column of the mapping is readable");
        }
        if writable.is_empty() {
            report.good("read_only", Severity::Ok, "the role can write to none of the mapping's tables");
        } else {
            let tables: Vec<String> = writable.into_iter().collect();
            let text = format!("the role can write to {}", tables.join(", "));
            let remedy = "REVOKE INSERT, UPDATE, DELETE, TRUNCATE; sessions are read-only all the same";
            report.bad("role_writes", Severity::Warning, text, remedy);
        }
    }
    let found = columns(connection, inner.mapping.secrets()).await?;
    let open: Vec<String> = found.iter().filter(|c| c.readable).map(Found::name).collect();
    if !open.is_empty() {
        let text = format!("the role can read secrets: {}", open.join(", "));
        report.bad("secrets_readable", Severity::Warning, text, "grant columns instead of whole tables");
    } else if !found.is_empty() {
        report.good("secrets_hidden", Severity::Ok, "none of the columns known to hold secrets is readable");
    }
    Ok(())
}

struct Found {
    table: String,
    column: String,
    known: bool,
    readable: bool,
    writable: bool,
}

impl Found {
    fn name(&self) -> String {
        format!("{}.{}", self.table, self.column)
    }
}

async fn columns(
    connection: &mut PgConnection,
    wanted: &BTreeMap<String, BTreeSet<String>>,
) -> Result<Vec<Found>, sqlx::Error> {
    let pairs =
        || wanted.iter().flat_map(|(table, columns)| columns.iter().map(move |column| (table, column)));
    let tables: Vec<&str> = pairs().map(|(table, _)| table.as_str()).collect();
    let names: Vec<&str> = pairs().map(|(_, column)| column.as_str()).collect();
    let rows = sqlx::query(COLUMNS).persistent(false).bind(tables).bind(names).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            Ok(Found {
                table: row.try_get("table_name")?,
                column: row.try_get("column_name")?,
                known: row.try_get("known")?,
                readable: row.try_get("readable")?,
                writable: row.try_get("writable")?,
            })
        })
        .collect()
}

/// Whether the query can be prepared and returns the columns of the mapping in types that can be read.
async fn shape(inner: &Inner, connection: &mut PgConnection, report: &mut PreFlight) -> bool {
    let sql = AssertSqlSafe(inner.mapping.query().to_owned()).into_sql_str();
    let found = match connection.prepare(sql).await {
        Ok(statement) => Plan::new(&inner.mapping, statement.columns()).map(|_| ()),
        Err(source) => Err(SourceError::Query { source }),
    };
    match found {
        Ok(()) => report.good("query_shape", Severity::Ok, "the query returns every column of the mapping"),
        Err(error) => {
            report.failed(&error, "correct the mapping or the grants");
            return false;
        }
    }
    true
}

/// One whole snapshot: keys, rows, numbers, time.
async fn content(source: &SqlSource, clock: &Clock, report: &mut PreFlight) {
    let mut keys = HashSet::new();
    let (mut accounts, mut twice, mut unusable, mut raw) = (BTreeSet::new(), 0_u64, 0_u64, 0_u64);
    let reading = async {
        let mut snapshot = source.snapshot(clock).await?;
        while let Some(batch) = snapshot.next().await? {
            unusable += batch.problems.len() as u64;
            for row in batch.rows {
                raw += row.profile.did_numbers.iter().filter(|n| Number::parse(n).is_err()).count() as u64;
                twice += u64::from(!keys.insert((row.account_key.clone(), row.user)));
                accounts.insert(row.account_key);
            }
        }
        let took =
            snapshot.read_ended_at().unwrap_or(snapshot.read_started_at()) - snapshot.read_started_at();
        Ok::<_, SourceError>((snapshot.rows(), took))
    };
    let (rows, took) = match Box::pin(reading).await {
        Ok(done) => done,
        Err(error) => {
            report.failed(&error, "correct the query, its data or its statement_timeout");
            return;
        }
    };
    let text = format!("{rows} users of {} accounts in {} ms", accounts.len(), took.whole_milliseconds());
    if rows == 0 {
        report.bad(
            "zero_rows",
            Severity::Error,
            "the query returns no rows",
            "look at the rights, the database and the query",
        );
    } else {
        report.good("rows", Severity::Ok, text);
    }
    if twice > 0 {
        let text = format!("{twice} rows repeat the key of another row");
        report.bad("duplicate_key", Severity::Error, text, "make the query return one row for each user key");
    }
    if unusable > 0 {
        let text = format!("{unusable} users cannot be used as they are");
        report.bad("rows_unusable", Severity::Warning, text, "shorten their texts and lists in the PBX");
    }
    if raw > 0 {
        let text = format!("{raw} numbers are not E.164 and cannot be given to Teams");
        report.bad(
            "numbers_raw",
            Severity::Note,
            text,
            "store them with + or a prefix, or configure the account's country",
        );
    }
    let limit = time::Duration::try_from(source.inner.statement_timeout).unwrap_or(time::Duration::MAX);
    if took * 2 > limit {
        let text = "the query takes more than half of its statement_timeout";
        report.bad("query_slow", Severity::Warning, text, "raise statement_timeout or make the query faster");
    }
}
