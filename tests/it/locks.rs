//! Directories that somebody has locked (flock(2)) stay, with all below them.

use std::fs::{self, File};
use std::time::Duration;

use super::yard::Yard;

const DAY: Duration = Duration::from_secs(86_400);

/// A yard with files in and below `in/sub`, and one beside it.
fn yard(action: &str, more: &str) -> Yard {
    let yard = Yard::new();
    for name in ["sub/a", "sub/deep/b", "free/c"] {
        yard.aged(&format!("in/{name}"), DAY * 3);
    }
    for directory in ["sub/deep", "sub", "free"] {
        yard.grow_old(&format!("in/{directory}"), DAY * 3);
    }
    let archive = yard.directory("archive");
    let action = action.replace("ARCHIVE", archive.to_str().expect("text"));
    let target = "[admin]\nlisten = \"off\"\n[[target]]\npath = \"in\"\nschedule = \"@daily\"\n";
    yard.config(&format!("{target}action = \"{action}\"\nolder_than = \"1d\"\n{more}\n"));
    yard
}

/// What is left but for the slots, which stay.
fn left(yard: &Yard) -> Vec<String> {
    yard.left("in").into_iter().filter(|path| !path.starts_with(".janitor-slots/")).collect()
}

/// Holds a lock of either kind on a directory.
fn locked(yard: &Yard, directory: &str, shared: bool) -> File {
    let file = File::open(yard.path(directory)).expect("ours");
    if shared { file.lock_shared() } else { file.lock() }.expect("nobody has it");
    file
}

#[test]
fn a_locked_directory_stays_with_all_below_it_whatever_the_action() {
    for (action, shared) in [("delete", true), ("delete", false), ("trash", false), ("move:ARCHIVE", true)] {
        let yard = yard(action, "include = [\"**\"]\nremove_empty_dirs = true");
        let lock = locked(&yard, "in/sub", shared);
        let preview = yard.run(&["preview"]);
        assert!(preview.out.contains("skips directory  sub  (locked by a process)"), "{preview:?}");
        assert!(preview.out.contains("free/c") && !preview.out.contains("sub/a"), "{preview:?}");
        let explained = yard.run(&["explain", "in/sub/deep/b"]);
        assert!(explained.out.contains("locked by a process"), "{explained:?}");
        let ran = yard.run(&["clean"]);
        assert_eq!((ran.code, left(&yard)), (Some(0), vec!["sub/a".into(), "sub/deep/b".into()]), "{action}: {ran:?}");
        drop(lock);
        let ran = yard.run(&["clean"]);
        assert_eq!((ran.code, left(&yard)), (Some(0), Vec::new()), "{action}: {ran:?}");
    }
}

#[test]
fn a_lock_below_keeps_what_is_above_it_from_going_as_a_whole() {
    let yard = yard("delete", "include = [\"*\"]\nwhole_dirs = true");
    let lock = locked(&yard, "in/sub/deep", true);
    let explained = yard.run(&["explain", "in/sub"]);
    assert!(explained.out.contains("`deep` in it stays: locked by a process"), "{explained:?}");
    let ran = yard.run(&["clean"]);
    assert_eq!((ran.code, left(&yard)), (Some(0), vec!["sub/a".into(), "sub/deep/b".into()]), "{ran:?}");
    drop(lock);
    let lock = locked(&yard, "in/sub", false);
    assert_eq!(yard.run(&["clean"]).code, Some(0));
    assert_eq!(left(&yard).len(), 2);
    drop(lock);
    assert_eq!(yard.run(&["clean"]).code, Some(0));
    assert_eq!(left(&yard), [""; 0]);
}

#[test]
fn a_lock_of_the_root_holds_nothing_up() {
    let yard = yard("delete", "include = [\"**\"]");
    let _lock = locked(&yard, "in", false);
    let ran = yard.run(&["clean"]);
    assert_eq!((ran.code, left(&yard)), (Some(0), Vec::new()), "{ran:?}");
}

#[test]
fn what_makes_room_leaves_a_locked_directory_alone_too() {
    // More than any disk has free, so that everything that may go has to.
    let yard = yard("delete", "include = [\"**\"]\nmin_free = \"100%\"\nmin_age = \"1s\"");
    let text = fs::read_to_string(yard.path("config/janitor.toml")).expect("ours");
    yard.config(&text.replace("older_than = \"1d\"\n", ""));
    let lock = locked(&yard, "in/sub", true);
    yard.run(&["clean"]);
    assert_eq!(left(&yard), ["sub/a", "sub/deep/b"]);
    drop(lock);
}
