//! Two ordinary users, for tests that run as root. They have fixed ids and no names, so that nothing has to be set up.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::needs;
use super::yard::{Ran, Yard};

/// A user who owns nothing but what a test gives him. His group has the same id and no other members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's id, and his group's.
    pub id: u32,
}

/// The user who tries to do harm.
pub const ATTACKER: User = User { id: 64_101 };

/// The user who must not be harmed.
pub const VICTIM: User = User { id: 64_102 };

/// Whether this process can become another user. Says so where it cannot.
pub fn can_be_others() -> bool {
    needs::root() && needs::tool("setpriv")
}

impl User {
    /// A command that runs `program` as this user, with his group alone.
    pub fn command(self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("setpriv");
        let id = self.id.to_string();
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]).arg(program);
        command.stdin(Stdio::null());
        command
    }

    /// Runs a shell script as this user, in the yard. The script has to succeed.
    #[track_caller]
    pub fn script(self, yard: &Yard, script: &str) -> String {
        let ran = self.try_script(yard, script);
        assert_eq!(ran.code, Some(0), "{script}: {ran:?}");
        ran.out
    }

    /// Runs a shell script as this user, in the yard. Returns what became of it.
    pub fn try_script(self, yard: &Yard, script: &str) -> Ran {
        let mut command = self.command("sh");
        command.args(["-c", script]).current_dir(yard.path(""));
        Ran::of(command.output().expect("setpriv runs"))
    }

    /// Runs the program under test as this user, in the yard.
    pub fn janitor(self, yard: &Yard, arguments: &[&str]) -> Ran {
        let mut command = self.command(super::yard::JANITOR);
        command.args(arguments).current_dir(yard.path("")).env("TZ", "UTC").env("HOME", "/nonexistent");
        Ran::of(command.output().expect("setpriv runs"))
    }

    /// Gives a file or directory to this user. A symbolic link is followed.
    pub fn owns(self, path: &Path) {
        chown(path, Some(self.id), Some(self.id)).expect("root may");
    }

    /// Starts a process of this user that holds something below the yard until the value is dropped.
    #[track_caller]
    pub fn holds(self, yard: &Yard, how: Hold, path: &str) -> Holder {
        let mut command = self.command("sh");
        command.args(["-c", how.script(), "sh", path]).current_dir(yard.path(""));
        Holder::start(command)
    }
}

/// How a process holds a file or a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The file is open for reading.
    Open,
    /// The file is open for appending.
    Written,
    /// A shared BSD lock on the file or directory.
    SharedLock,
    /// An exclusive BSD lock on the file or directory.
    Lock,
    /// The directory is the working directory of the process, which has nothing in it open.
    WorkingDirectory,
}

impl Hold {
    /// Says `held`, and waits for the end of its standard input.
    const fn script(self) -> &'static str {
        match self {
            Self::Open => "exec 9<\"$1\" && echo held && exec cat",
            Self::Written => "exec 9>>\"$1\" && echo held && exec cat",
            Self::SharedLock => "exec 9<\"$1\" && flock -s -n 9 && echo held && exec cat",
            Self::Lock => "exec 9<\"$1\" && flock -x -n 9 && echo held && exec cat",
            Self::WorkingDirectory => "cd \"$1\" && echo held && exec cat",
        }
    }
}

/// A process that holds something until this is dropped.
pub struct Holder(Child);

impl Holder {
    /// Starts a command that says `held` once it holds something, and ends when its standard input does.
    #[track_caller]
    pub fn start(mut command: Command) -> Self {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut holder = Self(child);
        let mut line = String::new();
        let said = holder.0.stdout.as_mut().expect("piped");
        BufReader::new(said).read_line(&mut line).expect("it says something");
        assert_eq!(line, "held\n", "{command:?}");
        holder
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A test that shows nothing because its other user is root would pass for the wrong reason.
#[test]
fn two_users_are_neither_root_nor_each_other() {
    if !can_be_others() {
        return;
    }
    let yard = Yard::new();
    let path = yard.file("private");
    VICTIM.owns(&path);
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("ours");
    assert_eq!(VICTIM.script(&yard, "cat private; id -u; id -G"), "content64102\n64102\n");
    let refused = ATTACKER.try_script(&yard, "cat private");
    assert!(refused.code != Some(0) && refused.err.contains("Permission denied"), "{refused:?}");
    let ran = ATTACKER.janitor(&yard, &["--version"]);
    assert!(ran.code == Some(0) && ran.out.starts_with("janitor "), "{ran:?}");
}

#[test]
fn what_a_user_holds_is_held_until_it_is_let_go() {
    if !can_be_others() || !needs::tool("flock") || !needs::leases() {
        return;
    }
    let yard = Yard::new();
    let path = yard.directory("sub");
    VICTIM.owns(&path);
    VICTIM.owns(&yard.file("sub/file"));
    let is_open = || {
        let file = std::fs::File::open(yard.path("sub/file")).expect("ours");
        janitor_lease::try_write_lease(std::os::fd::AsFd::as_fd(&file)).expect("there are leases").is_none()
    };
    let is_locked = |how: &str| VICTIM.try_script(&yard, &format!("flock {how} -n sub true")).code != Some(0);
    for (how, open, shared, alone) in [
        (Hold::Open, true, false, false),
        (Hold::Written, true, false, false),
        (Hold::WorkingDirectory, false, false, false),
        (Hold::SharedLock, false, false, true),
        (Hold::Lock, false, true, true),
    ] {
        let path = if open { "sub/file" } else { "sub" };
        let held = VICTIM.holds(&yard, how, path);
        assert_eq!((is_open(), is_locked("-s"), is_locked("-x")), (open, shared, alone), "{how:?}");
        drop(held);
        // A program that another test is just starting may hold a copy of a handle for a moment.
        super::daemon::wait_for("nobody to hold it", || (!is_open() && !is_locked("-x")).then_some(()));
    }
}
