//! The rows of one snapshot.

use std::sync::Arc;

use futures_util::TryStreamExt;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection, Row};
use tandem_domain::profile::MAX_TEXT_BYTES;
use tandem_domain::{PbxUserId, Profile};
use tandem_runtime::Clock;
use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Inner;
use super::decode::Reader;
use super::error::SourceError;
use crate::country::to_e164;
use crate::mapping::{Column, Kind, Mapping};

/// Rows that are handed over at once.
const BATCH: usize = 256;
/// Batches that may wait; then the reading waits, and with it the server.
const WAITING: usize = 4;
/// Most items of one list; no person has more numbers.
const MAX_ITEMS: usize = 1000;

/// One user as the PBX has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRow {
    /// Key by which the PBX knows the account.
    pub account_key: String,
    /// Name of the account for people.
    pub account_label: Option<String>,
    /// Stable key of the user.
    pub user: PbxUserId,
    /// The normalised profile.
    pub profile: Profile,
    /// [`Profile::digest`] of it.
    pub digest: i64,
}

/// A user whose row is there but cannot be used. It is not missing, and it keeps what is stored of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowProblem {
    /// Key by which the PBX knows the account.
    pub account_key: String,
    /// Stable key of the user.
    pub user: PbxUserId,
    /// Field that is the trouble.
    pub field: &'static str,
    /// Stable name of the trouble.
    pub code: &'static str,
    /// What is wrong and what to do, without the value.
    pub message: String,
}

/// Some rows of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Users, in the order of the query.
    pub rows: Vec<SourceRow>,
    /// Users that could not be used.
    pub problems: Vec<RowProblem>,
}

impl Batch {
    fn len(&self) -> usize {
        self.rows.len() + self.problems.len()
    }
}

enum Message {
    Batch(Batch),
    End(OffsetDateTime),
    Failed(SourceError),
}

/// A snapshot being read. Dropping it ends the reading.
pub struct Snapshot {
    messages: mpsc::Receiver<Message>,
    reading: JoinHandle<()>,
    started_at: OffsetDateTime,
    ended_at: Option<OffsetDateTime>,
    rows: u64,
}

impl Snapshot {
    pub(super) fn start(
        inner: Arc<Inner>,
        connection: PgConnection,
        clock: Clock,
        started_at: OffsetDateTime,
    ) -> Self {
        let (sender, messages) = mpsc::channel(WAITING);
        // A task of its own: a caller that stops waiting must not leave a connection in the middle of a message.
        let reading = tokio::spawn(async move {
            let message = match read(&inner, connection, &sender).await {
                Ok(()) => Message::End(clock.now()),
                Err(error) => Message::Failed(error),
            };
            // nobody listens any more: then nobody wants to know either
            let _ = sender.send(message).await;
        });
        Self { messages, reading, started_at, ended_at: None, rows: 0 }
    }

    /// The next rows; `None` when the snapshot is complete. May be cancelled and called again.
    ///
    /// # Errors
    /// [`SourceError`]: the snapshot is worthless, whatever was read of it.
    pub async fn next(&mut self) -> Result<Option<Batch>, SourceError> {
        if self.ended_at.is_some() {
            return Ok(None);
        }
        match self.messages.recv().await {
            Some(Message::Batch(batch)) => {
                self.rows += batch.len() as u64;
                Ok(Some(batch))
            }
            Some(Message::End(at)) => {
                self.ended_at = Some(at);
                Ok(None)
            }
            Some(Message::Failed(error)) => Err(error),
            None => Err(SourceError::Interrupted),
        }
    }

    /// When the reading began: nothing that was saved before is missing from it.
    #[must_use]
    pub fn read_started_at(&self) -> OffsetDateTime {
        self.started_at
    }

    /// When the last row had come, once it has.
    #[must_use]
    pub fn read_ended_at(&self) -> Option<OffsetDateTime> {
        self.ended_at
    }

    /// Rows handed out so far, unusable ones included.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

async fn read(
    inner: &Inner,
    mut connection: PgConnection,
    sender: &mpsc::Sender<Message>,
) -> Result<(), SourceError> {
    let failed = |source| SourceError::Query { source };
    // not kept as a named statement: the connection does not live long enough to use it twice
    let query = sqlx::query(AssertSqlSafe(inner.mapping.query().to_owned())).persistent(false);
    let mut rows = query.fetch(&mut connection);
    let mut plan: Option<Plan> = None;
    let mut batch = Batch::default();
    let mut number = 0;
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        number += 1;
        let plan = match &mut plan {
            Some(plan) => plan,
            none => none.insert(Plan::new(&inner.mapping, row.columns())?),
        };
        match plan.row(inner, &row, number)? {
            Ok(row) => batch.rows.push(row),
            Err(problem) => batch.problems.push(problem),
        }
        if batch.len() >= BATCH && sender.send(Message::Batch(std::mem::take(&mut batch))).await.is_err() {
            return Err(SourceError::Interrupted);
        }
    }
    drop(rows);
    if batch.len() > 0 && sender.send(Message::Batch(batch)).await.is_err() {
        return Err(SourceError::Interrupted);
    }
    // every row is here; how the connection ends changes nothing about them
    if let Err(error) = connection.close().await {
        tracing::debug!(error = %error, "closing the connection to the PBX failed");
    }
    Ok(())
}

/// The columns of a mapping, found in the columns of a result.
pub(super) struct Plan {
    account_key: Reader,
    account_label: Option<Reader>,
    user_key: Reader,
    fields: Vec<(Column, Reader)>,
    has_enabled: bool,
}

impl Plan {
    pub(super) fn new(mapping: &Mapping, columns: &[sqlx::postgres::PgColumn]) -> Result<Self, SourceError> {
        let one = |column: &str| Reader::find(columns, column, true);
        Ok(Self {
            account_key: one(mapping.account_key())?,
            account_label: mapping.account_label().map(one).transpose()?,
            user_key: one(mapping.user_key())?,
            fields: mapping
                .columns()
                .iter()
                .map(|c| {
                    let single = matches!(c.kind, Kind::Text | Kind::Flag);
                    Ok((c.clone(), Reader::find(columns, &c.column, single)?))
                })
                .collect::<Result<_, SourceError>>()?,
            has_enabled: mapping.columns().iter().any(|c| c.field == "enabled"),
        })
    }

    fn row(
        &self,
        inner: &Inner,
        row: &PgRow,
        number: u64,
    ) -> Result<Result<SourceRow, RowProblem>, SourceError> {
        let key = |reader: &Reader, column: &str| -> Result<String, SourceError> {
            let text = reader.text(row)?.unwrap_or_default().trim().to_owned();
            if text.is_empty() {
                return Err(SourceError::NullKey { column: column.to_owned(), row: number });
            }
            if text.len() > PbxUserId::MAX_BYTES {
                return Err(SourceError::LongKey { column: column.to_owned(), row: number });
            }
            Ok(text)
        };
        let account_key = key(&self.account_key, inner.mapping.account_key())?;
        let user = PbxUserId(key(&self.user_key, inner.mapping.user_key())?);
        let account_label = match &self.account_label {
            Some(reader) => {
                reader.text(row)?.map(|label| label.trim().to_owned()).filter(|label| !label.is_empty())
            }
            None => None,
        };
        // a PBX that has no such switch deletes those who are not enabled
        let mut profile = Profile { enabled: !self.has_enabled, ..Profile::default() };
        for (column, reader) in &self.fields {
            self.field(inner, &account_key, column, reader, row, &mut profile)?;
        }
        let profile = profile.normalised();
        Ok(match problem(&profile) {
            Some((field, code, message)) => Err(RowProblem { account_key, user, field, code, message }),
            None => {
                let digest = profile.digest();
                Ok(SourceRow { account_key, account_label, user, profile, digest })
            }
        })
    }

    fn field(
        &self,
        inner: &Inner,
        account_key: &str,
        column: &Column,
        reader: &Reader,
        row: &PgRow,
        profile: &mut Profile,
    ) -> Result<(), SourceError> {
        let separator = column.separator.as_deref();
        match column.field {
            "did_numbers" => {
                let list = reader.list(row, separator)?.unwrap_or_default();
                profile.did_numbers = if column.kind == Kind::E164 {
                    let country = inner.country(account_key);
                    list.iter().filter_map(|raw| to_e164(raw, country)).collect()
                } else {
                    list
                };
            }
            "follow_me" => profile.follow_me = reader.list(row, separator)?,
            "voicemail_enabled" => profile.voicemail_enabled = reader.flag(row)?,
            "dnd" => profile.dnd = reader.flag(row)?,
            "enabled" => profile.enabled = reader.flag(row)?,
            "display_name" => profile.display_name = reader.text(row)?,
            "email" => profile.email = reader.text(row)?,
            "extension" => profile.extension = reader.text(row)?,
            "voicemail_email" => profile.voicemail_email = reader.text(row)?,
            "forward_all" => profile.forward_all = reader.text(row)?,
            "forward_busy" => profile.forward_busy = reader.text(row)?,
            "forward_no_answer" => profile.forward_no_answer = reader.text(row)?,
            _ => profile.login_name = reader.text(row)?,
        }
        Ok(())
    }
}

/// What makes a profile unusable, if anything.
fn problem(profile: &Profile) -> Option<(&'static str, &'static str, String)> {
    let texts = [
        ("display_name", &profile.display_name),
        ("email", &profile.email),
        ("extension", &profile.extension),
        ("voicemail_email", &profile.voicemail_email),
        ("forward_all", &profile.forward_all),
        ("forward_busy", &profile.forward_busy),
        ("forward_no_answer", &profile.forward_no_answer),
        ("login_name", &profile.login_name),
    ];
    let lists = [("did_numbers", Some(&profile.did_numbers)), ("follow_me", profile.follow_me.as_ref())];
    let long = texts
        .into_iter()
        .find(|(_, text)| text.as_ref().is_some_and(|t| t.len() > MAX_TEXT_BYTES))
        .map(|(field, _)| field)
        .or_else(|| {
            let long = |list: &Vec<String>| list.iter().any(|t| t.len() > MAX_TEXT_BYTES);
            lists.iter().find(|(_, list)| list.is_some_and(long)).map(|(field, _)| *field)
        });
    if let Some(field) = long {
        let message = format!("{field} is longer than {MAX_TEXT_BYTES} bytes; shorten it in the PBX");
        return Some((field, "text_too_long", message));
    }
    let (field, _) = lists.iter().find(|(_, list)| list.is_some_and(|l| l.len() > MAX_ITEMS))?;
    Some((
        field,
        "list_too_long",
        format!("{field} holds more than {MAX_ITEMS} items; shorten it in the PBX"),
    ))
}
