//! Where the server programs are.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::sys::signal::Signal;

use crate::user::ServiceUser;

/// Debian's place of PostgreSQL, outside PATH; one folder per major version.
const DEBIAN: &str = "/usr/lib/postgresql";
const OLDEST_POSTGRES: Version = Version(15, 0);
const OLDEST_NATS: Version = Version(2, 12);

/// No usable program was found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// Nothing good enough anywhere.
    #[error("find {what}; `make tools` puts one into .tools. Looked at: {seen}")]
    Missing {
        /// Which program, in which version.
        what: &'static str,
        /// Every candidate and why it was passed over.
        seen: String,
    },
}

/// Major and minor number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32);

/// Where to look, most wanted first: the explicit path, tool folders, PATH, Debian's folders.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// The folder of `initdb` and `postgres`; nothing else is looked at.
    pub postgres_bin: Option<PathBuf>,
    /// The program; nothing else is looked at.
    pub nats_server: Option<PathBuf>,
    /// Folders named `.tools` as `make tools` fills them.
    pub tools: Vec<PathBuf>,
    /// The value of PATH; callers pass it, because libraries here do not read the environment.
    pub path: Option<OsString>,
}

/// PostgreSQL, good enough and runnable by the servers' user.
#[derive(Debug, Clone)]
pub struct PostgresPrograms {
    /// The folder of `initdb` and `postgres`.
    pub bin: PathBuf,
    /// Its major version.
    pub major: u32,
}

/// nats-server, good enough and runnable by the servers' user.
#[derive(Debug, Clone)]
pub struct NatsProgram {
    /// The program.
    pub path: PathBuf,
    /// Its version, major and minor.
    pub version: (u32, u32),
}

impl Search {
    /// Looks in PATH and in every `.tools` of the given folders and of the folders above them.
    #[must_use]
    pub fn near(folders: &[&Path], path: Option<OsString>) -> Self {
        let mut tools: Vec<PathBuf> = Vec::new();
        for candidate in
            folders.iter().flat_map(|folder| folder.ancestors()).map(|folder| folder.join(".tools"))
        {
            if candidate.is_dir() && !tools.contains(&candidate) {
                tools.push(candidate);
            }
        }
        Self { tools, path, ..Self::default() }
    }

    /// PostgreSQL 15 or newer.
    ///
    /// # Errors
    /// When there is none; the error names what was looked at.
    pub async fn postgres(&self) -> Result<PostgresPrograms, FindError> {
        let mut seen = Vec::new();
        for bin in self.folders(self.postgres_bin.as_deref(), true) {
            let Some(program) = existing(&bin.join("postgres")) else { continue };
            // share and lib files are found from the real place of the program
            let bin = program.parent().map_or_else(|| bin.clone(), Path::to_owned);
            if existing(&bin.join("initdb")).is_none() {
                seen.push(format!("{} (no initdb beside it)", program.display()));
                continue;
            }
            match judge(&program, "postgres (PostgreSQL) ", OLDEST_POSTGRES).await {
                Ok(Version(major, _)) => return Ok(PostgresPrograms { bin, major }),
                Err(why) => seen.push(why),
            }
        }
        Err(missing("PostgreSQL 15 or newer (initdb, postgres)", &seen))
    }

    /// nats-server 2.12 or newer.
    ///
    /// # Errors
    /// When there is none; the error names what was looked at.
    pub async fn nats(&self) -> Result<NatsProgram, FindError> {
        let mut seen = Vec::new();
        let explicit = self.nats_server.iter().cloned();
        let others = self.folders(None, false).into_iter().map(|folder| folder.join("nats-server"));
        let candidates: Vec<PathBuf> =
            if self.nats_server.is_some() { explicit.collect() } else { others.collect() };
        for program in candidates.iter().filter_map(|candidate| existing(candidate)) {
            match judge(&program, "nats-server: v", OLDEST_NATS).await {
                Ok(Version(major, minor)) => {
                    return Ok(NatsProgram { path: program, version: (major, minor) });
                }
                Err(why) => seen.push(why),
            }
        }
        Err(missing("nats-server 2.12 or newer", &seen))
    }

    fn folders(&self, explicit: Option<&Path>, debian: bool) -> Vec<PathBuf> {
        if let Some(explicit) = explicit {
            return vec![explicit.to_owned()];
        }
        let mut folders: Vec<PathBuf> = self.tools.iter().map(|tools| tools.join("bin")).collect();
        folders.extend(std::env::split_paths(self.path.as_deref().unwrap_or(OsStr::new(""))));
        if debian {
            let mut majors: Vec<PathBuf> = Path::new(DEBIAN)
                .read_dir()
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
                .collect();
            majors.sort();
            folders.extend(majors.into_iter().rev().map(|major| major.join("bin")));
        }
        folders
    }
}

fn missing(what: &'static str, seen: &[String]) -> FindError {
    let seen = if seen.is_empty() { "none found".to_owned() } else { seen.join(", ") };
    FindError::Missing { what, seen }
}

fn existing(program: &Path) -> Option<PathBuf> {
    program.canonicalize().ok().filter(|real| real.is_file())
}

/// The version of a program that is new enough and that the servers' user can run, or why not.
async fn judge(program: &Path, before: &str, oldest: Version) -> Result<Version, String> {
    let user = ServiceUser::of_this_process();
    if let Some(barrier) = user.barrier(program) {
        return Err(format!("{} (user nobody may not enter {})", program.display(), barrier.display()));
    }
    let mut command = user.command(program.as_os_str(), Signal::SIGKILL);
    let output =
        command.arg("--version").current_dir("/").stdin(Stdio::null()).kill_on_drop(true).output().await;
    let text = match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        Ok(output) => {
            return Err(format!(
                "{} (does not run: {})",
                program.display(),
                String::from_utf8_lossy(&output.stderr).trim()
            ));
        }
        Err(error) => {
            return Err(format!(
                "{} (cannot be started through setpriv of util-linux: {error})",
                program.display()
            ));
        }
    };
    match parse(&text, before) {
        Some(version) if version >= oldest => Ok(version),
        Some(Version(major, minor)) => Err(format!("{} ({major}.{minor} is too old)", program.display())),
        None => Err(format!("{} (it names no version)", program.display())),
    }
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian ...)`, `postgres (PostgreSQL) 18beta1` and `nats-server: v2.15.1`,
/// given what stands before the version.
fn parse(text: &str, before: &str) -> Option<Version> {
    let mut numbers = text.strip_prefix(before)?.split('.');
    let leading = |part: &str| -> Option<u32> {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        part[..end].parse().ok()
    };
    let major = leading(numbers.next()?)?;
    Some(Version(major, numbers.next().and_then(leading).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::{Version, parse};

    #[test]
    fn versions_are_read() {
        let postgres = |text| parse(text, "postgres (PostgreSQL) ");
        assert_eq!(postgres("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(Version(15, 18)));
        assert_eq!(postgres("postgres (PostgreSQL) 18beta1\n"), Some(Version(18, 0)));
        assert_eq!(parse("nats-server: v2.15.1\n", "nats-server: v"), Some(Version(2, 15)));
        assert_eq!(postgres("true (GNU coreutils) 9.1\n"), None);
        assert!(Version(2, 9) < Version(2, 12));
    }
}
