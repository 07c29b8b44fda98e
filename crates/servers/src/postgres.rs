//! A private PostgreSQL.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use secrecy::{ExposeSecret, SecretString};

use crate::Progress;
use crate::files::{DataDir, DataError};
use crate::find::PostgresPrograms;
use crate::ports::{PortError, Wanted, is_free};
use crate::postgres_cluster::{await_predecessor, check_version, initdb, launch};
use crate::process::Supervised;
use crate::secret::{SecretError, kept_password};

pub(crate) const NAME: &str = "postgres";
pub(crate) const SUPERUSER: &str = "postgres";

/// PostgreSQL cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The data folder cannot be used.
    #[error("prepare the data folder of PostgreSQL")]
    Data(#[from] DataError),
    /// The superuser's password cannot be kept.
    #[error("prepare the password of PostgreSQL's superuser")]
    Secret(#[from] SecretError),
    /// No port.
    #[error("choose a port for PostgreSQL")]
    Port(#[from] PortError),
    /// The program cannot be started.
    #[error("start {program} through setpriv of util-linux")]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// `initdb` said no.
    #[error("create a PostgreSQL data folder; initdb said: {log}")]
    Initdb {
        /// The end of its output.
        log: String,
    },
    /// It ended, or was not ready in time.
    #[error("start PostgreSQL; its log {path} ends with: {log}")]
    Start {
        /// The log.
        path: PathBuf,
        /// The end of the log.
        log: String,
    },
    /// The folder belongs to another major version.
    #[error("start PostgreSQL {programs} on {path}, which was written by version {data}")]
    OtherVersion {
        /// The data.
        path: PathBuf,
        /// Version of the data.
        data: String,
        /// Version of the programs found.
        programs: u32,
    },
    /// Another server is still at work in the folder.
    #[error("start PostgreSQL on {path}: process {pid} still serves it")]
    StillRunning {
        /// The data.
        path: PathBuf,
        /// The other server.
        pid: u32,
    },
}

/// How PostgreSQL is run.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// For tests: commits do not reach the disk, leaving does not write what is in memory, and passwords are
    /// hashed the cheap way (SCRAM costs an unoptimised client 0.1 s for each connection).
    pub fast: bool,
    /// Further settings, which win over those chosen here.
    pub settings: Vec<(String, String)>,
}

/// A PostgreSQL on 127.0.0.1 that belongs to this handle and ends with it.
#[derive(Debug)]
pub struct PrivatePostgres {
    programs: PostgresPrograms,
    data: DataDir,
    options: PostgresOptions,
    password: SecretString,
    port: u16,
    process: Supervised,
}

impl PrivatePostgres {
    /// Starts PostgreSQL on the folder, which is made when missing, and waits until it accepts connections.
    ///
    /// # Errors
    /// When the folder is in use or unreachable, or the server does not come up.
    pub async fn start(
        programs: &PostgresPrograms,
        dir: &Path,
        options: PostgresOptions,
        progress: Progress<'_>,
    ) -> Result<Self, PostgresError> {
        let data = DataDir::take(dir)?;
        let password = kept_password(&data.secret(SUPERUSER))?;
        let cluster = data.path.join("data");
        // before anything is touched: a server whose owner was killed a moment ago still removes its files
        await_predecessor(&cluster).await?;
        data.give()?;
        if !cluster.exists() {
            progress("creating a PostgreSQL data folder");
            initdb(programs, &data, &options).await?;
        }
        check_version(programs, &cluster)?;
        progress("starting PostgreSQL");
        let port = data.remembered_port().filter(|port| is_free(*port));
        let (process, port) = launch(programs, &data, &options, Wanted::Rather(port)).await?;
        Ok(Self { programs: programs.clone(), data, options, password, port, process })
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

    /// The password of the superuser `postgres`.
    #[must_use]
    pub fn password(&self) -> &SecretString {
        &self.password
    }

    /// The URL of a database for the superuser.
    #[must_use]
    pub fn url(&self, database: &str) -> SecretString {
        let (password, port) = (self.password.expose_secret(), self.port);
        SecretString::from(format!("postgres://{SUPERUSER}:{password}@127.0.0.1:{port}/{database}"))
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

    /// Stops the server as an operator would: sessions are ended, everything is written.
    pub async fn stop(&mut self) {
        let ladder = [(Signal::SIGINT, Duration::from_secs(15)), (Signal::SIGQUIT, Duration::from_secs(5))];
        self.process.end(&ladder).await;
    }

    /// Kills the server, as a crash would.
    pub async fn kill9(&mut self) {
        self.process.end(&[]).await;
    }

    /// Starts the server again on the same port, after [`stop`](Self::stop) or [`kill9`](Self::kill9).
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn restart(&mut self) -> Result<(), PostgresError> {
        self.stop().await;
        let (process, port) =
            launch(&self.programs, &self.data, &self.options, Wanted::Only(self.port)).await?;
        self.process = process;
        self.port = port;
        Ok(())
    }
}
