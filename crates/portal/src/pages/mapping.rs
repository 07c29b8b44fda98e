//! Choosing the Microsoft user of a PBX user, and the proposals.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use tandem_domain::ObjectId;
use tandem_domain::policy::Service;
use tandem_store::microsoft_users::MicrosoftUser;
use tandem_store::portal::proposals::Proposal;
use tandem_store::portal::users::UserRow;
use uuid::Uuid;

use super::users::{Row, microsoft};
use super::{Layout, html, see_other};
use crate::extract::{Form, Query};
use crate::fault::Fault;
use crate::frame::Nonce;
use crate::guard::InAccount;
use crate::work::users::{self as work, Target};
use crate::{App, view};

#[derive(Template)]
#[template(path = "mapping.html")]
pub(crate) struct MappingPage {
    pub(crate) layout: Layout,
    pub(crate) name: String,
    pub(crate) row: Row,
    /// What the save is made from.
    pub(crate) version: String,
    pub(crate) search: String,
    pub(crate) mapped: bool,
    pub(crate) app: bool,
    pub(crate) choices: Vec<Choice>,
}

/// A Microsoft user to choose.
pub(crate) struct Choice {
    pub(crate) oid: String,
    pub(crate) upn: String,
    pub(crate) name: String,
    pub(crate) chosen: bool,
    /// Why it cannot be chosen.
    pub(crate) refused: Option<String>,
}

impl Choice {
    pub(crate) fn of(user: &MicrosoftUser, row: &UserRow) -> Self {
        let chosen = row.mapping.as_ref().is_some_and(|mapping| mapping.microsoft_user == user.oid);
        let refused = match (user.why_not, user.gone_at, &user.mapped_to) {
            (Some(why), ..) => Some(why.text().to_owned()),
            (None, Some(since), _) => Some(format!("is gone since {}", view::full(since))),
            (None, None, Some(other)) if *other != row.user => Some(format!("is mapped to {other}")),
            _ => None,
        };
        Self {
            oid: user.oid.to_string(),
            upn: view::short(&user.upn),
            name: user.display_name.as_deref().map(view::short).unwrap_or_default(),
            chosen,
            refused,
        }
    }
}

impl MappingPage {
    pub(crate) fn of(
        (layout, name): (Layout, String),
        row: &UserRow,
        (found, search): (&[MicrosoftUser], String),
        now: time::OffsetDateTime,
    ) -> Self {
        let service = row.mapping.as_ref().map(|mapping| mapping.service);
        let mut choices: Vec<Choice> = found.iter().map(|user| Choice::of(user, row)).collect();
        if let Some(mapping) = row.mapping.as_ref() {
            // the present one can stay, wherever it stands in the list and whatever it has become
            choices.retain(|choice| !choice.chosen);
            let name = row.microsoft_name.as_deref().map(view::short).unwrap_or_default();
            let upn = microsoft(row).unwrap_or_default();
            let present =
                Choice { oid: mapping.microsoft_user.to_string(), upn, name, chosen: true, refused: None };
            choices.insert(0, present);
        }
        Self {
            layout,
            name,
            version: work::version(row.mapping.as_ref()),
            search,
            mapped: row.mapping.is_some(),
            app: service == Some(Service::App),
            choices,
            row: Row::of(row, now),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    pub(crate) search: String,
}

pub(crate) async fn page(
    State(app): State<Arc<App>>,
    nonce: Nonce,
    inside: InAccount,
    path: Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Response, Fault> {
    let Path((_, user)) = path;
    let row = work::explain(&app, &inside, &work::key(&user)?).await?.row;
    let found = work::microsoft(&app, &inside, work::searched(&asked.search)?).await?;
    let frame = (Layout::inside(&nonce, &inside, "users"), inside.account.name.clone());
    html(&MappingPage::of(frame, &row, (&found, asked.search), app.clock.now()))
}

/// The choice: an object id, or `none`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Chosen {
    version: String,
    microsoft_user: String,
    service: String,
}

pub(crate) async fn save(
    State(app): State<Arc<App>>,
    inside: InAccount,
    path: Path<(String, String)>,
    Form(chosen): Form<Chosen>,
) -> Result<Response, Fault> {
    let Path((_, user)) = path;
    let user = work::key(&user)?;
    let target = match chosen.microsoft_user.as_str() {
        "none" => None,
        oid => Some(Target {
            microsoft_user: Uuid::try_parse(oid)
                .map(ObjectId)
                .map_err(|_| Fault::BadInput("microsoft_user", "is the id of a Microsoft user, or none"))?,
            service: Service::parse(&chosen.service).ok_or(Fault::BadInput("service", "is voice or app"))?,
        }),
    };
    work::save(&app, &inside, &user, &chosen.version, target).await?;
    let (name, user) = (&inside.account.name, view::segment(user.as_str()));
    Ok(see_other(&format!("/accounts/{name}/users/{user}")))
}

#[derive(Template)]
#[template(path = "proposals.html")]
pub(crate) struct ProposalsPage {
    pub(crate) layout: Layout,
    pub(crate) name: String,
    pub(crate) rows: Vec<Proposed>,
    pub(crate) version: String,
    pub(crate) total: usize,
    pub(crate) version_of_all: String,
}

/// A mapping that suggests itself.
pub(crate) struct Proposed {
    pub(crate) segment: String,
    pub(crate) label: String,
    pub(crate) extension: String,
    pub(crate) oid: String,
    pub(crate) upn: String,
}

impl Proposed {
    pub(crate) fn of(one: &Proposal) -> Self {
        let id = || one.user.to_string();
        Self {
            segment: view::segment(one.user.as_str()),
            label: one.name.as_deref().map_or_else(id, view::short),
            extension: one.extension.as_deref().map_or_else(|| "\u{2013}".to_owned(), view::short),
            oid: one.microsoft_user.to_string(),
            upn: view::short(&one.upn),
        }
    }
}

pub(crate) async fn proposals(
    State(app): State<Arc<App>>,
    nonce: Nonce,
    inside: InAccount,
) -> Result<Response, Fault> {
    let found = work::proposals(&app, &inside).await?;
    html(&ProposalsPage {
        layout: Layout::inside(&nonce, &inside, "users"),
        name: inside.account.name.clone(),
        rows: found.page.iter().map(Proposed::of).collect(),
        version: found.version,
        total: found.total,
        version_of_all: found.version_of_all,
    })
}

/// Accepts the proposals that were seen.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Accepted {
    version: String,
}

pub(crate) async fn accept(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Form(accepted): Form<Accepted>,
) -> Result<Response, Fault> {
    work::accept(&app, &inside, &accepted.version).await?;
    Ok(see_other(&format!("/accounts/{}/proposals", inside.account.name)))
}
