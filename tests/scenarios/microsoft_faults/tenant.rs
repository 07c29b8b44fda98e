//! F46 to F60: what changes in a tenant, and who holds what there.

use anyhow::Result;
use serde_json::json;
use tandem_tests::Tester;

use super::stage::{Row, play, quiet, settings};

/// Microsoft rejects a token that has not run out: it is replaced once, and the request goes again with the new one.
#[tokio::test(flavor = "multi_thread")]
async fn f46_a_rejected_token_is_replaced_once() -> Result<()> {
    let challenge = json!({ "type": "captured", "name": "claims_challenge" });
    let row = |what, kind: &str, sent| Row {
        what,
        faults: vec![json!({ "kind": kind, "times": 1, "action": challenge })],
        intents: &["done"],
        sent,
        ..Row::default()
    };
    let write = Row { first_user_only: true, ..row("a write", "assignNumber", 2) };
    play(&[write, row("a read", "users.get", 1), row("a poll", "operation", 1)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f51_a_licence_that_goes_during_the_write_fails_one_user() -> Result<()> {
    let action = json!({ "type": "operation", "licenceRemoved": true });
    play(&[Row {
        what: "licence removed meanwhile",
        faults: vec![json!({ "kind": "assignNumber", "times": 1, "action": action })],
        first_user_only: true,
        ends: Some(("failed", "no_phone_licence")),
        without_number: true,
        intents: &["refused"],
        sent: 1,
        ..Row::default()
    }])
    .await
}

/// Users are known by their object id: a new sign-in name changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn f53_a_new_sign_in_name_changes_nothing() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(1).await?;
    tester.all_roles().await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    tester.at_rest().await;
    let renamed = json!({ "userPrincipalName": format!("renamed@{}.example", account.name) });
    tester.change_teams(&account, 1, &renamed).await?;
    tester.request(&account, "all").await?;
    tester.at_rest().await;
    assert_eq!(tester.requests("assignNumber").await?.len(), 1, "nothing is written for a name");
    tester.save(&account, &[(1, Some("+12125550102"))]).await?;
    tester.at_rest().await;
    assert_eq!(tester.teams(&account, 1).await?.number.as_deref(), Some("+12125550102"));
    quiet(&tester).await?;
    tester.finish().await
}

/// A number that goes from one managed user to another is free in between, and never given twice.
#[tokio::test(flavor = "multi_thread")]
async fn f54_a_number_of_another_managed_user_is_moved() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    tester.all_roles().await?;
    tester.save(&account, &[(1, Some("+12125550101")), (2, Some("+12125550102"))]).await?;
    tester.at_rest().await;
    tester.save(&account, &[(1, Some("+12125550103")), (2, Some("+12125550101"))]).await?;
    tester.at_rest().await;
    let held = tester.numbers(&account, 2).await?;
    assert_eq!(held, [Some("+12125550103".to_owned()), Some("+12125550101".to_owned())]);
    let log = tester.switch(reqwest::Method::GET, "requests?mutating=true&limit=1000", None).await?;
    let of_moved: Vec<(String, bool)> = log["requests"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|r| r["body"]["telephoneNumber"] == "+12125550101")
        .map(|r| (r["kind"].as_str().unwrap_or_default().to_owned(), r["status"] == 202))
        .collect();
    let expected = ["assignNumber", "unassignNumber", "assignNumber"].map(|kind| (kind.to_owned(), true));
    assert_eq!(of_moved, expected, "on, off, on");
    quiet(&tester).await?;
    tester.finish().await
}

/// Nothing is ever taken from somebody whom Tandem does not manage.
#[tokio::test(flavor = "multi_thread")]
async fn f55_a_number_of_somebody_else_is_a_conflict_and_no_write() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    tester.stranger(&account, "stranger@account1.example", "+12125550150").await?;
    tester.debouncer().await?;
    tester.teams_sync(&settings()).await?;
    tester.sync_log().await?;
    tester.save(&account, &[(1, Some("+12125550150")), (2, Some("+12125550102"))]).await?;
    tester.at_rest().await;
    let (outcome, code) = tester.outcome(&account, 1).await?;
    assert_eq!((outcome.as_str(), code.as_deref()), ("conflict", Some("number_held_by_unmanaged_user")));
    let log = tester.switch(reqwest::Method::GET, "requests?mutating=true&limit=1000", None).await?;
    let writes = log["requests"]
        .as_array()
        .map_or(0, |all| all.iter().filter(|r| r["body"]["telephoneNumber"] == "+12125550150").count());
    assert_eq!(writes, 0, "nobody touched it");
    assert_eq!(tester.teams(&account, 2).await?.number.as_deref(), Some("+12125550102"));
    quiet(&tester).await?;
    tester.finish().await
}

/// A tenant that another account has already: the database refuses it, whoever asks.
#[tokio::test(flavor = "multi_thread")]
async fn f60_a_tenant_belongs_to_one_account() -> Result<()> {
    let mut tester = Tester::start().await?;
    let first = tester.account(1).await?;
    let second = tester.account(1).await?;
    let refused = sqlx::query("update vault.authorizations set tenant_id = $2 where account_id = $1")
        .bind(second.id.0)
        .bind(first.tenant)
        .execute(&tester.admin)
        .await
        .expect_err("two accounts with one tenant");
    assert!(refused.to_string().contains("tenant_id"), "{refused}");
    tester.all_roles().await?;
    tester.save(&second, &[(1, Some("+12125550101"))]).await?;
    tester.at_rest().await;
    let log = tester.switch(reqwest::Method::GET, "requests?mutating=true&limit=1000", None).await?;
    let tenants: Vec<_> =
        log["requests"].as_array().into_iter().flatten().map(|r| r["tenant"].clone()).collect();
    assert!(!tenants.is_empty() && tenants.iter().all(|t| *t == json!(second.tenant)), "{tenants:?}");
    quiet(&tester).await?;
    tester.finish().await
}
