//! F39 to F45: replies that are lost, broken, late or wrong, and operations that do not end.

use anyhow::Result;
use serde_json::{Value, json};
use tandem_tests::Tester;
use tokio::net::TcpListener;

use super::stage::{quiet, settings};
use super::{Row, play};

fn once(kind: &str, action: &Value) -> Vec<Value> {
    vec![json!({ "kind": kind, "times": 1, "action": action })]
}

fn always(kind: &str, action: &Value) -> Vec<Value> {
    vec![json!({ "kind": kind, "action": action })]
}

/// The reply to the write of user 1 says nothing about its effect: reading decides, and no sooner is anything sent.
fn unknown(what: &'static str, action: &Value, landed: bool) -> Row {
    Row {
        what,
        faults: once("assignNumber", action),
        first_user_only: true,
        meets: &["outcome_unknown"],
        intents: if landed { &["done"] } else { &["not_done", "done"] },
        sent: if landed { 1 } else { 2 },
        ..Row::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f39_after_an_error_of_the_server_reading_decides() -> Result<()> {
    let mut rows = Vec::new();
    for status in [500, 502, 503, 504] {
        for (what, when) in [("without effect", "before"), ("with effect", "after")] {
            let action = json!({ "type": "respond", "status": status, "when": when });
            rows.push(unknown(what, &action, when == "after"));
        }
    }
    play(&rows).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f39_reads_are_repeated_and_writes_follow_once() -> Result<()> {
    let row = |what, status: u16| Row {
        what,
        faults: once("users.get", &json!({ "type": "respond", "status": status })),
        intents: &["done"],
        sent: 1,
        ..Row::default()
    };
    play(&[row("500", 500), row("502", 502), row("503", 503), row("504", 504)]).await
}

/// Nobody is there: the job fails as a whole, nothing is on record as sent, and it goes on when somebody is.
#[tokio::test(flavor = "multi_thread")]
async fn f40_a_graph_that_cannot_be_reached_costs_a_job_and_nothing_else() -> Result<()> {
    let row = |what, kind: &str| Row {
        what,
        faults: always(kind, &json!({ "type": "drop" })),
        fails_with: Some("microsoft_unavailable"),
        intents: &["done"],
        sent: 1,
        ..Row::default()
    };
    play(&[row("the directory", "users.get"), row("Teams", "userConfigurations.get")]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f41_a_half_open_connection_is_an_unknown_outcome() -> Result<()> {
    let hang = |when: &str| json!({ "type": "hang", "when": when });
    let read = Row {
        what: "a read that hangs",
        faults: once("userConfigurations.get", &hang("before")),
        intents: &["done"],
        sent: 1,
        ..Row::default()
    };
    let broken = |what, kind: &str, action: Value| Row {
        what,
        faults: once(kind, &action),
        intents: &["done"],
        sent: 1,
        ..Row::default()
    };
    let stall = json!({ "type": "stall" });
    let drip = json!({ "type": "drip", "bytes": 1, "everyMs": 50 });
    play(&[
        unknown("before the effect", &hang("before"), false),
        unknown("after the effect", &hang("after"), true),
        read,
        broken("a body that stops half-way", "users.get", stall.clone()),
        broken("an operation that stops half-way", "operation", stall),
        broken("a byte now and then", "userConfigurations.get", drip),
    ])
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn f42_an_answer_that_cannot_be_read_is_no_answer() -> Result<()> {
    let html = json!({ "type": "html" });
    let truncate = json!({ "type": "truncate" });
    let read = |what, kind: &str, action: &Value| Row {
        what,
        faults: once(kind, action),
        intents: &["done"],
        sent: 1,
        ..Row::default()
    };
    let fails = |what, action: &Value| Row {
        what,
        faults: always("userConfigurations.get", action),
        fails_with: Some("microsoft_unavailable"),
        intents: &["done"],
        sent: 1,
        ..Row::default()
    };
    play(&[
        read("half a user", "users.get", &truncate),
        read("half a record", "userConfigurations.get", &truncate),
        read("a page of HTML for a record", "userConfigurations.get", &html),
        read("half an operation", "operation", &truncate),
        read("a page of HTML for an operation", "operation", &html),
        unknown("a page of HTML for a write", &html, false),
        read("another media type", "users.get", &json!({ "type": "contentType", "value": "text/plain" })),
        fails("halves for ever", &truncate),
        fails("HTML for ever", &html),
    ])
    .await
}

/// A page that grows without end when it is unpacked: the reader stops, and the job says so.
#[tokio::test(flavor = "multi_thread")]
async fn f42_a_bomb_does_not_explode() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(1).await?;
    let bomb = json!({ "kind": "userConfigurations.get", "times": 1, "action": { "type": "gzipBomb", "mebibytes": 200 } });
    tester.fault(&bomb).await?;
    tester.debouncer().await?;
    tester.teams_sync(&settings()).await?;
    tester.sync_log().await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    tester.until("select count(*) from queue.jobs where error_code = 'microsoft_unavailable'", 1).await;
    assert_eq!(tester.stat("writes").await?, 0);
    tester.at_rest().await;
    assert_eq!(tester.jobs(&account).await?.last().map(String::as_str), Some("succeeded"), "the next try");
    quiet(&tester).await?;
    tester.finish().await
}

/// A page that comes twice names nobody twice.
#[tokio::test(flavor = "multi_thread")]
async fn f43_a_repeated_page_counts_once() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(3).await?;
    for kind in ["users.list", "userConfigurations.list", "numberAssignments.list"] {
        tester
            .fault(&json!({ "kind": kind, "times": 1, "action": { "type": "nextLink", "mode": "repeat" } }))
            .await?;
    }
    tester.debouncer().await?;
    tester.teams_sync(&settings()).await?;
    tester.sync_log().await?;
    let numbers: Vec<String> = (1..=3).map(|i| account.telephone(i)).collect();
    let edits: Vec<_> = numbers.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    tester.save(&account, &edits).await?;
    tester.request(&account, "all").await?;
    tester.at_rest().await;
    assert_eq!(tester.requests("assignNumber").await?.len(), 3);
    let read = "select max((data->>'users')::int)::bigint from queue.events where kind = 'read'";
    assert_eq!(tester.count(read).await?, 3, "three users, however often they came");
    quiet(&tester).await?;
    tester.finish().await
}

/// A tenant read in pages whose links lead astray: nothing is written, and our token goes nowhere else.
#[tokio::test(flavor = "multi_thread")]
async fn f43_links_that_lead_astray_are_not_followed() -> Result<()> {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await?;
    let host = elsewhere.local_addr()?.to_string();
    let mut tester = Tester::start().await?;
    let mut accounts = Vec::new();
    for (kind, mode) in [
        ("users.list", "loop"),
        ("users.list", "foreign"),
        ("userConfigurations.list", "foreign"),
        ("numberAssignments.list", "loop"),
    ] {
        let account = tester.account(2).await?;
        let action = json!({ "type": "nextLink", "mode": mode, "host": host });
        tester.fault(&json!({ "tenant": account.tenant, "kind": kind, "action": action })).await?;
        accounts.push(account);
    }
    // an empty page in the middle, by contrast, is nothing special
    let fine = tester.account(2).await?;
    let action = json!({ "type": "nextLink", "mode": "empty" });
    tester
        .fault(&json!({ "tenant": fine.tenant, "kind": "users.list", "times": 1, "action": action }))
        .await?;
    tester.debouncer().await?;
    tester.teams_sync(&settings()).await?;
    tester.sync_log().await?;
    for account in accounts.iter().chain([&fine]) {
        tester.request(account, "all").await?;
    }
    tester.until("select count(*) from queue.jobs where state = 'failed'", 4).await;
    tester.until("select count(*) from queue.jobs where state = 'succeeded'", 1).await;
    let codes: Vec<String> =
        sqlx::query_scalar("select distinct error_code from queue.jobs where state = 'failed'")
            .fetch_all(&tester.admin)
            .await?;
    assert_eq!(codes, ["microsoft_unavailable"]);
    assert_eq!(tester.jobs(&fine).await?, ["succeeded"]);
    assert_eq!(tester.stat("writes").await?, 0);
    let nobody = tokio::time::timeout(std::time::Duration::from_millis(1), elsewhere.accept()).await;
    assert!(nobody.is_err(), "somebody called the other host");
    for account in &accounts {
        let path = format!("requests?tenant={}&limit=100000", account.tenant);
        let log = tester.switch(reqwest::Method::GET, &path, None).await?;
        let requests = log["requests"].as_array().map_or(0, Vec::len);
        assert!(requests < 200, "{requests} requests: going in circles");
    }
    tester.no_faults().await?;
    for account in &accounts {
        tester.request(account, "all").await?;
    }
    quiet(&tester).await?;
    tester.finish().await
}

/// The write has its effect, and no read path shows it for a long while.
#[tokio::test(flavor = "multi_thread")]
async fn f44_an_effect_that_does_not_show_is_waited_for_and_not_sent_again() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    tester.settings(&json!({ "landing": { "inventoryMs": 12_000, "userConfigurationMs": 12_000 } })).await?;
    tester.debouncer().await?;
    tester.teams_sync(&settings()).await?;
    tester.sync_log().await?;
    tester.save(&account, &[(1, Some("+12125550101")), (2, Some("+12125550102"))]).await?;
    tester.until_deferred(&account, 1, "operation_running").await;
    assert_eq!(tester.count("select count(*) from sync.users where settled_gen > 0").await?, 0);
    tester.at_rest().await;
    assert_eq!(tester.requests("assignNumber").await?.len(), 2, "each was sent once");
    quiet(&tester).await?;
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn f45_operations_that_end_otherwise_or_not_at_all() -> Result<()> {
    let operation = |more: Value| {
        let mut action = json!({ "type": "operation" });
        for (name, value) in more.as_object().into_iter().flatten() {
            action[name] = value.clone();
        }
        once("assignNumber", &action)
    };
    let row = |what, faults| Row { what, faults, first_user_only: true, sent: 1, ..Row::default() };
    play(&[
        Row {
            ends: Some(("failed", "operation_failed")),
            without_number: true,
            intents: &["refused"],
            ..row("skipped", operation(json!({ "status": "skipped" })))
        },
        Row {
            ends: Some(("failed", "operation_failed")),
            without_number: true,
            intents: &["refused"],
            ..row("failed without a word", operation(json!({ "status": "failed" })))
        },
        Row {
            meets: &["operation_running"],
            intents: &["done"],
            ..row("slow", operation(json!({ "latencyMs": 5_000 })))
        },
        Row {
            meets: &["operation_running"],
            intents: &["done"],
            first_user_only: false,
            ..row("forgotten by Microsoft", always("operation", &json!({ "type": "respond", "status": 404 })))
        },
    ])
    .await
}

/// One that never ends keeps its user and number locked, is given up after a day, and is never sent again by itself.
#[tokio::test(flavor = "multi_thread")]
async fn f45_an_operation_that_never_ends_parks_its_user_and_nobody_else() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(3).await?;
    for (i, action) in [
        (1, json!({ "type": "operation", "stuck": true })),
        (2, json!({ "type": "operation", "status": "aStateOfTheFuture", "latencyMs": 100 })),
    ] {
        let fault = json!({ "kind": "assignNumber", "times": 1, "user": account.oid(i).0, "action": action });
        tester.fault(&fault).await?;
    }
    tester.debouncer().await?;
    let life = std::time::Duration::from_secs(8);
    // few jobs meanwhile, so that none stands beside the end of an operation
    let slow = tandem_teams_sync::TeamsSyncSettings { operation_life: life, ladder_speed: 20, ..settings() };
    tester.teams_sync(&slow).await?;
    tester.sync_log().await?;
    let numbers: Vec<String> = (1..=3).map(|i| account.telephone(i)).collect();
    let edits: Vec<_> = numbers.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    tester.save(&account, &edits).await?;
    for user in [1, 2] {
        tester.until_deferred(&account, user, "operation_running").await;
    }
    assert_eq!(tester.teams(&account, 3).await?.number.as_ref(), Some(&numbers[2]), "the others go on");
    tester.at_rest().await;
    for user in [1, 2] {
        assert_eq!(tester.intents(&account, user).await?, ["given_up"], "user {user}");
        let given_up = ("failed".to_owned(), Some("operation_not_finished".to_owned()));
        assert_eq!(tester.outcome(&account, user).await?, given_up, "user {user}");
    }
    assert_eq!(tester.requests("assignNumber").await?.len(), 3);
    quiet(&tester).await?;
    tester.finish().await
}
