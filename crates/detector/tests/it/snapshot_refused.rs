//! Snapshots that are not believed: nothing is told, and the source says why.

use anyhow::Result;
use tandem_runtime::health::Status;

use crate::world::{Detector, World};

async fn error_code(world: &World) -> Result<Option<String>> {
    world.text("select last_error_code from pbx.sources").await
}

fn health(detector: &Detector) -> Option<Status> {
    detector
        .ctx
        .health
        .report()
        .checks
        .into_iter()
        .find(|check| check.name == "source.main")
        .map(|c| c.status)
}

#[tokio::test]
async fn no_rows_a_user_twice_and_errors_never_mean_gone() -> Result<()> {
    let (world, account) = World::people().await?;
    world.edit("insert into people values ('one', 'a', 'Ana', '{}'), ('one', 'b', 'Bo', '{}')").await?;
    let detector = world.detector(1, &world.settings()).await?;
    world.read_after(0).await;
    assert_eq!((error_code(&world).await?, health(&detector)), (None, Some(Status::Ok)));

    world.edit("create table kept as select * from people").await?;
    world.edit("delete from people").await?;
    world.read().await?;
    assert_eq!(error_code(&world).await?.as_deref(), Some("zero_rows"));
    assert!(matches!(health(&detector), Some(Status::Degraded { reason }) if reason == "zero_rows"));

    // rows of customers that are nobody's account are no rows either
    world.edit("insert into people values ('other', 'a', 'Ana', '{}')").await?;
    world.read().await?;
    assert_eq!(error_code(&world).await?.as_deref(), Some("zero_rows"));

    world.edit("insert into people select * from kept").await?;
    world.edit("insert into people values ('one', 'a', 'Another', '{}')").await?;
    world.read().await?;
    assert_eq!(error_code(&world).await?.as_deref(), Some("duplicate_key"));

    world.edit("alter table people rename to persons").await?;
    world.read().await?;
    let code = error_code(&world).await?.unwrap_or_default();
    assert!(code.starts_with("source_"), "{code}");

    assert_eq!(world.changes(account, 2).await?.len(), 0);
    let marks = "select count(*) from pbx.profiles where missing_since is not null or deleted_at is not null";
    assert_eq!(world.number(marks).await?, 0);

    world.edit("alter table persons rename to people").await?;
    world.edit("delete from people where name = 'Another'").await?;
    world.read().await?;
    assert_eq!((error_code(&world).await?, health(&detector)), (None, Some(Status::Ok)));
    assert_eq!(world.changes(account, 2).await?.len(), 0);
    detector.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_source_without_bindings_is_quiet() -> Result<()> {
    let (world, _) = World::people().await?;
    world.run("delete from pbx.bindings").await?;
    world.edit("insert into people values ('one', 'a', 'Ana', '{}'), ('two', 'b', 'Bo', '{}')").await?;
    let detector = world.detector(1, &world.settings()).await?;
    world.read_after(0).await;
    assert_eq!(error_code(&world).await?, None);
    assert_eq!(world.number("select last_unbound from pbx.sources").await?, 2);
    assert_eq!(world.number("select count(*) from change.log").await?, 0);
    detector.stop().await;
    Ok(())
}

#[tokio::test]
async fn e23_each_read_is_on_record_with_its_refusal_for_a_fortnight() -> Result<()> {
    let (world, _) = World::people().await?;
    world.edit("insert into people values ('one', 'a', 'Ana', '{}'), ('one', 'b', 'Bo', '{}'), ('nobody', 'c', 'Cy', '{}')").await?;
    world
        .run(
            "insert into pbx.reads (source, started_at, ended_at, users)
             select 'main', now() - d * interval '1 day', now() - d * interval '1 day', d from unnest(array[13, 15]) d",
        )
        .await?;
    let _detector = world.detector(1, &world.settings()).await?;
    world.read_after(0).await;
    world.edit("delete from people").await?;
    world.read().await?;
    let told = "select string_agg(concat_ws(' ', users, unbound, unusable, held, changes, error_code), ', ' order by started_at) from pbx.reads";
    assert_eq!(world.text(told).await?.as_deref(), Some("13, 2 1 0 0 2, zero_rows"));
    assert!(world.text("select error from pbx.reads where error_code = 'zero_rows'").await?.is_some());
    Ok(())
}
