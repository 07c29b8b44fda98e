//! The table of routes. The router is built from it, and tests walk it: each entry says what it does in the words of the
//! role table, and the guard in front of it lets nobody past who may not.

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::routing::{MethodRouter, get, post, put};
use axum::{Router, middleware};
use tandem_domain::roles::Act;

use crate::sheet::FILE_BYTES;
use crate::{App, api, assets, guard, pages, sign_in};

/// Who gets past the guard of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody: signing in, and files that hold nothing of anybody's.
    Open,
    /// Whoever is signed in and may do this somewhere.
    Person(Act),
    /// Whoever may do this in the account that the path names.
    Account(Act),
}

/// Where files come in: the form is read as it comes, and its mark is compared there, before the file is read.
pub(crate) const UPLOAD: &str = "/accounts/{account}/imports";
/// What an upload has beside the file.
const AROUND_A_FILE: usize = 4096;

/// One route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `GET`, `POST` or, for the API alone, `PUT`.
    pub method: &'static str,
    /// The path, as the router takes it.
    pub path: &'static str,
    /// Who gets in.
    pub access: Access,
}

type Serve = MethodRouter<Arc<App>>;

fn entry(method: &'static str, path: &'static str, access: Access, serve: Serve) -> (Entry, Serve) {
    (Entry { method, path, access }, serve)
}

fn all() -> Vec<(Entry, Serve)> {
    use Access::{Account, Open, Person};
    let get_ = |path, access, serve| entry("GET", path, access, serve);
    let post_ = |path, access, serve| entry("POST", path, access, serve);
    let put_ = |path, access, serve| entry("PUT", path, access, serve);
    vec![
        get_("/assets/style.css", Open, get(assets::style)),
        get_("/assets/htmx.js", Open, get(assets::htmx)),
        get_("/assets/sse.js", Open, get(assets::sse)),
        get_("/assets/live.js", Open, get(assets::live)),
        get_("/sign-in", Open, get(pages::sign_in::page)),
        post_("/sign-in/{issuer}", Open, post(sign_in::begin)),
        get_("/signed-in/{issuer}", Open, get(sign_in::back)),
        get_("/signed-out", Open, get(pages::sign_in::signed_out)),
        get_("/embed/{account}", Open, get(pages::embed::page)),
        post_("/sign-out", Person(Act::ListAccounts), post(sign_in::sign_out)),
        get_("/", Person(Act::ListAccounts), get(pages::accounts::home)),
        get_("/accounts", Person(Act::ListAccounts), get(pages::accounts::page)),
        get_("/fleet", Person(Act::SeeFleet), get(pages::fleet::page)),
        get_("/fleet/live", Person(Act::SeeFleet), get(pages::fleet::live)),
        get_("/fleet/detector", Person(Act::SeeDetector), get(pages::detector::page)),
        post_("/fleet/pause", Person(Act::Pause), post(pages::pause::fleet)),
        post_("/accounts/{account}/pause", Account(Act::Pause), post(pages::pause::account)),
        get_("/provider/accounts", Person(Act::SeeFleet), get(pages::provider::new)),
        post_("/provider/accounts", Person(Act::CreateAccount), post(pages::provider::create)),
        get_(
            "/accounts/{account}/administration",
            Account(Act::SeeAdministration),
            get(pages::provider::page),
        ),
        post_(
            "/accounts/{account}/administration/licences",
            Account(Act::SetLicences),
            post(pages::provider::licences),
        ),
        post_(
            "/accounts/{account}/administration/source",
            Account(Act::BindSource),
            post(pages::provider::source),
        ),
        post_(
            "/accounts/{account}/administration/invitation",
            Account(Act::InviteAdmin),
            post(pages::provider::invitation),
        ),
        post_(
            "/accounts/{account}/administration/removal",
            Account(Act::RemoveIntegration),
            post(pages::provider::remove),
        ),
        get_("/accounts/{account}", Account(Act::SeeOverview), get(pages::overview::page)),
        get_("/accounts/{account}/live", Account(Act::SeeOverview), get(pages::overview::part)),
        get_("/accounts/{account}/events", Account(Act::SeeOverview), get(pages::overview::events)),
        get_("/accounts/{account}/enter", Account(Act::EnterAccount), get(pages::enter::page)),
        post_("/accounts/{account}/enter", Account(Act::EnterAccount), post(pages::enter::enter)),
        post_("/accounts/{account}/sync", Account(Act::SyncStored), post(pages::sync::stored)),
        post_("/accounts/{account}/sync/manual", Account(Act::SyncSignedIn), post(pages::sync::manual)),
        get_("/accounts/{account}/users", Account(Act::SeeUsers), get(pages::users::page)),
        get_("/accounts/{account}/users.csv", Account(Act::SeeUsers), get(pages::imports::export)),
        get_(UPLOAD, Account(Act::SaveMapping), get(pages::imports::page)),
        post_(
            UPLOAD,
            Account(Act::SaveMapping),
            post(pages::imports::upload).layer(DefaultBodyLimit::max(FILE_BYTES + AROUND_A_FILE)),
        ),
        get_("/accounts/{account}/imports/{import}", Account(Act::SaveMapping), get(pages::imports::preview)),
        post_(
            "/accounts/{account}/imports/{import}",
            Account(Act::SaveMapping),
            post(pages::imports::confirm),
        ),
        get_("/accounts/{account}/users/{user}", Account(Act::SeeUsers), get(pages::user::page)),
        post_("/accounts/{account}/users/{user}/sync", Account(Act::SyncStored), post(pages::user::sync)),
        get_(
            "/accounts/{account}/users/{user}/mapping",
            Account(Act::SaveMapping),
            get(pages::mapping::page),
        ),
        post_(
            "/accounts/{account}/users/{user}/mapping",
            Account(Act::SaveMapping),
            post(pages::mapping::save),
        ),
        get_("/accounts/{account}/proposals", Account(Act::SaveMapping), get(pages::mapping::proposals)),
        post_("/accounts/{account}/proposals", Account(Act::SaveMapping), post(pages::mapping::accept)),
        get_("/accounts/{account}/jobs", Account(Act::SeeJobs), get(pages::jobs::page)),
        get_("/accounts/{account}/jobs/{job}", Account(Act::SeeJobs), get(pages::job::page)),
        get_("/accounts/{account}/jobs/{job}/live", Account(Act::SeeJobs), get(pages::job::part)),
        get_("/accounts/{account}/jobs/{job}/events", Account(Act::SeeJobs), get(pages::job::events)),
        get_("/accounts/{account}/jobs/{job}/replay", Account(Act::Replay), get(pages::again::page)),
        post_("/accounts/{account}/jobs/{job}/replay", Account(Act::Replay), post(pages::again::replay)),
        post_("/accounts/{account}/jobs/{job}/undo", Account(Act::Undo), post(pages::again::preview)),
        post_("/accounts/{account}/jobs/{job}/undo/{request}", Account(Act::Undo), post(pages::again::undo)),
        get_("/accounts/{account}/jobs/{job}/cancel", Account(Act::Cancel), get(pages::again::before_cancel)),
        post_("/accounts/{account}/jobs/{job}/cancel", Account(Act::Cancel), post(pages::again::cancel)),
        get_(
            "/accounts/{account}/jobs/{job}/bundle",
            Account(Act::SupportBundle),
            get(pages::job::support_bundle),
        ),
        get_("/accounts/{account}/held", Account(Act::SeeJobs), get(pages::held::page)),
        post_(
            "/accounts/{account}/held/{held}/approve",
            Account(Act::DecideHeld),
            post(pages::held::approve),
        ),
        post_("/accounts/{account}/held/{held}/reject", Account(Act::DecideHeld), post(pages::held::reject)),
        post_("/accounts/{account}/previews", Account(Act::SyncStored), post(pages::request::preview)),
        get_("/accounts/{account}/requests/{request}", Account(Act::SeeJobs), get(pages::request::page)),
        get_("/accounts/{account}/requests/{request}/live", Account(Act::SeeJobs), get(pages::request::part)),
        get_(
            "/accounts/{account}/requests/{request}/events",
            Account(Act::SeeJobs),
            get(pages::request::events),
        ),
        post_(
            "/accounts/{account}/requests/{request}/run",
            Account(Act::SyncStored),
            post(pages::request::run),
        ),
        get_("/accounts/{account}/settings", Account(Act::SeeSettings), get(pages::settings::page)),
        post_(
            "/accounts/{account}/settings/next-gen",
            Account(Act::SwitchNextGen),
            post(pages::settings::next_gen),
        ),
        post_(
            "/accounts/{account}/settings/auto-sync",
            Account(Act::SwitchAutoSync),
            post(pages::settings::auto_sync),
        ),
        post_(
            "/accounts/{account}/settings/windows",
            Account(Act::SaveSettings),
            post(pages::settings::windows),
        ),
        post_(
            "/accounts/{account}/settings/rules",
            Account(Act::SaveSettings),
            post(pages::settings::add_rule),
        ),
        post_(
            "/accounts/{account}/settings/rules/remove",
            Account(Act::SaveSettings),
            post(pages::settings::remove_rule),
        ),
        post_(
            "/accounts/{account}/settings/contributors",
            Account(Act::NameContributors),
            post(pages::settings::name),
        ),
        post_(
            "/accounts/{account}/settings/contributors/remove",
            Account(Act::NameContributors),
            post(pages::settings::unname),
        ),
        post_(
            "/accounts/{account}/settings/troubleshooting",
            Account(Act::SwitchTroubleshooting),
            post(pages::troubleshooting::switch),
        ),
        get_("/tokens", Person(Act::OwnTokens), get(pages::tokens::page)),
        post_("/tokens", Person(Act::OwnTokens), post(pages::tokens::make)),
        post_("/tokens/{token}/revoke", Person(Act::OwnTokens), post(pages::tokens::revoke)),
        get_("/fleet/jobs", Person(Act::SeeFleet), get(pages::fleet_jobs::page)),
        get_("/fleet/bulk", Person(Act::SeeFleet), get(pages::bulk::list)),
        post_("/fleet/bulk", Person(Act::BulkReplay), post(pages::bulk::make)),
        get_("/fleet/bulk/new", Person(Act::SeeFleet), get(pages::bulk::new)),
        get_("/fleet/bulk/{bulk}", Person(Act::SeeFleet), get(pages::bulk::page)),
        get_("/fleet/bulk/{bulk}/live", Person(Act::SeeFleet), get(pages::bulk::live)),
        post_("/fleet/bulk/{bulk}/abort", Person(Act::BulkReplay), post(pages::bulk::abort)),
        get_("/accounts/{account}/mail", Account(Act::SeeMail), get(pages::mail::page)),
        post_("/accounts/{account}/mail/calendar", Account(Act::SaveMail), post(pages::mail::calendar)),
        post_("/accounts/{account}/mail/recipients", Account(Act::SaveMail), post(pages::mail::add)),
        post_(
            "/accounts/{account}/mail/recipients/remove",
            Account(Act::SaveMail),
            post(pages::mail::remove),
        ),
        post_("/accounts/{account}/mail/test", Account(Act::SaveMail), post(pages::mail::test)),
        get_("/api/v1/openapi.json", Open, get(api::document)),
        get_("/api/v1/me", Person(Act::ListAccounts), get(api::accounts::me)),
        get_("/api/v1/accounts", Person(Act::ListAccounts), get(api::accounts::list)),
        get_("/api/v1/fleet", Person(Act::SeeFleet), get(api::fleet::fleet)),
        get_("/api/v1/fleet/failures", Person(Act::SeeFleet), get(api::fleet::failures)),
        get_("/api/v1/fleet/detector", Person(Act::SeeDetector), get(api::detector::log)),
        post_("/api/v1/fleet/pause", Person(Act::Pause), post(api::pauses::fleet)),
        post_("/api/v1/accounts/{account}/pause", Account(Act::Pause), post(api::pauses::account)),
        post_("/api/v1/accounts", Person(Act::CreateAccount), post(api::provider::create)),
        get_(
            "/api/v1/accounts/{account}/administration",
            Account(Act::SeeAdministration),
            get(api::provider::read),
        ),
        post_(
            "/api/v1/accounts/{account}/administration/licences",
            Account(Act::SetLicences),
            post(api::provider::licences),
        ),
        post_(
            "/api/v1/accounts/{account}/administration/source",
            Account(Act::BindSource),
            post(api::provider::source),
        ),
        post_(
            "/api/v1/accounts/{account}/administration/invitation",
            Account(Act::InviteAdmin),
            post(api::provider::invitation),
        ),
        post_(
            "/api/v1/accounts/{account}/administration/removal",
            Account(Act::RemoveIntegration),
            post(api::provider::remove),
        ),
        get_("/api/v1/accounts/{account}", Account(Act::SeeOverview), get(api::accounts::one)),
        get_("/api/v1/accounts/{account}/jobs", Account(Act::SeeJobs), get(api::jobs::list)),
        get_("/api/v1/accounts/{account}/jobs/{job}", Account(Act::SeeJobs), get(api::jobs::one)),
        get_("/api/v1/accounts/{account}/jobs/{job}/steps", Account(Act::SeeJobs), get(api::jobs::steps)),
        post_("/api/v1/accounts/{account}/jobs/{job}/replay", Account(Act::Replay), post(api::acts::replay)),
        post_("/api/v1/accounts/{account}/jobs/{job}/undo", Account(Act::Undo), post(api::acts::undo)),
        post_(
            "/api/v1/accounts/{account}/jobs/{job}/undo-preview",
            Account(Act::Undo),
            post(api::acts::undo_preview),
        ),
        post_("/api/v1/accounts/{account}/jobs/{job}/cancel", Account(Act::Cancel), post(api::acts::cancel)),
        get_(
            "/api/v1/accounts/{account}/jobs/{job}/bundle",
            Account(Act::SupportBundle),
            get(api::jobs::bundle),
        ),
        get_("/api/v1/accounts/{account}/jobs/{job}/log", Account(Act::SeeJobs), get(api::jobs::log)),
        get_("/api/v1/accounts/{account}/held", Account(Act::SeeJobs), get(api::requests::held)),
        post_(
            "/api/v1/accounts/{account}/held/{held}/approve",
            Account(Act::DecideHeld),
            post(api::acts::approve),
        ),
        post_(
            "/api/v1/accounts/{account}/held/{held}/reject",
            Account(Act::DecideHeld),
            post(api::acts::reject),
        ),
        post_("/api/v1/accounts/{account}/previews", Account(Act::SyncStored), post(api::acts::preview)),
        post_(
            "/api/v1/accounts/{account}/previews/{preview}/run",
            Account(Act::SyncStored),
            post(api::acts::run),
        ),
        get_(
            "/api/v1/accounts/{account}/requests/{request}",
            Account(Act::SeeJobs),
            get(api::requests::request),
        ),
        get_("/api/v1/accounts/{account}/settings", Account(Act::SeeSettings), get(api::settings::read)),
        put_("/api/v1/accounts/{account}/settings", Account(Act::SaveSettings), put(api::settings::save)),
        get_("/api/v1/accounts/{account}/mail", Account(Act::SeeMail), get(api::mail::read)),
        post_("/api/v1/accounts/{account}/mail/calendar", Account(Act::SaveMail), post(api::mail::calendar)),
        post_("/api/v1/accounts/{account}/mail/recipients", Account(Act::SaveMail), post(api::mail::add)),
        post_(
            "/api/v1/accounts/{account}/mail/recipients/remove",
            Account(Act::SaveMail),
            post(api::mail::remove),
        ),
        post_("/api/v1/accounts/{account}/mail/test", Account(Act::SaveMail), post(api::mail::test)),
        post_("/api/v1/accounts/{account}/syncs", Account(Act::SyncStored), post(api::syncs::ask)),
        get_("/api/v1/accounts/{account}/users", Account(Act::SeeUsers), get(api::users::list)),
        get_("/api/v1/accounts/{account}/users.csv", Account(Act::SeeUsers), get(api::imports::export)),
        post_(
            "/api/v1/accounts/{account}/imports",
            Account(Act::SaveMapping),
            post(api::imports::upload).layer(DefaultBodyLimit::max(FILE_BYTES)),
        ),
        get_(
            "/api/v1/accounts/{account}/imports/{import}",
            Account(Act::SaveMapping),
            get(api::imports::preview),
        ),
        post_(
            "/api/v1/accounts/{account}/imports/{import}",
            Account(Act::SaveMapping),
            post(api::imports::confirm),
        ),
        get_("/api/v1/accounts/{account}/users/{user}", Account(Act::SeeUsers), get(api::users::one)),
        put_(
            "/api/v1/accounts/{account}/users/{user}/mapping",
            Account(Act::SaveMapping),
            put(api::users::save),
        ),
        post_(
            "/api/v1/accounts/{account}/users/{user}/syncs",
            Account(Act::SyncStored),
            post(api::users::sync),
        ),
        get_(
            "/api/v1/accounts/{account}/microsoft-users",
            Account(Act::SaveMapping),
            get(api::proposals::microsoft),
        ),
        get_("/api/v1/accounts/{account}/proposals", Account(Act::SaveMapping), get(api::proposals::list)),
        post_(
            "/api/v1/accounts/{account}/proposals",
            Account(Act::SaveMapping),
            post(api::proposals::accept),
        ),
        get_("/api/v1/jobs", Person(Act::SeeFleet), get(api::fleet_jobs::list)),
        get_("/api/v1/bulk", Person(Act::SeeFleet), get(api::bulk::list)),
        post_("/api/v1/bulk", Person(Act::BulkReplay), post(api::bulk::make).layer(long())),
        get_("/api/v1/bulk-count", Person(Act::SeeFleet), get(api::bulk::count)),
        get_("/api/v1/bulk/{bulk}", Person(Act::SeeFleet), get(api::bulk::one)),
        post_("/api/v1/bulk/{bulk}/abort", Person(Act::BulkReplay), post(api::bulk::abort)),
    ]
}

/// A thousand ids are longer than other bodies.
fn long() -> DefaultBodyLimit {
    DefaultBodyLimit::max(64 * 1024)
}

/// Every route of the portal, but for those of the crate `consent` below `/connect`.
#[must_use]
pub fn table() -> Vec<Entry> {
    all().into_iter().map(|(entry, _)| entry).collect()
}

pub(crate) fn router(app: &Arc<App>) -> Router {
    let routes = all().into_iter().fold(Router::new(), |router, (entry, serve)| {
        let guard = middleware::from_fn_with_state((Arc::clone(app), entry), guard::guard);
        router.route(entry.path, serve.route_layer(guard))
    });
    routes.with_state(Arc::clone(app))
}
