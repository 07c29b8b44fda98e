//! The role with a real broker: announcements are heard, unreadable ones are kept, and it ends when it is told to.

use std::time::Duration;

use serde_json::json;
use tandem_bus::{Auth, Bus, BusConfig, Outgoing};
use tandem_domain::JobId;
use tandem_store::Login;
use tandem_sync_log::{Parts, SyncLogSettings, start};
use tandem_testkit::{Nats, eventually};
use tandem_wire::{JobEvent, Subjects, settings};

use crate::world::{ACCOUNT, World};

const PATIENCE: Duration = Duration::from_secs(30);

fn announcement(subjects: &Subjects, job: JobId, payload: Vec<u8>) -> Outgoing {
    let subject = subjects.event(ACCOUNT.0, job.0);
    Outgoing { subject, headers: tandem_wire::Headers::new(), payload: payload.into(), msg_id: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn announced_events_are_kept_and_unreadable_ones_too() {
    let mut world = World::start().await.unwrap();
    let nats = Nats::start().await.unwrap();
    let subjects = Subjects::new("").unwrap();
    let ctx = world.ctx.clone();
    let password = nats.server.password("test").unwrap().clone();
    let config = BusConfig {
        auth: Auth::UserPassword { user: "test".to_owned(), password },
        ..BusConfig::new(format!("nats://127.0.0.1:{}", nats.server.port()))
    };
    let bus = Bus::connect(&ctx, config, settings::all_streams(&subjects, 1)).await.unwrap();
    // swept once at the start and not again: whatever is kept after that was heard
    let sweep = SyncLogSettings { sweep: Duration::from_secs(86_400), ..SyncLogSettings::default() };
    let unannounced = world.job().await.unwrap();
    world.happen(unannounced, "queued", &json!({})).await.unwrap();
    let store = world.store(Login::SyncLog);
    let parts = Parts { store: store.clone(), bus: bus.clone(), subjects: subjects.clone() };
    start(&ctx, &parts, &sweep);
    eventually(PATIENCE, || async { ctx.health.report().ready.then_some(()) }).await;
    assert_eq!(world.numbers(unannounced).await.unwrap(), [1]);

    let job = world.job().await.unwrap();
    let mut announced = vec![announcement(&subjects, job, b"{ no event".to_vec())];
    for kind in ["queued", "started"] {
        let number = world.happen(job, kind, &json!({})).await.unwrap();
        let event = JobEvent {
            account: ACCOUNT.0,
            job: job.0,
            number,
            at: ctx.clock.now(),
            kind: kind.to_owned(),
            data: json!({}),
        };
        let message = announcement(&subjects, job, tandem_wire::encode_event(&event).unwrap());
        announced.extend([message.clone(), message]);
    }
    for published in bus.publish_batch(announced).await {
        published.unwrap();
    }
    eventually(PATIENCE, || async { (world.numbers(job).await.ok()? == [1, 2]).then_some(()) }).await;
    let operator = world.store(Login::Operator);
    let (code, payload) = eventually(PATIENCE, || async {
        let mut tx = operator.begin("test.dead_letters").await.ok()?;
        let letters = sqlx::query_as::<_, (String, Vec<u8>)>("select code, payload from ops.dead_letters");
        letters.fetch_optional(&mut *tx).await.ok()?
    })
    .await;
    assert_eq!((code.as_str(), payload.as_slice()), ("wire.bad_json", b"{ no event".as_slice()));

    ctx.stop();
    assert!(ctx.drain(Duration::from_secs(10)).await, "everything ended in time");
    assert!(ctx.background_errors().is_empty(), "{:?}", ctx.background_errors());
}
