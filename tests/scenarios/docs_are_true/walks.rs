//! Every page of the portal is looked at in a browser.

use tandem_portal::table;

const PAGES: &str = include_str!("../../browser/pages.py");

#[test]
fn every_page_is_among_those_that_a_browser_looks_at() {
    // what leads elsewhere, is part of a page, is no page, or may stand in a frame only
    let other = ["/", "/signed-in/{issuer}", "/accounts/{account}/users.csv", "/embed/{account}"];
    let parts = ["/live", "/events", "/bundle"];
    let pages =
        table().into_iter().filter(|entry| entry.method == "GET").map(|entry| entry.path).filter(|path| {
            !path.starts_with("/api/")
                && !path.starts_with("/assets/")
                && !other.contains(path)
                && !parts.iter().any(|part| path.ends_with(part))
        });
    let missing: Vec<&str> = pages.filter(|path| !PAGES.contains(&format!("(\"{path}\""))).collect();
    assert!(missing.is_empty(), "tests/browser/pages.py lacks {missing:?}");
}
