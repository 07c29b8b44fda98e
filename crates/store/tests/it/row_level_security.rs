//! Account A's context sees none of B's rows, in any table, also in tables that do not exist yet: a new table with a
//! column `account_id` fails these tests until it is protected and a row of it is described here.

use anyhow::{Context, Result};
use sqlx::{AssertSqlSafe, PgConnection, Row};
use tandem_domain::AccountId;
use tandem_store::{Login, Tx};
use tandem_testkit::Pg;
use uuid::{Uuid, uuid};

use crate::database;

const A: Uuid = uuid!("0190a000-0000-7000-8000-00000000000a");
const B: Uuid = uuid!("0190a000-0000-7000-8000-00000000000b");

/// A row of each table for account `{a}`, the `{n}`th of the test; `{u}` is an id of its own. Foreign keys are not
/// checked while these are inserted.
const ROWS: &[(&str, &str)] = &[
    ("admin.accounts", "(account_id, name, label) values ({a}, 'account-{n}', 'Account {n}')"),
    ("admin.mappings", "(account_id, pbx_user_id, microsoft_user, service) values ({a}, '101', {u}, 'voice')"),
    ("admin.policy_rules", "(account_id, position, rule) values ({a}, 0, '{}')"),
    ("admin.requests", "(request_id, account_id, kind, scope, person) values ({u}, {a}, 'sync', 'all', 'test')"),
    (
        "admin.invitations",
        "(link_hash, account_id, invited, invited_by, expires_at) values (sha256(({u})::text::bytea), {a}, 'i', 't', now())",
    ),
    (
        "admin.imports",
        "(import_id, account_id, person_id, digest, lines, created_at, expires_at)
         values ({u}, {a}, {u}, sha256(({u})::text::bytea), '[]', now(), now() + interval '1 h')",
    ),
    ("admin.bulk_items", "(bulk_id, job_id, account_id) values ({u}, {u}, {a})"),
    ("pbx.bindings", "(source, account_key, account_id) values ('pbx', 'key-{n}', {a})"),
    ("pbx.profiles", "(account_id, pbx_user_id, source, profile, digest) values ({a}, '101', 'pbx', '{}', 1)"),
    ("pbx.spool", "(source, run, seq, account_id, pbx_user_id) values ('pbx', {u}, 1, {a}, '101')"),
    ("pbx.held_deletions", "(account_id, source, missing, known) values ({a}, 'pbx', 1, 2)"),
    ("pbx.push_receipts", "(account_id, webhook_id, body_digest, gen, changed) values ({a}, 'msg', '', 1, 1)"),
    (
        "pbx.troubleshooting",
        "(account_id, until, person, reason, switched_at) values ({a}, now(), 'test', 'test', now())",
    ),
    ("change.generations", "(account_id, gen) values ({a}, 1)"),
    (
        "change.log",
        "(account_id, gen, pbx_user_id, kind, fields, source, detected_at)
         values ({a}, 1, '101', 'created', '{}', 'pbx', now())",
    ),
    ("queue.windows", "(account_id) values ({a})"),
    (
        "queue.jobs",
        "(job_id, account_id, job_type, scope, state, cause, due_at)
         values ({u}, {a}, 'auto', 'changed', 'queued', 'window', now())",
    ),
    ("queue.events", "(account_id, job_id, number, kind, data) values ({a}, {u}, 1, 'queued', '{}')"),
    ("sync.accounts", "(account_id) values ({a})"),
    (
        "sync.runs",
        "(job_id, epoch, account_id, from_gen, to_gen, fingerprint) values ({u}, 1, {a}, 0, 1, 'f')",
    ),
    ("sync.steps", "(job_id, epoch, account_id, no, step) values ({u}, 1, {a}, 1, '{}')"),
    ("sync.users", "(account_id, pbx_user_id, microsoft_user) values ({a}, '101', {u})"),
    ("sync.standing", "(account_id, microsoft_user, pbx_user_id) values ({a}, {u}, '101')"),
    (
        "sync.deferred",
        "(account_id, pbx_user_id, reason, detail, next_look, job_id) values ({a}, '101', 'r', 'd', now(), {u})",
    ),
    ("sync.held", "(held_id, account_id, job_id, fingerprint, removals) values ({u}, {a}, {u}, 'f', '[]')"),
    (
        "sync.decisions",
        "(account_id, pbx_user_id, microsoft_user, kind, gen, person) values ({a}, '101', {u}, 'rejected', 1, 'test')",
    ),
    ("sync.looks", "(look_id, account_id, question) values ({u}, {a}, '{}')"),
    (
        "sync.previews",
        "(preview_id, account_id, kind, scope, person, error_code) values ({u}, {a}, 'sync', 'all', 'test', 'c')",
    ),
    (
        "sync.intents",
        "(intent_id, account_id, job_id, epoch, step, pbx_user_id, microsoft_user, action, number, state, client_request_id)
         values ({u}, {a}, {u}, 1, 1, '101', {u}, 'assign_number', '+12125550101', 'sent', {u})",
    ),
    ("sync.discoveries", "(discovery_id, account_id, job_id, epoch, state) values ({u}, {a}, {u}, 1, 'running')"),
    (
        "sync.microsoft_users",
        "(account_id, microsoft_user, upn, kind, phone_plan, account_enabled, discovery_id)
         values ({a}, {u}, 'ana@customer.example', 'user', 'enabled', true, {u})",
    ),
    ("vault.authorizations", "(account_id, tenant_id, client_id, state, bound_by) values ({a}, {u}, 'c', 'healthy', 't')"),
    (
        "vault.authorization_history",
        "(account_id, subject, from_state, to_state) values ({a}, 'authorization', 'none', 'healthy')",
    ),
    (
        "vault.secrets",
        "(account_id, kind, tenant_id, key_id, sealed, label, created_by)
         values ({a}, 'app_credential', {u}, '0123456789abcdef', '', 'l', 't')",
    ),
    (
        "vault.job_tokens",
        "(request_id, account_id, tenant_id, oid, key_id, sealed, expires_at)
         values ({u}, {a}, {u}, {u}, '0123456789abcdef', '', now())",
    ),
    (
        "admin.connect_links",
        "(link_hash, account_id, purpose, made_by, expires_at) values (sha256(({u})::text::bytea), {a}, 'connect', 't', now())",
    ),
    (
        "admin.connect_attempts",
        "(attempt_id, account_id, link_hash, session_hash, step, authority)
         values ({u}, {a}, sha256(({u})::text::bytea), sha256(({u})::text::bytea), 'signing_in', 'organizations')",
    ),
    (
        "vault.proofs",
        "(proof_id, account_id, tenant_id, client_id, admin_oid, admin_name) values ({u}, {a}, {u}, 'c', {u}, 'n')",
    ),
    (
        "log.jobs",
        "(job_id, account_id, job_type, scope, state, queued_at, event_number)
         values (log.uuid_at(now() + {n} * interval '1 ms'), {a}, 'auto', 'changed', 'queued', now(), 1)",
    ),
    (
        "log.steps",
        "(job_id, number, account_id, at, kind, data)
         values (log.uuid_at(now() + {n} * interval '1 ms'), 1, {a}, now(), 'queued', '{}')",
    ),
    ("admin.memberships", "(account_id, person_id, role, source, granted_by) values ({a}, {u}, 'account_admin', 'claims', 't')"),
    (
        "admin.visits",
        "(account_id, session_hash, reason, entered_at, ends_at)
         values ({a}, sha256(({u})::text::bytea), 'r', now(), now() + interval '1 h')",
    ),
    (
        "admin.idempotency",
        "(account_id, person_id, key, digest, request_id, created_at) values ({a}, {u}, 'k', sha256(''), {u}, now())",
    ),
    (
        "admin.audit",
        "(account_id, number, at, name, act, outcome, subject, reason, hash)
         values ({a}, {n}, now(), 'n', 'a', 'allowed', '', '', sha256(''))",
    ),
    ("admin.audit_heads", "(account_id, number, hash) values ({a}, 1, sha256(''))"),
    ("mail.settings", "(account_id, hour, updated_at) values ({a}, 8, now())"),
    (
        "mail.recipients",
        "(account_id, address, role, added_by, added_at) values ({a}, 'ana@customer.example', 'further', 't', now())",
    ),
    (
        "mail.mails",
        "(mail_id, account_id, kind, period, about, created_at) values ({u}, {a}, 'test', 'p', '{}', now())",
    ),
    (
        "mail.deliveries",
        "(mail_id, address, account_id, next_try) values ({u}, 'ana@customer.example', {a}, now())",
    ),
    ("log.rollups", "(account_id, hour, job_type, state, jobs) values ({a}, now(), 'auto', 'succeeded', 1)"),
];

#[derive(Debug)]
struct Table {
    name: String,
    partition: bool,
    enabled: bool,
    forced: bool,
}

async fn tables(owner: &mut PgConnection) -> Result<Vec<Table>> {
    let rows = sqlx::query(
        "select format('%I.%I', n.nspname, c.relname) as name, c.relispartition, c.relrowsecurity, c.relforcerowsecurity
           from pg_class c join pg_namespace n on n.oid = c.relnamespace
           join pg_attribute a on a.attrelid = c.oid and a.attname = 'account_id' and not a.attisdropped
          where c.relkind in ('r', 'p', 'f') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
          order by 1",
    )
    .fetch_all(owner)
    .await?;
    Ok(rows
        .iter()
        .map(|row| Table {
            name: row.get("name"),
            partition: row.get("relispartition"),
            enabled: row.get("relrowsecurity"),
            forced: row.get("relforcerowsecurity"),
        })
        .collect())
}

async fn prepared() -> Result<(Pg, PgConnection)> {
    let pg = database::migrated().await?;
    tandem_store::log::make_months(&database::store(&pg, Login::SyncLog)).await?;
    let owner = database::owner(&pg).await?;
    Ok((pg, owner))
}

#[tokio::test]
async fn every_table_of_accounts_is_closed() {
    let (_pg, mut owner) = prepared().await.unwrap();
    let tables = tables(&mut owner).await.unwrap();
    assert!(
        tables.iter().filter(|t| t.partition).count() >= 6,
        "months of log.jobs and log.steps: {tables:?}"
    );
    for table in &tables {
        assert!(table.enabled && table.forced, "{} lacks row-level security: call ops.protect", table.name);
        let policies = sqlx::query(
            "select policyname::text, roles::text[], cmd, permissive, qual, with_check from pg_policies
              where format('%I.%I', schemaname, tablename) = $1",
        )
        .bind(&table.name)
        .fetch_all(&mut owner)
        .await
        .unwrap();
        if table.partition {
            assert!(policies.is_empty(), "{} is reached through its parent only", table.name);
            continue;
        }
        let people: Vec<_> = policies
            .iter()
            .filter(|p| {
                let roles: Vec<String> = p.get("roles");
                roles.iter().any(|r| r == Login::Portal.name() || r == "public")
            })
            .collect();
        assert_eq!(people.len(), 1, "{}: people have the account policy and no other", table.name);
        let (using, checks): (String, Option<String>) = (people[0].get("qual"), people[0].get("with_check"));
        assert_eq!(people[0].get::<String, _>("cmd"), "ALL");
        assert!(
            using.contains("account_id = (NULLIF(current_setting('tandem.account'"),
            "{}: {using}",
            table.name
        );
        assert_eq!(Some(using), checks, "{}", table.name);
    }
}

#[tokio::test]
async fn nobody_but_the_owner_gets_around_it() {
    let (_pg, mut owner) = prepared().await.unwrap();
    let strong: Vec<String> = sqlx::query_scalar(
        "select rolname::text from pg_roles r where rolname like 'tandem%'
            and (rolsuper or rolbypassrls or rolcreaterole
                 or exists (select from pg_auth_members m where m.member = r.oid)
                 or exists (select from pg_class c where c.relowner = r.oid))",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    assert_eq!(strong, Vec::<String>::new());
    let views: Vec<String> = sqlx::query_scalar(
        "select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
          where c.relkind in ('v', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
            and not coalesce(c.reloptions @> array['security_invoker=true'], false)",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    assert_eq!(views, Vec::<String>::new(), "a view reads as its owner unless it says security_invoker");
}

#[tokio::test]
async fn an_account_sees_its_own_rows_only() {
    let (pg, mut owner) = prepared().await.unwrap();
    let tables = tables(&mut owner).await.unwrap();
    insert_rows(&mut owner).await.unwrap();
    // grants may grow: the rows must be closed even where the portal may not look today
    sqlx::raw_sql(
        "do $$ declare s name; begin
           for s in select nspname from pg_namespace where nspname in
                       ('admin', 'pbx', 'change', 'queue', 'sync', 'vault', 'log', 'ops', 'mail') loop
             execute format('grant usage on schema %I to tandem_portal', s);
             execute format('grant select, insert, update, delete on all tables in schema %I to tandem_portal', s);
           end loop;
         end $$",
    )
    .execute(&mut owner)
    .await
    .unwrap();
    // what refuses every change would hide what the policies do
    sqlx::raw_sql("alter table admin.audit disable trigger user").execute(&mut owner).await.unwrap();
    let portal = database::store(&pg, Login::Portal);
    for table in &tables {
        let name = &table.name;
        if !table.partition {
            assert!(
                ROWS.iter().any(|(known, _)| known == name),
                "{name} is new: describe a row of it in ROWS"
            );
            let accounts: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe(format!(
                "select distinct account_id from {name} order by account_id"
            )))
            .fetch_all(&mut owner)
            .await
            .unwrap();
            assert_eq!(accounts, [A, B], "{name} holds rows of both accounts");
        }
        for account in [A, B] {
            let mut tx = portal.begin_for("test.look", AccountId(account)).await.unwrap();
            let seen = seen(&mut tx, name).await.unwrap();
            let expected = if table.partition { vec![] } else { vec![account] };
            assert_eq!(seen, expected, "{name} as {account}");
            assert_eq!(touched(&mut tx, name).await.unwrap(), expected.len() as u64, "{name} as {account}");
        }
        let mut tx = portal.begin("test.look").await.unwrap();
        assert_eq!(seen(&mut tx, name).await.unwrap(), Vec::<Uuid>::new(), "{name} without a context");
    }
    for (name, values) in ROWS {
        let mut tx = portal.begin_for("test.write", AccountId(A)).await.unwrap();
        let refused = sqlx::raw_sql(AssertSqlSafe(row(name, values, B, 3))).execute(&mut *tx).await;
        let error = refused.map(drop).unwrap_err().to_string();
        assert!(error.contains("row-level security"), "{name}: A writes a row of B: {error}");
    }
}

async fn insert_rows(owner: &mut PgConnection) -> Result<()> {
    sqlx::raw_sql("set session_replication_role = replica").execute(&mut *owner).await?;
    for (n, account) in [(1, A), (2, B)] {
        for (name, values) in ROWS {
            let insert = row(name, values, account, n);
            sqlx::raw_sql(AssertSqlSafe(insert)).execute(&mut *owner).await.context(*name)?;
        }
    }
    sqlx::raw_sql("set session_replication_role = origin").execute(&mut *owner).await?;
    Ok(())
}

fn row(name: &str, values: &str, account: Uuid, n: u128) -> String {
    let own = Uuid::from_u128(0xF00 + n);
    let values = values.replace("{a}", &format!("'{account}'")).replace("{u}", &format!("'{own}'"));
    format!("insert into {name} {}", values.replace("{n}", &n.to_string()))
}

async fn seen(tx: &mut Tx, name: &str) -> Result<Vec<Uuid>> {
    let look = format!("select account_id from {name}");
    Ok(sqlx::query_scalar(AssertSqlSafe(look)).fetch_all(&mut **tx).await?)
}

async fn touched(tx: &mut Tx, name: &str) -> Result<u64> {
    let update = format!("update {name} set account_id = account_id");
    Ok(sqlx::query(AssertSqlSafe(update)).execute(&mut **tx).await?.rows_affected())
}
