//! Runs a program behind a filter of system calls, as a hardened unit or an older container runtime has one. The tests use
//! it: `filtered openat2=ENOSYS PROGRAM [ARGUMENT…]`, or `landlock=KILL`.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::process::Command;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

type Failed = Box<dyn std::error::Error>;

/// Its number is the same everywhere.
const OPENAT2: i64 = 437;
/// `landlock_create_ruleset`, `landlock_add_rule`, `landlock_restrict_self`.
const LANDLOCK: [i64; 3] = [444, 445, 446];
const ENOSYS: u32 = 38;

fn main() -> Result<(), Failed> {
    let mut arguments = std::env::args_os().skip(1);
    let filter = arguments.next().unwrap_or_default();
    let (calls, action): (&[i64], _) = match filter.to_str() {
        Some("openat2=ENOSYS") => (&[OPENAT2], SeccompAction::Errno(ENOSYS)),
        Some("landlock=KILL") => (&LANDLOCK, SeccompAction::KillProcess),
        _ => return Err(format!("no such filter: {}", filter.display()).into()),
    };
    let rules: BTreeMap<_, _> = calls.iter().map(|call| (*call, Vec::new())).collect();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, std::env::consts::ARCH.try_into()?)?;
    let program: BpfProgram = filter.try_into()?;
    apply_filter(&program)?;
    let mut command = Command::new(arguments.next().ok_or("no program")?);
    Err(command.args(arguments).exec().into())
}
