//! Opening the root of a target, from `/`.

use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::Mode;
use rustix::io::Errno;

use super::beneath::open_absolute;
use super::dir::{Dir, READ};
use super::reach::{Unreachable, within};
use super::trust::{Denied, Trust};
use super::walk::{Rule, Walk};
use crate::entry::Identity;
use crate::names::Escaped;

/// The root of a target, open.
#[derive(Debug)]
pub struct Root {
    /// The handle.
    pub dir: Dir,
    /// Path of the root, with no symbolic link left in it.
    pub path: PathBuf,
    /// Identity of the root.
    pub identity: Identity,
    /// Whether the file system of the root keeps birth times.
    pub has_birth_times: bool,
    /// Whether the mount of the root keeps access times.
    pub has_access_times: bool,
    /// The directories that had to be made, outermost first.
    pub created: Vec<PathBuf>,
}

/// Reason why a root cannot be opened.
#[derive(Debug)]
pub enum RootError {
    /// The last directory of the path does not exist.
    Missing(PathBuf),
    /// A directory above the last one, at this path, does not exist.
    MissingParent(PathBuf),
    /// The symbolic link at this path, on the way, can be replaced by somebody other than root and the janitor's user.
    UnsafeLink(PathBuf),
    /// A file system on the way does not answer.
    Unreachable(Unreachable),
    /// The system refused at this place.
    Io(PathBuf, io::Error),
}

impl fmt::Display for RootError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &PathBuf| Escaped(path.as_os_str().as_bytes()).to_string();
        match self {
            Self::Missing(path) | Self::MissingParent(path) => write!(out, "`{}` does not exist", shown(path)),
            Self::UnsafeLink(path) => write!(
                out,
                "the symbolic link `{}` on the way can be replaced by others; name the directory itself",
                shown(path)
            ),
            Self::Unreachable(error) => write!(out, "{error}"),
            Self::Io(path, error) => write!(out, "cannot open `{}`: {error}", shown(path)),
        }
    }
}

impl std::error::Error for RootError {}

impl From<Denied> for RootError {
    fn from(denied: Denied) -> Self {
        match denied {
            // On the way to a target only links are judged.
            Denied::Breach(breach) => Self::UnsafeLink(breach.path().into()),
            Denied::Missing(path) => Self::Missing(path),
            Denied::MissingParent(path) => Self::MissingParent(path),
            Denied::NotRegular(path) | Denied::TooLarge(path) => Self::Io(path, Errno::INVAL.into()),
            Denied::Io(path, error) => Self::Io(path, error),
        }
    }
}

/// Time limit for a file system to answer: a sleeping disk needs its time, too.
const PATIENCE: Duration = Duration::from_secs(10);

/// Mode of a target's directory that is made.
const MADE: Mode = Mode::from_raw_mode(0o755);

/// Walks from `/` to `path`, which is absolute, and opens it.
///
/// A symbolic link is followed only where nobody but root and the janitor's user can replace it: the rule of systemd's
/// `CHASE_SAFE`. With `create`, a missing last directory is made, with mode 0755. Directories above it are never made,
/// since they may be a file system that is not mounted.
///
/// The file systems on the way have ten seconds to answer.
///
/// # Errors
/// See [`RootError`].
pub fn resolve(path: &Path, create: bool) -> Result<Root, RootError> {
    let wanted = path.to_path_buf();
    within(PATIENCE, path, move || resolve_now(&wanted, create))
        .unwrap_or_else(|error| Err(RootError::Unreachable(error)))
}

/// Works like [`resolve`], without a time limit.
///
/// # Errors
/// See [`RootError`].
pub fn resolve_now(path: &Path, create: bool) -> Result<Root, RootError> {
    let trust = Trust::of_process();
    let reached = Walk::to_directory(path, Rule::Links, &trust, create.then_some(MADE))?;
    let (path, created) = (reached.path, reached.created);
    // The directory is opened once more, by its resolved path and without any link, so that the path checked against
    // the protected places and the directory that is swept cannot be two.
    let failed = |error: io::Error| RootError::Io(path.clone(), error);
    let fd = open_absolute(&path, READ).map_err(failed)?;
    let dir = Dir::of(fd);
    let (identity, found) = dir.look_at_itself().map_err(failed)?;
    let has_birth_times = found.facts.stamps.created.is_some();
    let has_access_times = dir.keeps_access_times().map_err(failed)?;
    Ok(Root { dir, path, identity, has_birth_times, has_access_times, created })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::super::walk::MAX_LINKS;
    use super::*;

    fn yard() -> (tempfile::TempDir, PathBuf) {
        let yard = tempfile::tempdir().expect("a temporary directory");
        let path = yard.path().canonicalize().expect("it exists");
        (yard, path)
    }

    #[test]
    fn links_and_dots_are_resolved_and_the_path_has_none_left() {
        let (_yard, top) = yard();
        std::fs::create_dir_all(top.join("real/deep")).expect("made");
        symlink("real", top.join("link")).expect("made");
        symlink(top.join("link/deep"), top.join("absolute")).expect("made");
        for way in ["real/deep", "link/deep", "absolute", "real/../link/./deep/"] {
            let root = resolve(&top.join(way), false).expect(way);
            assert_eq!(root.path, top.join("real/deep"), "{way}");
            assert_eq!(Some(root.identity), super::super::identity(&root.path).expect("there"), "{way}");
        }
    }

    #[test]
    fn as_many_links_are_followed_as_the_kernel_follows_and_no_more() {
        let (_yard, top) = yard();
        std::fs::create_dir(top.join("0")).expect("made");
        for link in 1..=MAX_LINKS + 1 {
            symlink((link - 1).to_string(), top.join(link.to_string())).expect("made");
        }
        let last = resolve(&top.join(MAX_LINKS.to_string()), false).expect("not too many");
        assert_eq!(last.path, top.join("0"));
        let error = resolve(&top.join((MAX_LINKS + 1).to_string()), false).expect_err("one too many");
        assert!(matches!(error, RootError::Io(_, error) if error.raw_os_error() == Some(40)));
    }

    #[test]
    fn a_loop_of_links_ends() {
        let (_yard, top) = yard();
        symlink("b", top.join("a")).expect("made");
        symlink("a", top.join("b")).expect("made");
        assert!(
            matches!(resolve(&top.join("a"), true), Err(RootError::Io(_, error)) if error.raw_os_error() == Some(40))
        );
    }

    #[test]
    fn what_is_missing_is_made_only_when_asked() {
        let (_yard, top) = yard();
        let wanted = top.join("a/b");
        for create in [false, true] {
            let missing = resolve(&wanted, create);
            assert!(matches!(missing, Err(RootError::MissingParent(at)) if at == top.join("a")));
        }
        std::fs::create_dir(top.join("a")).expect("made");
        assert!(matches!(resolve(&wanted, false), Err(RootError::Missing(at)) if at == wanted));
        let root = resolve(&wanted, true).expect("made");
        assert_eq!(root.created, std::slice::from_ref(&wanted));
        assert!(resolve(&wanted, true).expect("there").created.is_empty());
    }

    #[test]
    fn a_file_is_no_root() {
        let (_yard, top) = yard();
        std::fs::write(top.join("file"), "").expect("written");
        let error = resolve(&top.join("file"), true).expect_err("a file");
        assert!(error.to_string().contains("Not a directory"), "{error}");
    }

    #[test]
    fn a_link_that_others_can_replace_is_refused() {
        let (_yard, top) = yard();
        std::fs::create_dir_all(top.join("real")).expect("made");
        std::fs::create_dir(top.join("open")).expect("made");
        symlink(top.join("real"), top.join("open/link")).expect("made");
        let set = |mode| {
            std::fs::set_permissions(top.join("open"), std::fs::Permissions::from_mode(mode)).expect("ours");
        };
        set(0o777);
        assert!(matches!(resolve(&top.join("open/link"), false), Err(RootError::UnsafeLink(_))));
        set(0o1777);
        resolve(&top.join("open/link"), false).expect("sticky: only its owner can replace it");
        set(0o755);
        resolve(&top.join("open/link"), false).expect("only we can replace it");
    }
}
