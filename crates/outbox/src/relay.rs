//! Publishes what waits in the outbox.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tandem_bus::{Bus, Outgoing};
use tandem_runtime::ctx::Stage;
use tandem_runtime::{BoxError, Ctx};
use tandem_store::outbox::{self, Announcement};
use tandem_store::{Store, StoreError};
use tandem_wire::headers::Headers;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Announcements published in one go.
const BATCH: i64 = 500;
/// How often the outbox is looked at without being rung: another process may have died before it published.
const IDLE: Duration = Duration::from_secs(1);
/// An announcement this old is of no use to anybody; the sweeps did its work long ago.
const USELESS_AFTER_S: f64 = 900.0;

/// Rings the relay of this process after a commit. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Bell(Arc<Notify>);

impl Bell {
    /// Something was put into the outbox and committed.
    pub fn ring(&self) {
        self.0.notify_one();
    }
}

/// The publishing loop. Every role runs one; they share the outbox by skipping each other's locked rows.
#[derive(Debug)]
pub struct Relay {
    store: Store,
    bus: Bus,
}

impl Relay {
    /// Starts the loop. It goes on after the work of the role has been drained, so that the last facts are announced.
    pub fn spawn(ctx: &Ctx, store: Store, bus: Bus) -> Bell {
        let bell = Bell::default();
        let heard = bell.clone();
        ctx.spawn_in(Stage::Outbox, "outbox.relay", move |stop| Self { store, bus }.run(heard, stop));
        bell
    }

    async fn run(self, bell: Bell, stop: CancellationToken) -> Result<(), BoxError> {
        let mut since_expiry = 0_u32;
        loop {
            let stopping = stop.is_cancelled();
            let more = match self.pass().await {
                Ok(more) => more,
                Err(error) => {
                    tracing::warn!(error = %tandem_runtime::chain(&error), "outbox could not be read; trying again");
                    false
                }
            };
            if stopping && !more {
                return Ok(());
            }
            if more {
                continue;
            }
            tokio::select! {
                () = bell.0.notified() => {}
                () = sleep(IDLE) => since_expiry += 1,
                () = stop.cancelled() => {}
            }
            if since_expiry >= 60 {
                since_expiry = 0;
                if let Err(error) = outbox::expire(&self.store, USELESS_AFTER_S).await {
                    tracing::warn!(error = %tandem_runtime::chain(&error), "old announcements could not be dropped");
                }
            }
        }
    }

    /// Publishes one batch; true when another full one may wait. While the broker is away nothing is taken.
    async fn pass(&self) -> Result<bool, StoreError> {
        if !self.bus.connected() {
            return Ok(false);
        }
        let taken = outbox::take(&self.store, BATCH).await?;
        if taken.is_empty() {
            return Ok(false);
        }
        let full = i64::try_from(taken.len()).unwrap_or(i64::MAX) == BATCH;
        tandem_runtime::failpoint::hit("det.after_commit_before_publish");
        let results = self.bus.publish_batch(taken.announcements().map(outgoing).collect()).await;
        tandem_runtime::failpoint::hit("det.after_publish_before_ack");
        let refused = results.iter().filter(|r| r.is_err()).count();
        if let Some(Err(error)) = results.iter().find(|r| r.is_err()) {
            tracing::warn!(outbox.refused = refused, error = %tandem_runtime::chain(error), "announcements not published; sweeps go on");
        }
        let published: Vec<bool> = results.iter().map(Result::is_ok).collect();
        taken.done(&published).await?;
        Ok(full && refused == 0)
    }
}

fn outgoing(announcement: &Announcement) -> Outgoing {
    let mut headers = Headers::new();
    if let Value::Object(map) = &announcement.headers {
        for (name, value) in map {
            if let Value::String(value) = value {
                headers.insert(name, value);
            }
        }
    }
    Outgoing {
        subject: announcement.subject.clone(),
        headers,
        payload: Bytes::from(announcement.payload.clone()),
        msg_id: Some(announcement.message_id.clone()),
    }
}
