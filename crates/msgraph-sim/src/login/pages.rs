//! The pages that a person sees: plain HTML with a form, so that a browser, a screen reader, curl and a test can use them
//! alike.

use std::fmt::Write as _;

use url::Url;

use super::Asked;
use super::errors::LoginError;
use super::front::Front;
use super::people::{self, Person};
use super::scopes::Scopes;
use crate::reply::Reply;
use crate::state::State;

/// People on one page; whoever is not on it can be typed.
const MOST: usize = 60;

const STYLE: &str = ":root{color-scheme:light dark;--line:#8886;--accent:#0b57d0}\
@media(prefers-color-scheme:dark){:root{--accent:#8ab4f8}}\
body{font:1rem/1.5 system-ui,sans-serif;margin:0;padding:1.5rem}\
main{max-width:40rem;margin:auto}h1{font-size:1.4rem}\
ul.people{list-style:none;padding:0}\
.people button{display:block;width:100%;text-align:left;margin:.4rem 0;padding:.6rem .8rem}\
button,input{font:inherit;color:inherit;background:transparent;border:1px solid var(--line);border-radius:.4rem;padding:.4rem .8rem}\
button:hover,button:focus-visible,input:focus-visible{outline:2px solid var(--accent)}\
small{opacity:.8}.problem{border-left:.3rem solid #c5221f;padding-left:.8rem}\
footer{margin-top:2rem;border-top:1px solid var(--line)}";

pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

const MICROSOFT: &str = "Simulated Microsoft sign-in.";

/// A page that says whose it is.
pub(crate) fn page(status: u16, title: &str, body: &str, whose: &str) -> Reply {
    let text = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head>\n\
         <body><main><h1>{title}</h1>\n{body}<footer><p><small>{whose} No password is asked for, \
         and nothing here reaches Microsoft.</small></p></footer></main></body></html>\n",
        title = escape(title),
    );
    Reply::text(status, "text/html; charset=utf-8", text)
        .with("Cache-Control", "no-store")
        .with("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
        .with("X-Content-Type-Options", "nosniff")
        .with("Referrer-Policy", "no-referrer")
}

/// A refusal without a way back.
pub(crate) fn problem(description: &str) -> Reply {
    page(
        400,
        "Sign-in is not possible",
        &format!("<p class=\"problem\" role=\"alert\">{}</p>\n", escape(description)),
        MICROSOFT,
    )
}

/// Says that the person is signed out.
pub(super) fn signed_out() -> Reply {
    page(200, "You signed out", "<p>You can close this window.</p>\n", MICROSOFT)
}

/// Hands the fields over by a form that submits itself, as `response_mode=form_post` asks for.
pub(super) fn form_post(to: &Url, fields: &[(&str, String)]) -> Reply {
    let mut body = format!("<form method=\"post\" action=\"{}\" id=\"back\">", escape(to.as_str()));
    for (name, value) in fields {
        // writing into a string does not fail
        let _ = write!(body, "<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escape(value));
    }
    body.push_str("<button type=\"submit\">Continue</button></form>\n<script>document.getElementById('back').submit()</script>\n");
    // the one page with a script
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";
    page(200, "Back to the application", &body, MICROSOFT).with("Content-Security-Policy", policy)
}

fn choices(state: &State, asked: &Asked<'_>, front: &Front, verb: &str, deny: &str) -> String {
    let hint = front.param("login_hint");
    let (offered, count) = people::offer(state, front.place, front.param("domain_hint"), hint, MOST);
    // the address of the page is the address of its form
    let action = escape(asked.address);
    let mut body = format!("<form method=\"post\" action=\"{action}\"><ul class=\"people\">\n");
    for person in &offered {
        button(&mut body, person, verb);
    }
    let _ = write!(
        body,
        "</ul><p><button type=\"submit\" name=\"deny\" value=\"1\">{}</button></p></form>\n\
         <form method=\"post\" action=\"{action}\"><p><label>{count} people can be chosen. Somebody else, by sign-in name: \
         <input name=\"person\" autocomplete=\"off\" required></label> <button type=\"submit\">{}</button></p></form>\n",
        escape(deny),
        escape(verb),
    );
    body
}

fn button(body: &mut String, person: &Person, verb: &str) {
    let _ = writeln!(
        body,
        "<li><button type=\"submit\" name=\"person\" value=\"{}\">{} as <strong>{}</strong><br>\
         <small>{} · {} · {}</small></button></li>",
        escape(&person.key()),
        escape(verb),
        escape(&person.name),
        escape(&person.upn),
        escape(&person.remarks()),
        escape(&person.tenant),
    );
}

fn alert(error: Option<&LoginError>) -> (u16, String) {
    match error {
        None => (200, String::new()),
        Some(error) => {
            let text = format!("AADSTS{}: {}", error.code, error.text);
            (400, format!("<p class=\"problem\" role=\"alert\">{}</p>\n", escape(&text)))
        }
    }
}

fn list<'t>(title: &str, items: impl Iterator<Item = &'t str>) -> String {
    let items: String = items.map(|item| format!("<li>{}</li>", escape(item))).collect();
    if items.is_empty() { String::new() } else { format!("<h2>{}</h2><ul>{items}</ul>\n", escape(title)) }
}

/// Pick a person.
pub(super) fn sign_in(state: &State, asked: &Asked<'_>, front: &Front, error: Option<&LoginError>) -> Reply {
    let (status, mut body) = alert(error);
    let name = &front.app.spec.display_name;
    let _ =
        writeln!(body, "<p>The application <strong>{}</strong> wants to know who you are.</p>", escape(name));
    let scopes = front.param("scope").unwrap_or_default();
    body.push_str(&list("It asks for", scopes.split_whitespace()));
    body.push_str(&choices(state, asked, front, "Sign in", "Deny"));
    page(status, "Pick a person", &body, MICROSOFT)
}

/// Permissions requested, and who accepts them.
pub(super) fn consent(
    state: &State,
    asked: &Asked<'_>,
    front: &Front,
    wanted: &Scopes,
    error: Option<&LoginError>,
) -> Reply {
    let (status, mut body) = alert(error);
    let spec = &front.app.spec;
    let _ = writeln!(
        body,
        "<p>The application <strong>{}</strong> ({}) asks for permissions in the whole organization{}. Accept as a Global \
         Administrator or Privileged Role Administrator of the organization that it is for.</p>",
        escape(&spec.display_name),
        spec.app_id,
        front
            .place
            .name(state)
            .map(|name| format!(" <strong>{}</strong>", escape(&name)))
            .unwrap_or_default(),
    );
    let roles = if wanted.default { spec.wanted_roles() } else { Vec::new() };
    body.push_str(&list("As itself, without a person", roles.iter().map(String::as_str)));
    body.push_str(&list("On behalf of a person who signs in", wanted.graph.iter().map(String::as_str)));
    body.push_str(&choices(state, asked, front, "Accept", "Cancel"));
    page(status, "Permissions requested", &body, MICROSOFT)
}
