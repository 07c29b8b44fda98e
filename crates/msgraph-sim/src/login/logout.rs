//! The sign-out endpoint. There is no session to end: every sign-in asks anew.

use super::{Asked, pages, redirect};
use crate::reply::Reply;
use crate::state::State;
use crate::util::read;

/// Sends the browser to `post_logout_redirect_uri` if an application has registered it; otherwise says goodbye.
pub(crate) fn answer(state: &State, asked: &Asked<'_>) -> Reply {
    let mut to = None;
    let mut fields = Vec::new();
    for (name, value) in url::form_urlencoded::parse(asked.query.as_bytes()).into_owned() {
        match name.as_str() {
            "post_logout_redirect_uri" => to = Some(value),
            "state" => fields.push(("state", value)),
            _ => {}
        }
    }
    let registered =
        |uri: &String| read(&state.apps).values().any(|app| redirect::platform(app, uri).is_some());
    match to.filter(registered) {
        Some(uri) => redirect::back(&uri, redirect::Mode::Query, &fields),
        None => pages::signed_out(),
    }
}
