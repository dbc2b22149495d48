//! Moving files away, to an archive.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, mkdirat};
use rustix::io::Errno;

use super::copy;
use super::dir::{Dir, again, path};
use super::pin::{Pinned, identity_at};
use super::place::{is, rename, write_down};
use super::root::{Root, RootError, resolve};
use crate::entry::{Facts, Identity, Kind};

/// A directory that files are moved to, held open.
#[derive(Debug)]
pub struct Destination {
    dir: Dir,
    identity: Identity,
    /// Whether a file of another file system is copied.
    copies: bool,
    /// Held locked, so that nobody else works on it.
    _held: Option<OwnedFd>,
}

impl Destination {
    /// Opens the directory at `path`, which is absolute, by the rules of [`resolve`]. It must exist: what an archive's
    /// disk that is not mounted would have got must not fill the disk below it.
    ///
    /// # Errors
    /// A [`RootError`], as the inner error, which names the place: of the kind `NotFound` when the directory does not
    /// exist, `PermissionDenied` when others can replace a symbolic link on the way, otherwise the system's.
    pub fn open(path: &Path) -> io::Result<Self> {
        let root = resolve(path, false).map_err(|error| {
            let kind = match &error {
                RootError::Missing(_) | RootError::MissingParent(_) => io::ErrorKind::NotFound,
                RootError::UnsafeLink(_) => io::ErrorKind::PermissionDenied,
                RootError::Io(_, error) => error.kind(),
            };
            io::Error::new(kind, error)
        })?;
        Ok(Self::of(root))
    }

    /// Takes a directory that has been opened.
    #[must_use]
    pub fn of(root: Root) -> Self {
        Self { dir: root.dir, identity: root.identity, copies: true, _held: None }
    }

    /// A directory that takes only what can be renamed to it.
    pub(super) fn only_here(dir: Dir) -> io::Result<Self> {
        let (identity, _) = dir.look_at_itself()?;
        Ok(Self { dir, identity, copies: false, _held: None })
    }

    /// The same, with what is held as long as it is.
    pub(super) fn holding(self, held: OwnedFd) -> Self {
        Self { _held: Some(held), ..self }
    }

    /// Its handle.
    #[must_use]
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Which directory it is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Moves the entry `name` of `from`, which is no directory, to `directory/name` below this one. `directory` is a
    /// relative path of any length, empty for this directory itself, without `.`, `..` and empty components; what is
    /// missing of it is made, with mode 0755, and stays when the move then fails. No symbolic link is followed and no
    /// mount point entered on the way. Nothing is ever overwritten: where the name is taken it becomes `name (2)`,
    /// `name (3)` and so on.
    ///
    /// On the same file system the entry is renamed and keeps everything. What turns out to be another file than was
    /// looked at is put back.
    ///
    /// To another file system a regular file is copied and a symbolic link made anew. The copy grows under a name like
    /// `.janitor-move-…`, is written to the disk, read back and compared, and gets its name; only then does the source
    /// go. Whenever that is interrupted, the file is there whole at least once; of a crash, a `.janitor-move-…` file or
    /// a second copy may be left over. A copy has the content, the permissions (without set-user-ID, set-group-ID and
    /// sticky bit), mtime and atime, and the owner and group if the janitor may give files away. It has not: extended
    /// attributes and with them ACLs, capabilities and labels, holes, hard links to other names, ctime and birth time.
    ///
    /// # Errors
    /// With each the source is left as it is, except where the text says otherwise. `ESTALE` when `facts` are not, or do
    /// not stay, true: everything of them counts but the atime and the allocated bytes. So of a file with two names,
    /// looked at before either was moved, only one is moved. `EXDEV` for a FIFO, socket or device to another file
    /// system, and where a component of `directory` is a mount point; `ELOOP` or `ENOTDIR` where one is a symbolic link,
    /// `ENOTDIR` where one is a file; `EISDIR` when `name` is a directory; `EINVAL` when `from` is where it would go;
    /// `EEXIST` when ten thousand names are taken; `ENAMETOOLONG`, `ENOSPC`, and what else the kernel says. A few errors
    /// come without a number, with a text that says what happened.
    pub fn take(&self, from: &Dir, directory: &[u8], name: &[u8], facts: &Facts) -> io::Result<()> {
        let source = Pinned::at(from, name)?;
        source.expect(facts)?;
        let kind = source.found().kind;
        if kind == Kind::Directory {
            return Err(Errno::ISDIR.into());
        }
        let made;
        let to = if directory.is_empty() {
            &self.dir
        } else {
            made = self.directory(directory)?;
            &made
        };
        // A destination within what is swept would otherwise give the file one name after the other.
        if identity_at(to, b".")? == identity_at(from, b".")? {
            return Err(Errno::INVAL.into());
        }
        match rename(from, name, &source, to) {
            Err(error) if is(&error, Errno::XDEV) && self.copies => {}
            done => return done,
        }
        match kind {
            Kind::File => copy::file(from, name, &source, to),
            Kind::Symlink => copy::symlink(from, name, &source, to),
            Kind::Special | Kind::Directory => Err(Errno::XDEV.into()),
        }
    }

    /// Opens the directory at `relative` below this one, and makes what is missing.
    pub(super) fn directory(&self, relative: &[u8]) -> io::Result<Dir> {
        if relative.is_empty() {
            return self.dir.open(b".");
        }
        match self.dir.open_beneath(relative) {
            Err(error) if is(&error, Errno::NOENT) => {}
            done => return done,
        }
        let mut at = None;
        for name in relative.split(|byte| *byte == b'/') {
            let parent = at.as_ref().unwrap_or(&self.dir);
            let next = match parent.open(name) {
                Err(error) if is(&error, Errno::NOENT) => make(parent, name)?,
                done => done?,
            };
            at = Some(next);
        }
        at.ok_or_else(|| Errno::NOENT.into())
    }
}

fn make(parent: &Dir, name: &[u8]) -> io::Result<Dir> {
    match again(|| mkdirat(parent.fd(), path(name), Mode::from_raw_mode(0o755))) {
        Ok(()) => write_down(parent)?,
        Err(error) if is(&error, Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    parent.open(name)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::PathBuf;

    use super::*;
    use crate::entry::Stamp;

    struct Yard {
        _root: tempfile::TempDir,
        top: PathBuf,
        from: Dir,
        to: Destination,
    }

    impl Yard {
        fn new() -> Self {
            let root = tempfile::tempdir().expect("a temporary directory");
            let top = root.path().canonicalize().expect("it exists");
            fs::create_dir(top.join("here")).expect("made");
            fs::create_dir(top.join("there")).expect("made");
            let from = resolve(&top.join("here"), false).expect("it exists").dir;
            let to = Destination::open(&top.join("there")).expect("it exists");
            Self { _root: root, top, from, to }
        }

        fn write(&self, name: &str, content: &str) {
            fs::write(self.top.join("here").join(name), content).expect("written");
        }

        fn take(&self, directory: &str, name: &str) -> io::Result<()> {
            let facts = self.from.look(name.as_bytes()).expect("it exists").facts;
            self.to.take(&self.from, directory.as_bytes(), name.as_bytes(), &facts)
        }

        fn read(&self, path: &str) -> String {
            fs::read_to_string(self.top.join(path)).expect(path)
        }

        fn count(&self, path: &str) -> usize {
            fs::read_dir(self.top.join(path)).expect("readable").count()
        }
    }

    #[test]
    fn a_rename_keeps_the_inode_and_makes_the_directories() {
        let yard = Yard::new();
        yard.write("log", "text");
        let inode = yard.top.join("here/log").metadata().expect("it exists").ino();
        yard.take("a/b/c", "log").expect("moved");
        assert_eq!(yard.top.join("there/a/b/c/log").metadata().expect("it is there").ino(), inode);
        assert_eq!(yard.count("here"), 0);
        // Existing directories are used, at any depth.
        yard.write("log", "other");
        yard.take("a/b", "log").expect("moved");
        assert_eq!(yard.read("there/a/b/log"), "other");
        let itself = resolve(&yard.top.join("there"), false).expect("it exists").identity;
        assert_eq!(yard.to.identity(), itself);
    }

    #[test]
    fn a_directory_that_another_worker_has_just_made_is_used() {
        let yard = Yard::new();
        fs::create_dir(yard.top.join("there/a")).expect("made");
        fs::write(yard.top.join("there/file"), "").expect("written");
        let made = make(&yard.to.dir, b"a").expect("it is there");
        assert_eq!(made.look_at_itself().expect("ours").0, yard.to.dir.look(b"a").expect("there").facts.identity);
        make(&yard.to.dir, b"b").expect("there is room");
        assert!(yard.top.join("there/b").is_dir());
        let error = make(&yard.to.dir, b"file").expect_err("a file is there");
        assert!(is(&error, Errno::NOTDIR), "{error}");
    }

    #[test]
    fn what_only_takes_renames_copies_nothing() {
        let yard = Yard::new();
        let Some(elsewhere) = crate::needs::another_file_system(&yard.top) else { return };
        yard.write("log", "text");
        let facts = yard.from.look(b"log").expect("it exists").facts;
        let there = resolve(elsewhere.path(), false).expect("it exists").dir;
        let to = Destination::only_here(there).expect("ours");
        let error = to.take(&yard.from, b"", b"log", &facts).expect_err("another file system");
        assert!(is(&error, Errno::XDEV), "{error}");
        assert_eq!(yard.read("here/log"), "text");
        assert_eq!(fs::read_dir(elsewhere.path()).expect("readable").count(), 0);
    }

    #[test]
    fn a_name_that_is_taken_is_never_overwritten() {
        let yard = Yard::new();
        for content in ["one", "two", "three"] {
            yard.write("log.txt", content);
            yard.take("", "log.txt").expect("moved");
        }
        assert_eq!(yard.read("there/log.txt"), "one");
        assert_eq!(yard.read("there/log.txt (2)"), "two");
        assert_eq!(yard.read("there/log.txt (3)"), "three");
    }

    #[test]
    fn a_path_longer_than_the_kernel_takes_is_made() {
        let yard = Yard::new();
        let long = vec!["d".repeat(200); 30].join("/");
        for content in ["one", "two"] {
            yard.write("log", content);
            yard.take(&long, "log").expect("moved");
        }
        let deep = yard.to.dir.open_beneath(long.as_bytes()).expect("made");
        assert_eq!(deep.look(b"log").expect("moved").facts.size, 3);
        deep.look(b"log (2)").expect("moved");
    }

    #[test]
    fn what_was_changed_since_it_was_judged_stays() {
        let yard = Yard::new();
        yard.write("log", "text");
        let facts = yard.from.look(b"log").expect("it exists").facts;
        let mut wrong = [facts; 3];
        wrong[0].size += 1;
        wrong[1].stamps.modified = Stamp::new(1, 0);
        wrong[2].stamps.changed = Stamp::new(1, 0);
        for wrong in wrong {
            let error = yard.to.take(&yard.from, b"a", b"log", &wrong).expect_err("it changed");
            assert!(is(&error, Errno::STALE), "{error}");
        }
        assert_eq!((yard.count("here"), yard.count("there")), (1, 0));
        let mut read_since = facts;
        read_since.stamps.accessed = Stamp::new(1, 0);
        yard.to.take(&yard.from, b"a", b"log", &read_since).expect("reading is no change");
    }

    #[test]
    fn no_link_is_followed_and_no_way_out_taken_in_the_destination() {
        let yard = Yard::new();
        yard.write("log", "text");
        fs::create_dir(yard.top.join("elsewhere")).expect("made");
        std::os::unix::fs::symlink(yard.top.join("elsewhere"), yard.top.join("there/a")).expect("made");
        fs::write(yard.top.join("there/file"), "").expect("written");
        for (directory, number) in [
            ("a", Errno::NOTDIR),
            ("a/b", Errno::LOOP),
            ("../elsewhere", Errno::XDEV),
            ("b/../../elsewhere", Errno::XDEV),
            ("file", Errno::NOTDIR),
        ] {
            let error = yard.take(directory, "log").expect_err(directory);
            assert!(is(&error, number), "{directory}: {error}");
        }
        assert_eq!(yard.count("elsewhere"), 0);
        assert_eq!(yard.read("here/log"), "text");
    }

    #[test]
    fn a_directory_and_what_is_there_already_are_refused() {
        let yard = Yard::new();
        fs::create_dir(yard.top.join("here/directory")).expect("made");
        let error = yard.take("", "directory").expect_err("a directory");
        assert!(is(&error, Errno::ISDIR), "{error}");
        yard.write("log", "text");
        let to = Destination::open(&yard.top).expect("it exists");
        let facts = yard.from.look(b"log").expect("it exists").facts;
        let error = to.take(&yard.from, b"here", b"log", &facts).expect_err("the same directory");
        assert!(is(&error, Errno::INVAL), "{error}");
        assert_eq!(yard.read("here/log"), "text");
    }

    #[test]
    fn a_destination_that_does_not_exist_is_not_made() {
        let yard = Yard::new();
        let error = Destination::open(&yard.top.join("mnt/archive")).expect_err("missing");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("mnt"), "{error}");
        assert!(!yard.top.join("mnt").exists());
    }

    #[test]
    fn special_files_and_links_are_renamed() {
        let yard = Yard::new();
        std::os::unix::fs::symlink("nowhere", yard.top.join("here/link")).expect("made");
        let _socket = std::os::unix::net::UnixListener::bind(yard.top.join("here/socket")).expect("bound");
        yard.take("a", "link").expect("moved");
        yard.take("a", "socket").expect("moved");
        assert_eq!((yard.count("here"), yard.count("there/a")), (0, 2));
    }
}
