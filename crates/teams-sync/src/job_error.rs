//! Why a job as a whole cannot go on, and what follows for it.

use std::time::Duration;

use tandem_domain::plan::Difference;
use tandem_graph::{ErrorClass, GraphError, TokenErrorKind};
use tandem_store::StoreError;

use crate::who::NoClient;

/// Why a job as a whole could not work.
#[derive(Debug)]
pub(crate) enum JobError {
    /// The database; the job stays ours or is taken over, nothing is decided.
    Store(StoreError),
    /// It ends as failed, with a stable code.
    Whole { code: &'static str, text: String },
    /// It ends as failed, because it is not or no longer what a person has agreed to: the account is well, and nothing is
    /// tried again.
    Refused { code: &'static str, text: String, difference: Difference },
    /// It ends without having done anything, and that is right.
    Cancelled { text: &'static str },
    /// It goes back into the queue, uncounted: our own credential is at fault.
    Waits { text: String },
    /// Microsoft wants it to wait for longer than a job may hold its place.
    Parked { wait: Duration, text: String },
}

impl From<StoreError> for JobError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<GraphError> for JobError {
    fn from(error: GraphError) -> Self {
        if let ErrorClass::Throttled { retry_after, .. } = error.class() {
            return Self::Parked { wait: retry_after, text: tandem_runtime::chain(&error) };
        }
        if error.class() == ErrorClass::Stopped {
            // trust in the claim ended before the request began: whoever claims the job next goes on
            return Self::Store(StoreError::Superseded { work: "jobs.read" });
        }
        let code = match error.class() {
            ErrorClass::Token(kind) => token_code(kind),
            ErrorClass::Unauthorized => "token_rejected",
            ErrorClass::Forbidden => "permission_missing",
            _ => "microsoft_unavailable",
        };
        Self::Whole { code, text: tandem_runtime::chain(&error) }
    }
}

impl From<NoClient> for JobError {
    fn from(error: NoClient) -> Self {
        let text = tandem_runtime::chain(&error);
        match (error.code(), error) {
            (_, NoClient::Store(error)) => Self::Store(error),
            (code, _) => Self::Whole { code: code.unwrap_or("sealed_secret_unusable"), text },
        }
    }
}

/// Stable code of a failed token request.
pub(crate) fn token_code(kind: TokenErrorKind) -> &'static str {
    match kind {
        TokenErrorKind::Grant => "authorization_revoked",
        TokenErrorKind::OwnCredential => "own_credential",
        TokenErrorKind::Policy => "authorization_blocked",
        TokenErrorKind::TenantGone => "tenant_gone",
        TokenErrorKind::WrongTenant => "wrong_tenant",
        TokenErrorKind::SignInOver => "sign_in_over",
        TokenErrorKind::Transient => "microsoft_unavailable",
        _ => "authorization_failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_might_not_start_fails_no_job() {
        let stopped = JobError::from(GraphError::Stopped { call: "users" });
        assert!(matches!(stopped, JobError::Store(StoreError::Superseded { .. })), "{stopped:?}");
        let silent = JobError::from(GraphError::Timeout { call: "users", after: Duration::from_secs(20) });
        assert!(matches!(silent, JobError::Whole { code: "microsoft_unavailable", .. }), "{silent:?}");
    }
}
