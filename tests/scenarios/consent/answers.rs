//! What a browser can bring back from Microsoft, right and wrong (B55 to B59): refused with a code, and without effect.

use anyhow::Result;
use reqwest::Method;
use tandem_tests::Browser;
use url::Url;

use super::world::{ADMIN, World};

/// The address with other parameters.
fn with(address: &Url, change: impl Fn(&mut Vec<(String, String)>)) -> Url {
    let mut pairs: Vec<(String, String)> = address.query_pairs().into_owned().collect();
    change(&mut pairs);
    let mut address = address.clone();
    address.query_pairs_mut().clear().extend_pairs(pairs);
    address
}

fn without(address: &Url, name: &str) -> Url {
    with(address, |pairs| pairs.retain(|(known, _)| known != name))
}

fn set(address: &Url, name: &str, value: &str) -> Url {
    with(&without(address, name), |pairs| pairs.push((name.to_owned(), value.to_owned())))
}

fn add(address: &Url, name: &str, value: &str) -> Url {
    with(address, |pairs| pairs.push((name.to_owned(), value.to_owned())))
}

#[tokio::test(flavor = "multi_thread")]
async fn b55_b58_an_answer_of_the_sign_in_counts_once_in_its_own_browser() -> Result<()> {
    let world = World::start().await?;
    let gale = world.upn(ADMIN);
    let mut browser = Browser::new();
    let right = world.answer(&mut browser, &gale).await?;
    let foreign = world.answer(&mut Browser::new(), &gale).await?;
    let foreign_state =
        foreign.query_pairs().find(|(name, _)| name == "state").map(|(_, value)| value.into_owned());
    let foreign_state = foreign_state.unwrap_or_default();
    // none of these uses the right answer up
    for (address, code) in [
        (without(&right, "state"), "state_missing"),
        (set(&right, "state", ""), "state_missing"),
        (set(&right, "state", "made-up"), "state_unknown"),
        (set(&right, "state", &foreign_state), "state_unknown"),
        (add(&right, "state", &foreign_state), "answer_ambiguous"),
        (add(&right, "code", "another"), "answer_ambiguous"),
        (add(&right, "error", "access_denied"), "answer_ambiguous"),
        (without(&right, "code"), "answer_incomplete"),
        (world.page("/connect/signed-in"), "answer_incomplete"),
    ] {
        let page = browser.go(&address).await?;
        assert_eq!((page.code()?.as_str(), page.status.as_u16()), (code, 400), "{address}");
    }
    let posted = browser.once(Method::POST, &right, &[]).await?;
    assert_eq!((posted.code()?.as_str(), posted.status.as_u16()), ("method_not_allowed", 405));
    let looked = browser.once(Method::HEAD, &right, &[]).await?;
    assert_eq!(looked.status.as_u16(), 405, "a look does not use the answer up");
    // a browser without the session, and one with the session of another attempt
    assert_eq!(Browser::new().go(&right).await?.code()?, "session_unknown");
    let mut other = Browser::new();
    world.answer(&mut other, &gale).await?;
    assert_eq!(other.go(&right).await?.code()?, "state_unknown");

    browser.go(&right).await?.says("Allow access at Microsoft")?;
    assert_eq!(browser.go(&right).await?.code()?, "state_used");
    world.nothing_done().await?;
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn b55_an_answer_that_is_too_old_is_refused() -> Result<()> {
    let world = World::start().await?;
    let mut browser = Browser::new();
    let right = world.answer(&mut browser, &world.upn(ADMIN)).await?;
    let left = "select count(*) from admin.connect_attempts where state_until between now() + interval '9 minutes' and now() + interval '10 minutes'";
    assert_eq!(world.tester.count(left).await?, 1);
    sqlx::query("update admin.connect_attempts set state_until = now() - interval '1 second'")
        .execute(&world.tester.admin)
        .await?;
    assert_eq!(browser.go(&right).await?.code()?, "state_expired");
    world.nothing_done().await?;
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn b59_a_code_is_good_for_its_own_verifier_and_once() -> Result<()> {
    let world = World::start().await?;
    let gale = world.upn(ADMIN);
    let code = |address: &Url| {
        let code = address.query_pairs().find(|(name, _)| name == "code");
        code.map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    // the code of another browser's sign-in: its verifier is not in this session
    let mut browser = Browser::new();
    let right = world.answer(&mut browser, &gale).await?;
    let foreign = world.answer(&mut Browser::new(), &gale).await?;
    let page = browser.go(&set(&right, "code", &code(&foreign))).await?;
    assert_eq!(page.code()?, "code_refused");
    // a code that was redeemed already
    let mut browser = Browser::new();
    let spent = world.answer(&mut browser, &gale).await?;
    browser.go(&spent).await?.says("Allow access at Microsoft")?;
    let mut browser = Browser::new();
    let right = world.answer(&mut browser, &gale).await?;
    assert_eq!(browser.go(&set(&right, "code", &code(&spent))).await?.code()?, "code_refused");
    // and the way that was refused has ended: the right code comes too late
    assert_eq!(browser.go(&right).await?.code()?, "state_used");
    let refused = world.tester.requests("token").await?;
    let methods = refused.iter().filter(|request| request["status"] == 400).count();
    assert_eq!(methods, 2, "Microsoft itself refused both");
    world.nothing_done().await?;
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn b56_b57_b67_what_the_browser_says_of_a_consent_is_not_believed() -> Result<()> {
    let mut world = World::start().await?;
    let other = world.tester.account(1).await?;
    sqlx::query("delete from vault.authorizations").execute(&world.tester.admin).await?;
    let victim = other.tenant.to_string();

    // typed by hand, without having signed in at all, and after the sign-in alone
    let by_hand = |state: &str| {
        let mut address = world.page("/connect/consented");
        address.set_query(Some(&format!("admin_consent=True&tenant={victim}&state={state}")));
        address
    };
    assert_eq!(Browser::new().go(&by_hand("x")).await?.code()?, "session_unknown");
    let mut browser = Browser::new();
    world.sign_in(&mut browser, &world.upn(ADMIN)).await?.says("Allow access at Microsoft")?;
    assert_eq!(browser.go(&by_hand("x")).await?.code()?, "state_unknown");

    // the consent is real, but the answer names another tenant, or an error beside it
    for (change, code) in [
        (("tenant", victim.as_str()), "consent_other_tenant"),
        (("tenant", "not-a-tenant"), "consent_other_tenant"),
        (("error", "consent_required"), "consent_denied"),
        (("admin_consent", "False"), "answer_incomplete"),
        (("admin_consent", "True&tenant"), "answer_incomplete"),
    ] {
        let mut browser = Browser::new();
        let right = world.consent_answer(&mut browser).await?;
        let page = browser.go(&set(&right, change.0, change.1)).await?;
        assert_eq!(page.code()?, code, "{change:?}");
        world.nothing_done().await?;
        if code != "answer_incomplete" {
            assert_eq!(browser.go(&right).await?.code()?, "state_used", "the way has ended: {change:?}");
        }
    }
    // a description without an error means nothing
    let mut browser = Browser::new();
    let right = world.consent_answer(&mut browser).await?;
    browser.go(&set(&right, "error_description", "harmless")).await?;
    world.outcome(&mut browser).await?.says("Connected")?;
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn b57_a_consent_that_is_declined_leaves_nothing_behind() -> Result<()> {
    let world = World::start().await?;
    let mut browser = Browser::new();
    let confirm = world.sign_in(&mut browser, &world.upn(ADMIN)).await?;
    let microsoft = browser.send(&confirm, &[]).await?;
    let page = browser.send(&microsoft, &[("deny", "1")]).await?;
    assert_eq!(page.code()?, "consent_denied");
    page.says("AADSTS65004")?;
    page.says(&world.upn(ADMIN))?;
    assert!(page.url.query().is_some_and(|query| query.contains("admin_consent=True")), "{}", page.url);
    world.nothing_done().await?;
    // the same at the sign-in
    let microsoft = world.at_microsoft(&mut browser).await?;
    let page = browser.send(&microsoft, &[("deny", "1")]).await?;
    assert_eq!(page.code()?, "sign_in_denied");
    world.nothing_done().await?;
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn b23_the_consent_form_is_ours() -> Result<()> {
    let world = World::start().await?;
    let mut browser = Browser::new();
    let confirm = world.sign_in(&mut browser, &world.upn(ADMIN)).await?;
    let form = confirm.form()?;
    for fields in [&[][..], &[("mark", "")], &[("mark", "made-up")], &[("mark", "a"), ("tenant", "b")]] {
        assert_eq!(browser.once(Method::POST, &form, fields).await?.code()?, "form_stale", "{fields:?}");
    }
    assert_eq!(Browser::new().once(Method::POST, &form, &[("mark", "a")]).await?.code()?, "session_unknown");
    world.nothing_done().await?;
    world.tester.finish().await
}
