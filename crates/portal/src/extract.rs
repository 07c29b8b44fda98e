//! Forms and queries, refused as faults of ours where they cannot be read.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::fault::Fault;

/// An id that is a part of an address.
pub(crate) fn id(text: &str) -> Result<Uuid, Fault> {
    Uuid::try_parse(text).map_err(|_| Fault::NotFound)
}

/// A form, its mark taken off by the guard.
#[derive(Debug)]
pub(crate) struct Form<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Form<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        let read = axum::extract::Form::<T>::from_request(request, state).await;
        let form =
            read.map_err(|_| Fault::BadInput("The form", "lacks a field, or has one that is not known"))?;
        Ok(Self(form.0))
    }
}

/// What stands behind the question mark of an address.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let read = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        let query =
            read.map_err(|_| Fault::BadInput("The address", "has a parameter that cannot be read"))?;
        Ok(Self(query.0))
    }
}
