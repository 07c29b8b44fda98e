//! The bus against a real broker of the test's own.

mod broker_faults;
mod connecting;
mod consuming;
mod publishing;
mod support;
