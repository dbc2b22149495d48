//! Conflicts between the janitor's own files.

use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Settings;
use super::check::Checker;
use super::looks::Look;
use super::raw::{At, RawConfig};
use super::state_files::is_of_state;
use crate::entry::Identity;
use crate::names::Escaped;

/// A file of the janitor's own, or its state directory.
struct Own {
    what: &'static str,
    /// Path of the file, with no link left.
    path: PathBuf,
    /// Identity of the file, if it exists.
    identity: Option<Identity>,
    is_directory: bool,
    /// Place in the config that names the file.
    span: Range<usize>,
}

impl Checker<'_> {
    /// Notes own files that are the same, or of which one would damage the other.
    pub(super) fn collisions(&mut self, raw: &RawConfig, settings: &Settings) {
        let place = |value: Option<&At<String>>| value.map_or(0..0, At::span);
        let mut own = |what, path: &Path, value: Option<&At<String>>| {
            let Look { real, identity, .. } = self.looks.of(path).clone();
            Own { what, path: real, identity, is_directory: false, span: place(value) }
        };
        let admin = raw.admin.as_ref();
        let token = admin.and_then(|admin| admin.token_file.as_ref());
        let socket = admin.and_then(|admin| admin.socket.as_ref());
        let log = raw.log.as_ref().and_then(|log| log.file.as_ref());
        let files = [
            self.env.config_file.as_deref().map(|path| own("the config", path, None)),
            Some(Own { is_directory: true, ..own("the state", &settings.state_dir, raw.state_dir.as_ref()) }),
            settings.log.file.as_deref().map(|path| own("the log", path, log)),
            settings.admin.token_file.as_deref().map(|path| own("the token", path, token)),
            settings.admin.socket.as_deref().map(|path| own("the socket", path, socket)),
        ];
        let files: Vec<Own> = files.into_iter().flatten().collect();
        for (index, first) in files.iter().enumerate() {
            for second in &files[index + 1..] {
                if let Some(why) = clash(first, second).or_else(|| clash(second, first)) {
                    // The problem is reported at the later of the two keys. A default has no place, so it gives way to
                    // a path that somebody chose.
                    let span = if second.span.is_empty() { first.span.clone() } else { second.span.clone() };
                    self.problem(span, why, "each needs a path of its own".to_owned());
                }
            }
        }
    }
}

/// Returns why two files cannot be used together, as far as the first is in the way of the second.
fn clash(first: &Own, second: &Own) -> Option<String> {
    let shown = |own: &Own| format!("`{}`", Escaped(own.path.as_os_str().as_bytes()));
    if first.path == second.path || first.identity.is_some_and(|one| second.identity == Some(one)) {
        return Some(format!("{} and {} are the same: {}", first.what, second.what, shown(second)));
    }
    let below = second.path.strip_prefix(&first.path).ok();
    if !first.is_directory {
        // A rotated log has the name of the log with a date appended.
        let rotated = second.path.as_os_str().as_bytes().strip_prefix(first.path.as_os_str().as_bytes());
        let is_rotated = matches!(rotated, Some([b'.', digit, ..]) if digit.is_ascii_digit());
        if is_rotated && first.what == "the log" {
            return Some(format!("{} has the name of a rotated log: {}", second.what, shown(second)));
        }
        return below.map(|_| format!("{} lies in {}, which is {}", shown(second), shown(first), first.what));
    }
    let name = below?.components().next()?.as_os_str().as_bytes();
    is_of_state(name).then(|| format!("{} has the name of a file of {}: {}", second.what, first.what, shown(second)))
}
