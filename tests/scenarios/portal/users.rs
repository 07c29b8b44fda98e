//! The list of users, one user explained, and a sync of one.

use anyhow::{Context, Result};
use reqwest::Method;
use tandem_tests::Page;

use super::world::{World, hidden, mark};

fn listed(page: &Page) -> usize {
    page.text.matches("<th scope=\"row\"><a href=\"/accounts/account1/users/").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_users_has_pages_a_search_and_filters_in_the_address() -> Result<()> {
    let world = World::start().await?;
    world.listed(1, None).await?;
    sqlx::query(
        "insert into pbx.profiles (account_id, pbx_user_id, source, profile, digest)
         select $1, 'more-' || i, 'pbx', json_build_object('display_name', 'Person \"100%' || i || '\" ÉVA\\', 'did_numbers', array['+1212555' || i], 'enabled', true), 0
           from generate_series(1000, 1069) i",
    )
    .bind(world.first.id.0)
    .execute(&world.tester.admin)
    .await?;
    sqlx::query("update sync.microsoft_users set display_name = 'Microsoft Name'")
        .execute(&world.tester.admin)
        .await?;
    let mut browser = world.sign_in("adam").await?;
    let users = world.page("/accounts/account1/users");
    let page = browser.go(&users).await?;
    assert_eq!(listed(&page), 50);
    assert!(page.text.len() < 100_000, "{}", page.text.len());
    page.says(&world.first.upn(1))?;
    page.says("Not synced yet")?;
    let next = page.text.split("<p><a href=\"").last().and_then(|rest| rest.split('"').next());
    let second = browser.go(&world.page(next.context("a next page")?)).await?;
    assert_eq!(listed(&second), 23);
    for (query, expected) in [
        ("search=person", 50),
        ("search=100%251069", 1),
        ("search=100_1069", 0),
        ("search=%22100%251069%22+%C3%A9va%5C", 1),
        ("search=display_name", 0),
        ("search=more-1069", 1),
        ("search=%2B12125551003", 1),
        ("search=user1%40", 1),
        ("unmapped=yes&after=more-1060", 9),
        ("unmapped=yes&search=ext-", 0),
    ] {
        let mut filtered = users.clone();
        filtered.set_query(Some(query));
        assert_eq!(listed(&browser.go(&filtered).await?), expected, "{query}");
    }
    sqlx::query(
        "insert into sync.standing (account_id, microsoft_user, pbx_user_id, number)
         select $1, gen_random_uuid(), 'stays-' || i, '+12125550100' from generate_series(1000, 1029) i, generate_series(1, 2)",
    )
    .bind(world.first.id.0)
    .execute(&world.tester.admin)
    .await?;
    let mut standing = users.clone();
    standing.set_query(Some("after=more-1069"));
    assert_eq!(listed(&browser.go(&standing).await?), 30, "each once, and all on one page");
    for bad in ["unmapped=1", "search=a%00b", "after=%0a"] {
        let mut filtered = users.clone();
        filtered.set_query(Some(bad));
        assert_eq!(browser.go(&filtered).await?.code()?, "bad_input", "{bad}");
    }
    // a Sync Contributor sees how users stand, and not who is mapped to whom
    let mut connie = world.sign_in("connie").await?;
    for path in
        ["/accounts/account1/users", "/accounts/account1/users/ext-00001", "/api/v1/accounts/account1/users"]
    {
        let page = connie.go(&world.page(path)).await?;
        assert!(page.status.is_success(), "{path}: {}", page.status);
        assert!(!page.text.contains(&world.first.oid(1).to_string()), "{path}");
    }
    let mut by_name = users.clone();
    by_name.set_query(Some("search=microsoft+name"));
    assert_eq!(listed(&browser.go(&by_name).await?), 1);
    assert_eq!(listed(&connie.go(&by_name).await?), 0, "nor finds it by searching");
    for missing in ["/accounts/account1/users/nobody", "/accounts/account1/users/a%00b"] {
        assert_eq!(browser.go(&world.page(missing)).await?.status, 404, "{missing}");
    }
    world.tester.abandon().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_explained_and_synced_alone() -> Result<()> {
    let mut world = World::start().await?;
    world.tester.all_roles().await?;
    world.tester.save(&world.first, &[(1, Some("+12125550101")), (2, Some("+12125550102"))]).await?;
    world.tester.at_rest().await;
    let user = world.page("/accounts/account1/users/ext-00001");
    let mut adam = world.sign_in("adam").await?;
    let page = adam.go(&user).await?;
    for said in ["In Teams", "+12125550101", "Auto", "only the Global Admin linked to the account"] {
        page.says(said)?;
    }
    assert!(!page.text.contains("Sync this user now"), "an Admin may not sync");
    let sync = world.page("/accounts/account1/users/ext-00001/sync");
    let refused = adam.once(Method::POST, &sync, &[("mark", &mark(&page)?), ("key", "k")]).await?;
    assert_eq!(refused.code()?, "role_missing");

    // somebody changed it in Teams, which nobody here has noticed
    world.tester.take_away(&world.first, "+12125550101").await?;
    world.tester.take_away(&world.first, "+12125550102").await?;
    let mut connie = world.sign_in("connie").await?;
    let page = connie.go(&user).await?;
    let (mark, key) = (mark(&page)?, hidden(&page, "key")?);
    for _ in 0..2 {
        let sent = connie.once(Method::POST, &sync, &[("mark", &mark), ("key", &key)]).await?;
        connie.follow(sent).await?.says("The sync has been asked for")?;
    }
    assert_eq!(world.tester.count("select count(*) from admin.requests").await?, 1);
    let done = "select count(*) from log.jobs where job_type = 'manual' and state = 'succeeded'";
    world.tester.until(done, 1).await;
    let planned: i32 =
        sqlx::query_scalar("select (counts ->> 'planned')::int from log.jobs where job_type = 'manual'")
            .fetch_one(&world.tester.admin)
            .await?;
    assert_eq!(planned, 1, "a job of this user alone");
    world.tester.at_rest().await;
    assert_eq!(world.tester.teams(&world.first, 1).await?.number.as_deref(), Some("+12125550101"));
    assert_eq!(world.tester.teams(&world.first, 2).await?.number, None, "nobody asked for this one");
    connie.go(&user).await?.says("Manual")?;
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_user_says_what_it_waits_for() -> Result<()> {
    let world = World::start().await?;
    sqlx::query(
        "insert into sync.deferred (account_id, pbx_user_id, reason, detail, next_look, job_id)
         values ($1, 'ext-00002', 'licence_pending', 'the plan is <i>new</i>', now() + interval '1 hour', $1)",
    )
    .bind(world.first.id.0)
    .execute(&world.tester.admin)
    .await?;
    let mut browser = world.sign_in("gale").await?;
    let page = browser.go(&world.page("/accounts/account1/users")).await?;
    page.says("Licence pending, looked at again")?;
    let page = browser.go(&world.page("/accounts/account1/users/ext-00002")).await?;
    for said in ["Waiting", "Licence pending", "looked at again by itself", "Expected to be over by"] {
        page.says(said)?;
    }
    assert!(!page.text.contains("<i>new"), "B29");
    world.tester.abandon().await;
    Ok(())
}
