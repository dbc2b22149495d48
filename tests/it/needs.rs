//! What a test needs and not every machine has. Where it is missing the test says so loudly and passes; with
//! `JANITOR_REQUIRE_ALL=1`, as in the project's own gate, it fails.

use std::io::Write;
use std::path::{Path, PathBuf};

/// Says something on stderr, also where the test passes, of which the harness would keep what is printed.
pub fn say(text: &str) {
    _ = writeln!(std::io::stderr(), "{text}");
}

/// Says that something is missing, or fails where nothing may be.
pub fn missing(what: &str) -> bool {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let strict = std::env::var_os("JANITOR_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!strict, "{test} needs {what}, and JANITOR_REQUIRE_ALL=1 says that nothing may be left out");
    say(&format!("\n*** NOT RUN: {test} needs {what} ***\n"));
    false
}

/// A program on the path.
pub fn tool(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(name).exists()) || missing(&format!("`{name}`"))
}

/// Root, to be somebody else.
pub fn root() -> bool {
    is_root() || missing("root")
}

/// Whether this is root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// To trace processes of one's own that one has not started, which Yama may refuse.
pub fn tracing() -> bool {
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    is_root() || matches!(scope.trim(), "" | "0") || missing("kernel.yama.ptrace_scope = 0, or root")
}

/// A file of the system.
pub fn file(path: &str) -> bool {
    Path::new(path).exists() || missing(path)
}

/// Leases, on the file system of the temporary directory. Nothing that could be installed brings them, so that they are
/// missing is said and never fails.
pub fn leases() -> bool {
    use std::os::fd::AsFd;
    let file = tempfile::tempfile().expect("a temporary file");
    let has = janitor_lease::try_write_lease(file.as_fd()).is_ok();
    if !has {
        say("\n*** NOT RUN: the temporary directory has no leases ***\n");
    }
    has
}

/// A place for files, and the kind of its file system.
pub struct Place {
    pub path: PathBuf,
    pub kind: String,
}

/// The temporary directory, and one in memory.
pub fn file_systems() -> Vec<Place> {
    let kind = |path: &Path| match rustix::fs::statfs(path).map(|about| about.f_type) {
        Ok(0xEF53) => "ext4".to_owned(),
        Ok(0x0102_1994) => "tmpfs".to_owned(),
        Ok(0x5846_5342) => "xfs".to_owned(),
        Ok(0x9123_683E) => "btrfs".to_owned(),
        Ok(0x794C_7630) => "overlay".to_owned(),
        Ok(other) => format!("file system {other:#x}"),
        Err(error) => format!("no file system ({error})"),
    };
    let places = [std::env::temp_dir(), PathBuf::from("/dev/shm")];
    let mut found: Vec<Place> = places.into_iter().map(|path| Place { kind: kind(&path), path }).collect();
    if found[1].kind != "tmpfs" {
        missing("a tmpfs at /dev/shm");
        found.pop();
    }
    found
}
