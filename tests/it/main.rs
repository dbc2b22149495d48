//! The whole program, as a user sees it: the real binary, real files, real sockets, real signals.
//!
//! [`yard`] is a directory with files in it, [`daemon`] the program running there, [`client`] what talks to its port.

#![expect(clippy::panic, reason = "this is how a test fails")]
mod admin_wall;
mod architecture;
mod attacks;
mod audit;
mod capabilities;
mod client;
mod command_line;
mod daemon;
mod examples;
mod faults;
mod hostile;
mod log;
mod memory;
mod needs;
mod reload;
mod rules;
mod safety;
mod schedule;
mod seed_day;
mod signals;
mod stuck;
mod tmpfiles;
mod trash;
mod trust;
mod yard;
