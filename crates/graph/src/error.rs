//! What can go wrong with a request, said so that the caller can act on it.

use std::time::Duration;

use thiserror::Error;
use uuid::Uuid;

use crate::circuit::HostAway;
use crate::refusal::Refusal;
use crate::token_error::{TokenError, TokenErrorKind};

/// The marks by which Microsoft finds a request again; kept with every write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestIds {
    /// Microsoft's own id.
    pub request_id: Option<String>,
    /// The id Tandem gave, as echoed by Microsoft or, failing that, as sent.
    pub client_request_id: Option<String>,
    /// The `Date` header of the answer.
    pub date: Option<String>,
}

/// What to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorClass {
    /// Microsoft asks to slow down, or the wait for that would outlast the caller's patience.
    Throttled {
        /// How long to wait from now on.
        retry_after: Duration,
        /// Whether Microsoft asked for more than an hour.
        parked: bool,
    },
    /// Passing trouble: try later.
    Transient,
    /// Microsoft rejects our token, also a fresh one.
    Unauthorized,
    /// A permission is missing or was taken back.
    Forbidden,
    /// Not there; for a user: perhaps not known to Teams yet.
    NotFound,
    /// Somebody else was faster: read again and plan again.
    Conflict,
    /// A stored link is no longer good.
    Gone,
    /// Microsoft finds fault with the request itself.
    BadRequest,
    /// No token was given.
    Token(TokenErrorKind),
    /// The caller's own check forbade to start the request.
    Stopped,
    /// Microsoft answered outside its contract, for example with a link to another host.
    Protocol,
}

impl ErrorClass {
    /// Whether the same request may well succeed later without anybody doing anything.
    #[must_use]
    pub fn is_passing(self) -> bool {
        matches!(self, Self::Throttled { .. } | Self::Transient | Self::Token(TokenErrorKind::Transient))
    }
}

/// Whether a failed write may have done something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It never left this machine.
    NotSent,
    /// Microsoft refused it.
    Refused,
    /// Nobody knows: only reading the state can tell.
    Unknown,
}

/// Why an answer could not be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Unusable {
    /// The body is not the JSON expected.
    #[error("the body is not the JSON expected")]
    NotJson(#[source] serde_json::Error),
    /// The body is larger than the client accepts.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// The body broke off.
    #[error("the body broke off")]
    BrokenOff(#[source] reqwest::Error),
    /// A success of another kind than this call has.
    #[error("status {0} is not what this call answers")]
    Status(u16),
    /// The answer names no operation to follow.
    #[error("the Location header is missing")]
    NoLocation,
    /// A link leads away from the configured Graph host.
    #[error("a link leads away from the configured Graph host")]
    ForeignLink,
    /// A next link was followed before.
    #[error("the pages go in a circle")]
    Circle,
    /// More pages than any tenant can have.
    #[error("more than {0} pages")]
    TooManyPages(usize),
    /// The organization read is not the tenant asked for.
    #[error("the organization is not the tenant asked for")]
    OtherTenant,
    /// The collection that must have one item is empty.
    #[error("the collection is empty")]
    Empty,
}

/// A failed request to Microsoft.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GraphError {
    /// There is no token to send the request with.
    #[error("no token for tenant {tenant}")]
    Token {
        /// The tenant.
        tenant: Uuid,
        /// Why.
        #[source]
        source: TokenError,
    },
    /// The caller's own check forbade to start the request.
    #[error("{call} was not started: the caller may not start requests any more")]
    Stopped {
        /// Kind of request.
        call: &'static str,
    },
    /// The wait asked for by Microsoft outlasts the caller's patience.
    #[error("{call} has to wait {} s for Microsoft's throttling", .retry_after.as_secs())]
    Throttled {
        /// Kind of request.
        call: &'static str,
        /// How long to wait from now on.
        retry_after: Duration,
        /// Whether Microsoft asked for more than an hour.
        parked: bool,
        /// Marks of the refused request; empty if none was sent.
        ids: Box<RequestIds>,
    },
    /// Microsoft answered with an error status.
    #[error("{} was answered with {} {}", .0.call, .0.status, .0.code)]
    Refused(Box<Refusal>),
    /// The host is left alone, because it could not be reached before.
    #[error("{call} was not sent")]
    HostAway {
        /// Kind of request.
        call: &'static str,
        /// The host, and until when.
        #[source]
        source: HostAway,
    },
    /// The exchange failed on the network.
    #[error("{call} failed on the network")]
    Network {
        /// Kind of request.
        call: &'static str,
        /// Whether it may have reached Microsoft.
        effect: Effect,
        /// What the network said, without the address.
        #[source]
        source: reqwest::Error,
    },
    /// No complete answer in time.
    #[error("{call} got no answer within {} s", .after.as_secs_f32())]
    Timeout {
        /// Kind of request.
        call: &'static str,
        /// How long we waited.
        after: Duration,
    },
    /// The request succeeded by its status, but the answer cannot be used.
    #[error("the answer to {call} cannot be used")]
    Unusable {
        /// Kind of request.
        call: &'static str,
        /// Marks of the request.
        ids: Box<RequestIds>,
        /// Why.
        #[source]
        source: Unusable,
    },
}

impl GraphError {
    /// What to do about it.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Token { source: TokenError::Throttled { retry_after, parked }, .. } => {
                ErrorClass::Throttled { retry_after: *retry_after, parked: *parked }
            }
            Self::Token { source, .. } => ErrorClass::Token(source.kind()),
            Self::Stopped { .. } => ErrorClass::Stopped,
            Self::Throttled { retry_after, parked, .. } => {
                ErrorClass::Throttled { retry_after: *retry_after, parked: *parked }
            }
            Self::Refused(refusal) => refusal.class,
            Self::Network { .. } | Self::Timeout { .. } | Self::HostAway { .. } => ErrorClass::Transient,
            Self::Unusable { source, .. } => match source {
                // a proxy's page instead of Graph's answer, or an answer cut short
                Unusable::NotJson(_) | Unusable::BrokenOff(_) => ErrorClass::Transient,
                _ => ErrorClass::Protocol,
            },
        }
    }

    /// Whether a write may have done something all the same.
    #[must_use]
    pub fn effect(&self) -> Effect {
        match self {
            Self::Token { .. } | Self::Stopped { .. } | Self::HostAway { .. } => Effect::NotSent,
            // either nothing went out, or what went out was refused with a 429
            Self::Throttled { ids, .. } if **ids == RequestIds::default() => Effect::NotSent,
            Self::Throttled { .. } => Effect::Refused,
            Self::Refused(refusal) => refusal.effect,
            Self::Network { effect, .. } => *effect,
            Self::Timeout { .. } | Self::Unusable { .. } => Effect::Unknown,
        }
    }

    /// Whether nothing was sent because the host is known to be away, so that asking again at once is in vain.
    pub(crate) fn is_away(&self) -> bool {
        matches!(self, Self::HostAway { .. } | Self::Token { source: TokenError::HostAway(_), .. })
    }

    /// The marks of the failed request, where it got an answer.
    #[must_use]
    pub fn ids(&self) -> Option<&RequestIds> {
        match self {
            Self::Throttled { ids, .. } | Self::Unusable { ids, .. } => Some(ids),
            Self::Refused(refusal) => Some(&refusal.ids),
            Self::Token { .. }
            | Self::Stopped { .. }
            | Self::HostAway { .. }
            | Self::Network { .. }
            | Self::Timeout { .. } => None,
        }
    }

    /// The error of Graph itself, where it sent one.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Status of the answer, where Graph refused.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.refusal().map(|refusal| refusal.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttled(request_id: Option<&str>) -> GraphError {
        let request_id = request_id.map(str::to_owned);
        GraphError::Throttled {
            call: "users",
            retry_after: Duration::from_secs(7),
            parked: false,
            ids: Box::new(RequestIds { request_id, ..RequestIds::default() }),
        }
    }

    #[test]
    fn effects() {
        assert_eq!(throttled(None).effect(), Effect::NotSent);
        assert_eq!(throttled(Some("r")).effect(), Effect::Refused);
        let late = GraphError::Timeout { call: "assign_number", after: Duration::from_secs(20) };
        assert_eq!((late.class(), late.effect()), (ErrorClass::Transient, Effect::Unknown));
        let odd = |source| GraphError::Unusable { call: "users", ids: Box::default(), source };
        assert_eq!(odd(Unusable::Circle).class(), ErrorClass::Protocol);
        assert_eq!(odd(Unusable::NoLocation).effect(), Effect::Unknown);
    }

    #[test]
    fn no_error_repeats_its_cause() {
        let cause = TokenError::Timeout;
        let inner = cause.to_string();
        let error = GraphError::Token { tenant: Uuid::nil(), source: cause };
        assert!(!error.to_string().contains(&inner));
        assert_eq!(throttled(None).to_string(), "users has to wait 7 s for Microsoft's throttling");
    }
}
