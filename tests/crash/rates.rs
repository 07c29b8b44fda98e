//! Two workers that know nothing of each other keep one budget between them.

use anyhow::{Context, Result};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::fleet::{Fleet, Options};

/// Requests per second to all tenants.
const RATE: u32 = 20;

/// Times of all requests to Graph, in the order of their arrival.
async fn requests(fleet: &Fleet) -> Result<Vec<OffsetDateTime>> {
    let log = fleet.tester.switch(reqwest::Method::GET, "requests?limit=100000", None).await?;
    let all = log["requests"].as_array().context("the request log is a list")?;
    let graph =
        all.iter().filter(|entry| entry["path"].as_str().is_some_and(|path| path.starts_with("/v1.0/")));
    graph.map(|entry| Ok(OffsetDateTime::parse(entry["at"].as_str().context("at")?, &Rfc3339)?)).collect()
}

/// Most requests in any stretch of this length.
fn busiest(times: &[OffsetDateTime], stretch: Duration) -> usize {
    let until = |from: OffsetDateTime| times.partition_point(|at| *at < from + stretch);
    times.iter().enumerate().map(|(index, from)| until(*from) - index).max().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn i23_two_processes_do_not_double_the_app_s_rate() -> Result<()> {
    let options = Options { app_rate: RATE, auto_slots: 3, ..Options::default() };
    let mut fleet = Fleet::with(options).await?;
    let mut accounts = Vec::new();
    for _ in 0..8 {
        accounts.push(fleet.tester.account(3).await?);
    }
    let ids = ["teams-sync", "teams-sync", "debouncer", "sync-log"].map(|role| fleet.spawn(role, &[]));
    for id in ids {
        let id = id?;
        fleet.ready(&[id]).await?;
    }
    for account in &accounts {
        let numbers: Vec<String> = (1..=3).map(|i| account.telephone(i)).collect();
        let edits: Vec<_> = numbers.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
        fleet.tester.save(account, &edits).await?;
    }
    fleet.tester.at_rest().await;
    let workers = "select count(distinct data->>'worker') from queue.events where kind = 'started'";
    assert_eq!(fleet.tester.count(workers).await?, 2, "both had jobs");
    let times = requests(&fleet).await?;
    // the rate, its burst of a quarter of a second, and what each process may have bought up to half a second before
    let seconds = 5;
    let most = (RATE * seconds + 3 * RATE.div_ceil(4)) as usize;
    let found = busiest(&times, Duration::seconds(i64::from(seconds)));
    assert!(found <= most, "{found} requests within {seconds} s, at most {most} are allowed");
    assert!(found > most / 2, "{found} requests: the rate was never reached, so nothing was shown");
    fleet.finish().await
}
