//! Other targets below this one's root: each owns its directory and all below it.

use std::sync::Arc;

use crate::entry::Identity;
use crate::fsys::{self, Dir, Root};
use crate::target::Target;

/// Directories below a root that other targets own.
#[derive(Debug, Default)]
pub(super) struct Nested(Vec<Inner>);

#[derive(Debug)]
struct Inner {
    target: Arc<str>,
    /// Path relative to the root.
    path: Vec<u8>,
    identity: Option<Identity>,
}

impl Nested {
    /// Returns the nested directories of a target, as they are now.
    pub(super) fn of(target: &Target, root: &Root) -> Self {
        let inner = target.nested.iter().map(|(name, path)| {
            // A directory that is missing cannot be met either; one that cannot be looked at is known by its path.
            let identity = fsys::identity(path).ok().flatten();
            let path = path
                .strip_prefix(&root.path)
                .map_or(Vec::new(), |path| std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()).to_vec());
            Inner { target: name.as_str().into(), path, identity }
        });
        Self(inner.filter(|inner| inner.identity != Some(root.identity)).collect())
    }

    /// Returns the other target that owns the directory, if any.
    pub(super) fn owner(&self, path: &[u8], dir: &Dir) -> Option<Arc<str>> {
        if self.0.is_empty() || path.is_empty() {
            return None;
        }
        let identity = dir.look_at_itself().ok().map(|(identity, _)| identity);
        let is_it = |inner: &&Inner| inner.path == path || (identity.is_some() && inner.identity == identity);
        self.0.iter().find(is_it).map(|inner| inner.target.clone())
    }
}
