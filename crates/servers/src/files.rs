//! The data folder of a private server: who owns it, who uses it, what it remembers.

use std::fs::{DirBuilder, File, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::user::ServiceUser;

/// Root's data goes here when the folder asked for cannot be reached by the servers' user.
const SHARED_DATA: &str = "/var/lib/tandem-private";
/// The name of the link that says where such data lies.
const LINK: &str = "elsewhere";

/// A data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file or folder cannot be read or written.
    #[error("{doing} {path}")]
    File {
        /// What was tried.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has it.
    #[error("use the data folder {path}: another process uses it now")]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// The servers' user cannot get there.
    #[error(
        "use the data folder {path} as user nobody, who may not enter {barrier}: choose another folder, for example below /var/lib"
    )]
    Unreachable {
        /// The folder.
        path: PathBuf,
        /// The folder above it that is closed.
        barrier: PathBuf,
    },
}

/// Adds what was tried, and where, to an I/O error.
pub(crate) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DataError {
    let path = path.to_owned();
    move |source| DataError::File { doing, path, source }
}

/// Where the private servers of `dir` can keep their data: `dir` itself, or, when root calls and user
/// `nobody` may not enter a folder above it, a folder below `/var/lib/tandem-private` that the link
/// `dir/elsewhere` then points to.
///
/// # Errors
/// When the folders or the link cannot be made.
pub fn demo_data_dir(dir: &Path) -> Result<PathBuf, DataError> {
    make_enterable(dir)?;
    let dir = dir.canonicalize().map_err(failed("resolve the folder", dir))?;
    if ServiceUser::of_this_process().barrier(&dir).is_none() {
        return Ok(dir);
    }
    let mut hasher = DefaultHasher::new();
    dir.hash(&mut hasher);
    let elsewhere = Path::new(SHARED_DATA).join(format!("{:016x}", hasher.finish()));
    make_enterable(&elsewhere)?;
    let link = dir.join(LINK);
    if std::fs::read_link(&link).ok().as_deref() != Some(&elsewhere) {
        symlink(&elsewhere, &link).map_err(failed("link the data folder at", &link))?;
    }
    Ok(elsewhere)
}

/// Makes the missing folders of the path, each open for passing through whatever the umask says; folders
/// that exist keep their permissions.
fn make_enterable(dir: &Path) -> Result<(), DataError> {
    let mut missing: Vec<&Path> =
        dir.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists()).collect();
    missing.reverse();
    for folder in missing {
        match DirBuilder::new().mode(0o755).create(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => {
                made.and_then(|()| folder.set_mode(0o755)).map_err(failed("create the folder", folder))?;
            }
        }
    }
    Ok(())
}

trait SetMode {
    fn set_mode(&self, mode: u32) -> io::Result<()>;
}

impl SetMode for Path {
    fn set_mode(&self, mode: u32) -> io::Result<()> {
        std::fs::set_permissions(self, Permissions::from_mode(mode))
    }
}

/// A data folder in use by this process alone.
#[derive(Debug)]
pub(crate) struct DataDir {
    pub(crate) path: PathBuf,
    pub(crate) user: ServiceUser,
    /// Held, not read: the lock goes with the handle, also when the process dies.
    _lock: File,
}

impl DataDir {
    /// Takes the folder, made when missing, for the servers' user alone.
    pub(crate) fn take(dir: &Path) -> Result<Self, DataError> {
        let user = ServiceUser::of_this_process();
        if let Some(parent) = dir.parent() {
            make_enterable(parent)?;
        }
        std::fs::create_dir_all(dir).map_err(failed("create the data folder", dir))?;
        let path = dir.canonicalize().map_err(failed("resolve the data folder", dir))?;
        let above = path.parent().unwrap_or(&path);
        if let Some(barrier) = user.barrier(above) {
            return Err(DataError::Unreachable { barrier: barrier.to_owned(), path });
        }
        let lock_path = path.join("lock");
        let lock = File::options()
            .create(true)
            .append(true)
            .open(&lock_path)
            .map_err(failed("open the lock", &lock_path))?;
        if lock.try_lock().is_err() {
            return Err(DataError::Busy { path });
        }
        path.set_mode(0o700).map_err(failed("close to others", &path))?;
        for part in ["secrets", "log"] {
            let part = path.join(part);
            std::fs::create_dir_all(&part)
                .and_then(|()| part.set_mode(0o700))
                .map_err(failed("create the folder", &part))?;
        }
        Ok(Self { path, user, _lock: lock })
    }

    /// Gives what is not yet the servers' user's to that user, part by part.
    pub(crate) fn give(&self) -> Result<(), DataError> {
        let entries = self.path.read_dir().map_err(failed("list", &self.path))?;
        let inside = entries.flatten().map(|entry| entry.path());
        for part in inside.filter(|part| !self.user.owns(part)) {
            self.user.give(&part).map_err(failed("give user nobody", &part))?;
        }
        self.user.give_one(&self.path).map_err(failed("give user nobody", &self.path))
    }

    /// The file of one password.
    pub(crate) fn secret(&self, name: &str) -> PathBuf {
        self.path.join("secrets").join(name)
    }

    /// The log of one server.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.path.join("log").join(format!("{name}.log"))
    }

    /// The port used last.
    pub(crate) fn remembered_port(&self) -> Option<u16> {
        std::fs::read_to_string(self.path.join("port")).ok()?.trim().parse().ok()
    }

    /// Keeps the port for the next start.
    pub(crate) fn remember_port(&self, port: u16) -> Result<(), DataError> {
        let path = self.path.join("port");
        std::fs::write(&path, port.to_string()).map_err(failed("write", &path))
    }
}

/// The last lines of a log, for an error message.
pub(crate) fn tail(log: &Path) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}
