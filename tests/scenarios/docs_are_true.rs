//! What the documents name exists, and what exists is named. Help texts and sample files have tests beside the
//! binary that reads them.

mod codes;
mod coverage;
mod names;
mod text;
mod walks;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use self::text::{before_tests, files, first_column, root, section};

/// Longer than this is never read to the end.
const LONGEST_FILE: usize = 500;

/// Words that only make sense to somebody who saw the text being written.
const NOT_FOR_READERS: [&str; 6] = ["TODO", "FIXME", "XXX:", "/root/", "/home/", "/work/"];

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(root().join(path)).with_context(|| format!("read {path}"))
}

fn crates() -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("crates"))? {
        let path = entry?.path();
        if path.join("Cargo.toml").is_file() {
            found.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    Ok(found)
}

fn sources() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for name in crates()? {
        found.extend(files(&root().join("crates").join(name).join("src"), "rs")?);
    }
    Ok(found)
}

#[test]
fn the_map_of_crates_is_complete() -> Result<()> {
    let text = read("docs/architecture.md")?;
    let named = first_column(section(&text, "Crates")?);
    assert_eq!(named, crates()?, "docs/architecture.md on the left, crates/ on the right");
    Ok(())
}

#[test]
fn every_path_that_a_document_names_exists() -> Result<()> {
    let mut wrong = Vec::new();
    for file in documents()? {
        let text = std::fs::read_to_string(&file)?;
        for word in text.split(|c: char| !(c.is_alphanumeric() || "-_/.".contains(c))) {
            let word = word.trim_end_matches(['.', '/']);
            let ours =
                ["crates/", "docs/", "deploy/", "proto/", "tests/"].iter().any(|top| word.starts_with(top));
            let beside = file.parent().is_some_and(|folder| folder.join(word).exists());
            if ours && !beside && !root().join(word).exists() {
                wrong.push(format!("{}: {word}", text::short(&file)));
            }
        }
    }
    assert!(wrong.is_empty(), "there is no such thing: {wrong:#?}");
    Ok(())
}

/// What people read: Markdown at the top and under `docs`.
fn documents() -> Result<Vec<PathBuf>> {
    let mut found = files(&root().join("docs"), "md")?;
    for entry in std::fs::read_dir(root())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    Ok(found)
}

#[test]
fn every_metric_is_in_the_document_and_the_other_way_round() -> Result<()> {
    let text = read("docs/telemetry.md")?;
    let named = first_column(section(&text, "Metrics")?);
    let mut made = BTreeSet::new();
    for file in sources()? {
        let source = std::fs::read_to_string(&file)?;
        made.extend(names::metrics(before_tests(&source)).with_context(|| text::short(&file))?);
    }
    assert_eq!(named, made, "docs/telemetry.md on the left, the code on the right");
    Ok(())
}

#[test]
fn every_span_is_in_the_document_and_the_other_way_round() -> Result<()> {
    let text = read("docs/telemetry.md")?;
    let named = first_column(section(&text, "Spans")?);
    let mut made = BTreeSet::new();
    for file in sources()? {
        let source = std::fs::read_to_string(&file)?;
        made.extend(names::spans(before_tests(&source)).with_context(|| text::short(&file))?);
    }
    assert_eq!(named, made, "docs/telemetry.md on the left, the code on the right");
    Ok(())
}

#[test]
fn every_kind_of_event_is_in_the_document() -> Result<()> {
    let text = read("docs/events.md")? + &read("docs/job-log.md")?;
    let mut missing = BTreeSet::new();
    for file in sources()? {
        let source = std::fs::read_to_string(&file)?;
        for kind in names::after(before_tests(&source), "NewEvent {", "kind: ") {
            if !text.contains(&format!("`{kind}`")) {
                missing.insert(kind);
            }
        }
    }
    assert!(missing.is_empty(), "neither docs/events.md nor docs/job-log.md explains {missing:?}");
    Ok(())
}

#[test]
fn every_sample_is_read_by_a_test_of_the_binary() -> Result<()> {
    let mut tests = String::new();
    for file in files(&root().join("crates/tandem"), "rs")? {
        tests += &std::fs::read_to_string(file)?;
    }
    for sample in files(&root().join("docs/samples"), "toml")? {
        let stem = sample.file_stem().context("a name")?.to_string_lossy().into_owned();
        let named = tests.contains(&format!("docs/samples/{stem}.toml"))
            || (tests.contains("docs/samples/{name}.toml") && tests.contains(&format!("\"{stem}\"")));
        assert!(named, "no test reads {}", text::short(&sample));
    }
    Ok(())
}

#[test]
fn decisions_are_numbered_without_gaps() -> Result<()> {
    let mut numbers: Vec<usize> = Vec::new();
    for file in files(&root().join("docs/adr"), "md")? {
        let name = file.file_name().context("a name")?.to_string_lossy().into_owned();
        if name == "README.md" {
            continue;
        }
        let number = name.split('-').next().filter(|digits| digits.len() == 4);
        let number = number.with_context(|| format!("{name} does not begin with four digits"))?;
        numbers.push(number.parse().with_context(|| format!("{name} does not begin with a number"))?);
        let text = std::fs::read_to_string(&file)?;
        assert!(text.starts_with("# "), "{name} has no title");
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>(), "numbers of decisions");
    assert!(!numbers.is_empty(), "no decision is on record");
    Ok(())
}

#[test]
fn links_between_documents_lead_somewhere() -> Result<()> {
    let mut broken = Vec::new();
    for file in documents()? {
        let text = std::fs::read_to_string(&file)?;
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap_or_default();
            let elsewhere = path.is_empty() || path.contains("://") || path.starts_with("mailto:");
            if !elsewhere && !file.parent().is_some_and(|folder| folder.join(path).exists()) {
                broken.push(format!("{}: {target}", text::short(&file)));
            }
        }
    }
    assert!(broken.is_empty(), "broken links: {broken:#?}");
    Ok(())
}

#[test]
fn no_source_is_too_long() -> Result<()> {
    let mut long = Vec::new();
    for file in sources()? {
        let lines = std::fs::read_to_string(&file)?.lines().count();
        if lines > LONGEST_FILE {
            long.push(format!("{}: {lines}", text::short(&file)));
        }
    }
    assert!(long.is_empty(), "longer than {LONGEST_FILE} lines: {long:?}");
    Ok(())
}

#[test]
fn what_ships_is_what_is_tested() -> Result<()> {
    let mut wrong = Vec::new();
    for file in sources()? {
        let source = std::fs::read_to_string(&file)?;
        let lines: Vec<&str> = source.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let conditional = ["cfg!(test", "cfg(not(test", "cfg_attr(test", "cfg(any(test", "cfg(all(test"];
            let whole = |next: &&str| next.starts_with("mod ") || next.starts_with("impl ");
            let beside = line.starts_with('#') && lines.get(number + 1).is_some_and(whole);
            let inside = line.trim() == "#[cfg(test)]" && !beside;
            if inside || conditional.iter().any(|condition| line.contains(condition)) {
                wrong.push(format!("{}:{}", text::short(&file), number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "these differ between tests and what ships: {wrong:?}");
    Ok(())
}

#[test]
fn texts_speak_to_their_readers() -> Result<()> {
    let this = Path::new("tests/scenarios/docs_are_true.rs");
    let mut texts = documents()?;
    for (folder, extension) in [("crates", "rs"), ("crates", "sql"), ("tests", "rs"), ("deploy", "py")] {
        texts.extend(files(&root().join(folder), extension)?);
    }
    let mut wrong = Vec::new();
    for file in texts.into_iter().filter(|file| !file.ends_with(this)) {
        let text = std::fs::read_to_string(&file)?;
        for (number, line) in text.lines().enumerate() {
            if NOT_FOR_READERS.iter().any(|word| line.contains(word)) || names::tracker_number(line) {
                wrong.push(format!("{}:{}: {line}", text::short(&file), number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "not for readers: {wrong:#?}");
    Ok(())
}
