//! A migrated database with an account, and jobs to which things happen.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use anyhow::Result;
use secrecy::SecretString;
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tandem_domain::{AccountId, JobId};
use tandem_runtime::{Clock, Ctx, Ids};
use tandem_store::log_read::{JobRow, StepFilter, StepRow};
use tandem_store::{DbConfig, Login, Store, log_read};
use tandem_sync_log::Keeper;
use tandem_testkit::Pg;
use uuid::{Uuid, uuid};

const PASSWORD: &str = "of-tests-only";

pub(crate) const ACCOUNT: AccountId = AccountId(uuid!("0190a000-0000-7000-8000-00000000000a"));

pub(crate) struct World {
    pub(crate) pg: Pg,
    pub(crate) owner: PgConnection,
    pub(crate) ctx: Ctx,
}

impl World {
    pub(crate) async fn start() -> Result<Self> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../store/migrations");
        let mut files: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<_, _>>()?;
        files.sort_by_key(std::fs::DirEntry::file_name);
        let mut hasher = DefaultHasher::new();
        for file in files {
            std::fs::read(file.path())?.hash(&mut hasher);
        }
        let key = format!("sync-log-{:016x}", hasher.finish());
        let pg = Pg::start_prepared(&key, async |pg: &Pg| {
            let passwords: BTreeMap<&'static str, SecretString> =
                Login::ALL.iter().map(|login| (login.name(), SecretString::from(PASSWORD))).collect();
            let database = DbConfig::local(pg.server.port(), &pg.database);
            tandem_store::migrate(&database, "postgres", pg.server.password(), &passwords).await?;
            Ok(())
        })
        .await?;
        let mut owner = PgConnection::connect(&pg.url).await?;
        sqlx::query("insert into admin.accounts (account_id, name, label) values ($1, 'orchid', 'Orchid')")
            .bind(ACCOUNT.0)
            .execute(&mut owner)
            .await?;
        Ok(Self { pg, owner, ctx: Ctx::quiet(Clock::system(), Ids::seeded(7)) })
    }

    pub(crate) fn store(&self, login: Login) -> Store {
        let database = DbConfig::local(self.pg.server.port(), &self.pg.database);
        Store::connect(&database, login, &SecretString::from(PASSWORD))
    }

    pub(crate) fn keeper(&self) -> Keeper {
        Keeper::new(&self.ctx, self.store(Login::SyncLog))
    }

    /// A job without events. It is failed for the queue, where one job at a time may be queued; the log goes by the
    /// events alone.
    pub(crate) async fn job(&mut self) -> Result<JobId> {
        let job = JobId(self.ctx.ids.v7(&self.ctx.clock));
        self.job_with_id(job).await?;
        Ok(job)
    }

    pub(crate) async fn job_with_id(&mut self, job: JobId) -> Result<()> {
        sqlx::query(
            "insert into queue.jobs (job_id, account_id, job_type, scope, state, cause, due_at, started_at, finished_at, error_code)
             values ($1, $2, 'auto', 'changed', 'failed', 'window', now(), now(), now(), 'test')",
        )
        .bind(job.0)
        .bind(ACCOUNT.0)
        .execute(&mut self.owner)
        .await?;
        Ok(())
    }

    /// Something happens to a job.
    pub(crate) async fn happen(&mut self, job: JobId, kind: &str, data: &Value) -> Result<i64> {
        self.happen_raw(job, kind, &data.to_string()).await
    }

    pub(crate) async fn happen_raw(&mut self, job: JobId, kind: &str, data: &str) -> Result<i64> {
        Ok(sqlx::query_scalar(
            "with job as (update queue.jobs set event_number = event_number + 1 where job_id = $1 returning *)
             insert into queue.events (account_id, job_id, number, kind, data)
             select account_id, job_id, event_number, $2, $3::json from job returning number",
        )
        .bind(job.0)
        .bind(kind)
        .bind(data)
        .fetch_one(&mut self.owner)
        .await?)
    }

    pub(crate) async fn record(&self, job: JobId) -> Result<Option<JobRow>> {
        let mut tx = self.store(Login::Operator).begin("test.job").await?;
        Ok(log_read::job(&mut tx, job).await?)
    }

    pub(crate) async fn steps(&self, job: JobId) -> Result<Vec<StepRow>> {
        let mut tx = self.store(Login::Operator).begin("test.steps").await?;
        Ok(log_read::steps(&mut tx, job, &StepFilter::default(), 0, log_read::MAX_PAGE).await?)
    }

    /// Numbers of the steps in the log.
    pub(crate) async fn numbers(&self, job: JobId) -> Result<Vec<i64>> {
        Ok(self.steps(job).await?.iter().map(|step| step.number).collect())
    }

    /// The whole log as text, with the transaction that wrote each row: equal texts mean that nothing was written.
    pub(crate) async fn snapshot(&mut self) -> Result<Vec<String>> {
        Ok(sqlx::query_scalar(
            "select j.xmin || ' ' || j::text from log.jobs j
             union all select s.xmin || ' ' || s::text from log.steps s
             union all select r.xmin || ' ' || r::text from log.rollups r order by 1",
        )
        .fetch_all(&mut self.owner)
        .await?)
    }

    /// Sum of the rollups: job type, state, jobs.
    pub(crate) async fn counted(&mut self) -> Result<Vec<(String, String, i64)>> {
        Ok(sqlx::query_as(
            "select job_type, state, sum(jobs)::bigint from log.rollups group by 1, 2 order by 1, 2",
        )
        .fetch_all(&mut self.owner)
        .await?)
    }

    /// Events left in the queue.
    pub(crate) async fn queued_events(&mut self) -> Result<Vec<(Uuid, i64)>> {
        Ok(sqlx::query_as("select job_id, number from queue.events order by 1, 2")
            .fetch_all(&mut self.owner)
            .await?)
    }
}
