//! The janitor's own files are different files: a log that is the token file, too, ruins it.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::Settings;
use super::check::Checker;
use super::places::resolved;
use super::raw::{At, RawConfig};
use crate::names::Escaped;

/// What lies in the state directory.
const IN_STATE: [&str; 5] =
    ["janitor.sqlite", "janitor.sqlite-wal", "janitor.sqlite-shm", "janitor.sqlite-journal", "janitor.lock"];

/// One of the files.
struct Own {
    /// The key, or what it is.
    what: &'static str,
    path: PathBuf,
    /// Where the config names it.
    span: Option<Range<usize>>,
}

impl Checker<'_> {
    /// Finds files that are two of the janitor's own.
    pub(super) fn distinct(&mut self, raw: &RawConfig, settings: &Settings, config_file: Option<&Path>) {
        let own = |what, path: &Path, span| Own { what, path: resolved(path), span };
        let admin = raw.admin.as_ref();
        let token = admin.and_then(|admin| admin.token_file.as_ref()).map(At::span);
        let socket = admin.and_then(|admin| admin.socket.as_ref()).map(At::span);
        let log = raw.log.as_ref().and_then(|log| log.file.as_ref()).map(At::span);
        let state = raw.state_dir.as_ref().map(At::span);
        let mut files: Vec<Own> = Vec::new();
        files.extend(config_file.map(|path| own("the config file itself", path, None)));
        files.push(own("state_dir", &settings.state_dir, state.clone()));
        files.extend(IN_STATE.map(|name| own("the state", &settings.state_dir.join(name), state.clone())));
        files.extend(settings.admin.token_file.as_deref().map(|path| own("token_file", path, token)));
        files.extend(settings.admin.socket.as_deref().map(|path| own("the socket", path, socket)));
        files.push(own("the log", &settings.log.file, log));
        for (number, second) in files.iter().enumerate() {
            let Some(first) = files[..number].iter().find(|first| first.path == second.path) else { continue };
            let span = second.span.clone().or_else(|| first.span.clone()).unwrap_or(0..0);
            let shown = Escaped(second.path.as_os_str().as_encoded_bytes()).to_string();
            self.problem(span, format!("`{shown}` is {}, and {} too", first.what, second.what), None);
        }
    }
}
