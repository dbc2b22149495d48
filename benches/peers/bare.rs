//! The limit: a loop of bare system calls on some threads, without a rule, a report or any care.

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::SystemTime;

use rustix::fs::{
    AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, RawDir, RenameFlags, StatxFlags, flock, mkdirat, openat,
    renameat, renameat_with, statx, unlinkat,
};
use rustix::io::Errno;

/// Name of the directory beside the tree that files are renamed to.
pub const SLOTS: &str = "slots";

/// As many names are worked on in one piece.
const PIECE: usize = 2048;

#[derive(Clone, Copy, PartialEq)]
enum Rule {
    /// statx, unlinkat.
    All,
    /// statx, and unlinkat for what is older than 30 days.
    Age(i64),
    /// unlinkat for *.tmp.
    Name,
    /// statx, and the nine calls of a verified removal for what is older than 30 days.
    Nine(i64),
    /// statx, and a rename into another directory for what is older than 30 days.
    Rename(i64),
}

enum Work {
    Directory(String),
    Piece(Arc<OwnedFd>, Vec<(u64, CString)>),
}

#[derive(Default)]
struct State {
    work: Vec<Work>,
    busy: usize,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    more: Condvar,
}

impl Queue {
    fn add(&self, work: impl IntoIterator<Item = Work>) {
        self.state.lock().expect("no panic").work.extend(work);
        self.more.notify_all();
    }

    fn next(&self) -> Option<Work> {
        let mut state = self.state.lock().expect("no panic");
        loop {
            if let Some(work) = state.work.pop() {
                state.busy += 1;
                return Some(work);
            }
            if state.busy == 0 {
                return None;
            }
            state = self.more.wait(state).expect("no panic");
        }
    }

    fn done(&self) {
        let mut state = self.state.lock().expect("no panic");
        state.busy -= 1;
        if state.busy == 0 {
            self.more.notify_all();
        }
    }
}

/// `bare RULE THREADS TREE`
pub fn main(arguments: &[String]) {
    let [rule, threads, tree] = arguments else { panic!("bare RULE THREADS TREE") };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs() as i64;
    let rule = match rule.as_str() {
        "age" => Rule::Age(now - 30 * 86_400),
        "name" => Rule::Name,
        "nine" => Rule::Nine(now - 30 * 86_400),
        "rename" => Rule::Rename(now - 30 * 86_400),
        _ => Rule::All,
    };
    let queue = Queue::default();
    let slots = Path::new(tree).with_file_name(SLOTS);
    queue.add([Work::Directory(tree.clone())]);
    std::thread::scope(|scope| {
        for thread in 0..threads.parse::<usize>().expect("a number") {
            let (queue, slots) = (&queue, &slots);
            scope.spawn(move || {
                // On the file system of the tree, and nobody else's.
                let slot = slots.join(thread.to_string());
                std::fs::create_dir_all(&slot).expect("made");
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let slot = openat(CWD, &slot, flags, Mode::empty()).expect("it opens");
                let mut buffer = vec![MaybeUninit::uninit(); 256 * 1024];
                while let Some(work) = queue.next() {
                    match work {
                        Work::Directory(path) => read(queue, &path, &mut buffer, rule, &slot),
                        Work::Piece(directory, names) => piece(&directory, &names, rule, &slot),
                    }
                    queue.done();
                }
            });
        }
    });
    // What was renamed stays there, as in a trash.
    if !matches!(rule, Rule::Rename(_)) {
        std::fs::remove_dir_all(&slots).expect("ours");
    }
}

fn read(queue: &Queue, path: &str, buffer: &mut [MaybeUninit<u8>], rule: Rule, slot: &OwnedFd) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = Arc::new(openat(CWD, path, flags, Mode::empty()).expect("it opens"));
    let mut names = Vec::new();
    let mut directories = Vec::new();
    let mut listing = RawDir::new(directory.as_fd(), buffer);
    while let Some(entry) = listing.next() {
        let entry = entry.expect("it reads");
        let name = entry.file_name();
        match entry.file_type() {
            FileType::Directory if name == c"." || name == c".." => {}
            FileType::Directory => directories.push(Work::Directory(format!("{path}/{}", name.to_string_lossy()))),
            _ if rule == Rule::Name && !name.to_bytes().ends_with(b".tmp") => {}
            _ => names.push((entry.ino(), name.to_owned())),
        }
    }
    if !directories.is_empty() {
        queue.add(directories);
    }
    names.sort_unstable_by_key(|(inode, _)| *inode);
    if names.len() <= PIECE {
        return piece(&directory, &names, rule, slot);
    }
    let pieces: Vec<Work> = names.chunks(PIECE).map(|names| Work::Piece(directory.clone(), names.to_vec())).collect();
    queue.add(pieces);
}

/// open, stat, flock, lease, rename aside, stat, lease check, unlink, close.
fn verified(directory: &OwnedFd, name: &CStr, slot: &OwnedFd) {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(directory, name, flags, Mode::empty()).expect("it is there");
    let about = || statx(&file, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).expect("it is open");
    let judged = about();
    flock(&file, FlockOperation::NonBlockingLockExclusive).expect("nobody has it");
    let lease = janitor_lease::try_write_lease(file.as_fd()).expect("there are leases").expect("nobody has it open");
    renameat(directory, name, slot, name).expect("it goes aside");
    assert_eq!(about().stx_ino, judged.stx_ino);
    assert!(lease.is_held());
    unlinkat(slot, name, AtFlags::empty()).expect("it goes");
}

/// Makes and opens the directory that files of this one are renamed into, below the slot.
fn destination(directory: &OwnedFd, slot: &OwnedFd) -> OwnedFd {
    let inode = statx(directory, c"", AtFlags::EMPTY_PATH, StatxFlags::INO).expect("it is open").stx_ino;
    let name = inode.to_string();
    if !matches!(mkdirat(slot, &name, Mode::RWXU), Ok(()) | Err(Errno::EXIST)) {
        panic!("no directory {name} can be made");
    }
    openat(slot, &name, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).expect("it opens")
}

fn piece(directory: &OwnedFd, names: &[(u64, CString)], rule: Rule, slot: &OwnedFd) {
    let renamed = matches!(rule, Rule::Rename(_)).then(|| destination(directory, slot));
    for (_, name) in names {
        if rule != Rule::Name {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            let about = statx(directory, name, flags, StatxFlags::BASIC_STATS).expect("it is there");
            if let Rule::Age(limit) | Rule::Nine(limit) | Rule::Rename(limit) = rule
                && about.stx_mtime.tv_sec > limit
            {
                continue;
            }
        }
        match &renamed {
            Some(to) => renameat_with(directory, name, to, name, RenameFlags::NOREPLACE).expect("it goes there"),
            None if matches!(rule, Rule::Nine(_)) => verified(directory, name, slot),
            None => unlinkat(directory, name, AtFlags::empty()).expect("it goes"),
        }
    }
}
