//! Redirect URIs: which are registered, and the way back to them.

use url::Url;

use super::pages;
use crate::model::apps::App;
use crate::reply::Reply;

/// The platform a redirect URI is registered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Platform {
    /// The code is redeemed with a credential of the application.
    Web,
    /// The code is redeemed without one.
    Public,
}

/// How the answer travels to the redirect URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Query,
    Fragment,
    FormPost,
}

impl Mode {
    pub(crate) fn parse(text: Option<&str>) -> Option<Self> {
        match text {
            None | Some("query") => Some(Self::Query),
            Some("fragment") => Some(Self::Fragment),
            Some("form_post") => Some(Self::FormPost),
            Some(_) => None,
        }
    }
}

/// The platform of a redirect URI; `None` if it is not registered.
pub(crate) fn platform(app: &App, uri: &str) -> Option<Platform> {
    let fits = |all: &[String]| all.iter().any(|registered| matches(registered, uri));
    if fits(&app.spec.redirect_uris) {
        Some(Platform::Web)
    } else {
        fits(&app.spec.public_redirect_uris).then_some(Platform::Public)
    }
}

/// Compares as Entra does: exactly, but for the port of `http` addresses on the local machine. A registered path that
/// ends in `/*` stands for every path below it.
pub(super) fn matches(registered: &str, uri: &str) -> bool {
    let (Ok(want), Ok(got)) = (Url::parse(registered), Url::parse(uri)) else { return false };
    let local = want.scheme() == "http" && matches!(want.host_str(), Some("localhost" | "127.0.0.1"));
    let path = match want.path().strip_suffix("/*") {
        Some(start) => got.path() == start || got.path().starts_with(&format!("{start}/")),
        None => got.path() == want.path(),
    };
    path && want.scheme() == got.scheme()
        && want.host_str() == got.host_str()
        && (local || want.port_or_known_default() == got.port_or_known_default())
        && want.query() == got.query()
        && got.fragment().is_none()
        && got.username().is_empty()
        && got.password().is_none()
}

/// Sends the browser back with these fields.
pub(crate) fn back(uri: &str, mode: Mode, fields: &[(&str, String)]) -> Reply {
    // the address was compared with a registered one, so it can be read
    let Ok(mut address) = Url::parse(uri) else { return Reply::empty(500) };
    match mode {
        Mode::Query => {
            address.query_pairs_mut().extend_pairs(fields);
        }
        Mode::Fragment => {
            let text = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
            address.set_fragment(Some(&text));
        }
        Mode::FormPost => return pages::form_post(&address, fields),
    }
    Reply::empty(302).with("Location", address).with("Cache-Control", "no-store")
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn addresses_are_compared_exactly_but_for_local_ports() {
        let cases = [
            ("https://portal.example/back", "https://portal.example/back", true),
            ("https://portal.example/back", "https://portal.example/back/", false),
            ("https://portal.example/back", "https://portal.example/Back", false),
            ("https://portal.example/back", "https://portal.example:8443/back", false),
            ("https://portal.example/back", "http://portal.example/back", false),
            ("https://portal.example/back", "https://portal.example/back?x=1", false),
            ("https://portal.example/back", "https://portal.example/back#x", false),
            ("https://portal.example/back", "https://me@portal.example/back", false),
            ("https://portal.example/back", "https://portal.example.other.example/back", false),
            ("http://localhost", "http://localhost:51234", true),
            ("http://localhost", "http://localhost:51234/", true),
            ("http://localhost", "http://localhost:51234/back", false),
            ("http://localhost/back", "http://localhost:51234/back", true),
            ("http://localhost/back", "http://127.0.0.1:51234/back", false),
            ("https://localhost/back", "https://localhost:51234/back", false),
            ("http://127.0.0.1/*", "http://127.0.0.1:51234/a/b", true),
            ("http://localhost/*", "http://localhost", true),
            ("http://localhost/a/*", "http://localhost/ab", false),
        ];
        for (registered, asked, good) in cases {
            assert_eq!(matches(registered, asked), good, "{registered} {asked}");
        }
    }
}
