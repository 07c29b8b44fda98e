//! One Graph request on its way.

use axum::http::HeaderMap;
use serde::de::DeserializeOwned;

use super::errors::GraphError;
use super::odata::Query;
use super::route::GraphRoute;
use crate::clock::Now;
use crate::ids::Ids;
use crate::login::tokens::Claims;
use crate::settings::Settings;
use crate::switchboard::changes::OperationChange;

/// What a handler needs to know.
pub(crate) struct Call<'a> {
    pub(crate) route: &'a GraphRoute,
    pub(crate) path: &'a str,
    /// `https://host:port` as the client wrote it.
    pub(crate) base: &'a str,
    pub(crate) query: &'a Query,
    pub(crate) headers: &'a HeaderMap,
    /// Who asks.
    pub(crate) claims: &'a Claims,
    pub(crate) body: &'a [u8],
    pub(crate) now: Now,
    pub(crate) settings: &'a Settings,
    pub(crate) ids: &'a Ids,
    /// What a fault wants of the operation that this request makes.
    pub(crate) operation: &'a OperationChange,
}

impl Call<'_> {
    /// The JSON body.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, GraphError> {
        serde_json::from_slice(self.body).map_err(|e| {
            GraphError::bad_request(format!(
                "Unable to read JSON request payload. Please ensure it is valid: {e}"
            ))
        })
    }

    pub(crate) fn next_link(&self, mark: &serde_json::Value) -> String {
        self.query.next_link(self.base, self.path, mark)
    }
}
