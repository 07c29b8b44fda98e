//! What people ask for beside a sync, and what becomes of it.

use std::time::Duration;

use anyhow::{Context, Result};
use sqlx::Row;
use tandem_domain::JobId;
use tandem_store::Login;
use tandem_store::admin::requests::{self, Ask};
use tandem_store::held::{self, Held};
use tandem_store::previews::{self, Planned};
use tandem_testkit::eventually;
use uuid::Uuid;

use crate::edits::Edit;
use crate::{Account, Tester};

/// A job that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Over {
    /// The job.
    pub job: JobId,
    /// Its final state.
    pub state: String,
    /// Stable code of its failure.
    pub code: Option<String>,
    /// Fingerprint of its plan.
    pub fingerprint: Option<String>,
    /// The job that it follows up or undoes.
    pub linked: Option<Uuid>,
}

impl Tester {
    /// A person asks for something; returns the id of the request.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn ask(&self, account: &Account, ask: Ask) -> Result<Uuid> {
        let ctx = self.context();
        let request = ctx.ids.v7(&ctx.clock);
        let store = self.store(Login::Operator);
        let mut tx = store.begin("test.ask").await?;
        requests::ask(&mut tx, request, account.id, ask, "Terry Tester", Some("a test")).await?;
        tx.commit().await?;
        store.close().await;
        Ok(request)
    }

    /// Asks for something that needs no job; stable code of the refusal, if it was refused.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn answer(&self, account: &Account, ask: Ask) -> Result<(Uuid, Option<String>)> {
        let request = self.ask(account, ask).await?;
        let code = eventually(Duration::from_secs(30), || async {
            let query =
                "select answer_code from admin.requests where request_id = $1 and answered_at is not null";
            let row = sqlx::query(query).bind(request).fetch_optional(&self.admin).await.ok()??;
            Some(row.get::<Option<String>, _>("answer_code"))
        })
        .await;
        Ok((request, code))
    }

    /// Asks for a plan without anything being written.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn preview(&self, account: &Account, ask: Ask) -> Result<(Uuid, Planned)> {
        let (id, code) = self.answer(account, ask).await?;
        anyhow::ensure!(code.is_none(), "refused: {code:?}");
        let store = self.store(Login::Operator);
        let mut tx = store.begin("test.preview").await?;
        let found = previews::find(&mut tx, id).await?.context("the preview is there")?;
        tx.commit().await?;
        store.close().await;
        let planned = found.result.map_err(|(code, text)| anyhow::anyhow!("{code}: {text}"))?;
        Ok((id, planned))
    }

    /// Asks for something that a job carries out, and waits until that job is over.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn carried_out(&self, account: &Account, ask: Ask) -> Result<Over> {
        let request = self.ask(account, ask).await?;
        Ok(eventually(Duration::from_secs(40), || async {
            let query = "select j.job_id, j.state, j.error_code, j.fingerprint, j.linked_job from admin.requests r join queue.jobs j using (job_id)
                          where r.request_id = $1 and j.finished_at is not null";
            let row = sqlx::query(query).bind(request).fetch_optional(&self.admin).await.ok()??;
            Some(Over {
                job: JobId(row.get("job_id")),
                state: row.get("state"),
                code: row.get("error_code"),
                fingerprint: row.get("fingerprint"),
                linked: row.get("linked_job"),
            })
        })
        .await)
    }

    /// What waits for a person.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn held(&self, account: &Account) -> Result<Option<Held>> {
        let store = self.store(Login::Operator);
        let mut tx = store.begin("test.held").await?;
        let found = held::list(&mut tx, Some(account.id)).await?;
        tx.commit().await?;
        store.close().await;
        Ok(found.into_iter().next())
    }

    /// Details of the events of a kind about a user, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn told(&self, account: &Account, i: u32, kind: &str) -> Result<Vec<serde_json::Value>> {
        let query = "select data from log.steps where account_id = $1 and pbx_user_id = $2 and kind = $3 order by job_id, number";
        Ok(sqlx::query_scalar(query)
            .bind(account.id.0)
            .bind(account.user(i).0)
            .bind(kind)
            .fetch_all(&self.admin)
            .await?)
    }

    /// Switches the service of a mapping, as a person saves it.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn service(&self, account: &Account, i: u32, service: &str) -> Result<()> {
        let statement =
            sqlx::query("update admin.mappings set service = $3 where account_id = $1 and pbx_user_id = $2");
        let statement = statement.bind(account.id.0).bind(account.user(i).0).bind(service);
        self.edit(account, Edit::service(account, i), statement).await
    }
}
