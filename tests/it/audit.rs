//! What the program asks of the kernel, seen by strace; and mounts, which need root.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::needs;
use super::yard::{Filter, JANITOR, Yard};

fn tree() -> Yard {
    let yard = Yard::new();
    for path in ["target/a", "target/d/b", "target/d/e/c", "target/d/e/x.keep", "target/.hidden"] {
        yard.file(path);
    }
    std::os::unix::fs::symlink("/etc", yard.path("target/link")).expect("made");
    yard.config(
        "[log]\nfile = \"/dev/null\"\n[[target]]\npath = \"target\"\nschedule = \"@daily\"\ninclude = [\"**\"]\nexclude = [\"*.keep\"]\nmin_age = \"0s\"\n",
    );
    yard
}

/// The system calls on files that a command makes, one a line.
fn traced(yard: &Yard, command: &str) -> Vec<String> {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-s", "4096", "-e", "trace=file,desc", "-o", "trace", JANITOR, command]);
    let status =
        strace.current_dir(yard.path("")).env("TZ", "UTC").env("HOME", "/nonexistent").output().expect("strace runs");
    assert!(status.status.success(), "{status:?}");
    let trace = std::fs::read_to_string(yard.path("trace")).expect("written");
    trace.lines().map(|line| line.split_once(' ').map_or(line, |(_, call)| call.trim()).to_owned()).collect()
}

/// The calls of a run, but for those on the state: SQLite goes by path, and what is stopped is written anew beside the
/// old file and takes its name.
fn calls_of_a_run(yard: &Yard) -> Vec<String> {
    let is_state = |call: &String| call.contains("\"stops.json") || call.contains("janitor.sqlite");
    traced(yard, "clean").into_iter().filter(|call| !is_state(call)).collect()
}

/// The first two arguments of a call: a handle and a quoted path.
fn handle_and_path(call: &str) -> (&str, &str) {
    let arguments = call.split_once('(').map_or("", |(_, rest)| rest);
    let (handle, rest) = arguments.split_once(", ").unwrap_or((arguments, ""));
    (handle, rest.split('"').nth(1).unwrap_or(""))
}

/// The calls that open, look at or remove something by a name.
const BY_NAME: [&str; 16] = [
    "open(",
    "openat(",
    "openat2(",
    "stat(",
    "lstat(",
    "newfstatat(",
    "statx(",
    "unlink(",
    "unlinkat(",
    "rmdir(",
    "rename(",
    "renameat(",
    "renameat2(",
    "access(",
    "faccessat(",
    "readlink(",
];

#[test]
fn below_a_target_everything_goes_by_handle() {
    if !needs::tool("strace") {
        return;
    }
    let yard = tree();
    let calls = calls_of_a_run(&yard);
    assert_eq!(yard.left("target"), ["d/e/x.keep", "link"], "it did its work");
    let root = yard.path("target").to_string_lossy().into_owned();
    let mut removals = 0;
    let mut beneath = 0;
    for call in calls.iter().filter(|call| BY_NAME.iter().any(|name| call.starts_with(name))) {
        assert!(!call.contains(&format!("\"{root}/")), "a path below the target: {call}");
        assert!(!call.contains("\"target/"), "a path below the target: {call}");
        let (handle, path) = handle_and_path(call);
        if call.starts_with("unlinkat(") {
            removals += 1;
            assert!(handle.bytes().all(|byte| byte.is_ascii_digit()), "not by handle: {call}");
            assert!(!path.contains('/') && !path.is_empty(), "not one component: {call}");
        }
        // The janitor's own files may lie on another file system than their directory.
        let is_own = ["janitor.toml", "null"].contains(&path) || path.contains(".lock");
        if call.starts_with("openat2(") && handle != "AT_FDCWD" && !is_own {
            beneath += 1;
            for flag in ["RESOLVE_BENEATH", "RESOLVE_NO_SYMLINKS", "RESOLVE_NO_MAGICLINKS", "RESOLVE_NO_XDEV"] {
                assert!(call.contains(flag), "without {flag}: {call}");
            }
        }
        for name in ["unlink(", "rmdir(", "rename"] {
            assert!(!call.starts_with(name), "{call}");
        }
        for name in ["\"a\"", "\"b\"", "\"c\"", "\".hidden\""] {
            if call.contains(name) {
                let by_handle = call.starts_with("statx(") || call.starts_with("unlinkat(");
                assert!(by_handle && handle != "AT_FDCWD", "{call}");
            }
        }
    }
    assert_eq!(
        (removals, beneath),
        (4, 5),
        "four files; the root, two directories below it, and whether there are slots for files and for directories"
    );
}

#[test]
fn where_others_can_write_everything_goes_by_handle_too() {
    if !needs::tool("strace") || !needs::leases() {
        return;
    }
    let yard = tree();
    for directory in ["target", "target/d", "target/d/e"] {
        fs::set_permissions(yard.path(directory), Permissions::from_mode(0o777)).expect("ours");
    }
    let calls = calls_of_a_run(&yard);
    let left = yard.left("target");
    let left: Vec<_> = left.iter().filter(|path| !path.starts_with(".janitor-slots/")).collect();
    assert_eq!(left, ["d/e/x.keep", "link"], "it did its work");
    let root = yard.path("target").to_string_lossy().into_owned();
    let is_handle = |handle: &str| !handle.is_empty() && handle.bytes().all(|byte| byte.is_ascii_digit());
    let mut renames = 0;
    for call in &calls {
        assert!(!call.contains(&format!("\"{root}/")), "a path below the target: {call}");
        assert!(!call.starts_with("rename(") && !call.starts_with("renameat("), "{call}");
        if let Some(arguments) = call.strip_prefix("renameat2(") {
            renames += 1;
            let parts: Vec<&str> = arguments.split(", ").collect();
            assert!(is_handle(parts[0]) && is_handle(parts[2]), "not by handle: {call}");
            assert!(!parts[1].contains('/') && parts[1] == parts[3], "not one component: {call}");
            assert!(call.contains("RENAME_NOREPLACE"), "{call}");
        }
        if call.starts_with("unlinkat(") {
            let (handle, path) = handle_and_path(call);
            assert!(is_handle(handle) && !path.contains('/'), "{call}");
        }
    }
    assert_eq!(renames, 4);
}

/// How many system calls on files and descriptors a run makes for each file more, by strace.
fn calls_for_a_file(mode: u32, policy: &str) -> f64 {
    let calls = |files: u32| {
        let yard = Yard::new();
        for number in 0..files {
            yard.aged(&format!("target/{number}"), std::time::Duration::from_secs(3 * 86_400));
        }
        yard.directory("archive");
        fs::set_permissions(yard.path("target"), Permissions::from_mode(mode)).expect("ours");
        let policy = policy.replace("ARCHIVE", &yard.path("archive").to_string_lossy());
        yard.config(&format!(
            "[log]\nfile = \"/dev/null\"\n[[target]]\npath = \"target\"\nschedule = \"@daily\"\ninclude = [\"**\"]\n\
             older_than = \"1d\"\nthreads = 1\n{policy}\n"
        ));
        let made = traced(&yard, "clean");
        let left: Vec<_> =
            yard.left("target").into_iter().filter(|path| !path.starts_with(".janitor-slots/")).collect();
        assert!(left.is_empty(), "{policy}: {left:?}");
        // What is written is for the log and the terminal. F_GETFD is how a debug build makes sure that what it closes is open.
        let is_counted =
            |call: &&String| !["write", "mmap"].iter().any(|name| call.starts_with(name)) && !call.contains("F_GETFD");
        made.iter().filter(is_counted).count()
    };
    (calls(300) as f64 - calls(100) as f64) / 200.0
}

#[test]
fn a_file_costs_few_calls_whatever_is_done_to_it() {
    if !needs::tool("strace") || !needs::leases() {
        return;
    }
    // By name what was looked at is looked at again, since a traced run is slow. Elsewhere, beside the look that the
    // verdict needs: open, stat, lock, lease, rename aside, stat, lease, unlink, close.
    for (mode, policy, most) in [
        (0o755, "", 3.4),
        (0o777, "", 10.2),
        (0o755, "action = \"trash\"", 4.0),
        (0o777, "action = \"trash\"", 10.2),
        (0o755, "action = \"move:ARCHIVE\"", 4.0),
        (0o777, "action = \"move:ARCHIVE\"", 10.2),
        (0o755, "skip_open = true", 8.3),
        (0o755, "skip_open = true\naction = \"trash\"", 8.3),
        (0o777, "skip_open = true", 10.2),
    ] {
        let calls = calls_for_a_file(mode, policy);
        needs::say(&format!("system calls a file: {calls:.2} ({mode:o}, {policy})"));
        assert!(calls <= most, "{calls} calls a file, {mode:o}, {policy}");
    }
}

#[test]
fn a_preview_changes_nothing_at_all() {
    if !needs::tool("strace") {
        return;
    }
    let yard = tree();
    let calls = traced(&yard, "preview");
    for call in &calls {
        for name in ["unlink", "rmdir", "rename", "mkdir", "link(", "linkat", "symlink", "chmod", "truncate", "utimens"]
        {
            assert!(!call.starts_with(name), "{call}");
        }
        let writes = call.contains("O_WRONLY") || call.contains("O_RDWR") || call.contains("O_CREAT");
        assert!(!writes || call.contains("\"/dev/") || call.contains("\"/proc/"), "{call}");
    }
    assert_eq!(yard.left("target").len(), 6);
}

#[test]
fn mounts_below_a_target_are_never_entered() {
    if !needs::root() || !needs::tool("unshare") {
        return;
    }
    // Below a target, with and without openat2.
    for yard in [Yard::new(), Yard::new().behind(Filter::NoOpenat2)] {
        mounts_are_not_entered(&yard);
    }
}

fn mounts_are_not_entered(yard: &Yard) {
    for path in
        ["victim/precious", "victim-file", "target/bind/x", "target/other/x", "target/file-bind", "target/plain"]
    {
        yard.file(path);
    }
    yard.config("[[target]]\npath = \"target\"\nschedule = \"@daily\"\ninclude = [\"**\"]\n");
    let janitor = yard.program().join(OsStr::new(" ")).into_string().expect("text");
    let script = format!(
        "set -e; mount --bind victim target/bind; mount --bind victim-file target/file-bind; \
         mount -t tmpfs none target/other; touch target/other/in-tmpfs; \
         {janitor} clean --json; ls target/other"
    );
    let mut shell = Command::new("unshare");
    shell.args(["-m", "--propagation", "private", "sh", "-c", &script]).current_dir(yard.path("")).env("TZ", "UTC");
    let output = shell.output().expect("unshare runs");
    assert!(output.status.success(), "{output:?}");
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        out.contains("in-tmpfs") && out.contains("\"deleted\": 1") && out.contains("\"outcome\": \"done\""),
        "{out}"
    );
    assert!(out.contains("\"skipped_directories\": 2"), "{out}");
    assert_eq!(yard.left("victim"), ["precious"]);
    assert!(yard.path("victim-file").exists() && !yard.path("target/plain").exists());
}

#[test]
fn a_target_that_is_a_mount_point_is_swept() {
    if !needs::root() || !needs::tool("unshare") {
        return;
    }
    let yard = Yard::new();
    yard.directory("target");
    yard.config("[[target]]\npath = \"target\"\nschedule = \"@daily\"\ninclude = [\"*\"]\n");
    let script =
        format!("set -e; mount -t tmpfs -o mode=755 none target; touch target/a; {JANITOR} clean --json; ls -A target");
    let mut shell = Command::new("unshare");
    shell.args(["-m", "--propagation", "private", "sh", "-c", &script]).current_dir(yard.path("")).env("TZ", "UTC");
    let output = shell.output().expect("unshare runs");
    assert!(output.status.success() && output.stdout.ends_with(b"}\n"), "{output:?}");
}
