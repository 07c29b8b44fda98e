//! The admin consent endpoints, v2 and v1.

use super::errors::LoginError;
use super::front::{Choice, Front, Stop, problem, refusal};
use super::people::{self, Person};
use super::redirect::Mode;
use super::scopes::Scopes;
use super::{Asked, client, pages};
use crate::clock::Now;
use crate::model::roles;
use crate::reply::Reply;
use crate::state::State;
use crate::util::lock;

/// Which of the two endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

/// Answers a request of the browser: the page with the permissions, or the way back to the application.
pub(crate) fn answer(state: &State, asked: &Asked<'_>, tenant: &str, version: Version, now: Now) -> Reply {
    let front = match Front::read(state, asked, tenant) {
        Ok(front) => front,
        Err(error) => return problem(&error, asked, now),
    };
    match step(state, asked, &front, version, now) {
        Ok(reply) => reply,
        Err(Stop::Again(error)) => {
            let wanted = wanted(asked, &front, version).unwrap_or_default();
            pages::consent(state, asked, &front, &wanted, Some(&error))
        }
        Err(Stop::Back(mut error)) => {
            if version == Version::V1 {
                "permission_denied".clone_into(&mut error.error);
            }
            let mut fields = refusal(&error, asked, now);
            if version == Version::V2 {
                // documented: the refusal of the v2 endpoint says this as well
                fields.push(("admin_consent", "True".to_owned()));
            }
            front.back(Mode::Query, fields)
        }
    }
}

fn step(state: &State, asked: &Asked<'_>, front: &Front, version: Version, now: Now) -> Result<Reply, Stop> {
    let wanted = wanted(asked, front, version).map_err(Stop::Back)?;
    if let Some(error) = &asked.change.error {
        return Err(Stop::Back(error.clone()));
    }
    let person = match &front.choice {
        Choice::None => return Ok(pages::consent(state, asked, front, &wanted, None)),
        Choice::Deny => {
            let text = "User declined to consent to access the app.";
            return Err(Stop::Back(LoginError::new(400, "consent_required", 65_004, text)));
        }
        Choice::Person(text) => people::find(state, front.place, text).map_err(Stop::Again)?,
    };
    if !person.enabled {
        return Err(Stop::Again(people::blocked()));
    }
    if !roles::may_consent(&person.roles) {
        let text = format!(
            "{} needs permission to access resources in your organization that only an administrator can grant.",
            front.app.spec.display_name
        );
        return Err(Stop::Back(LoginError::new(400, "consent_required", 90_094, text)));
    }
    give(state, asked, front, &wanted, &person, now).map_err(Stop::Back)?;
    let tid = asked.change.consent.tenant.unwrap_or(person.tid);
    let mut fields = vec![("admin_consent", "True".to_owned()), ("tenant", tid.to_string())];
    if version == Version::V2 {
        fields.push(("scope", front.param("scope").unwrap_or_default().to_owned()));
    }
    Ok(front.back(Mode::Query, fields))
}

/// What is asked for: `scope`, and the v1 endpoint, which has none, means what the registration names.
fn wanted(asked: &Asked<'_>, front: &Front, version: Version) -> Result<Scopes, LoginError> {
    let mut scopes = match version {
        Version::V1 => Scopes { default: true, ..Scopes::default() },
        Version::V2 => Scopes::parse(client::required(&front.params, "scope")?, asked.host)?,
    };
    if scopes.default {
        scopes.graph.extend(front.app.spec.scopes.iter().cloned());
    }
    Ok(scopes)
}

/// Grants, each part in its time.
fn give(
    state: &State,
    asked: &Asked<'_>,
    front: &Front,
    wanted: &Scopes,
    person: &Person,
    now: Now,
) -> Result<(), LoginError> {
    let change = &asked.change.consent;
    let tid = change.tenant.unwrap_or(person.tid);
    let gone = || LoginError::request(90_002, format!("Tenant '{tid}' not found."));
    let tenant = state.tenant(tid).ok_or_else(gone)?;
    let settings = state.settings();
    let mut landing = settings.landing;
    landing.permissions_ms = change.permissions_ms.unwrap_or(landing.permissions_ms);
    let spec = &front.app.spec;
    let mut roles = if wanted.default { spec.wanted_roles() } else { Vec::new() };
    roles.retain(|role| !change.without_roles.contains(role));
    let mut tenant = lock(&tenant);
    tenant.grant(spec.app_id, roles, wanted.graph.clone(), landing, now);
    tenant.advance(now, &settings);
    Ok(())
}
