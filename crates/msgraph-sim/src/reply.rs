//! Replies before they become HTTP.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::Value;

use crate::deliver::Delivery;

/// Content of a reply.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Empty,
    Json(Value),
    Text { media_type: &'static str, text: String },
}

/// Status, headers, content.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) content: Content,
}

impl Reply {
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), content: Content::Json(body) }
    }

    pub(crate) fn ok(body: Value) -> Self {
        Self::json(200, body)
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), content: Content::Empty }
    }

    pub(crate) fn text(status: u16, media_type: &'static str, text: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), content: Content::Text { media_type, text: text.into() } }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// `json_type` is the media type of JSON content.
    pub(crate) fn into_response(self, json_type: &'static str, delivery: &Delivery) -> Response<Body> {
        let (media_type, bytes) = match self.content {
            Content::Empty => (None, Vec::new()),
            Content::Json(value) => (Some(json_type), value.to_string().into_bytes()),
            Content::Text { media_type, text } => (Some(media_type), text.into_bytes()),
        };
        let mut response = Response::new(delivery.body(bytes));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        if let Some(media_type) = media_type {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        }
        for (name, value) in self.headers {
            // a header that the switchboard was given and HTTP cannot carry is left out
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str()))
            {
                headers.insert(name, value);
            }
        }
        response
    }
}
