//! F36 to F38: throttling, in every form in which Microsoft says it.

use anyhow::Result;
use serde_json::{Value, json};
use tandem_runtime::Clock;
use tandem_tests::Tester;
use time::Duration;
use time::macros::format_description;

use super::stage::{Row, play, quiet, settings, writes};

fn throttle(kind: &str, retry_after: Option<&str>, status: u16) -> Value {
    let action = json!({ "type": "throttle", "retryAfter": retry_after, "status": status });
    json!({ "kind": kind, "times": 1, "action": action })
}

/// An HTTP date (RFC 9110, 5.6.7) so many seconds from now.
fn date(seconds: i64) -> Result<String> {
    let at = Clock::system().now() + Duration::seconds(seconds);
    let form = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    Ok(at.format(form)?)
}

/// A throttled write waits as told and is sent again within the job; nobody is deferred, nothing is counted.
#[tokio::test(flavor = "multi_thread")]
async fn f36_every_form_of_retry_after_is_obeyed() -> Result<()> {
    let (soon, past) = (date(3)?, date(-60)?);
    let forms = [
        ("seconds", Some("2")),
        ("decimals", Some("1.128")),
        ("zero", Some("0")),
        ("a date", Some(soon.as_str())),
        ("a date that has passed", Some(past.as_str())),
        ("no header", None),
        ("a negative number", Some("-5")),
        ("not a number", Some("NaN")),
        ("words", Some("soon")),
    ];
    let row = |what, faults| Row { what, faults, intents: &["done"], sent: 2, ..Row::default() };
    let mut rows: Vec<Row> = forms
        .iter()
        .map(|(what, form)| Row {
            first_user_only: true,
            ..row(what, vec![throttle("assignNumber", *form, 429)])
        })
        .collect();
    rows.push(Row {
        first_user_only: true,
        ..row("unavailable for a moment", vec![throttle("assignNumber", Some("1"), 503)])
    });
    rows.push(Row {
        first_user_only: true,
        ..row("bandwidth", vec![throttle("assignNumber", Some("1"), 509)])
    });
    rows.push(Row { sent: 1, ..row("reads", vec![throttle("userConfigurations.get", Some("1"), 429)]) });
    rows.push(Row { sent: 1, ..row("polls", vec![throttle("operation", Some("1.5"), 429)]) });
    play(&rows).await
}

/// A wait that nobody can sit out is cut to an hour, and the user waits outside of any job.
#[tokio::test(flavor = "multi_thread")]
async fn f36_an_absurd_wait_parks_and_holds_no_job() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    let other = tester.account(1).await?;
    let mut fault = throttle("assignNumber", Some("86400"), 429);
    fault["tenant"] = json!(account.tenant);
    tester.fault(&fault).await?;
    tester.debouncer().await?;
    tester.teams_sync(&settings()).await?;
    tester.sync_log().await?;
    let numbers = [account.telephone(1), account.telephone(2)];
    tester.save(&account, &[(1, Some(&numbers[0])), (2, Some(&numbers[1]))]).await?;
    for user in [1, 2] {
        tester.until_deferred(&account, user, "throttled").await;
    }
    assert_eq!(tester.jobs(&account).await?[0], "partly", "the job has ended");
    tester.save(&other, &[(1, Some("+12125550199"))]).await?;
    tester.until("select count(*) from queue.jobs where state = 'succeeded'", 1).await;
    let shut = "select count(*) from sync.budgets where scope like 'tenant:%' and parked
                   and shut_until between now() + interval '50 min' and now() + interval '1 hour'";
    assert_eq!(tester.count(shut).await?, 1, "an hour at most");
    // its users come due again; their job is not even claimed
    tester.until("select count(*) from queue.jobs where state = 'queued'", 1).await;
    assert_eq!(writes(&tester, &account).await?.len(), 1);
    quiet(&tester).await?;
    tester.stop_roles().await?;
    tester.abandon().await;
    Ok(())
}

/// Nothing is sent as a batch, so nothing within one can be throttled or lost by itself. What stands in for it: many
/// users in one job, each with a request of its own, some of them refused.
#[tokio::test(flavor = "multi_thread")]
async fn f37_f38_no_batch_is_ever_sent() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(25).await?;
    tester.fault(&json!({ "kind": "assignNumber", "skip": 5, "times": 1, "action": { "type": "throttle", "retryAfter": "1" } })).await?;
    tester.all_roles().await?;
    let numbers: Vec<String> = (1..=25).map(|i| account.telephone(i)).collect();
    let edits: Vec<_> = numbers.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    tester.save(&account, &edits).await?;
    tester.at_rest().await;
    assert_eq!(tester.jobs(&account).await?, ["succeeded"]);
    let sent = writes(&tester, &account).await?;
    assert_eq!(sent.len(), 26, "one request each, and the refused one again");
    assert!(sent.iter().all(|write| write["body"]["telephoneNumber"].is_string()));
    quiet(&tester).await?;
    tester.finish().await
}
