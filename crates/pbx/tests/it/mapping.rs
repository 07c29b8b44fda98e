//! Mapping files: the shipped one, broken ones, and one for another kind of PBX.

use tandem_pbx::mapping::{BUILTINS, Mapping, MappingErrors};

fn codes(toml: &str) -> Vec<(&'static str, String)> {
    let errors =
        Mapping::parse(toml, |_| Err("the file cannot be read".to_owned())).expect_err("a broken file");
    errors.iter().map(|e| (e.code, e.key.clone())).collect()
}

#[test]
fn the_shipped_mappings_are_whole() {
    for name in BUILTINS {
        let mapping = Mapping::builtin(name).unwrap();
        assert_eq!(mapping.name(), name);
        assert_eq!(mapping.fields(), tandem_domain::Profile::FIELDS);
        assert!(!mapping.query().contains('*') || !mapping.query().to_lowercase().contains("select *"));
        for (table, columns) in mapping.secrets() {
            let read = mapping.reads().get(table);
            assert!(columns.iter().all(|c| read.is_none_or(|r| !r.contains(c))), "{table}: a secret is read");
        }
    }
    assert!(Mapping::builtin("other").is_none());
}

const GOOD: &str = r#"
name = "lists"
product = "Another PBX"
query = "select id, tenant, names, numbers from users"
account_key = "tenant"
user_key = "id"
statement_timeout = "5s"
[columns]
display_name = { column = "names", kind = "text" }
did_numbers = { column = "numbers", kind = "e164", separator = "," }
[default_country]
code = "44"
trunk = "0"
digits = [10]
[country.us]
code = "1"
digits = [10]
"#;

#[test]
fn a_small_mapping_is_enough() {
    let mapping = Mapping::parse(GOOD, |_| unreachable!("the query is inline")).unwrap();
    assert_eq!(mapping.fields(), ["display_name", "did_numbers"]);
    assert_eq!(mapping.country("us").unwrap().code, "1");
    assert_eq!(mapping.country("elsewhere").unwrap().code, "44");
    assert_eq!(mapping.statement_timeout().as_secs(), 5);
}

#[test]
fn all_mistakes_are_told_at_once() {
    let found = codes(
        r#"
nmae = "x"
product = 5
query = "select 1; drop table users"
account_key = " "
statement_timeout = "1 fortnight"
minimum_postgresql = 9
[columns]
dnd = { column = "dnd", kind = "text" }
enabled = { column = "on", kind = "boolean" }
nickname = { column = "nick", kind = "text" }
email = { kind = "text", colum = "mail" }
follow_me = "list"
[default_country]
code = "+44"
digits = [10]
[country.x]
code = "44"
[secrets]
users = "password"
"#,
    );
    let expected = [
        ("mapping_unknown_key", "nmae"),
        ("mapping_missing_key", "name"),
        ("mapping_wrong_type", "product"),
        ("mapping_query_several", "query"),
        ("mapping_bad_value", "account_key"),
        ("mapping_missing_key", "user_key"),
        ("mapping_bad_value", "statement_timeout"),
        ("mapping_bad_value", "minimum_postgresql"),
        ("mapping_unknown_field", "columns.nickname"),
        ("mapping_unknown_key", "columns.email.colum"),
        ("mapping_missing_key", "columns.email.column"),
        ("mapping_wrong_kind", "columns.dnd.kind"),
        ("mapping_wrong_type", "columns.follow_me"),
        ("mapping_unknown_kind", "columns.enabled.kind"),
        ("mapping_bad_country", "default_country"),
        ("mapping_bad_country", "country.x"),
        ("mapping_wrong_type", "secrets.users"),
    ];
    assert_eq!(found, expected.map(|(code, key)| (code, key.to_owned())));
}

#[test]
fn queries_and_files_are_checked() {
    let with = |query: &str| {
        let head = "name = 'x'\nproduct = 'x'\naccount_key = 'a'\nuser_key = 'u'\n";
        codes(&format!("{head}{query}\n[columns]\ndnd = {{ column = 'd', kind = 'flag' }}\n"))
    };
    for (query, code, key) in [
        ("", "mapping_missing_key", "query"),
        ("query = 'delete from users'", "mapping_query_not_select", "query"),
        ("query = 'select 1 from users for update'", "mapping_query_writes", "query"),
        ("query = 'select $1'", "mapping_query_parameter", "query"),
        ("query = 'select 1'\nquery_file = 'q.sql'", "mapping_query_twice", "query"),
        ("query_file = 'q.sql'", "mapping_query_file", "query_file"),
    ] {
        assert_eq!(with(query), [(code, key.to_owned())], "{query}");
    }
    assert_eq!(codes("name = 'x'\nname = 'y'"), [("mapping_syntax", "(file)".to_owned())]);
    assert_eq!(codes("name ="), [("mapping_syntax", "(file)".to_owned())]);
}

#[test]
fn a_query_file_stays_beside_its_mapping() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("m.toml");
    let text = |query: &str| GOOD.replace("query = \"select id, tenant, names, numbers from users\"", query);
    std::fs::write(folder.path().join("q.sql"), "select 1")?;
    std::fs::write(&file, text("query_file = \"q.sql\""))?;
    assert_eq!(Mapping::load(&file)?.query(), "select 1");
    let code = |result: Result<Mapping, MappingErrors>| {
        result.map(|_| ()).map_err(|e| e.iter().next().map(|e| e.code))
    };
    for outside in ["../q.sql", "/etc/hostname", "none.sql"] {
        std::fs::write(&file, text(&format!("query_file = \"{outside}\"")))?;
        assert_eq!(code(Mapping::load(&file)), Err(Some("mapping_query_file")), "{outside}");
    }
    assert_eq!(code(Mapping::load(&folder.path().join("none.toml"))), Err(Some("mapping_unreadable")));
    let shown = Mapping::load(&file).unwrap_err().to_string();
    assert!(shown.contains("query_file") && shown.contains("mapping_query_file"), "{shown}");
    Ok(())
}
