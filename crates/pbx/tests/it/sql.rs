//! Snapshots of a real database.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use secrecy::SecretString;
use tandem_pbx::mapping::Mapping;
use tandem_pbx::sql::{Severity, SourceError};
use tandem_pbx::{Country, SqlSource, SqlSourceConfig, fixture};
use tandem_runtime::Clock;
use tandem_testkit::{Pg, capture_logs};

use crate::detect::{fusionpbx, load, rows, run, source};

async fn lines(source: &SqlSource) -> Result<String> {
    let mut text = String::new();
    for row in rows(source).await? {
        let label = row.account_label.context("label")?;
        text +=
            &format!("{label} {} {} {}\n", row.account_key, row.user, serde_json::to_string(&row.profile)?);
    }
    Ok(text)
}

/// The login that an operator who follows the fixture's grants would give.
async fn reader(pg: &Pg) -> Result<String> {
    run(&pg.url, fixture::GRANTS).await?;
    run(&pg.url, "CREATE ROLE tandem_login LOGIN PASSWORD 'secret-of-the-login' IN ROLE tandem_reader")
        .await?;
    Ok(pg.url_for("tandem_login", "secret-of-the-login", "test"))
}

#[tokio::test]
async fn both_releases_give_the_same_known_rows() -> Result<()> {
    let pg = Pg::start().await?;
    load(&pg.url, fixture::SCHEMA_5_5).await?;
    let other = pg.fresh_db().await?;
    load(&other.url, fixture::SCHEMA_5_4).await?;
    let new = lines(&source(&pg.url)).await?;
    assert_eq!(new, lines(&source(&other.url)).await?);
    assert_eq!(new, include_str!("demo-rows.txt"));
    for (name, key) in fixture::DOMAINS {
        ensure!(new.lines().filter(|line| line.starts_with(&format!("{name} {key} "))).count() >= 12);
    }
    Ok(())
}

#[tokio::test]
async fn a_role_with_column_grants_is_enough_and_sees_no_secret() -> Result<()> {
    let pg = Pg::start().await?;
    load(&pg.url, fixture::SCHEMA_5_5).await?;
    let url = reader(&pg).await?;
    let logs = capture_logs();
    let source = source(&url);
    let text = lines(&source).await?;
    assert_eq!(text, include_str!("demo-rows.txt"));
    for (table, columns) in fusionpbx().secrets() {
        for column in columns {
            let refused = run(&url, &format!("SELECT {column} FROM {table}")).await;
            ensure!(refused.is_err_and(|e| e.to_string().contains("permission denied")), "{table}.{column}");
        }
    }
    ensure!(
        run(&url, "SELECT * FROM v_users").await.is_err()
            && run(&url, "SELECT xmin FROM v_users").await.is_err()
    );
    let report = source.pre_flight(&Clock::system()).await;
    let said = format!("{report:?}{text}{}", logs.text());
    for secret in ["decoy-", "secret-of-the-login"] {
        ensure!(!said.contains(secret), "{secret} shows");
    }
    ensure!(report.worst() == Severity::Note, "{report:?}");
    for code in [
        "server_primary",
        "columns_readable",
        "read_only",
        "secrets_hidden",
        "query_shape",
        "rows",
        "numbers_raw",
    ] {
        ensure!(report.find(code).is_some(), "{code}: {report:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_look_before_finds_what_is_wrong() -> Result<()> {
    let pg = Pg::start().await?;
    let clock = Clock::system();
    let empty = source(&pg.url).pre_flight(&clock).await;
    for code in ["role_superuser", "columns_missing", "source_query"] {
        ensure!(
            empty.find(code).is_some_and(|f| f.severity == Severity::Error && f.remedy.is_some()),
            "{code}: {empty:?}"
        );
    }
    run(&pg.url, fixture::SCHEMA_5_5).await?;
    let superuser = source(&pg.url).pre_flight(&clock).await;
    for code in ["role_writes", "secrets_readable", "zero_rows"] {
        ensure!(superuser.find(code).is_some_and(|f| f.remedy.is_some()), "{code}: {superuser:?}");
    }
    let url = reader(&pg).await?;
    run(&pg.url, fixture::DEMO).await?;
    run(&pg.url, "REVOKE SELECT (username) ON v_users FROM tandem_reader").await?;
    let denied = source(&url).pre_flight(&clock).await;
    let finding = denied.find("columns_denied").context("columns_denied")?;
    ensure!(
        finding.text.ends_with("v_users.username") && denied.find("source_denied").is_some(),
        "{denied:?}"
    );
    let wrong = pg.url_for("tandem_login", "wrong", "test");
    let login = source(&wrong).pre_flight(&clock).await;
    ensure!(login.find("source_login").is_some() && !format!("{login:?}").contains("wrong"), "{login:?}");
    let closed = source("postgres://nobody@127.0.0.1:1/none").pre_flight(&clock).await;
    ensure!(closed.find("source_connect").is_some() && closed.worst() == Severity::Error, "{closed:?}");
    Ok(())
}

fn small(url: &str, query: &str, more: &str) -> Result<SqlSource> {
    let toml = format!(
        "name = 'small'\nproduct = 'small'\naccount_key = 'account'\nuser_key = 'id'\nquery = '''{query}'''\n[columns]\n{more}"
    );
    let mapping = Mapping::parse(&toml, |_| Err(String::new()))?;
    Ok(SqlSource::new(SqlSourceConfig::new(SecretString::from(url), mapping))?)
}

const ALL_KINDS: &str = "enabled = { column = 'enabled', kind = 'flag' }\ndnd = { column = 'dnd', kind = 'flag' }\n\
    extension = { column = 'ext', kind = 'text' }\ndid_numbers = { column = 'nums', kind = 'e164', separator = ',' }\n\
    follow_me = { column = 'fm', kind = 'ordered_list' }\n";

#[tokio::test]
async fn columns_are_read_whatever_their_type() -> Result<()> {
    let pg = Pg::start().await?;
    for (enabled, dnd, ext, nums, fm) in [
        ("true", "'f'::text", "1001::int4", "ARRAY['+12125550101', NULL]", "ARRAY['2','1']"),
        ("1::int2", "0::int8", "'1001'::varchar", "'[\"+12125550101\"]'::json", "'[2, \"1\", null]'::jsonb"),
        ("'Yes'::text", "NULL::bool", "'1001 '::char(8)", "'+1 212 555 0101, '::text", "ARRAY[2,1]"),
        ("'on'::name", "'0'::text", "1001::int8", "'+12125550101'::text", "ARRAY[2,1]::int8[]"),
    ] {
        let query = format!(
            "select 7 as id, 'a'::text as account, {enabled} as enabled, {dnd} as dnd, {ext} as ext, {nums} as nums, {fm} as fm"
        );
        let found = rows(&small(&pg.url, &query, ALL_KINDS)?).await?;
        let profile = &found[0].profile;
        ensure!(
            profile.enabled && !profile.dnd && profile.extension.as_deref() == Some("1001"),
            "{query}: {profile:?}"
        );
        ensure!(profile.did_numbers == ["+12125550101"], "{query}: {profile:?}");
        ensure!(
            profile.follow_me.as_deref() == Some(["2".to_owned(), "1".to_owned()].as_slice()),
            "{query}: {profile:?}"
        );
        ensure!(found[0].user.as_str() == "7" && found[0].digest == profile.digest());
    }
    let none = "select 1 as id, 'a' as account, true as enabled, true as dnd, '' as ext, null::text[] as nums, 'null'::json as fm";
    let profile = rows(&small(&pg.url, none, ALL_KINDS)?).await?.remove(0).profile;
    ensure!(profile.extension.is_none() && profile.did_numbers.is_empty() && profile.follow_me.is_none());
    let bare = rows(&small(
        &pg.url,
        "select 1 as id, 'a' as account, '5' as ext",
        "extension = { column = 'ext', kind = 'text' }",
    )?)
    .await?;
    ensure!(bare[0].profile.enabled, "a PBX without such a switch has nobody switched off");
    Ok(())
}

#[tokio::test]
async fn mistakes_in_data_and_query_have_their_codes() -> Result<()> {
    let pg = Pg::start().await?;
    let ext = "extension = { column = 'ext', kind = 'text' }";
    for (query, code) in [
        ("select 1 as id, 'a' as account, ARRAY['1'] as ext", "source_column_type"),
        ("select 1 as id, 'a' as account, 1.5 as ext", "source_column_type"),
        ("select 1 as id, 'a' as account, '1' as extension", "source_missing_column"),
        ("select NULL::text as id, 'a' as account, '1' as ext", "source_null_key"),
        ("select 1 as id, ' ' as account, '1' as ext", "source_null_key"),
        ("select repeat('x', 201) as id, 'a' as account, '1' as ext", "source_long_key"),
        ("select 1 as id, 'a' as account, '1' as ext from nowhere", "source_query"),
        (
            "select 1 as id, 'a' as account, (1 / (n - 2))::text as ext from generate_series(1, 3) as n",
            "source_failed",
        ),
    ] {
        let error = rows(&small(&pg.url, query, ext)?).await.expect_err(query);
        assert_eq!(error.code(), code, "{query}: {error}");
    }
    let long = small(&pg.url, "select 1 as id, 'a' as account, repeat('x', 401) as ext", ext)?;
    let batch = long.snapshot(&Clock::system()).await?.next().await?.context("a batch")?;
    ensure!(
        batch.rows.is_empty()
            && batch.problems[0].code == "text_too_long"
            && batch.problems[0].field == "extension"
    );
    ensure!(!batch.problems[0].message.contains("xxx"));
    let refused =
        SqlSource::new(SqlSourceConfig::new(SecretString::from("mysql://u:hidden@h/d"), fusionpbx()));
    let error = refused.err().context("a refusal")?;
    ensure!(error.code() == "source_url" && !format!("{error:?}").contains("hidden"), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn a_session_cannot_write_and_a_timeout_is_an_error() -> Result<()> {
    let pg = Pg::start().await?;
    run(
        &pg.url,
        "CREATE TABLE t (id int4); CREATE FUNCTION w() RETURNS text LANGUAGE plpgsql AS \
        $$ BEGIN INSERT INTO t VALUES (1); RETURN '1'; END $$",
    )
    .await?;
    let ext = "extension = { column = 'ext', kind = 'text' }";
    let error =
        rows(&small(&pg.url, "select 1 as id, 'a' as account, w() as ext", ext)?).await.expect_err("a write");
    ensure!(format!("{error:?}").contains("25006"), "{error:?}");

    let mapping =
        small(&pg.url, "select 1 as id, 'a' as account, pg_sleep(60)::text as ext", ext)?.mapping().clone();
    let mut config = SqlSourceConfig::new(SecretString::from(pg.url.clone()), mapping);
    config.statement_timeout = Some(Duration::from_millis(200));
    assert_eq!(rows(&SqlSource::new(config)?).await.expect_err("a timeout").code(), "source_timeout");
    Ok(())
}

#[tokio::test]
async fn a_lost_server_is_an_error_and_heals_by_itself() -> Result<()> {
    let mut pg = Pg::start().await?;
    let many =
        "select n as id, 'a' as account, repeat('x', 300) as ext from generate_series(1, 1000000) as n";
    let source = small(&pg.url, many, "extension = { column = 'ext', kind = 'text' }")?;
    let mut snapshot = source.snapshot(&Clock::system()).await?;
    ensure!(snapshot.next().await?.is_some());
    pg.server.kill9().await;
    let error = loop {
        match snapshot.next().await {
            Ok(Some(_)) => {}
            Ok(None) => anyhow::bail!("a lost connection looked like the end"),
            Err(error) => break error,
        }
    };
    ensure!(matches!(error, SourceError::Query { .. }) && error.code() != "source_query", "{error:?}");
    ensure!(source.snapshot(&Clock::system()).await.is_err());
    pg.server.restart().await?;
    ensure!(source.snapshot(&Clock::system()).await?.next().await?.is_some());
    Ok(())
}

#[tokio::test]
async fn a_snapshot_shows_one_moment() -> Result<()> {
    let pg = Pg::start().await?;
    run(&pg.url, "CREATE TABLE u (id int4, ext text); INSERT INTO u SELECT n, repeat('x', 300) FROM generate_series(1, 50000) AS n").await?;
    let source = small(
        &pg.url,
        "select id, 'a' as account, ext from u",
        "extension = { column = 'ext', kind = 'text' }",
    )?;
    let mut snapshot = source.snapshot(&Clock::system()).await?;
    let first = snapshot.next().await?.context("a batch")?;
    run(&pg.url, "DELETE FROM u").await?;
    let mut count = first.rows.len();
    while let Some(batch) = snapshot.next().await? {
        count += batch.rows.len();
    }
    assert_eq!(count, 50_000);
    Ok(())
}

#[tokio::test]
async fn a_configured_country_completes_numbers() -> Result<()> {
    let pg = Pg::start().await?;
    load(&pg.url, fixture::SCHEMA_5_5).await?;
    let mut config = SqlSourceConfig::new(SecretString::from(pg.url.clone()), fusionpbx());
    let charlie = fixture::domain_uuid("charlie.example.org").context("charlie")?.to_owned();
    config.countries.insert(charlie, Country { code: "1".to_owned(), trunk: None, digits: vec![7] });
    let found = rows(&SqlSource::new(config)?).await?;
    ensure!(found.iter().any(|row| row.profile.did_numbers.contains(&"+15550199".to_owned())));
    Ok(())
}
