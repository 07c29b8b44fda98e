//! The connection, and what is known about the broker at its other end.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::{Client, Event, connection::State, jetstream};
use tandem_runtime::{Clock, Ctx, Ids, Stage, health::Check};
use tandem_wire::{ConsumerSettings, StreamSettings};
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, MissedTickBehavior, interval_at, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    BusConfig, BusError, circuit::Circuit, config, convert::new_enough, heal::Mode, instruments::Instruments,
};

/// How often streams and consumers are looked after when nothing else makes us look.
const HEAL_EVERY: Duration = Duration::from_secs(15);

/// A connection to the broker that looks after itself. Clones are one connection.
#[derive(Clone)]
pub struct Bus(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) client: Client,
    pub(crate) jetstream: jetstream::Context,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) check: Check,
    pub(crate) circuit: Circuit,
    pub(crate) instruments: Instruments,
    pub(crate) wanted: Mutex<Wanted>,
    /// Asks the keeper for a healing pass.
    pub(crate) heal_now: Notify,
    /// One healing pass at a time.
    pub(crate) healing: tokio::sync::Mutex<()>,
    timeout: Duration,
}

/// What should exist at the broker.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) streams: BTreeMap<String, StreamSettings>,
    pub(crate) consumers: BTreeMap<(String, String), ConsumerSettings>,
}

/// What the broker says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFacts {
    /// Its version.
    pub version: String,
    /// Its name.
    pub name: String,
    /// Whether it keeps streams.
    pub jetstream: bool,
    /// Whether it insists on TLS.
    pub tls_required: bool,
    /// Whether it wants to know who we are. A broker with accounts may not say so and still admit nobody else.
    pub auth_required: bool,
    /// The largest message it takes, in bytes.
    pub max_payload: usize,
}

impl Bus {
    /// Connects and makes `streams`. Without a broker this succeeds too, after a short wait: the health check `nats`
    /// says so, and the connection is made in the background. Only a broker that answers and is too old, and a
    /// configuration that can never work, are errors.
    pub async fn connect(
        ctx: &Ctx,
        config: BusConfig,
        streams: Vec<StreamSettings>,
    ) -> Result<Self, BusError> {
        let (events, inbox) = mpsc::unbounded_channel();
        let options =
            config::options(&config, &config.auth)?.retry_on_initial_connect().event_callback(move |event| {
                // the keeper is gone only when the process stops
                let _stopping = events.send(event);
                std::future::ready(())
            });
        let addresses: Vec<&str> = config.url.split(',').map(str::trim).collect();
        let client = options.connect(addresses).await.map_err(|error| BusError::BadAddress(error.into()))?;
        let jetstream = jetstream::context::ContextBuilder::new()
            .timeout(config.publish_timeout)
            .ack_timeout(config.publish_timeout)
            .build(client.clone());
        let bus = Self(Arc::new(Inner {
            client,
            jetstream,
            clock: ctx.clock.clone(),
            ids: ctx.ids.stream("bus"),
            check: ctx.health.register("nats"),
            circuit: Circuit::default(),
            instruments: Instruments::new(&ctx.meter),
            wanted: Mutex::default(),
            heal_now: Notify::new(),
            healing: tokio::sync::Mutex::default(),
            timeout: config.publish_timeout,
        }));
        bus.want(|wanted| wanted.streams.extend(streams.into_iter().map(|s| (s.name.clone(), s))));

        let connected = timeout(config.connect_grace, bus.wait_connected()).await.is_ok();
        if connected {
            bus.check_version()?;
            // a broker that is there and will not keep our streams is told by the health check; the sweeps go on
            if let Err(error) = bus.pass(Mode::Align).await {
                tracing::warn!(error = %tandem_runtime::chain(&error), "the broker is not ready yet");
            }
        } else {
            bus.0.check.degraded("the broker has not answered yet");
        }
        let keeper = bus.clone();
        ctx.spawn_in(Stage::Outbox, "bus.keeper", async move |stop| {
            keeper.keep(inbox, stop).await;
            Ok(())
        });
        Ok(bus)
    }

    /// Whether the broker is there right now.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.0.client.connection_state() == State::Connected
    }

    /// What the broker says about itself; none before the first connection.
    #[must_use]
    pub fn server_info(&self) -> Option<ServerFacts> {
        let info = self.0.client.server_info();
        (!info.version.is_empty()).then_some(ServerFacts {
            version: info.version,
            name: info.server_name,
            jetstream: info.jetstream,
            tls_required: info.tls_required,
            auth_required: info.auth_required,
            max_payload: info.max_payload,
        })
    }

    /// Waits until everything sent so far, answers included, has been handed to the broker.
    pub async fn flush(&self) -> Result<(), BusError> {
        if !self.connected() {
            return Err(BusError::Unavailable);
        }
        match timeout(self.0.timeout, self.0.client.flush()).await {
            Ok(flushed) => flushed.map_err(|error| BusError::Flush(error.into())),
            Err(late) => Err(BusError::Flush(late.into())),
        }
    }

    /// Refuses a broker that is too old: it would not say no, it would silently do something else.
    pub(crate) fn check_version(&self) -> Result<(), BusError> {
        let found = self.0.client.server_info().version;
        // the client counts as connected a moment before it shows what the broker said of itself
        if found.is_empty() || new_enough(&found) { Ok(()) } else { Err(BusError::OldServer { found }) }
    }

    pub(crate) fn want<T>(&self, change: impl FnOnce(&mut Wanted) -> T) -> T {
        let mut wanted: MutexGuard<'_, Wanted> = self.0.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut wanted)
    }

    async fn wait_connected(&self) {
        while !self.connected() || self.0.client.server_info().version.is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Looks after the connection until the stop: heals after every connection, when asked, and from time to time.
    async fn keep(&self, mut events: mpsc::UnboundedReceiver<Event>, stop: CancellationToken) {
        let mut timer = interval_at(Instant::now() + HEAL_EVERY, HEAL_EVERY);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(event) = events.recv() => if !self.noted(&event) { continue },
                () = self.0.heal_now.notified() => {}
                _ = timer.tick() => {}
            }
            if let Err(error) = self.heal().await {
                tracing::debug!(error = %tandem_runtime::chain(&error), "the broker could not be healed yet");
            }
        }
        if self.connected()
            && let Err(error) = self.flush().await
        {
            tracing::warn!(error = %tandem_runtime::chain(&error), "not everything was handed to the broker");
        }
    }

    /// Notes what happened to the connection; true when it is a reason to heal.
    fn noted(&self, event: &Event) -> bool {
        match event {
            Event::Connected => {
                self.0.circuit.answered();
                true
            }
            Event::Disconnected | Event::Closed => {
                self.0.check.degraded("the broker went away");
                false
            }
            Event::ServerError(error) => {
                tracing::warn!(%error, "the broker complains");
                self.0.check.degraded(error.to_string());
                false
            }
            Event::ClientError(error) => {
                tracing::warn!(%error, "the connection to the broker complains");
                false
            }
            Event::SlowConsumer(_) => {
                tracing::warn!(
                    "messages from the broker were dropped: they came faster than they were taken"
                );
                false
            }
            Event::LameDuckMode | Event::Draining => false,
        }
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus").field("connected", &self.connected()).finish_non_exhaustive()
    }
}
