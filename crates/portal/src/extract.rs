//! Forms and queries, refused as faults of ours where they cannot be read.

use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, FromRequestParts, Multipart, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::fault::Fault;
use crate::guard::{MARK, Visitor, same};
use crate::sheet::FILE_BYTES;

/// An id that is a part of an address.
pub(crate) fn id(text: &str) -> Result<Uuid, Fault> {
    Uuid::try_parse(text).map_err(|_| Fault::NotFound)
}

/// Whether a text is one line of 1 to `most` characters.
pub(crate) fn is_line(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control)
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

/// The file of a form whose mark has been compared before anything of the file was read. What the sender calls the file
/// is not looked at: nothing is kept under a name of somebody else's.
#[derive(Debug)]
pub(crate) struct Upload(pub(crate) Vec<u8>);

/// Longest mark that is read.
const MARK_BYTES: usize = 200;

impl<S: Send + Sync> FromRequest<S> for Upload {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        let mark = request.extensions().get::<Visitor>().map(|visitor| visitor.mark.clone());
        let mark = mark.ok_or(Fault::Internal)?;
        let mut parts = Multipart::from_request(request, state).await.map_err(|_| Fault::FormStale)?;
        let first = parts.next_field().await.map_err(|error| cut(&error))?;
        let first = first.filter(|field| field.name() == Some(MARK)).ok_or(Fault::FormStale)?;
        let brought = whole(first, MARK_BYTES).await?;
        if !same(std::str::from_utf8(&brought).ok(), &mark) {
            return Err(Fault::FormStale);
        }
        let odd = Fault::BadInput("The form", "is the mark and one file");
        let file = parts.next_field().await.map_err(|error| cut(&error))?;
        let file = file.filter(|field| field.name() == Some("file")).ok_or(odd.clone())?;
        let file = whole(file, FILE_BYTES).await?;
        match parts.next_field().await.map_err(|error| cut(&error))? {
            None => Ok(Self(file)),
            Some(_) => Err(odd),
        }
    }
}

/// A part of a form, piece by piece, so that no more than `most` is ever held.
async fn whole(mut field: Field<'_>, most: usize) -> Result<Vec<u8>, Fault> {
    let mut found = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(|error| cut(&error))? {
        if found.len() + piece.len() > most {
            return Err(Fault::TooLarge);
        }
        found.extend_from_slice(&piece);
    }
    Ok(found)
}

fn cut(error: &MultipartError) -> Fault {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Fault::TooLarge,
        _ => Fault::BadInput("The upload", "ended before its end, or is no form"),
    }
}
