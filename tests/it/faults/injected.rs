//! A system call fails, or takes long (strace).

use super::pair::{Injected, Pair, counts, lay, left, script};
use crate::daemon::wait_for;
use crate::needs;
use crate::yard::Yard;
use serde_json::Value;

const ALL: &str = "include = [\"**\"]";

fn can() -> bool {
    needs::tool("strace") && needs::tracing()
}

/// Removing fails with each of these, which is counted under its own words; the next run has what this one had not.
#[test]
fn eio_estale_ebusy_erofs_eperm_and_eintr_of_unlinkat() {
    if !can() {
        return;
    }
    let yard = Yard::new();
    let mut pair = Pair::start(&yard, ALL);
    for (errno, class) in [
        ("EIO", "Input/output error (os error 5)"),
        ("ESTALE", "Stale file handle (os error 116)"),
        ("EBUSY", "Device or resource busy (os error 16)"),
        ("EROFS", "Read-only file system (os error 30)"),
        ("EPERM", "Operation not permitted (os error 1)"),
        ("ENOMEM", "Cannot allocate memory (os error 12)"),
        ("EDQUOT", "Disk quota exceeded (os error 122)"),
    ] {
        lay(&yard);
        let strace = Injected::into(&pair.0, &format!("unlinkat:error={errno}"), &[&yard.path("bad")]);
        let run = pair.swept();
        assert_eq!(
            (&run["outcome"], &run["failed"], &run["deleted"]),
            (&"partial".into(), &3.into(), &1.into()),
            "{run}"
        );
        counts(&run, class, &["a", "b", "c"]);
        drop(strace);
        pair.is_mended();
    }
    // Interrupted it is tried again.
    lay(&yard);
    let strace = Injected::into(&pair.0, "unlinkat:error=EINTR:when=1..2", &[&yard.path("bad")]);
    pair.is_mended();
    drop(strace);
}

const EIO: &str = "Input/output error (os error 5)";

/// While calls on `bad` fail with EIO, nothing goes, and the report has the reason; afterwards all of it goes.
fn nothing_goes(policy: &str, mode: &str, inject: &str, path: &str, outcome: &[&str]) -> Value {
    nothing_goes_for(EIO, policy, mode, inject, path, outcome)
}

/// The same, where the report gives another reason.
fn nothing_goes_for(why: &str, policy: &str, mode: &str, inject: &str, path: &str, outcome: &[&str]) -> Value {
    let yard = Yard::new();
    lay(&yard);
    script(&yard, &format!("rm -r bad/sub && chmod {mode} bad"));
    let mut pair = Pair::start(&yard, policy);
    if mode == "777" {
        // The slots are made.
        pair.is_mended();
        lay(&yard);
        script(&yard, "rm -r bad/sub");
    }
    let strace = Injected::into(&pair.0, inject, &[&yard.path(path)]);
    let run = pair.swept();
    assert!(outcome.iter().any(|outcome| run["outcome"] == *outcome), "{run}");
    assert!(run.to_string().contains(why), "{run}");
    assert_eq!(left(&yard), ["a", "b", "c"], "{run}");
    drop(strace);
    pair.is_mended();
    run
}

#[test]
fn eio_of_getdents64_is_counted_for_the_directory() {
    if can() {
        let run = nothing_goes(ALL, "755", "getdents64:error=EIO", "bad", &["partial", "failed"]);
        assert_eq!(run["deleted"], 0, "{run}");
    }
}

#[test]
fn eio_of_statx_is_counted_for_each_file() {
    if can() {
        nothing_goes("include = [\"*\"]\nolder_than = \"1d\"", "755", "statx:error=EIO", "bad", &["partial", "failed"]);
    }
}

#[test]
fn eio_of_renameat2_where_files_are_verified_is_counted_for_each() {
    if can() && needs::leases() {
        let run = nothing_goes(ALL, "777", "renameat2:error=EIO", "bad", &["partial"]);
        counts(&run, "Input/output error (os error 5)", &["a", "b", "c"]);
    }
}

#[test]
fn eio_of_renameat2_into_the_trash_is_counted_for_each() {
    if can() {
        let policy = format!("{ALL}\naction = \"trash\"");
        let run = nothing_goes(&policy, "755", "renameat2:error=EIO", "bad", &["partial"]);
        counts(&run, "Input/output error (os error 5)", &["a", "b", "c"]);
    }
}

/// That is what fsys itself says of a file that was changed; here it is said by the system, of the place in the trash.
#[test]
fn estale_of_renameat2_into_the_trash_is_counted_for_each() {
    if can() {
        let (why, policy) =
            ("where it was to go: Stale file handle (os error 116)", format!("{ALL}\naction = \"trash\""));
        let run = nothing_goes_for(why, &policy, "755", "renameat2:error=ESTALE", "bad", &["partial"]);
        counts(&run, why, &["a", "b", "c"]);
    }
}

/// No directory can be made that files could be taken to, so nothing is taken aside.
#[test]
fn eio_of_mkdirat_in_a_slot_keeps_the_files_and_says_so() {
    if can() && needs::leases() {
        let run = nothing_goes(ALL, "777", "mkdirat:error=EIO", "bad/.janitor-slots/0/file", &["done"]);
        assert!(run["remarks"].to_string().contains("3 files stay"), "{run}");
    }
}

#[test]
fn eio_of_fsync_of_the_state_stops_nothing_and_is_told() {
    if !can() {
        return;
    }
    let yard = Yard::new();
    lay(&yard);
    let mut pair = Pair::start(&yard, ALL);
    let paths = ["state/janitor.sqlite-wal", "state/janitor.sqlite"].map(|path| yard.path(path));
    let strace = Injected::into(&pair.0, "fsync,fdatasync:error=EIO", &[&paths[0], &paths[1]]);
    pair.is_mended();
    let error = || pair.0.status()["state"]["error"].clone();
    wait_for("the error", || error().as_str().map(|error| assert!(error.contains("I/O"), "{error}")));
    drop(strace);
    lay(&yard);
    pair.is_mended();
    wait_for("the state to be written", || pair.0.status()["state"]["error"].is_null().then_some(()));
}

#[test]
fn eio_of_the_log_stops_nothing_and_is_counted() {
    if !can() {
        return;
    }
    let yard = Yard::new();
    lay(&yard);
    let mut pair = Pair::start(&yard, ALL);
    let strace = Injected::into(&pair.0, "write:error=EIO", &[&yard.path("cleanup_scheduler.log")]);
    pair.is_mended();
    let log = pair.0.status()["log"].clone();
    assert!(log["lost_records"].as_u64() > Some(0), "{log}");
    assert!(log["error"].as_str().expect("it is told").contains("Input/output error"), "{log}");
    drop(strace);
    lay(&yard);
    pair.is_mended();
    assert_eq!(pair.0.count("Deleted file: sub/d"), 1, "it is written again: {}", pair.0.log());
}

/// One call takes long: the status is answered meanwhile, and the other target swept.
#[test]
fn an_unlink_that_hangs_holds_up_nobody_else() {
    if !can() {
        return;
    }
    let yard = Yard::new();
    lay(&yard);
    let mut pair = Pair::start(&yard, ALL);
    let strace = Injected::into(&pair.0, "unlinkat:delay_enter=5s:when=1", &[&yard.path("bad")]);
    assert_eq!(pair.0.post("/cleanup/manual?target=bad&wait=false").status, 202);
    wait_for("the sweep", || (pair.0.target("bad")["state"] == "running").then_some(()));
    pair.is_well();
    yard.file("good/x");
    let good = pair.0.post("/cleanup/manual?target=good").json();
    assert_eq!(good["runs"][0]["outcome"], "done", "{good}");
    assert_eq!(pair.0.target("bad")["state"], "running", "it hangs still");
    wait_for("the end of it", || (pair.0.target("bad")["last_run"]["outcome"] == "done").then_some(()));
    drop(strace);
    assert!(left(&yard).is_empty());
}
