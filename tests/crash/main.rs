//! What happens when roles die: the shipped program as real processes, killed at named points, frozen, and cut off
//! from a broker that forgets. After each death the system comes to rest by itself, with the tenant as wanted.

mod broker;
mod canary;
mod consent;
mod debouncer;
mod detector;
mod everything;
mod fleet;
mod judge;
mod late;
mod log;
mod rates;
mod rotation;
mod sign_in;
mod signals;
mod worker;
