//! Two processes never sweep one target at the same time.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;

use super::daemon::Daemon;
use super::yard::Yard;

const CONFIG: &str = "state_dir = \"state\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
                      [[target]]\npath = \"in\"\nschedule = \"0 0 1 1 *\"\ninclude = [\"*\"]\n";

#[test]
fn a_target_that_another_process_sweeps_is_left_to_it() {
    let yard = Yard::new();
    yard.config(CONFIG);
    yard.file("in/a");
    // A run makes the state directory, and leaves the lock file.
    assert_eq!(yard.run(&["clean"]).code, Some(0));
    let mode = |path: &str| fs::metadata(yard.path(path)).expect("made").permissions().mode() & 0o777;
    assert_eq!((mode("state"), mode("state/target-in.lock")), (0o700, 0o600));
    yard.file("in/a");
    let lock = File::options().write(true).open(yard.path("state/target-in.lock")).expect("ours");
    lock.lock().expect("nobody has it");
    fs::write(yard.path("state/target-in.lock"), "somebody at work").expect("ours");
    let ran = yard.run(&["clean"]);
    assert_eq!((ran.code, yard.left("in").len()), (Some(1), 1), "{ran:?}");
    assert!(ran.err.contains("being swept by somebody at work"), "{ran:?}");
    for looks in [&["preview"][..], &["clean", "--dry-run"]] {
        assert_eq!(yard.run(looks).code, Some(0), "a look does not wait: {looks:?}");
    }
    let daemon = Daemon::start(&yard);
    let answer = daemon.post("/cleanup/manual");
    assert_eq!((answer.status, &answer.json()["error"]), (409, &"running".into()), "{:?}", answer.json());
    assert!(answer.json()["message"].as_str().expect("words").contains("somebody at work"), "{:?}", answer.json());
    assert_eq!(yard.left("in").len(), 1);
    drop(lock);
    assert_eq!(daemon.post("/cleanup/manual").json()["success"], true);
    assert_eq!(yard.left("in").len(), 0);
}
