//! A fault as a page.

use askama::Template;
use axum::response::{IntoResponse, Response};

use super::{Layout, with};
use crate::fault::Fault;
use crate::frame::Nonce;

#[derive(Template)]
#[template(path = "error.html")]
pub(crate) struct ErrorPage<'a> {
    pub(crate) layout: Layout,
    pub(crate) title: &'a str,
    pub(crate) happened: String,
    pub(crate) todo: &'a str,
    pub(crate) code: &'a str,
}

impl<'a> ErrorPage<'a> {
    pub(crate) fn of(fault: &'a Fault, nonce: &Nonce) -> Self {
        let (title, todo, code) = (fault.title(), fault.todo(), fault.code());
        Self { layout: Layout::open(nonce), title, happened: fault.happened(), todo, code }
    }
}

pub(crate) fn page(fault: &Fault, nonce: &Nonce) -> Response {
    let rendered = with(fault.status(), &ErrorPage::of(fault, nonce));
    rendered.unwrap_or_else(|_| fault.status().into_response())
}
