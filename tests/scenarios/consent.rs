//! Connecting a tenant and asking for a sync as a person, through the real pages, Microsoft's simulated ones, and a
//! browser that follows the redirects. Every answer that a browser could bring back is refused unless it is right.

mod answers;
mod connecting;
mod signing_in;
mod syncing;
mod tokens;
mod world;
