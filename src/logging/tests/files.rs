//! Rotation, retention, and files that go away or cannot be written.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::super::file::LogFile;
use super::*;

struct Log {
    _yard: tempfile::TempDir,
    directory: PathBuf,
    settings: LogSettings,
    zone: TimeZone,
    health: Arc<LogHealth>,
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

impl Log {
    fn new(rotation: Rotation, keep: usize) -> Self {
        let yard = tempfile::tempdir().expect("a temporary directory");
        let directory = yard.path().canonicalize().expect("it exists");
        let settings = LogSettings { rotation, keep, ..settings(&directory.join("j.log")) };
        let zone = TimeZone::get("Europe/Berlin").expect("tzdata is installed");
        Self { _yard: yard, directory, settings, zone, health: Arc::default() }
    }

    fn open(&self, now: &str) -> LogFile {
        LogFile::new(self.path(), &self.settings, &self.zone, self.health.clone(), at(now))
    }

    fn path(&self) -> &Path {
        self.settings.file.as_deref().expect("a file")
    }

    fn files(&self) -> BTreeMap<String, String> {
        let entries = fs::read_dir(&self.directory).expect("readable");
        let content = |path: PathBuf| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap_or_default())
        };
        entries.map(|entry| content(entry.expect("readable").path())).collect()
    }

    #[track_caller]
    fn holds(&self, expected: &[(&str, &str)]) {
        let expected = expected.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        assert_eq!(self.files(), expected);
    }
}

fn write(file: &mut LogFile, now: &str, line: &str) {
    file.write(at(now), line, |lost| format!("({lost} lost)"));
}

#[test]
fn a_new_day_of_local_time_begins_a_new_file() {
    let log = Log::new(Rotation::Daily, 14);
    let mut file = log.open("2026-11-22T12:00:00Z");
    write(&mut file, "2026-11-22T22:59:59Z", "a");
    write(&mut file, "2026-11-22T23:00:00Z", "b");
    write(&mut file, "2026-11-23T01:00:00Z", "c");
    log.holds(&[("j.log", "b\nc\n"), ("j.log.2026-11-22", "a\n")]);
}

#[test]
fn a_file_that_is_full_is_rotated_and_the_newest_are_kept_in_their_order() {
    for (rotation, period) in [(Rotation::Never, "2026-11-22"), (Rotation::Daily, "2026-11-22")] {
        let mut log = Log::new(rotation, 2);
        log.settings.max_size = Some(10);
        let mut file = log.open("2026-11-22T12:00:00Z");
        let now = "2026-11-22T12:00:01Z";
        for line in ["a 456789", "b", "c 456789 123456789", "d 456789", "e 456789", "f"] {
            write(&mut file, now, line);
        }
        // The numbers of those that went are not given again: what is newer has the higher one.
        log.holds(&[
            ("j.log", "f\n"),
            (&format!("j.log.{period}.2"), "d 456789\ne 456789\n"),
            (&format!("j.log.{period}.1"), "c 456789 123456789\n"),
        ]);
    }
}

#[test]
fn a_file_that_is_full_at_the_start_is_rotated_with_the_first_record() {
    let mut log = Log::new(Rotation::Never, 5);
    log.settings.max_size = Some(10);
    fs::write(log.path(), "as it was left\n").expect("written");
    let mut file = log.open("2026-11-22T12:00:00Z");
    write(&mut file, "2026-11-22T12:00:01Z", "a");
    log.holds(&[("j.log", "a\n"), ("j.log.2026-11-22", "as it was left\n")]);
}

#[test]
fn a_repeated_hour_stays_in_one_file() {
    let log = Log::new(Rotation::Hourly, 14);
    let mut file = log.open("2026-10-25T00:10:00Z");
    write(&mut file, "2026-10-25T00:30:00Z", "first two");
    write(&mut file, "2026-10-25T01:30:00Z", "second two");
    write(&mut file, "2026-10-25T02:00:00Z", "three");
    log.holds(&[("j.log", "three\n"), ("j.log.2026-10-25-02", "first two\nsecond two\n")]);
}

#[test]
fn a_start_on_a_later_day_rotates_what_is_there_and_overwrites_nothing() {
    let log = Log::new(Rotation::Daily, 14);
    fs::write(log.path(), "old\n").expect("written");
    fs::write(log.directory.join("j.log.2026-11-20"), "taken\n").expect("written");
    let old = fs::File::options().write(true).open(log.path()).expect("there");
    let seconds = at("2026-11-20T12:00:00Z").as_second().unsigned_abs();
    old.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).expect("ours");
    let mut file = log.open("2026-11-22T12:00:00Z");
    write(&mut file, "2026-11-22T12:00:01Z", "new");
    log.holds(&[("j.log", "new\n"), ("j.log.2026-11-20", "taken\n"), ("j.log.2026-11-20.1", "old\n")]);
}

#[test]
fn only_the_oldest_rotated_files_are_pruned_and_nothing_else() {
    let log = Log::new(Rotation::Daily, 2);
    let foreign =
        ["j.log.bak", "j.toml", "j.log.2026-11-01x", "j.log.2026-11-01.gz", "other.log.2026-11-01", "j.log-2026-11-01"];
    for name in foreign {
        fs::write(log.directory.join(name), "").expect("written");
    }
    fs::create_dir(log.directory.join("j.log.2026-10-01")).expect("made");
    let mut file = log.open("2026-11-18T12:00:00Z");
    for day in 18..=22 {
        write(&mut file, &format!("2026-11-{day}T12:00:00Z"), "x");
    }
    let files = log.files();
    for name in foreign.into_iter().chain(["j.log", "j.log.2026-11-21", "j.log.2026-11-20", "j.log.2026-10-01"]) {
        assert!(files.contains_key(name), "{name} in {files:?}");
    }
    assert_eq!(files.len(), foreign.len() + 4, "{files:?}");
}

#[test]
fn a_file_that_was_moved_or_removed_is_made_anew() {
    let log = Log::new(Rotation::Never, 14);
    let mut file = log.open("2026-11-22T12:00:00Z");
    write(&mut file, "2026-11-22T12:00:00Z", "a");
    fs::rename(log.path(), log.directory.join("moved")).expect("ours");
    write(&mut file, "2026-11-22T12:00:05Z", "b");
    log.holds(&[("j.log", "b\n"), ("moved", "a\n")]);
    fs::rename(log.path(), log.directory.join("again")).expect("ours");
    file.reopen(at("2026-11-22T12:00:05.1Z"));
    write(&mut file, "2026-11-22T12:00:05.1Z", "c");
    log.holds(&[("again", "b\n"), ("j.log", "c\n"), ("moved", "a\n")]);
}

/// Makes a file as long as the file system lets one be, so that nothing can be appended to it.
fn fill(file: &std::path::Path) {
    let file = fs::File::options().write(true).open(file).expect("there");
    let (mut fits, mut too_long) = (0, u64::MAX >> 1);
    while fits + 1 < too_long {
        let middle = fits + (too_long - fits) / 2;
        if file.set_len(middle).is_ok() { fits = middle } else { too_long = middle }
    }
    file.set_len(fits).expect("it fits");
}

#[test]
fn a_file_that_takes_no_more_is_counted_and_overcome() {
    let log = Log::new(Rotation::Never, 14);
    let mut file = log.open("2026-11-22T12:00:00Z");
    fill(log.path());
    for _ in 0..3 {
        write(&mut file, "2026-11-22T12:00:00Z", "lost");
    }
    assert_eq!(log.health.lost(), 3);
    assert!(log.health.last_error().is_some(), "it says why");
    write(&mut file, "2026-11-25T12:00:00Z", "lost");
    fs::File::options().write(true).open(log.path()).expect("there").set_len(0).expect("ours");
    write(&mut file, "2026-11-25T12:00:05Z", "back");
    log.holds(&[("j.log", "(4 lost)\nback\n")]);
    assert_eq!((log.health.lost(), log.health.last_error()), (4, None));
}

#[test]
fn a_new_log_is_for_its_owner_and_his_group() {
    use std::os::unix::fs::PermissionsExt;
    let log = Log::new(Rotation::Daily, 14);
    drop(log.open("2026-11-22T12:00:00Z"));
    let mode = log.path().metadata().expect("there").permissions().mode();
    assert_eq!(mode & 0o137, 0, "{mode:o}");
}

#[test]
fn a_link_that_nobody_else_can_replace_leads_to_the_log_and_any_other_file_is_none() {
    let mut log = Log::new(Rotation::Daily, 14);
    fs::create_dir(log.directory.join("real")).expect("made");
    log.settings.file = Some(log.directory.join("link"));
    symlink("real/j.log", log.path()).expect("made");
    let mut file = log.open("2026-11-22T12:00:00Z");
    write(&mut file, "2026-11-22T12:00:00Z", "a");
    write(&mut file, "2026-11-23T12:00:00Z", "b");
    assert!(log.path().is_symlink());
    assert_eq!(fs::read_to_string(log.directory.join("real/j.log")).expect("there"), "b\n");
    assert_eq!(fs::read_to_string(log.directory.join("real/j.log.2026-11-22")).expect("there"), "a\n");
    symlink("/dev/null", log.directory.join("null")).expect("made");
    fs::rename(log.directory.join("null"), log.path()).expect("ours");
    write(&mut file, "2026-11-23T12:00:05Z", "lost");
    let why = log.health.last_error().unwrap_or_default();
    assert!(why.contains("`/dev/null` is not a regular file"), "{why}");
}

#[test]
fn fakes_of_the_future_and_files_with_other_names_do_not_make_the_real_ones_go() {
    let log = Log::new(Rotation::Daily, 2);
    for number in 1..=5 {
        fs::write(log.directory.join(format!("j.log.9999-12-31.{number}")), "fake").expect("written");
    }
    fs::write(log.directory.join("linked"), "").expect("written");
    fs::hard_link(log.directory.join("linked"), log.directory.join("j.log.2026-11-21.7")).expect("made");
    let mut file = log.open("2026-11-18T12:00:00Z");
    for day in 18..=22 {
        write(&mut file, &format!("2026-11-{day}T12:00:00Z"), "x");
    }
    let files = log.files();
    let real = ["j.log", "j.log.2026-11-20", "j.log.2026-11-21", "j.log.2026-11-21.7", "linked"];
    assert!(real.iter().all(|name| files.contains_key(*name)), "{files:?}");
    assert_eq!(files.len(), real.len() + 5, "{files:?}");
}

#[test]
fn what_cannot_be_opened_is_told_and_tried_again() {
    let mut log = Log::new(Rotation::Never, 14);
    log.settings.file = Some(log.directory.join("directory"));
    fs::create_dir(log.path()).expect("made");
    let mut file = log.open("2026-11-22T12:00:00Z");
    write(&mut file, "2026-11-22T12:00:00Z", "lost");
    assert_eq!(log.health.lost(), 1);
    fs::rename(log.path(), log.directory.join("away")).expect("ours");
    write(&mut file, "2026-11-22T12:00:02Z", "back");
    assert_eq!(fs::read_to_string(log.path()).expect("there"), "(1 lost)\nback\n");
}
