//! Sources of PBX users: SQL snapshots through mapping files, and the pure half of the push endpoint.
//!
//! A PBX is described by data (a [`mapping`]), not by code: a query, and which of its columns is which field of the
//! profile. [`sql`] reads it as one complete snapshot through a role that can only read. [`push`] checks and reads
//! what a PBX sends by itself. Nothing here decides what a difference means (`tandem_domain::snapshot` does) and
//! nothing here ever writes into a PBX.

pub mod country;
pub mod fixture;
pub mod mapping;
pub mod push;
pub mod sql;

pub use country::Country;
pub use mapping::Mapping;
pub use sql::{SqlSource, SqlSourceConfig};
