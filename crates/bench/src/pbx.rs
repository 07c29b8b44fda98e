//! A PBX shaped like FusionPBX with as many users as wanted.

use anyhow::Result;
use secrecy::{ExposeSecret, SecretString};
use sqlx::Row;
use sqlx::postgres::{PgPool, PgPoolOptions};
use tandem_pbx::{Mapping, SqlSource, SqlSourceConfig, fixture};
use uuid::Uuid;

use crate::servers::{Servers, Stage};

/// Extensions of one domain.
pub(crate) const DOMAIN_USERS: u32 = 500;
/// Name of the source.
pub(crate) const SOURCE: &str = "main";

/// Domains of 500 extensions each. Most have a login and a mailbox, each second a number, some a forward or a list of
/// further targets. $1: number of domains.
const FILL: [&str; 8] = [
    "insert into v_domains (domain_uuid, domain_name, domain_enabled, insert_date)
     select ('d0000000-0000-4000-8000-' || lpad(to_hex(d), 12, '0'))::uuid, 'd' || d || '.pbx.example', true, now()
       from generate_series(1, $1) d",
    "insert into v_extensions (extension_uuid, domain_uuid, extension, effective_caller_id_name, directory_first_name,
            directory_last_name, enabled, do_not_disturb, forward_all_enabled, forward_all_destination, forward_busy_enabled,
            forward_no_answer_enabled, follow_me_enabled, follow_me_uuid, user_context, password, dial_string, insert_date)
     select md5('x' || domain_uuid || n)::uuid, domain_uuid, (1000 + n)::text, 'User ' || n, 'User', n::text, true, n % 50 = 0,
            n % 20 = 0, '1001', false, false, n % 20 = 1, md5('f' || domain_uuid || n)::uuid, domain_name,
            md5(n::text), 'sofia/internal/' || n, now()
       from v_domains, generate_series(1, 500) n",
    "insert into v_users (user_uuid, domain_uuid, username, user_email, user_enabled, password, insert_date)
     select md5('u' || extension_uuid)::uuid, domain_uuid, 'user' || extension, 'user' || extension || '@' || user_context, true,
            md5(extension), now()
       from v_extensions where extension::int % 10 > 0",
    "insert into v_extension_users (extension_user_uuid, domain_uuid, extension_uuid, user_uuid, insert_date)
     select md5('l' || extension_uuid)::uuid, domain_uuid, extension_uuid, md5('u' || extension_uuid)::uuid, now()
       from v_extensions where extension::int % 10 > 0",
    "insert into v_voicemails (voicemail_uuid, domain_uuid, voicemail_id, voicemail_mail_to, voicemail_enabled, insert_date)
     select md5('v' || extension_uuid)::uuid, domain_uuid, extension, 'user' || extension || '@' || user_context, true, now()
       from v_extensions where extension::int % 10 > 1",
    // numbers of the range reserved for fiction, told apart by what follows them
    "insert into v_destinations (destination_uuid, domain_uuid, destination_type, destination_number, destination_actions,
            destination_enabled, insert_date)
     select md5('n' || extension_uuid)::uuid, domain_uuid, 'inbound', '+121255501' || lpad((row_number() over ())::text, 7, '0'),
            json_build_array(json_build_object('destination_app', 'transfer',
              'destination_data', extension || ' XML ' || user_context)), true, now()
       from v_extensions where extension::int % 2 = 0",
    "insert into v_follow_me_destinations (follow_me_destination_uuid, domain_uuid, follow_me_uuid, follow_me_destination,
            follow_me_order, insert_date)
     select md5('t' || extension_uuid || o)::uuid, domain_uuid, follow_me_uuid, (1000 + o)::text, o, now()
       from v_extensions, generate_series(1, 2) o where follow_me_enabled",
    "analyze",
];

/// One user in a hundred gets another name.
pub(crate) const ONE_PERCENT: &str =
    "update v_extensions set effective_caller_id_name = 'User ' || extension || ' at ' || clock_timestamp()
    where extension::int % 100 = 7";

/// The PBX's database.
pub(crate) struct Pbx {
    pub(crate) name: String,
    pub(crate) url: SecretString,
    pub(crate) pool: PgPool,
}

impl Pbx {
    /// A PBX of `users` users, and in Tandem an account bound to each of its domains.
    pub(crate) async fn make(servers: &Servers, stage: &Stage, users: u32) -> Result<Self> {
        let name = format!("{}_pbx", stage.database);
        let url = servers.create_database(&name).await?;
        let pool = PgPoolOptions::new().max_connections(2).connect(url.expose_secret()).await?;
        sqlx::raw_sql(fixture::SCHEMA_5_5).execute(&pool).await?;
        let domains = i32::try_from(users / DOMAIN_USERS)?;
        for (at, statement) in FILL.into_iter().enumerate() {
            let query = sqlx::query(statement);
            if at == 0 { query.bind(domains) } else { query }.execute(&pool).await?;
        }
        let keys: Vec<Uuid> =
            sqlx::query_scalar("select domain_uuid from v_domains").fetch_all(&pool).await?;
        sqlx::query(
            "with fresh as (
               insert into admin.accounts (account_id, name, label)
               select id, 'd' || row_number() over (), 'd' from unnest($1::uuid[]) id returning account_id),
             counted as (insert into change.generations (account_id) select account_id from fresh)
             insert into pbx.bindings (source, account_key, account_id) select $2, account_id::text, account_id from fresh",
        )
        .bind(&keys)
        .bind(SOURCE)
        .execute(&stage.owner)
        .await?;
        Ok(Self { name, url, pool })
    }

    /// How long the query of the mapping takes when nothing is done with its rows.
    pub(crate) async fn query_s(&self) -> Result<f64> {
        use futures_util::TryStreamExt;
        let mapping = fusionpbx()?;
        let began = tokio::time::Instant::now();
        let query = sqlx::query(sqlx::AssertSqlSafe(mapping.query().to_owned())).persistent(false);
        let mut rows = query.fetch(&self.pool);
        let mut columns = 0;
        while let Some(row) = rows.try_next().await? {
            columns += row.len();
        }
        anyhow::ensure!(columns > 0, "the PBX is empty");
        Ok(began.elapsed().as_secs_f64())
    }

    /// Removes the PBX.
    pub(crate) async fn clear(self, servers: &Servers) -> Result<()> {
        self.pool.close().await;
        servers.drop_database(&self.name).await
    }
}

/// The shipped mapping.
pub(crate) fn fusionpbx() -> Result<Mapping> {
    anyhow::Context::context(Mapping::builtin("fusionpbx"), "the shipped mapping")
}

/// A source that is read through it.
pub(crate) fn source(url: &SecretString) -> Result<SqlSource> {
    let mut config = SqlSourceConfig::new(url.clone(), fusionpbx()?);
    config.statement_timeout = Some(std::time::Duration::from_secs(300));
    Ok(SqlSource::new(config)?)
}
