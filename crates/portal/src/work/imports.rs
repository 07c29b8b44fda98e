//! Mappings as a file: exporting all, and saving what a file says after somebody has looked at it.
//!
//! A file is judged anew whenever it is looked at and once more under the lock when it is saved; the version of the
//! preview covers the content of the file and the mapping of every user it names, so what is saved is what was seen.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use serde_json::json;
use tandem_domain::{ObjectId, PbxUserId};
use tandem_store::Tx;
use tandem_store::admin::accounts::Mapping;
use tandem_store::connect::SecretHash;
use tandem_store::portal::imports::{self, Import};
use tandem_store::portal::users::{self, Filter, UserRow};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::users::{Save, put, seen, version};
use crate::App;
use crate::fault::Fault;
use crate::fault::mapping::MappingFault;
use crate::guard::InAccount;
use crate::sheet::{self, Judged, Known, Line, Verdict};

/// How long a file waits to be saved.
pub(crate) const LIFE: Duration = Duration::hours(1);
/// Users that are read at once.
const PORTION: i64 = 2000;

async fn all_users(tx: &mut Tx, inside: &InAccount) -> Result<Vec<UserRow>, Fault> {
    let mut rows: Vec<UserRow> = Vec::new();
    loop {
        let after = rows.last().map(|row| row.user.to_string()).unwrap_or_default();
        let more = users::list(tx, inside.id(), &Filter::default(), &after, PORTION).await?;
        let last = i64::try_from(more.len()).is_ok_and(|count| count < PORTION);
        rows.extend(more);
        if last {
            return Ok(rows);
        }
    }
}

/// All users of the account as a table; what this person's roles do not see is left out.
pub(crate) async fn export(app: &App, inside: &InAccount) -> Result<Vec<u8>, Fault> {
    let mut tx = app.store.begin_for("portal.export", inside.id()).await?;
    let rows = all_users(&mut tx, inside).await?;
    let rows: Vec<UserRow> = rows.into_iter().map(|row| seen(inside, row)).collect();
    sheet::write(&rows).map_err(|error| {
        tracing::error!(%error, "users could not be exported");
        Fault::Internal
    })
}

/// Keeps what a file says for somebody to look at.
pub(crate) async fn upload(app: &App, inside: &InAccount, file: &[u8]) -> Result<Uuid, Fault> {
    let lines = sheet::read(file)?;
    let mut hash: SecretHash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, file).as_ref());
    let (now, id) = (app.clock.now(), app.ids.v7(&app.clock));
    let mut tx = app.store.begin_for("portal.upload", inside.id()).await?;
    let whose = (inside.id(), inside.visitor.person);
    imports::put(&mut tx, whose, id, (&hash, &json!(lines)), (now, now + LIFE)).await?;
    tx.commit().await?;
    Ok(id)
}

/// A file that waits to be saved, judged.
#[derive(Clone, Debug)]
pub(crate) struct Looked {
    pub(crate) judged: Judged,
    pub(crate) before: BTreeMap<PbxUserId, UserRow>,
    /// Sign-in names of the Microsoft users that are named.
    pub(crate) names: BTreeMap<ObjectId, String>,
    /// Names exactly this: the content, and what it would do to the mappings there are now.
    pub(crate) version: String,
    pub(crate) until: OffsetDateTime,
}

impl Looked {
    /// A mapping in words.
    pub(crate) fn told(&self, mapping: Option<&Mapping>) -> String {
        let Some(mapping) = mapping else { return "none".to_owned() };
        let oid = || mapping.microsoft_user.to_string();
        let upn = self.names.get(&mapping.microsoft_user).cloned().unwrap_or_else(oid);
        let number = mapping.number.as_deref().map(|number| format!(", {number}")).unwrap_or_default();
        format!("{upn} ({}{number})", mapping.service.as_str())
    }
}

/// How a file stands.
#[derive(Clone, Debug)]
pub(crate) enum Stands {
    Waits(Box<Looked>),
    /// When it was saved, with how many mappings.
    Saved(OffsetDateTime, i32),
}

async fn find(tx: &mut Tx, inside: &InAccount, id: Uuid, now: OffsetDateTime) -> Result<Import, Fault> {
    imports::find(tx, inside.id(), id, now).await?.ok_or(Fault::NotFound)
}

/// How a file stands and, while it waits, what it would do now.
pub(crate) async fn look(app: &App, inside: &InAccount, id: Uuid) -> Result<Stands, Fault> {
    let mut tx = app.store.begin_for("portal.import", inside.id()).await?;
    let import = find(&mut tx, inside, id, app.clock.now()).await?;
    if let Some((at, count)) = import.saved {
        return Ok(Stands::Saved(at, count));
    }
    Ok(Stands::Waits(Box::new(looked(app, inside, &mut tx, &import).await?)))
}

async fn looked(app: &App, inside: &InAccount, tx: &mut Tx, import: &Import) -> Result<Looked, Fault> {
    let account = inside.id();
    let lines: Vec<Line> = serde_json::from_value(import.lines.clone()).map_err(|error| {
        tracing::error!(%error, "an uploaded file cannot be read any more");
        Fault::Internal
    })?;
    let (numbers, oids, names) = sheet::asked(&lines);
    let licences = users::lock(tx, account).await?;
    let listed = imports::listed(tx, account, &oids, &names).await?;
    let found: Vec<Uuid> = listed.iter().map(|listed| listed.oid.0).collect();
    let mut fleet = app.fleet.begin("portal.import_elsewhere").await?;
    let (numbers_elsewhere, users_elsewhere) =
        imports::elsewhere(&mut fleet, account, &numbers, &found).await?;
    drop(fleet);
    let users = all_users(tx, inside).await?.into_iter().map(|row| (row.user.clone(), row)).collect();
    let known = Known { users, listed, numbers_elsewhere, users_elsewhere, licences };
    let judged = sheet::judge(&lines, &known);
    let of_row = |row: &UserRow| Some((row.mapping.as_ref()?.microsoft_user, row.upn.clone()?));
    let mut names: BTreeMap<ObjectId, String> = known.users.values().filter_map(of_row).collect();
    names.extend(known.listed.into_iter().map(|listed| (listed.oid, listed.candidate.upn)));
    let version = name_of(import, &judged, &known.users);
    Ok(Looked { judged, before: known.users, names, version, until: import.expires_at })
}

fn name_of(import: &Import, judged: &Judged, users: &BTreeMap<PbxUserId, UserRow>) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&import.digest);
    for row in &judged.rows {
        let before = users.get(&PbxUserId(row.user.clone())).and_then(|user| user.mapping.as_ref());
        let after = match &row.verdict {
            Verdict::Add(mapping) | Verdict::Change(mapping) => version(Some(mapping)),
            Verdict::Unassign => version(None),
            Verdict::Unchanged | Verdict::Repeated(_) => "unchanged".to_owned(),
            Verdict::Bad(problem) => problem.code().to_owned(),
        };
        let told = json!([row.line, row.user, version(before), after]).to_string();
        context.update(told.as_bytes());
    }
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Saves all that a file says, or nothing: exactly what the preview of this version showed. Gives how many mappings were
/// saved; what has been saved already is not saved again.
pub(crate) async fn confirm(
    app: &App,
    inside: &InAccount,
    id: Uuid,
    (seen, removals): (&str, bool),
) -> Result<i32, Fault> {
    let (account, now) = (inside.id(), app.clock.now());
    let mut tx = app.store.begin_for("portal.confirm_import", account).await?;
    // whoever has the lock sees what the one before has saved
    users::lock(&mut tx, account).await?;
    let import = find(&mut tx, inside, id, now).await?;
    if let Some((_, count)) = import.saved {
        return Ok(count);
    }
    let found = looked(app, inside, &mut tx, &import).await?;
    if found.version != seen {
        return Err(Fault::Stale);
    }
    let changes = found.judged.changes();
    if !found.judged.clean() || changes == 0 {
        return Err(Fault::ImportNotClean);
    }
    if found.judged.held && !removals {
        return Err(Fault::ImportRemoves);
    }
    let saves: Vec<Save<'_>> = found.judged.rows.iter().filter_map(|row| save(row, &found)).collect();
    put(app, inside, &mut tx, &saves).await?;
    let count = i32::try_from(changes).unwrap_or(i32::MAX);
    imports::confirm(&mut tx, account, id, now, count).await?;
    tx.commit().await.map_err(MappingFault::of)?;
    Ok(count)
}

fn save<'a>(row: &'a sheet::Row, found: &'a Looked) -> Option<Save<'a>> {
    let (user, known) = found.before.get_key_value(&PbxUserId(row.user.clone()))?;
    let new: Option<&Mapping> = match &row.verdict {
        Verdict::Add(mapping) | Verdict::Change(mapping) => Some(mapping),
        Verdict::Unassign => None,
        _ => return None,
    };
    Some(Save { user, old: known.mapping.as_ref(), new, after: format!("{}, by import", found.told(new)) })
}
