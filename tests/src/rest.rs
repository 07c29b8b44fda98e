//! Rest: nothing waits, nothing is open, and the two counters meet.

use std::time::Duration;

use anyhow::{Result, ensure};
use sqlx::Row;
use tandem_testkit::eventually;

use crate::{Account, Tester};

/// What keeps the system from being at rest, one count each.
const UNREST: &str = "
  select 'changes not gathered' as what, count(*) as n from change.generations g left join queue.windows w using (account_id)
   where g.gen > coalesce(w.gathered_gen, 0)
  union all select 'windows open', count(*) from queue.windows w join admin.accounts a using (account_id) where w.first_change_at is not null and a.auto_sync
  union all select 'jobs queued or running', count(*) from queue.jobs where state in ('queued', 'running')
  union all select 'intents open', count(*) from sync.intents where ended_at is null
  union all select 'users settling', count(*) from sync.users where settle_next is not null
  union all select concat('users deferred: ', string_agg(distinct reason || ' ' || detail, '; ')), count(*) from sync.deferred
  union all select 'announcements waiting', count(*) from ops.outbox
  union all select 'requests waiting', count(*) from admin.requests where taken_at is null
  union all select 'events not logged', count(*) from queue.jobs j left join log.jobs l using (job_id)
             where $1 and coalesce(l.event_number, 0) < j.event_number
  union all select 'changes neither settled nor explained', count(*) from change.log c
             join admin.accounts a using (account_id)
             left join sync.users u using (account_id, pbx_user_id)
             left join sync.accounts s using (account_id)
            where a.auto_sync and (
              case when c.pbx_user_id is null then coalesce(s.covered_gen, 0) < c.gen
                   -- nobody waits for a user without mapping on whom nothing of ours stands
                   when not exists (select from admin.mappings m where m.account_id = c.account_id and m.pbx_user_id = c.pbx_user_id)
                    and not exists (select from sync.standing t where t.account_id = c.account_id and t.pbx_user_id = c.pbx_user_id) then false
                   when u.pbx_user_id is null then true
                   else u.settled_gen < c.gen and not (u.attempted_gen >= c.gen and u.outcome in ('conflict', 'failed', 'held', 'deferred'))
              end)";

impl Tester {
    /// What is not at rest, with counts.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn unrest(&self, logged: bool) -> Result<Vec<(String, i64)>> {
        let rows = sqlx::query(UNREST).bind(logged).fetch_all(&self.admin).await?;
        Ok(rows.iter().map(|r| (r.get("what"), r.get("n"))).filter(|(_, n): &(String, i64)| *n > 0).collect())
    }

    /// Waits until the system is at rest.
    ///
    /// # Panics
    /// When it is not after [`Tester::patience`]; what is left is printed.
    pub async fn at_rest(&self) {
        let last = std::sync::Mutex::new(Vec::new());
        let waiting = eventually(self.patience + Duration::from_secs(2), || async {
            let unrest = self.unrest(true).await.unwrap_or_else(|error| vec![(error.to_string(), 1)]);
            if unrest.is_empty() {
                return Some(());
            }
            if let Ok(mut last) = last.lock() {
                *last = unrest;
            }
            None
        });
        if tokio::time::timeout(self.patience, waiting).await.is_err() {
            panic!("not at rest: {:?}", last.lock());
        }
    }

    /// States of the account's jobs, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn jobs(&self, account: &Account) -> Result<Vec<String>> {
        Ok(sqlx::query_scalar("select state from queue.jobs where account_id = $1 order by queued_at")
            .bind(account.id.0)
            .fetch_all(&self.admin)
            .await?)
    }

    /// One number from the database.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn count(&self, sql: &'static str) -> Result<i64> {
        Ok(sqlx::query_scalar(sql).fetch_one(&self.admin).await?)
    }

    /// Ends the test: stops the roles and fails when anything is left behind.
    ///
    /// # Errors
    /// When work, dead letters or background errors are left, or a message was not consumed.
    pub async fn finish(mut self) -> Result<()> {
        self.at_rest().await;
        self.verdicts().await?;
        self.stop_roles().await?;
        let back = self.unrest(true).await?;
        ensure!(back.is_empty(), "work came back while the roles stopped: {back:?}");
        self.admin.close().await;
        self.sim.shutdown().await;
        Ok(())
    }

    /// Ends a test that drove the tables by itself: nothing of it is expected to come to rest.
    pub async fn abandon(self) {
        self.admin.close().await;
        self.sim.shutdown().await;
    }

    /// Invariants that hold at any rest.
    ///
    /// # Errors
    /// Names the one that does not.
    pub async fn verdicts(&self) -> Result<()> {
        for (what, sql) in [
            ("dead letters", "select count(*) from ops.dead_letters"),
            (
                "jobs whose counts do not add up",
                "select count(*) from queue.jobs where counts is not null and
                 (counts->>'planned')::int <> (counts->>'confirmed')::int + (counts->>'unchanged')::int + (counts->>'deferred')::int
                   + (counts->>'held')::int + (counts->>'conflict')::int + (counts->>'failed')::int",
            ),
            (
                "accounts with two running jobs at some time",
                "select count(*) from queue.jobs a join queue.jobs b on a.account_id = b.account_id and a.job_id < b.job_id
                  where a.started_at < b.finished_at and b.started_at < a.finished_at",
            ),
            (
                "two intents on one number at one time",
                "select count(*) from sync.intents a join sync.intents b on a.account_id = b.account_id and a.number = b.number and a.intent_id < b.intent_id
                  where a.created_at < b.ended_at and b.created_at < a.ended_at",
            ),
            ("gaps in event numbers", "select count(*) from queue.jobs j where event_number <> (select count(*) from queue.events e where e.job_id = j.job_id)"),
        ] {
            let found = self.count(sql).await?;
            ensure!(found == 0, "{found} {what}");
        }
        self.writes_on_record().await
    }
}
