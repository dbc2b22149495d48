//! A disk that remembers every write and every flush, in order, and can be made to fail: a file in a FUSE file system, for
//! a loop device to be put on; or two disks, of which one log is kept. And what else a test with mounts needs.
//!
//! Mounts are made in a mount namespace of the test's own ([`in_private`]), so that nothing of them is left, however
//! the test ends.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, WriteFlags,
};

use super::daemon::wait_for;
use super::needs;

/// Something that the disk was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Write {
        offset: usize,
        data: Vec<u8>,
    },
    /// What was written to this disk before is on it before what is written to it after.
    Flush(usize),
}

#[derive(Debug, Default)]
struct Inner {
    /// The content of both disks, one after the other, and the log.
    image: Mutex<(Vec<u8>, Vec<Told>)>,
    /// Where the second begins.
    split: usize,
    broken: AtomicBool,
}

/// The disk. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Disk(Arc<Inner>);

const FILES: [&str; 2] = ["disk.img", "other.img"];
const TTL: Duration = Duration::from_secs(60);

/// The inode number of the first file; the other has the next one.
const NUMBER: u64 = 2;

impl Disk {
    /// One that holds this.
    pub fn new(image: Vec<u8>) -> Self {
        let split = image.len();
        Self::split_at(image, split)
    }

    /// Two that hold this, of which the second begins at `split`.
    pub fn split_at(image: Vec<u8>, split: usize) -> Self {
        let inner = Inner { image: Mutex::new((image, Vec::new())), split, broken: AtomicBool::new(false) };
        Self(Arc::new(inner))
    }

    /// Which part of the image a file is.
    fn range(&self, file: INodeNo) -> std::ops::Range<usize> {
        let length = self.0.image.lock().unwrap_or_else(PoisonError::into_inner).0.len();
        if file == INodeNo(NUMBER) { 0..self.0.split } else { self.0.split..length }
    }

    /// Serves it in a directory as `disk.img`, and the second as `other.img`, until what is returned is dropped.
    pub fn serve(&self, at: &Path) -> BackgroundSession {
        fuser::spawn_mount(self.clone(), at, &Config::default()).expect("root may mount")
    }

    /// To be held while a file system on the served disk is mounted at a place.
    pub fn mounted<'a>(&'a self, at: &'a Path) -> Mounted<'a> {
        Mounted { disk: self, at }
    }

    /// How much it was told so far.
    pub fn told(&self) -> usize {
        self.0.image.lock().unwrap_or_else(PoisonError::into_inner).1.len()
    }

    /// All that it was told.
    pub fn log(&self) -> Vec<Told> {
        self.0.image.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    /// From here on it can neither be read nor written, or it can again.
    pub fn set_broken(&self, broken: bool) {
        self.0.broken.store(broken, Ordering::SeqCst);
    }

    fn is_broken(&self) -> bool {
        self.0.broken.load(Ordering::SeqCst)
    }

    fn attributes(&self, number: INodeNo) -> FileAttr {
        let size = self.range(number).len() as u64;
        let file = number.0 >= NUMBER;
        FileAttr {
            ino: number,
            size: if file { size } else { 0 },
            blocks: size / 512,
            atime: SystemTime::UNIX_EPOCH,
            mtime: SystemTime::UNIX_EPOCH,
            ctime: SystemTime::UNIX_EPOCH,
            crtime: SystemTime::UNIX_EPOCH,
            kind: if file { FileType::RegularFile } else { FileType::Directory },
            perm: if file { 0o600 } else { 0o755 },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            flags: 0,
            blksize: 4096,
        }
    }
}

/// Unmounts what is on the disk when a test fails. Were that left to the end of the process, the thread that serves the
/// disk could be the one that unmounts, and it would wait for itself for ever.
pub struct Mounted<'a> {
    disk: &'a Disk,
    at: &'a Path,
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.disk.set_broken(true);
            // It is about what is left, and the test has failed already.
            drop(Command::new("umount").arg(self.at).output());
        }
    }
}

impl Filesystem for Disk {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match FILES.iter().position(|file| name == *file) {
            Some(at) => reply.entry(&TTL, &self.attributes(INodeNo(NUMBER + at as u64)), Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&TTL, &self.attributes(number));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(1), FopenFlags::empty());
    }

    fn read(
        &self,
        _: &Request,
        file: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        if self.is_broken() {
            return reply.error(Errno::EIO);
        }
        let range = self.range(file);
        let image = &self.0.image.lock().unwrap_or_else(PoisonError::into_inner).0[range];
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(image.len());
        let to = from.saturating_add(size as usize).min(image.len());
        reply.data(&image[from..to]);
    }

    fn write(
        &self,
        _: &Request,
        file: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let range = self.range(file);
        let mut guard = self.0.image.lock().unwrap_or_else(PoisonError::into_inner);
        let (image, log) = &mut *guard;
        let offset = usize::try_from(offset).unwrap_or(usize::MAX).saturating_add(range.start);
        let end = offset.checked_add(data.len()).filter(|end| *end <= range.end);
        let Some(there) = end.and_then(|end| image.get_mut(offset..end)) else {
            return reply.error(Errno::ENOSPC);
        };
        if self.is_broken() {
            return reply.error(Errno::EIO);
        }
        there.copy_from_slice(data);
        log.push(Told::Write { offset, data: data.to_vec() });
        reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX));
    }

    fn fsync(&self, _: &Request, file: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        if self.is_broken() {
            return reply.error(Errno::EIO);
        }
        self.0
            .image
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .1
            .push(Told::Flush(usize::from(file != INodeNo(NUMBER))));
        reply.ok();
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }
}

/// Runs a program that has to succeed.
#[track_caller]
pub fn sh(script: &str, arguments: &[&Path]) {
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).args(arguments).stdin(Stdio::null());
    let done = command.output().expect("sh runs");
    assert!(done.status.success(), "{script} {arguments:?}: {done:?}");
}

/// Unmounts. A program that another thread is just starting may hold a copy of a handle for a moment.
#[track_caller]
pub fn unmount(at: &Path) {
    wait_for("a file system that nobody uses", || {
        let done = Command::new("umount").arg(at).output().expect("umount runs");
        done.status.success().then_some(())
    });
}

/// Runs the ignored test `name` of this program in a mount namespace of its own, with `about` in its environment, and
/// shows what it says. Whether it could be.
#[track_caller]
pub fn in_private(name: &str, about: &str) {
    let itself = std::env::current_exe().expect("this program");
    let mut command = Command::new("unshare");
    command.args(["-m", "--propagation", "private"]).arg(itself);
    command.args(["--exact", name, "--ignored", "--nocapture", "--test-threads", "1"]).env(ABOUT, about);
    let done = command.stdin(Stdio::null()).output().expect("unshare runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    needs::say(text(&done.stderr).trim_end());
    assert!(done.status.success(), "{about}: {}\n{}", text(&done.stdout), text(&done.stderr));
    assert!(text(&done.stdout).contains("1 passed"), "{name} is no test: {}", text(&done.stdout));
}

const ABOUT: &str = "JANITOR_TEST_ABOUT";

/// What a test that was started by [`in_private`] is about; `None` when somebody started it by hand.
pub fn about() -> Option<String> {
    std::env::var(ABOUT).ok()
}

/// Whether there is what mounting file systems takes.
pub fn can_mount() -> bool {
    needs::root()
        && needs::tool("unshare")
        && needs::tool("losetup")
        && needs::tool("mkfs.ext4")
        && needs::file("/dev/fuse")
}
