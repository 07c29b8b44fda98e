//! Consuming: outcomes, dead letters, bounds, the stop.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tandem_bus::{Batches, Bus, DeadLetter, Delivery, Outcome};
use tandem_runtime::{BoxError, Clock, Ctx};
use tandem_wire::ConsumerSettings;
use tokio::sync::{Barrier, Semaphore};

use crate::support::{Broker, Notes, connect, ctx, eventually, finish, letters, message, publish, quick};

const SOON: Duration = Duration::from_millis(50);

/// Runs `handler` over each message until the context stops.
fn each<F, Fut>(
    ctx: &Ctx,
    bus: &Bus,
    consumer: ConsumerSettings,
    slots: usize,
    handler: F,
) -> Notes<DeadLetter>
where
    F: Fn(Delivery) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Outcome> + Send + 'static,
{
    let (notes, store) = letters();
    let (bus, stop) = (bus.clone(), ctx.shutdown.clone());
    ctx.spawn("each", async move { Ok(bus.run_each(consumer, slots, store, stop, handler).await?) });
    notes
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.payload).into_owned()
}

/// Waits until the broker waits for nothing any more.
async fn settled(broker: &Broker, consumer: &ConsumerSettings) -> anyhow::Result<()> {
    let jetstream = async_nats::jetstream::new(async_nats::connect(broker.url()).await?);
    eventually("an empty consumer", async || {
        let found: async_nats::jetstream::consumer::PullConsumer =
            jetstream.get_consumer_from_stream(&consumer.name, &consumer.stream).await.ok()?;
        let info = found.cached_info();
        (info.num_pending == 0 && info.num_ack_pending == 0).then_some(())
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn each_outcome_does_what_it_says() -> anyhow::Result<()> {
    let broker = Broker::start().await?;
    let ctx = ctx();
    let bus = connect(&ctx, &broker).await?;
    let seen = Notes::default();
    let noted = seen.clone();
    let dead = each(&ctx, &bus, quick(3), 4, move |delivery| {
        noted.add((text(&delivery), delivery.attempt, delivery.headers.get("ce-id").map(str::to_owned)));
        let times = noted.all().iter().filter(|(body, ..)| *body == text(&delivery)).count();
        let outcome = match (text(&delivery).as_str(), times) {
            ("retry", 1) | ("never", _) => Outcome::Retry { after: SOON, cause: "not yet".to_owned() },
            ("snooze", 1..=5) => Outcome::Snooze { after: SOON },
            ("reject", _) => {
                Outcome::Reject { code: "test.bad".to_owned(), reason: "cannot be read".to_owned() }
            }
            _ => Outcome::Done,
        };
        std::future::ready(outcome)
    });
    for body in ["done", "retry", "never", "snooze", "reject"] {
        publish(&bus, message(body)).await;
    }
    let letters = dead.at_least(2).await;
    settled(&broker, &quick(3)).await?;
    let attempts = |body: &str| -> Vec<u32> {
        seen.all().iter().filter(|(seen, ..)| seen == body).map(|(_, attempt, _)| *attempt).collect()
    };
    assert_eq!(attempts("done"), [1]);
    assert_eq!(attempts("retry"), [1, 2]);
    assert_eq!(attempts("never"), [1, 2, 3]);
    assert_eq!(attempts("snooze"), [1; 6], "snoozing is not trying");
    assert_eq!(attempts("reject"), [1]);
    assert!(seen.all().iter().all(|(.., id)| id.as_deref() == Some("7")), "headers arrive");
    assert_eq!(dead.all().len(), 2);
    for (body, code, reason, tried) in
        [("never", "bus.attempts_exhausted", "not yet", 3), ("reject", "test.bad", "cannot be read", 1)]
    {
        let letter = letters.iter().find(|letter| letter.payload == body.as_bytes()).expect("a dead letter");
        assert_eq!((letter.code.as_str(), letter.reason.as_str(), letter.attempts), (code, reason, tried));
        assert_eq!((letter.stream.as_str(), letter.consumer.as_str()), ("TEST_TANDEM_CHANGED", "debouncer"));
        assert_eq!(letter.headers.get("ce-id"), Some("7"));
        assert!(letter.sequence > 0 && letter.subject.starts_with("test.tandem.v1.changed."));
    }
    finish(ctx).await;
    Ok(())
}

#[tokio::test]
async fn a_panic_is_a_retry_and_then_a_dead_letter() -> anyhow::Result<()> {
    let broker = Broker::start().await?;
    let ctx = ctx();
    let bus = connect(&ctx, &broker).await?;
    let consumer = ConsumerSettings { backoff: vec![Duration::from_millis(300)], ..quick(2) };
    let dead = each(&ctx, &bus, consumer.clone(), 1, move |delivery| async move {
        assert_ne!(text(&delivery), "poison", "of this message");
        Outcome::Done
    });
    publish(&bus, message("poison")).await;
    publish(&bus, message("good")).await;
    let letter = dead.at_least(1).await.remove(0);
    assert!(letter.reason.contains("of this message") && letter.attempts == 2, "{letter:?}");
    settled(&broker, &consumer).await?;
    finish(ctx).await;
    Ok(())
}

#[tokio::test]
async fn a_letter_that_cannot_be_stored_is_not_lost() -> anyhow::Result<()> {
    let broker = Broker::start().await?;
    let ctx = ctx();
    let bus = connect(&ctx, &broker).await?;
    let tries = Arc::new(AtomicUsize::new(0));
    let (counted, told) = (tries.clone(), Arc::new(Semaphore::new(0)));
    let tell = told.clone();
    let store = Arc::new(move |_: DeadLetter| {
        counted.fetch_add(1, Ordering::SeqCst);
        tell.add_permits(1);
        std::future::ready(Err::<(), BoxError>("the database is away".into()))
    });
    let (runner, stop) = (bus.clone(), ctx.shutdown.clone());
    ctx.spawn("each", async move {
        let reject =
            |_| std::future::ready(Outcome::Reject { code: "test.bad".to_owned(), reason: String::new() });
        Ok(runner.run_each(quick(3), 1, store, stop, reject).await?)
    });
    publish(&bus, message("bad")).await;
    told.acquire().await?.forget();
    let jetstream = async_nats::jetstream::new(async_nats::connect(broker.url()).await?);
    let found: async_nats::jetstream::consumer::PullConsumer =
        jetstream.get_consumer_from_stream("debouncer", "TEST_TANDEM_CHANGED").await?;
    assert_eq!(found.cached_info().num_ack_pending, 1, "it was not ended");
    finish(ctx).await;
    Ok(())
}

#[tokio::test]
async fn no_more_run_at_once_than_there_are_slots() -> anyhow::Result<()> {
    let broker = Broker::start().await?;
    let ctx = ctx();
    let bus = connect(&ctx, &broker).await?;
    let (running, most, done) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Notes::default());
    let (running_now, most_seen, finished) = (running.clone(), most.clone(), done.clone());
    // every one of the three must be there before any may go on
    let barrier = Arc::new(Barrier::new(3));
    each(&ctx, &bus, quick(9), 3, move |delivery| {
        let (running, most, done, barrier) =
            (running_now.clone(), most_seen.clone(), finished.clone(), barrier.clone());
        async move {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            barrier.wait().await;
            running.fetch_sub(1, Ordering::SeqCst);
            done.add(delivery.sequence);
            Outcome::Done
        }
    });
    for answer in bus.publish_batch((0..30).map(|n| message(n.to_string())).collect()).await {
        answer?;
    }
    done.at_least(30).await;
    assert_eq!(most.load(Ordering::SeqCst), 3);
    finish(ctx).await;
    Ok(())
}

#[tokio::test]
async fn long_work_is_not_delivered_twice() -> anyhow::Result<()> {
    let broker = Broker::start().await?;
    let ctx = ctx();
    let bus = connect(&ctx, &broker).await?;
    let (calls, gate) = (Notes::default(), Arc::new(Semaphore::new(0)));
    let (called, waits) = (calls.clone(), gate.clone());
    let ack_wait = Duration::from_millis(400);
    let consumer = ConsumerSettings { ack_wait, backoff: vec![ack_wait], ..quick(9) };
    // two slots: were the long message delivered again, somebody would be free to take it
    each(&ctx, &bus, consumer.clone(), 2, move |delivery| {
        called.add(text(&delivery));
        let gate = waits.clone();
        async move {
            match (text(&delivery).as_str(), delivery.published_at + ack_wait * 3 > Clock::system().now()) {
                ("long", _) => gate.acquire().await.expect("the gate stays").forget(),
                // the broker's own timer tells when three times ack_wait are over
                ("timer", true) => return Outcome::Snooze { after: ack_wait },
                _ => {}
            }
            Outcome::Done
        }
    });
    publish(&bus, message("long")).await;
    calls.at_least(1).await;
    publish(&bus, message("timer")).await;
    calls.at_least(4).await;
    gate.add_permits(1);
    settled(&broker, &consumer).await?;
    assert_eq!(calls.all().iter().filter(|body| *body == "long").count(), 1);
    finish(ctx).await;
    Ok(())
}

#[tokio::test]
async fn a_stop_finishes_what_was_begun_and_gives_back_the_rest() -> anyhow::Result<()> {
    let broker = Broker::start().await?;
    let (first, second) = (ctx(), ctx());
    let bus = connect(&first, &broker).await?;
    let (begun, gate, done) = (Notes::default(), Arc::new(Semaphore::new(0)), Notes::default());
    let (begins, waits, ends) = (begun.clone(), gate.clone(), done.clone());
    // an ack_wait so long that only what was given back comes again within the test's patience
    let hour = Duration::from_secs(3_600);
    let consumer = ConsumerSettings { ack_wait: hour, backoff: vec![hour], ..quick(9) };
    each(&first, &bus, consumer.clone(), 8, move |delivery| {
        begins.add(text(&delivery));
        let (gate, ends) = (waits.clone(), ends.clone());
        async move {
            gate.acquire().await.expect("the gate stays").forget();
            ends.add(text(&delivery));
            Outcome::Done
        }
    });
    for answer in bus.publish_batch((0..20).map(|n| message(n.to_string())).collect()).await {
        answer?;
    }
    begun.at_least(8).await;
    first.stop();
    gate.add_permits(100);
    finish(first).await;
    assert_eq!(done.all().len(), begun.all().len(), "what was begun was finished");

    let other = connect(&second, &broker).await?;
    let rest = done.clone();
    each(&second, &other, consumer.clone(), 8, move |delivery| {
        rest.add(text(&delivery));
        std::future::ready(Outcome::Done)
    });
    done.at_least(20).await;
    settled(&broker, &consumer).await?;
    let mut all = done.all();
    all.sort();
    all.dedup();
    assert_eq!((all.len(), done.all().len()), (20, 20), "nothing was done twice");
    finish(second).await;
    Ok(())
}

#[tokio::test]
async fn batches_are_settled_one_by_one() -> anyhow::Result<()> {
    let broker = Broker::start().await?;
    let ctx = ctx();
    let bus = connect(&ctx, &broker).await?;
    let (seen, sizes) = (Notes::default(), Notes::default());
    let (noted, sized) = (seen.clone(), sizes.clone());
    for answer in bus.publish_batch((0..1_000).map(|n| message(n.to_string())).collect()).await {
        answer?;
    }
    let (dead, store) = letters();
    let (runner, stop) = (bus.clone(), ctx.shutdown.clone());
    let consumer = ConsumerSettings { backoff: vec![Duration::from_millis(300)], ..quick(2) };
    let settings = consumer.clone();
    ctx.spawn("batches", async move {
        let handler = move |batch: Vec<Delivery>| {
            sized.add(batch.len());
            let outcomes = batch
                .iter()
                .map(|delivery| {
                    noted.add(text(delivery));
                    match text(delivery).as_str() {
                        "13" => panic!("unlucky"),
                        "14" => Outcome::Reject { code: "test.bad".to_owned(), reason: "bad".to_owned() },
                        _ => Outcome::Done,
                    }
                })
                .collect();
            std::future::ready(outcomes)
        };
        Ok(runner
            .run_batches(
                settings,
                Batches { linger: Duration::from_millis(200), ..Batches::default() },
                store,
                stop,
                handler,
            )
            .await?)
    });
    let letters = dead.at_least(2).await;
    settled(&broker, &consumer).await?;
    let mut bodies: Vec<String> =
        letters.iter().map(|letter| String::from_utf8_lossy(&letter.payload).into_owned()).collect();
    bodies.sort();
    assert_eq!(bodies, ["13", "14"], "one bad message does not take the others with it");
    let sizes = sizes.all();
    assert!(sizes.iter().all(|size| *size <= 500) && sizes.iter().any(|size| *size > 100), "{sizes:?}");
    finish(ctx).await;
    Ok(())
}
