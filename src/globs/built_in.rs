//! The built-in excludes.

use std::sync::LazyLock;

use super::name::SingleName;

struct BuiltIn {
    /// As it is shown; a trailing slash means directories only.
    text: &'static str,
    matcher: SingleName,
    directories_only: bool,
}

/// Version control, what `fsck` saves, janitor's own, the names that NFS and FUSE give removed files that are still open, and downloads
/// that are not finished (curl and Firefox, Chromium, Safari).
const TEXTS: [&str; 10] = [
    ".git/",
    ".svn/",
    ".hg/",
    "lost+found/",
    ".janitor*",
    ".nfs*",
    ".fuse_hidden*",
    "*.part",
    "*.crdownload",
    "*.download",
];

static ALL: LazyLock<Vec<BuiltIn>> = LazyLock::new(|| {
    let built_in = |text: &'static str| {
        let name = text.trim_end_matches('/');
        let matcher = SingleName::new(name)?;
        Some(BuiltIn { text, matcher, directories_only: name.len() < text.len() })
    };
    TEXTS.into_iter().filter_map(built_in).collect()
});

/// A set of built-in excludes, one bit for each.
pub(super) type BuiltIns = u16;

/// Which built-in excludes a component of an include spells out: those that its text, taken as a name, is matched by.
/// `.git` and `*.part` spell theirs, `*` and `.*` spell none.
pub(super) fn spelled_by(component: &str) -> BuiltIns {
    that(|built_in| built_in.matcher.matches(component.as_bytes()))
}

/// Which built-in excludes name an entry.
pub(super) fn holding(name: &[u8], directory: bool) -> BuiltIns {
    that(|built_in| (directory || !built_in.directories_only) && built_in.matcher.matches(name))
}

fn that(wanted: impl Fn(&BuiltIn) -> bool) -> BuiltIns {
    ALL.iter().enumerate().fold(0, |bits, (at, built_in)| bits | BuiltIns::from(wanted(built_in)) << at)
}

/// The first of a set, as it is shown.
pub(super) fn text(of: BuiltIns) -> Option<&'static str> {
    ALL.get(of.trailing_zeros() as usize).map(|built_in| built_in.text)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_built_in_exclude_compiles() {
        assert_eq!(super::ALL.len(), super::TEXTS.len());
    }
}
