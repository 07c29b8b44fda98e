//! A small PBX of the project's own, shaped like FusionPBX, for the demo and for tests.
//!
//! Three domains of invented people with numbers from the ranges reserved for fiction. Each text is a batch of
//! statements for `sqlx::raw_sql`.

/// Tables as FusionPBX 5.5 has them: flags are boolean.
pub const SCHEMA_5_5: &str = include_str!("../fixtures/fusionpbx/schema-5.5.sql");
/// Tables as FusionPBX 5.4 has them: flags are text, but for the domain's.
pub const SCHEMA_5_4: &str = include_str!("../fixtures/fusionpbx/schema-5.4.sql");
/// What the product's own upgrade does to the columns between the two.
pub const UPGRADE_5_4_TO_5_5: &str = include_str!("../fixtures/fusionpbx/upgrade-5.4-5.5.sql");
/// Domains and users, for either schema.
pub const DEMO: &str = include_str!("../fixtures/fusionpbx/demo.sql");
/// Makes [`READER`], a role that may read the columns of the mapping and nothing else.
pub const GRANTS: &str = include_str!("../fixtures/fusionpbx/grants.sql");
/// The role of [`GRANTS`]; it cannot log in until it is given LOGIN and a password.
pub const READER: &str = "tandem_reader";

/// Name and account key of each domain of [`DEMO`].
pub const DOMAINS: [(&str, &str); 3] = [
    ("alpha.example.com", "a1000000-0000-4000-8000-000000000000"),
    ("bravo.example.net", "b1000000-0000-4000-8000-000000000000"),
    ("charlie.example.org", "c1000000-0000-4000-8000-000000000000"),
];

/// The account key of a domain of [`DEMO`].
#[must_use]
pub fn domain_uuid(name: &str) -> Option<&'static str> {
    DOMAINS.iter().find(|(domain, _)| *domain == name).map(|(_, uuid)| *uuid)
}
