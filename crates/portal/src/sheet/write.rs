//! Writing the users of an account (RFC 4180).

use tandem_domain::user_state;
use tandem_store::portal::users::UserRow;

use super::Column;
use super::cell::guarded;

fn cell(row: &UserRow, column: Column) -> String {
    let profile = row.profile.as_ref();
    let mapping = row.mapping.as_ref();
    let text = match column {
        Column::PbxUser => Some(row.user.to_string()),
        Column::Name => profile.and_then(|profile| profile.display_name.clone()),
        Column::Extension => profile.and_then(|profile| profile.extension.clone()),
        Column::PbxNumbers => profile.map(|profile| profile.did_numbers.join(" ")),
        Column::Service => mapping.map(|mapping| mapping.service.as_str().to_owned()),
        Column::MicrosoftUser => {
            mapping.map(|mapping| row.upn.clone().unwrap_or_else(|| mapping.microsoft_user.to_string()))
        }
        Column::Number => mapping.and_then(|mapping| mapping.number.clone()),
        Column::State => Some(user_state::state(&row.facts).label().to_owned()),
    };
    guarded(&text.unwrap_or_default())
}

/// The table with its head.
///
/// # Errors
/// None in practice: it is written to memory.
pub(crate) fn write(rows: &[UserRow]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(Column::ALL.map(Column::name))?;
    for row in rows {
        writer.write_record(Column::ALL.map(|column| cell(row, column)))?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}
