//! Snapshots that are believed.

use std::time::Duration;

use anyhow::{Context, Result};
use tandem_bus::{Auth, Bus, BusConfig};
use tandem_outbox::Relay;
use tandem_pbx::fixture;
use tandem_testkit::{Nats, eventually};
use tandem_wire::Subjects;

use crate::world::{DEADLINE, World};

const ANA: &str = "a2000000-0000-4000-8000-000000001001";

#[tokio::test]
async fn differences_are_told_once_and_narrowly() -> Result<()> {
    let world = World::fusionpbx().await?;
    let alpha = world.account("alpha", fixture::domain_uuid("alpha.example.com")).await?;
    let bravo = world.account("bravo", fixture::domain_uuid("bravo.example.net")).await?;
    let detector = world.detector(1, &world.settings()).await?;
    world.read_after(0).await;

    assert_eq!(world.changes(alpha, 0).await?.len(), 16);
    assert_eq!(world.changes(bravo, 0).await?.len(), 14);
    assert_eq!(world.number("select last_users from pbx.sources").await?, 30);
    assert_eq!(world.number("select last_unbound from pbx.sources").await?, 1);
    // both were saved together and are told together
    let announced = "select string_agg(subject, ' ' order by id) from ops.outbox";
    assert_eq!(world.text(announced).await?.as_deref(), Some("tandem.v1.changed.several"));
    assert_eq!(world.number("select count(*) from pbx.spool").await?, 0);
    assert_eq!(world.number("select count(*) from change.log where kind <> 'created'").await?, 0);

    world.read().await?;
    assert_eq!(world.number("select sum(gen)::bigint from change.generations").await?, 30);

    let sets = "do_not_disturb = 'true', effective_caller_id_name = 'Ana Lima'";
    world.edit(format!("update v_extensions set {sets} where extension_uuid = '{ANA}'")).await?;
    world.read().await?;
    let told = world.changes(alpha, 16).await?;
    let expected = format!(
        "17 updated {ANA} display_name,dnd {{\"display_name\":\"Ana Costa\",\"dnd\":false}} {{\"display_name\":\"Ana Lima\",\"dnd\":true}}"
    );
    assert_eq!(told, [expected]);
    let alone = format!("tandem.v1.changed.several tandem.v1.changed.{alpha}");
    assert_eq!(world.text(announced).await?, Some(alone));

    // there and back between two reads is nothing
    world
        .edit(format!("update v_extensions set do_not_disturb = 'false' where extension_uuid = '{ANA}'"))
        .await?;
    world
        .edit(format!("update v_extensions set do_not_disturb = 'true' where extension_uuid = '{ANA}'"))
        .await?;
    world.read().await?;
    assert_eq!(world.changes(alpha, 17).await?.len(), 0);
    detector.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_deletion_is_told_after_two_looks() -> Result<()> {
    let (world, account) = World::people().await?;
    world.edit("insert into people values ('one', 'a', 'Ana', '{}'), ('one', 'b', 'Bo', '{}')").await?;
    let detector = world.detector(1, &world.settings()).await?;
    world.read_after(0).await;

    // missing at one look and there at the next: nothing
    world.edit("delete from people where user_key = 'b'").await?;
    world.read().await?;
    let marked = "select count(*) from pbx.profiles where missing_since is not null";
    assert_eq!(world.number(marked).await?, 1);
    world.edit("insert into people values ('one', 'b', 'Bo', '{}')").await?;
    world.read().await?;
    assert_eq!(world.number(marked).await?, 0);
    assert_eq!(world.changes(account, 2).await?.len(), 0);

    // a second look that comes too soon says nothing either
    world.edit("delete from people where user_key = 'b'").await?;
    world.read().await?;
    world.read().await?;
    assert_eq!(world.changes(account, 2).await?.len(), 0);

    let old = "update pbx.profiles set missing_since = missing_since - interval '10 days' where missing_since is not null";
    assert_eq!(world.run(old).await?, 1);
    world.read().await?;
    assert_eq!(
        world.changes(account, 2).await?,
        ["3 deleted b display_name,enabled {\"display_name\":\"Bo\",\"enabled\":true} "]
    );
    world.read().await?;
    assert_eq!(world.number("select count(*) from pbx.profiles where deleted_at is not null").await?, 1);

    world.edit("insert into people values ('one', 'b', 'Bo', '{}')").await?;
    world.read().await?;
    assert_eq!(
        world.changes(account, 3).await?,
        ["4 created b display_name,enabled  {\"display_name\":\"Bo\",\"enabled\":true}"]
    );
    assert_eq!(world.number("select count(*) from pbx.profiles where deleted_at is null").await?, 2);
    detector.stop().await;
    Ok(())
}

#[tokio::test]
async fn the_second_look_comes_by_itself() -> Result<()> {
    let (world, account) = World::people().await?;
    world.edit("insert into people values ('one', 'a', 'Ana', '{}'), ('one', 'b', 'Bo', '{}')").await?;
    let mut settings = world.settings();
    settings.second_look = Duration::from_millis(100);
    let detector = world.detector(1, &settings).await?;
    world.read_after(0).await;
    world.edit("delete from people where user_key = 'b'").await?;
    world.read().await?;
    let told = || async { world.changes(account, 2).await.ok().filter(|told| !told.is_empty()) };
    assert_eq!(eventually(DEADLINE, told).await.len(), 1);
    detector.stop().await;
    Ok(())
}

#[tokio::test]
async fn losing_many_users_waits_for_an_operator_and_holds_up_nobody_else() -> Result<()> {
    let (world, account) = World::people().await?;
    let other = world.account("two", Some("two")).await?;
    world
        .edit("insert into people select 'one', 'u' || n, 'N' || n, '{}' from generate_series(1, 20) n")
        .await?;
    world.edit("insert into people values ('two', 'x', 'Xia', '{}'), ('two', 'y', 'Yan', '{}')").await?;
    let detector = world.detector(1, &world.settings()).await?;
    world.read_after(0).await;

    world.edit("delete from people where user_key in ('u1', 'u2', 'u3', 'u4', 'u5', 'y')").await?;
    world.edit("update people set name = 'Xiu' where user_key = 'x'").await?;
    world.read().await?;
    let held = "select missing from pbx.held_deletions";
    let row = || world.text("select string_agg(missing || ' of ' || known, ';') from pbx.held_deletions");
    assert_eq!(row().await?.as_deref(), Some("5 of 20"));
    let age = "update pbx.profiles set missing_since = missing_since - interval '10 days' where missing_since is not null";
    world.run(age).await?;
    world.read().await?;
    assert_eq!(world.changes(account, 20).await?.len(), 0);
    assert_eq!(world.changes(other, 2).await?.len(), 2);

    // a release does not cover users that went missing after it
    let release =
        "update pbx.held_deletions set released_at = now(), released_by = 'operator', reason = 'moved away'";
    world.run(release).await?;
    world.edit("delete from people where user_key in ('u6', 'u7')").await?;
    world.read().await?;
    world.run(age).await?;
    assert_eq!(world.changes(account, 20).await?.len(), 0);
    assert_eq!(row().await?.as_deref(), Some("7 of 20"));
    assert_eq!(world.number("select count(*) from pbx.held_deletions where released_at is null").await?, 1);

    world.run(release).await?;
    world.read().await?;
    assert_eq!(world.changes(account, 20).await?.len(), 7);
    world.read().await?;
    assert!(sqlx::query(held).fetch_optional(&world.db).await?.is_none());
    detector.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_account_of_many_users_is_one_transaction_in_many_messages() -> Result<()> {
    let (world, account) = World::people().await?;
    world
        .edit("insert into people select 'one', 'u' || n, 'N' || n, '{}' from generate_series(1, 1203) n")
        .await?;
    let nats = Nats::start().await?;
    let subjects = Subjects::new("")?;
    let detector = world.detector(1, &world.settings()).await?;
    world.read_after(0).await;
    let one = "select count(distinct xmin::text) from change.log";
    assert_eq!(world.number(one).await?, 1);
    assert_eq!(world.changes(account, 0).await?.len(), 1203);
    assert_eq!(world.number("select count(*) from ops.outbox").await?, 3);

    // what waits in the outbox is published by whoever relays
    let streams = tandem_wire::settings::all_streams(&subjects, 1);
    let password = nats.server.password("test").context("a password")?.clone();
    let auth = Auth::UserPassword { user: "test".to_owned(), password };
    let config = BusConfig { auth, ..BusConfig::new(format!("nats://127.0.0.1:{}", nats.server.port())) };
    let bus = Bus::connect(&detector.ctx, config, streams).await.context("broker")?;
    let _bell = Relay::spawn(&detector.ctx, world.store(), bus);
    let empty = || async { (world.number("select count(*) from ops.outbox").await.ok()? == 0).then_some(()) };
    eventually(DEADLINE, empty).await;
    detector.stop().await;
    Ok(())
}
