//! Built-in excludes.

use std::sync::LazyLock;

use super::name::SingleName;

struct BuiltIn {
    /// Text, as it is shown; a trailing slash means directories only.
    text: &'static str,
    matcher: SingleName,
    directories_only: bool,
}

/// Names of version control, of files that `fsck` saves, of janitor's own files, of removed files that are still open
/// on NFS and FUSE, and of downloads that are not finished (curl and Firefox, Chromium, Safari).
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

/// Set of built-in excludes, one bit for each.
pub(super) type BuiltIns = u16;

/// Returns the built-in excludes that a component of an include spells out: those that match its text, taken as a name.
/// `.git` and `*.part` spell theirs, `*` and `.*` spell none.
pub(super) fn spelled_by(component: &str) -> BuiltIns {
    that(|built_in| built_in.matcher.matches(component.as_bytes()))
}

/// Returns the built-in excludes that name an entry.
pub(super) fn holding(name: &[u8], directory: bool) -> BuiltIns {
    that(|built_in| (directory || !built_in.directories_only) && built_in.matcher.matches(name))
}

fn that(wanted: impl Fn(&BuiltIn) -> bool) -> BuiltIns {
    ALL.iter().enumerate().fold(0, |bits, (at, built_in)| bits | BuiltIns::from(wanted(built_in)) << at)
}

/// Returns the first of a set, as it is shown.
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
