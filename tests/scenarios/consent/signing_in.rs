//! Who may connect a tenant (B64 to B66), and what a lost process costs (F16).

use anyhow::Result;
use serde_json::json;
use tandem_store::connect::Purpose;
use tandem_tests::Browser;

use super::world::{ADMIN, GUEST, NOBODY, READER, TEAMS_ADMIN, World, person};

#[tokio::test(flavor = "multi_thread")]
async fn b64_only_a_global_administrator_who_is_no_guest() -> Result<()> {
    let world = World::start().await?;
    for (name, code) in
        [(READER, "not_global_admin"), (TEAMS_ADMIN, "not_global_admin"), (NOBODY, "not_global_admin")]
    {
        let page = world.sign_in(&mut Browser::new(), &world.upn(name)).await?;
        assert_eq!((page.code()?.as_str(), page.status.as_u16()), (code, 403), "{name}");
        page.says(&world.upn(name))?;
        world.nothing_done().await?;
    }
    // a guest who holds the role here, at the address of this tenant
    let link = world.link(&Purpose::Connect, Some(&world.account.tenant.to_string())).await?;
    let mut browser = Browser::new();
    let microsoft = world.to_microsoft(&mut browser, &link).await?;
    let page = browser.send(&microsoft, &[("person", &world.upn(GUEST))]).await?;
    assert_eq!(page.code()?, "guest_account");
    world.nothing_done().await?;
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn b64_a_role_of_the_token_that_the_directory_does_not_confirm() -> Result<()> {
    let world = World::start().await?;
    let gale = world.upn(ADMIN);
    // the token is issued while the role is held; when the directory is asked, it has been taken away
    let gone = json!({ "kind": "me.memberOf", "action": { "type": "respond", "status": 200, "body": { "value": [] } } });
    world.tester.fault(&gone).await?;
    let page = world.sign_in(&mut Browser::new(), &gale).await?;
    assert_eq!(page.code()?, "role_not_confirmed");
    world.tester.no_faults().await?;
    // the directory says nothing at all: nobody is let in on the token's word alone
    let down = json!({ "kind": "me.memberOf", "action": { "type": "respond", "status": 503 } });
    world.tester.fault(&down).await?;
    let page = world.sign_in(&mut Browser::new(), &gale).await?;
    assert_eq!((page.code()?.as_str(), page.status.as_u16()), ("login_unavailable", 502));
    world.nothing_done().await?;
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn b66_the_same_name_in_another_tenant_is_somebody_else() -> Result<()> {
    let mut world = World::start().await?;
    let gale = world.upn(ADMIN);
    world.connect(&mut Browser::new(), &gale).await?.says("Connected")?;
    let other = world.tester.account(1).await?;
    let mail = json!({ "mail": gale, "displayName": "Gale", "roles": ["Global Administrator"] });
    let look_alike = format!("gale@{}.example", other.name);
    person(&world.tester, other.tenant, &look_alike, mail).await?;
    // whoever is bound decides which tenant's sign-in it is, so the look-alike is not even offered there
    let page = world.sign_in(&mut Browser::new(), &look_alike).await?;
    assert!(page.url.as_str().starts_with(world.tester.sim.base_url()), "{}", page.url);
    let linked = "select count(*) from vault.authorizations where admin_name like 'gale@account1.%'";
    assert_eq!(world.tester.count(linked).await?, 1);
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn f16_a_sign_in_that_was_cut_off_is_begun_again() -> Result<()> {
    let mut world = World::start().await?;
    let mut browser = Browser::new();
    let answer = world.answer(&mut browser, &world.upn(ADMIN)).await?;
    // the state was used up and the code redeemed when the process died: nothing else is kept
    sqlx::query("update admin.connect_attempts set state_hash = null, state_until = null")
        .execute(&world.tester.admin)
        .await?;
    assert_eq!(browser.go(&answer).await?.code()?, "state_used");
    let page = browser.go(&world.page("/connect/status")).await?;
    assert_eq!(page.code()?, "sign_in_unfinished");
    page.says("Start again")?;
    world.nothing_done().await?;
    // what is left of it does not keep anybody from connecting, be it at another server of the pages
    world.base = world.another_server().await?;
    world.connect(&mut browser, &world.upn(ADMIN)).await?.says("Connected")?;
    world.tester.finish().await
}
