//! Where the config is, and which defaults follow from its place.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// The default file, below the working directory.
pub const DEFAULT_FILE: &str = "config/janitor.toml";

/// The directory of the system's config.
const SYSTEM_DIRECTORY: &str = "/etc/janitor";

/// The name of the config file in the directories of the system and of the user.
const FILE: &str = "janitor.toml";

/// The name of the default log file.
const LOG: &str = "cleanup_scheduler.log";

/// The name of the default socket.
const SOCKET: &str = "admin.sock";

/// The process's environment, as far as it decides where files are.
#[derive(Clone, Debug, Default)]
pub struct Env {
    /// The working directory, absolute; `None` where it is gone. A config that is given by a relative path, the first
    /// default place, and the built-in config depend on it, and nothing else does.
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
    /// The config file, absolute and without `..`, which no target may hold.
    pub config_file: Option<PathBuf>,
}

/// Where state, log and socket are when the config does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) state_dir: PathBuf,
    pub(super) log: PathBuf,
    pub(super) socket: PathBuf,
    /// Whether they lie below the base, as relative paths do.
    pub(super) is_below_base: bool,
}

impl Env {
    /// Returns that of this process, without a config file.
    #[must_use]
    pub fn of_process() -> Self {
        // The XDG specification has relative paths ignored.
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

    /// Returns the directory that `base` is relative to: that of the config file as it was given, its links not
    /// resolved; for the built-in config the working directory.
    pub(super) fn directory(&self) -> &Path {
        let of_file = self.config_file.as_deref().and_then(Path::parent);
        of_file.or(self.working_directory.as_deref()).unwrap_or(Path::new("/"))
    }

    fn user_directory(&self) -> Option<PathBuf> {
        self.config_home.as_ref().map(|home| home.join("janitor"))
    }

    /// Returns the directories for the state and for the socket of the user whose config lies in `directory`, if it is
    /// one of a user. Another user's are found by the names they have by default, so that root, for one, finds the state
    /// that the user's own janitor works with.
    fn of_user(&self, directory: Option<&Path>) -> Option<(PathBuf, Option<PathBuf>)> {
        let directory = directory?;
        if self.user_directory().is_some_and(|ours| is_same_directory(directory, &ours)) {
            return Some((self.state_home.clone()?, self.runtime_dir.clone()));
        }
        let home = directory.ends_with(".config/janitor").then(|| directory.ancestors().nth(2))??;
        Some((home.join(".local/state"), runtime_of(directory.metadata().ok()?.uid())))
    }

    /// Returns where state, log and socket are by default, which follows from the directory of the config file, however
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

/// Returns the directory that a user has for what does not outlive his session, where it exists.
fn runtime_of(user: u32) -> Option<PathBuf> {
    Some(PathBuf::from(format!("/run/user/{user}"))).filter(|path| path.is_dir())
}

fn is_same_directory(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| path.metadata().ok().map(|about| (about.dev(), about.ino()));
    one == other || identity(one).is_some_and(|one| identity(other) == Some(one))
}

/// Returns the path without `.` and `..`. A link is resolved only where a `..` follows it, since the kernel goes up from
/// where it leads.
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

/// Finds the config file: the one that was asked for, else that of `$JANITOR_CONFIG`, else the first default place that
/// has one. `None` where there is none.
///
/// # Errors
/// When the path is relative and the working directory is gone.
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

/// Returns whether somebody meant a config to be here. A file that is there and cannot be read is an error for
/// [`read`](super::read) to tell, never a reason to go on with other rules: a link that leads nowhere (a file system
/// that is not mounted yet, for one), a directory that cannot be looked into.
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
