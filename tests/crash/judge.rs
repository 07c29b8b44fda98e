//! Verdicts over what the simulator saw.

use anyhow::{Context, Result, ensure};
use sqlx::Row;
use sqlx::types::Uuid;
use tandem_tests::Account;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::fleet::Fleet;

/// A write as the simulator logged it.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) id: Uuid,
    pub(crate) at: OffsetDateTime,
}

/// Writes that were sent without their own intent being open, or while another one held their user or number. The
/// clocks are those of one machine; the simulator notes whole milliseconds.
const OUT_OF_ORDER: &str = "
  select w.id, w.at, i.intent_id is null as unannounced
    from unnest($1::uuid[], $2::timestamptz[]) as w (id, at)
    left join sync.intents i on i.client_request_id = w.id
   where i.intent_id is null
      or w.at < i.created_at - interval '5 ms'
      or w.at > i.ended_at + interval '5 ms'
      or exists (select from sync.intents o
                  where o.account_id = i.account_id and o.intent_id <> i.intent_id
                    and (o.microsoft_user = i.microsoft_user or o.number = i.number)
                    and o.created_at < w.at - interval '5 ms' and coalesce(o.ended_at, 'infinity') > w.at + interval '5 ms')";

impl Fleet {
    /// Writes that the simulator has seen, in the order of their arrival.
    pub(crate) async fn writes(&self) -> Result<Vec<Write>> {
        let log =
            self.tester.switch(reqwest::Method::GET, "requests?mutating=true&limit=100000", None).await?;
        let entries = log["requests"].as_array().context("the request log is a list")?;
        entries
            .iter()
            .map(|entry| {
                Ok(Write {
                    id: entry["clientRequestId"].as_str().context("a write without id")?.parse()?,
                    at: OffsetDateTime::parse(entry["at"].as_str().context("at")?, &Rfc3339)?,
                })
            })
            .collect()
    }

    /// Every write stands in an intent of its own that was open when it was sent, and none was sent twice.
    pub(crate) async fn judge_writes(&self) -> Result<()> {
        let writes = self.writes().await?;
        let mut ids: Vec<Uuid> = writes.iter().map(|w| w.id).collect();
        let rows = sqlx::query(OUT_OF_ORDER)
            .bind(&ids)
            .bind(writes.iter().map(|w| w.at).collect::<Vec<_>>())
            .fetch_all(&self.tester.admin)
            .await?;
        let found: Vec<(Uuid, OffsetDateTime, bool)> =
            rows.iter().map(|r| (r.get("id"), r.get("at"), r.get("unannounced"))).collect();
        ensure!(found.is_empty(), "writes while an intent forbade them: {found:?} of {writes:?}");
        ids.sort_unstable();
        ids.dedup();
        ensure!(ids.len() == writes.len(), "a write was sent twice: {writes:?}");
        Ok(())
    }

    /// Waits for rest; then the users from 1 on have these numbers, and no more than so many writes were sent.
    pub(crate) async fn expect(
        &self,
        account: &Account,
        numbers: &[Option<&str>],
        most_writes: usize,
    ) -> Result<()> {
        self.tester.at_rest().await;
        let found = self.tester.numbers(account, u32::try_from(numbers.len())?).await?;
        let found: Vec<Option<&str>> = found.iter().map(Option::as_deref).collect();
        assert_eq!(found, numbers, "numbers in Teams");
        let writes = self.writes().await?;
        ensure!(writes.len() <= most_writes, "{} writes, {most_writes} needed: {writes:?}", writes.len());
        Ok(())
    }

    /// Waits until the simulator has received so many writes of a kind.
    pub(crate) async fn received(&self, kind: &str, count: usize) {
        tandem_testkit::eventually(std::time::Duration::from_secs(30), async || {
            (self.tester.requests(kind).await.ok()?.len() >= count).then_some(())
        })
        .await;
    }
}
