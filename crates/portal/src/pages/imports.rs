//! Mappings as a file: export, upload, preview, and saving all of it.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tandem_domain::PbxUserId;

use super::{Layout, html, see_other};
use crate::extract::{Form, Query, Upload, id};
use crate::fault::Fault;
use crate::frame::Nonce;
use crate::guard::InAccount;
use crate::sheet::{self, Verdict};
use crate::work::imports::{self as work, Looked, Stands};
use crate::{App, view};

/// Rows that are shown at once.
const SHOWN: usize = 200;
/// Without it spreadsheets take the table for another encoding.
const UTF_8: &[u8] = "\u{feff}".as_bytes();

/// The table as a file of this account's.
pub(crate) fn file(name: &str, table: Vec<u8>) -> Response {
    let head = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"users-{name}.csv\"")),
    ];
    (head, table).into_response()
}

pub(crate) async fn export(State(app): State<Arc<App>>, inside: InAccount) -> Result<Response, Fault> {
    let table = work::export(&app, &inside).await?;
    Ok(file(&inside.account.name, [UTF_8, &table].concat()))
}

#[derive(Template)]
#[template(path = "import.html")]
pub(crate) struct ImportPage {
    pub(crate) layout: Layout,
    pub(crate) name: String,
}

pub(crate) async fn page(nonce: Nonce, inside: InAccount) -> Result<Response, Fault> {
    let name = inside.account.name.clone();
    html(&ImportPage { layout: Layout::inside(&nonce, &inside, "users"), name })
}

pub(crate) async fn upload(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Upload(file): Upload,
) -> Result<Response, Fault> {
    let id = work::upload(&app, &inside, &file).await?;
    Ok(see_other(&format!("/accounts/{}/imports/{id}", inside.account.name)))
}

#[derive(Template)]
#[template(path = "import_preview.html")]
pub(crate) struct PreviewPage {
    pub(crate) layout: Layout,
    pub(crate) name: String,
    pub(crate) import: String,
    pub(crate) stands: Shown,
}

/// How a file stands, for a page.
pub(crate) enum Shown {
    /// When, and how many mappings.
    Saved(String, i32),
    Waits(Box<Preview>),
}

/// What a file would do.
pub(crate) struct Preview {
    pub(crate) version: String,
    pub(crate) until: String,
    /// Rows by what becomes of them.
    pub(crate) counts: Vec<(&'static str, usize)>,
    pub(crate) bad: usize,
    pub(crate) changes: usize,
    pub(crate) removals: usize,
    /// A sync will hold the removals for a person.
    pub(crate) held: bool,
    /// Why the licences do not cover it, and what to do.
    pub(crate) licences: Option<(String, &'static str)>,
    /// Everything can be saved.
    pub(crate) clean: bool,
    pub(crate) rows: Vec<Row>,
    /// Where the rows that follow begin.
    pub(crate) next: Option<usize>,
}

/// A row of the preview that cannot be used, or that changes something.
pub(crate) struct Row {
    pub(crate) line: u64,
    pub(crate) user: String,
    pub(crate) what: &'static str,
    pub(crate) before: String,
    pub(crate) after: String,
    /// Code, text and remedy.
    pub(crate) problem: Option<(&'static str, String, &'static str)>,
}

/// What becomes of a row, in a word.
pub(crate) fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Add(_) => "add",
        Verdict::Change(_) => "change",
        Verdict::Unassign => "unassign",
        Verdict::Unchanged => "unchanged",
        Verdict::Repeated(_) => "repeated",
        Verdict::Bad(_) => "bad",
    }
}

impl Row {
    fn of(row: &sheet::Row, found: &Looked) -> Self {
        let known = found.before.get(&PbxUserId(row.user.clone()));
        let (after, problem) = match &row.verdict {
            Verdict::Add(mapping) | Verdict::Change(mapping) => (Some(mapping), None),
            Verdict::Bad(problem) => (None, Some((problem.code(), problem.text(), problem.todo()))),
            _ => (None, None),
        };
        Self {
            line: row.line,
            user: view::short(&row.user),
            what: word(&row.verdict),
            before: view::short(&found.told(known.and_then(|known| known.mapping.as_ref()))),
            after: view::short(&found.told(after)),
            problem,
        }
    }
}

impl Preview {
    pub(crate) fn of(found: &Looked, from: usize) -> Self {
        let judged = &found.judged;
        let kinds = ["add", "change", "unassign", "unchanged", "repeated", "bad"];
        let count = |kind: &str| judged.count(|verdict| word(verdict) == kind);
        let counts: Vec<(&'static str, usize)> = kinds.into_iter().map(|kind| (kind, count(kind))).collect();
        let worth = |row: &&sheet::Row| !matches!(row.verdict, Verdict::Unchanged | Verdict::Repeated(_));
        let mut rows: Vec<&sheet::Row> = judged.rows.iter().filter(worth).collect();
        rows.sort_by_key(|row| (!matches!(row.verdict, Verdict::Bad(_)), row.line));
        let next = from.saturating_add(SHOWN);
        Self {
            version: found.version.clone(),
            until: view::full(found.until),
            bad: count("bad"),
            changes: judged.changes(),
            removals: count("unassign"),
            held: judged.held,
            licences: judged.licences.map(|fault| (fault.happened(), fault.todo())),
            clean: judged.clean(),
            next: (rows.len() > next).then_some(next),
            rows: rows.into_iter().skip(from).take(SHOWN).map(|row| Row::of(row, found)).collect(),
            counts,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    pub(crate) from: usize,
}

pub(crate) async fn preview(
    State(app): State<Arc<App>>,
    nonce: Nonce,
    inside: InAccount,
    path: Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Response, Fault> {
    let Path((_, import)) = path;
    let stands = match work::look(&app, &inside, id(&import)?).await? {
        Stands::Saved(at, count) => Shown::Saved(view::full(at), count),
        Stands::Waits(found) => Shown::Waits(Box::new(Preview::of(&found, asked.from))),
    };
    let (layout, name) = (Layout::inside(&nonce, &inside, "users"), inside.account.name.clone());
    html(&PreviewPage { layout, name, import, stands })
}

/// The preview that was seen, and whether many removals are meant.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirm {
    version: String,
    #[serde(default)]
    removals: Option<String>,
}

pub(crate) async fn confirm(
    State(app): State<Arc<App>>,
    inside: InAccount,
    path: Path<(String, String)>,
    Form(form): Form<Confirm>,
) -> Result<Response, Fault> {
    let Path((_, import)) = path;
    let id = id(&import)?;
    work::confirm(&app, &inside, id, (&form.version, form.removals.as_deref() == Some("meant"))).await?;
    Ok(see_other(&format!("/accounts/{}/imports/{id}", inside.account.name)))
}
