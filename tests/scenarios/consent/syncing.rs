//! Asking for a sync as a person: only the linked Global Administrator, and the token goes nowhere but into the vault.

use anyhow::{Result, ensure};
use sqlx::Row as _;
use tandem_domain::job::JobScope;
use tandem_store::connect::Purpose;
use tandem_tests::{Browser, Page};

use super::world::{ADMIN, READER, SECOND_ADMIN, World};

fn sync() -> Purpose {
    Purpose::Sync { scope: JobScope::Changed, reason: "new numbers".to_owned() }
}

impl World {
    /// Opens a link for a sync and signs in as somebody.
    async fn ask(&self, browser: &mut Browser, person: &str) -> Result<Page> {
        let link = self.link(&sync(), None).await?;
        let microsoft = self.to_microsoft(browser, &link).await?;
        browser.send(&microsoft, &[("person", person)]).await
    }

    async fn asked(&self) -> Result<(i64, i64)> {
        let requests = self.tester.count("select count(*) from admin.requests").await?;
        Ok((requests, self.tester.count("select count(*) from vault.job_tokens").await?))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a22_p7_only_the_linked_account_authorises() -> Result<()> {
    let world = World::start().await?;
    let gale = world.upn(ADMIN);
    // nobody is linked yet
    let page = world.ask(&mut Browser::new(), &gale).await?;
    assert_eq!(page.code()?, "not_connected");
    world.connect(&mut Browser::new(), &gale).await?.says("Connected")?;

    // another Global Administrator of the same tenant, and one who only reads: both accounts are named
    for person in [SECOND_ADMIN, READER] {
        let page = world.ask(&mut Browser::new(), &world.upn(person)).await?;
        assert_eq!((page.code()?.as_str(), page.status.as_u16()), ("not_the_linked_admin", 403), "{person}");
        page.says(&world.upn(person))?;
        page.says(&gale)?;
        assert_eq!(world.asked().await?, (0, 0));
    }
    // the linked person without the role
    let path = format!("tenants/{}/users/{gale}", world.account.tenant);
    let roles = |roles: &[&str]| serde_json::json!({ "roles": roles });
    world.tester.switch(reqwest::Method::PATCH, &path, Some(&roles(&["Global Reader"]))).await?;
    let page = world.ask(&mut Browser::new(), &gale).await?;
    assert_eq!(page.code()?, "not_global_admin");
    world.tester.switch(reqwest::Method::PATCH, &path, Some(&roles(&["Global Administrator"]))).await?;

    // the linked person with it, but somebody else at the second look
    let mut browser = Browser::new();
    let second = world.ask(&mut browser, &gale).await?;
    let page = browser.send(&second, &[("person", &world.upn(SECOND_ADMIN))]).await?;
    assert_eq!(page.code()?, "not_the_linked_admin");
    assert_eq!(world.asked().await?, (0, 0));
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a22_e34_the_linked_person_asks_and_the_token_is_sealed_with_the_request() -> Result<()> {
    let world = World::start().await?;
    let gale = world.upn(ADMIN);
    world.connect(&mut Browser::new(), &gale).await?.says("Connected")?;
    let mut browser = Browser::new();
    let second = world.ask(&mut browser, &gale).await?;
    assert!(
        second.url.query().is_some_and(|query| query.contains("TeamsTelephoneNumber.ReadWrite.All")),
        "{}",
        second.url
    );
    let page = browser.send(&second, &[("person", &gale)]).await?;
    ensure!(page.url.path() == "/connect/status", "{} {}", page.url, page.text);
    let row = sqlx::query(
        "select r.person, r.reason, r.scope, r.signed_in_oid, t.oid, t.tenant_id, t.account_id, t.sealed, t.expires_at > now() as good
           from admin.requests r join vault.job_tokens t using (request_id)",
    )
    .fetch_one(&world.tester.admin)
    .await?;
    assert_eq!(row.get::<String, _>("person"), gale);
    assert_eq!(row.get::<String, _>("reason"), "new numbers");
    assert_eq!(row.get::<uuid::Uuid, _>("signed_in_oid"), row.get::<uuid::Uuid, _>("oid"));
    assert_eq!(row.get::<uuid::Uuid, _>("tenant_id"), world.account.tenant);
    assert!(row.get::<bool, _>("good"));
    let sealed = row.get::<Vec<u8>, _>("sealed");
    assert!(!sealed.windows(3).any(|part| part == b"eyJ"), "no token in clear");
    assert!(tandem_vault::Opener::load(&world.keyring()).is_ok());
    let done = world.outcome(&mut browser).await?;
    done.says("The sync is on its way")?;
    let jobs = "select count(*) from queue.jobs where job_type = 'manual'";
    assert_eq!(world.tester.count(jobs).await?, 1);
    world.tester.at_rest().await;
    world.tester.finish().await
}
