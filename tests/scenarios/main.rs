//! Scenarios over the whole system: real PostgreSQL, real broker, real HTTP to the simulator.

mod authorization;
mod broker;
mod by_hand;
mod conflicts;
mod consent;
mod docs_are_true;
mod faults;
mod grants;
mod late_write;
mod layering;
mod licences;
mod main_job;
mod microsoft_faults;
mod microsoft_users;
mod model;
mod own_app;
mod own_fault;
mod people;
mod portal;
mod sign_in;
mod start_stop;
mod throttle;
mod trace;
mod undo;
mod windows;
