//! A directory with files in it, for a daemon to work in.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;

/// The program under test.
pub const JANITOR: &str = env!("CARGO_BIN_EXE_janitor");

/// The target of the shipped config.
const MARKED_IMAGES: &str = "\n[[target]]\nname = \"marked_images\"\npath = \"marked_images\"\nschedule = \"0 2 * * *\"\n\
    include = [\"*\"]\nmissing = \"create\"\n";

/// A temporary directory that goes with the test.
pub struct Yard {
    _temporary: Option<tempfile::TempDir>,
    top: PathBuf,
    filter: Option<Filter>,
}

/// A filter of system calls that the program runs behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// `openat2` is hidden.
    NoOpenat2,
    /// Who asks for Landlock is killed.
    LandlockKills,
}

impl Yard {
    /// An empty one, which everybody may enter, since some tests run the program as somebody else.
    pub fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// The same in this directory.
    pub fn below(directory: &Path) -> Self {
        let temporary = tempfile::tempdir_in(directory).expect("a temporary directory");
        fs::set_permissions(temporary.path(), Permissions::from_mode(0o755)).expect("ours");
        let top = temporary.path().canonicalize().expect("it exists");
        Self { _temporary: Some(temporary), top, filter: None }
    }

    /// One in a directory that is there, and stays.
    pub fn at(top: &Path) -> Self {
        Self { _temporary: None, top: top.canonicalize().expect("it exists"), filter: None }
    }

    /// Has the program run behind a filter from here on.
    pub fn behind(self, filter: Filter) -> Self {
        Self { filter: Some(filter), ..self }
    }

    /// The program, after what runs it behind a filter.
    pub fn program(&self) -> Vec<OsString> {
        let Some(filter) = self.filter else { return vec![JANITOR.into()] };
        let filtered = Path::new(JANITOR).with_file_name("examples").join("filtered");
        assert!(filtered.exists(), "build it with: cargo build --example filtered");
        let filter = match filter {
            Filter::NoOpenat2 => "openat2=ENOSYS",
            Filter::LandlockKills => "landlock=KILL",
        };
        vec![filtered.into(), filter.into(), JANITOR.into()]
    }

    /// The path of something in it.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.top.join(relative)
    }

    /// Makes a directory.
    pub fn directory(&self, relative: &str) -> PathBuf {
        let path = self.path(relative);
        fs::create_dir_all(&path).expect("made");
        path
    }

    /// Makes a file, and the directories above it.
    pub fn file(&self, relative: impl AsRef<Path>) -> PathBuf {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().expect("below the yard")).expect("made");
        fs::write(&path, "content").unwrap_or_else(|error| panic!("{}: {error}", path.to_string_lossy()));
        path
    }

    /// Makes a file whose name is bytes.
    pub fn file_of_bytes(&self, directory: &str, name: &[u8]) -> PathBuf {
        self.file(Path::new(directory).join(OsStr::from_bytes(name)))
    }

    /// Makes a file that was last modified so long ago.
    pub fn aged(&self, relative: &str, age: Duration) -> PathBuf {
        let path = self.file(relative);
        self.grow_old(relative, age);
        path
    }

    /// Makes something that is there look as if it was last modified so long ago.
    pub fn grow_old(&self, relative: &str, age: Duration) {
        self.try_to_grow_old(&self.path(relative), age).expect("it is there, and ours");
    }

    /// The same where somebody may take it away meanwhile.
    pub fn try_to_grow_old(&self, path: &Path, age: Duration) -> std::io::Result<()> {
        #[expect(clippy::disallowed_methods, reason = "real files have real ages")]
        let modified = SystemTime::now() - age;
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let file = File::options().read(true).custom_flags(flags).open(path)?;
        file.set_times(FileTimes::new().set_modified(modified))
    }

    /// Writes the config that the program finds by itself. Its relative paths start at the top of the yard, unless it
    /// says otherwise; where it names no target, it gets the one of the shipped config.
    pub fn config(&self, text: &str) {
        self.directory("config");
        let has_base = text.lines().any(|line| line.starts_with("base = "));
        let base = if has_base { "" } else { "base = \"..\"\n" };
        let target = if text.contains("[[target") { "" } else { MARKED_IMAGES };
        fs::write(self.path("config/janitor.toml"), format!("{base}{text}{target}")).expect("written");
    }

    /// Everything below a directory that is no directory itself, as bytes.
    pub fn survivors(&self, directory: &str) -> BTreeSet<Vec<u8>> {
        fn below(at: &Path, root: &Path, found: &mut BTreeSet<Vec<u8>>) {
            let entries = match fs::read_dir(at) {
                // The work directory of an overlay is closed to everybody but root.
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return,
                entries => entries.expect("readable"),
            };
            for entry in entries {
                let path = entry.expect("readable").path();
                if path.is_dir() && !path.is_symlink() {
                    below(&path, root, found);
                } else {
                    found.insert(path.strip_prefix(root).expect("below").as_os_str().as_bytes().to_vec());
                }
            }
        }
        let root = self.path(directory);
        let mut found = BTreeSet::new();
        below(&root, &root, &mut found);
        found
    }

    /// The same as text.
    pub fn left(&self, directory: &str) -> Vec<String> {
        self.survivors(directory).into_iter().map(|name| String::from_utf8_lossy(&name).into_owned()).collect()
    }

    /// The program, to be run in this yard.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let program = self.program();
        let mut command = Command::new(&program[0]);
        command.args(&program[1..]).args(arguments).current_dir(&self.top).env("TZ", "UTC").env("HOME", "/nonexistent");
        command.env_remove("RUST_BACKTRACE").stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().expect("the program runs"))
    }

    /// The same, with more said about how. It begins in the yard.
    pub fn run_as(&self, prepare: impl FnOnce(&mut Command)) -> Ran {
        let mut command = self.command(&[]);
        prepare(&mut command);
        Ran::of(command.output().expect("the program runs"))
    }

    /// The same, and it has to end within this time.
    pub fn run_within(&self, limit: Duration, arguments: &[&str]) -> Ran {
        let mut command = Command::new("timeout");
        command.args(["--signal", "KILL", &limit.as_secs().to_string()]);
        command.args(self.program()).args(arguments);
        command.current_dir(&self.top).env("TZ", "UTC").env("HOME", "/nonexistent").stdin(Stdio::null());
        Ran::of(command.output().expect("timeout runs"))
    }

    /// The same as another user, who owns nothing here.
    pub fn run_as_nobody(&self, arguments: &[&str]) -> Ran {
        self.run_as_nobody_with(arguments, |_| {})
    }

    /// The same, with more said about how.
    pub fn run_as_nobody_with(&self, arguments: &[&str], prepare: impl FnOnce(&mut Command)) -> Ran {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", JANITOR]).args(arguments);
        command.current_dir(&self.top).env("TZ", "UTC").env("HOME", "/nonexistent").stdin(Stdio::null());
        prepare(&mut command);
        Ran::of(command.output().expect("setpriv runs"))
    }
}

/// What became of a run.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    /// The config that it said it goes by, on stderr.
    pub config: Option<String>,
    /// What else it said there.
    pub err: String,
}

impl Ran {
    /// Takes what a program that has ended printed.
    pub fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let err = text(output.stderr);
        let said = err.strip_prefix("janitor: config: ").and_then(|rest| rest.split_once('\n'));
        let (config, err) = said.map_or((None, err.as_str()), |(config, rest)| (Some(config.to_owned()), rest));
        Self { code: output.status.code(), out: text(output.stdout), config, err: err.to_owned() }
    }

    /// Its standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
