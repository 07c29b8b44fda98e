//! *Enable Sync*: the switch for troubleshooting has the account's source read every minute while it lasts.

use anyhow::Result;

use crate::world::World;

const ON: &str = "insert into pbx.troubleshooting (account_id, until, person, reason, switched_at)
                  select account_id, now() + interval '1 hour', 'olga', 'ticket 17', now() from admin.accounts where name = 'one'";

/// As if the last read had begun so long ago; whether the detector takes the source then.
async fn is_read(world: &World, long_ago: &'static str) -> Result<bool> {
    let store = world.store();
    world.run(long_ago).await?;
    let holder = uuid::Uuid::from_u128(1);
    let claimed = tandem_store::pbx::sources::claim(&store, "main", holder, 60.0).await?.is_some();
    if claimed {
        tandem_store::pbx::sources::release(&store, "main", holder).await?;
    }
    store.close().await;
    Ok(claimed)
}

#[tokio::test]
async fn e27_e29_enable_sync_is_off_by_default_and_reads_the_whole_account_every_minute_until_it_ends()
-> Result<()> {
    let (world, account) = World::people().await?;
    world.account("other", None).await?;
    world.edit("insert into people values ('one', 'u1', 'Ana Costa', '{}')").await?;
    let detector = world.detector(1, &world.settings()).await?;
    world.read_after(0).await;
    detector.stop().await;
    let minute = "update pbx.sources set last_started_at = now() - interval '61 s'";
    let half = "update pbx.sources set last_started_at = now() - interval '30 s'";
    assert!(!is_read(&world, minute).await?, "off by default: the next read is far away");
    // E29: and nothing needs it
    assert_eq!(world.changes(account, 0).await?.len(), 1);
    world.run("insert into pbx.troubleshooting select account_id, now() + interval '1 hour', 'olga', 'ticket 16', now() from admin.accounts where name = 'other'").await?;
    assert!(!is_read(&world, minute).await?, "of an account that is not of this source");
    world.run(ON).await?;
    assert!(!is_read(&world, half).await?);
    assert!(is_read(&world, minute).await?);
    // a running detector finds what changed without poll and push
    world.edit("update people set name = 'Ana Lima'").await?;
    let before = world.reads().await?;
    world.run(minute).await?;
    let detector = world.detector(2, &world.settings()).await?;
    world.read_after(before).await;
    detector.stop().await;
    assert_eq!(world.changes(account, 1).await?.len(), 1);
    world.run("update pbx.troubleshooting set until = now() - interval '1 s'").await?;
    assert!(!is_read(&world, minute).await?, "it ends by itself");
    let week = world.run("update pbx.troubleshooting set until = now() + interval '7 days'").await;
    assert!(week.is_err_and(|error| error.to_string().contains("check constraint")), "a day at most");
    Ok(())
}
