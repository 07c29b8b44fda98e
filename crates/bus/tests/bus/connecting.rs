//! Connecting: with and without a broker, to an old one, as a stranger.

use std::time::Duration;

use tandem_bus::{Auth, Bus, BusConfig, BusError, Probe, probe_anonymous};
use tandem_runtime::health::Status;
use tandem_wire::StreamSettings;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
};

use crate::support::{Broker, config, connect, ctx, eventually, finish, message, publish, quick, streams};

#[tokio::test]
async fn what_the_broker_says_about_itself() -> anyhow::Result<()> {
    let broker = Broker::start().await?;
    let ctx = ctx();
    let bus = connect(&ctx, &broker).await?;
    let facts = bus.server_info().expect("connected");
    assert!(facts.jetstream && !facts.tls_required && facts.max_payload > 0, "{facts:?}");
    assert!(ctx.health.report().ready);
    finish(ctx).await;
    Ok(())
}

#[tokio::test]
async fn the_start_does_not_wait_for_a_broker() -> anyhow::Result<()> {
    let mut broker = Broker::absent()?;
    let ctx = ctx();
    let config = BusConfig { connect_grace: Duration::from_millis(50), ..BusConfig::new(broker.url()) };
    let bus = Bus::connect(&ctx, config, streams()).await?;
    assert!(!bus.connected());
    let report = ctx.health.report();
    assert!(report.ready && matches!(report.checks[0].status, Status::Degraded { .. }), "{report:?}");
    let answer = bus.publish_batch(vec![message("early")]).await.remove(0);
    assert_eq!(answer.unwrap_err().code(), "bus.unavailable");
    // the consumer too is only announced
    assert!(matches!(bus.ensure_consumer(&quick(3)).await, Err(BusError::Unavailable)));

    broker.up().await?;
    publish(&bus, message("late")).await;
    eventually("health", async || (ctx.health.report().checks[0].status == Status::Ok).then_some(())).await;
    finish(ctx).await;
    Ok(())
}

#[tokio::test]
async fn an_old_broker_is_refused() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("nats://{}", listener.local_addr()?);
    let old = tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        let (read, mut write) = stream.into_split();
        let info = r#"{"server_id":"A","version":"2.9.10","proto":1,"headers":true,"max_payload":1048576,"jetstream":true}"#;
        write.write_all(format!("INFO {info}\r\n").as_bytes()).await?;
        let mut lines = BufReader::new(read).lines();
        while let Some(line) = lines.next_line().await? {
            if line == "PING" {
                write.write_all(b"PONG\r\n").await?;
            }
        }
        anyhow::Ok(())
    });
    let ctx = ctx();
    let config = BusConfig { connect_grace: Duration::from_secs(10), ..BusConfig::new(url) };
    let error = Bus::connect(&ctx, config, streams()).await.unwrap_err();
    assert_eq!(error.to_string(), "the broker is version 2.9.10, and 2.12 or newer is needed");
    old.abort();
    finish(ctx).await;
    Ok(())
}

#[tokio::test]
async fn strangers_are_noticed() -> anyhow::Result<()> {
    let open = Broker::start().await?;
    assert_eq!(probe_anonymous(&config(&open)).await, Probe::Admitted);
    // every user inside an account, and the system account named: else strangers may get in (CVE-2023-47090)
    let users = "accounts { T: { jetstream: enabled, users: [{ user: tandem, password: secret }] }, SYS: {} }\n\
                 system_account: SYS\n";
    let closed = Broker::start_with(users).await?;
    assert_eq!(probe_anonymous(&config(&closed)).await, Probe::Refused);
    let nobody =
        BusConfig { connect_grace: Duration::from_millis(100), ..BusConfig::new("nats://127.0.0.1:1") };
    assert!(matches!(probe_anonymous(&nobody).await, Probe::Unreachable(_)));

    let ctx = ctx();
    let auth = Auth::UserPassword { user: "tandem".to_owned(), password: "secret".into() };
    let bus = Bus::connect(&ctx, BusConfig { auth, ..config(&closed) }, streams()).await?;
    publish(&bus, message("from a friend")).await;
    assert!(bus.server_info().expect("connected").auth_required);
    finish(ctx).await;
    Ok(())
}

#[tokio::test]
async fn settings_are_brought_in_line_at_the_start_and_only_then() -> anyhow::Result<()> {
    let broker = Broker::start().await?;
    let (old_ctx, new_ctx) = (ctx(), ctx());
    let old = connect(&old_ctx, &broker).await?;
    let longer = |stream: StreamSettings| StreamSettings { max_age: stream.max_age * 2, ..stream };
    let new = Bus::connect(&new_ctx, config(&broker), streams().into_iter().map(longer).collect()).await?;
    let client = async_nats::connect(broker.url()).await?;
    let jetstream = async_nats::jetstream::new(client);
    let name = &streams()[0].name;
    let age = async || anyhow::Ok(jetstream.get_stream(name).await?.cached_info().config.max_age);
    assert_eq!(age().await?, streams()[0].max_age * 2);
    // the older release beside it does not turn it back
    old.heal().await?;
    assert_eq!(age().await?, streams()[0].max_age * 2);
    new.ensure_consumer(&quick(3)).await?;
    new.ensure_consumer(&quick(3)).await?;
    finish(old_ctx).await;
    finish(new_ctx).await;
    Ok(())
}
