//! The janitor's own files: rotating and pruning its log, and what only it may read.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Uid, fchmod, fchown, fstat, fsync, openat, renameat,
    renameat_with, statat, unlinkat,
};

fn open(directory: &Path) -> io::Result<OwnedFd> {
    Ok(openat(CWD, directory, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Renames a file within a directory, and never over another.
///
/// # Errors
/// `AlreadyExists` when the name is taken, and what else the system says.
pub fn rename_own(directory: &Path, from: &OsStr, to: &OsStr) -> io::Result<()> {
    let directory = open(directory)?;
    Ok(renameat_with(&directory, from, &directory, to, RenameFlags::NOREPLACE)?)
}

/// Removes a file in a directory.
///
/// # Errors
/// What the system says.
pub fn remove_own(directory: &Path, name: &OsStr) -> io::Result<()> {
    remove(&open(directory)?, name)
}

fn remove(directory: &OwnedFd, name: &OsStr) -> io::Result<()> {
    Ok(unlinkat(directory, name, AtFlags::empty())?)
}

/// Makes a file that only its owner can read, on the disk before this returns, and never over another.
///
/// # Errors
/// `AlreadyExists` when something has the name, and what else the system says.
pub fn create_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let (directory, name) = place(path)?;
    write_private(&directory, name, content, None)?;
    Ok(fsync(&directory)?)
}

/// Puts a file that only its owner can read in the place of the one that is there, at once; it gets the owner of that.
///
/// # Errors
/// What the system says; the old file is there as before then.
pub fn replace_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let (directory, name) = place(path)?;
    let old = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(old.st_mode) != FileType::RegularFile {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut new = OsString::from(".");
    new.push(name);
    new.push(format!(".{}", std::process::id()));
    write_private(&directory, &new, content, Some(&old))?;
    if let Err(error) = renameat(&directory, &new, &directory, name) {
        // What was made is of no use; that the rename failed is what is told.
        drop(remove(&directory, &new));
        return Err(error.into());
    }
    Ok(fsync(&directory)?)
}

/// The directory of a file, and its name there.
fn place(path: &Path) -> io::Result<(OwnedFd, &OsStr)> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(rustix::io::Errno::INVAL.into());
    };
    Ok((open(directory)?, name))
}

/// Writes a new file with mode 0600; `like` has the owner that it gets.
fn write_private(directory: &OwnedFd, name: &OsStr, content: &[u8], like: Option<&Stat>) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    let mut file = File::from(openat(directory, name, flags, mode)?);
    let mut write = || -> io::Result<()> {
        let now = fstat(&file)?;
        if let Some(like) = like
            && (like.st_uid, like.st_gid) != (now.st_uid, now.st_gid)
        {
            fchown(&file, Some(Uid::from_raw(like.st_uid)), Some(Gid::from_raw(like.st_gid)))?;
        }
        // Whatever the umask took away.
        fchmod(&file, mode)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().inspect_err(|_| drop(remove(directory, name)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    #[test]
    fn a_private_file_is_made_once_and_replaced_at_once() {
        let yard = tempfile::tempdir().expect("a temporary directory");
        let path = yard.path().join("token");
        create_private(&path, b"one").expect("made");
        assert_eq!(path.metadata().expect("there").permissions().mode() & 0o7777, 0o600);
        let again = create_private(&path, b"two").expect_err("it is there");
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).expect("readable"), b"one");
        let before = path.metadata().expect("there").ino();
        replace_private(&path, b"two").expect("replaced");
        let after = path.metadata().expect("there");
        assert_ne!(after.ino(), before, "another file");
        assert_eq!((std::fs::read(&path).expect("readable").as_slice(), after.mode() & 0o7777), (&b"two"[..], 0o600));
        assert_eq!(std::fs::read_dir(yard.path()).expect("readable").count(), 1);
    }

    #[test]
    fn a_log_is_renamed_over_nothing_and_removed() {
        let yard = tempfile::tempdir().expect("a temporary directory");
        for name in ["log", "log.1"] {
            std::fs::write(yard.path().join(name), name).expect("written");
        }
        let rename = |to: &str| rename_own(yard.path(), OsStr::new("log"), OsStr::new(to));
        assert_eq!(rename("log.1").expect_err("it is taken").kind(), io::ErrorKind::AlreadyExists);
        rename("log.2").expect("it is free");
        assert_eq!(std::fs::read(yard.path().join("log.2")).expect("readable"), b"log");
        remove_own(yard.path(), OsStr::new("log.1")).expect("it is there");
        assert_eq!(std::fs::read_dir(yard.path()).expect("readable").count(), 1);
        remove_own(yard.path(), OsStr::new("log.1")).expect_err("it is gone");
    }

    #[test]
    fn a_private_file_goes_over_nothing_and_in_the_place_of_a_file_only() {
        let yard = tempfile::tempdir().expect("a temporary directory");
        let at = |name: &str| yard.path().join(name);
        std::os::unix::fs::symlink(at("elsewhere"), at("link")).expect("made");
        create_private(&at("link"), b"x").expect_err("a link is there");
        assert!(!at("elsewhere").exists());
        std::fs::create_dir(at("directory")).expect("made");
        for name in ["link", "directory"] {
            replace_private(&at(name), b"x").expect_err(name);
        }
        replace_private(&at("missing"), b"x").expect_err("nothing is there");
        assert_eq!(std::fs::read_dir(yard.path()).expect("readable").count(), 2);
    }

    #[test]
    fn who_owned_the_old_file_owns_the_new_one() {
        if !crate::needs::root() {
            return;
        }
        let yard = tempfile::tempdir().expect("a temporary directory");
        let path = yard.path().join("token");
        create_private(&path, b"one").expect("made");
        std::os::unix::fs::chown(&path, Some(65534), Some(65534)).expect("root may");
        replace_private(&path, b"two").expect("replaced");
        let about = path.metadata().expect("there");
        assert_eq!((about.uid(), about.gid()), (65534, 65534));
    }
}
