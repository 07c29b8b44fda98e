//! Sealing and opening: what opens, and all that must not.

// clippy takes plain functions for test code, where `unwrap` is fine, only below `cfg(test)`
#[cfg(test)]
mod binding;
#[cfg(test)]
mod keyring;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod vectors;
