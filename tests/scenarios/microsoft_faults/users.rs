//! F52: what becomes of Microsoft users. They are known by their object id and by nothing else: a new user with an old
//! name inherits nothing.

use anyhow::Result;
use reqwest::Method;
use serde_json::json;
use tandem_tests::{Account, Tester};

use super::stage::{quiet, settings, writes};

async fn starts(users: u32) -> Result<(Tester, Account)> {
    let mut tester = Tester::start().await?;
    let account = tester.account(users).await?;
    tester.debouncer().await?;
    tester.teams_sync(&settings()).await?;
    tester.sync_log().await?;
    let n: Vec<String> = (1..=users).map(|i| account.telephone(i)).collect();
    let edits: Vec<_> = n.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    tester.save(&account, &edits).await?;
    tester.at_rest().await;
    Ok((tester, account))
}

async fn remove(tester: &Tester, account: &Account, i: u32, how: &str) -> Result<()> {
    let path = format!("tenants/{}/users/{}?{how}", account.tenant, account.oid(i).0);
    tester.switch(Method::DELETE, &path, None).await.map(|_| ())
}

/// How many requests would give this Microsoft user a number.
async fn given(tester: &Tester, account: &Account, i: u32) -> Result<usize> {
    let oid = account.oid(i).0.to_string();
    let sent = writes(tester, account).await?;
    Ok(sent.iter().filter(|write| write["body"]["assignmentTargetId"] == oid.as_str()).count())
}

#[tokio::test(flavor = "multi_thread")]
async fn f52_a_deleted_user_fails_alone_and_goes_on_when_it_is_restored() -> Result<()> {
    let (tester, account) = starts(2).await?;
    remove(&tester, &account, 1, "permanent=false").await?;
    tester.save(&account, &[(1, Some("+12125550151")), (2, Some("+12125550152"))]).await?;
    tester.at_rest().await;
    let gone = ("failed".to_owned(), Some("user_unknown_in_tenant".to_owned()));
    assert_eq!(tester.outcome(&account, 1).await?, gone);
    assert_eq!(given(&tester, &account, 1).await?, 1, "nothing is sent to somebody who is not there");
    assert_eq!(tester.teams(&account, 2).await?.number.as_deref(), Some("+12125550152"), "the rest goes on");
    let restore = format!("tenants/{}/users/{}/restore", account.tenant, account.oid(1).0);
    tester.switch(Method::POST, &restore, None).await?;
    tester.request(&account, "all").await?;
    tester.at_rest().await;
    assert_eq!(tester.teams(&account, 1).await?.number.as_deref(), Some("+12125550151"));
    quiet(&tester).await?;
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn f52_a_new_user_with_an_old_name_inherits_nothing() -> Result<()> {
    let (tester, account) = starts(2).await?;
    remove(&tester, &account, 1, "permanent=true&releaseNumbers=true").await?;
    // the name of user 1, and the id that user 7 would have
    let newcomer = json!({ "users": [{ "id": account.oid(7).0, "userPrincipalName": account.upn(1), "usageLocation": "US",
                                       "phonePlan": "Enabled", "knownToTeams": true, "accountEnabled": true }] });
    tester.switch(Method::PUT, &format!("tenants/{}", account.tenant), Some(&newcomer)).await?;
    tester.save(&account, &[(1, Some("+12125550151"))]).await?;
    tester.request(&account, "all").await?;
    tester.at_rest().await;
    let gone = ("failed".to_owned(), Some("user_unknown_in_tenant".to_owned()));
    assert_eq!(tester.outcome(&account, 1).await?, gone);
    assert_eq!(given(&tester, &account, 7).await?, 0, "the newcomer is nobody's heir");
    assert_eq!(tester.teams(&account, 7).await?.number, None);
    // somebody connects the newcomer on purpose
    tester.map(&account, 1, 7).await?;
    tester.at_rest().await;
    assert_eq!(tester.teams(&account, 7).await?.number.as_deref(), Some("+12125550151"));
    assert_eq!(given(&tester, &account, 7).await?, 1);
    quiet(&tester).await?;
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn f52_a_blocked_sign_in_takes_no_number_and_a_guest_gets_none() -> Result<()> {
    let (tester, account) = starts(4).await?;
    tester.change_teams(&account, 1, &json!({ "accountEnabled": false })).await?;
    tester.change_teams(&account, 2, &json!({ "accountType": "guest" })).await?;
    // only the directory says so
    tester.change_teams(&account, 3, &json!({ "accountType": "unknown", "userType": "Guest" })).await?;
    let edits: Vec<(u32, Option<&str>)> = vec![
        (1, Some("+12125550151")),
        (2, Some("+12125550152")),
        (3, Some("+12125550153")),
        (4, Some("+12125550154")),
    ];
    tester.save(&account, &edits).await?;
    tester.at_rest().await;
    // a telephone on a desk works without anybody signed in
    assert_eq!(tester.teams(&account, 1).await?.number.as_deref(), Some("+12125550151"));
    for i in [2, 3] {
        let guest = ("conflict".to_owned(), Some("user_is_guest".to_owned()));
        assert_eq!(tester.outcome(&account, i).await?, guest, "user {i}");
        assert_eq!(tester.teams(&account, i).await?.number, Some(account.telephone(i)), "left as it was");
        assert_eq!(given(&tester, &account, i).await?, 1, "user {i}");
    }
    assert_eq!(tester.teams(&account, 4).await?.number.as_deref(), Some("+12125550154"), "the rest goes on");
    quiet(&tester).await?;
    tester.finish().await
}
