//! Names that the code emits, found in its text. Only literal names are found; any other is an error here, because
//! nobody could look it up either.

use anyhow::{Context, Result, bail, ensure};

/// Makers of instruments, and what the exporter adds to the name of such an instrument.
const INSTRUMENTS: [(&str, &str); 10] = [
    ("u64_counter", "_total"),
    ("f64_counter", "_total"),
    ("u64_histogram", ""),
    ("f64_histogram", ""),
    ("u64_gauge", ""),
    ("i64_gauge", ""),
    ("f64_gauge", ""),
    ("i64_up_down_counter", ""),
    ("u64_observable_gauge", ""),
    ("f64_observable_gauge", ""),
];

const SPANS: [&str; 5] = ["error_span!", "warn_span!", "info_span!", "debug_span!", "trace_span!"];

/// The first literal of a text, when it comes before any of `stops`.
fn literal<'a>(text: &'a str, stops: &[char]) -> Option<&'a str> {
    let (before, rest) = text.split_once('"')?;
    (!before.contains(stops)).then(|| rest.split('"').next()).flatten()
}

/// The names given to the closure around a place: `let seconds = |name ...| ...` and then `seconds("some_name", ...)`.
fn given_to_closure(source: &str, at: usize) -> Option<Vec<&str>> {
    let (before, closure) = source[..at].rsplit_once("let ")?;
    let name = closure.split_once(" = |name")?.0;
    let call = format!(" {name}(");
    source[before.len()..].split(&call).skip(1).map(|rest| literal(rest, &[')'])).collect()
}

/// Metrics made in a source, as they are scraped.
pub(super) fn metrics(source: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for (maker, suffix) in INSTRUMENTS {
        let call = format!(".{maker}(");
        for (at, _) in source.match_indices(&call) {
            let rest = &source[at + call.len()..];
            let chain = rest.split(".build()").next().unwrap_or_default();
            let unit = match chain.split_once(".with_unit(\"").map(|(_, unit)| unit) {
                None => "",
                Some(unit) if unit.starts_with("s\"") => "_seconds",
                Some(unit) => bail!("say here what the unit {} exports as", &unit[..unit.len().min(8)]),
            };
            let names = match literal(rest, &[')']) {
                Some(name) => vec![name],
                None => given_to_closure(source, at)
                    .with_context(|| format!("a {maker} without a literal name"))?,
            };
            found.extend(names.iter().map(|name| format!("{name}{unit}{suffix}")));
        }
    }
    Ok(found)
}

/// Spans opened in a source.
pub(super) fn spans(source: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for maker in SPANS {
        for rest in source.split(&format!("{maker}(")).skip(1) {
            let name =
                literal(rest, &[')', ';']).with_context(|| format!("{maker} without a literal name"))?;
            found.push(name.to_owned());
        }
    }
    for rest in source.split("tracing::instrument").skip(1) {
        let attribute = rest.split(")]").next().unwrap_or_default();
        ensure!(attribute.contains("name = \""), "a span named after its function: {attribute}");
        let name =
            attribute.split("name = ").nth(1).and_then(|rest| literal(rest, &[','])).context("a name")?;
        found.push(name.to_owned());
    }
    Ok(found)
}

/// Literals after `field` within the braces that follow each `opening`.
pub(super) fn after(source: &str, opening: &str, field: &str) -> Vec<String> {
    source
        .split(opening)
        .skip(1)
        .filter_map(|rest| rest.split('}').next()?.split(field).nth(1))
        .filter_map(|rest| literal(rest, &[',', '}', '(']))
        .map(str::to_owned)
        .collect()
}

/// Whether a line refers to a tracker: a text explains itself.
pub(super) fn tracker_number(line: &str) -> bool {
    let lower = line.to_lowercase();
    lower
        .split("issue ")
        .skip(1)
        .any(|rest| rest.trim_start_matches('#').starts_with(|c: char| c.is_ascii_digit()))
}
