//! A migrated database with accounts to which things happen in virtual time, and a notifier that looks when told.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use anyhow::{Context as _, Result};
use secrecy::SecretString;
use sqlx::{Connection, PgConnection};
use tandem_domain::AccountId;
use tandem_domain::mail::Address;
use tandem_domain::reminder::Calendar;
use tandem_letters::samples;
use tandem_notifier::{Carrier, Courier, NotifierSettings, Parts, Sender, Smtp, SmtpConfig, TlsMode, Watch};
use tandem_runtime::{Ctx, Ids, TestClock};
use tandem_store::{DbConfig, Login, Store};
use tandem_testkit::Pg;
use time::OffsetDateTime;
use time::macros::datetime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::server::Server;

const PASSWORD: &str = "of-tests-only";

/// A Monday; the clocks of Europe and America have their winter time.
pub(crate) const MONDAY: OffsetDateTime = datetime!(2026-11-02 09:00 UTC);

/// Where the Global Admin of an account reads mail.
pub(crate) fn admin(name: &str) -> String {
    format!("gale@{name}.example")
}

/// One notifier.
pub(crate) struct Notifier {
    pub(crate) watch: Watch,
    pub(crate) courier: Courier,
}

impl Notifier {
    /// Looks at the accounts, then at the outbox.
    pub(crate) async fn look(&self) -> Result<usize> {
        self.watch.sweep().await?;
        Ok(self.courier.round(&CancellationToken::new()).await?.sent)
    }
}

pub(crate) struct World {
    pub(crate) pg: Pg,
    pub(crate) owner: PgConnection,
    pub(crate) ctx: Ctx,
    pub(crate) clock: TestClock,
    pub(crate) server: Server,
    pub(crate) notifier: Notifier,
}

pub(crate) fn settings() -> Result<NotifierSettings> {
    Ok(NotifierSettings {
        sweep: Duration::from_secs(60),
        tick: Duration::from_millis(1),
        office: samples::office(),
        sender: Sender::new("Example Telecom", "tandem@provider.example", Some("bounces@provider.example"))?,
        calendar: Calendar::new("Europe/Berlin", 8)?,
        operators: vec![Address::parse("noc@provider.example")?],
        keep: time::Duration::days(396),
        claim: time::Duration::minutes(10),
        incident_accounts: 3,
    })
}

/// A mail server on this machine.
pub(crate) fn smtp(port: u16) -> SmtpConfig {
    SmtpConfig {
        host: "127.0.0.1".to_owned(),
        port,
        tls: TlsMode::None,
        ca_pem: None,
        login: None,
        hello: Some("tandem.provider.example".to_owned()),
        patience: Duration::from_secs(10),
        data_patience: Duration::from_secs(10),
    }
}

impl World {
    pub(crate) async fn start() -> Result<Self> {
        let pg = migrated().await?;
        let owner = PgConnection::connect(&pg.url).await?;
        let clock = TestClock::at(MONDAY);
        let ctx = Ctx::quiet(clock.clock(), Ids::seeded(7));
        let server = Server::start().await?;
        let carrier = Carrier::Smtp(Smtp::new(smtp(server.port))?);
        let parts = Parts { store: store(&pg, Login::Notifier), carrier };
        let notifier = Notifier {
            watch: Watch::new(&ctx, parts.store.clone(), settings()?),
            courier: Courier::new(&ctx, &parts, settings()?),
        };
        let mut world = Self { pg, owner, ctx, clock, server, notifier };
        for month in ["2026-10-01", "2026-11-01", "2026-12-01"] {
            world.run(&format!("select log.make_month('{month}')")).await?;
        }
        Ok(world)
    }

    /// Another notifier beside the first.
    pub(crate) fn another(&self, carrier: Carrier) -> Result<Notifier> {
        let ctx = Ctx::quiet(self.clock.clock(), Ids::random());
        let parts = Parts { store: store(&self.pg, Login::Notifier), carrier };
        Ok(Notifier {
            watch: Watch::new(&ctx, parts.store.clone(), settings()?),
            courier: Courier::new(&ctx, &parts, settings()?),
        })
    }

    pub(crate) async fn run(&mut self, sql: &str) -> Result<()> {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
            .execute(&mut self.owner)
            .await
            .with_context(|| sql.to_owned())?;
        Ok(())
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// An account with a connected tenant, a Global Admin, and one mapped user.
    pub(crate) async fn account(&mut self, name: &str, auto_sync: bool) -> Result<AccountId> {
        let id = self.ctx.ids.v7(&self.ctx.clock);
        let (admin, now) = (admin(name), self.now());
        self.run(&format!(
            "insert into admin.accounts (account_id, name, label, auto_sync, next_gen, licences)
               values ('{id}', '{name}', 'The {name}', {auto_sync}, true, 5);
             insert into admin.mappings (account_id, pbx_user_id, microsoft_user, service) values ('{id}', '101', gen_random_uuid(), 'voice');
             insert into change.generations (account_id) values ('{id}');
             insert into sync.accounts (account_id) values ('{id}');
             insert into pbx.profiles (account_id, pbx_user_id, source, profile, digest)
               values ('{id}', '101', 'pbx', '{{\"display_name\": \"Ana Silva\", \"extension\": \"101\"}}', 1);
             insert into vault.authorizations (account_id, tenant_id, client_id, state, bound_by, admin_oid, admin_name, since)
               values ('{id}', gen_random_uuid(), 'app', 'healthy', 'test', gen_random_uuid(), '{admin}', '{now}')"
        ))
        .await?;
        Ok(AccountId(id))
    }

    /// Somebody saves a change of the mapped user.
    pub(crate) async fn edit(&mut self, account: AccountId) -> Result<()> {
        let now = self.now();
        self.run(&format!(
            "update change.generations set gen = gen + 1 where account_id = '{account}';
             insert into change.log (account_id, gen, pbx_user_id, kind, fields, source, detected_at)
             select '{account}', gen, '101', 'updated', '{{did_numbers,extension}}', 'pbx', '{now}'
               from change.generations where account_id = '{account}';
             insert into queue.windows (account_id, first_change_at, last_change_at) values ('{account}', '{now}', '{now}')
             on conflict (account_id) do update
               set first_change_at = coalesce(queue.windows.first_change_at, excluded.first_change_at), last_change_at = excluded.last_change_at"
        ))
        .await
    }

    /// A sync ends so; it covers every change unless it failed.
    pub(crate) async fn sync(&mut self, account: AccountId, state: &str) -> Result<Uuid> {
        let job = self.ctx.ids.v7(&self.ctx.clock);
        let now = self.now();
        let error = match state {
            "failed" => "'microsoft_unavailable', 'Microsoft did not answer for 20 seconds'",
            _ => "null, null",
        };
        let covered = if state == "failed" || state == "cancelled" {
            ""
        } else {
            ", covered_gen = (select gen from change.generations g where g.account_id = a.account_id)"
        };
        self.run(&format!(
            "insert into queue.jobs (job_id, account_id, job_type, scope, state, cause, due_at, started_at, finished_at, error_code, error_text)
               values ('{job}', '{account}', 'auto', 'changed', '{state}', 'window', '{now}', '{now}', '{now}', {error});
             insert into log.jobs (job_id, account_id, job_type, scope, state, queued_at, finished_at, event_number, error_code, error_text)
               values ('{job}', '{account}', 'auto', 'changed', '{state}', '{now}', '{now}', 3, {error});
             update sync.accounts a set last_job = '{job}'{covered} where account_id = '{account}';
             update queue.windows set first_change_at = null, last_change_at = null, due_at = null where account_id = '{account}'"
        ))
        .await?;
        Ok(job)
    }

    /// Time passes; the notifier looks every `step`.
    pub(crate) async fn pass(&mut self, time: Duration, step: Duration) -> Result<()> {
        let until = self.now() + time;
        while self.now() < until {
            self.clock.advance(step);
            self.notifier.look().await?;
        }
        Ok(())
    }

    /// Times of mails to an address, as day and time of Berlin.
    pub(crate) fn subjects(&self, to: &str) -> Vec<String> {
        let mails = self.server.taken();
        let own = mails.iter().filter(|mail| mail.to.iter().any(|rcpt| rcpt.contains(&format!("<{to}>"))));
        own.map(|mail| mail.header("subject").unwrap_or_default()).collect()
    }

    /// Deliveries by kind and outcome.
    pub(crate) async fn outcomes(&mut self) -> Result<Vec<(String, String)>> {
        Ok(sqlx::query_as("select m.kind, d.outcome from mail.mails m join mail.deliveries d using (mail_id) order by m.created_at, d.address")
            .fetch_all(&mut self.owner)
            .await?)
    }
}

pub(crate) fn store(pg: &Pg, login: Login) -> Store {
    let database = DbConfig::local(pg.server.port(), &pg.database);
    Store::connect(&database, login, &SecretString::from(PASSWORD))
}

async fn migrated() -> Result<Pg> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../store/migrations");
    let mut files: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    files.sort_by_key(std::fs::DirEntry::file_name);
    let mut hasher = DefaultHasher::new();
    for file in files {
        std::fs::read(file.path())?.hash(&mut hasher);
    }
    let key = format!("notifier-{:016x}", hasher.finish());
    Pg::start_prepared(&key, async |pg: &Pg| {
        let passwords: BTreeMap<&'static str, SecretString> =
            Login::ALL.iter().map(|login| (login.name(), SecretString::from(PASSWORD))).collect();
        let database = DbConfig::local(pg.server.port(), &pg.database);
        tandem_store::migrate(&database, "postgres", pg.server.password(), &passwords).await?;
        Ok(())
    })
    .await
}
