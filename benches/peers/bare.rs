//! The limit: a loop of bare system calls on some threads, without a rule, a report or any care.

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex};
use std::time::SystemTime;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, StatxFlags, openat, statx, unlinkat};

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
        _ => Rule::All,
    };
    let queue = Queue::default();
    queue.add([Work::Directory(tree.clone())]);
    std::thread::scope(|scope| {
        for _ in 0..threads.parse().expect("a number") {
            scope.spawn(|| {
                let mut buffer = vec![MaybeUninit::uninit(); 256 * 1024];
                while let Some(work) = queue.next() {
                    match work {
                        Work::Directory(path) => read(&queue, &path, &mut buffer, rule),
                        Work::Piece(directory, names) => piece(&directory, &names, rule),
                    }
                    queue.done();
                }
            });
        }
    });
}

fn read(queue: &Queue, path: &str, buffer: &mut [MaybeUninit<u8>], rule: Rule) {
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
        return piece(&directory, &names, rule);
    }
    let pieces: Vec<Work> = names.chunks(PIECE).map(|names| Work::Piece(directory.clone(), names.to_vec())).collect();
    queue.add(pieces);
}

fn piece(directory: &OwnedFd, names: &[(u64, CString)], rule: Rule) {
    for (_, name) in names {
        if rule != Rule::Name {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            let about = statx(directory, name, flags, StatxFlags::BASIC_STATS).expect("it is there");
            if let Rule::Age(limit) = rule
                && about.stx_mtime.tv_sec > limit
            {
                continue;
            }
        }
        unlinkat(directory, name, AtFlags::empty()).expect("it goes");
    }
}
