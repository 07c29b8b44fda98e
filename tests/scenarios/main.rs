//! Scenarios over the whole system: real PostgreSQL, real broker, real HTTP to the simulator.

mod main_job;
