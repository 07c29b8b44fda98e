//! Several readers, a push beside a read, and what a killed reader leaves behind.

use std::time::Duration;

use anyhow::Result;
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use tandem_testkit::eventually;

use crate::push::Sender;
use crate::world::{DEADLINE, World};

/// Waits until so many sessions wait for the lock on the PBX's table.
async fn blocked(world: &World, readers: i64) {
    eventually(DEADLINE, || async {
        let waiting =
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%people%'";
        (world.number(waiting).await.ok()? == readers).then_some(())
    })
    .await;
}

/// Makes every reader of the PBX wait.
async fn lock(world: &World) -> Result<PoolConnection<Postgres>> {
    let mut connection = world.pbx.acquire().await?;
    let lock = "begin; lock table people in access exclusive mode";
    sqlx::raw_sql(lock).execute(&mut *connection).await?;
    Ok(connection)
}

async fn unlock(mut connection: PoolConnection<Postgres>) -> Result<()> {
    sqlx::raw_sql("commit").execute(&mut *connection).await?;
    Ok(())
}

#[tokio::test]
async fn a_read_that_began_before_a_push_does_not_overwrite_it() -> Result<()> {
    let (world, account) = World::people().await?;
    let sender = Sender::new(&world, "one")?;
    world.edit("insert into people values ('one', 'a', 'Ana', '{}'), ('one', 'b', 'Bo', '{}'), ('one', 'c', 'Cy', '{}')").await?;
    let settings =
        tandem_detector::DetectorSettings { push: world.push_settings(50).push, ..world.settings() };
    let detector = world.detector(1, &settings).await?;
    let push = detector.push.map(|address| sender.to(address));
    let Some(push) = push else { anyhow::bail!("no push endpoint") };
    world.read_after(0).await;

    world.edit("update people set name = 'From the PBX' where user_key = 'a'").await?;
    world.edit("delete from people where user_key = 'c'").await?;
    let lock = lock(&world).await?;
    let before = world.reads().await?;
    world.run("update pbx.sources set read_now = true").await?;
    blocked(&world, 1).await;
    // the query waits; meanwhile a newer save is pushed, a new user too, and a user that the read will not show
    for (user, name) in [("a", "From the push"), ("n", "New"), ("c", "Cyd")] {
        let answer = push.put(user, &format!(r#"{{"display_name":"{name}","enabled":false}}"#)).await?;
        assert_eq!(answer.status, 202, "{}", answer.body);
    }
    unlock(lock).await?;
    world.read_after(before).await;

    assert_eq!(world.name_of(account, "a").await?.as_deref(), Some("From the push"));
    let marks = "select count(*) from pbx.profiles where missing_since is not null or deleted_at is not null";
    assert_eq!(world.number(marks).await?, 0);
    // what the PBX shows after the push counts
    world.read().await?;
    assert_eq!(world.name_of(account, "a").await?.as_deref(), Some("From the PBX"));
    detector.stop().await;
    Ok(())
}

#[tokio::test]
async fn two_detectors_tell_each_difference_once() -> Result<()> {
    let (world, account) = World::people().await?;
    world
        .edit("insert into people select 'one', 'u' || n, 'N' || n, '{}' from generate_series(1, 40) n")
        .await?;
    let mut settings = world.settings();
    settings.sources[0].poll = Duration::from_millis(20);
    let one = world.detector(1, &settings).await?;
    let two = world.detector(2, &settings).await?;
    world.read_after(0).await;
    for round in 0..10 {
        world.edit(format!("update people set name = name || '.{round}' where user_key < 'u2'")).await?;
        let expected = 40 + 11 * (round + 1);
        let told = || async {
            (world.number("select sum(gen)::bigint from change.generations").await.ok()? == expected)
                .then_some(())
        };
        eventually(DEADLINE, told).await;
    }
    assert_eq!(world.changes(account, 0).await?.len(), 150);
    one.stop().await;
    two.stop().await;
    assert_eq!(world.changes(account, 0).await?.len(), 150);
    Ok(())
}

#[tokio::test]
async fn two_reads_at_the_same_time_do_no_harm() -> Result<()> {
    let (world, account) = World::people().await?;
    world.edit("insert into people values ('one', 'a', 'Ana', '{}'), ('one', 'b', 'Bo', '{}')").await?;
    let one = world.detector(1, &world.settings()).await?;
    let two = world.detector(2, &world.settings()).await?;
    world.read_after(0).await;

    world.edit("update people set name = 'Bob' where user_key = 'b'").await?;
    let lock = lock(&world).await?;
    let before = world.reads().await?;
    world.run("update pbx.sources set read_now = true").await?;
    blocked(&world, 1).await;
    // as if the first reader had been stopped for longer than its lease
    world.run("update pbx.sources set lease_until = now() - interval '1 s', read_now = true").await?;
    blocked(&world, 2).await;
    unlock(lock).await?;
    world.read_after(before).await;
    world.read().await?;
    assert_eq!(world.changes(account, 2).await?.len(), 1);
    one.stop().await;
    two.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_killed_reader_leaves_nothing_that_matters() -> Result<()> {
    let (world, account) = World::people().await?;
    world.edit("insert into people values ('one', 'a', 'Ana', '{}')").await?;
    // its claim has run out, and half of what it found is spooled
    world
        .run(
            "insert into pbx.sources (source, lease_holder, lease_until, last_started_at)
               values ('main', 'gone', now() - interval '1 s', now() - interval '1 min')",
        )
        .await?;
    world
        .run(
            "insert into pbx.spool (source, run, seq, account_id, pbx_user_id, profile, digest)
               select 'main', gen_random_uuid(), 1, account_id, 'ghost', '{}', 1 from admin.accounts",
        )
        .await?;
    let detector = world.detector(1, &world.settings()).await?;
    world.read_after(0).await;
    assert_eq!(world.changes(account, 0).await?.len(), 1);
    assert_eq!(world.number("select count(*) from pbx.spool").await?, 0);
    assert_eq!(world.text("select lease_holder from pbx.sources").await?, None);
    detector.stop().await;
    Ok(())
}
