//! Prepared PostgreSQL folders, made once and copied for every test.

use std::fs::{File, create_dir_all};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The parts of a private PostgreSQL's folder that make a copy usable.
const PARTS: [&str; 2] = ["data", "secrets"];

/// One template, locked against its own making by another test process.
pub(crate) struct Template {
    path: PathBuf,
    _lock: File,
}

impl Template {
    /// Waits for the lock of the template with this name.
    pub(crate) fn lock(name: &str) -> Result<Self> {
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/testkit");
        create_dir_all(&base).context("make target/testkit")?;
        let path = base.join(name);
        let lock = File::create(path.with_extension("lock")).context("open the lock of a template")?;
        // copies go on side by side; only the first test of all makes the template
        lock.lock_shared().context("lock a template")?;
        if !path.exists() {
            lock.unlock().context("unlock a template")?;
            lock.lock().context("lock a template for making it")?;
        }
        Ok(Self { path, _lock: lock })
    }

    pub(crate) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Takes a stopped server's folder as the template.
    pub(crate) fn keep(&self, from: &Path) -> Result<()> {
        let partial = self.path.with_extension("partial");
        if partial.exists() {
            std::fs::remove_dir_all(&partial).context("remove an unfinished template")?;
        }
        copy_parts(from, &partial)?;
        std::fs::rename(&partial, &self.path).context("move a template into place")
    }

    /// Removes the template, and its lock with it.
    pub(crate) fn remove(self) -> Result<()> {
        std::fs::remove_dir_all(&self.path).context("remove a template")?;
        std::fs::remove_file(self.path.with_extension("lock")).context("remove the lock of a template")
    }

    /// Copies the template.
    pub(crate) fn copy(&self, to: &Path) -> Result<()> {
        copy_parts(&self.path, to)
    }
}

fn copy_parts(from: &Path, to: &Path) -> Result<()> {
    create_dir_all(to).with_context(|| format!("make {}", to.display()))?;
    for part in PARTS {
        copy_tree(&from.join(part), &to.join(part))?;
    }
    Ok(())
}

/// Permissions are copied too: PostgreSQL refuses a data folder that others may read.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    create_dir_all(to).with_context(|| format!("make {}", to.display()))?;
    for entry in from.read_dir().with_context(|| format!("list {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target).with_context(|| format!("copy to {}", target.display()))?;
        }
    }
    std::fs::set_permissions(to, from.metadata()?.permissions())
        .with_context(|| format!("close {}", to.display()))
}
