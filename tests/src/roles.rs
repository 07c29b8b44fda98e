//! Roles in this process, started and stopped like processes of their own.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use tandem_debouncer::DebouncerSettings;
use tandem_outbox::Relay;
use tandem_runtime::Ctx;
use tandem_store::Login;
use tandem_teams_sync::TeamsSyncSettings;
use tandem_vault::Opener;

use crate::Tester;

/// A running role.
pub struct Role {
    ctx: Ctx,
}

impl Role {
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

/// Settings with waits of a second where production has a minute.
#[must_use]
pub fn fast_sync(worker: &str) -> TeamsSyncSettings {
    let millis = Duration::from_millis;
    TeamsSyncSettings {
        worker: worker.to_owned(),
        lease: millis(4000),
        heartbeat: millis(500),
        lease_margin: millis(1000),
        wait_out: millis(1500),
        sweep: millis(500),
        operation_patience: millis(3000),
        first_poll: millis(100),
        step_retries: vec![millis(100), millis(300)],
        intent_patience: millis(6000),
        equal_reads: millis(1500),
        look: millis(200),
        ladder_speed: 60,
        ..TeamsSyncSettings::default()
    }
}

impl Tester {
    /// Starts a debouncer.
    ///
    /// # Errors
    /// When the broker refuses it.
    pub async fn debouncer(&mut self) -> Result<()> {
        let ctx = self.context();
        let store = self.store(Login::Debouncer);
        let bus = self.bus(&ctx).await?;
        let bell = Relay::spawn(&ctx, store.clone(), bus.clone());
        let parts = tandem_debouncer::Parts { store, bus, subjects: self.subjects(), bell };
        let settings = DebouncerSettings {
            timing: self.timing,
            tick: Duration::from_millis(100),
            sweep: self.sweep,
            ..DebouncerSettings::default()
        };
        tandem_debouncer::start(&ctx, &parts, &settings);
        self.roles.push(Role { ctx });
        Ok(())
    }

    /// Starts a worker.
    ///
    /// # Errors
    /// When the broker refuses it.
    pub async fn teams_sync(&mut self, settings: &TeamsSyncSettings) -> Result<()> {
        let ctx = self.context();
        let store = self.store(Login::TeamsSync);
        let bus = self.bus(&ctx).await?;
        let bell = Relay::spawn(&ctx, store.clone(), bus.clone());
        let graph = self.graph()?;
        let vault = Some(Arc::new(Opener::load(self.keyring.path())?));
        let parts = tandem_teams_sync::Parts { store, bus, subjects: self.subjects(), bell, graph, vault };
        tandem_teams_sync::start(&ctx, &parts, settings);
        self.roles.push(Role { ctx });
        Ok(())
    }

    /// Starts the log.
    ///
    /// # Errors
    /// When the broker refuses it.
    pub async fn sync_log(&mut self) -> Result<()> {
        let ctx = self.context();
        let store = self.store(Login::SyncLog);
        let bus = self.bus(&ctx).await?;
        let parts = tandem_sync_log::Parts { store, bus, subjects: self.subjects() };
        let settings = tandem_sync_log::SyncLogSettings {
            sweep: Duration::from_secs(1),
            ..tandem_sync_log::SyncLogSettings::default()
        };
        tandem_sync_log::start(&ctx, &parts, &settings);
        self.roles.push(Role { ctx });
        Ok(())
    }

    /// Takes a context as a role of its own: it is stopped with the others, and its background errors count.
    pub fn adopt(&mut self, ctx: Ctx) {
        self.roles.push(Role { ctx });
    }

    /// Starts one of each: what a small provider runs.
    ///
    /// # Errors
    /// When a role cannot be started.
    pub async fn all_roles(&mut self) -> Result<()> {
        self.debouncer().await?;
        self.teams_sync(&fast_sync("worker-1")).await?;
        self.sync_log().await
    }

    /// Stops the roles in the order in which they were started.
    ///
    /// # Errors
    /// When one does not drain or a background task failed.
    pub async fn stop_roles(&mut self) -> Result<()> {
        for role in self.roles.drain(..) {
            role.stop().await?;
        }
        Ok(())
    }
}
