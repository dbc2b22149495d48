//! The whole program, as a user sees it: the real binary, real files, real sockets, real signals.
//!
//! [`yard`] is a directory with files in it, [`daemon`] the program running there, [`client`] what talks to its port.
//! [`users`] has two ordinary users, [`mounts`] file systems of a test's own.

#![expect(clippy::panic, reason = "this is how a test fails")]
mod abuse;
mod actions;
mod admin_wall;
mod answers;
mod architecture;
mod archives;
mod attacks;
mod audit;
mod capabilities;
mod client;
mod command_line;
mod crash;
mod daemon;
mod disk;
mod doors;
mod events;
mod examples;
mod faults;
mod file_systems;
mod filtered;
mod flood;
mod globs;
mod guards;
mod hostile;
mod interrupted;
mod location;
mod locks;
mod log;
mod memory;
mod metrics;
mod mounts;
mod needs;
mod own_files;
mod power;
mod reload;
mod rules;
mod safety;
mod scenes;
mod schedule;
mod seed_day;
mod shell;
mod signals;
mod socket;
mod squatter;
mod stops;
mod stuck;
mod systemd;
mod threads;
mod tmpfiles;
mod tracer;
mod trash;
mod trust;
mod turns;
mod undo;
mod unreachable;
mod users;
mod whole;
mod yard;
mod zones;
