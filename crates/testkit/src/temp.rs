//! Temporary folders that the servers' user can reach.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::sys::statvfs::statvfs;
use nix::unistd::AccessFlags;

const MEMORY: &str = "/dev/shm";
/// Enough for the tests that run side by side on a large machine, about 50 MiB each.
const PLENTY: u64 = 2 << 30;
const PREFIX: &str = "tandem-test-";

/// A folder that is removed when the value is dropped, and, after a killed test, by a later test.
#[derive(Debug)]
pub struct TempDir(tempfile::TempDir);

impl TempDir {
    /// Makes a new folder.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new() -> Result<Self> {
        let base = base();
        sweep(&base);
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let dir =
            tempfile::Builder::new().prefix(&prefix).tempdir_in(&base).context("make a temporary folder")?;
        // open for passing through, whatever the umask says; the servers' own folders inside are closed
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755))
            .context("open a temporary folder")?;
        Ok(Self(dir))
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Where temporary folders lie: in memory when there is plenty, because tests copy and drop many small
/// PostgreSQL folders and some disks take seconds for each. Otherwise `/tmp` rather than TMPDIR when root runs
/// the tests: a session's own TMPDIR is closed to the user that the servers run as.
fn base() -> PathBuf {
    let memory = Path::new(MEMORY);
    if free_bytes(memory) >= PLENTY
        && nix::unistd::access(memory, AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
    {
        memory.to_owned()
    } else if nix::unistd::geteuid().is_root() {
        PathBuf::from("/tmp")
    } else {
        std::env::temp_dir()
    }
}

fn free_bytes(folder: &Path) -> u64 {
    statvfs(folder).map_or(0, |status| status.blocks_available().saturating_mul(status.fragment_size()))
}

/// Removes what killed tests left: folders that name a process which no longer exists.
fn sweep(base: &Path) {
    for entry in base.read_dir().into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner =
            name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|rest| rest.split('-').next());
        if let Some(owner) = owner
            && owner.bytes().all(|byte| byte.is_ascii_digit())
            && !Path::new("/proc").join(owner).exists()
        {
            // another test may be sweeping the same folder
            std::fs::remove_dir_all(entry.path()).ok();
        }
    }
}
