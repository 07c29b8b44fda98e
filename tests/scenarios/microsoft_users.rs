//! The list of Microsoft users: who is on it and why not as eligible, and what a reading that was cut does to it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};
use tandem_store::log_text as text;
use tandem_store::microsoft_users::{self, Discovery, Filter, MicrosoftUser};
use tandem_store::{Login, log_read};
use tandem_teams_sync::TeamsSyncSettings;
use tandem_testkit::eventually;
use tandem_tests::{Account, Tester, fast_sync};

const MANUAL_DONE: &str =
    "select count(*) from queue.jobs where job_type = 'manual' and finished_at is not null";

/// Asks for a Manual job over everything and waits for its end.
async fn full_job(tester: &Tester, account: &Account) -> Result<()> {
    let before = tester.count(MANUAL_DONE).await?;
    tester.request(account, "all").await?;
    // a tenant of 20,000 users takes a while on a busy machine
    eventually(Duration::from_secs(240), || async {
        (tester.count(MANUAL_DONE).await.ok()? > before).then_some(())
    })
    .await;
    Ok(())
}

async fn list(tester: &Tester, account: &Account, filter: &Filter) -> Result<Vec<MicrosoftUser>> {
    let store = tester.store(Login::Operator);
    let mut tx = store.begin("test.list").await?;
    let users = microsoft_users::list(&mut tx, account.id, filter, None, 100_000).await?;
    drop(tx);
    store.close().await;
    Ok(users)
}

/// The newest reading, then the newest complete one if that is another.
async fn readings(tester: &Tester, account: &Account) -> Result<Vec<Discovery>> {
    let store = tester.store(Login::Operator);
    let mut tx = store.begin("test.readings").await?;
    let lists = microsoft_users::latest(&mut tx, account.id).await?;
    drop(tx);
    store.close().await;
    Ok(lists)
}

async fn add(tester: &Tester, account: &Account, addition: &Value) -> Result<()> {
    tester.switch(Method::PUT, &format!("tenants/{}", account.tenant), Some(addition)).await?;
    Ok(())
}

async fn bulk(tester: &Tester, account: &Account, count: u32) -> Result<()> {
    let spec = json!({ "count": count, "prefix": "many" });
    tester.switch(Method::POST, &format!("tenants/{}/users/bulk", account.tenant), Some(&spec)).await?;
    Ok(())
}

async fn remove(tester: &Tester, account: &Account, user: &str) -> Result<()> {
    tester.switch(Method::DELETE, &format!("tenants/{}/users/{user}", account.tenant), None).await?;
    Ok(())
}

/// Text log of the newest Manual job.
async fn log(tester: &Tester, account: &Account) -> Result<String> {
    let store = tester.store(Login::Operator);
    let mut tx = store.begin("test.log").await?;
    let filter = log_read::JobFilter { account: Some(account.id), ..log_read::JobFilter::default() };
    let job = log_read::jobs(&mut tx, &filter, None, 1).await?.pop().context("a job")?;
    let steps = log_read::steps(&mut tx, job.job, &log_read::StepFilter::default(), 0, 1000).await?;
    drop(tx);
    store.close().await;
    Ok(text::render(&job, &steps))
}

/// All sorts of users beside the two of the account.
fn crowd(account: &Account) -> Value {
    let user = |name: &str, more: Value| {
        let mut user = json!({ "userPrincipalName": format!("{name}@{}.example", account.name), "phonePlan": "Enabled" });
        for (key, value) in more.as_object().cloned().unwrap_or_default() {
            user[key] = value;
        }
        user
    };
    json!({
        "users": [
            user("warning", json!({ "phonePlan": "Warning" })),
            user("deleted", json!({ "phonePlan": "Deleted" })),
            user("suspended", json!({ "phonePlan": "Suspended" })),
            user("plain", json!({ "phonePlan": "none" })),
            user("plan", json!({ "displayName": "100% Plan_User" })),
            user("room", json!({ "featureTypes": ["Teams", "PhoneSystem", "TeamsRoomPro"] })),
            user("lobby", json!({ "accountType": "resourceAccount" })),
            user("bot", json!({ "accountType": "resourceAccount", "phonePlan": "none" })),
            user("guest", json!({ "accountType": "guest", "userType": "Guest" })),
            user("blocked", json!({ "accountEnabled": false })),
            user("late", json!({ "knownToTeams": false })),
            user("strange", json!({ "accountType": "ineligibleUser" })),
        ],
        "numbers": [
            { "telephoneNumber": "+12125550190", "numberType": "callingPlan", "assignedTo": format!("plan@{}.example", account.name) },
            { "telephoneNumber": "+12125550191", "assignedTo": format!("bot@{}.example", account.name),
              "assignmentStatus": "thirdPartyAppAssigned" },
        ],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a6_p6_p18_holders_of_a_phone_plan_are_listed_and_the_others_with_the_reason() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    add(&tester, &account, &crowd(&account)).await?;
    tester.all_roles().await?;
    full_job(&tester, &account).await?;

    let users = list(&tester, &account, &Filter::default()).await?;
    let found: BTreeMap<&str, (&str, &str, Vec<&str>)> = users
        .iter()
        .map(|user| {
            let name = user.upn.split('@').next().unwrap_or_default();
            let flags = user.flags.iter().map(|flag| flag.as_str()).collect();
            (name, (user.kind.as_str(), user.why_not.map_or("eligible", |why| why.as_str()), flags))
        })
        .collect();
    let expected = BTreeMap::from([
        ("user1", ("user", "eligible", vec![])),
        ("user2", ("user", "eligible", vec![])),
        ("warning", ("user", "eligible", vec!["plan_in_grace"])),
        ("late", ("user", "eligible", vec!["not_in_teams_yet"])),
        ("deleted", ("user", "phone_plan_deleted", vec![])),
        ("suspended", ("user", "phone_plan_suspended", vec![])),
        ("plain", ("user", "no_phone_plan", vec![])),
        ("plan", ("user", "calling_plan", vec![])),
        ("room", ("room", "room", vec![])),
        ("lobby", ("resource_account", "resource_account", vec![])),
        ("bot", ("bot", "bot", vec![])),
        ("guest", ("guest", "guest", vec![])),
        ("blocked", ("user", "disabled", vec![])),
        ("strange", ("user", "ineligible_in_teams", vec![])),
    ]);
    assert_eq!(found, expected);

    let names = async |filter: Filter| -> Result<Vec<String>> {
        let users = list(&tester, &account, &filter).await?;
        Ok(users.iter().filter_map(|user| user.upn.split('@').next()).map(str::to_owned).collect())
    };
    let eligible = Filter { eligible: true, ..Filter::default() };
    assert_eq!(names(eligible.clone()).await?, ["late", "user1", "user2", "warning"]);
    assert_eq!(names(Filter { unmapped: true, ..eligible }).await?, ["late", "warning"]);
    let search = |text: &str| Filter { search: Some(text.to_owned()), ..Filter::default() };
    assert_eq!(names(search("RESOURCE")).await?, ["lobby"]);
    assert_eq!(names(search("100% plan_")).await?, ["plan"], "a search means what it says");
    assert_eq!(names(search("%")).await?, ["plan"]);

    tester.at_rest().await;
    let log = log(&tester, &account).await?;
    let line = "GRAPH> Enabled users: total=10, licensed=10, phoneSystem=7, excludedByCallingPlan=1, resource=2, \
                eligible=4, warning=1, gone=0";
    assert!(log.contains(line), "{log}");
    // an account of an app alone tells of the plan; nothing was written to anybody
    assert!(tester.requests("assignNumber").await?.is_empty());
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a18_e4_a_change_at_microsoft_shows_from_the_next_full_job_on() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    tester.all_roles().await?;
    full_job(&tester, &account).await?;
    let before = list(&tester, &account, &Filter::default()).await?;
    assert_eq!(before.len(), 2);

    let new = json!({ "users": [{ "userPrincipalName": "new@account1.example", "phonePlan": "Enabled" }] });
    add(&tester, &account, &new).await?;
    remove(&tester, &account, &account.upn(2)).await?;
    // an Auto job of another user reads what it needs, and the list stays as it was
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    tester.at_rest().await;
    let meanwhile = list(&tester, &account, &Filter::default()).await?;
    let seen = |users: &[MicrosoftUser]| users.iter().map(|u| (u.upn.clone(), u.seen_at)).collect::<Vec<_>>();
    assert_eq!(seen(&meanwhile), seen(&before));

    full_job(&tester, &account).await?;
    let after = list(&tester, &account, &Filter::default()).await?;
    let gone: Vec<(&str, bool)> = after.iter().map(|u| (u.upn.as_str(), u.gone_at.is_some())).collect();
    assert_eq!(
        gone,
        [
            ("new@account1.example", false),
            ("user1@account1.example", false),
            ("user2@account1.example", true)
        ]
    );
    assert!(after[1].seen_at > before[0].seen_at && after[2].seen_at == before[1].seen_at);
    assert_eq!(readings(&tester, &account).await?[0].gone, 1);

    // who comes back is not gone any more
    let back = json!({ "users": [{ "id": account.oid(2).0, "userPrincipalName": account.upn(2), "phonePlan": "Enabled" }] });
    add(&tester, &account, &back).await?;
    full_job(&tester, &account).await?;
    assert!(list(&tester, &account, &Filter::default()).await?.iter().all(|user| user.gone_at.is_none()));
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_fails_in_the_middle_cuts_the_list_and_takes_nobody_off() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    bulk(&tester, &account, 1200).await?;
    tester.all_roles().await?;
    full_job(&tester, &account).await?;
    let whole = readings(&tester, &account).await?;
    assert_eq!((whole[0].state.as_str(), whole[0].users, whole.len()), ("complete", 1202, 1));
    // the job planned from the same pages: nothing was read twice
    for kind in ["users.list", "userConfigurations.list"] {
        assert_eq!(tester.requests(kind).await?.len(), 2, "{kind}");
    }

    remove(&tester, &account, "many01200@account1.example").await?;
    tester
        .fault(&json!({ "kind": "users.list", "skip": 1, "times": 1, "action": { "type": "respond", "status": 403 } }))
        .await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    full_job(&tester, &account).await?;
    tester.at_rest().await;
    let lists = readings(&tester, &account).await?;
    assert_eq!(lists[0].state, "cut");
    assert_eq!(lists[0].cut_at.as_deref(), Some("page 2 of the directory"));
    assert_eq!((lists[1].id, lists[1].state.as_str()), (whole[0].id, "complete"));
    let users = list(&tester, &account, &Filter::default()).await?;
    assert_eq!((users.len(), users.iter().filter(|user| user.gone_at.is_some()).count()), (1202, 0));
    assert_eq!(
        users.iter().filter(|user| user.seen_at > lists[0].started_at).count(),
        999,
        "the page that came"
    );
    // the list was cut, the sync was not
    assert!(tester.jobs(&account).await?.iter().all(|state| state == "succeeded"));
    assert_eq!(tester.teams(&account, 1).await?.number.as_deref(), Some("+12125550101"));
    let log = log(&tester, &account).await?;
    assert!(log.contains("GRAPH> Enabled users, list cut at page 2 of the directory ("), "{log}");

    full_job(&tester, &account).await?;
    let lists = readings(&tester, &account).await?;
    assert_eq!((lists[0].state.as_str(), lists[0].gone, lists.len()), ("complete", 1, 1));
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_page_with_a_link_does_not_end_the_list() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    bulk(&tester, &account, 1200).await?;
    let empty = json!({ "type": "nextLink", "mode": "empty" });
    tester.fault(&json!({ "kind": "users.list", "times": 1, "action": empty })).await?;
    tester.all_roles().await?;
    full_job(&tester, &account).await?;
    let lists = readings(&tester, &account).await?;
    assert_eq!((lists[0].state.as_str(), lists[0].users), ("complete", 1202));
    assert_eq!(tester.requests("users.list").await?.len(), 3);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_go_in_a_circle_cut_the_list() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    bulk(&tester, &account, 1200).await?;
    let circle = json!({ "type": "nextLink", "mode": "loop" });
    tester.fault(&json!({ "kind": "userConfigurations.list", "times": 1, "action": circle })).await?;
    tester.all_roles().await?;
    full_job(&tester, &account).await?;
    let lists = readings(&tester, &account).await?;
    assert_eq!(lists[0].cut_at.as_deref(), Some("page 1 of Teams' users"));
    assert!(list(&tester, &account, &Filter::default()).await?.is_empty());
    assert_eq!(tester.jobs(&account).await?, ["succeeded"]);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn too_long_a_list_is_cut_and_says_so() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    bulk(&tester, &account, 1200).await?;
    tester.debouncer().await?;
    tester.teams_sync(&TeamsSyncSettings { list_pages: 1, ..fast_sync("worker-1") }).await?;
    tester.sync_log().await?;
    full_job(&tester, &account).await?;
    let lists = readings(&tester, &account).await?;
    assert_eq!(lists[0].cut_at.as_deref(), Some("page 2 of Teams' users"));
    assert_eq!(lists[0].detail.as_deref(), Some("the list has more than 1 pages"));
    assert_eq!(tester.jobs(&account).await?, ["succeeded"]);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_while_it_reads_leaves_a_cut_list_and_its_successor_a_whole_one() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    bulk(&tester, &account, 1200).await?;
    tester.debouncer().await?;
    tester.sync_log().await?;
    let hang = json!({ "kind": "users.list", "skip": 1, "times": 1, "action": { "type": "hang" } });
    tester.fault(&hang).await?;
    let mortal = tester.mortal_worker(fast_sync("")).await?;
    tester.request(&account, "all").await?;
    tester.until("select count(*) from sync.microsoft_users", 999).await;
    // the page that hangs has been asked for: the successor's own pages come
    eventually(Duration::from_secs(30), || async {
        (tester.requests("users.list").await.ok()?.len() == 2).then_some(())
    })
    .await;
    drop(mortal);
    // the successor need not be given up soon, however busy the machine is
    let lease = Duration::from_secs(60);
    tester.teams_sync(&TeamsSyncSettings { lease, ..fast_sync("worker-1") }).await?;
    tester.until(MANUAL_DONE, 1).await;
    let lists = readings(&tester, &account).await?;
    assert_eq!((lists[0].state.as_str(), lists[0].users), ("complete", 1202));
    let cut = "select count(*) from sync.discoveries where state = 'cut' and detail = 'the worker that read fell silent'";
    assert_eq!(tester.count(cut).await?, 1);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_users_are_listed_page_by_page() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    bulk(&tester, &account, 20_000).await?;
    tester.all_roles().await?;
    full_job(&tester, &account).await?;
    let lists = readings(&tester, &account).await?;
    assert_eq!((lists[0].state.as_str(), lists[0].users), ("complete", 20_002));
    let eligible = "select count(*) from sync.microsoft_users where not_eligible is null and gone_at is null";
    assert_eq!(tester.count(eligible).await?, 20_002);
    assert_eq!(tester.requests("users.list").await?.len(), 21);
    tester.finish().await
}
