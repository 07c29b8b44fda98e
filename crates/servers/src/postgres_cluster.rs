//! Bringing a cluster to life: `initdb`, the server itself, and what an earlier server left behind.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::files::{DataDir, failed, tail};
use crate::find::PostgresPrograms;
use crate::ports::Wanted;
use crate::postgres::{NAME, PostgresError, PostgresOptions, SUPERUSER};
use crate::process::{Spec, Supervised};

/// Crash recovery of a large folder is slow; a hang is not told apart from it sooner than this.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// A server whose owner was killed needs a moment for its own shutdown.
const PREDECESSOR_WITHIN: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
const STARTS: usize = 25;

/// Makes the cluster beside its final place, so that an interrupted run is not taken for a cluster.
pub(crate) async fn initdb(
    programs: &PostgresPrograms,
    data: &DataDir,
    options: &PostgresOptions,
) -> Result<(), PostgresError> {
    let (fresh, cluster) = (data.path.join("data.new"), data.path.join("data"));
    if fresh.exists() {
        std::fs::remove_dir_all(&fresh).map_err(failed("remove the unfinished", &fresh))?;
    }
    let mut args: Vec<OsString> =
        vec!["--pgdata".into(), fresh.clone().into(), "--pwfile".into(), data.secret(SUPERUSER).into()];
    let fixed = [
        "--username",
        SUPERUSER,
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--lc-collate=C",
        "--no-instructions",
        "--data-checksums",
    ];
    args.extend(fixed.map(OsString::from));
    if options.fast {
        // small segments, because tests copy the whole folder
        args.extend(["--auth=md5", "--no-sync", "--wal-segsize=1"].map(OsString::from));
    } else {
        args.push("--auth=scram-sha-256".into());
    }
    let log = data.log("initdb");
    let spec = spec(programs.bin.join("initdb"), args, data, log.clone(), options);
    let program = spec.program.clone();
    let status = Supervised::run(spec).await.map_err(|source| PostgresError::Spawn { program, source })?;
    if !status.success() {
        return Err(PostgresError::Initdb { log: tail(&log) });
    }
    Ok(std::fs::rename(&fresh, &cluster).map_err(failed("move into place", &fresh))?)
}

fn spec(
    program: PathBuf,
    args: Vec<OsString>,
    data: &DataDir,
    log: PathBuf,
    options: &PostgresOptions,
) -> Spec {
    // INT is PostgreSQL's fast shutdown, QUIT its immediate one
    let farewell = if options.fast { Signal::SIGQUIT } else { Signal::SIGINT };
    Spec { name: NAME, program, args, dir: data.path.clone(), log, user: data.user, farewell }
}

pub(crate) fn check_version(programs: &PostgresPrograms, cluster: &Path) -> Result<(), PostgresError> {
    let file = cluster.join("PG_VERSION");
    let data = std::fs::read_to_string(&file).map_err(failed("read", &file))?.trim().to_owned();
    if data == programs.major.to_string() {
        return Ok(());
    }
    Err(PostgresError::OtherVersion { path: cluster.to_owned(), data, programs: programs.major })
}

pub(crate) async fn launch(
    programs: &PostgresPrograms,
    data: &DataDir,
    options: &PostgresOptions,
    mut wanted: Wanted,
) -> Result<(Supervised, u16), PostgresError> {
    let cluster = data.path.join("data");
    // what a kill left behind, when this is a restart
    await_predecessor(&cluster).await?;
    let log = data.log(NAME);
    for _ in 0..STARTS {
        let port = wanted.next()?;
        let spec = spec(
            programs.bin.join("postgres"),
            arguments(&cluster, port, options),
            data,
            log.clone(),
            options,
        );
        let program = spec.program.clone();
        let process =
            Supervised::spawn(spec).await.map_err(|source| PostgresError::Spawn { program, source })?;
        if ready(&process, &cluster).await {
            data.remember_port(port)?;
            return Ok((process, port));
        }
        if process.runs() {
            break;
        }
        // the port was taken meanwhile, or sessions of a killed server still hold its shared memory
        tokio::time::sleep(LOOK_AGAIN * 20).await;
    }
    Err(PostgresError::Start { path: log.clone(), log: tail(&log) })
}

fn arguments(cluster: &Path, port: u16, options: &PostgresOptions) -> Vec<OsString> {
    let mut settings = vec![
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", ""),
        ("logging_collector", "off"),
    ];
    if options.fast {
        settings.extend([
            ("fsync", "off"),
            ("full_page_writes", "off"),
            ("synchronous_commit", "off"),
            ("shared_buffers", "32MB"),
            ("max_connections", "300"),
            ("autovacuum_naptime", "1h"),
        ]);
    }
    let further = options.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut args: Vec<OsString> = vec!["-D".into(), cluster.into(), "-p".into(), port.to_string().into()];
    for (name, value) in settings.into_iter().chain(further) {
        args.extend(["-c".into(), format!("{name}={value}").into()]);
    }
    args
}

/// Waits for "ready" in the server's own status file, as `pg_ctl` does: unlike a connection it cannot be
/// another server's, and it needs no password.
async fn ready(process: &Supervised, cluster: &Path) -> bool {
    let look = async {
        while process.runs() {
            if let Some(status) = Status::read(cluster)
                && status.pid == process.pid()
                && status.ready
            {
                return true;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        false
    };
    tokio::time::timeout(READY_WITHIN, look).await.unwrap_or(false)
}

/// Waits for a server that a killed owner left in the folder, and removes what a killed server left there.
///
/// PostgreSQL removes a stale status file itself, unless the process id in it was given to somebody else.
pub(crate) async fn await_predecessor(cluster: &Path) -> Result<(), PostgresError> {
    let file = cluster.join("postmaster.pid");
    let leave = async {
        while let Some(status) = Status::read(cluster) {
            if !serves(status.pid, cluster) {
                return std::fs::remove_file(&file).or_else(|error| match error.kind() {
                    std::io::ErrorKind::NotFound => Ok(()),
                    _ => Err(error),
                });
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    };
    match tokio::time::timeout(PREDECESSOR_WITHIN, leave).await {
        Ok(left) => Ok(left.map_err(failed("remove the stale", &file))?),
        Err(_elapsed) => Err(PostgresError::StillRunning {
            path: cluster.to_owned(),
            pid: Status::read(cluster).map_or(0, |status| status.pid),
        }),
    }
}

/// Whether the process is a server that was given the folder. The command line is what root may read of
/// another user's process even in a container without ptrace rights.
fn serves(pid: u32, cluster: &Path) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).any(|argument| argument == cluster.as_os_str().as_bytes())
}

/// `postmaster.pid`: line 1 is the process id, line 8 the state.
struct Status {
    pid: u32,
    ready: bool,
}

impl Status {
    fn read(cluster: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(cluster.join("postmaster.pid")).ok()?;
        let pid = text.lines().next()?.trim().parse().ok()?;
        Some(Self { pid, ready: text.lines().nth(7).is_some_and(|state| state.trim() == "ready") })
    }
}
