//! Random trees on disk, and the list of what is in one.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use rustix::fs::{AtFlags, IFlags, StatxAttributes, StatxFlags};

use super::{NOW, Yard};
use crate::entry::AgeBy;

/// What every file system here gives a file of one byte.
pub(super) const BLOCK: u64 = 4096;

/// One entry of the list.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) path: String,
    pub(super) is_directory: bool,
    pub(super) is_link: bool,
    /// In nanoseconds; negative in the future.
    pub(super) age: i128,
    pub(super) size: u64,
    pub(super) allocated: u64,
    pub(super) inode: u64,
    pub(super) links: u64,
    /// Whether the directory that the entry lies in can be written by others.
    pub(super) open_to_others: bool,
    pub(super) is_immutable: bool,
}

pub(super) fn list(root: &Path, age_by: AgeBy) -> Vec<Seen> {
    fn below(directory: &Path, root: &Path, age_by: AgeBy, found: &mut Vec<Seen>) {
        for entry in fs::read_dir(directory).expect("readable") {
            let path = entry.expect("readable").path();
            if path.file_name().is_some_and(|name| name == ".janitor-slots") {
                continue;
            }
            let about = path.symlink_metadata().expect("there");
            let (seconds, nanos) = match age_by {
                AgeBy::Accessed if !about.is_dir() => (about.atime(), about.atime_nsec()),
                _ => (about.mtime(), about.mtime_nsec()),
            };
            found.push(Seen {
                path: path.strip_prefix(root).expect("below").to_string_lossy().into_owned(),
                is_directory: about.is_dir(),
                is_link: about.is_symlink(),
                age: i128::from(NOW - seconds) * 1_000_000_000 - i128::from(nanos),
                size: about.size(),
                allocated: about.blocks() * 512,
                inode: about.ino(),
                links: about.nlink(),
                open_to_others: directory.metadata().expect("there").mode() & 0o022 != 0,
                is_immutable: is_immutable(&path),
            });
            if about.is_dir() {
                below(&path, root, age_by, found);
            }
        }
    }
    let mut found = Vec::new();
    below(root, root, age_by, &mut found);
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

fn is_immutable(path: &Path) -> bool {
    let about = rustix::fs::statx(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS);
    about.expect("there").stx_attributes.intersects(StatxAttributes::IMMUTABLE | StatxAttributes::APPEND)
}

/// Files that are immutable or append-only until this is dropped. Where that cannot be, they are as any other.
pub(super) struct Immutable(Vec<PathBuf>);

impl Immutable {
    pub(super) fn new(paths: impl Iterator<Item = PathBuf>) -> Self {
        let set = |(at, path): (usize, PathBuf)| {
            let flag = if at % 2 == 0 { IFlags::IMMUTABLE } else { IFlags::APPEND };
            set_flags(&path, flag).ok().map(|()| path)
        };
        Self(paths.enumerate().filter_map(set).collect())
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        for path in &self.0 {
            // One that has gone all the same is for the test to tell.
            drop(set_flags(path, IFlags::empty()));
        }
    }
}

fn set_flags(path: &Path, flags: IFlags) -> std::io::Result<()> {
    Ok(rustix::fs::ioctl_setflags(File::open(path)?, flags)?)
}

/// A file to be made.
#[derive(Clone, Debug)]
pub(super) struct Sprout {
    path: String,
    hours: i64,
    nanos: u32,
    blocks: u8,
    what: u8,
}

pub(super) fn sprouts() -> impl Strategy<Value = Vec<Sprout>> {
    let part = prop::sample::select(vec!["a", "b", "c", "keep", "x.log", "y.log", "z.db", "w.part", ".h", ".git"]);
    let path = prop::collection::vec(part, 1..4).prop_map(|parts| parts.join("/"));
    let sprout = (path, -2_i64..40, 0_u32..2, 0_u8..4, 0_u8..16);
    let sprout = sprout.prop_map(|(path, hours, nanos, blocks, what)| Sprout { path, hours, nanos, blocks, what });
    prop::collection::vec(sprout, 1..16)
}

fn stamped(path: &Path, hours: i64, nanos: u32) {
    let at = SystemTime::UNIX_EPOCH + Duration::new((NOW - hours * 3600) as u64, nanos);
    let other = at + Duration::from_secs(7200);
    let file = File::open(path).expect("ours");
    file.set_times(FileTimes::new().set_modified(at).set_accessed(other)).expect("ours");
}

/// Makes the tree; directories get stamps of their own in the end.
pub(super) fn grow(yard: &Yard, sentinel: bool, sprouts: &[Sprout]) {
    let mut files: Vec<PathBuf> = Vec::new();
    for sprout in sprouts {
        let path = yard.root.join(&sprout.path);
        // A name that is taken, or below a file, is left out.
        if path.symlink_metadata().is_ok() || fs::create_dir_all(path.parent().expect("below")).is_err() {
            continue;
        }
        match (sprout.what, files.first()) {
            (0, _) => symlink("anywhere", &path).expect("made"),
            (1, _) => fs::create_dir(&path).expect("made"),
            (2 | 3, Some(first)) => fs::hard_link(first, &path).expect("made"),
            (4, Some(first)) if yard.root.join("../elsewhere").symlink_metadata().is_err() => {
                fs::hard_link(first, yard.root.join("../elsewhere")).expect("made");
            }
            _ => {
                fs::write(&path, vec![1; usize::from(sprout.blocks) * BLOCK as usize]).expect("written");
                stamped(&path, sprout.hours, sprout.nanos);
                files.push(path);
            }
        }
    }
    if sentinel {
        fs::write(yard.root.join("sentinel"), "").expect("written");
        stamped(&yard.root.join("sentinel"), 30, 0);
    }
    for (at, seen) in list(&yard.root, AgeBy::Modified).iter().rev().enumerate() {
        if seen.is_directory {
            let path = yard.root.join(&seen.path);
            stamped(&path, (at as i64 * 7) % 33, 0);
            // Some are open to others, so that what goes there is verified.
            let mode = if at % 3 == 0 { 0o777 } else { 0o755 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("ours");
        }
    }
}
