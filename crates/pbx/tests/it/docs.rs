//! `docs/sources.md` knows every code.

const DOCS: &str = include_str!("../../../../docs/sources.md");

/// Codes as the sources spell them: quoted snake case behind the places where codes are made.
fn codes(source: &str) -> Vec<&str> {
    let makers = [
        "PushError::bad(",
        "PushError::unusable(",
        "PushError::unsigned(",
        "report.good(",
        "report.bad(",
        "self.error(",
        "refuse(",
        "=> ",
        "PushError::new(",
        "single(",
        "code = ",
    ];
    source
        .match_indices('"')
        .filter_map(|(at, _)| {
            let text = source[at + 1..].split('"').next()?;
            let snake = text.contains('_')
                && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit());
            let line = source[..at].lines().next_back()?;
            (snake && makers.iter().any(|maker| line.contains(maker))).then_some(text)
        })
        .collect()
}

#[test]
fn every_code_is_in_the_tables() {
    let mut found = 0;
    for source in [
        include_str!("../../src/push.rs"),
        include_str!("../../src/push/body.rs"),
        include_str!("../../src/push/json.rs"),
        include_str!("../../src/push/verify.rs"),
        include_str!("../../src/mapping/query.rs"),
        include_str!("../../src/mapping/read.rs"),
        include_str!("../../src/sql/error.rs"),
        include_str!("../../src/sql/pre_flight.rs"),
    ] {
        for code in codes(source) {
            // profile fields, header names and kinds are spelled like codes
            if tandem_domain::Profile::FIELDS.contains(&code)
                || ["statement_timeout", "minimum_postgresql"].contains(&code)
            {
                continue;
            }
            assert!(DOCS.contains(&format!("`{code}`")), "docs/sources.md lacks {code}");
            found += 1;
        }
    }
    assert!(found > 70, "only {found} codes found: the search is broken");
}
