//! The client against a simulated Microsoft, over real HTTP.

// clippy takes plain functions for test code, where `unwrap` is fine, only below `cfg(test)`
#[cfg(test)]
mod away;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod login;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod throttling;
#[cfg(test)]
mod trouble;
#[cfg(test)]
mod who;
#[cfg(test)]
mod wire;
#[cfg(test)]
mod writing;
