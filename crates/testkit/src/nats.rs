//! A nats-server of one test.

use anyhow::{Context, Result};
use secrecy::ExposeSecret;
use tandem_servers::{NatsOptions, NatsUser, PrivateNats};

use crate::TempDir;

/// The user that [`Nats::start`] makes; it may use every subject.
const USER: &str = "test";

/// A nats-server with JetStream that belongs to one test.
#[derive(Debug)]
pub struct Nats {
    /// The server: kill, restart, pause, wipe.
    pub server: PrivateNats,
    _dir: TempDir,
}

impl Nats {
    /// Starts a server with one user who may use every subject.
    ///
    /// # Errors
    /// When there is no nats-server or it does not start.
    pub async fn start() -> Result<Self> {
        Self::start_with(vec![NatsUser::unlimited(USER)]).await
    }

    /// Starts a server with these users.
    ///
    /// # Errors
    /// When there is no nats-server or it does not start.
    pub async fn start_with(users: Vec<NatsUser>) -> Result<Self> {
        let program = crate::search().nats().await?;
        let dir = TempDir::new()?;
        let options = NatsOptions { users, sync_always: false };
        let server = PrivateNats::start(&program, &dir.path().join("nats"), options, &mut |_| ()).await?;
        Ok(Self { server, _dir: dir })
    }

    /// The URL, with the password of the user of [`start`](Self::start).
    ///
    /// # Errors
    /// When the server was started with other users.
    pub fn url(&self) -> Result<String> {
        self.url_of(USER)
    }

    /// The URL with the password of a user.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn url_of(&self, user: &str) -> Result<String> {
        Ok(self.server.url(user).with_context(|| format!("NATS user {user}"))?.expose_secret().to_owned())
    }
}
