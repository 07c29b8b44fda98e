//! Parts of pages that are fetched anew when something changed.

use anyhow::{Context, Result, bail};
use reqwest::Response;
use tandem_tests::Page;
use url::Url;

use super::world::World;

/// Where a page says that its stream is.
fn stream_of(page: &Page) -> Result<Url> {
    let (_, rest) = page.text.split_once("sse-connect=\"").context("a stream")?;
    let address = rest.split('"').next().unwrap_or_default().replace("&#38;", "&");
    Ok(page.url.join(&address)?)
}

/// Reads on until the stream says this.
async fn hear(stream: &mut Response, event: &str) -> Result<()> {
    let mut heard = String::new();
    // an event without data would be dropped by browsers
    while !heard.contains(&format!("event: {event}\ndata: {event}\n\n")) {
        let Some(part) = stream.chunk().await? else { bail!("the stream ended after `{heard}`") };
        heard.push_str(std::str::from_utf8(&part)?);
        assert!(!heard.contains("account1"), "a stream carries nothing of anybody's: {heard}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_says_when_the_overview_changed_and_nothing_else() -> Result<()> {
    let mut world = World::start().await?;
    world.tester.all_roles().await?;
    let mut browser = world.sign_in("gale").await?;
    let page = browser.go(&world.page("/accounts/account1")).await?;
    let mut stream = browser.open(&stream_of(&page)?).await?;
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    world.tester.save(&world.first, &[(1, Some("+12125550101"))]).await?;
    hear(&mut stream, "changed").await?;
    let part = browser.go(&page.url.join("account1/live")?).await?;
    assert!(part.text.starts_with("<div id=\"live\""), "{}", part.text);
    world.tester.at_rest().await;
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_of_a_job_ends_when_nothing_of_it_changes_any_more() -> Result<()> {
    let mut world = World::start().await?;
    world.tester.all_roles().await?;
    world.tester.save(&world.first, &[(1, Some("+12125550101"))]).await?;
    world.tester.at_rest().await;
    let job: uuid::Uuid =
        sqlx::query_scalar("select job_id from log.jobs").fetch_one(&world.tester.admin).await?;
    let mut browser = world.sign_in("gale").await?;
    let events = world.page(&format!("/accounts/account1/jobs/{job}/events?seen=long-ago"));
    let mut stream = browser.open(&events).await?;
    hear(&mut stream, "ended").await?;
    assert_eq!(stream.chunk().await?, None);
    let page = browser.go(&world.page(&format!("/accounts/account1/jobs/{job}"))).await?;
    assert!(!page.text.contains("sse-connect"), "a settled job opens none: {}", page.text);
    world.tester.finish().await
}
