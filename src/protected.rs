//! The places that no target may be, by path and by the identity of the directory to which the path leads.

use std::path::{Path, PathBuf};

use crate::entry::Identity;

/// A place that must not be swept, nor any directory that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Absolute path of the place.
    pub path: PathBuf,
    /// Description of the place, as the rest of a sentence: `a system directory`.
    pub what: String,
    /// Whether everything below the place is protected too.
    pub with_all_below: bool,
    /// Identities of the place and of its ancestors, as far as they exist.
    pub identities: Vec<Identity>,
}

/// Places that no target may be, or hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protected {
    places: Vec<Place>,
    /// Places to which, and below which, nothing may be moved.
    closed: Vec<Place>,
}

/// Directories that a system lives in.
pub const SYSTEM: [&str; 32] = [
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/home",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/usr/bin",
    "/usr/games",
    "/usr/include",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/local",
    "/usr/sbin",
    "/usr/share",
    "/usr/src",
    "/var",
    "/var/lib",
    "/var/cache",
    "/var/spool",
];

/// Directories in which nothing at all is to be cleaned: those that the kernel makes up, and those of programs with
/// their libraries.
pub const WITH_ALL_BELOW: [&str; 19] = [
    "/proc",
    "/sys",
    "/dev",
    "/boot",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/usr/bin",
    "/usr/games",
    "/usr/include",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/sbin",
    "/usr/share",
];

/// Directories in which a new file may be run, or change who may do what. Nothing is moved there, nor anywhere below.
pub const CLOSED: [&str; 7] = ["/boot", "/etc", "/root", "/run/systemd", "/usr", "/var/lib/systemd", "/var/spool/cron"];

/// The only directory below `WITH_ALL_BELOW` that holds ordinary files.
const SHARED_MEMORY: &str = "/dev/shm";

impl Protected {
    /// Returns the protection of these places.
    #[must_use]
    pub fn new(places: Vec<Place>) -> Self {
        Self { places, closed: Vec::new() }
    }

    /// Closes these places to moves, with all below them. Their identities are their own alone, without those of
    /// ancestors.
    #[must_use]
    pub fn closing(self, closed: Vec<Place>) -> Self {
        Self { closed, ..self }
    }

    /// Returns in words why nothing may be moved to a directory because it is closed, or lies in a closed one. The
    /// reasons of [`refuse`](Self::refuse) come on top. The path is absolute. For certainty, the path has no links left
    /// in it, and `way` has the identities of the directory and of those above it.
    #[must_use]
    pub fn refuse_destination(&self, path: &Path, way: &[Identity]) -> Option<String> {
        let shown = |path: &Path| crate::names::Escaped(path.as_os_str().as_encoded_bytes()).to_string();
        let is_in = |place: &Place| {
            path.starts_with(&place.path) || place.identities.iter().any(|identity| way.contains(identity))
        };
        let place = self.closed.iter().find(|place| is_in(place))?;
        Some(format!("`{}` lies in `{}`, {}", shown(path), shown(&place.path), place.what))
    }

    /// Returns in words why a target's directory is refused; `None` when it may be swept. The path is absolute. For
    /// certainty, the path has no links left in it, and the identity is that of the directory it leads to.
    #[must_use]
    pub fn refuse(&self, path: &Path, identity: Option<Identity>) -> Option<String> {
        self.places.iter().find_map(|place| {
            let Place { path: protected, what, with_all_below, identities } = place;
            let shown = |path: &Path| crate::names::Escaped(path.as_os_str().as_encoded_bytes()).to_string();
            if path == protected {
                return Some(format!("`{}` is {what}", shown(path)));
            }
            if protected.starts_with(path) {
                return Some(format!("`{}` holds `{}`, {what}", shown(path), shown(protected)));
            }
            let is_ordinary = path.starts_with(SHARED_MEMORY) && !protected.starts_with(SHARED_MEMORY);
            if *with_all_below && path.starts_with(protected) && !is_ordinary {
                return Some(format!("`{}` lies in `{}`, {what}", shown(path), shown(protected)));
            }
            let same = identity.is_some_and(|identity| identities.contains(&identity));
            same.then(|| format!("`{}` leads to or holds `{}`, {what}", shown(path), shown(protected)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protected() -> Protected {
        let place = |path: &str, what: &str, with_all_below, inode| Place {
            path: path.into(),
            what: what.into(),
            with_all_below,
            identities: vec![Identity { device: 1, inode }],
        };
        Protected::new(vec![
            place("/etc", "a system directory", false, 10),
            place("/dev", "the kernel's", true, 11),
            place("/srv/app/log", "the janitor's own log file", false, 12),
        ])
    }

    #[test]
    fn a_place_and_what_holds_it_are_refused_in_words() {
        for (path, why) in [
            ("/etc", Some("`/etc` is a system directory")),
            ("/", Some("`/` holds `/etc`, a system directory")),
            ("/etc/app", None),
            ("/etcetera", None),
            ("/srv/app", Some("`/srv/app` holds `/srv/app/log`, the janitor's own log file")),
            ("/srv", Some("`/srv` holds `/srv/app/log`, the janitor's own log file")),
            ("/srv/app/uploads", None),
            ("/dev/disk", Some("`/dev/disk` lies in `/dev`, the kernel's")),
            ("/dev/shm/app", None),
        ] {
            assert_eq!(protected().refuse(Path::new(path), None).as_deref(), why, "{path}");
        }
    }

    #[test]
    fn nothing_is_moved_to_a_closed_place_or_below_it_under_any_name() {
        let closed = Place {
            path: "/etc".into(),
            what: "closed".into(),
            with_all_below: true,
            identities: vec![Identity { device: 1, inode: 20 }],
        };
        let protected = protected().closing(vec![closed]);
        let way = |inodes: &[u64]| inodes.iter().map(|inode| Identity { device: 1, inode: *inode }).collect::<Vec<_>>();
        for (path, inodes, why) in [
            ("/etc", &[20][..], Some("`/etc` lies in `/etc`, closed")),
            ("/etc/cron.d", &[], Some("`/etc/cron.d` lies in `/etc`, closed")),
            ("/mnt/etc/cron.d", &[30, 20, 31], Some("`/mnt/etc/cron.d` lies in `/etc`, closed")),
            ("/mnt/x", &[30, 31], None),
        ] {
            assert_eq!(protected.refuse_destination(Path::new(path), &way(inodes)).as_deref(), why, "{path}");
        }
        assert_eq!(protected.refuse(Path::new("/etc/app"), None), None, "a target may lie there");
    }

    #[test]
    fn another_name_for_a_place_is_refused() {
        let seen = |inode| protected().refuse(Path::new("/mnt/x"), Some(Identity { device: 1, inode }));
        assert_eq!(seen(10).as_deref(), Some("`/mnt/x` leads to or holds `/etc`, a system directory"));
        assert_eq!(seen(99), None);
        assert_eq!(protected().refuse(Path::new("/mnt/x"), Some(Identity { device: 2, inode: 10 })), None);
    }
}
