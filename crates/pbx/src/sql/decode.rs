//! Reading columns by name, whatever type a release of the PBX gives them.

use serde_json::Value;
use sqlx::postgres::{PgRow, PgTypeInfo, PgTypeKind, PgValueRef};
use sqlx::{Column as _, Decode, Postgres, Row, TypeInfo, ValueRef};
use uuid::Uuid;

use super::error::SourceError;

/// How the bytes of a column are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    Text,
    Bool,
    Int2,
    Int4,
    Int8,
    Uuid,
    Json,
    Texts,
    Int4s,
    Int8s,
    Uuids,
}

impl Cell {
    fn of(kind: &PgTypeInfo) -> Option<Self> {
        Some(match kind.name() {
            "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "UNKNOWN" => Self::Text,
            "BOOL" => Self::Bool,
            "INT2" => Self::Int2,
            "INT4" => Self::Int4,
            "INT8" => Self::Int8,
            "UUID" => Self::Uuid,
            "JSON" | "JSONB" => Self::Json,
            "TEXT[]" | "VARCHAR[]" | "CHAR[]" | "NAME[]" => Self::Texts,
            "INT4[]" => Self::Int4s,
            "INT8[]" => Self::Int8s,
            "UUID[]" => Self::Uuids,
            name if name.eq_ignore_ascii_case("citext") || matches!(kind.kind(), PgTypeKind::Enum(_)) => {
                Self::Text
            }
            _ => return None,
        })
    }

    fn is_list(self) -> bool {
        matches!(self, Self::Texts | Self::Int4s | Self::Int8s | Self::Uuids)
    }
}

/// A column of a result, found by its name and ready to be read.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    column: String,
    index: usize,
    cell: Cell,
}

impl Reader {
    /// Finds the column in a result with these columns; `single` when one text or flag is wanted and not a list.
    pub(super) fn find(
        columns: &[sqlx::postgres::PgColumn],
        column: &str,
        single: bool,
    ) -> Result<Self, SourceError> {
        let found = columns.iter().find(|c| c.name() == column);
        let found = found.ok_or_else(|| SourceError::MissingColumn { column: column.to_owned() })?;
        let cell =
            Cell::of(found.type_info()).filter(|cell| !(single && (cell.is_list() || *cell == Cell::Json)));
        let cell = cell.ok_or_else(|| SourceError::ColumnType {
            column: column.to_owned(),
            sql_type: found.type_info().name().to_owned(),
            wanted: if single { "one value" } else { "a list" },
        })?;
        Ok(Self { column: column.to_owned(), index: found.ordinal(), cell })
    }

    /// One text; `None` for NULL.
    pub(super) fn text(&self, row: &PgRow) -> Result<Option<String>, SourceError> {
        let Some(value) = self.raw(row)? else {
            return Ok(None);
        };
        Ok(Some(match self.cell {
            Cell::Bool => self.decode::<bool>(value)?.to_string(),
            Cell::Int2 => self.decode::<i16>(value)?.to_string(),
            Cell::Int4 => self.decode::<i32>(value)?.to_string(),
            Cell::Int8 => self.decode::<i64>(value)?.to_string(),
            Cell::Uuid => self.decode::<Uuid>(value)?.to_string(),
            _ => self.decode::<String>(value)?,
        }))
    }

    /// On or off; NULL is off.
    pub(super) fn flag(&self, row: &PgRow) -> Result<bool, SourceError> {
        let Some(value) = self.raw(row)? else {
            return Ok(false);
        };
        Ok(match self.cell {
            Cell::Bool => self.decode::<bool>(value)?,
            Cell::Int2 => self.decode::<i16>(value)? != 0,
            Cell::Int4 => self.decode::<i32>(value)? != 0,
            Cell::Int8 => self.decode::<i64>(value)? != 0,
            _ => {
                let text: &str = self.decode(value)?;
                ["true", "t", "1", "yes", "on"].iter().any(|on| text.trim().eq_ignore_ascii_case(on))
            }
        })
    }

    /// A list; `None` for NULL, and for the JSON value null.
    pub(super) fn list(
        &self,
        row: &PgRow,
        separator: Option<&str>,
    ) -> Result<Option<Vec<String>>, SourceError> {
        let Some(value) = self.raw(row)? else {
            return Ok(None);
        };
        Ok(Some(match self.cell {
            Cell::Texts => self.decode::<Vec<Option<String>>>(value)?.into_iter().flatten().collect(),
            Cell::Int4s => strings(self.decode::<Vec<Option<i32>>>(value)?),
            Cell::Int8s => strings(self.decode::<Vec<Option<i64>>>(value)?),
            Cell::Uuids => strings(self.decode::<Vec<Option<Uuid>>>(value)?),
            Cell::Json => match self.decode::<Value>(value)? {
                Value::Null => return Ok(None),
                Value::Array(items) => items.into_iter().filter_map(json_text).collect(),
                other => json_text(other).into_iter().collect(),
            },
            _ => {
                let text = self.text(row)?.unwrap_or_default();
                match separator {
                    Some(separator) => text.split(separator).map(str::to_owned).collect(),
                    None => vec![text],
                }
            }
        }))
    }

    fn raw<'r>(&self, row: &'r PgRow) -> Result<Option<PgValueRef<'r>>, SourceError> {
        let value = row.try_get_raw(self.index).map_err(|source| SourceError::Query { source })?;
        Ok(if value.is_null() { None } else { Some(value) })
    }

    fn decode<'r, T: Decode<'r, Postgres>>(&self, value: PgValueRef<'r>) -> Result<T, SourceError> {
        T::decode(value).map_err(|source| SourceError::Value { column: self.column.clone(), source })
    }
}

fn strings<T: ToString>(items: Vec<Option<T>>) -> Vec<String> {
    items.into_iter().flatten().map(|item| item.to_string()).collect()
}

fn json_text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
