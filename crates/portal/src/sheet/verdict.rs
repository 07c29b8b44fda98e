//! What becomes of a row, and why one cannot be used. Codes are stable and listed in `docs/codes.md`.

use tandem_domain::NumberError;
use tandem_store::admin::accounts::Mapping;

use crate::fault::mapping::MappingFault;

/// What becomes of the user of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Add(Mapping),
    Change(Mapping),
    Unassign,
    Unchanged,
    /// An earlier row says the same.
    Repeated(u64),
    Bad(Problem),
}

/// Why a row cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// More or fewer cells than columns.
    Cells,
    UserMissing,
    UserUnknown,
    MicrosoftMissing,
    ServiceUnknown,
    /// A number that a spreadsheet has taken apart.
    NumberDamaged,
    Number(NumberError),
    AppNumber,
    /// Another row, by its line, says something else of the same PBX user.
    Conflicting(u64),
    /// Another row, by its line, has the same Microsoft user.
    MicrosoftTwice(u64),
    /// Another row, by its line, has the same number.
    NumberTwice(u64),
    /// Something of another account has it; which is nobody's business.
    NumberElsewhere,
    MicrosoftElsewhere,
    Mapping(MappingFault),
}

impl Problem {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Cells => "row_cells",
            Self::UserMissing => "pbx_user_missing",
            Self::UserUnknown => "pbx_user_unknown",
            Self::MicrosoftMissing => "microsoft_user_missing",
            Self::ServiceUnknown => "service_unknown",
            Self::NumberDamaged => "number_damaged",
            Self::Number(_) => "number_not_canonical",
            Self::AppNumber => "app_without_number",
            Self::Conflicting(_) => "rows_conflict",
            Self::MicrosoftTwice(_) => "microsoft_user_twice",
            Self::NumberTwice(_) => "number_twice",
            Self::NumberElsewhere => "number_in_use",
            Self::MicrosoftElsewhere => "microsoft_user_in_use",
            Self::Mapping(fault) => fault.code(),
        }
    }

    pub(crate) fn text(&self) -> String {
        match self {
            Self::Cells => "The row has more or fewer cells than there are columns.".into(),
            Self::UserMissing => "The row names no PBX user.".into(),
            Self::UserUnknown => "The account has no such PBX user.".into(),
            Self::MicrosoftMissing => "A service or a number is given without a Microsoft user.".into(),
            Self::ServiceUnknown => "The service is neither voice nor app.".into(),
            Self::NumberDamaged => "The number was taken for a quantity and rounded.".into(),
            Self::Number(why) => format!("The {why}."),
            Self::AppNumber => "An App licence carries no number.".into(),
            Self::Conflicting(line) => format!("Line {line} says something else of this PBX user."),
            Self::MicrosoftTwice(line) => format!("Line {line} has the same Microsoft user."),
            Self::NumberTwice(line) => format!("Line {line} has the same number."),
            Self::NumberElsewhere => "The number is in use outside this account.".into(),
            Self::MicrosoftElsewhere => "The Microsoft user is in use outside this account.".into(),
            Self::Mapping(fault) => fault.happened(),
        }
    }

    pub(crate) fn todo(&self) -> &'static str {
        match self {
            Self::Cells => {
                "Take the row from an export, and put cells that hold a separator into quotation marks."
            }
            Self::UserMissing | Self::UserUnknown => {
                "Take pbx_user from an export; spreadsheets drop zeros that a cell begins with."
            }
            Self::MicrosoftMissing => "Give the Microsoft user, or empty the other cells to unassign.",
            Self::ServiceUnknown => "Write voice or app.",
            Self::NumberDamaged | Self::Number(_) => {
                "Format the column as text and write +, the country's code and the digits, without blanks."
            }
            Self::AppNumber => "Empty the number, or make it voice.",
            Self::Conflicting(_) | Self::MicrosoftTwice(_) | Self::NumberTwice(_) => {
                "Leave one of the two rows."
            }
            Self::NumberElsewhere | Self::MicrosoftElsewhere => "Take another, or ask your provider.",
            Self::Mapping(fault) => fault.todo(),
        }
    }
}
