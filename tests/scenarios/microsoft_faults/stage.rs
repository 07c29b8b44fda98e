//! Plays rows: each in an account of its own, all at once.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::Value;
use tandem_teams_sync::TeamsSyncSettings;
use tandem_testkit::eventually;
use tandem_tests::{Account, Tester, fast_sync};

/// One row of the table. Users 1 and 2 get a number each; what goes wrong goes wrong with user 1, unless it says else.
#[derive(Debug, Default)]
pub(crate) struct Row {
    /// What goes wrong, for messages.
    pub(crate) what: &'static str,
    /// Faults; the tenant is added.
    pub(crate) faults: Vec<Value>,
    /// Only requests that mention user 1.
    pub(crate) first_user_only: bool,
    /// What Teams knows of user 1, changed before anything happens.
    pub(crate) teams: Option<Value>,
    /// The job fails as a whole with this code; then the fault is taken away and a person asks for a sync.
    pub(crate) fails_with: Option<&'static str>,
    /// Codes that user 1 must have had on the way, in jobs that could not finish it.
    pub(crate) meets: &'static [&'static str],
    /// Outcome and code of user 1 in the end; confirmed or unchanged if left out.
    pub(crate) ends: Option<(&'static str, &'static str)>,
    /// Whether user 1 has the number in the end.
    pub(crate) without_number: bool,
    /// States of user 1's writes, oldest first.
    pub(crate) intents: &'static [&'static str],
    /// Requests that would give a number to user 1, counted by the simulator.
    pub(crate) sent: usize,
}

/// Settings that the rows share.
pub(crate) fn settings() -> TeamsSyncSettings {
    TeamsSyncSettings {
        operation_patience: Duration::from_secs(1),
        intent_patience: Duration::from_secs(2),
        ladder_speed: 300,
        ..fast_sync("worker-1")
    }
}

/// Plays rows and judges them.
pub(crate) async fn play(rows: &[Row]) -> Result<()> {
    let mut tester = Tester::start().await?;
    tester.patience = Duration::from_secs(120);
    tester.request_timeout = Duration::from_secs(2);
    let mut accounts = Vec::new();
    for row in rows {
        let account = tester.account(2).await?;
        if let Some(changes) = &row.teams {
            tester.change_teams(&account, 1, changes).await?;
        }
        for fault in &row.faults {
            let mut fault = fault.clone();
            fault["tenant"] = account.tenant.to_string().into();
            if row.first_user_only {
                fault["user"] = account.oid(1).0.to_string().into();
            }
            tester.fault(&fault).await?;
        }
        accounts.push(account);
    }
    tester.debouncer().await?;
    tester.teams_sync(&settings()).await?;
    tester.sync_log().await?;
    for account in &accounts {
        let numbers = [account.telephone(1), account.telephone(2)];
        tester.save(account, &[(1, Some(&numbers[0])), (2, Some(&numbers[1]))]).await?;
    }
    let failing: Vec<(&Row, &Account)> =
        rows.iter().zip(&accounts).filter(|(row, _)| row.fails_with.is_some()).collect();
    for (row, account) in &failing {
        let code = failed(&tester, account).await;
        assert_eq!(Some(code.as_str()), row.fails_with, "{}", row.what);
        assert!(writes(&tester, account).await?.is_empty(), "{}: nothing is written", row.what);
    }
    if !failing.is_empty() {
        tester.no_faults().await?;
        for (_, account) in &failing {
            tester.request(account, "all").await?;
        }
    }
    tester.at_rest().await;
    for (row, account) in rows.iter().zip(&accounts) {
        judge(&tester, row, account).await.with_context(|| row.what)?;
    }
    quiet(&tester).await?;
    tester.finish().await
}

/// The code of the account's job that failed as a whole.
async fn failed(tester: &Tester, account: &Account) -> String {
    eventually(Duration::from_secs(60), || {
        let query = sqlx::query_scalar::<_, String>(
            "select error_code from queue.jobs where account_id = $1 and state = 'failed' order by finished_at limit 1",
        );
        let found = query.bind(account.id.0).fetch_optional(&tester.admin);
        async move { found.await.ok()? }
    })
    .await
}

/// Requests of the account that would give a number.
pub(crate) async fn writes(tester: &Tester, account: &Account) -> Result<Vec<Value>> {
    let path = format!("requests?kind=assignNumber&tenant={}&limit=100000", account.tenant);
    let log = tester.switch(Method::GET, &path, None).await?;
    Ok(log["requests"].as_array().context("a list")?.clone())
}

async fn judge(tester: &Tester, row: &Row, account: &Account) -> Result<()> {
    let met: Vec<String> = sqlx::query_scalar(
        "select distinct e.data->>'code' from queue.events e
          where e.account_id = $1 and e.kind = 'user' and e.data->>'pbx_user_id' = $2 and e.data->>'code' is not null",
    )
    .bind(account.id.0)
    .bind(account.user(1).0)
    .fetch_all(&tester.admin)
    .await?;
    let met: BTreeSet<&str> = met.iter().map(String::as_str).collect();
    let mut expected: BTreeSet<&str> = row.meets.iter().copied().collect();
    expected.extend(row.ends.map(|(_, code)| code));
    assert_eq!(met, expected, "{}: codes of user 1", row.what);
    let (outcome, code) = tester.outcome(account, 1).await?;
    match row.ends {
        Some(ends) => assert_eq!((outcome.as_str(), code.as_deref()), (ends.0, Some(ends.1)), "{}", row.what),
        None => assert!(matches!(outcome.as_str(), "confirmed" | "unchanged"), "{}: {outcome}", row.what),
    }
    let numbers = tester.numbers(account, 2).await?;
    let first = (!row.without_number).then(|| account.telephone(1));
    assert_eq!(numbers, [first, Some(account.telephone(2))], "{}: numbers", row.what);
    assert_eq!(tester.intents(account, 1).await?, row.intents, "{}: writes to user 1", row.what);
    let oid = account.oid(1).0.to_string();
    let sent = writes(tester, account).await?;
    let to_first = sent.iter().filter(|write| write["body"]["assignmentTargetId"] == oid.as_str()).count();
    assert_eq!(to_first, row.sent, "{}: requests for user 1", row.what);
    assert_eq!(sent.len() - to_first, 1, "{}: user 2 was served once", row.what);
    Ok(())
}

/// What holds for every row.
pub(crate) async fn quiet(tester: &Tester) -> Result<()> {
    assert_eq!(tester.stat("earlyCalls").await?, 0, "nobody came early");
    let log = tester.switch(Method::GET, "requests?limit=200000", None).await?;
    let requests = log["requests"].as_array().context("a list")?;
    let mut given: BTreeMap<String, usize> = BTreeMap::new();
    for request in requests {
        let path = request["path"].as_str().unwrap_or_default();
        assert!(!path.to_lowercase().contains("batch"), "no batch is ever sent: {path}");
        if request["kind"] == "assignNumber" && request["status"] == 202 {
            *given.entry(format!("{} {}", request["tenant"], request["body"])).or_default() += 1;
        }
    }
    let twice: Vec<_> = given.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "accepted more than once: {twice:?}");
    Ok(())
}
