//! Reading a file strictly: a quotation mark out of place would move cells into other rows, so nothing is forgiven that
//! RFC 4180 does not allow.

use serde::{Deserialize, Serialize};

use super::Column;
use super::cell::plain;
use super::flaw::{Flaw, SheetFault};

const CELL_CHARS: usize = 1000;
const COLUMNS: usize = 50;
const ROWS: usize = 20_000;
const SEPARATORS: [char; 3] = [',', ';', '\t'];
/// How files begin that are something else: archives and with them workbooks, programs, documents, old workbooks.
const OTHERS: [&[u8]; 5] = [b"PK\x03\x04", b"MZ", b"%PDF", b"\xd0\xcf\x11\xe0", b"\x7fELF"];

/// A row of a file, as far as an import looks at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// Where it begins, from 1.
    pub(crate) line: u64,
    /// None where there are more or fewer cells than columns.
    pub(crate) cells: Option<Cells>,
}

/// Cells without blanks around them and without the mark of text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cells {
    pub(crate) pbx_user: String,
    pub(crate) microsoft_user: String,
    /// None where there is no such column.
    pub(crate) service: Option<String>,
    /// None where there is no such column.
    pub(crate) number: Option<String>,
}

/// The rows of a file.
///
/// # Errors
/// [`SheetFault`] where it cannot be told what the rows are.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<Line>, SheetFault> {
    let text = decoded(bytes)?;
    let mut records = records(&text, separator(&text))?.into_iter();
    let (at, head) = records.next().ok_or(Flaw::Empty.whole())?;
    let columns = columns(at, &head)?;
    let lines: Vec<Line> = records.map(|(line, cells)| Line { line, cells: of(&columns, &cells) }).collect();
    if lines.is_empty() { Err(Flaw::NoRows.whole()) } else { Ok(lines) }
}

fn of(columns: &[Column], cells: &[String]) -> Option<Cells> {
    if cells.len() != columns.len() {
        return None;
    }
    let cell = |wanted: Column| {
        let found = columns.iter().zip(cells).find(|(column, _)| **column == wanted);
        found.map(|(_, cell)| plain(cell.trim()).trim().to_owned())
    };
    Some(Cells {
        pbx_user: cell(Column::PbxUser)?,
        microsoft_user: cell(Column::MicrosoftUser)?,
        service: cell(Column::Service),
        number: cell(Column::Number),
    })
}

fn columns(line: u64, head: &[String]) -> Result<Vec<Column>, SheetFault> {
    let read: Vec<Option<Column>> = head.iter().map(|name| Column::parse(&plain(name))).collect();
    if read.iter().all(Option::is_none) {
        return Err(Flaw::HeaderMissing.at(line));
    }
    let mut columns = Vec::with_capacity(read.len());
    for (column, name) in read.into_iter().zip(head) {
        let unknown = || Flaw::ColumnUnknown(name.chars().take(60).collect()).at(line);
        let column = column.ok_or_else(unknown)?;
        if columns.contains(&column) {
            return Err(Flaw::ColumnTwice(column.name()).at(line));
        }
        columns.push(column);
    }
    let missing =
        [Column::PbxUser, Column::MicrosoftUser].into_iter().find(|needed| !columns.contains(needed));
    missing.map_or(Ok(columns), |column| Err(Flaw::ColumnMissing(column.name()).at(line)))
}

/// The text with one kind of line end.
fn decoded(bytes: &[u8]) -> Result<String, SheetFault> {
    if bytes.is_empty() {
        return Err(Flaw::Empty.whole());
    }
    if OTHERS.iter().any(|other| bytes.starts_with(other)) {
        return Err(Flaw::NotCsv.whole());
    }
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes)?,
        [0xef, 0xbb, 0xbf, rest @ ..] => narrow(rest)?,
        _ => narrow(bytes)?,
    };
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    if text.trim_start().starts_with('<') {
        return Err(Flaw::NotCsv.whole());
    }
    if let Some(at) = text.find(|c: char| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Err(Flaw::NotText.at(line_of(text.get(..at).unwrap_or_default().as_bytes())));
    }
    if text.trim().is_empty() { Err(Flaw::Empty.whole()) } else { Ok(text) }
}

fn narrow(bytes: &[u8]) -> Result<String, SheetFault> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => Err(Flaw::Encoding.at(line_of(bytes.get(..error.valid_up_to()).unwrap_or_default()))),
    }
}

fn wide(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, SheetFault> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().copied().map(unit).collect();
    let text = String::from_utf16(&units).ok().filter(|_| rest.is_empty());
    text.ok_or(Flaw::Encoding.whole())
}

/// The line behind these bytes.
fn line_of(before: &[u8]) -> u64 {
    1 + u64::try_from(before.iter().filter(|byte| **byte == b'\n').count()).unwrap_or_default()
}

/// What stands between the cells of the first row most often.
fn separator(text: &str) -> char {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let times = |separator: &char| (first.matches(*separator).count(), usize::from(*separator == ','));
    SEPARATORS.into_iter().max_by_key(times).unwrap_or(',')
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Begin,
    Bare,
    /// Within quotation marks that were opened in this line.
    Quoted(u64),
    Closed,
}

/// The cells of each row with the line it begins in; rows without anything are left out.
fn records(text: &str, separator: char) -> Result<Vec<(u64, Vec<String>)>, SheetFault> {
    let mut reader = Reader { rows: Vec::new(), row: Vec::new(), cell: String::new(), length: 0, began: 1 };
    let (mut at, mut line) = (At::Begin, 1_u64);
    for c in text.chars() {
        at = match (at, c) {
            (At::Quoted(_), '"') => At::Closed,
            (At::Quoted(opened), c) => {
                reader.push(c, line)?;
                At::Quoted(opened)
            }
            (At::Closed, '"') => {
                reader.push(c, line)?;
                At::Quoted(line)
            }
            (At::Begin, '"') => At::Quoted(line),
            (_, c) if c == separator => {
                reader.cell_ends(line)?;
                At::Begin
            }
            (_, '\n') => {
                reader.row_ends(line)?;
                At::Begin
            }
            (At::Bare, '"') | (At::Closed, _) => return Err(Flaw::QuoteStray.at(line)),
            (At::Begin | At::Bare, c) => {
                reader.push(c, line)?;
                At::Bare
            }
        };
        line += u64::from(c == '\n');
    }
    if let At::Quoted(opened) = at {
        return Err(Flaw::QuoteOpen.at(opened));
    }
    reader.row_ends(line)?;
    Ok(reader.rows)
}

struct Reader {
    rows: Vec<(u64, Vec<String>)>,
    row: Vec<String>,
    cell: String,
    length: usize,
    /// Where the row begins.
    began: u64,
}

impl Reader {
    fn push(&mut self, c: char, line: u64) -> Result<(), SheetFault> {
        self.length += 1;
        if self.length > CELL_CHARS {
            return Err(Flaw::CellLong.at(line));
        }
        self.cell.push(c);
        Ok(())
    }

    fn cell_ends(&mut self, line: u64) -> Result<(), SheetFault> {
        self.length = 0;
        self.row.push(std::mem::take(&mut self.cell));
        if self.row.len() > COLUMNS { Err(Flaw::ColumnsMany.at(line)) } else { Ok(()) }
    }

    fn row_ends(&mut self, line: u64) -> Result<(), SheetFault> {
        self.cell_ends(line)?;
        let row = std::mem::take(&mut self.row);
        if row.iter().any(|cell| !cell.trim().is_empty()) {
            if self.rows.len() > ROWS {
                return Err(Flaw::RowsMany.at(self.began));
            }
            self.rows.push((self.began, row));
        }
        self.began = line + 1;
        Ok(())
    }
}
