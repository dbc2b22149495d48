//! A sweeper as many are written: it looks at each name, and then acts on the name. Whatever an attack is good for it
//! shows here.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, renameat, statat, unlinkat};

use super::DAY;
use super::field::Action;

/// What goes, and where to.
#[derive(Debug, Default)]
pub struct Rule {
    pub target: PathBuf,
    /// `*`, `**`, or a `*` after the beginning of a name.
    pub include: String,
    /// Only what is older than a day.
    pub aged: bool,
    pub action: Option<Action>,
    pub to: PathBuf,
}

/// Sweeps. Returns how many files went.
pub fn sweep(rule: &Rule) -> u64 {
    below(rule, &rule.target, Path::new(""), false)
}

fn is_old(rule: &Rule, modified: i64) -> bool {
    #[expect(clippy::disallowed_methods, reason = "real files have real ages")]
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    !rule.aged || modified < now.cast_signed() - DAY.as_secs().cast_signed()
}

/// Sweeps one directory; with `all`, one that was judged, and goes whole.
fn below(rule: &Rule, directory: &Path, relative: &Path, all: bool) -> u64 {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // By its path, and through any link.
    let Ok(handle) = openat(CWD, directory, flags, Mode::empty()) else { return 0 };
    let Ok(listing) = Dir::read_from(&handle) else { return 0 };
    let mut gone = 0;
    for entry in listing.flatten() {
        let bytes = entry.file_name().to_bytes();
        if bytes.starts_with(b".") {
            continue;
        }
        let name = OsStr::from_bytes(bytes);
        let Ok(about) = statat(&handle, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) else { continue };
        let (path, inside) = (directory.join(name), relative.join(name));
        if FileType::from_raw_mode(about.st_mode) == FileType::Directory {
            let whole = rule.action == Some(Action::Whole);
            if whole && !all && (!named(rule, bytes) || !is_old(rule, about.st_mtime)) {
                continue;
            }
            if rule.include != "*" || whole {
                gone += below(rule, &path, &inside, whole);
            }
            if whole {
                // It is full when somebody has put another in its place.
                _ = unlinkat(CWD, &path, AtFlags::REMOVEDIR);
            }
        } else if FileType::from_raw_mode(about.st_mode) == FileType::RegularFile
            && (all || (named(rule, bytes) && is_old(rule, about.st_mtime)))
        {
            gone += u64::from(act(rule, &handle, &path, &inside).is_ok());
        }
    }
    gone
}

fn named(rule: &Rule, name: &[u8]) -> bool {
    rule.include.strip_suffix('*').is_none_or(|start| start == "*" || name.starts_with(start.as_bytes()))
}

fn act(rule: &Rule, directory: impl std::os::fd::AsFd, path: &Path, relative: &Path) -> std::io::Result<()> {
    let name = path.file_name().expect("it has a name");
    let to = rule.to.join(relative);
    be_slow();
    match rule.action {
        None | Some(Action::Delete | Action::Whole) => return Ok(unlinkat(directory, name, AtFlags::empty())?),
        Some(Action::Trash | Action::Within | Action::Across) => {}
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    if rule.action == Some(Action::Across) {
        fs::copy(path, &to)?;
        be_slow();
        return Ok(unlinkat(directory, name, AtFlags::empty())?);
    }
    Ok(renameat(directory, name, CWD, &to)?)
}

/// Whatever else a sweeper does before it acts: a line of log, or the rest of a listing. It lets an attacker have a turn
/// on a busy machine too.
fn be_slow() {
    std::thread::sleep(Duration::from_micros(200));
}
