//! Every stable code that a user or a job can end with is explained in `docs/codes.md`.

use tandem_domain::ladder::DeferReason;
use tandem_domain::plan::Code;

const CODES: &str = include_str!("../../../docs/codes.md");
const STEPS: &str = include_str!("../../../crates/teams-sync/src/step.rs");
const EXPLAINED: &str = include_str!("../../../crates/teams-sync/src/explain.rs");
const JOBS: &str = include_str!("../../../crates/teams-sync/src/job.rs");
const JOB_ERRORS: &str = include_str!("../../../crates/teams-sync/src/job_error.rs");
const ORDERS: &str = include_str!("../../../crates/teams-sync/src/orders.rs");
const REQUESTS: &str = include_str!("../../../crates/teams-sync/src/requests.rs");
const LOOKS: &str = include_str!("../../../crates/tandem/src/looks.rs");
const RESULTS: &str = include_str!("../../../crates/teams-sync/src/results.rs");
const UNDO: &str = include_str!("../../../crates/teams-sync/src/undo.rs");
const WHO: &str = include_str!("../../../crates/teams-sync/src/who.rs");
const VAULT: &str = include_str!("../../../crates/vault/src/error.rs");
const FAULTS: &str = include_str!("../../../crates/consent/src/fault.rs");
const PORTAL: &str = include_str!("../../../crates/portal/src/fault.rs");
const PORTAL_MAPPING: &str = include_str!("../../../crates/portal/src/fault/mapping.rs");
const PORTAL_FILES: &str = include_str!("../../../crates/portal/src/sheet/flaw.rs");
const PORTAL_ROWS: &str = include_str!("../../../crates/portal/src/sheet/verdict.rs");
const PORTAL_BULK: &str = include_str!("../../../crates/portal/src/fault/bulk.rs");
const REPLAYS: &str = include_str!("../../../crates/domain/src/replay.rs");
const ID_TOKENS: &str = include_str!("../../../crates/consent/src/id_token.rs");
const PROOFS: &str = include_str!("../../../crates/teams-sync/src/proof.rs");

fn explained(code: &str) -> bool {
    CODES.contains(&format!("| `{code}` |"))
}

#[test]
fn every_code_is_explained() {
    let planned = Code::ALL.iter().map(|code| code.as_str().to_owned());
    let deferred = CODES
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter_map(DeferReason::parse)
        .collect::<std::collections::BTreeSet<_>>();
    assert_eq!(deferred.len(), 10, "every reason to defer has a row");
    // codes that the executor gives stand behind `code: "` or `("` in its source, those of whole jobs behind `=> "` as well
    let sources = [
        STEPS,
        EXPLAINED,
        JOBS,
        JOB_ERRORS,
        ORDERS,
        REQUESTS,
        LOOKS,
        RESULTS,
        UNDO,
        WHO,
        VAULT,
        FAULTS,
        PORTAL,
        PORTAL_MAPPING,
        PORTAL_FILES,
        PORTAL_ROWS,
        PORTAL_BULK,
        REPLAYS,
        ID_TOKENS,
        PROOFS,
    ]
    .into_iter();
    let literals = sources.flat_map(|source| {
        [
            "code: \"",
            "=> \"",
            "&str = \"",
            "refused(\"",
            "whole(\"",
            "Some((\"",
            "=> Some(\"",
            "\n        (\"",
            "=> (\"",
            "Err(\"",
        ]
        .into_iter()
        .flat_map(move |mark| {
            source.split(mark).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned)
        })
    });
    let missing: Vec<String> = planned
        .chain(
            literals
                .filter(|code| !code.is_empty() && code.chars().all(|c| c.is_ascii_lowercase() || c == '_')),
        )
        .filter(|code| !explained(code))
        .collect();
    assert!(missing.is_empty(), "docs/codes.md does not explain {missing:?}");
}
