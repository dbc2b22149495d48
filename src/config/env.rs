//! Location of the config, and the defaults that follow from it.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// Path of the default file, below the working directory.
pub const DEFAULT_FILE: &str = "config/janitor.toml";

/// Directory of the system's config.
const SYSTEM_DIRECTORY: &str = "/etc/janitor";

/// Name of the config file in the directories of the system and of the user.
const FILE: &str = "janitor.toml";

/// Name of the default log file.
const LOG: &str = "cleanup_scheduler.log";

/// Name of the default socket.
const SOCKET: &str = "admin.sock";

/// Environment of the process, as far as it decides where files are.
#[derive(Clone, Debug, Default)]
pub struct Env {
    /// Working directory, absolute; `None` if it is gone. Only a config given by a relative path, the first default
    /// path and the built-in config depend on it.
    pub working_directory: Option<PathBuf>,
    /// `$HOME`, absolute, which no target may be.
    pub home: Option<PathBuf>,
    /// `$JANITOR_CONFIG`.
    pub janitor_config: Option<PathBuf>,
    /// `$XDG_CONFIG_HOME`, or `~/.config`.
    pub config_home: Option<PathBuf>,
    /// `$XDG_STATE_HOME`, or `~/.local/state`.
    pub state_home: Option<PathBuf>,
    /// `$XDG_RUNTIME_DIR`, or `/run/user/UID` where that exists.
    pub runtime_dir: Option<PathBuf>,
    /// Whether the process runs as root, who does not use the XDG directories.
    pub is_root: bool,
    /// Path of the config file, absolute and without `..`. No target may contain it.
    pub config_file: Option<PathBuf>,
}

/// Default paths of state, log and socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) state_dir: PathBuf,
    pub(super) log: PathBuf,
    pub(super) socket: PathBuf,
    /// Whether these paths lie below the base, as relative paths do.
    pub(super) is_below_base: bool,
}

impl Env {
    /// Returns the environment of this process, without a config file.
    #[must_use]
    pub fn of_process() -> Self {
        // The XDG specification says to ignore relative paths.
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = absolute("HOME");
        let at_home = |below: &str| home.as_ref().map(|home| home.join(below));
        let user = rustix::process::geteuid();
        Self {
            working_directory: std::env::current_dir().ok(),
            janitor_config: std::env::var_os("JANITOR_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from),
            config_home: absolute("XDG_CONFIG_HOME").or_else(|| at_home(".config")),
            state_home: absolute("XDG_STATE_HOME").or_else(|| at_home(".local/state")),
            runtime_dir: absolute("XDG_RUNTIME_DIR").or_else(|| runtime_of(user.as_raw())),
            is_root: user.is_root(),
            config_file: None,
            home,
        }
    }

    /// Returns the same environment with this config file.
    #[must_use]
    pub fn with_config(mut self, file: PathBuf) -> Self {
        self.config_file = Some(file);
        self
    }

    /// Returns the directory that `base` is relative to: that of the config file as given, with its links not resolved;
    /// for the built-in config, the working directory.
    pub(super) fn directory(&self) -> &Path {
        let of_file = self.config_file.as_deref().and_then(Path::parent);
        of_file.or(self.working_directory.as_deref()).unwrap_or(Path::new("/"))
    }

    fn user_directory(&self) -> Option<PathBuf> {
        self.config_home.as_ref().map(|home| home.join("janitor"))
    }

    /// Returns the directories for the state and the socket of the user whose config lies in `directory`, if it is one
    /// of a user. For another user, they are found by their default names, so that root, for example, finds the state
    /// of the user's own janitor.
    fn of_user(&self, directory: Option<&Path>) -> Option<(PathBuf, Option<PathBuf>)> {
        let directory = directory?;
        if self.user_directory().is_some_and(|ours| is_same_directory(directory, &ours)) {
            return Some((self.state_home.clone()?, self.runtime_dir.clone()));
        }
        let home = directory.ends_with(".config/janitor").then(|| directory.ancestors().nth(2))??;
        Some((home.join(".local/state"), runtime_of(directory.metadata().ok()?.uid())))
    }

    /// Returns the default paths of state, log and socket, which follow from the directory of the config file, however
    /// the file was found.
    pub(super) fn layout(&self, base: &Path) -> Layout {
        let directory = self.config_file.as_deref().and_then(Path::parent);
        let is_in = |place: &Path| directory.is_some_and(|directory| is_same_directory(directory, place));
        if is_in(Path::new(SYSTEM_DIRECTORY)) {
            return Layout {
                state_dir: "/var/lib/janitor".into(),
                log: Path::new("/var/log/janitor").join(LOG),
                socket: Path::new("/run/janitor").join(SOCKET),
                is_below_base: false,
            };
        }
        if let Some((state_home, runtime)) = self.of_user(directory) {
            let state_dir = state_home.join("janitor");
            let runtime = runtime.map(|runtime| runtime.join("janitor"));
            return Layout {
                log: state_dir.join(LOG),
                socket: runtime.as_ref().unwrap_or(&state_dir).join(SOCKET),
                state_dir,
                is_below_base: false,
            };
        }
        Layout {
            state_dir: base.join("state"),
            log: base.join(LOG),
            socket: base.join("state").join(SOCKET),
            is_below_base: true,
        }
    }
}

/// Returns a user's directory for files that do not outlive his session, if it exists.
fn runtime_of(user: u32) -> Option<PathBuf> {
    Some(PathBuf::from(format!("/run/user/{user}"))).filter(|path| path.is_dir())
}

fn is_same_directory(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| path.metadata().ok().map(|about| (about.dev(), about.ino()));
    one == other || identity(one).is_some_and(|one| identity(other) == Some(one))
}

/// Returns the path without `.` and `..`. A link is resolved only if a `..` follows it, since the kernel goes up from
/// the link's destination.
fn without_dots(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                if tidy.is_symlink()
                    && let Ok(real) = tidy.canonicalize()
                {
                    tidy = real;
                }
                tidy.pop();
            }
            part => tidy.push(part),
        }
    }
    tidy
}

/// Finds the config file: the requested one, else that of `$JANITOR_CONFIG`, else the first default path that has one.
/// Returns `None` when there is none.
///
/// # Errors
/// Fails when the path is relative and the working directory is gone.
pub fn locate(asked_for: Option<&Path>, env: &Env) -> io::Result<Option<PathBuf>> {
    let here = env.working_directory.as_deref();
    if let Some(path) = asked_for.or(env.janitor_config.as_deref()) {
        if path.is_absolute() {
            return Ok(Some(without_dots(path)));
        }
        let gone = || io::Error::new(io::ErrorKind::NotFound, "the working directory is gone");
        return Ok(Some(without_dots(&here.ok_or_else(gone)?.join(path))));
    }
    let of_user = if env.is_root { None } else { env.user_directory() };
    let places = [
        here.map(|here| here.join(DEFAULT_FILE)),
        of_user.map(|directory| directory.join(FILE)),
        Some(Path::new(SYSTEM_DIRECTORY).join(FILE)),
    ];
    Ok(places.into_iter().flatten().find(|path| is_meant(path)))
}

/// Returns whether a config was meant to be at this path. A file that exists and cannot be read is an error for
/// [`read`](super::read) to report, and never a reason to continue with other rules. This includes a link that leads
/// nowhere (for example to a file system that is not mounted yet) and a directory that cannot be searched.
fn is_meant(path: &Path) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    match path.symlink_metadata() {
        Ok(_) => true,
        Err(error) if !matches!(error.kind(), NotFound | NotADirectory) => true,
        Err(_) => path.parent().is_some_and(|directory| {
            directory.symlink_metadata().is_ok_and(|about| about.is_symlink()) && directory.metadata().is_err()
        }),
    }
}
