//! The trees, and what is to go from them.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A tree and a rule.
pub struct Shape {
    pub name: &'static str,
    directories: Vec<(PathBuf, u64)>,
    bytes: usize,
    /// One in so many files is old.
    pub old: Option<u64>,
    /// Only old ones go: an age rule.
    pub by_age: bool,
    /// Only names that end in `.tmp` go, which every other does.
    pub by_name: bool,
    /// A line for each file in the log.
    pub logs: bool,
    /// Everybody can write in the directories, as in /tmp.
    pub sticky: bool,
    /// The directories go, too.
    pub with_directories: bool,
    /// Beside the removal, what else can be done with a file is measured.
    pub acts: bool,
}

fn flat(name: &'static str, files: u64) -> Shape {
    let directories = vec![(PathBuf::new(), files)];
    Shape {
        name,
        directories,
        bytes: 0,
        old: Some(1),
        by_age: false,
        by_name: false,
        logs: false,
        sticky: false,
        with_directories: false,
        acts: false,
    }
}

fn tree(name: &'static str, directories: u64, files: u64) -> Shape {
    let directories = (0..directories).map(|at| (PathBuf::from(format!("d{at:05}")), files)).collect();
    Shape { directories, ..flat(name, 0) }
}

/// A chain of directories with some files in each.
fn deep(name: &'static str, levels: u64, files: u64) -> Shape {
    let mut path = PathBuf::new();
    let level = |at: u64| {
        path.push(format!("l{}", at % 10));
        (path.clone(), files)
    };
    Shape { directories: (0..levels).map(level).collect(), ..flat(name, 0) }
}

pub fn all(quick: bool) -> Vec<Shape> {
    let part = if quick { 10 } else { 1 };
    vec![
        tree("tree", 500 / part, 200),
        flat("flat", 100_000 / part),
        deep("deep", 500 / part, 200),
        Shape { old: Some(20), by_age: true, ..tree("old5", 500 / part, 200) },
        Shape { old: None, by_age: true, ..tree("scan", 500 / part, 200) },
        Shape { by_name: true, ..tree("name", 500 / part, 200) },
        Shape { bytes: 20_000, ..flat("big", 30_000 / part) },
        Shape { logs: true, ..flat("log", 100_000 / part) },
        Shape { by_age: true, acts: true, ..tree("aged", 500 / part, 200) },
        Shape { by_age: true, sticky: true, ..tree("sticky", 500 / part, 200) },
        Shape { with_directories: true, ..tree("gone", 500 / part, 200) },
        Shape { by_age: true, with_directories: true, ..tree("gone by age", 500 / part, 200) },
    ]
}

impl Shape {
    fn files(&self) -> u64 {
        self.directories.iter().map(|(_, files)| files).sum()
    }

    pub fn about(&self) -> String {
        let rule = match (self.by_age, self.by_name, self.logs) {
            (true, ..) => "those older than 30 days go",
            (_, true, _) => "those named *.tmp go",
            (.., true) => "all go, with a line each in the log",
            _ => "all go",
        };
        let more = match (self.sticky, self.with_directories) {
            (true, _) => "; everybody can write in the directories (1777)",
            (_, true) => ", with the directories",
            _ => "",
        };
        let (files, directories) = (self.files(), self.directories.len());
        format!(
            "{files} files of {} bytes in {directories} directories, {} to go: {rule}{more}",
            self.bytes,
            files - self.left()
        )
    }

    /// How many files are to be left.
    pub fn left(&self) -> u64 {
        let all = |goes: fn(&Self, u64) -> bool| -> u64 {
            self.directories.iter().map(|(_, files)| (0..*files).filter(|at| !goes(self, *at)).count() as u64).sum()
        };
        all(Self::goes)
    }

    fn is_old(&self, at: u64) -> bool {
        self.old.is_some_and(|one_in| at.is_multiple_of(one_in))
    }

    fn goes(&self, at: u64) -> bool {
        (!self.by_age || self.is_old(at)) && (!self.by_name || at.is_multiple_of(2))
    }

    /// Makes the tree anew.
    pub fn make(&self, tree: &Path) {
        clear(tree);
        for (path, _) in &self.directories {
            fs::create_dir_all(tree.join(path)).expect("made");
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for part in self.directories.chunks(self.directories.len().div_ceil(threads)) {
                scope.spawn(move || part.iter().for_each(|(path, files)| self.fill(&tree.join(path), *files)));
            }
        });
        if self.sticky {
            let directories = self.directories.iter().map(|(path, _)| tree.join(path));
            for path in directories.chain([tree.to_path_buf()]) {
                fs::set_permissions(path, fs::Permissions::from_mode(0o1777)).expect("ours");
            }
        }
        rustix::fs::sync();
    }

    fn fill(&self, directory: &Path, files: u64) {
        let content = vec![b'x'; self.bytes];
        let old = SystemTime::now() - Duration::from_secs(60 * 86_400);
        for at in 0..files {
            // In no order of names, as real files.
            let scattered = (at.wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 40;
            let end = if at.is_multiple_of(2) { "tmp" } else { "dat" };
            let path = directory.join(format!("file-{scattered:06x}-{at}.{end}"));
            fs::write(&path, &content).expect("written");
            if self.is_old(at) {
                let file = File::options().write(true).open(&path).expect("just made");
                file.set_times(FileTimes::new().set_modified(old).set_accessed(old)).expect("ours");
            }
        }
    }
}

/// How many entries of the tree are no directories, but for the janitor's own.
pub fn count(tree: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(tree) else { return 0 };
    entries
        .flatten()
        .filter(|entry| entry.file_name() != ".janitor-slots")
        .map(|entry| if entry.file_type().is_ok_and(|kind| kind.is_dir()) { count(&entry.path()) } else { 1 })
        .sum()
}

/// How many directories are in the tree.
pub fn directories(tree: &Path) -> usize {
    let Ok(entries) = fs::read_dir(tree) else { return 0 };
    let directories = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.map(|entry| 1 + directories_below(&entry)).sum()
}

fn directories_below(entry: &fs::DirEntry) -> usize {
    directories(&entry.path())
}

pub fn clear(tree: &Path) {
    if tree.exists() {
        fs::remove_dir_all(tree).expect("ours");
    }
}
