//! Microsoft Graph v1.0, as far as Teams Phone needs it.

pub(crate) mod auth;
pub(crate) mod call;
pub(crate) mod captured;
pub(crate) mod configurations;
pub(crate) mod deleted;
pub(crate) mod delta;
pub(crate) mod errors;
pub(crate) mod filter;
pub(crate) mod licences;
pub(crate) mod me;
pub(crate) mod numbers;
pub(crate) mod odata;
pub(crate) mod operations;
pub(crate) mod organization;
pub(crate) mod policies;
pub(crate) mod route;
pub(crate) mod users;

use call::Call;
use errors::GraphError;
use route::GraphRoute as R;

use crate::model::Tenant;
use crate::reply::Reply;

/// Answers one request; the caller has checked token and permission and carried out what was due.
pub(crate) fn answer(call: &Call<'_>, tenant: &mut Tenant) -> Result<Reply, GraphError> {
    match call.route {
        R::Organization => organization::list(call, tenant),
        R::OrganizationItem(id) => organization::get(call, tenant, id),
        R::Users => users::list(call, tenant),
        R::UsersCount => users::count(call, tenant),
        R::UsersDelta => delta::changes(call, tenant),
        R::User(id) => users::get(call, tenant, id),
        R::LicenseDetails(id) => licences::details(call, tenant, id),
        R::SubscribedSkus => licences::skus(call, tenant),
        R::Me => me::get(call, tenant),
        R::MyRoles { cast } => me::roles(call, tenant, *cast),
        R::DeletedUsers => deleted::list(call, tenant),
        R::DeletedUser(id) => deleted::get(call, tenant, id),
        R::Configurations => configurations::list(call, tenant),
        R::Configuration(id) => configurations::get(call, tenant, id),
        R::ConfigurationUser(id) => configurations::user(call, tenant, id),
        R::Numbers => numbers::list(call, tenant),
        R::Number(id) => numbers::get(call, tenant, id),
        R::AssignNumber => operations::assign(call, tenant),
        R::UnassignNumber => operations::unassign(call, tenant),
        R::UpdateNumber => numbers::update(call, tenant),
        R::Operation(id) => operations::get(call, tenant, id),
        R::PolicyId { kind, name } => policies::get_id(call, tenant, kind, name),
        R::AssignPolicy => policies::assign(call, tenant),
        R::UnassignPolicy => policies::unassign(call, tenant),
        R::NoBackend => Err(GraphError::bad_request("No backend route for this path.")),
        R::Unknown => Err(GraphError::no_segment(call.path)),
    }
}
