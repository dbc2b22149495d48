use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use super::*;

struct Yard {
    _temporary: tempfile::TempDir,
    root: PathBuf,
}

impl Yard {
    fn new() -> Self {
        let temporary = tempfile::tempdir().expect("a temporary directory");
        let root = temporary.path().canonicalize().expect("it exists").join("root");
        fs::create_dir_all(root.join("sub")).expect("made");
        Self { _temporary: temporary, root }
    }

    fn dir(&self) -> Dir {
        resolve(&self.root, false).expect("it exists").dir
    }

    fn trash(&self) -> Trash {
        Trash::beside(&self.root, true).expect("ours")
    }

    /// Puts files into the trash, each with its path for content, as a run does.
    fn trashed(&self, run: &str, paths: &[&str]) -> Destination {
        let to = self.trash().begin(run, &format!("the note of {run}")).expect("there is room");
        for path in paths {
            fs::write(self.root.join(path), path).expect("written");
            let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
            let from =
                if directory.is_empty() { self.dir() } else { self.dir().open(directory.as_bytes()).expect("there") };
            let into = to.directory(directory.as_bytes(), &self.dir()).expect("made");
            to.take_by_name(&from, name.as_bytes(), &into).expect("renamed");
        }
        to
    }

    /// What there is in the trash, or in the root.
    fn names(&self, place: &str) -> Vec<String> {
        let entries = fs::read_dir(self.root.join(place)).expect("readable");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("readable").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    }
}

#[test]
fn a_run_is_seen_by_others_when_it_has_ended_with_its_note_and_its_weight() {
    let yard = Yard::new();
    assert!(Trash::beside(&yard.root, false).is_err(), "there is none yet");
    let at_work = yard.trashed("one", &["a", "sub/b"]);
    let trash = yard.trash();
    assert!(trash.runs().expect("readable").is_empty(), "it is still at work");
    assert!(trash.run("one").expect("readable").is_none());
    drop(at_work);
    drop(yard.trashed("two", &["c"]));
    let runs = trash.runs().expect("readable");
    let seen: Vec<_> = runs.iter().map(|run| (run.id(), run.note.as_str())).collect();
    assert_eq!(seen, [("one", "the note of one"), ("two", "the note of two")]);
    assert!(trash.run("one").expect("readable").is_none(), "somebody holds it");
    let block = yard.root.join("../.janitor-trash/one/a").metadata().expect("there").blocks() * 512;
    assert_eq!(trash.weigh(&runs[0]).expect("readable"), Weight { files: 2, bytes: 2 * block });
    assert!(block > 0 && !trash.is_bare(&runs[0]).expect("readable"));
    drop(runs);
    assert_eq!(trash.run("one").expect("readable").expect("nobody holds it").note, "the note of one");
    for other in ["three", "../root", "one/a", ""] {
        assert!(trash.run(other).expect("readable").is_none(), "{other}");
    }
    let mode = |path: &str| yard.root.join("..").join(path).metadata().expect("there").permissions().mode() & 0o7777;
    assert_eq!(
        [mode(".janitor-trash"), mode(".janitor-trash/one"), mode(".janitor-trash/one.json")],
        [0o700, 0o700, 0o600]
    );
}

#[test]
#[expect(clippy::disallowed_methods, reason = "what a killed run leaves, without one")]
fn what_is_purged_is_gone_and_nothing_else() {
    let yard = Yard::new();
    for run in ["one", "two"] {
        drop(yard.trashed(run, &["a", "sub/b"]));
    }
    let trash = yard.trash();
    let run = trash.run("one").expect("readable").expect("there");
    let weight = trash.weigh(&run).expect("readable");
    assert_eq!(trash.purge(&run).expect("ours"), weight);
    assert_eq!(yard.names("../.janitor-trash"), ["two", "two.json"]);
    // The note of one that was killed as it began.
    fs::remove_dir_all(yard.root.join("../.janitor-trash/two")).expect("ours");
    let bare = trash.run("two").expect("readable").expect("there");
    assert!(trash.is_bare(&bare).expect("readable"));
    assert_eq!(trash.weigh(&bare).expect("readable"), Weight::default());
    trash.forget_bare(&bare).expect("ours");
    assert_eq!(yard.names("../.janitor-trash"), Vec::<String>::new());
}

#[test]
fn a_run_with_files_is_not_forgotten() {
    let yard = Yard::new();
    drop(yard.trashed("one", &["a"]));
    let trash = yard.trash();
    let run = trash.run("one").expect("readable").expect("there");
    trash.forget_bare(&run).expect("readable");
    assert_eq!(yard.names("../.janitor-trash"), ["one", "one.json"]);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "what somebody else removes")]
fn what_is_put_back_goes_over_nothing_and_the_rest_waits() {
    let yard = Yard::new();
    drop(yard.trashed("one", &["a", "b", "sub/c", "sub/d"]));
    fs::write(yard.root.join("a"), "newer").expect("written");
    fs::remove_dir(yard.root.join("sub")).expect("empty");
    let trash = yard.trash();
    let run = trash.run("one").expect("readable").expect("there");
    let done = trash.put_back(&run, &yard.dir()).expect("readable");
    assert_eq!((done.restored, done.occupied.as_slice(), done.failed.len()), (3, &["a".to_owned()][..], 0));
    let read = |path: &str| fs::read_to_string(yard.root.join(path)).expect("there");
    assert_eq!([read("a"), read("b"), read("sub/c"), read("sub/d")], ["newer", "b", "sub/c", "sub/d"]);
    assert_eq!(yard.names("../.janitor-trash/one"), ["a"]);
    fs::rename(yard.root.join("a"), yard.root.join("a.newer")).expect("ours");
    let done = trash.put_back(&run, &yard.dir()).expect("readable");
    assert_eq!((done.restored, done.occupied.len() + done.failed.len(), read("a")), (1, 0, "a".to_owned()));
    assert_eq!(yard.names("../.janitor-trash"), Vec::<String>::new());
    // Where a file is in the way of a directory, what belongs below it waits too.
    drop(yard.trashed("two", &["sub/e"]));
    fs::rename(yard.root.join("sub"), yard.root.join("away")).expect("ours");
    fs::write(yard.root.join("sub"), "a file").expect("written");
    let run = trash.run("two").expect("readable").expect("there");
    let done = trash.put_back(&run, &yard.dir()).expect("readable");
    assert_eq!((done.restored, done.occupied.as_slice()), (0, &["sub/e".to_owned()][..]));
}

#[test]
fn what_belongs_where_a_link_is_waits() {
    let yard = Yard::new();
    drop(yard.trashed("one", &["sub/a"]));
    fs::rename(yard.root.join("sub"), yard.root.join("away")).expect("ours");
    std::os::unix::fs::symlink("away/further", yard.root.join("sub")).expect("made");
    // It leads on through a link, which is not followed.
    let trash = yard.trash();
    fs::create_dir(yard.root.join("../.janitor-trash/one/sub/below")).expect("made");
    fs::rename(yard.root.join("../.janitor-trash/one/sub/a"), yard.root.join("../.janitor-trash/one/sub/below/a"))
        .expect("ours");
    let run = trash.run("one").expect("readable").expect("there");
    let done = trash.put_back(&run, &yard.dir()).expect("readable");
    assert_eq!((done.restored, done.occupied.as_slice()), (0, &["sub/below/a".to_owned()][..]), "{done:?}");
    assert!(done.failed.is_empty(), "{done:?}");
    assert_eq!(yard.names("../.janitor-trash/one/sub/below"), ["a"]);
    assert_eq!(yard.names("."), ["away", "sub"]);
}

#[test]
fn a_run_whose_files_cannot_be_reached_keeps_its_note() {
    let yard = Yard::new();
    drop(yard.trashed("one", &["a"]));
    let place = yard.root.join("../.janitor-trash/one");
    fs::rename(&place, yard.root.join("elsewhere")).expect("ours");
    std::os::unix::fs::symlink(yard.root.join("elsewhere"), &place).expect("made");
    let trash = yard.trash();
    let run = trash.run("one").expect("readable").expect("there");
    trash.is_bare(&run).expect_err("a link");
    trash.forget_bare(&run).expect_err("a link");
    trash.purge(&run).expect_err("a link");
    trash.put_back(&run, &yard.dir()).expect_err("a link");
    assert_eq!(yard.names("../.janitor-trash"), ["one", "one.json"]);
    assert_eq!(yard.names("elsewhere"), ["a"]);
}

#[test]
fn a_mark_is_read_as_it_was_last_written() {
    let yard = Yard::new();
    let trash = yard.trash();
    assert_eq!(trash.read_mark("mark"), None);
    for text in ["one, which is longer", "two"] {
        trash.mark("mark", text).expect("there is room");
        assert_eq!(trash.read_mark("mark").as_deref(), Some(text));
    }
    assert_eq!(yard.names("../.janitor-trash"), ["mark"]);
}

#[test]
fn what_is_missing_comes_back_in_one_step_and_what_is_there_is_filled() {
    let yard = Yard::new();
    drop(yard.trashed("one", &["sub/a"]));
    let place = |path: &str| yard.root.join("../.janitor-trash/one").join(path);
    for directory in ["sub/bare/deep", "unit/empty"] {
        fs::create_dir_all(place(directory)).expect("made");
    }
    fs::write(place("unit/file"), "text").expect("written");
    fs::set_permissions(place("unit/empty"), fs::Permissions::from_mode(0o2751)).expect("ours");
    let about = |path: PathBuf| {
        let about = path.metadata().expect("there");
        (about.ino(), about.mode(), about.mtime(), about.mtime_nsec())
    };
    let before = ["unit", "unit/empty", "sub/bare", "sub/bare/deep"].map(|path| about(place(path)));
    let trash = yard.trash();
    let run = trash.run("one").expect("readable").expect("there");
    let done = trash.put_back(&run, &yard.dir()).expect("readable");
    assert_eq!((done.restored, done.occupied.len() + done.failed.len()), (2, 0), "{done:?}");
    let after = ["unit", "unit/empty", "sub/bare", "sub/bare/deep"].map(|path| about(yard.root.join(path)));
    assert_eq!(before, after);
    assert!(yard.root.join("sub/a").is_file() && yard.root.join("unit/file").is_file());
    assert_eq!(yard.names("../.janitor-trash"), Vec::<String>::new());
}

#[test]
fn a_directory_that_lets_more_in_is_not_filled_and_where_that_is_not_known_only_one_that_was_there_before() {
    for (in_trash, there, is_new, fits) in [
        (0o750, 0o750, true, true),
        (0o750, 0o700, true, true),
        (0o750, 0o755, true, false),
        (0o1777, 0o777, true, false),
        (0o1700, 0o755, false, true),
        (0o1700, 0o755, true, false),
    ] {
        let yard = Yard::new();
        drop(yard.trashed("one", &["sub/a"]));
        let mode = |path: PathBuf, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
        mode(yard.root.join("../.janitor-trash/one/sub"), in_trash);
        if is_new {
            fs::rename(yard.root.join("sub"), yard.root.join("away")).expect("ours");
            fs::create_dir(yard.root.join("sub")).expect("made");
        }
        mode(yard.root.join("sub"), there);
        let trash = yard.trash();
        let run = trash.run("one").expect("readable").expect("there");
        let done = trash.put_back(&run, &yard.dir()).expect("readable");
        assert_eq!(done.occupied.is_empty(), fits, "{in_trash:o} to {there:o}: {done:?}");
        assert_eq!(yard.root.join("sub/a").exists(), fits, "{in_trash:o} to {there:o}: {done:?}");
    }
}
