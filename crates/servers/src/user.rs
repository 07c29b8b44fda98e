//! The user that the servers run as, and what that user can reach.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

use nix::sys::signal::Signal;
use tokio::process::Command;

/// `nobody` and `nogroup` on Debian, and the overflow ids of Linux everywhere else.
const NOBODY: u32 = 65_534;

/// Who runs the servers: the caller, or `nobody` when the caller is root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServiceUser {
    drops: bool,
}

impl ServiceUser {
    /// The user for servers started by this process.
    pub(crate) fn of_this_process() -> Self {
        Self { drops: nix::unistd::geteuid().is_root() }
    }

    /// A command that runs `program` as this user and sends it `signal` when the thread that spawned it ends.
    ///
    /// `setpriv` (util-linux) does both, because doing it here would need unsafe code between fork and exec.
    pub(crate) fn command(self, program: &OsStr, signal: Signal) -> Command {
        let mut command = Command::new("setpriv");
        command.arg(format!("--pdeathsig={}", signal.as_str().trim_start_matches("SIG")));
        if self.drops {
            command.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")]).arg("--clear-groups");
        }
        command.arg("--").arg(program);
        // PG* variables and the like of the caller must not steer a private server
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin").env("TZ", "UTC");
        // a group of its own: Ctrl-C in the terminal reaches the owner alone, which then stops its servers in order
        command.process_group(0);
        command
    }

    /// The uppermost folder on the way to `path`, itself included, that this user cannot search.
    pub(crate) fn barrier(self, path: &Path) -> Option<&Path> {
        if !self.drops {
            return None;
        }
        let mut folders: Vec<&Path> = path.ancestors().filter(|folder| folder.is_dir()).collect();
        folders.reverse();
        folders.into_iter().find(|folder| {
            !folder.metadata().is_ok_and(|meta| searchable(meta.uid(), meta.gid(), meta.mode()))
        })
    }

    /// Gives the path, and everything below it, to this user.
    pub(crate) fn give(self, path: &Path) -> io::Result<()> {
        self.give_one(path)?;
        if self.drops && path.symlink_metadata()?.is_dir() {
            for entry in path.read_dir()? {
                self.give(&entry?.path())?;
            }
        }
        Ok(())
    }

    /// Gives the path alone to this user.
    pub(crate) fn give_one(self, path: &Path) -> io::Result<()> {
        if self.drops { lchown(path, Some(NOBODY), Some(NOBODY)) } else { Ok(()) }
    }

    /// Whether the path already belongs to this user.
    pub(crate) fn owns(self, path: &Path) -> bool {
        !self.drops || path.symlink_metadata().is_ok_and(|meta| meta.uid() == NOBODY)
    }
}

/// Whether `nobody` may search a folder with this owner, group and mode.
fn searchable(uid: u32, gid: u32, mode: u32) -> bool {
    let bit = match (uid == NOBODY, gid == NOBODY) {
        (true, _) => 0o100,
        (false, true) => 0o010,
        (false, false) => 0o001,
    };
    mode & bit != 0
}

#[cfg(test)]
mod tests {
    use super::{NOBODY, searchable};

    #[test]
    fn the_right_bit_decides() {
        assert!(searchable(0, 0, 0o701));
        assert!(!searchable(0, 0, 0o770));
        assert!(searchable(0, NOBODY, 0o710));
        assert!(!searchable(0, NOBODY, 0o701));
        assert!(searchable(NOBODY, 0, 0o700));
        assert!(!searchable(NOBODY, NOBODY, 0o077));
    }
}
