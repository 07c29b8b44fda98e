//! `docs/coverage.md` and `docs/codes.md` say what the code decides about profile fields and Microsoft users.

use tandem_domain::coverage;
use tandem_domain::eligible::{Flag, NotEligible};

const COVERAGE: &str = include_str!("../../../docs/coverage.md");
const CODES: &str = include_str!("../../../docs/codes.md");

#[test]
fn the_table_of_coverage_is_that_of_the_code() {
    let rows =
        |text: &str| text.lines().filter(|line| line.starts_with('|')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        rows(COVERAGE),
        rows(&coverage::table()),
        "docs/coverage.md on the left, the code on the right"
    );
}

#[test]
fn every_reason_and_every_flag_of_microsoft_users_is_explained() {
    for reason in NotEligible::ALL {
        assert!(CODES.contains(&format!("| `{}` |", reason.as_str())), "{}", reason.as_str());
    }
    for flag in Flag::ALL {
        assert!(CODES.contains(&format!("`{}`", flag.as_str())), "{}", flag.as_str());
    }
}
