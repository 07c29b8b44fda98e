//! The figures: their names, what each should be, and how it is measured.

use anyhow::Result;

use crate::report::{Figure, Target, say};
use crate::servers::Servers;
use crate::{chain, diff, due, gather, idle, large, portal, sync, takeover};

/// Measurements that are made together, and the figures that come of them.
pub(crate) struct Group {
    pub(crate) kind: Kind,
    pub(crate) names: &'static [&'static str],
    pub(crate) about: &'static str,
}

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Chain,
    Gather,
    GatherWorst,
    Diff,
    DiffMemory,
    Sync,
    LargeMemory,
    Takeover,
    Due,
    Idle,
    Portal,
}

/// All figures, in the order in which they are measured.
pub(crate) const GROUPS: &[Group] = &[
    Group {
        kind: Kind::Chain,
        names: &["chain_ratio", "chain_changes_per_s", "chain_cpu_s_per_100k", "chain_accounts_with_one_job"],
        about: "push API in bulk to windows: 100,000 changes over 1,000 accounts",
    },
    Group {
        kind: Kind::Gather,
        names: &["record_gather_ratio"],
        about: "the same changes recorded, announced and gathered, without HTTP",
    },
    Group {
        kind: Kind::GatherWorst,
        names: &["gather_worst_ratio"],
        about: "100,000 accounts with one change each",
    },
    Group {
        kind: Kind::Diff,
        names: &["diff_unchanged_overhead", "diff_1pct_overhead"],
        about: "reads of 50,000 FusionPBX users: time beyond the query",
    },
    Group {
        kind: Kind::DiffMemory,
        names: &["diff_1m_memory_mib"],
        about: "peak memory of a detector that reads 1,000,000 users",
    },
    Group {
        kind: Kind::Sync,
        names: &["graph_request_ratio", "first_sync_wall_ratio"],
        about: "jobs against the simulator: requests and time",
    },
    Group {
        kind: Kind::LargeMemory,
        names: &["job_100k_memory_mib"],
        about: "peak memory of a worker with a first sync of 100,000 users",
    },
    Group {
        kind: Kind::Takeover,
        names: &["takeover_s"],
        about: "a worker killed with -9 until its job runs again",
    },
    Group {
        kind: Kind::Due,
        names: &["due_to_start_p50_s", "due_to_start_p99_s"],
        about: "10,000 accounts due in the same second: due to start",
    },
    Group {
        kind: Kind::Idle,
        names: &["idle_memory_mib", "idle_cpu_percent", "start_to_ready_s"],
        about: "`tandem run all` with nothing to do",
    },
    Group {
        kind: Kind::Portal,
        names: &["portal_page_p95_ms", "portal_page_kb"],
        about: "pages of an account with 10,000 users",
    },
];

impl Group {
    /// Measures `runs` times, where a run is short enough for that, and prints the figures wanted.
    pub(crate) async fn measure(&self, servers: &Servers, runs: usize, wanted: &[String]) -> Result<()> {
        say(&format!("{}: {}", self.names.join(", "), self.about));
        let figures = match self.kind {
            Kind::Chain => chain_figures(servers, runs).await?,
            Kind::Gather => vec![gathered(servers, runs, false).await?],
            Kind::GatherWorst => vec![gathered(servers, runs, true).await?],
            Kind::Diff => diff_figures(servers, runs).await?,
            Kind::DiffMemory => vec![memory(servers).await?],
            Kind::LargeMemory => vec![large_memory(servers).await?],
            Kind::Sync => sync_figures(servers, runs).await?,
            Kind::Takeover => vec![taken_over(servers, runs).await?],
            Kind::Due => due_figures(servers, runs).await?,
            Kind::Idle => idle_figures(servers, runs).await?,
            Kind::Portal => portal_figures(servers, runs).await?,
        };
        for figure in figures.iter().filter(|f| wanted.is_empty() || wanted.iter().any(|name| name == f.name))
        {
            figure.print()?;
        }
        Ok(())
    }
}

async fn chain_figures(servers: &Servers, runs: usize) -> Result<Vec<Figure>> {
    let mut found = Vec::new();
    for _ in 0..runs {
        found.push(chain::run(servers).await?);
    }
    let of = |value: fn(&chain::Run) -> f64| found.iter().map(value).collect::<Vec<_>>();
    let floor = crate::report::median(&of(|run| run.floor));
    Ok(vec![
        Figure {
            name: "chain_ratio",
            unit: "of the floor",
            target: Target::AtLeast(0.3),
            runs: of(|run| run.rate / run.floor),
            note: format!(
                "two bulks of 50 users for each account, 32 requests at once; floor {floor:.0} rows/s"
            ),
        },
        Figure {
            name: "chain_changes_per_s",
            unit: "changes/s",
            target: Target::None,
            runs: of(|run| run.rate),
            note: "from the first request to the last window".to_owned(),
        },
        Figure {
            name: "chain_cpu_s_per_100k",
            unit: "CPU s",
            target: Target::AtMost(8.0),
            runs: of(|run| run.cpu),
            note: "roles, PostgreSQL and nats-server; the sender counts too, it is in the same process"
                .to_owned(),
        },
        Figure {
            name: "chain_accounts_with_one_job",
            unit: "of 1,000 accounts",
            target: Target::AtLeast(1000.0),
            runs: of(|run| run.one_job),
            note: "after all windows were made due".to_owned(),
        },
    ])
}

async fn gathered(servers: &Servers, runs: usize, worst: bool) -> Result<Figure> {
    let mut found = Vec::new();
    for _ in 0..runs {
        found.push(if worst { gather::worst(servers).await? } else { gather::usual(servers).await? });
    }
    let median = |values: Vec<f64>| crate::report::median(&values);
    let rate = median(found.iter().map(|run| run.rate).collect());
    let floor = median(found.iter().map(|run| run.floor).collect());
    Ok(Figure {
        name: if worst { "gather_worst_ratio" } else { "record_gather_ratio" },
        unit: "of the floor",
        target: Target::AtLeast(if worst { 0.5 } else { 0.55 }),
        runs: found.iter().map(|run| run.rate / run.floor).collect(),
        note: format!("{rate:.0}/s against a floor of {floor:.0} rows/s; batches of 500, four writers"),
    })
}

async fn diff_figures(servers: &Servers, runs: usize) -> Result<Vec<Figure>> {
    let found = diff::overheads(servers, runs).await?;
    let figure = |name, value: fn(&diff::Run) -> f64, note: &str| Figure {
        name,
        unit: "of the query's time",
        target: Target::AtMost(0.2),
        runs: found.iter().map(value).collect(),
        note: note.to_owned(),
    };
    Ok(vec![
        figure("diff_unchanged_overhead", |run| run.unchanged, "100 domains of 500 users, nothing changed"),
        figure("diff_1pct_overhead", |run| run.one_percent, "the same with 500 users changed in all domains"),
    ])
}

async fn memory(servers: &Servers) -> Result<Figure> {
    Ok(Figure {
        name: "diff_1m_memory_mib",
        unit: "MiB",
        target: Target::AtMost(200.0),
        runs: vec![diff::memory(servers).await?],
        note: "VmHWM of the process over a read that finds all users new and one that finds nothing changed"
            .to_owned(),
    })
}

async fn large_memory(servers: &Servers) -> Result<Figure> {
    Ok(Figure {
        name: "job_100k_memory_mib",
        unit: "MiB",
        target: Target::AtMost(200.0),
        runs: vec![large::memory(servers).await?],
        note: "VmHWM of the process from its start until the first sync of everybody is over".to_owned(),
    })
}

async fn sync_figures(servers: &Servers, runs: usize) -> Result<Vec<Figure>> {
    let mut found = Vec::new();
    for _ in 0..runs {
        found.push(sync::run(servers).await?);
    }
    Ok(vec![
        Figure {
            name: "graph_request_ratio",
            unit: "of pages + writes + polls",
            target: Target::AtMost(1.3),
            runs: found.iter().map(|run| run.requests).collect(),
            note: "100 numbers assigned in a tenant of 1,000 users; every request counts, tokens too"
                .to_owned(),
        },
        Figure {
            name: "first_sync_wall_ratio",
            unit: "of the bound",
            target: Target::AtMost(1.3),
            runs: found.iter().map(|run| run.wall).collect(),
            note: "1,000 numbers, 100 requests/s, 50 operations at once of 0.8 s each".to_owned(),
        },
    ])
}

async fn taken_over(servers: &Servers, runs: usize) -> Result<Figure> {
    Ok(Figure {
        name: "takeover_s",
        unit: "s",
        target: Target::AtMost(120.0),
        runs: takeover::run(servers, runs).await?,
        note: "production leases: 60 s of lease, 60 s beyond it; the runs are workers killed side by side"
            .to_owned(),
    })
}

async fn due_figures(servers: &Servers, runs: usize) -> Result<Vec<Figure>> {
    let mut found = Vec::new();
    for _ in 0..runs {
        found.push(due::run(servers).await?);
    }
    let note = "default settings but for 10,000 slots; the jobs have no tenant and end at once".to_owned();
    Ok(vec![
        Figure {
            name: "due_to_start_p50_s",
            unit: "s",
            target: Target::None,
            runs: found.iter().map(|run| run.p50).collect(),
            note: note.clone(),
        },
        Figure {
            name: "due_to_start_p99_s",
            unit: "s",
            target: Target::AtMost(5.0),
            runs: found.iter().map(|run| run.p99).collect(),
            note,
        },
    ])
}

async fn idle_figures(servers: &Servers, runs: usize) -> Result<Vec<Figure>> {
    let binary = idle::binary().await?;
    let mut found = Vec::new();
    for _ in 0..runs {
        found.push(idle::run(servers, &binary).await?);
    }
    let figure = |name, unit, most, value: fn(&idle::Run) -> f64, note: &str| Figure {
        name,
        unit,
        target: Target::AtMost(most),
        runs: found.iter().map(value).collect(),
        note: note.to_owned(),
    };
    Ok(vec![
        figure("idle_memory_mib", "MiB", 80.0, |run| run.memory_mib, "resident, 25 s after the start"),
        figure(
            "idle_cpu_percent",
            "% of a core",
            1.0,
            |run| run.cpu_percent,
            "over 20 s, the servers' share not counted",
        ),
        figure("start_to_ready_s", "s", 1.0, |run| run.ready_s, "from the start of the process to /readyz"),
    ])
}

async fn portal_figures(servers: &Servers, runs: usize) -> Result<Vec<Figure>> {
    let mut found = Vec::new();
    for _ in 0..runs {
        found.push(portal::run(servers).await?);
    }
    Ok(vec![
        Figure {
            name: "portal_page_p95_ms",
            unit: "ms",
            target: Target::AtMost(50.0),
            runs: found.iter().map(|run| run.p95_ms).collect(),
            note: "the slowest page, from the request to its last byte over loopback".to_owned(),
        },
        Figure {
            name: "portal_page_kb",
            unit: "KB",
            target: Target::AtMost(100.0),
            runs: found.iter().map(|run| run.kb).collect(),
            note: "the largest page, not compressed".to_owned(),
        },
    ])
}
