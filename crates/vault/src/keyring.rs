//! The keyring: a folder of key files, or one key file. Key files are written with mode 0600 and whole or not at all.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use crate::{KeyId, PrivateKey, PublicKey, VaultError};

/// Ending of the names of key files.
const ENDING: &str = "key";

/// Longer than any key file.
const LONGEST: u64 = 4096;

/// The private keys of one folder, oldest first.
pub struct Keyring {
    path: PathBuf,
    keys: Vec<PrivateKey>,
}

impl Keyring {
    /// Reads every file of a folder that ends in `.key`, or one key file.
    ///
    /// # Errors
    /// [`VaultError`]; one broken or exposed file spoils the ring, so that nobody goes on with half of it.
    pub fn load(path: &Path) -> Result<Self, VaultError> {
        let unreadable = |source| VaultError::Unreadable { path: path.to_owned(), source };
        let mut keys = Vec::new();
        if fs::metadata(path).map_err(unreadable)?.is_dir() {
            for entry in fs::read_dir(path).map_err(unreadable)? {
                let file = entry.map_err(unreadable)?.path();
                if file.extension().is_some_and(|ending| ending == ENDING) {
                    keys.push(read(&file)?);
                }
            }
        } else {
            keys.push(read(path)?);
        }
        if keys.is_empty() {
            return Err(VaultError::Empty { keyring: path.to_owned() });
        }
        keys.sort_by_key(|key| (key.public().created(), key.public().id()));
        Ok(Self { path: path.to_owned(), keys })
    }

    /// Writes a new key into a folder, which is made if need be, and gives its public half. Nothing is overwritten.
    ///
    /// # Errors
    /// [`VaultError::Unreadable`] when the file cannot be written.
    pub fn add(folder: &Path, created: i64) -> Result<PublicKey, VaultError> {
        let key = PrivateKey::generate(created)?;
        let name = format!("{}.{ENDING}", key.public().id());
        let file = folder.join(&name);
        let line = key.line();
        make_folder(folder)
            .and_then(|()| write_whole(&file, line.expose_secret(), 0o600, false))
            .map_err(|source| VaultError::Unreadable { path: file, source })?;
        Ok(key.public())
    }

    /// Writes the public key file that sealers read.
    ///
    /// # Errors
    /// [`VaultError::Unreadable`] when it cannot be written.
    pub fn publish(file: &Path, key: &PublicKey) -> Result<(), VaultError> {
        write_whole(file, &key.to_string(), 0o644, true)
            .map_err(|source| VaultError::Unreadable { path: file.to_owned(), source })
    }

    /// Where it was read.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The public halves of its keys, oldest first.
    pub fn keys(&self) -> impl Iterator<Item = PublicKey> {
        self.keys.iter().map(PrivateKey::public)
    }

    /// The key that seals.
    #[must_use]
    pub fn newest(&self) -> PublicKey {
        self.keys.last().unwrap_or_else(|| unreachable!("a ring has at least one key")).public()
    }

    pub(crate) fn key(&self, id: KeyId) -> Option<&PrivateKey> {
        self.keys.iter().find(|key| key.public().id() == id)
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("path", &self.path).field("keys", &self.keys.len()).finish()
    }
}

fn read(file: &Path) -> Result<PrivateKey, VaultError> {
    let unreadable = |source| VaultError::Unreadable { path: file.to_owned(), source };
    let about = fs::metadata(file).map_err(unreadable)?;
    if about.permissions().mode() & 0o077 != 0 {
        return Err(VaultError::Exposed { path: file.to_owned() });
    }
    let not_a_key = || VaultError::NotAKey { path: file.to_owned(), wanted: "private sealing key" };
    if about.len() > LONGEST {
        return Err(not_a_key());
    }
    let line = SecretString::from(fs::read_to_string(file).map_err(unreadable)?);
    PrivateKey::parse(&line).map_err(|_| not_a_key())
}

fn make_folder(folder: &Path) -> io::Result<()> {
    if !folder.is_dir() {
        fs::create_dir_all(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Writes beside the file, makes it durable, and puts it in its place: a reader sees all of it or nothing.
fn write_whole(file: &Path, line: &str, mode: u32, replace: bool) -> io::Result<()> {
    if !replace && file.exists() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = file.with_file_name(name);
    let mut written = OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(&beside)?;
    // a file left over from a run that was killed keeps its mode when it is opened again
    written.set_permissions(fs::Permissions::from_mode(mode))?;
    writeln!(written, "{line}")?;
    written.sync_all()?;
    fs::rename(&beside, file)?;
    match file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
