//! Cells that a spreadsheet would take for a formula.

/// With these a cell begins that spreadsheets act on.
const ACTS: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\0'];
/// Behind these a spreadsheet begins a new cell that separates by another character than ours, as many do in Europe: to
/// it our quotation marks within a line are letters, and the cell behind them acts as any other.
const BEGINS: [char; 4] = [';', '\t', '\n', '\r'];
/// What may stand before such a character without keeping a spreadsheet from acting.
const BEFORE: [char; 2] = [' ', '"'];
/// What makes a spreadsheet take a cell as text.
const TEXT: char = '\'';

fn acts(text: &str) -> bool {
    text.trim_start_matches(BEFORE).starts_with(|first| first == TEXT || ACTS.contains(&first))
}

/// The cell as it is written: one that would act, or would where somebody begins a new one within it, is marked as text
/// there, and so is what begins with the mark, so that [`plain`] always gives back what was there.
pub(super) fn guarded(text: &str) -> String {
    let mark = |part: &str| if acts(part) { format!("{TEXT}{part}") } else { part.to_owned() };
    text.split_inclusive(BEGINS).map(mark).collect()
}

/// The cell without the marks.
pub(super) fn plain(text: &str) -> String {
    let unmark = |part: &'_ str| part.strip_prefix(TEXT).filter(|rest| acts(rest)).unwrap_or(part).to_owned();
    text.split_inclusive(BEGINS).map(unmark).collect()
}
