//! Private servers: a PostgreSQL and a nats-server that belong to one data folder, for `tandem up` and `tandem demo`.
//!
//! They listen on loopback, refuse whoever has no password, and end with this process, however it ends.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tandem_runtime::{Clock, Ids};
use tandem_servers::{
    NatsOptions, NatsUser, PostgresOptions, PrivateNats, PrivatePostgres, Progress, Search, demo_data_dir,
};
use tandem_store::admin::server;
use tandem_store::{DbConfig, Login};
use tandem_vault::Keyring;

const DATABASE: &str = "tandem";
const OWNER: &str = "postgres";
const NATS_USER: &str = "tandem";
/// Ends the lines of a configuration file that follow the servers' ports.
const KEPT: &str = "# kept by tandem";

/// The running servers.
#[derive(Debug)]
pub(crate) struct Private {
    /// The data folder, for everything but the servers' own data.
    pub(crate) dir: PathBuf,
    /// PostgreSQL.
    pub(crate) postgres: PrivatePostgres,
    /// NATS.
    pub(crate) nats: PrivateNats,
    servers: PathBuf,
}

impl Private {
    /// Starts both servers on the folder, which is made when missing, and makes the database and the passwords of the
    /// roles' logins.
    pub(crate) async fn start(dir: &Path, progress: Progress<'_>) -> anyhow::Result<Self> {
        let dir = std::path::absolute(dir)?;
        let servers = demo_data_dir(&dir)?;
        if servers != dir {
            progress(&format!(
                "the servers' data is in {}, where user nobody can reach it",
                servers.display()
            ));
        }
        let search = search()?;
        let (postgres, nats) = (search.postgres().await?, search.nats().await?);
        let options = PostgresOptions::default();
        let postgres =
            PrivatePostgres::start(&postgres, &servers.join("postgres"), options, progress).await?;
        let options = NatsOptions { users: vec![NatsUser::unlimited(NATS_USER)], sync_always: false };
        let nats = PrivateNats::start(&nats, &servers.join("nats"), options, progress).await?;
        let private = Self { dir, postgres, nats, servers };
        private.create_database(DATABASE).await?;
        let ids = Ids::random();
        for login in Login::ALL {
            let password: String = ids.bytes::<24>().iter().map(|byte| format!("{byte:02x}")).collect();
            write_once(&private.passwords_dir().join(login.name()), &password)?;
        }
        private.make_sealing_key()?;
        Ok(private)
    }

    /// Makes the key that secrets are sealed with, once.
    fn make_sealing_key(&self) -> anyhow::Result<()> {
        if !self.keyring().exists() {
            let key = Keyring::add(&self.keyring(), Clock::system().now().unix_timestamp())?;
            Keyring::publish(&self.public_key_file(), &key)?;
        }
        Ok(())
    }

    fn keyring(&self) -> PathBuf {
        self.dir.join("keyring")
    }

    fn public_key_file(&self) -> PathBuf {
        self.dir.join("sealing.pub")
    }

    fn passwords_dir(&self) -> PathBuf {
        self.dir.join("passwords")
    }

    /// Makes a database if there is none of the name.
    pub(crate) async fn create_database(&self, name: &str) -> anyhow::Result<()> {
        let server = DbConfig::local(self.postgres.port(), OWNER);
        server::create_database(&server, OWNER, self.postgres.password(), name)
            .await
            .with_context(|| format!("make the database {name}"))
    }

    /// The sections `database`, `bus` and `vault` of a configuration that uses these servers.
    pub(crate) fn sections(&self) -> String {
        format!(
            "[database]\nhost = \"127.0.0.1\"\nport = {postgres} {KEPT}\nname = \"{DATABASE}\"\n\
             passwords_dir = {passwords}\nowner = \"{OWNER}\"\nowner_password_file = {owner}\n\n\
             [bus]\nurl = \"nats://127.0.0.1:{nats}\" {KEPT}\nuser = \"{NATS_USER}\"\npassword_file = {bus}\n\n\
             [vault]\nkeyring = {keyring}\npublic_key_file = {public}\n",
            postgres = self.postgres.port(),
            nats = self.nats.port(),
            passwords = quoted(&self.passwords_dir()),
            owner = quoted(&self.servers.join("postgres/secrets").join(OWNER)),
            bus = quoted(&self.servers.join("nats/secrets").join(NATS_USER)),
            keyring = quoted(&self.keyring()),
            public = quoted(&self.public_key_file()),
        )
    }

    /// Corrects the ports in a configuration file: servers keep theirs unless somebody else has taken them.
    pub(crate) fn follow_ports(&self, file: &Path) -> anyhow::Result<()> {
        let before = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        let after = with_ports(&before, self.postgres.port(), self.nats.port());
        if after != before {
            std::fs::write(file, after).with_context(|| format!("write {}", file.display()))?;
        }
        Ok(())
    }

    /// Waits until one of the servers ended by itself; says which.
    pub(crate) async fn ended(&self) -> String {
        tokio::select! {
            text = self.postgres.ended() => format!("PostgreSQL ended: {text}"),
            text = self.nats.ended() => format!("nats-server ended: {text}"),
        }
    }

    /// Stops both in order.
    pub(crate) async fn stop(mut self) {
        self.nats.stop().await;
        self.postgres.stop().await;
    }
}

fn with_ports(text: &str, postgres: u16, nats: u16) -> String {
    let lines = text.lines().map(|line| match line.split_once(KEPT) {
        Some((key, _)) if key.starts_with("port") => format!("port = {postgres} {KEPT}\n"),
        Some((key, _)) if key.starts_with("url") => format!("url = \"nats://127.0.0.1:{nats}\" {KEPT}\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

/// A path as a TOML text.
pub(crate) fn quoted(path: &Path) -> String {
    toml::Value::String(path.to_string_lossy().into_owned()).to_string()
}

/// Looks for the servers beside the checkout, beside the program and in PATH.
#[expect(clippy::disallowed_methods, reason = "the binary alone reads the environment, and hands PATH on")]
fn search() -> anyhow::Result<Search> {
    let here = std::env::current_dir().context("find the current folder")?;
    let program = std::env::current_exe().context("find this program")?;
    Ok(Search::near(&[&here, &program], std::env::var_os("PATH")))
}

/// Writes a file that only its owner reads, and its folders likewise.
pub(crate) fn write_secret(path: &Path, text: &str) -> anyhow::Result<()> {
    let failed = || format!("write {}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(failed)?;
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(failed)?;
    file.write_all(text.as_bytes()).with_context(failed)
}

/// The same, unless the file is there; whether it was written.
pub(crate) fn write_once(path: &Path, text: &str) -> anyhow::Result<bool> {
    if path.exists() {
        return Ok(false);
    }
    write_secret(path, text)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_marked_lines_follow_the_ports() {
        let text = "# mine\nport = 1 # kept by tandem\nport = 5\nurl = \"x\" # kept by tandem: see above\n";
        let after =
            "# mine\nport = 6 # kept by tandem\nport = 5\nurl = \"nats://127.0.0.1:7\" # kept by tandem\n";
        assert_eq!(with_ports(text, 6, 7), after);
    }
}
