//! The context, the stop, the health listener and secret files, from outside.

use std::{
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    sync::{Arc, Mutex},
    time::Duration,
};

use secrecy::ExposeSecret;
use tandem_runtime::{
    BoxError, Clock, Ctx, Ids, Stage, TaskEnd,
    config::{self, SecretFileError},
    health::{self, Status},
    lifecycle::{self, Exit, Interrupts},
    telemetry::Metrics,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
};

fn quiet() -> Ctx {
    Ctx::quiet(Clock::system(), Ids::seeded(1))
}

async fn get(addr: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(addr).await.expect("the listener is there");
    let request = format!("GET {path} HTTP/1.1\r\nhost: probe\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("the request is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer comes");
    let (head, body) = answer.split_once("\r\n\r\n").expect("the answer has a head");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    (status.expect("the head has a status"), body.to_owned())
}

#[tokio::test]
async fn stages_stop_in_order() {
    let ctx = quiet();
    let order = Arc::new(Mutex::new(Vec::new()));
    for (stage, name) in [(Stage::Servers, "servers"), (Stage::Outbox, "outbox"), (Stage::Work, "work")] {
        let order = order.clone();
        ctx.spawn_in(stage, name, async move |stop| {
            stop.cancelled().await;
            // gives a later stage every chance to be too early
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            order.lock().unwrap().push(name);
            Ok(())
        });
    }
    let (interrupter, interrupts) = Interrupts::manual();
    interrupter.interrupt();
    assert_eq!(lifecycle::wait(&ctx, interrupts, lifecycle::DRAIN_DEADLINE).await, Exit::Clean);
    assert_eq!(*order.lock().unwrap(), ["work", "outbox", "servers"]);
    assert_eq!(ctx.background_errors(), []);
}

#[tokio::test]
async fn a_task_that_ends_by_itself_stops_the_process() {
    async fn ended(spawn: impl FnOnce(&Ctx)) -> (TaskEnd, String) {
        let ctx = quiet();
        spawn(&ctx);
        let (_interrupter, interrupts) = Interrupts::manual();
        assert_eq!(lifecycle::wait(&ctx, interrupts, Duration::from_secs(5)).await, Exit::Failed);
        let mut errors = ctx.background_errors();
        assert_eq!(errors.len(), 1);
        let error = errors.remove(0);
        (error.kind, error.message)
    }
    assert_eq!(ended(|ctx| ctx.spawn("loop", async { Ok(()) })).await.0, TaskEnd::Ended);
    let (kind, message) =
        ended(|ctx| ctx.spawn_once("once", async { Err(BoxError::from("disk gone")) })).await;
    assert_eq!((kind, message.as_str()), (TaskEnd::Failed, "disk gone"));
    let (kind, message) = ended(|ctx| {
        ctx.spawn("panics", async { panic!("impossible {}", 7) });
    })
    .await;
    assert_eq!((kind, message.as_str()), (TaskEnd::Panicked, "impossible 7"));
}

#[tokio::test]
async fn a_short_task_may_end() {
    let ctx = quiet();
    let (done, ended) = oneshot::channel();
    ctx.spawn_once("short", async move { done.send(()).map_err(|()| BoxError::from("nobody waits")) });
    ended.await.unwrap();
    assert!(ctx.drain(Duration::from_secs(5)).await);
    assert_eq!(ctx.background_errors(), []);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_stop_is_late() {
    let ctx = quiet();
    let (alive, dead) = oneshot::channel::<()>();
    ctx.spawn("stubborn", async move {
        let _held = alive;
        std::future::pending().await
    });
    ctx.stop();
    let (_interrupter, interrupts) = Interrupts::manual();
    assert_eq!(lifecycle::wait(&ctx, interrupts, lifecycle::DRAIN_DEADLINE).await, Exit::Late);
    drop(dead);
}

#[tokio::test]
async fn a_second_interrupt_aborts() {
    let ctx = quiet();
    ctx.spawn("stubborn", std::future::pending());
    let (interrupter, interrupts) = Interrupts::manual();
    interrupter.interrupt();
    interrupter.interrupt();
    let exit = lifecycle::wait(&ctx, interrupts, lifecycle::DRAIN_DEADLINE).await;
    assert_eq!((exit, exit.code()), (Exit::Aborted, 130));
}

#[tokio::test]
async fn health_tells_ready_and_why_not() {
    let metrics = Metrics::new("test").unwrap();
    let ctx = Ctx::new(Clock::system(), Ids::seeded(1), metrics.meter.clone());
    let addr = health::serve(&ctx, ([127, 0, 0, 1], 0).into(), metrics.registry.clone()).await.unwrap();
    assert!(
        health::serve(&ctx, addr, metrics.registry.clone()).await.is_err(),
        "a taken port is an error at start"
    );

    assert_eq!(get(addr, "/healthz").await, (200, "alive\n".to_owned()));
    assert_eq!(get(addr, "/readyz").await.0, 503, "no role has said anything yet");
    let (nats, postgres) = (ctx.health.register("nats"), ctx.health.register("postgres"));
    postgres.ok();
    assert_eq!(get(addr, "/readyz").await.0, 503);
    nats.degraded("away");
    let (status, body) = get(addr, "/readyz").await;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 200);
    assert_eq!(
        body,
        serde_json::json!({"ready": true, "checks": [
            {"name": "nats", "status": "degraded", "reason": "away"},
            {"name": "postgres", "status": "ok"},
        ]})
    );
    postgres.failed("refused");
    assert_eq!(postgres.status(), Status::Failed { reason: "refused".to_owned() });
    assert_eq!(get(addr, "/readyz").await.0, 503);
    drop(postgres);
    assert_eq!(get(addr, "/readyz").await.0, 200, "a dropped check is gone");

    ctx.meter.u64_counter("tandem_edits").build().add(3, &[]);
    let (status, text) = get(addr, "/metrics").await;
    assert_eq!(status, 200);
    assert!(text.lines().any(|line| line == "tandem_edits_total 3"), "{text}");

    ctx.shutdown.cancel();
    assert_eq!(get(addr, "/readyz").await.0, 503, "a stopping process takes no work");
    assert!(ctx.drain(Duration::from_secs(5)).await);
    assert!(TcpStream::connect(addr).await.is_err());
}

#[test]
fn secrets_come_from_files_that_not_everybody_reads() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    let write = |text: &str, mode| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        config::secret_file(&path)
    };
    assert_eq!(write("hunter2\n", 0o600).unwrap().expose_secret(), "hunter2");
    assert!(matches!(write("hunter2", 0o604), Err(SecretFileError::WorldReadable { .. })));
    assert!(matches!(write("\n", 0o600), Err(SecretFileError::Empty { .. })));
    assert!(matches!(write(&"x".repeat(70_000), 0o600), Err(SecretFileError::TooLarge { .. })));
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(config::secret_file(&path), Err(SecretFileError::Read { .. })));
    assert_eq!(format!("{:?} {0}", config::Redacted("alice@example.com")), "[redacted] [redacted]");
}
