//! janitor keeps many directories clean from one TOML file.
//!
//! > A file goes when it passes the **filters**, has at least one **reason** to go, and no **protection** holds it.
//!
//! The modules stand on floors; each uses only modules on strictly lower floors, and a test enforces it
//! (`ARCHITECTURE.md` has the map). From the bottom up: words ([`names`], [`units`], [`clock`]), nouns ([`globs`],
//! [`schedule`], [`entry`], [`verdict`], [`protected`]), types that are valid by construction ([`target`], [`report`]),
//! pure decisions ([`judge`], [`agenda`]), the file system and the text of the config ([`fsys`], [`config`]), one
//! execution ([`sweep`]), the long-lived part ([`daemon`]), its doors ([`admin`], [`logging`]) and the command line
//! ([`cli`]).

pub mod admin;
pub mod agenda;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod entry;
pub mod fsys;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod globs;
pub mod history;
pub mod judge;
pub mod logging;
pub mod names;
#[cfg(test)]
mod needs;
pub mod protected;
pub mod report;
pub mod schedule;
pub mod sweep;
pub mod target;
pub mod units;
pub mod verdict;
