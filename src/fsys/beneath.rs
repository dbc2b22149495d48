//! Opening a path beneath a handle: without following a link and, where asked for, without entering another mount.
//!
//! `openat2` (Linux 5.6) opens the path in one call. It is missing on an older kernel, and hidden by some filters of
//! system calls, since a filter cannot look into its argument (`RestrictSUIDSGID=` of systemd, older container
//! runtimes). Without `openat2` each name is opened by itself (`openat` with `O_NOFOLLOW`), and every opened entry must
//! be on the same mount.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatxFlags, openat, openat2, readlink, statat, statx,
};
use rustix::io::Errno;

use super::dir::again;

/// Restrictions of every step: stay beneath the directory, and follow no link.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// Number of times an apparent mount point is looked at again.
const XDEV_TRIES: usize = 3;

/// Behaviour of a step at a mount point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mounts {
    /// Enter the mount: for the janitor's own files.
    Cross,
    /// Fail: for everything below a target.
    Stay,
}

/// Method of opening paths beneath a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// By the kernel, in one call.
    Openat2,
    /// Name by name.
    Openat,
}

impl Opening {
    /// Returns the name of the system call.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Openat2 => "openat2",
            Self::Openat => "openat",
        }
    }
}

impl fmt::Display for Opening {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())?;
        match self {
            Self::Openat2 => Ok(()),
            Self::Openat => out.write_str(", name by name (this kernel or a filter of system calls denies openat2)"),
        }
    }
}

/// Returns the method of opening paths beneath a handle. The kernel is asked once.
#[must_use]
pub fn opening() -> Opening {
    static OPENING: OnceLock<Opening> = OnceLock::new();
    *OPENING.get_or_init(|| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat2(CWD, c"/", flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
            Err(Errno::NOSYS | Errno::PERM) => {
                // A confined thread cannot open the list any more.
                *mount_points() = MountPoints::open().ok();
                Opening::Openat
            }
            _ => Opening::Openat2,
        }
    })
}

/// Opens `relative` beneath a directory. `.` is the directory itself, and stands for nothing else. Fails with `ELOOP`
/// at a symbolic link, and with `EXDEV` at a way out and, with [`Mounts::Stay`], at a mount point.
pub(super) fn open_beneath(dir: BorrowedFd<'_>, relative: &Path, flags: OFlags, mounts: Mounts) -> io::Result<OwnedFd> {
    if opening() == Opening::Openat {
        return by_names(dir, relative, flags, mounts);
    }
    let resolve = match mounts {
        Mounts::Cross => BENEATH,
        Mounts::Stay => BENEATH | ResolveFlags::NO_XDEV,
    };
    let mut tries = 0;
    loop {
        match again(|| openat2(dir, relative, flags, Mode::empty(), resolve)) {
            // `openat2` returns `EXDEV`, too, when the entry just found was moved out from below the directory
            // meanwhile (openat2(2) looks again at the end). The moved entry is not there the next time.
            Err(error) if tries < XDEV_TRIES && error.raw_os_error() == Some(Errno::XDEV.raw_os_error()) => tries += 1,
            done => return done,
        }
    }
}

/// Opens an absolute path. Fails with `ELOOP` at a symbolic link.
pub(super) fn open_absolute(path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    if opening() == Opening::Openat {
        return by_names(CWD, path, flags, Mounts::Cross);
    }
    let strictly = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    again(|| openat2(CWD, path, flags, Mode::empty(), strictly))
}

/// Opens a path name by name.
fn by_names(dir: BorrowedFd<'_>, path: &Path, flags: OFlags, mounts: Mounts) -> io::Result<OwnedFd> {
    let mount = match mounts {
        Mounts::Cross => None,
        Mounts::Stay => Some(mount_of(dir)?),
    };
    let mut at: Option<OwnedFd> = None;
    let mut components = path.components().peekable();
    while let Some(component) = components.next() {
        let name = match component {
            Component::Normal(name) => name,
            Component::RootDir => OsStr::new("/"),
            Component::CurDir => OsStr::new("."),
            // The kernel returns the same error for a way out.
            Component::ParentDir | Component::Prefix(_) => return Err(Errno::XDEV.into()),
        };
        let from = at.as_ref().map_or(dir, AsFd::as_fd);
        let on_the_way = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let next = match components.peek() {
            None => step(from, name, flags | OFlags::NOFOLLOW, mount)?,
            Some(_) => {
                step(from, name, on_the_way | OFlags::NOFOLLOW, mount).map_err(|error| told(from, name, error))?
            }
        };
        at = Some(next);
    }
    at.ok_or_else(|| Errno::NOENT.into())
}

/// Opens one name, which must be on this mount.
fn step(dir: BorrowedFd<'_>, name: &OsStr, flags: OFlags, mount: Option<u64>) -> io::Result<OwnedFd> {
    // A dead mount must not be touched, so the list of mounts is asked first. A mount missing from the list is noticed
    // afterwards.
    if mount.is_some() && is_mount_point(dir, name) {
        return Err(Errno::XDEV.into());
    }
    let opened = again(|| openat(dir, name, flags, Mode::empty()))?;
    match mount {
        Some(mount) if mount_of(opened.as_fd())? != mount => Err(Errno::XDEV.into()),
        _ => Ok(opened),
    }
}

/// Maps the error at a symbolic link on the way to that of `openat2`.
fn told(dir: BorrowedFd<'_>, name: &OsStr, error: io::Error) -> io::Error {
    let is_link = |stat: rustix::fs::Stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
    match error.raw_os_error() == Some(Errno::NOTDIR.raw_os_error()) {
        true if statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(is_link) => Errno::LOOP.into(),
        _ => error,
    }
}

/// Returns the number of the mount that a handle is on. No other mount has this number while the handle is open.
fn mount_of(handle: BorrowedFd<'_>) -> io::Result<u64> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let stat = again(|| statx(handle, c"", flags, StatxFlags::MNT_ID))?;
    if stat.stx_mask & StatxFlags::MNT_ID.bits() != 0 {
        return Ok(stat.stx_mnt_id);
    }
    // Fallback before Linux 5.8.
    let known = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", handle.as_raw_fd()))?;
    mount_in(&known).ok_or_else(|| Errno::OPNOTSUPP.into())
}

/// Returns the number of the mount in proc(5)'s fdinfo.
fn mount_in(fdinfo: &str) -> Option<u64> {
    fdinfo.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim().parse().ok()
}

/// Mount points, as the kernel lists them.
#[derive(Debug)]
struct MountPoints {
    /// The open list, which wakes its pollers when something is mounted or unmounted.
    list: File,
    paths: HashSet<Vec<u8>>,
}

static MOUNT_POINTS: Mutex<Option<MountPoints>> = Mutex::new(None);

fn mount_points() -> std::sync::MutexGuard<'static, Option<MountPoints>> {
    MOUNT_POINTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns whether something is mounted on a name, as far as the list tells.
fn is_mount_point(dir: BorrowedFd<'_>, name: &OsStr) -> bool {
    let Ok(path) = readlink(format!("/proc/self/fd/{}", dir.as_raw_fd()), Vec::new()) else { return false };
    let mut path = path.into_bytes();
    if path != b"/" {
        path.push(b'/');
    }
    path.extend_from_slice(name.as_bytes());
    mount_points().as_mut().is_some_and(|known| known.has(&path))
}

impl MountPoints {
    fn open() -> io::Result<Self> {
        let mut points = Self { list: File::open("/proc/self/mountinfo")?, paths: HashSet::new() };
        points.read()?;
        Ok(points)
    }

    fn read(&mut self) -> io::Result<()> {
        let mut text = Vec::new();
        self.list.rewind()?;
        self.list.read_to_end(&mut text)?;
        self.paths = points_in(&text).collect();
        Ok(())
    }

    fn has(&mut self, path: &[u8]) -> bool {
        let mut asked = [PollFd::new(&self.list, PollFlags::PRI)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let is_changed = poll(&mut asked, Some(&at_once)).map_or(true, |changed| changed > 0);
        if is_changed && self.read().is_err() {
            return false;
        }
        self.paths.contains(path)
    }
}

/// Returns the mount points in proc(5)'s mountinfo: the fifth field, in which blanks and backslashes are octal numbers.
fn points_in(mountinfo: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let lines = mountinfo.split(|byte| *byte == b'\n');
    lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4)).map(|field| {
        let mut path = Vec::with_capacity(field.len());
        let mut rest = field;
        while let Some((first, more)) = rest.split_first() {
            let octal = more.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
            match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
                Some(byte) if *first == b'\\' => {
                    path.push(byte);
                    rest = &more[3..];
                }
                _ => {
                    path.push(*first);
                    rest = more;
                }
            }
        }
        path
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use proptest::prelude::*;

    use super::*;
    use crate::fsys::identity_of;

    const FLAGS: [OFlags; 3] = [
        OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC),
        super::super::dir::READ,
        OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC),
    ];

    /// Result of opening: the inode, or the error.
    fn outcome(opened: io::Result<OwnedFd>) -> Result<crate::entry::Identity, Option<i32>> {
        let inode = |fd: OwnedFd| statx(&fd, c"", AtFlags::EMPTY_PATH, StatxFlags::INO).expect("open");
        opened.map(|fd| identity_of(&inode(fd))).map_err(|error| error.raw_os_error())
    }

    fn tree() -> tempfile::TempDir {
        let yard = tempfile::tempdir().expect("a temporary directory");
        let at = |path: &str| yard.path().join(path);
        fs::create_dir_all(at("a/b/c")).expect("made");
        fs::write(at("a/file"), "").expect("written");
        fs::write(at("a/b/file"), "").expect("written");
        for (to, from) in [("b", "a/link"), ("..", "a/up"), ("/", "a/b/top"), ("file", "a/to-file"), ("no", "a/dead")] {
            symlink(to, at(from)).expect("made");
        }
        // It is there, and cannot be opened.
        drop(UnixListener::bind(at("a/socket")).expect("bound"));
        yard
    }

    proptest! {
        #[test]
        fn name_by_name_is_opened_what_openat2_opens(
            names in proptest::collection::vec(
                prop_oneof![
                    4 => prop_oneof![Just("a"), Just("b"), Just("c")],
                    2 => prop_oneof![Just("file"), Just("link"), Just("top"), Just("to-file"), Just("socket")],
                    1 => prop_oneof![Just("no"), Just("dead"), Just("up")],
                ],
                0..5,
            ),
            flags in proptest::sample::select(&FLAGS[..]),
        ) {
            let yard = tree();
            let dir = File::open(yard.path()).expect("there");
            let path = if names.is_empty() { ".".to_owned() } else { names.join("/") };
            let mounts = Mounts::Stay;
            if opening() == Opening::Openat2 {
                let expected = outcome(open_beneath(dir.as_fd(), Path::new(&path), flags, mounts));
                prop_assert_eq!(outcome(by_names(dir.as_fd(), Path::new(&path), flags, mounts)), expected, "{}", path);
            }
        }
    }

    #[test]
    fn a_way_out_and_another_mount_are_refused_and_an_absolute_path_crosses() {
        let slash = File::open("/").expect("there");
        let path = Path::new;
        let open = |to: &str, mounts| by_names(slash.as_fd(), path(to), FLAGS[0], mounts).map_err(|error| error.kind());
        for to in ["proc", "proc/self", "etc/../proc"] {
            assert_eq!(open(to, Mounts::Stay).expect_err(to), io::ErrorKind::CrossesDevices);
        }
        assert_eq!(open("..", Mounts::Cross).expect_err("a way out"), io::ErrorKind::CrossesDevices);
        let proc = outcome(by_names(CWD, path("/proc"), FLAGS[0], Mounts::Cross)).expect("there");
        assert_eq!(outcome(open_absolute(path("/proc"), FLAGS[0])), Ok(proc));
        // A magic link.
        let magic = outcome(by_names(CWD, path("/proc/self/cwd/x"), FLAGS[0], Mounts::Cross));
        assert_eq!(magic, Err(Some(Errno::LOOP.raw_os_error())));
    }

    #[test]
    fn the_list_of_mounts_knows_the_number_of_a_mount_too() {
        let proc = File::open("/proc").expect("there");
        let known = fs::read_to_string(format!("/proc/self/fdinfo/{}", proc.as_raw_fd())).expect("readable");
        assert_eq!(mount_in(&known), mount_of(proc.as_fd()).ok());
        let mut points = MountPoints::open().expect("readable");
        assert!(points.has(b"/proc") && !points.has(b"/proc/self") && points.has(b"/"));
    }

    #[test]
    fn mount_points_are_read_whatever_is_in_their_names() {
        let text =
            b"23 22 0:40 / /a\\040b rw - tmpfs x rw\n24 22 0:41 /x /c\\134d\\011\\012 rw shared:1 - ext4 y rw\n\n";
        let points: Vec<_> = points_in(text).collect();
        assert_eq!(points, [b"/a b".to_vec(), b"/c\\d\t\n".to_vec()]);
    }
}
