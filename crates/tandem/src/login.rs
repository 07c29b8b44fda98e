//! `tandem login`: a token of the portal, kept in a file that only its owner reads.
//!
//! The token is made in the portal and read from standard input, never from the command line, which every process of the
//! machine can read.

use std::io::{BufRead as _, IsTerminal as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;

use crate::private::{quoted, write_secret};
use crate::remote::Remote;
use crate::screen;

/// Options of `tandem login`.
#[derive(Debug, clap::Args)]
pub(crate) struct LoginArgs {
    /// Where the portal is, such as https://portal.provider.example
    #[arg(long, value_name = "URL")]
    portal: Url,
    #[command(flatten)]
    file: LoginFile,
    #[arg(long, hide = true)]
    token: Option<String>,
}

/// Where the token is kept.
#[derive(Debug, clap::Args)]
pub(crate) struct LoginFile {
    /// File with the portal and its token; tandem/login.toml in the user's configuration folder otherwise
    #[arg(long, env = "TANDEM_LOGIN", value_name = "FILE", hide_env_values = true)]
    login: Option<PathBuf>,
}

/// What the file holds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    /// Where the portal is.
    pub(crate) portal: Url,
    /// Its token.
    pub(crate) token: SecretString,
}

impl LoginFile {
    #[expect(clippy::disallowed_methods, reason = "the binary alone reads the environment")]
    fn path(&self) -> anyhow::Result<PathBuf> {
        if let Some(file) = &self.login {
            return Ok(file.clone());
        }
        let folder = |name: &str| std::env::var_os(name).filter(|text| !text.is_empty()).map(PathBuf::from);
        let config = folder("XDG_CONFIG_HOME").or_else(|| folder("HOME").map(|home| home.join(".config")));
        Ok(config
            .context("there is no home folder; say where the login is with --login FILE")?
            .join("tandem/login.toml"))
    }

    /// Reads it. A file that others may read is refused: whoever has read it may do what its person may.
    pub(crate) fn read(&self) -> anyhow::Result<Login> {
        let path = self.path()?;
        let failed = || format!("read {}; `tandem login --portal URL` writes it", path.display());
        let about = std::fs::metadata(&path).with_context(failed)?;
        anyhow::ensure!(
            about.permissions().mode() & 0o077 == 0,
            "{} can be read or changed by others than its owner: revoke the token in the portal, delete the file and log in again",
            path.display()
        );
        // the parser's own words would quote the file
        toml::from_str(&std::fs::read_to_string(&path).with_context(failed)?)
            .map_err(|_| anyhow::anyhow!("{} is no login; log in again", path.display()))
    }
}

pub(crate) async fn run(args: LoginArgs) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        args.token.is_none(),
        "a token on the command line can be read by every process of this machine: revoke it in the portal, make a new one, \
         and give it on standard input"
    );
    let path = args.file.path()?;
    screen::note(&format!("Make a token at {} and give it here.", args.portal.join("tokens")?));
    let login = Login { portal: args.portal, token: token()? };
    let me = Remote::new(&login)?.get("me", None).await?;
    let text = format!(
        "portal = {}\ntoken = {}\n",
        toml::Value::String(login.portal.to_string()),
        toml::Value::String(login.token.expose_secret().to_owned())
    );
    // a file that is there keeps its permissions, which may be wide
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("replace {}", quoted(&path)));
        }
        _ => write_secret(&path, &text)?,
    }
    let name = me["name"].as_str().unwrap_or_default();
    screen::line(&screen::one_line(&format!("You are {name} at {}.", login.portal)));
    Ok(ExitCode::SUCCESS)
}

/// A line of standard input; at a terminal it is not shown.
fn token() -> anyhow::Result<SecretString> {
    let input = std::io::stdin();
    let before =
        if input.is_terminal() { Some(tcgetattr(&input).context("ask the terminal")?) } else { None };
    if let Some(before) = &before {
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(&input, SetArg::TCSAFLUSH, &silent).context("keep the terminal from showing the token")?;
    }
    let mut line = String::new();
    let read = input.lock().read_line(&mut line);
    if let Some(before) = &before {
        tcsetattr(&input, SetArg::TCSAFLUSH, before).context("have the terminal show what is typed again")?;
    }
    read.context("read the token from standard input")?;
    anyhow::ensure!(!line.trim().is_empty(), "no token was given");
    Ok(line.trim().to_owned().into())
}
