//! Every sample is rendered, and read as a mail program reads it.

use tandem_domain::reminder::Calendar;
use url::Url;

use super::*;
use crate::samples;

/// Names as they should not be; each goes through every letter.
const ODD: [&str; 9] = [
    "Contoso",
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "{{7*7}} ${7*7}",
    "x\r\nBcc: eve@evil.example\r\n\r\n<b>",
    "https://evil.example/login or www.evil.example",
    "\u{202e}dlrow olleh\u{0}\u{7}\u{1b}[31m",
    "a very long name that goes on and on and on and on and on and on and on and on and on and on and on and on and on and on",
];
/// Mail programs cut what is longer.
const MOST_BYTES: usize = 100 * 1024;

fn calendar() -> Calendar {
    Calendar::new("Europe/Berlin", 8).unwrap()
}

fn each(mut look: impl FnMut(&str, &str, &Letter, &str, &str)) {
    for odd in ODD {
        for (name, letter) in samples::all(odd, &samples::office(), &calendar()) {
            let (html, text) = (letter.html().unwrap(), letter.text().unwrap());
            look(odd, &name, &letter, &html, &text);
        }
    }
}

/// Start tags and end tags of a text without comments, scripts and raw `<`: names in order.
fn tags(html: &str) -> Vec<(bool, String)> {
    let mut found = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let end = rest.find('>').expect("a tag ends");
        let tag = &rest[..end];
        assert!(!tag.contains('<'), "a tag within a tag: {tag}");
        let closing = tag.starts_with('/');
        let name = tag.trim_start_matches('/').split_whitespace().next().unwrap_or_default();
        found.push((closing, name.to_ascii_lowercase()));
        rest = &rest[end + 1..];
    }
    found
}

#[test]
fn every_sample_is_well_formed_and_has_both_parts() {
    each(|odd, name, letter, html, text| {
        let mut open: Vec<String> = Vec::new();
        for (closing, tag) in tags(html) {
            if closing {
                assert_eq!(open.pop(), Some(tag), "{name} with {odd:?}");
            } else if !["!doctype", "meta"].contains(&tag.as_str()) {
                open.push(tag);
            }
        }
        assert_eq!(open, Vec::<String>::new(), "{name} with {odd:?}");
        assert!(text.contains(&letter.title) && html.contains("<h1>"), "{name}");
        assert!(html.len() < MOST_BYTES && text.len() < MOST_BYTES, "{name}");
        assert!(html.contains("prefers-color-scheme: dark"), "{name}");
    });
}

#[test]
fn samples_are_written_where_people_can_look_at_them() {
    let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/letters"));
    std::fs::create_dir_all(folder).unwrap();
    for (name, letter) in samples::all("Contoso Ltd", &samples::office(), &calendar()) {
        std::fs::write(folder.join(format!("{name}.html")), letter.html().unwrap()).unwrap();
        std::fs::write(folder.join(format!("{name}.txt")), letter.text().unwrap()).unwrap();
    }
    assert!(std::fs::read_dir(folder).unwrap().count() >= 2 * 17);
}

#[test]
fn b29_b30_b39_nobodys_name_is_markup_a_header_or_a_link() {
    let known = [
        "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "ul", "ol", "li",
        "strong", "a", "!doctype",
    ];
    each(|odd, name, letter, html, text| {
        for (_, tag) in tags(html) {
            assert!(known.contains(&tag.as_str()), "<{tag}> in {name} with {odd:?}");
        }
        for attribute in ["onerror=", "onload=", "src="] {
            let raw = html.split('<').skip(1).filter_map(|part| part.split('>').next());
            assert!(
                raw.into_iter().all(|tag| !tag.contains(attribute)),
                "{attribute} in {name} with {odd:?}"
            );
        }
        assert!(!letter.subject.chars().any(char::is_control), "{name}: {:?}", letter.subject);
        assert!(letter.subject.chars().count() <= 120, "{name}: {:?}", letter.subject);
        for part in [html, text] {
            assert!(
                !part.contains("://evil.example") && !part.contains("www.evil.example"),
                "{name}: {part}"
            );
            assert!(!part.contains("49 49"), "{name}");
            assert!(!part.chars().any(|c| c.is_control() && c != '\n'), "{name} with {odd:?}");
            assert!(!part.contains('\u{202e}'), "{name} with {odd:?}");
        }
    });
}

#[test]
fn b37_links_lead_to_the_configured_portal_and_nowhere_else() {
    let mut office = samples::office();
    office.base = Url::parse("https://teams.telecom.example:8443/").unwrap();
    for (name, letter) in samples::all("Contoso", &office, &calendar()) {
        let html = letter.html().unwrap();
        let links: Vec<&str> =
            html.split("href=\"").skip(1).filter_map(|part| part.split('"').next()).collect();
        assert_eq!(links.len(), 1, "{name}: one button");
        assert!(links[0].starts_with("https://teams.telecom.example:8443/"), "{name}: {links:?}");
        let text = letter.text().unwrap();
        let addresses: Vec<&str> = text.split_whitespace().filter(|word| word.contains("://")).collect();
        assert_eq!(addresses, links, "{name}: the text has the same link");
    }
}

#[test]
fn a13_p15_every_letter_that_asks_for_something_has_numbered_steps_and_a_button() {
    each(|odd, name, letter, html, text| {
        if name == "test" {
            return;
        }
        assert!(letter.steps.len() >= 2 && letter.button.is_some(), "{name} with {odd:?}");
        assert!(html.contains("<ol>") && text.contains("  1. ") && text.contains("  2. "), "{name}");
        assert!(!letter.next.is_empty(), "{name} says what happens by itself");
    });
}

#[test]
fn an_accounts_name_stays_within_its_link() {
    let office = samples::office();
    assert_eq!(
        office.page("../../evil?x#y", "").as_str(),
        "https://portal.example/accounts/..%2F..%2Fevil%3Fx%23y"
    );
    assert_eq!(office.page("orchid", "held").as_str(), "https://portal.example/accounts/orchid/held");
}

#[test]
fn what_looks_like_an_address_is_shown_and_is_none() {
    assert_eq!(said("Ana Silva, Sales."), "Ana Silva, Sales.");
    assert_eq!(said("see https://a.example"), "see https:\u{2060}//a.\u{2060}example");
    assert_eq!(said("ana@a.example"), "ana@\u{2060}a.\u{2060}example");
}
