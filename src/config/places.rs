//! Which places are protected here and now.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::{Env, Settings};
use crate::entry::Identity;
use crate::names::TargetName;
use crate::protected::{CLOSED, Place, Protected, SYSTEM, WITH_ALL_BELOW};
use crate::target::Target;

/// Which inode a path leads to, links followed.
pub(super) fn identity(path: &Path) -> io::Result<Identity> {
    let about = path.metadata()?;
    Ok(Identity { device: about.dev(), inode: about.ino() })
}

/// The path with its links resolved, as far as it exists. Only for comparing: a sweep walks its way by handles.
pub(super) fn resolved(path: &Path) -> PathBuf {
    for existing in path.ancestors() {
        if let Ok(mut real) = existing.canonicalize() {
            // What is not there is no link, so a `..` behind it leads back.
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

/// What the path and its ancestors are, as far as they are directories, which every target is; `/` aside, which every path
/// has. The inode of a file that is replaced may be that of a directory soon.
fn identities(path: &Path) -> Vec<Identity> {
    let below_root = path.ancestors().filter(|ancestor| ancestor.parent().is_some());
    // What cannot be looked at is still protected by its path.
    below_root.filter(|ancestor| ancestor.is_dir()).filter_map(|ancestor| identity(ancestor).ok()).collect()
}

fn place(path: &Path, what: &str, with_all_below: bool) -> [Place; 2] {
    [path.to_path_buf(), resolved(path)].map(|path| {
        let identities = identities(&path);
        Place { path, what: what.to_owned(), with_all_below, identities }
    })
}

/// The system's directories, the home, and what is the janitor's own.
pub(super) fn protected(settings: &Settings, env: &Env) -> Protected {
    let mut places = Vec::new();
    for path in SYSTEM {
        places.extend(place(Path::new(path), "a system directory", WITH_ALL_BELOW.contains(&path)));
    }
    if let Ok(identity) = identity(Path::new("/")) {
        let what = "the root of the file system".to_owned();
        places.push(Place { path: "/".into(), what, with_all_below: false, identities: vec![identity] });
    }
    for (path, what, with_all_below) in [
        (env.home.as_deref(), "your home directory", false),
        (env.config_file.as_deref(), "the janitor's own config", false),
        (Some(&*settings.state_dir), "the janitor's own state", true),
        (settings.log.file.as_deref(), "the janitor's own log", false),
        (settings.admin.token_file.as_deref(), "the janitor's own token", false),
        (settings.admin.socket.as_deref(), "the janitor's own socket", false),
    ] {
        if let Some(path) = path {
            places.extend(place(path, what, with_all_below));
        }
    }
    places.dedup();
    let of_user = [
        env.home.as_ref().map(|home| home.join(".config/systemd")),
        env.home.as_ref().map(|home| home.join(".local/share/systemd")),
        env.config_home.as_ref().map(|home| home.join("systemd")),
    ];
    let closed = CLOSED.iter().map(PathBuf::from).chain(of_user.into_iter().flatten());
    let closed = closed.map(|path| (path, "a place that programs or settings are taken from"));
    let closed = closed.chain([(settings.state_dir.clone(), "the janitor's own state")]);
    let closed = closed.flat_map(|(path, what)| {
        // The directories above it are open.
        place(&path, what, true).map(|place| Place { identities: identity(&path).into_iter().collect(), ..place })
    });
    Protected::new(places).closing(closed.collect())
}

/// Why nothing may be moved to a directory, as far as can be told before it is opened. `real` is the path [`resolved`].
pub(super) fn refuse_destination(protected: &Protected, path: &Path, real: &Path) -> Option<String> {
    let way = identities(real);
    let by_path = refuse(protected, path, real).or_else(|| protected.refuse_destination(path, &[]));
    by_path.or_else(|| protected.refuse_destination(real, &way))
}

/// Why a target's directory is refused, as far as can be told before it is swept. `real` is the path [`resolved`].
pub(super) fn refuse(protected: &Protected, path: &Path, real: &Path) -> Option<String> {
    // In the words of the config where that says it, then by where it leads.
    let by_path = protected.refuse(path, None).or_else(|| (real != path).then(|| protected.refuse(real, None))?);
    by_path.or_else(|| protected.refuse(path, Some(identity(path).ok()?)))
}

/// The file system that a path is on, or will be when it is made.
fn device(path: &Path) -> Option<u64> {
    path.ancestors().find_map(|existing| identity(existing).ok()).map(|identity| identity.device)
}

/// Targets whose directory others have too, with those others.
pub(super) type Sharing = BTreeMap<TargetName, Vec<TargetName>>;

/// Tells each target, of which it is known where its path leads, which others are nested in it, and on which file system
/// it is; and finds those that have the same directory.
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
        // In the order of paths, what lies below one comes right after it.
        let below = by_path.range::<&Path, _>(path..).take_while(|(other, _)| other.starts_with(path));
        let inner = below.filter(|(other, _)| **other != path);
        inner.flat_map(|(path, names)| names.iter().map(|name| (name.clone(), path.to_path_buf()))).collect()
    };
    let nested: Vec<_> = targets.iter().map(|(_, path)| nested_in(path)).collect();
    let related = targets.iter().zip(nested);
    let related = related.map(|((target, path), nested)| Target { device: device(path), nested, ..target.clone() });
    let mut related: Vec<Target> = related.collect();
    let makes_room = |target: &&Target| target.enabled && target.policy.min_free.is_some();
    let rooms: Vec<_> = related.iter().filter(makes_room).map(|target| (target.name.clone(), target.device)).collect();
    for target in related.iter_mut().filter(|target| makes_room(&&**target) && target.device.is_some()) {
        let same = rooms.iter().filter(|(name, device)| *name != target.name && *device == target.device);
        target.same_disk = same.map(|(name, _)| name.clone()).collect();
    }
    (related, sharing)
}
