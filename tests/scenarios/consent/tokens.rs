//! Microsoft's sign-in misbehaving: nobody is let in (B60 to B65), and its keys are not asked for in a storm (B71).

use anyhow::Result;
use serde_json::json;
use tandem_store::connect::Purpose;
use tandem_tests::Browser;

use super::world::{ADMIN, World};

#[tokio::test(flavor = "multi_thread")]
async fn b60_b61_b62_b63_b64_b65_an_id_token_that_is_wrong_in_one_point_lets_nobody_in() -> Result<()> {
    let world = World::start().await?;
    let gale = world.upn(ADMIN);
    let personal = "9188040d-6c67-4c5b-b112-36a304b66dad";
    let base = world.tester.sim.base_url();
    let (home, other) = (world.account.tenant, msgraph_sim::DEMO_TENANT);
    let issuer = |tenant: &str| format!("{base}/{tenant}/v2.0");
    let foreign = json!({ "tid": other, "iss": issuer(&other.to_string()) });
    let cases = [
        // B60
        (json!({ "sign": "none" }), "id_token_algorithm"),
        (json!({ "sign": "publicKey" }), "id_token_algorithm"),
        (json!({ "sign": "stranger" }), "id_token_key_unknown"),
        (json!({ "sign": "stranger", "embedKey": true }), "id_token_own_key"),
        (json!({ "sign": "stranger", "header": { "jku": "https://evil.example/keys" } }), "id_token_own_key"),
        (json!({ "header": { "jku": "https://evil.example/keys" } }), "id_token_own_key"),
        (json!({ "sign": "consumer" }), "id_token_key_issuer"),
        // B61
        (json!({ "claims": { "tid": other } }), "id_token_issuer"),
        (json!({ "claims": { "iss": issuer(&other.to_string()) } }), "id_token_issuer"),
        (json!({ "claims": { "iss": issuer("{tenantid}") } }), "id_token_issuer"),
        (json!({ "claims": { "iss": format!("{}/", issuer(&home.to_string())) } }), "id_token_issuer"),
        (json!({ "claims": { "iss": format!("https://sts.windows.net/{home}/") } }), "id_token_issuer"),
        // B62
        (json!({ "claims": { "aud": msgraph_sim::DEMO_APP } }), "id_token_audience"),
        (json!({ "claims": { "aud": [msgraph_sim::DEMO_SIGN_IN_APP] } }), "id_token_audience"),
        (json!({ "claims": { "nonce": null } }), "id_token_nonce"),
        (json!({ "claims": { "nonce": "another" } }), "id_token_nonce"),
        (json!({ "shift": { "exp": -3700 } }), "id_token_time"),
        (json!({ "shift": { "nbf": 100 } }), "id_token_time"),
        // B63
        (json!({ "swap": true }), "id_token_issuer"),
        // B64
        (json!({ "claims": { "wids": null } }), "role_unproved"),
        (json!({ "claims": { "wids": [] } }), "role_unproved"),
        (json!({ "claims": { "wids": "62e90394-69f5-4237-9190-012177145e10" } }), "role_unproved"),
        (json!({ "claims": { "wids": ["f2ef992c-3afb-46b9-b7cf-a126ee74c451"] } }), "not_global_admin"),
        (json!({ "claims": { "acct": 1 } }), "guest_account"),
        // B65
        (json!({ "claims": { "tid": personal, "iss": issuer(personal) } }), "personal_account"),
        // the person of the token is not the one whose token the directory sees
        (json!({ "claims": { "oid": "0a0a0a0a-1111-4222-8333-444444444401" } }), "id_token_kind"),
        (json!({ "claims": foreign }), "may"),
    ];
    for (mut action, code) in cases {
        action["type"] = json!("idToken");
        world.tester.no_faults().await?;
        world.tester.fault(&json!({ "kind": "token", "action": action })).await?;
        let page = world.sign_in(&mut Browser::new(), &gale).await?;
        if code == "may" {
            // a token of a tenant that nobody asked for is right in itself: the consent has to come from there
            page.says(&other.to_string())?;
            continue;
        }
        assert_eq!(page.code()?, code, "{action}");
        world.nothing_done().await?;
    }
    world.tester.no_faults().await?;
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn b67_a_token_of_another_tenant_than_the_one_expected_or_bound() -> Result<()> {
    let world = World::start().await?;
    let gale = world.upn(ADMIN);
    let other = msgraph_sim::DEMO_TENANT;
    let claims = json!({ "tid": other, "iss": format!("{}/{other}/v2.0", world.tester.sim.base_url()) });
    let fault = json!({ "kind": "token", "action": { "type": "idToken", "claims": claims } });
    let mut browser = Browser::new();
    // the address signed in at is that tenant's, and so is the only issuer that counts
    let link = world.link(&Purpose::Connect, Some(&world.account.tenant.to_string())).await?;
    let microsoft = world.to_microsoft(&mut browser, &link).await?;
    world.tester.fault(&fault).await?;
    assert_eq!(browser.send(&microsoft, &[("person", &gale)]).await?.code()?, "id_token_issuer");
    world.nothing_done().await?;
    // bound while the sign-in was under way at the address of all organisations
    world.tester.no_faults().await?;
    let microsoft = world.at_microsoft(&mut browser).await?;
    world.connect(&mut Browser::new(), &gale).await?.says("Connected")?;
    world.tester.fault(&fault).await?;
    let page = browser.send(&microsoft, &[("person", &gale)]).await?;
    assert_eq!(page.code()?, "other_tenant_bound");
    page.says(&world.account.tenant.to_string())?;
    page.says(&other.to_string())?;
    world.tester.no_faults().await?;
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn b71_keys_that_are_not_there_let_nobody_in() -> Result<()> {
    let mut world = World::start().await?;
    let gale = world.upn(ADMIN);
    for (kind, action, code) in [
        ("keys", json!({ "type": "keys", "mode": "empty" }), "id_token_key_unknown"),
        ("keys", json!({ "type": "keys", "mode": "other" }), "id_token_key_unknown"),
        ("keys", json!({ "type": "keys", "mode": "huge" }), "login_unavailable"),
        ("keys", json!({ "type": "delayReply", "ms": 60_000 }), "login_unavailable"),
        ("keys", json!({ "type": "respond", "status": 503 }), "login_unavailable"),
        ("keys", json!({ "type": "respond", "status": 200, "body": "<html>" }), "login_unavailable"),
        ("token", json!({ "type": "respond", "status": 503 }), "login_unavailable"),
        ("me", json!({ "type": "respond", "status": 200, "body": {} }), "login_unavailable"),
    ] {
        // another process of the pages each time: what it knows of keys it has from here
        world.base = world.another_server().await?;
        world.tester.no_faults().await?;
        let mut browser = Browser::new();
        let answer = world.answer(&mut browser, &gale).await?;
        world.tester.fault(&json!({ "kind": kind, "action": action })).await?;
        assert_eq!(browser.go(&answer).await?.code()?, code, "{kind} {action}");
        world.nothing_done().await?;
    }
    world.tester.no_faults().await?;
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn b71_new_keys_are_found_and_not_looked_for_in_a_storm() -> Result<()> {
    let world = World::start().await?;
    let gale = world.upn(ADMIN);
    let asked = async || Ok::<usize, anyhow::Error>(world.tester.requests("keys").await?.len());
    for _ in 0..3 {
        world.sign_in(&mut Browser::new(), &gale).await?.says("Allow access at Microsoft")?;
    }
    assert_eq!(asked().await?, 1, "the keys are kept");
    let rotate = json!({ "keep": false });
    world.tester.switch(reqwest::Method::POST, "keys/rotate", Some(&rotate)).await?;
    world.sign_in(&mut Browser::new(), &gale).await?.says("Allow access at Microsoft")?;
    assert_eq!(asked().await?, 2, "a key that is new is looked for");
    for _ in 0..3 {
        world.tester.switch(reqwest::Method::POST, "keys/rotate", Some(&rotate)).await?;
        let page = world.sign_in(&mut Browser::new(), &gale).await?;
        assert_eq!(page.code()?, "id_token_key_unknown");
    }
    assert_eq!(asked().await?, 2, "but once a minute at most");
    world.tester.finish().await
}
