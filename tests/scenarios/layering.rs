//! Who may depend on whom: the direction of the crates, and one crate of ours per outside world.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The direction: a crate uses crates of lower levels only.
const LEVELS: [(&str, &[&str]); 6] = [
    ("pure", &["tandem-domain"]),
    ("ground", &["tandem-wire", "tandem-runtime"]),
    (
        "outside worlds",
        &["tandem-bus", "tandem-store", "tandem-graph", "tandem-pbx", "tandem-servers", "tandem-vault"],
    ),
    // announces what `store` has committed, through `bus`; pages over `store`, `graph` and `vault` that a service mounts
    ("outbox", &["tandem-outbox", "tandem-consent", "tandem-letters"]),
    (
        "services",
        &[
            "tandem-detector",
            "tandem-debouncer",
            "tandem-teams-sync",
            "tandem-sync-log",
            "tandem-portal",
            "tandem-notifier",
        ],
    ),
    ("binary", &["tandem"]),
];

/// What stands beside the direction: the simulator, which uses nothing of ours, and what only ever tests or measures.
const SIMULATOR: &str = "msgraph-sim";
const TESTKIT: &str = "tandem-testkit";
const TESTS: [&str; 2] = ["tandem-tests", "tandem-bench"];

/// All that `domain` may use: data, numbers and times, nothing that waits, reads or logs.
const DOMAIN_USES: [&str; 7] = ["aws-lc-rs", "jiff", "serde", "serde_json", "thiserror", "time", "uuid"];

/// Clients of outside worlds, and the crates of ours that may name them in what ships.
const CLIENTS: [(&str, &[&str]); 8] = [
    ("async-nats", &["tandem-bus"]),
    // `tandem` plays the PBX of the demo, which is a database of its own; a test below keeps it to that
    ("sqlx", &["tandem-store", "tandem-pbx", "tandem"]),
    // an operator's commands speak to the portal
    ("reqwest", &["tandem-graph", "tandem"]),
    ("lettre", &["tandem-notifier"]),
    ("azure_core", &["tandem-graph"]),
    ("azure_identity", &["tandem-graph"]),
    ("tandem-servers", &["tandem"]),
    (SIMULATOR, &["tandem"]),
];

/// Names of dependencies of one package.
#[derive(Debug, Default)]
struct Uses {
    ships: BTreeSet<String>,
    tests: BTreeSet<String>,
}

type Packages = BTreeMap<String, Uses>;

/// The packages of the workspace with what they name in their manifests.
fn packages() -> Result<Packages> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--no-deps", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .output()
        .context("run cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let mut found = Packages::new();
    for package in metadata["packages"].as_array().context("packages")? {
        let uses: &mut Uses = found.entry(text(&package["name"])?).or_default();
        for dependency in package["dependencies"].as_array().context("dependencies")? {
            let kind = if dependency["kind"] == "dev" { &mut uses.tests } else { &mut uses.ships };
            kind.insert(text(&dependency["name"])?);
        }
    }
    Ok(found)
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn text(value: &Value) -> Result<String> {
    Ok(value.as_str().context("a name is a text")?.to_owned())
}

fn level(package: &str) -> Option<usize> {
    LEVELS.iter().position(|(_, members)| members.contains(&package))
}

fn tests_only(package: &str) -> bool {
    package == TESTKIT || TESTS.contains(&package)
}

#[test]
fn every_crate_has_its_place() -> Result<()> {
    for name in packages()?.keys() {
        assert!(
            level(name).is_some() || tests_only(name) || name == SIMULATOR,
            "{name} has no place: say in LEVELS where it stands"
        );
    }
    Ok(())
}

#[test]
fn crates_use_crates_of_lower_levels_only() -> Result<()> {
    let packages = packages()?;
    let mut wrong = Vec::new();
    for (name, uses) in packages.iter().filter(|(name, _)| level(name).is_some()) {
        for used in uses.ships.iter().filter(|used| packages.contains_key(*used)) {
            // the demo shows the simulator; the clients' table below says that nobody else does
            if level(used) >= level(name) || (level(used).is_none() && used != SIMULATOR) {
                wrong.push(format!("{name} -> {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "against the direction: {wrong:?}");
    Ok(())
}

#[test]
fn services_do_not_use_each_other_even_in_tests() -> Result<()> {
    let (_, services) = LEVELS[4];
    for (name, uses) in packages()?.iter().filter(|(name, _)| services.contains(&name.as_str())) {
        let others: Vec<&String> =
            uses.ships.union(&uses.tests).filter(|used| services.contains(&used.as_str())).collect();
        assert!(others.is_empty(), "{name} uses {others:?}");
    }
    Ok(())
}

#[test]
fn the_domain_is_pure() -> Result<()> {
    let packages = packages()?;
    let domain = packages.get("tandem-domain").context("tandem-domain")?;
    let others: Vec<&String> =
        domain.ships.iter().filter(|used| !DOMAIN_USES.contains(&used.as_str())).collect();
    assert!(others.is_empty(), "domain uses {others:?}: no async, no I/O, no clock, no logging");
    Ok(())
}

#[test]
fn the_simulator_shares_no_code_with_what_it_checks() -> Result<()> {
    let packages = packages()?;
    let simulator = packages.get(SIMULATOR).context("the simulator")?;
    let ours: Vec<&String> =
        simulator.ships.union(&simulator.tests).filter(|used| packages.contains_key(*used)).collect();
    assert!(ours.is_empty(), "the simulator uses {ours:?}");
    Ok(())
}

#[test]
fn nothing_that_ships_uses_the_kit_of_tests() -> Result<()> {
    for (name, uses) in packages()?.iter().filter(|(name, _)| !tests_only(name)) {
        let kit: Vec<&String> = uses.ships.iter().filter(|used| tests_only(used)).collect();
        assert!(kit.is_empty(), "{name} ships with {kit:?}");
    }
    Ok(())
}

#[test]
fn each_outside_world_has_one_crate_of_ours() -> Result<()> {
    let packages = packages()?;
    for (client, ours) in CLIENTS {
        for (name, uses) in packages.iter().filter(|(name, _)| !tests_only(name)) {
            assert!(
                !uses.ships.contains(client) || ours.contains(&name.as_str()),
                "{name} names {client}; only {ours:?} may"
            );
        }
    }
    Ok(())
}

#[test]
fn only_the_demo_of_the_binary_speaks_sql() -> Result<()> {
    let mut folders = vec![root().join("crates/tandem/src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() && !path.ends_with("demo") {
                folders.push(path);
            } else if path.is_file() {
                let names = std::fs::read_to_string(&path)?.contains("sqlx::");
                assert!(!names, "{} speaks SQL; our own tables are the store's", path.display());
            }
        }
    }
    Ok(())
}

#[test]
fn deny_toml_says_the_same() -> Result<()> {
    let packages = packages()?;
    let deny: toml::Table = std::fs::read_to_string(root().join("deny.toml"))?.parse()?;
    let bans = deny["bans"]["deny"].as_array().context("bans.deny")?;
    for (client, ours) in CLIENTS {
        let ban = bans
            .iter()
            .find(|ban| ban["crate"].as_str() == Some(client))
            .with_context(|| format!("deny.toml lets everybody use {client}"))?;
        let wrappers: BTreeSet<&str> = ban["wrappers"]
            .as_array()
            .context("wrappers")?
            .iter()
            .filter_map(toml::Value::as_str)
            .filter(|wrapper| *wrapper == SIMULATOR || wrapper.starts_with("tandem"))
            .collect();
        for wrapper in &wrappers {
            assert!(packages.contains_key(*wrapper), "deny.toml names {wrapper}, which there is not");
            assert!(
                ours.contains(wrapper) || tests_only(wrapper),
                "deny.toml lets {wrapper} use {client}; the direction does not"
            );
        }
        for name in ours {
            assert!(wrappers.contains(name), "deny.toml keeps {client} from {name}, whose matter it is");
        }
    }
    Ok(())
}
