//! The page for the PBX's own pages: signed, framed by nobody else, and a way into the portal.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::header::SET_COOKIE;
use tandem_portal::embed_link;
use tandem_tests::{Browser, Page};
use url::Url;

use super::world::{EMBED_KEY, World};

fn link(world: &World, account: &str, life: u64) -> Result<Url> {
    let expires = world.hand.clock().now() + Duration::from_secs(life);
    Ok(embed_link(&world.base, &EMBED_KEY.to_owned().into(), account, expires)?)
}

/// Where its button leads.
fn button(page: &Page) -> Result<Url> {
    let (_, rest) = page.text.split_once("target=\"_top\" href=\"").with_context(|| page.text.clone())?;
    Ok(Url::parse(&rest.split('"').next().unwrap_or_default().replace("&#x2f;", "/").replace("&#47;", "/"))?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a19_a20_the_pbx_shows_how_it_stands_and_leads_into_the_portal() -> Result<()> {
    let mut world = World::start().await?;
    world.tester.all_roles().await?;
    world.tester.save(&world.first, &[(1, Some("+12125550101"))]).await?;
    world.tester.at_rest().await;
    let page = Browser::new().go(&link(&world, "account1", 300)?).await?;
    page.says("In sync")?;
    page.says("No change waits for a sync.")?;
    page.says(">Sync Users</a>")?;
    world.tester.auto_sync(&world.first, false).await?;
    world.tester.save(&world.first, &[(1, Some("+12125550102"))]).await?;
    let page = Browser::new().go(&link(&world, "account1", 300)?).await?;
    page.says(">Sync Needed</a>")?;
    page.says("2 changes wait for a sync.")?;
    // nobody and nothing of theirs is named, no cookie is set, and only the PBX's own pages show it
    for name in ["+1212", "@", "ext-0", "account2"] {
        assert!(!page.text.contains(name), "{name}: {}", page.text);
    }
    assert_eq!(page.headers.get_all(SET_COOKIE).iter().count(), 0);
    assert_eq!(page.headers["cache-control"], "no-store");
    // the button leads past the frame to the account, by way of a sign-in; so does the address alone
    let to = button(&page)?;
    assert_eq!(to, world.page("/accounts/account1"));
    let asked = Browser::new().go(&to).await?;
    assert_eq!(asked.url.path(), "/sign-in");
    world.sign_in("gale").await?.go(&to).await?.says("Sync Now")?;
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a20_addresses_that_are_forged_old_too_long_or_of_another_account_show_nothing() -> Result<()> {
    let world = World::start().await?;
    let good = link(&world, "account1", 300)?;
    let mut browser = Browser::new();
    assert_eq!(browser.go(&good).await?.status.as_u16(), 200);
    let mut other = good.clone();
    other.set_path("/embed/account2");
    let mut bare = good.clone();
    bare.set_query(None);
    let forged = good.as_str().replace("signature=", "signature=A");
    for (url, code) in [
        (&other, "embed_forged"),
        (&Url::parse(&forged)?, "embed_forged"),
        (&link(&world, "account1", 3600)?, "embed_too_long"),
        (&bare, "bad_input"),
    ] {
        let page = browser.go(url).await?;
        assert_eq!(page.code()?, code, "{url}");
        assert!(page.status.is_client_error() && !page.text.contains("Sync Users"));
    }
    assert_eq!(browser.go(&link(&world, "nobody", 300)?).await?.code()?, "not_found");
    world.hand.advance(Duration::from_secs(301));
    assert_eq!(browser.go(&good).await?.code()?, "embed_expired");
    world.tester.abandon().await;
    Ok(())
}
