//! Roles on a runtime of their own, so that they can be stopped like a process, or die like one.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use tandem_bus::Bus;
use tandem_debouncer::DebouncerSettings;
use tandem_outbox::{Bell, Relay};
use tandem_runtime::Ctx;
use tandem_store::{Login, Store};
use tandem_sync_log::SyncLogSettings;
use tandem_teams_sync::TeamsSyncSettings;
use tandem_wire::{Subjects, settings};
use tokio::runtime::{Builder, Runtime};

use crate::{Tester, fast_sync};

/// A role that can die at any moment.
pub struct Mortal {
    ctx: Ctx,
    runtime: Option<Runtime>,
}

impl Mortal {
    /// Ends it as a lost machine does: whatever it was doing stops where it stands, its connections break.
    pub fn die(self) {
        drop(self);
    }

    /// Stops it as SIGTERM does and waits until it has drained.
    ///
    /// # Errors
    /// When it does not drain in time, or a background task of it failed.
    pub async fn stop(self) -> Result<()> {
        self.ctx.stop();
        let drained = self.ctx.drain(Duration::from_secs(20)).await;
        let errors = self.ctx.background_errors();
        ensure!(errors.is_empty(), "background errors: {errors:?}");
        ensure!(drained, "the role did not drain");
        Ok(())
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        // a runtime must not wait for its tasks within another one
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Makes the names of workers unique.
static WORKERS: AtomicU32 = AtomicU32::new(1);

impl Tester {
    /// A debouncer that may die.
    ///
    /// # Errors
    /// When the broker refuses it.
    pub async fn mortal_debouncer(&self) -> Result<Mortal> {
        let settings = DebouncerSettings {
            timing: self.timing,
            tick: Duration::from_millis(100),
            sweep: Duration::from_secs(1),
            ..DebouncerSettings::default()
        };
        self.mortal(Login::Debouncer, move |ctx, store, bus, bell, subjects| {
            let parts = tandem_debouncer::Parts { store, bus, subjects, bell };
            tandem_debouncer::start(ctx, &parts, &settings);
        })
        .await
    }

    /// A worker that may die, with a name of its own.
    ///
    /// # Errors
    /// When the broker refuses it.
    pub async fn mortal_worker(&self, settings: TeamsSyncSettings) -> Result<Mortal> {
        let worker = format!("mortal-{}", WORKERS.fetch_add(1, Ordering::Relaxed));
        let settings = TeamsSyncSettings { worker, ..settings };
        let graph = self.graph()?;
        self.mortal(Login::TeamsSync, move |ctx, store, bus, bell, subjects| {
            let parts = tandem_teams_sync::Parts { store, bus, subjects, bell, graph, vault: None };
            tandem_teams_sync::start(ctx, &parts, &settings);
        })
        .await
    }

    /// A log that may die.
    ///
    /// # Errors
    /// When the broker refuses it.
    pub async fn mortal_log(&self) -> Result<Mortal> {
        let settings = SyncLogSettings { sweep: Duration::from_secs(1), ..SyncLogSettings::default() };
        self.mortal(Login::SyncLog, move |ctx, store, bus, _bell, subjects| {
            let parts = tandem_sync_log::Parts { store, bus, subjects };
            tandem_sync_log::start(ctx, &parts, &settings);
        })
        .await
    }

    async fn mortal<F>(&self, login: Login, start: F) -> Result<Mortal>
    where
        F: FnOnce(&Ctx, Store, Bus, Bell, Subjects) + Send + 'static,
    {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let ctx = self.context();
        let store = {
            let _inside = runtime.enter();
            self.store(login)
        };
        let (config, subjects, inside) = (self.bus_config()?, self.subjects(), ctx.clone());
        let started = runtime.spawn(async move {
            let bus = Bus::connect(&inside, config, settings::all_streams(&subjects, 1)).await?;
            let bell = match login {
                // it writes nothing that is announced, and may not read the outbox
                Login::SyncLog => None,
                _ => Some(Relay::spawn(&inside, store.clone(), bus.clone())),
            };
            start(&inside, store, bus, bell.unwrap_or_default(), subjects);
            anyhow::Ok(())
        });
        let mortal = Mortal { ctx, runtime: Some(runtime) };
        started.await??;
        Ok(mortal)
    }
}

/// Settings for histories with many deaths: waits of half a second where production has a minute.
#[must_use]
pub fn hasty_sync() -> TeamsSyncSettings {
    let millis = Duration::from_millis;
    TeamsSyncSettings {
        lease: millis(2500),
        heartbeat: millis(300),
        lease_margin: millis(800),
        wait_out: millis(800),
        sweep: millis(300),
        intent_patience: millis(3000),
        equal_reads: millis(1000),
        ladder_speed: 600,
        ..fast_sync("")
    }
}
