//! Publishing: order, duplicates, streams that are gone, messages that cannot be.

use bytes::Bytes;
use tandem_bus::{BusError, Outgoing, PublishError};
use tandem_wire::{Headers, MAX_MESSAGE_BYTES};

use crate::support::{Broker, connect, ctx, finish, message, streams};

#[tokio::test]
async fn answers_come_in_order_and_duplicates_are_known() -> anyhow::Result<()> {
    let broker = Broker::start().await?;
    let ctx = ctx();
    let bus = connect(&ctx, &broker).await?;
    let one = |id: usize| Outgoing { msg_id: Some(format!("id-{id}")), ..message(id.to_string()) };
    // more than the client library has in flight at once
    let answers = bus.publish_batch((0..6_000).map(one).collect()).await;
    for (at, answer) in answers.iter().enumerate() {
        let published = answer.as_ref().expect("stored");
        assert_eq!((published.sequence, published.duplicate), (at as u64 + 1, false));
    }
    let again = bus.publish_batch(vec![one(3), one(6_000), message("3")]).await;
    let seen: Vec<_> =
        again.iter().map(|a| a.as_ref().map(|p| (p.sequence, p.duplicate)).expect("stored")).collect();
    assert_eq!(seen, [(4, true), (6_001, false), (6_002, false)]);
    assert!(bus.publish_batch(Vec::new()).await.is_empty());
    finish(ctx).await;
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_sent_is_told_and_the_rest_goes_on() -> anyhow::Result<()> {
    let broker = Broker::start().await?;
    let ctx = ctx();
    let bus = connect(&ctx, &broker).await?;
    let answers = bus
        .publish_batch(vec![
            message("good"),
            Outgoing { subject: "with space".to_owned(), ..message("bad subject") },
            Outgoing {
                headers: Headers::from_iter([("a", "1\r\nNats-Rollup: all")]),
                ..message("bad header")
            },
            Outgoing {
                payload: Bytes::from(vec![b'x'; MAX_MESSAGE_BYTES * 2]),
                ..message("too big for the stream")
            },
            Outgoing { payload: Bytes::from(vec![b'x'; 2 << 20]), ..message("too big for the broker") },
            Outgoing { subject: "elsewhere".to_owned(), ..message("no stream") },
        ])
        .await;
    let codes: Vec<&str> =
        answers.iter().map(|a| a.as_ref().map_or_else(PublishError::code, |_| "ok")).collect();
    assert_eq!(codes, ["ok", "bus.invalid", "bus.invalid", "bus.refused", "bus.invalid", "bus.no_stream"]);
    assert!(answers[5].as_ref().unwrap_err().retryable() && !answers[1].as_ref().unwrap_err().retryable());
    finish(ctx).await;
    Ok(())
}

#[tokio::test]
async fn a_deleted_stream_is_made_again_by_publishing() -> anyhow::Result<()> {
    let broker = Broker::start().await?;
    let ctx = ctx();
    let bus = connect(&ctx, &broker).await?;
    let jetstream = async_nats::jetstream::new(async_nats::connect(broker.url()).await?);
    for stream in streams() {
        jetstream.delete_stream(&stream.name).await?;
    }
    let answers = bus.publish_batch(vec![message("a"), message("b")]).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    finish(ctx).await;
    Ok(())
}

#[test]
fn errors_do_not_say_their_cause_twice() {
    let error = BusError::Stream { name: "S".to_owned(), source: "full".into() };
    assert_eq!(tandem_runtime::chain(&error), "make the stream S: full");
}
