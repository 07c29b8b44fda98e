//! Looking at what happens meanwhile: deferred users, intents, requests that reached Microsoft.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tandem_testkit::eventually;
use uuid::Uuid;

use crate::{Account, Tester};

/// Writes of which no intent was on record when they arrived, and writes beside an open intent of the same user or number.
const UNRECORDED: &str = "
  with w as (select client, at::timestamptz as at from unnest($1::uuid[], $2::text[]) as w (client, at)),
       known as (select w.at, i.* from w join sync.intents i on i.client_request_id = w.client and i.created_at <= w.at)
  select (select count(*) from w) - (select count(*) from known),
         (select count(*) from known k join sync.intents o on o.account_id = k.account_id and o.intent_id <> k.intent_id
             and (o.microsoft_user = k.microsoft_user or o.number = k.number)
           where o.created_at <= k.at and coalesce(o.ended_at, 'infinity') > k.at)";

impl Tester {
    /// Waits until a query counts at least so many.
    ///
    /// # Panics
    /// When it does not within half a minute.
    #[track_caller]
    pub fn until(&self, sql: &'static str, at_least: i64) -> impl Future<Output = ()> {
        eventually(Duration::from_secs(30), move || async move {
            (self.count(sql).await.ok()? >= at_least).then_some(())
        })
    }

    /// Waits until a user is deferred for this reason.
    ///
    /// # Panics
    /// When it is not within half a minute.
    #[track_caller]
    pub fn until_deferred(
        &self,
        account: &Account,
        i: u32,
        reason: &'static str,
    ) -> impl Future<Output = ()> {
        let (account, user) = (account.id.0, account.user(i).0);
        eventually(Duration::from_secs(30), move || {
            let query = sqlx::query_scalar::<_, String>(
                "select reason from sync.deferred where account_id = $1 and pbx_user_id = $2",
            );
            let found = query.bind(account).bind(user.clone()).fetch_optional(&self.admin);
            async move { (found.await.ok()??.as_str() == reason).then_some(()) }
        })
    }

    /// Waits until a job that covers this generation is over.
    ///
    /// # Panics
    /// When none is within half a minute.
    #[track_caller]
    pub fn until_covered(&self, account: &Account, generation: i64) -> impl Future<Output = ()> {
        let account = account.id.0;
        eventually(Duration::from_secs(30), move || {
            let query = sqlx::query_scalar::<_, i64>(
                "select count(*) from queue.jobs where account_id = $1 and to_gen >= $2 and finished_at is not null",
            );
            let found = query.bind(account).bind(generation).fetch_one(&self.admin);
            async move { (found.await.ok()? > 0).then_some(()) }
        })
    }

    /// Outcome and code of a user, as the last job left them.
    ///
    /// # Errors
    /// When the database does not know the user.
    pub async fn outcome(&self, account: &Account, i: u32) -> Result<(String, Option<String>)> {
        let query =
            sqlx::query_as("select outcome, code from sync.users where account_id = $1 and pbx_user_id = $2");
        Ok(query.bind(account.id.0).bind(account.user(i).0).fetch_one(&self.admin).await?)
    }

    /// States of the intents of a user, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn intents(&self, account: &Account, i: u32) -> Result<Vec<String>> {
        let query = sqlx::query_scalar(
            "select state from sync.intents where account_id = $1 and microsoft_user = $2 order by created_at, intent_id",
        );
        Ok(query.bind(account.id.0).bind(account.oid(i).0).fetch_all(&self.admin).await?)
    }

    /// Requests of a kind that mention a text in address or body.
    ///
    /// # Errors
    /// When the simulator does not answer.
    pub async fn requests_about(&self, kind: &str, text: &str) -> Result<usize> {
        let mentions =
            |r: &&Value| r["body"].to_string().contains(text) || r["path"].to_string().contains(text);
        Ok(self.requests(kind).await?.iter().filter(mentions).count())
    }

    /// Ends the operation of an account that is still running.
    ///
    /// # Errors
    /// When there is none.
    pub async fn finish_operation(&self, account: &Account, status: &str) -> Result<()> {
        let path = format!("tenants/{}/operations", account.tenant);
        let found = self.switch(Method::GET, &path, None).await?;
        let all =
            found["operations"].as_array().or_else(|| found.as_array()).context("no list of operations")?;
        let running =
            all.iter().find(|o| !matches!(o["status"].as_str(), Some("succeeded" | "failed" | "skipped")));
        let id = running.and_then(|o| o["id"].as_str()).context("no operation is running")?;
        self.switch(Method::POST, &format!("{path}/{id}/finish"), Some(&json!({ "status": status }))).await?;
        Ok(())
    }

    /// Merges into what the tenant knows of a user.
    ///
    /// # Errors
    /// When the simulator refuses it.
    pub async fn change_teams(&self, account: &Account, i: u32, changes: &Value) -> Result<()> {
        let path = format!("tenants/{}/users/{}", account.tenant, account.oid(i).0);
        self.switch(Method::PATCH, &path, Some(changes)).await?;
        Ok(())
    }

    /// Takes consent away, and the tokens given so far with it.
    ///
    /// # Errors
    /// When the simulator refuses it.
    pub async fn revoke_consent(&self, account: &Account) -> Result<()> {
        let tenant = format!("tenants/{}", account.tenant);
        self.switch(Method::DELETE, &format!("{tenant}/consent"), None).await?;
        self.switch(Method::POST, &format!("{tenant}/revoke-tokens"), None).await?;
        Ok(())
    }

    /// Gives consent to these roles, or to those that Tandem needs.
    ///
    /// # Errors
    /// When the simulator refuses it.
    pub async fn consent(&self, account: &Account, roles: Option<&[&str]>) -> Result<()> {
        let mut consent = json!({ "appId": msgraph_sim::DEMO_APP });
        if let Some(roles) = roles {
            consent["roles"] = json!(roles);
        }
        let path = format!("tenants/{}/consent", account.tenant);
        self.switch(Method::POST, &path, Some(&consent)).await?;
        Ok(())
    }

    /// One counter of the simulator's statistics.
    ///
    /// # Errors
    /// When the simulator does not answer or has no such counter.
    pub async fn stat(&self, name: &str) -> Result<u64> {
        self.switch(Method::GET, "stats", None).await?[name]
            .as_u64()
            .with_context(|| format!("no counter {name}"))
    }

    /// Every write that reached Microsoft was on record before, and none went to a user or number whose last write
    /// had no known outcome.
    ///
    /// # Errors
    /// When that is not so.
    pub async fn writes_on_record(&self) -> Result<()> {
        let log = self.switch(Method::GET, "requests?mutating=true&limit=200000", None).await?;
        let writes = log["requests"].as_array().context("the request log is no list")?;
        let mut clients = Vec::new();
        let mut times = Vec::new();
        for write in writes {
            let id = write["clientRequestId"].as_str().context("a write without client-request-id")?;
            clients.push(Uuid::parse_str(id)?);
            times.push(write["at"].as_str().context("a write without time")?.to_owned());
        }
        let query = sqlx::query_as(UNRECORDED).bind(clients).bind(times);
        let (unrecorded, beside): (i64, i64) = query.fetch_one(&self.admin).await?;
        ensure!(unrecorded == 0, "{unrecorded} writes were not on record before they were sent");
        ensure!(beside == 0, "{beside} writes beside an open intent of the same user or number");
        Ok(())
    }
}
