//! Mappings as a table of comma-separated values: written for a spreadsheet, read back from one. Pure.
//!
//! Promised: what is written opens as text, whatever the cells hold; what is written and read again changes nothing;
//! nothing is guessed of what a spreadsheet has damaged, and every row that cannot be used says why.

mod cell;
mod flaw;
mod judge;
mod read;
mod verdict;
mod write;

#[cfg(test)]
mod tests;

pub(crate) use flaw::SheetFault;
pub(crate) use judge::{Judged, Known, Row, asked, judge};
pub(crate) use read::{Line, read};
pub(crate) use verdict::Verdict;
pub(crate) use write::write;

/// Longest file that is read.
pub(crate) const FILE_BYTES: usize = 4 * 1024 * 1024;

/// A column that an import acts on, or one that only an export tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    PbxUser,
    Name,
    Extension,
    PbxNumbers,
    Service,
    MicrosoftUser,
    Number,
    State,
}

impl Column {
    /// In the order of an export.
    const ALL: [Self; 8] = [
        Self::PbxUser,
        Self::Name,
        Self::Extension,
        Self::PbxNumbers,
        Self::Service,
        Self::MicrosoftUser,
        Self::Number,
        Self::State,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::PbxUser => "pbx_user",
            Self::Name => "name",
            Self::Extension => "extension",
            Self::PbxNumbers => "pbx_numbers",
            Self::Service => "service",
            Self::MicrosoftUser => "microsoft_user",
            Self::Number => "number",
            Self::State => "state",
        }
    }

    /// Reads a head of a column, whatever its case; blanks and hyphens stand for the underscore.
    fn parse(text: &str) -> Option<Self> {
        let name = text.trim().to_lowercase().replace([' ', '-'], "_");
        Self::ALL.into_iter().find(|column| column.name() == name)
    }
}
