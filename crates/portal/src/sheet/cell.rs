//! Cells that a spreadsheet would take for a formula.

/// With these a cell begins that spreadsheets act on.
const ACTS: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\0'];
/// What makes a spreadsheet take a cell as text.
const TEXT: char = '\'';

fn acts(text: &str) -> bool {
    text.starts_with(|first| first == TEXT || ACTS.contains(&first))
}

/// The cell as it is written: one that would act is marked as text, and so is one that begins with the mark, so that
/// [`plain`] always gives back what was there.
pub(super) fn guarded(text: &str) -> String {
    if acts(text) { format!("{TEXT}{text}") } else { text.to_owned() }
}

/// The cell without the mark.
pub(super) fn plain(text: &str) -> &str {
    text.strip_prefix(TEXT).filter(|rest| acts(rest)).unwrap_or(text)
}
