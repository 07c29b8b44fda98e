//! What processes have used, as Linux tells it under `/proc`.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

/// A tick of `/proc/<pid>/stat`: `USER_HZ`, which Linux keeps at 100 for user space.
const TICKS_PER_S: f64 = 100.0;

struct Stat {
    parent: u32,
    /// User and system time of the process itself.
    own: f64,
    /// The same of its children that have ended and were waited for.
    reaped: f64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // the name in parentheses may hold anything, also blanks
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok());
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        own: (ticks(11)? + ticks(12)?) / TICKS_PER_S,
        reaped: (ticks(13)? + ticks(14)?) / TICKS_PER_S,
    })
}

/// CPU seconds of PostgreSQL, of nats-server and of this process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Split([f64; 3]);

impl Split {
    /// Used so far.
    pub(crate) fn now(servers: [u32; 2]) -> Result<Self> {
        let [pg, nats] = servers;
        Ok(Self([seconds(&[pg])?, seconds(&[nats])?, own_seconds(std::process::id())?]))
    }

    /// Used between two looks.
    pub(crate) fn since(self, before: Self) -> Self {
        let [pg, nats, own] = self.0;
        Self([pg - before.0[0], nats - before.0[1], own - before.0[2]])
    }

    /// All together.
    pub(crate) fn sum(self) -> f64 {
        self.0.iter().sum()
    }
}

impl std::fmt::Display for Split {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [pg, nats, own] = self.0;
        write!(f, "CPU {:.2} s = PostgreSQL {pg:.2} + NATS {nats:.2} + own {own:.2}", self.sum())
    }
}

/// CPU seconds that the processes and everything below them have used so far.
fn seconds(roots: &[u32]) -> Result<f64> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir("/proc").context("list processes")?.flatten() {
        if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
            && let Some(stat) = stat(pid)
        {
            all.push((pid, stat));
        }
    }
    let mut family: BTreeSet<u32> = roots.iter().copied().collect();
    loop {
        let before = family.len();
        family.extend(
            all.iter()
                .filter(|(_, stat)| family.contains(&stat.parent))
                .map(|(pid, _)| *pid)
                .collect::<Vec<_>>(),
        );
        if family.len() == before {
            break;
        }
    }
    Ok(all.iter().filter(|(pid, _)| family.contains(pid)).map(|(_, stat)| stat.own + stat.reaped).sum())
}

/// CPU seconds that one process itself has used so far.
pub(crate) fn own_seconds(pid: u32) -> Result<f64> {
    stat(pid).map(|stat| stat.own).with_context(|| format!("read the times of process {pid}"))
}

/// A line of `/proc/<pid>/status` in MiB, such as `VmHWM` or `VmRSS`.
pub(crate) fn memory_mib(pid: u32, line: &str) -> Result<f64> {
    let text =
        std::fs::read_to_string(format!("/proc/{pid}/status")).context("read the memory of a process")?;
    let kib = text
        .lines()
        .find_map(|found| found.strip_prefix(line)?.strip_prefix(':')?.trim().strip_suffix(" kB"))
        .and_then(|text| text.trim().parse::<f64>().ok());
    Ok(kib.with_context(|| format!("find {line}"))? / 1024.0)
}
