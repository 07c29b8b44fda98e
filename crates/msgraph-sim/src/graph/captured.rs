//! Error bodies as public logs of Graph show them, by name.

use serde::{Deserialize, Serialize};

use super::errors::GraphError;

/// A captured error body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Captured {
    /// 400 of a path level without a route.
    BadRequest,
    /// 403 of Teams: code `forbidden`, the message names the permissions that would do.
    ForbiddenLower,
    /// 403 of Teams: code `UnknownError`, the message is a JSON document with `Forbidden`.
    ForbiddenNested,
    /// 404 of Teams: code `UnknownError`, the message is a JSON document with `NotFound`.
    NotFoundNested,
    /// 404 of Teams in plain words.
    NotFoundPlain,
    /// 400 that means a busy backend.
    #[serde(rename = "service_unavailable_400")]
    ServiceUnavailable400,
    /// 401 of the directory.
    InvalidAuthenticationToken,
    /// 401 with the claims challenge of continuous access evaluation.
    ClaimsChallenge,
    /// 403 of the directory.
    AuthorizationRequestDenied,
    /// 404 of the directory.
    ResourceNotFound,
    /// 400 of the directory.
    RequestBadRequest,
    /// 400 of a query that needs the advanced engine.
    UnsupportedQuery,
    /// 409.
    Conflict,
    /// 410 of a delta token.
    SyncStateNotFound,
    /// 410 of a delta token, in the other word.
    ResyncRequired,
    /// 429 without `Retry-After`.
    TooManyRequests,
    /// 404 with `innererror` in small letters and a nested code.
    InnererrorLower,
    /// 400: the number belongs to somebody else.
    NumberTaken,
    /// 400: no phone licence.
    NoLicence,
    /// 400: the line is set in the on-premises directory.
    OnPremises,
    /// 400: the tenant does not own the number.
    NumberNotFound,
    /// 400: no form accepts the number.
    MalformedNumber,
    /// 502 of a proxy.
    BadGateway,
    /// 503.
    ServiceUnavailable,
    /// 504.
    GatewayTimeout,
    /// 509: too much bandwidth.
    BandwidthLimitExceeded,
}

impl Captured {
    pub(crate) fn error(self, action: &'static str) -> GraphError {
        let number = "+12125550101";
        match self {
            Self::BadRequest => GraphError::bad_request("No backend route for this path."),
            Self::ForbiddenLower => GraphError::forbidden(
                true,
                &["TeamsTelephoneNumber.Read.All", "TeamsTelephoneNumber.ReadWrite.All"],
                action,
            ),
            Self::ForbiddenNested => GraphError::access_denied(action),
            Self::NotFoundNested => {
                GraphError::teams_not_found("The requested resource was not found.", action)
            }
            Self::NotFoundPlain => GraphError::new(404, "NotFound", "The requested resource was not found."),
            Self::ServiceUnavailable400 => {
                GraphError::bad_request("Service is unavailable. Please try again.")
            }
            Self::InvalidAuthenticationToken => {
                GraphError::unauthenticated("Access token has expired or is not yet valid.")
            }
            Self::ClaimsChallenge => GraphError::revoked(1_785_000_000),
            Self::AuthorizationRequestDenied => GraphError::standard(403),
            Self::ResourceNotFound => GraphError::no_object("0a0a0a0a-1111-4222-8333-444444444499"),
            Self::RequestBadRequest => GraphError::directory_bad_request("Invalid filter clause."),
            Self::UnsupportedQuery => {
                GraphError::unsupported("Unsupported or invalid query filter clause specified.")
            }
            Self::Conflict => GraphError::standard(409),
            Self::SyncStateNotFound => {
                GraphError::new(410, "syncStateNotFound", "The sync state generation is not found.")
            }
            Self::ResyncRequired => {
                GraphError::new(410, "resyncRequired", "Resync required. Replace any local items.")
            }
            Self::TooManyRequests => GraphError::standard(429),
            Self::InnererrorLower => {
                GraphError::lower(404, "NotFound", "The requested resource was not found.")
            }
            Self::NumberTaken => GraphError::bad_request(format!(
                "Telephone Number '{number}' has already been assigned to another user"
            )),
            Self::NoLicence => GraphError::bad_request(
                "User 'ana@contoso.example' lacks appropriate licenses to assign a 'DirectRouting' number.",
            ),
            Self::OnPremises => GraphError::bad_request(
                "The telephone number of user 'ana@contoso.example' is set in the on-premises directory and cannot be \
                 changed online.",
            ),
            Self::NumberNotFound => {
                GraphError::bad_request(format!("Telephone Number '{number}' is not found from tenant."))
            }
            Self::MalformedNumber => GraphError::bad_request("Invalid DirectRoutingTelephoneNumber 'x1001'."),
            Self::BadGateway => GraphError::standard(502),
            Self::ServiceUnavailable => GraphError::standard(503),
            Self::GatewayTimeout => GraphError::standard(504),
            Self::BandwidthLimitExceeded => {
                GraphError::new(509, "BandwidthLimitExceeded", "The bandwidth limit was exceeded.")
            }
        }
    }
}
