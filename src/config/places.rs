//! Paths that are protected on this system.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::looks::{Look, PATIENCE};
use super::{Env, Settings};
use crate::entry::Identity;
use crate::fsys;
use crate::names::TargetName;
use crate::protected::{CLOSED, Place, Protected, SYSTEM, WITH_ALL_BELOW};
use crate::target::Target;

/// Returns the inode that a path leads to, following links.
pub(super) fn identity(path: &Path) -> io::Result<Identity> {
    let about = path.metadata()?;
    Ok(Identity { device: about.dev(), inode: about.ino() })
}

/// Returns the path with its links resolved, as far as it exists. Only for comparisons: a sweep walks by handles.
pub(super) fn resolved(path: &Path) -> PathBuf {
    for existing in path.ancestors() {
        if let Ok(mut real) = existing.canonicalize() {
            // A missing component is no link, so a `..` after it leads back.
            for part in path.strip_prefix(existing).unwrap_or(Path::new("")).components() {
                match part {
                    Component::ParentDir => drop(real.pop()),
                    _ => real.push(part),
                }
            }
            return real;
        }
    }
    path.to_path_buf()
}

/// Returns the identities of the path and its ancestors, except `/`, which every path has. Only directories count,
/// since every target is one; the inode of a file that is replaced may soon be that of a directory.
fn identities(path: &Path) -> Vec<Identity> {
    let below_root = path.ancestors().filter(|ancestor| ancestor.parent().is_some());
    // A path that cannot be looked at is still protected by its text.
    below_root.filter(|ancestor| ancestor.is_dir()).filter_map(|ancestor| identity(ancestor).ok()).collect()
}

/// A path to protect, its description, and whether everything below it is protected, too.
type Wanted = (PathBuf, String, bool);

/// Protects paths as they are written, and where they lead. If its file system does not answer, a path is protected by
/// its text alone: a target that could lead there does not answer either.
fn places(wanted: Vec<Wanted>, identities: fn(&Path) -> Vec<Identity>) -> Vec<Place> {
    let paths = wanted.iter().map(|(path, ..)| path.clone()).collect();
    let look = move |path: &Path| [path.to_path_buf(), resolved(path)].map(|path| (identities(&path), path));
    let mut places = Vec::new();
    fsys::each_within(PATIENCE, paths, look, |at, found| {
        let (path, what, with_all_below) = &wanted[at];
        let as_written = || vec![(Vec::new(), path.clone())];
        for (identities, path) in found.map_or_else(|_| as_written(), Vec::from) {
            places.push(Place { path, what: what.clone(), with_all_below: *with_all_below, identities });
        }
        true
    });
    places
}

/// Returns the protected paths: the system's directories, the home, and the janitor's own files.
pub(super) fn protected(settings: &Settings, env: &Env) -> Protected {
    let of_system =
        SYSTEM.map(|path| (PathBuf::from(path), "a system directory".to_owned(), WITH_ALL_BELOW.contains(&path)));
    let own = [
        (env.home.as_deref(), "your home directory", false),
        (env.config_file.as_deref(), "the janitor's own config", false),
        (Some(&*settings.state_dir), "the janitor's own state", true),
        (settings.log.file.as_deref(), "the janitor's own log", false),
        (settings.admin.token_file.as_deref(), "the janitor's own token", false),
        (settings.admin.socket.as_deref(), "the janitor's own socket", false),
    ];
    let own = own.into_iter().filter_map(|(path, what, all)| Some((path?.to_path_buf(), what.to_owned(), all)));
    let mut found = places(of_system.into_iter().chain(own).collect(), identities);
    if let Ok(identity) = identity(Path::new("/")) {
        let what = "the root of the file system".to_owned();
        let root = Place { path: "/".into(), what, with_all_below: false, identities: vec![identity] };
        found.push(root);
    }
    found.dedup();
    let of_user = [
        env.home.as_ref().map(|home| home.join(".config/systemd")),
        env.home.as_ref().map(|home| home.join(".local/share/systemd")),
        env.config_home.as_ref().map(|home| home.join("systemd")),
    ];
    let closed = CLOSED.iter().map(PathBuf::from).chain(of_user.into_iter().flatten());
    let closed = closed.map(|path| (path, "a place that programs or settings are taken from".to_owned(), true));
    let closed = closed.chain([(settings.state_dir.clone(), "the janitor's own state".to_owned(), true)]);
    // The directories above these paths are not closed.
    let closed = places(closed.collect(), |path| identity(path).into_iter().collect());
    Protected::new(found).closing(closed)
}

/// Returns why no files may be moved to a directory, as far as can be told before it is opened.
pub(super) fn refuse_destination(protected: &Protected, path: &Path, look: &Look) -> Option<String> {
    let real = look.real.clone();
    let way = fsys::within(PATIENCE, path, move || identities(&real)).unwrap_or_default();
    let by_path = refuse(protected, path, look).or_else(|| protected.refuse_destination(path, &[]));
    by_path.or_else(|| protected.refuse_destination(&look.real, &way))
}

/// Returns why a target's directory is refused, as far as can be told before it is swept.
pub(super) fn refuse(protected: &Protected, path: &Path, look: &Look) -> Option<String> {
    // The path as written is checked first, so that the reason uses the words of the config; then its destination.
    let real = (look.real != path).then(|| protected.refuse(&look.real, None)).flatten();
    protected.refuse(path, None).or(real).or_else(|| protected.refuse(path, Some(look.identity?)))
}

/// Returns the file system of a path, or of its nearest existing ancestor.
pub(super) fn device(path: &Path) -> Option<u64> {
    path.ancestors().find_map(|existing| identity(existing).ok()).map(|identity| identity.device)
}

/// Targets that share their directory with others, each with those others.
pub(super) type Sharing = BTreeMap<TargetName, Vec<TargetName>>;

/// Fills in the other targets nested in each target and those on the same disk, and finds the targets that share a
/// directory. Each target comes with its resolved path, and its file system is known.
pub(super) fn related(targets: Vec<(Target, PathBuf)>) -> (Vec<Target>, Sharing) {
    let by_path: BTreeMap<&Path, Vec<TargetName>> =
        targets.iter().fold(BTreeMap::new(), |mut found, (target, path)| {
            found.entry(&**path).or_insert_with(Vec::new).push(target.name.clone());
            found
        });
    let others =
        |name: &TargetName, names: &[TargetName]| names.iter().filter(|other| *other != name).cloned().collect();
    let shared = by_path.values().filter(|names| names.len() > 1);
    let sharing = shared.flat_map(|names| names.iter().map(|name| (name.clone(), others(name, names)))).collect();
    let nested_in = |path: &Path| {
        // In the order of paths, everything below a path comes right after it.
        let below = by_path.range::<&Path, _>(path..).take_while(|(other, _)| other.starts_with(path));
        let inner = below.filter(|(other, _)| **other != path);
        inner.flat_map(|(path, names)| names.iter().map(|name| (name.clone(), path.to_path_buf()))).collect()
    };
    let nested: Vec<_> = targets.iter().map(|(_, path)| nested_in(path)).collect();
    let related = targets.iter().zip(nested);
    let related = related.map(|((target, _), nested)| Target { nested, ..target.clone() });
    let mut related: Vec<Target> = related.collect();
    let makes_room = |target: &&Target| target.enabled && target.policy.min_free.is_some();
    let rooms: Vec<_> = related.iter().filter(makes_room).map(|target| (target.name.clone(), target.device)).collect();
    for target in related.iter_mut().filter(|target| makes_room(&&**target) && target.device.is_some()) {
        let same = rooms.iter().filter(|(name, device)| *name != target.name && *device == target.device);
        target.same_disk = same.map(|(name, _)| name.clone()).collect();
    }
    (related, sharing)
}
