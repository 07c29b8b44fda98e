//! Saving mappings in the portal: who may, never more than licences, never over somebody else's save.

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};
use tandem_tests::Page;

use super::world::{World, hidden, mark};

async fn mappings(world: &World) -> Result<Vec<String>> {
    let query = "select pbx_user_id from admin.mappings where account_id = $1 order by 1";
    Ok(sqlx::query_scalar(query).bind(world.first.id.0).fetch_all(&world.tester.admin).await?)
}

fn saved(page: &Page) -> bool {
    page.status == 303
}

#[tokio::test(flavor = "multi_thread")]
async fn b3_of_two_saves_at_once_one_is_refused() -> Result<()> {
    let world = World::start().await?;
    world.start_with(&[1], 2).await?;
    world.listed(2, None).await?;
    world.listed(3, None).await?;
    let (mut adam, mut mia) = (world.sign_in("adam").await?, world.sign_in("mia").await?);
    let (second, third) = (adam.go(&world.mapping(2)).await?, mia.go(&world.mapping(3)).await?);
    let (one, other) =
        tokio::join!(world.chosen(&mut adam, &second, Some(2)), world.chosen(&mut mia, &third, Some(3)));
    let (one, other) = (one?, other?);
    assert_ne!(saved(&one), saved(&other), "{} {}", one.status, other.status);
    let refused = if saved(&one) { other } else { one };
    assert_eq!((refused.code()?.as_str(), refused.status.as_u16()), ("no_licence_free", 409));
    assert_eq!(mappings(&world).await?.len(), 2);
    assert_eq!(world.tester.count("select count(*) from change.log where kind = 'mapped'").await?, 1);
    assert_eq!(world.audited(world.first.id.0).await?, ["save_mapping allowed"]);
    world.tester.abandon().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a3_a4_account_managers_and_admins_save_and_nothing_changes_in_teams_by_that() -> Result<()> {
    let mut world = World::start().await?;
    world.tester.auto_sync(&world.first, false).await?;
    world.start_with(&[1], 5).await?;
    world.listed(2, None).await?;
    world.listed(3, None).await?;
    world.tester.all_roles().await?;
    let before = world.tester.numbers(&world.first, 3).await?;
    for (person, i) in [("adam", 2), ("mia", 3)] {
        let mut browser = world.sign_in(person).await?;
        let page = world.choose(&mut browser, i, Some(i)).await?;
        assert!(saved(&page), "{person}: {} {}", page.status, page.text);
        browser.follow(page).await?.says("Change queued")?;
    }
    assert_eq!(mappings(&world).await?.len(), 3);
    for person in ["gale", "connie", "olga"] {
        let mut browser = world.sign_in(person).await?;
        let mark = mark(&browser.go(&world.page("/accounts")).await?)?;
        let fields =
            [("mark", mark.as_str()), ("version", "none"), ("microsoft_user", "none"), ("service", "voice")];
        let page = browser.once(Method::POST, &world.mapping(2), &fields).await?;
        assert_eq!(page.code()?, "role_missing", "{person}");
    }
    // each save is one change, announced with it, which says who
    let rows: Vec<(String, Value)> =
        sqlx::query_as("select source, after from change.log where kind = 'mapped' order by gen")
            .fetch_all(&world.tester.admin)
            .await?;
    assert_eq!(rows.len(), 2);
    let (source, after) = rows.first().context("a change")?;
    assert!(source.starts_with("portal adam"), "{source}");
    let oid = world.first.oid(2);
    assert_eq!(*after, json!({ "microsoft_user": oid, "service": "voice", "number": null }));
    let gathered = "select count(*) from queue.windows where first_change_at is not null and due_at is null";
    world.tester.until(gathered, 1).await;
    assert_eq!(world.tester.numbers(&world.first, 3).await?, before);
    assert_eq!(world.tester.count("select count(*) from queue.jobs").await?, 0);
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a7_p18_eligible_users_can_be_picked_and_others_say_why_not() -> Result<()> {
    let world = World::start().await?;
    world.start_with(&[1], 5).await?;
    for (i, why) in [(1, None), (2, None), (3, Some("room"))] {
        world.listed(i, why).await?;
    }
    let mut browser = world.sign_in("adam").await?;
    let page = browser.go(&world.mapping(2)).await?;
    page.says(&format!("value=\"{}\"> {}", world.first.oid(2), world.first.upn(2)))?;
    page.says("is a meeting room")?;
    page.says("is mapped to ext-00001")?;
    let mut search = world.mapping(2);
    search.set_query(Some("search=user3"));
    let found = browser.go(&search).await?;
    assert!(!found.text.contains(&world.first.upn(2)) && found.text.contains(&world.first.upn(3)));
    for (to, code) in
        [(1, "microsoft_user_taken"), (3, "microsoft_user_not_eligible"), (9, "microsoft_user_unknown")]
    {
        assert_eq!(world.choose(&mut browser, 2, Some(to)).await?.code()?, code);
    }
    // None unassigns, and is saved once
    for _ in 0..2 {
        assert!(saved(&world.choose(&mut browser, 1, None).await?));
    }
    assert_eq!(mappings(&world).await?, Vec::<String>::new());
    assert_eq!(world.tester.count("select count(*) from change.log where kind = 'unmapped'").await?, 1);
    world.tester.abandon().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn b34_a_save_over_somebody_elses_save_is_refused() -> Result<()> {
    let world = World::start().await?;
    world.start_with(&[], 5).await?;
    world.listed(1, None).await?;
    world.listed(2, None).await?;
    let (mut adam, mut mia) = (world.sign_in("adam").await?, world.sign_in("mia").await?);
    let old = adam.go(&world.mapping(1)).await?;
    assert!(saved(&world.choose(&mut mia, 1, Some(1)).await?));
    let stale = world.chosen(&mut adam, &old, Some(2)).await?;
    assert_eq!((stale.code()?.as_str(), stale.status.as_u16()), ("version_stale", 412));
    // the API shows the version as ETag and wants it back
    let user = world.page("/api/v1/accounts/account1/users/ext-00001");
    let page = adam.go(&user).await?;
    let tag = page.headers.get("etag").context("an ETag")?.to_str()?.to_owned();
    let shown: Value = serde_json::from_str(&page.text)?;
    assert_eq!(shown["user"]["mapping"]["microsoft_user"], json!(world.first.oid(1)));
    let me: Value = serde_json::from_str(&adam.go(&world.page("/api/v1/me")).await?.text)?;
    let token = me["csrf_token"].as_str().context("a token")?;
    let cookie = format!("tandem={}", adam.cookie(&world.base, "tandem").context("a session")?);
    let save = world.page("/api/v1/accounts/account1/users/ext-00001/mapping");
    let put = async |tag: Option<&str>| -> Result<(u16, String)> {
        let mut request = world.tester.http.put(save.clone());
        request = request.header("cookie", &cookie).header("x-csrf-token", token);
        if let Some(tag) = tag {
            request = request.header("if-match", tag);
        }
        let body = json!({ "microsoft_user": world.first.oid(2), "service": "app" });
        let answer = request.json(&body).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    };
    let (status, text) = put(None).await?;
    assert!(status == 428 && text.contains("if_match_missing"), "{status} {text}");
    let (status, text) = put(Some(&tag)).await?;
    assert_eq!(status, 200, "{text}");
    let (status, text) = put(Some(&tag)).await?;
    assert!(status == 412 && text.contains("version_stale"), "{status} {text}");
    world.tester.abandon().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a2_p13_a_leavers_licence_is_free_after_a_sync() -> Result<()> {
    let mut world = World::start().await?;
    world.start_with(&[1, 2], 2).await?;
    world.listed(3, None).await?;
    world.tester.all_roles().await?;
    world.tester.save(&world.first, &[(1, Some("+12125550101"))]).await?;
    world.tester.at_rest().await;
    world.tester.auto_sync(&world.first, false).await?;
    let mut browser = world.sign_in("adam").await?;
    assert_eq!(world.choose(&mut browser, 3, Some(3)).await?.code()?, "no_licence_free");
    let page = world.choose(&mut browser, 1, None).await?;
    browser.follow(page).await?.says("Leaving")?;
    assert_eq!(world.choose(&mut browser, 3, Some(3)).await?.code()?, "licence_still_leaving");
    world.tester.auto_sync(&world.first, true).await?;
    world.tester.at_rest().await;
    assert!(saved(&world.choose(&mut browser, 3, Some(3)).await?));
    world.tester.at_rest().await;
    let ledger: Vec<(String, String)> = sqlx::query_as(
        "select pbx_user_id, kind from change.log where kind in ('mapped', 'unmapped') order by gen",
    )
    .fetch_all(&world.tester.admin)
    .await?;
    let steps: Vec<(&str, &str)> = ledger.iter().map(|(user, kind)| (user.as_str(), kind.as_str())).collect();
    assert_eq!(steps, [("ext-00001", "unmapped"), ("ext-00003", "mapped")]);
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn proposals_by_address_are_accepted_singly_or_all_or_none() -> Result<()> {
    let world = World::start().await?;
    world.start_with(&[], 1).await?;
    for (i, why) in [(1, None), (2, None), (3, Some("disabled"))] {
        world.listed(i, why).await?;
    }
    let mut browser = world.sign_in("adam").await?;
    let proposals = world.page("/accounts/account1/proposals");
    let page = browser.go(&proposals).await?;
    page.says("Accept all 2 as Voice")?;
    assert!(!page.text.contains(&world.first.upn(3)), "not eligible, not proposed");
    let mark = mark(&page)?;
    let all = hidden(&page, "version")?;
    let fields = [("mark", mark.as_str()), ("version", all.as_str())];
    let refused = browser.once(Method::POST, &proposals, &fields).await?;
    assert_eq!(refused.code()?, "no_licence_free");
    assert_eq!(mappings(&world).await?, Vec::<String>::new(), "all or none");
    assert!(saved(&world.choose(&mut browser, 1, Some(1)).await?));
    let stale = browser.once(Method::POST, &proposals, &fields).await?;
    assert_eq!(stale.code()?, "version_stale");
    world.start_with(&[1], 2).await?;
    let page = browser.go(&proposals).await?;
    page.says("Accept all 1 as Voice")?;
    let all = hidden(&page, "version")?;
    let fields = [("mark", mark.as_str()), ("version", all.as_str())];
    let page = browser.once(Method::POST, &proposals, &fields).await?;
    browser.follow(page).await?.says("There is nothing to propose")?;
    assert_eq!(mappings(&world).await?, ["ext-00001", "ext-00002"]);
    world.tester.abandon().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn proposals_of_more_than_a_page_are_accepted_by_page_or_all_at_once() -> Result<()> {
    let world = World::start().await?;
    world.start_with(&[], 100).await?;
    sqlx::query(
        "with people as (select i, 'new' || i || '@a.example' as address from generate_series(100, 219) i),
              profiles as (insert into pbx.profiles (account_id, pbx_user_id, source, profile, digest)
                           select $1, 'new-' || i, 'pbx', json_build_object('email', address, 'enabled', true), 0 from people)
         insert into sync.microsoft_users (account_id, microsoft_user, upn, kind, phone_plan, account_enabled, discovery_id)
         select $1, gen_random_uuid(), upper(address), 'user', 'enabled', true, $1 from people",
    )
    .bind(world.first.id.0)
    .execute(&world.tester.admin)
    .await?;
    let mut browser = world.sign_in("adam").await?;
    let proposals = world.page("/accounts/account1/proposals");
    let page = browser.go(&proposals).await?;
    page.says("Accept these 50 as Voice")?;
    page.says("Accept all 120 as Voice")?;
    let mark = mark(&page)?;
    let versions = page.text.split("name=\"version\" value=\"").skip(1);
    let versions: Vec<&str> = versions.filter_map(|rest| rest.split('"').next()).take(2).collect();
    let [these, all] = versions[..] else { anyhow::bail!("two versions: {versions:?}") };
    let refused = browser.once(Method::POST, &proposals, &[("mark", &mark), ("version", all)]).await?;
    assert_eq!(refused.code()?, "no_licence_free");
    assert_eq!(mappings(&world).await?.len(), 0);
    assert!(saved(&browser.once(Method::POST, &proposals, &[("mark", &mark), ("version", these)]).await?));
    assert_eq!(mappings(&world).await?.len(), 50);
    world.start_with(&[], 120).await?;
    assert!(saved(&browser.once(Method::POST, &proposals, &[("mark", &mark), ("version", all)]).await?));
    assert_eq!(mappings(&world).await?.len(), 120);
    world.tester.abandon().await;
    Ok(())
}
