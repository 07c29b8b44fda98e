//! What people read: answers on standard output, mistakes on standard error.
//!
//! Texts from a PBX or from Microsoft pass through [`clean`], so that nothing they hold can steer a terminal.

use std::io::{self, Write};

use serde::Serialize;

/// Writes a line. A reader that has gone away (`| head`) is no mistake.
pub(crate) fn line(text: &str) {
    let _gone = writeln!(io::stdout().lock(), "{}", clean(text));
}

/// Writes a text that is no message, such as a script for another program; it must hold printable ASCII and line
/// breaks only.
pub(crate) fn raw(text: &str) {
    let _gone = write!(io::stdout().lock(), "{}", clean(text));
}

/// Writes a mistake.
pub(crate) fn error(text: &str) {
    let _gone = writeln!(io::stderr().lock(), "error: {}", clean(text));
}

/// Writes a remark that is not part of the answer.
pub(crate) fn note(text: &str) {
    let _gone = writeln!(io::stderr().lock(), "{}", clean(text));
}

/// Writes a JSON document.
pub(crate) fn json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    let text = escaped(&serde_json::to_string_pretty(value)?);
    let _gone = writeln!(io::stdout().lock(), "{text}");
    Ok(())
}

/// What JSON leaves as it is and a terminal would act on stands in texts only, where it can be escaped.
fn escaped(json: &str) -> String {
    let one = |c: char| if harmful(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    json.chars().map(one).collect()
}

fn harmful(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with everything replaced that a terminal would act on, or that would hide or reorder other text; line
/// breaks stay.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if harmful(c) { '\u{fffd}' } else { c }).collect()
}

/// The same for a text that must stay on its line.
pub(crate) fn one_line(text: &str) -> String {
    clean(&text.replace(['\n', '\r', '\t'], " "))
}

/// Columns under headings, as wide as needed.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub(crate) fn new<const N: usize>(headings: [&str; N]) -> Self {
        Self { rows: vec![headings.map(str::to_owned).to_vec()] }
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into_iter().map(|cell| one_line(&cell)).collect());
    }

    /// The table as text.
    pub(crate) fn text(&self) -> String {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let lines = self.rows.iter().map(|row| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// A time as people read it, in UTC.
pub(crate) fn time(at: Option<time::OffsetDateTime>) -> String {
    let format = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
    at.and_then(|at| at.to_offset(time::UtcOffset::UTC).format(format).ok()).unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b30_nothing_steers_the_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\u{9b}c\u{202e}d\ne"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d\ne");
        assert_eq!(one_line("a\nb\tc"), "a b c");
        let json = serde_json::to_string_pretty("a\u{1b}[2Jb\u{9b}c\u{202e}d\u{e9}").unwrap();
        assert_eq!(escaped(&json), "\"a\\u001b[2Jb\\u009bc\\u202ed\u{e9}\"");
    }

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(["NAME", "N"]);
        table.row(["Zoë\n".to_owned(), "1".to_owned()]);
        table.row(["alpha".to_owned(), "22".to_owned()]);
        assert_eq!(table.text(), "NAME   N\nZoë    1\nalpha  22");
    }
}
