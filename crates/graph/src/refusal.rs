//! Error answers of Graph, in every shape seen.

use serde_json::Value;

use crate::error::{Effect, ErrorClass, RequestIds};
use crate::retry_after::Wait;

/// Longest error message kept.
const MESSAGE_CHARS: usize = 500;

/// An error answer of Graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Kind of request.
    pub call: &'static str,
    /// HTTP status.
    pub status: u16,
    /// The code that says most: `error.code`, or the one inside where the outer says `UnknownError`.
    pub code: String,
    /// Microsoft's words. They may name people or numbers: for the job's record, not for logs.
    pub message: String,
    /// Codes nested in `innerError`, outermost first.
    pub inner_codes: Vec<String>,
    /// Marks of the request.
    pub ids: RequestIds,
    /// What to do about it.
    pub class: ErrorClass,
    /// Whether a write may have done something.
    pub effect: Effect,
}

/// What an error body says, whatever its shape.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ErrorBody {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) inner_codes: Vec<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) client_request_id: Option<String>,
}

impl ErrorBody {
    pub(crate) fn parse(body: &[u8]) -> Self {
        let Ok(value) = serde_json::from_slice::<Value>(body) else {
            // a proxy's page, most likely: its first words help more than nothing
            return Self { message: shorten(String::from_utf8_lossy(body).trim()), ..Self::default() };
        };
        let mut parsed = Self::default();
        match member(&value, "error") {
            Some(error @ Value::Object(_)) => parsed.take(error),
            Some(Value::String(error)) => {
                parsed.code.clone_from(error);
                parsed.message = shorten(text(&value, "error_description").unwrap_or_default());
            }
            _ => parsed.take(&value),
        }
        parsed
    }

    fn take(&mut self, error: &Value) {
        self.code = text(error, "code").unwrap_or_default().to_owned();
        let message = text(error, "message").unwrap_or_default();
        // the Teams endpoints wrap the true error as JSON text into the message of an `UnknownError`
        match serde_json::from_str::<Value>(message) {
            Ok(inner @ Value::Object(_)) => {
                if let Some(code) = text(&inner, "code") {
                    if self.code.is_empty() || self.code.eq_ignore_ascii_case("UnknownError") {
                        code.clone_into(&mut self.code);
                    } else {
                        self.inner_codes.push(code.to_owned());
                    }
                }
                self.message = shorten(text(&inner, "message").unwrap_or(message));
            }
            _ => self.message = shorten(message),
        }
        let mut level = member(error, "innerError");
        while let Some(inner) = level {
            if let Some(code) = text(inner, "code") {
                self.inner_codes.push(code.to_owned());
            }
            self.request_id = self.request_id.take().or_else(|| text(inner, "request-id").map(str::to_owned));
            self.client_request_id =
                self.client_request_id.take().or_else(|| text(inner, "client-request-id").map(str::to_owned));
            level = member(inner, "innerError");
        }
    }

    fn says(&self, code: &str) -> bool {
        self.code.eq_ignore_ascii_case(code)
            || self.inner_codes.iter().any(|inner| inner.eq_ignore_ascii_case(code))
    }

    /// The Teams backend, when busy, sends this as an error of the 400 family.
    fn is_busy(&self) -> bool {
        self.says("ServiceUnavailable")
            || self.message.to_ascii_lowercase().contains("service is unavailable")
    }
}

/// What to do, and whether a write may have landed. `wait` is what `Retry-After` said, `fallback` the
/// wait to use where a throttling answer names none.
pub(crate) fn judge(
    status: u16,
    body: &ErrorBody,
    wait: Option<Wait>,
    fallback: Wait,
) -> (ErrorClass, Effect) {
    let throttled = || {
        let wait = wait.unwrap_or(fallback);
        ErrorClass::Throttled { retry_after: wait.delay, parked: wait.parked }
    };
    match status {
        429 | 509 => (throttled(), Effect::Refused),
        // with a wait it is load shedding in front of the service; without one, nobody knows
        503 if wait.is_some() => (throttled(), Effect::Refused),
        400..500 if body.says("TooManyRequests") => (throttled(), Effect::Refused),
        408 => (ErrorClass::Transient, Effect::Unknown),
        400..500 if body.is_busy() => (ErrorClass::Transient, Effect::Refused),
        401 => (ErrorClass::Unauthorized, Effect::Refused),
        403 => (ErrorClass::Forbidden, Effect::Refused),
        404 => (ErrorClass::NotFound, Effect::Refused),
        409 | 423 => (ErrorClass::Conflict, Effect::Refused),
        410 => (ErrorClass::Gone, Effect::Refused),
        400..500 => (ErrorClass::BadRequest, Effect::Refused),
        500.. => (ErrorClass::Transient, Effect::Unknown),
        _ => (ErrorClass::Protocol, Effect::Unknown),
    }
}

/// A member by name, whatever its case (`innerError` and `innererror` are both seen).
fn member<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    value.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    member(value, name)?.as_str()
}

fn shorten(text: &str) -> String {
    text.chars().take(MESSAGE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn judged(status: u16, body: &str) -> (String, ErrorClass, Effect) {
        let body = ErrorBody::parse(body.as_bytes());
        let (class, effect) =
            judge(status, &body, None, Wait { delay: Duration::from_secs(2), parked: false });
        (body.code, class, effect)
    }

    #[test]
    fn every_captured_shape() {
        use Effect::{Refused, Unknown};
        use ErrorClass::{
            BadRequest, Conflict, Forbidden, Gone, NotFound, Protocol, Transient, Unauthorized,
        };
        let throttled = ErrorClass::Throttled { retry_after: Duration::from_secs(2), parked: false };
        for (status, body, code, class, effect) in [
            (
                400,
                r#"{"error":{"code":"BadRequest","message":"no route"}}"#,
                "BadRequest",
                BadRequest,
                Refused,
            ),
            (
                403,
                r#"{"error":{"code":"forbidden","message":"needs X","innerError":{"code":"Forbidden","message":null,"target":null,"additionalData":{"action":"a"}}}}"#,
                "forbidden",
                Forbidden,
                Refused,
            ),
            (
                403,
                r#"{"error":{"code":"UnknownError","message":"{\"code\":\"Forbidden\",\"message\":\"Access Denied\",\"action\":\"a\"}"}}"#,
                "Forbidden",
                Forbidden,
                Refused,
            ),
            (
                404,
                r#"{"error":{"code":"UnknownError","message":"{\"code\":\"NotFound\"}"}}"#,
                "NotFound",
                NotFound,
                Refused,
            ),
            (
                403,
                r#"{"error":{"code":"Authorization_RequestDenied","message":"x"}}"#,
                "Authorization_RequestDenied",
                Forbidden,
                Refused,
            ),
            (
                404,
                r#"{"error":{"code":"Request_ResourceNotFound","message":"x"}}"#,
                "Request_ResourceNotFound",
                NotFound,
                Refused,
            ),
            (
                400,
                r#"{"error":{"code":"Request_BadRequest","message":"x"}}"#,
                "Request_BadRequest",
                BadRequest,
                Refused,
            ),
            (
                400,
                r#"{"error":{"code":"Request_UnsupportedQuery","message":"x"}}"#,
                "Request_UnsupportedQuery",
                BadRequest,
                Refused,
            ),
            (
                401,
                r#"{"error":{"code":"InvalidAuthenticationToken","message":"x"}}"#,
                "InvalidAuthenticationToken",
                Unauthorized,
                Refused,
            ),
            (
                400,
                r#"{"error":{"code":"X","message":"Service is unavailable. Please try again"}}"#,
                "X",
                Transient,
                Refused,
            ),
            (
                429,
                r#"{"error":{"code":"TooManyRequests","message":"m","innerError":{"code":"429"}}}"#,
                "TooManyRequests",
                throttled,
                Refused,
            ),
            (400, r#"{"error":{"code":"toomanyrequests"}}"#, "toomanyrequests", throttled, Refused),
            (509, "", "", throttled, Refused),
            (409, r#"{"code":"Conflict","message":"no error object"}"#, "Conflict", Conflict, Refused),
            (410, r#"{"error":{"code":"resyncRequired"}}"#, "resyncRequired", Gone, Refused),
            (412, "{}", "", BadRequest, Refused),
            (422, r#"{"error":null}"#, "", BadRequest, Refused),
            (
                400,
                r#"{"error":"invalid_request","error_description":"d"}"#,
                "invalid_request",
                BadRequest,
                Refused,
            ),
            (408, "", "", Transient, Unknown),
            (500, r#"{"error":{"code":"generalException"}}"#, "generalException", Transient, Unknown),
            (502, "<html>Bad Gateway</html>", "", Transient, Unknown),
            (503, "", "", Transient, Unknown),
            (504, "[]", "", Transient, Unknown),
            (302, "", "", Protocol, Unknown),
        ] {
            assert_eq!(judged(status, body), (code.to_owned(), class, effect), "{status} {body}");
        }
    }

    #[test]
    fn a_wait_makes_503_a_refusal() {
        let wait = Wait { delay: Duration::from_secs(7), parked: false };
        let (class, effect) = judge(503, &ErrorBody::default(), Some(wait), wait);
        assert_eq!(effect, Effect::Refused);
        assert_eq!(class, ErrorClass::Throttled { retry_after: Duration::from_secs(7), parked: false });
    }

    #[test]
    fn marks_and_nested_codes() {
        let body = br#"{"error":{"code":"a","message":"m","innererror":{"code":"b","request-id":"r","InnerError":{"code":"c","client-request-id":"q"}}}}"#;
        let parsed = ErrorBody::parse(body);
        assert_eq!(parsed.inner_codes, ["b", "c"]);
        assert_eq!(parsed.request_id.as_deref(), Some("r"));
        assert_eq!(parsed.client_request_id.as_deref(), Some("q"));
    }

    #[test]
    fn pages_of_proxies_are_kept_short() {
        let page = format!("<html>{}</html>", "x".repeat(10_000));
        assert_eq!(ErrorBody::parse(page.as_bytes()).message.len(), MESSAGE_CHARS);
        assert_eq!(ErrorBody::parse(b"\xff\xfe").code, "");
    }
}
