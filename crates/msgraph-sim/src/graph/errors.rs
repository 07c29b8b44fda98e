//! Error bodies. The directory speaks the documented shape; the Teams administration family has variants of
//! its own.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::clock::{self, Now};
use crate::reply::Reply;

/// How the body is dressed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Dress {
    /// `innerError` with date and request ids.
    Plain,
    /// 403 of Teams: lower-case code, and `innerError` with code, message, target and action.
    TeamsForbidden { action: &'static str },
    /// `message` is a JSON document of its own.
    Nested { code: &'static str, action: &'static str },
    /// `innererror` in small letters, with codes inside codes.
    Lower { code: &'static str },
}

/// A refused Graph request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GraphError {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    dress: Dress,
}

impl GraphError {
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        let (code, message) = (code.to_owned(), message.into());
        Self { status, code, message, headers: Vec::new(), dress: Dress::Plain }
    }

    /// The text that usually goes with a status.
    pub(crate) fn standard(status: u16) -> Self {
        let (code, message) = match status {
            400 => ("BadRequest", "The request is malformed."),
            401 => ("InvalidAuthenticationToken", "Access token is empty."),
            403 => ("Authorization_RequestDenied", "Insufficient privileges to complete the operation."),
            404 => ("Request_ResourceNotFound", "Resource does not exist."),
            409 => ("Conflict", "The request conflicts with the current state."),
            429 => ("TooManyRequests", "Please retry again later."),
            500 => ("InternalServerError", "An internal server error occurred. The operation failed."),
            502 => ("BadGateway", "The upstream service gave no usable answer."),
            503 => ("ServiceUnavailable", "Service is unavailable. Please try again."),
            504 => ("GatewayTimeout", "The upstream service did not answer in time."),
            _ => ("UnknownError", "An error occurred."),
        };
        Self::new(status, code, message)
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn directory_bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "Request_BadRequest", message)
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(400, "Request_UnsupportedQuery", message)
    }

    pub(crate) fn no_segment(path: &str) -> Self {
        let last = path.rsplit('/').next().unwrap_or_default();
        Self::bad_request(format!("Resource not found for the segment '{last}'."))
    }

    /// A directory object that does not exist.
    pub(crate) fn no_object(id: &str) -> Self {
        let message = format!(
            "Resource '{id}' does not exist or one of its queried reference-property objects are not present."
        );
        Self::new(404, "Request_ResourceNotFound", message)
    }

    /// Something Teams does not know.
    pub(crate) fn teams_not_found(message: impl Into<String>, action: &'static str) -> Self {
        let mut error = Self::new(404, "UnknownError", message);
        error.dress = Dress::Nested { code: "NotFound", action };
        error
    }

    /// The token lacks every permission that would do.
    pub(crate) fn forbidden(teams: bool, permissions: &[&str], action: &'static str) -> Self {
        if !teams {
            return Self::standard(403);
        }
        let message = format!(
            "Application is not authorized to perform this action. One of the following permissions is required: {}.",
            permissions.join(", ")
        );
        let mut error = Self::new(403, "forbidden", message);
        error.dress = Dress::TeamsForbidden { action };
        error
    }

    /// The person behind the token holds no directory role that would do.
    pub(crate) fn access_denied(action: &'static str) -> Self {
        let mut error = Self::new(403, "UnknownError", "Access Denied.");
        error.dress = Dress::Nested { code: "Forbidden", action };
        error
    }

    /// The older spelling of the inner error.
    pub(crate) fn lower(status: u16, code: &'static str, message: &str) -> Self {
        let mut error = Self::new(status, "UnknownError", message);
        error.dress = Dress::Lower { code };
        error
    }

    pub(crate) fn unauthenticated(message: &str) -> Self {
        let mut error = Self::new(401, "InvalidAuthenticationToken", message);
        let challenge = "Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/\
                         authorize\", client_id=\"00000003-0000-0000-c000-000000000000\"";
        error.headers.push(("WWW-Authenticate", challenge.to_owned()));
        error
    }

    /// A token revoked before its end, with the claims challenge of continuous access evaluation.
    pub(crate) fn revoked(valid_from: i64) -> Self {
        let mut error = Self::unauthenticated("Continuous access evaluation resulted in challenge.");
        let claims =
            json!({ "access_token": { "nbf": { "essential": true, "value": valid_from.to_string() } } });
        if let Some((_, challenge)) = error.headers.first_mut() {
            let claims = crate::util::b64(claims.to_string());
            challenge.push_str(&format!(", error=\"insufficient_claims\", claims=\"{claims}\""));
        }
        error
    }

    pub(crate) fn reply(&self, now: Now, request_id: Uuid, client_request_id: &str) -> Reply {
        let mut inner = json!({
            "date": &clock::seconds(now.wall)[..19],
            "request-id": request_id,
            "client-request-id": client_request_id,
        });
        let mut message = Value::String(self.message.clone());
        match &self.dress {
            Dress::Plain | Dress::Lower { .. } => {}
            Dress::TeamsForbidden { action } => {
                inner["code"] = json!("Forbidden");
                inner["message"] = Value::Null;
                inner["target"] = Value::Null;
                inner["additionalData"] = json!({ "action": action });
            }
            Dress::Nested { code, action } => {
                let nested = json!({ "code": code, "message": self.message, "action": action });
                message = Value::String(nested.to_string());
            }
        }
        if self.status == 429 {
            inner["code"] = json!("429");
            inner["message"] = json!("Please retry after");
            inner["status"] = json!("429");
        }
        let mut name = "innerError";
        if let Dress::Lower { code } = &self.dress {
            name = "innererror";
            inner["code"] = json!(code);
            inner["innererror"] = json!({ "code": code });
        }
        let body = json!({ "error": { "code": self.code, "message": message, name: inner } });
        let mut reply = Reply::json(self.status, body);
        for (name, value) in &self.headers {
            reply = reply.with(name, value.clone());
        }
        reply
    }
}
