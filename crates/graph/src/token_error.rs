//! Why Microsoft login gave no token, and whose business that is.

use std::time::Duration;

use azure_core::error::ErrorKind;
use azure_core::http::headers::HeaderName;
use serde::Deserialize;
use thiserror::Error;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::circuit::HostAway;
use crate::retry_after::{self, Wait};

/// Whose business a missing token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenErrorKind {
    /// The tenant has no grant for the app: never consented, taken back, or not yet replicated.
    Grant,
    /// Our own credential: every tenant is affected, no customer has done anything.
    OwnCredential,
    /// The tenant's conditional access keeps us out.
    Policy,
    /// There is no such tenant.
    TenantGone,
    /// Passing trouble: try later.
    Transient,
    /// The token is for another tenant than asked; it was thrown away.
    WrongTenant,
    /// The token of the person who signed in is over; only a new sign-in helps.
    SignInOver,
    /// Not understood: try later, and never disconnect anybody because of it.
    Other,
}

/// A failed token request.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Microsoft login refused.
    #[error("Microsoft login answered {status} {error} {codes:?}")]
    Refused {
        /// Whose business it is.
        kind: TokenErrorKind,
        /// HTTP status.
        status: u16,
        /// OAuth error, for example `invalid_client`.
        error: String,
        /// The numbers behind `AADSTS`.
        codes: Vec<u32>,
        /// Microsoft's mark of the request.
        trace_id: Option<String>,
    },
    /// Microsoft login could not be reached, or broke off.
    #[error("Microsoft login could not be reached")]
    Unreachable(#[source] azure_core::Error),
    /// Microsoft login is left alone, because it could not be reached before.
    #[error("no token was asked for")]
    HostAway(#[source] HostAway),
    /// Microsoft login asks to wait, or the wait that it asked for is not over.
    #[error("Microsoft login asks to wait {} s", .retry_after.as_secs())]
    Throttled {
        /// How long from now; nothing where it did not say.
        retry_after: Duration,
        /// Whether it asked for more than an hour.
        parked: bool,
    },
    /// No answer in time.
    #[error("Microsoft login did not answer in time")]
    Timeout,
    /// Our own credential cannot be read or cannot sign.
    #[error("the app's own credential cannot be used")]
    OwnCredential(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer, or the token in it, cannot be read.
    #[error("the answer of Microsoft login cannot be read")]
    Unreadable,
    /// The token of the person who signed in has run out, or was rejected.
    #[error("the sign-in is over: its token has run out or was rejected")]
    SignInOver,
    /// The token is for another tenant than asked.
    #[error("Microsoft login gave a token of tenant {got} instead of {asked}")]
    WrongTenant {
        /// The tenant asked for.
        asked: Uuid,
        /// The tenant of the token.
        got: String,
    },
}

impl TokenError {
    /// Whose business it is.
    #[must_use]
    pub fn kind(&self) -> TokenErrorKind {
        match self {
            Self::Refused { kind, .. } => *kind,
            Self::OwnCredential(_) => TokenErrorKind::OwnCredential,
            // a proxy's page in place of an answer is passing trouble as well
            Self::Unreachable(_)
            | Self::HostAway(_)
            | Self::Throttled { .. }
            | Self::Timeout
            | Self::Unreadable => TokenErrorKind::Transient,
            Self::WrongTenant { .. } => TokenErrorKind::WrongTenant,
            Self::SignInOver => TokenErrorKind::SignInOver,
        }
    }

    /// From the error of `azure_core`; an HTTP date in it is measured against `now` where the answer has no date.
    pub(crate) fn from_azure(error: azure_core::Error, now: OffsetDateTime) -> Self {
        match innermost(&error).kind() {
            ErrorKind::HttpResponse { status, error_code, raw_response } => {
                let body: Body = raw_response
                    .as_ref()
                    .and_then(|raw| serde_json::from_slice(raw.body().as_ref()).ok())
                    .unwrap_or_default();
                let mut codes = body.error_codes;
                if codes.is_empty() {
                    codes = error_code
                        .as_deref()
                        .unwrap_or_default()
                        .split(',')
                        .filter_map(|code| code.trim().parse().ok())
                        .collect();
                }
                let status = u16::from(*status);
                let header = |name: &'static str| {
                    let headers = raw_response.as_ref().map(|raw| raw.headers());
                    headers.and_then(|headers| headers.get_optional_string(&HeaderName::from_static(name)))
                };
                let wait =
                    retry_after::parse(header("retry-after").as_deref(), header("date").as_deref(), now);
                if status == 429 || (status >= 500 && wait.is_some()) {
                    let Wait { delay, parked } =
                        wait.unwrap_or(Wait { delay: Duration::ZERO, parked: false });
                    return Self::Throttled { retry_after: delay, parked };
                }
                Self::Refused {
                    kind: classify(status, &body.error, &codes),
                    status,
                    error: body.error,
                    codes,
                    trace_id: body.trace_id,
                }
            }
            ErrorKind::Io | ErrorKind::Connection => Self::Unreachable(error),
            _ => Self::Unreadable,
        }
    }
}

/// Digs the cause out of the two layers of `azure_core` errors.
pub(crate) fn innermost(error: &azure_core::Error) -> &azure_core::Error {
    error.downcast_ref::<azure_core::Error>().unwrap_or(error)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    error: String,
    error_codes: Vec<u32>,
    trace_id: Option<String>,
}

/// Microsoft warns that numbers may change, so the OAuth error and the status decide; the small table of numbers tells
/// apart what shares an error, above all the `invalid_client` of a tenant that has taken its consent back from that of
/// our own credential. Numbers that speak of a person's sign-in, or of a mistake of our own request, are not understood
/// here: nobody is disconnected because of them (Entra "error codes" reference).
fn classify(status: u16, error: &str, codes: &[u32]) -> TokenErrorKind {
    use TokenErrorKind::{Grant, Other, OwnCredential, Policy, TenantGone, Transient};
    if matches!(status, 408 | 429 | 500..) || error == "temporarily_unavailable" {
        return Transient;
    }
    let known = codes.iter().find_map(|code| match code {
        90033 | 90055 | 90024 | 50033 => Some(Transient),
        90002 => Some(TenantGone),
        53003 | 530_032 => Some(Policy),
        700_016 | 7_000_229 | 7_000_112 | 65001 | 650_056 | 650_057 | 90094 | 90095 => Some(Grant),
        7_000_215 | 7_000_222 | 700_027 | 700_024 | 700_030 | 70021 => Some(OwnCredential),
        _ => None,
    });
    known.unwrap_or(match error {
        "unauthorized_client" | "consent_required" | "interaction_required" => Grant,
        "invalid_client" => OwnCredential,
        _ => Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use TokenErrorKind::{Grant, Other, OwnCredential, Policy, TenantGone, Transient};

    /// Every number that Microsoft documents for what can happen here, with the error and the status it comes with.
    const DOCUMENTED: [(u32, &str, u16, TokenErrorKind); 37] = [
        (65001, "invalid_grant", 400, Grant),
        (65004, "access_denied", 400, Other),
        (650_056, "invalid_client", 401, Grant),
        (650_057, "invalid_resource", 400, Grant),
        (700_016, "unauthorized_client", 400, Grant),
        (7_000_229, "invalid_client", 401, Grant),
        (7_000_112, "unauthorized_client", 400, Grant),
        (500_011, "invalid_resource", 400, Other),
        (90002, "invalid_request", 400, TenantGone),
        (7_000_215, "invalid_client", 401, OwnCredential),
        (7_000_222, "invalid_client", 401, OwnCredential),
        (700_027, "invalid_client", 401, OwnCredential),
        (700_024, "invalid_client", 401, OwnCredential),
        (700_030, "invalid_client", 401, OwnCredential),
        (70021, "invalid_request", 400, OwnCredential),
        (90094, "invalid_grant", 400, Grant),
        (90095, "invalid_grant", 400, Grant),
        (50011, "invalid_request", 400, Other),
        (50194, "invalid_request", 400, Other),
        (50020, "invalid_grant", 400, Other),
        (50076, "invalid_grant", 400, Other),
        (50079, "invalid_grant", 400, Other),
        (53003, "invalid_grant", 400, Policy),
        (530_032, "invalid_grant", 400, Policy),
        (50173, "invalid_grant", 400, Other),
        (700_082, "invalid_grant", 400, Other),
        (70008, "invalid_grant", 400, Other),
        (70043, "invalid_grant", 400, Other),
        (54005, "invalid_grant", 400, Other),
        (501_481, "invalid_grant", 400, Other),
        (70011, "invalid_scope", 400, Other),
        (900_144, "invalid_request", 400, Other),
        (90033, "temporarily_unavailable", 503, Transient),
        (90055, "invalid_request", 400, Transient),
        (90024, "invalid_request", 400, Transient),
        (50033, "invalid_request", 400, Transient),
        (123_456, "something_new", 400, Other),
    ];

    #[test]
    fn f47_every_documented_number() {
        for (code, error, status, expected) in DOCUMENTED {
            assert_eq!(classify(status, error, &[code]), expected, "{error} {code}");
            // whatever else is wrong with it: while login itself stumbles nothing is known
            assert_eq!(classify(503, error, &[code]), Transient, "{error} {code}");
        }
    }

    #[test]
    fn f47_without_a_number_the_error_decides() {
        for (status, error, expected) in [
            (400, "unauthorized_client", Grant),
            (400, "consent_required", Grant),
            (400, "interaction_required", Grant),
            (401, "invalid_client", OwnCredential),
            (400, "invalid_grant", Other),
            (400, "temporarily_unavailable", Transient),
            (429, "", Transient),
            (408, "", Transient),
            (500, "", Transient),
            (400, "", Other),
        ] {
            for codes in [&[][..], &[123_456]] {
                assert_eq!(classify(status, error, codes), expected, "{error} {codes:?}");
            }
        }
    }
}
