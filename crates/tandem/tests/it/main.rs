//! The binary as its users meet it: as a process, beside real servers and the Microsoft simulator.

mod accounts;
mod commands;
mod connect;
mod decisions;
mod demo;
mod embed;
mod help;
mod keys;
mod lab;
mod mail;
mod roles;
mod tenant;
