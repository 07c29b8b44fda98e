//! Why a whole file is not read. Codes are stable and listed in `docs/codes.md`.

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    Empty,
    /// Something else under the name of a table.
    NotCsv,
    Encoding,
    /// A character that no text has.
    NotText,
    HeaderMissing,
    ColumnMissing(&'static str),
    ColumnUnknown(String),
    ColumnTwice(&'static str),
    NoRows,
    QuoteOpen,
    QuoteStray,
    CellLong,
    ColumnsMany,
    RowsMany,
}

/// The same with the line, where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SheetFault {
    pub(crate) flaw: Flaw,
    pub(crate) line: Option<u64>,
}

impl Flaw {
    pub(super) fn at(self, line: u64) -> SheetFault {
        SheetFault { flaw: self, line: Some(line) }
    }

    pub(super) fn whole(self) -> SheetFault {
        SheetFault { flaw: self, line: None }
    }
}

impl SheetFault {
    pub(crate) fn code(&self) -> &'static str {
        match self.flaw {
            Flaw::Empty => "file_empty",
            Flaw::NotCsv => "file_not_csv",
            Flaw::Encoding => "file_encoding",
            Flaw::NotText => "file_not_text",
            Flaw::HeaderMissing => "header_missing",
            Flaw::ColumnMissing(_) => "column_missing",
            Flaw::ColumnUnknown(_) => "column_unknown",
            Flaw::ColumnTwice(_) => "column_twice",
            Flaw::NoRows => "file_without_rows",
            Flaw::QuoteOpen => "quote_open",
            Flaw::QuoteStray => "quote_stray",
            Flaw::CellLong => "cell_too_long",
            Flaw::ColumnsMany => "columns_too_many",
            Flaw::RowsMany => "rows_too_many",
        }
    }

    pub(crate) fn happened(&self) -> String {
        let what = match &self.flaw {
            Flaw::Empty => "The file is empty.".into(),
            Flaw::NotCsv => {
                "The file is not a table of comma-separated values, whatever its name says.".into()
            }
            Flaw::Encoding => "The file is not written in UTF-8 or UTF-16.".into(),
            Flaw::NotText => "The file holds a character that no text has.".into(),
            Flaw::HeaderMissing => "The first row does not name the columns.".into(),
            Flaw::ColumnMissing(name) => format!("The column {name} is missing."),
            Flaw::ColumnUnknown(name) => format!("There is no column {name}."),
            Flaw::ColumnTwice(name) => format!("The column {name} is there twice."),
            Flaw::NoRows => "Below the first row there is nothing.".into(),
            Flaw::QuoteOpen => "A quotation mark is opened and never closed.".into(),
            Flaw::QuoteStray => "A quotation mark stands within a cell.".into(),
            Flaw::CellLong => "A cell has more than 1000 characters.".into(),
            Flaw::ColumnsMany => "A row has more than 50 columns.".into(),
            Flaw::RowsMany => "There are more than 20000 rows.".into(),
        };
        self.line.map_or_else(|| what.clone(), |line| format!("Line {line}: {what}"))
    }

    pub(crate) fn todo(&self) -> &'static str {
        match self.flaw {
            Flaw::Empty | Flaw::NoRows => "Export the users, change rows, and upload that file.",
            Flaw::NotCsv => "Save it as CSV (UTF-8) in the program that made it, and upload that.",
            Flaw::Encoding | Flaw::NotText => "Save it as CSV (UTF-8), and upload it again.",
            Flaw::HeaderMissing | Flaw::ColumnMissing(_) | Flaw::ColumnUnknown(_) | Flaw::ColumnTwice(_) => {
                "Begin with the row of an export: pbx_user and microsoft_user are needed, in English and any order."
            }
            Flaw::QuoteOpen | Flaw::QuoteStray => {
                "Put the whole cell into quotation marks and double those within it, as spreadsheets do by themselves."
            }
            Flaw::CellLong | Flaw::ColumnsMany => "Begin with an export, and upload only that table.",
            Flaw::RowsMany => "Upload it in parts.",
        }
    }
}
