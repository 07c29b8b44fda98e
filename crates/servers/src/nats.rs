//! A private nats-server with JetStream.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;

use crate::Progress;
use crate::files::{DataDir, DataError, failed, tail};
use crate::find::NatsProgram;
use crate::nats_config::{Config, NatsUser};
use crate::ports::{PortError, Wanted, is_free};
use crate::process::{Spec, Supervised};
use crate::secret::{SecretError, kept_password, random_hex};

const NAME: &str = "nats-server";
const READY_WITHIN: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
const STARTS: usize = 5;

/// nats-server cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    /// The data folder cannot be used.
    #[error("prepare the data folder of nats-server")]
    Data(#[from] DataError),
    /// A user's password cannot be kept.
    #[error("prepare the passwords of nats-server's users")]
    Secret(#[from] SecretError),
    /// No port.
    #[error("choose a port for nats-server")]
    Port(#[from] PortError),
    /// The program cannot be started.
    #[error("start {program} through setpriv of util-linux")]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It ended, or was not ready in time.
    #[error("start nats-server; its log {path} ends with: {log}")]
    Start {
        /// The log.
        path: PathBuf,
        /// The end of the log.
        log: String,
    },
    /// A name that would not be safe as a file name and in a URL.
    #[error("name a NATS user {name:?}: only letters, digits, - and _ are possible")]
    UserName {
        /// The name.
        name: String,
    },
}

/// How nats-server is run.
#[derive(Debug, Clone, Default)]
pub struct NatsOptions {
    /// The logins; each gets a generated password. Nobody else can connect.
    pub users: Vec<NatsUser>,
    /// Whether every message reaches the disk before it is acknowledged (otherwise within two minutes).
    pub sync_always: bool,
}

/// A nats-server on 127.0.0.1 that belongs to this handle and ends with it.
#[derive(Debug)]
pub struct PrivateNats {
    program: NatsProgram,
    data: DataDir,
    users: Vec<(NatsUser, SecretString)>,
    sync_always: bool,
    port: u16,
    process: Supervised,
}

impl PrivateNats {
    /// Starts nats-server on the folder, which is made when missing, and waits until it accepts connections.
    ///
    /// # Errors
    /// When the folder is in use or unreachable, or the server does not come up.
    pub async fn start(
        program: &NatsProgram,
        dir: &Path,
        options: NatsOptions,
        progress: Progress<'_>,
    ) -> Result<Self, NatsError> {
        let data = DataDir::take(dir)?;
        let mut users = Vec::with_capacity(options.users.len());
        for user in options.users {
            let safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if user.name.is_empty() || !user.name.chars().all(safe) {
                return Err(NatsError::UserName { name: user.name });
            }
            let password = kept_password(&data.secret(&user.name))?;
            users.push((user, password));
        }
        let store = data.path.join("store");
        std::fs::create_dir_all(&store).map_err(failed("create the store", &store))?;
        progress("starting nats-server");
        let port = data.remembered_port().filter(|port| is_free(*port));
        let (process, port) =
            launch(program, &data, &users, options.sync_always, Wanted::Rather(port)).await?;
        Ok(Self { program: program.clone(), data, users, sync_always: options.sync_always, port, process })
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the server.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The log file.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.data.log(NAME)
    }

    /// The password of a user.
    #[must_use]
    pub fn password(&self, user: &str) -> Option<&SecretString> {
        self.users.iter().find(|(known, _)| known.name == user).map(|(_, password)| password)
    }

    /// The URL for a user, password included.
    #[must_use]
    pub fn url(&self, user: &str) -> Option<SecretString> {
        let password = self.password(user)?.expose_secret();
        Some(SecretString::from(format!("nats://{user}:{password}@127.0.0.1:{}", self.port)))
    }

    /// Whether the server runs.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.process.runs()
    }

    /// Waits for the server to end, for whatever reason; says how.
    pub async fn ended(&self) -> String {
        self.process.ended().await.to_string()
    }

    /// Stops the server as an operator would.
    pub async fn stop(&mut self) {
        self.resume();
        self.process.end(&[(Signal::SIGTERM, Duration::from_secs(10))]).await;
    }

    /// Kills the server, as a crash would.
    pub async fn kill9(&mut self) {
        self.process.end(&[]).await;
    }

    /// Starts the server again on the same port, after [`stop`](Self::stop) or [`kill9`](Self::kill9).
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn restart(&mut self) -> Result<(), NatsError> {
        self.stop().await;
        let (process, port) =
            launch(&self.program, &self.data, &self.users, self.sync_always, Wanted::Only(self.port)).await?;
        self.process = process;
        self.port = port;
        Ok(())
    }

    /// Freezes the server: connections stay open and nothing is answered.
    pub fn pause(&self) {
        self.process.signal(Signal::SIGSTOP);
    }

    /// Ends the freeze.
    pub fn resume(&self) {
        self.process.signal(Signal::SIGCONT);
    }

    /// Removes every stored message, stream and consumer from the disk, under a running server too.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn wipe_store(&self) -> Result<(), NatsError> {
        let store = self.data.path.join("store");
        for entry in store.read_dir().map_err(failed("list", &store))?.flatten() {
            let path = entry.path();
            match std::fs::remove_dir_all(&path) {
                // a running server removes files of its own at the same time
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(failed("remove", &path)(error).into());
                }
                _ => {}
            }
        }
        Ok(())
    }
}

async fn launch(
    program: &NatsProgram,
    data: &DataDir,
    users: &[(NatsUser, SecretString)],
    sync_always: bool,
    mut wanted: Wanted,
) -> Result<(Supervised, u16), NatsError> {
    let (config, store, log) = (data.path.join("nats.conf"), data.path.join("store"), data.log(NAME));
    for _ in 0..STARTS {
        let port = wanted.next()?;
        // a name of its own tells this server from a stranger that took the port first
        let server_name = format!("tandem-{}", &random_hex()?[..12]);
        let text = Config { server_name: &server_name, port, store: &store, sync_always, users }.text();
        write_private(&config, &text).map_err(failed("write", &config))?;
        data.give()?;
        let spec = Spec {
            name: NAME,
            program: program.path.clone(),
            args: vec!["--config".into(), config.clone().into()],
            dir: data.path.clone(),
            log: log.clone(),
            user: data.user,
            // a frozen server hears nothing else; what it acknowledged survives a kill
            farewell: Signal::SIGKILL,
        };
        let spawned = Supervised::spawn(spec).await;
        let process = spawned.map_err(|source| NatsError::Spawn { program: program.path.clone(), source })?;
        if ready(&process, port, &server_name).await {
            data.remember_port(port)?;
            return Ok((process, port));
        }
        if process.runs() {
            break;
        }
        // the port was taken meanwhile, or a killed server has not let go of it yet
        tokio::time::sleep(LOOK_AGAIN * 40).await;
    }
    Err(NatsError::Start { path: log.clone(), log: tail(&log) })
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut file = std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

/// Waits for the greeting of the server with this name.
async fn ready(process: &Supervised, port: u16, server_name: &str) -> bool {
    let look = async {
        while process.runs() {
            if greeting(port).await.is_some_and(|line| line.contains(server_name)) {
                return true;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        false
    };
    tokio::time::timeout(READY_WITHIN, look).await.unwrap_or(false)
}

async fn greeting(port: u16) -> Option<String> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await.ok()?;
    Some(line)
}
