//! The broker is killed, comes back, and loses what it had.

use std::time::Duration;

use tandem_bus::{Bus, BusConfig, Outcome};
use tandem_runtime::{Ctx, health::Status};

use crate::support::{
    Broker, Notes, config, connect, ctx, eventually, finish, letters, message, publish, quick, streams,
};

fn listen(ctx: &Ctx, bus: &Bus) -> Notes<String> {
    let seen = Notes::default();
    let noted = seen.clone();
    let (_, store) = letters();
    let (bus, stop) = (bus.clone(), ctx.shutdown.clone());
    ctx.spawn("each", async move {
        let handler = move |delivery: tandem_bus::Delivery| {
            noted.add(String::from_utf8_lossy(&delivery.payload).into_owned());
            std::future::ready(Outcome::Done)
        };
        Ok(bus.run_each(quick(9), 4, store, stop, handler).await?)
    });
    seen
}

async fn heard(seen: &Notes<String>, body: &str) {
    eventually(body, async || seen.all().iter().any(|one| one == body).then_some(())).await;
}

#[tokio::test]
async fn a_killed_broker_comes_back_with_what_it_had() -> anyhow::Result<()> {
    let mut broker = Broker::start().await?;
    let ctx = ctx();
    let bus = connect(&ctx, &broker).await?;
    let seen = listen(&ctx, &bus);
    publish(&bus, message("before")).await;
    heard(&seen, "before").await;
    broker.kill().await?;
    eventually("being away", async || (!bus.connected()).then_some(())).await;
    assert_eq!(
        bus.publish_batch(vec![message("lost")]).await.remove(0).unwrap_err().code(),
        "bus.unavailable"
    );
    eventually("degraded health", async || {
        matches!(ctx.health.report().checks[0].status, Status::Degraded { .. }).then_some(())
    })
    .await;
    broker.up().await?;
    publish(&bus, message("after")).await;
    heard(&seen, "after").await;
    eventually("good health", async || (ctx.health.report().checks[0].status == Status::Ok).then_some(()))
        .await;
    assert!(!seen.all().contains(&"lost".to_owned()), "what failed at once was not sent");
    finish(ctx).await;
    Ok(())
}

#[tokio::test]
async fn a_broker_that_lost_its_store_is_set_up_again() -> anyhow::Result<()> {
    let mut broker = Broker::start().await?;
    let ctx = ctx();
    let bus = connect(&ctx, &broker).await?;
    let seen = listen(&ctx, &bus);
    publish(&bus, message("before")).await;
    heard(&seen, "before").await;
    broker.kill().await?;
    broker.wipe()?;
    broker.up().await?;
    publish(&bus, message("after")).await;
    heard(&seen, "after").await;
    finish(ctx).await;
    Ok(())
}

#[tokio::test]
async fn a_store_wiped_under_a_running_broker_heals_with_its_restart() -> anyhow::Result<()> {
    let mut broker = Broker::start().await?;
    let ctx = ctx();
    let bus = connect(&ctx, &broker).await?;
    let seen = listen(&ctx, &bus);
    publish(&bus, message("before")).await;
    heard(&seen, "before").await;
    broker.wipe()?;
    // the broker may go on as if nothing had happened; what it confirms now may be gone
    let _may_be_lost = bus.publish_batch(vec![message("into the void")]).await;
    broker.kill().await?;
    broker.up().await?;
    publish(&bus, message("after")).await;
    heard(&seen, "after").await;
    finish(ctx).await;
    Ok(())
}

#[tokio::test]
async fn streams_deleted_under_a_running_broker_are_made_again() -> anyhow::Result<()> {
    let broker = Broker::start().await?;
    let ctx = ctx();
    let bus = connect(&ctx, &broker).await?;
    let seen = listen(&ctx, &bus);
    publish(&bus, message("before")).await;
    heard(&seen, "before").await;
    let jetstream = async_nats::jetstream::new(async_nats::connect(broker.url()).await?);
    for stream in streams() {
        jetstream.delete_stream(&stream.name).await?;
    }
    publish(&bus, message("after")).await;
    heard(&seen, "after").await;
    finish(ctx).await;
    Ok(())
}

#[tokio::test]
async fn a_silent_broker_holds_nobody_up() -> anyhow::Result<()> {
    let broker = Broker::start().await?;
    let ctx = ctx();
    let config = BusConfig { publish_timeout: Duration::from_millis(300), ..config(&broker) };
    let bus = Bus::connect(&ctx, config, streams()).await?;
    let seen = listen(&ctx, &bus);
    publish(&bus, message("before")).await;
    heard(&seen, "before").await;

    broker.signal("STOP").await?;
    let code = async || bus.publish_batch(vec![message("unknown")]).await.remove(0).unwrap_err().code();
    // nothing came back in time: it may have been stored, or not
    assert_eq!(code().await, "bus.unknown");
    // and the next ones do not wait to find out
    for _ in 0..3 {
        assert_eq!(code().await, "bus.unavailable");
    }

    broker.signal("CONT").await?;
    publish(&bus, message("after")).await;
    heard(&seen, "after").await;
    finish(ctx).await;
    Ok(())
}
