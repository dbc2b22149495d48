//! Who attacks: this very program once more, as another user where this is root.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, RenameFlags, mkdirat, openat, renameat_with};

use crate::daemon::wait_for;
use crate::needs;
use crate::yard::Yard;

/// How many pairs of names are exchanged, or names taken away.
pub const PAIRS: usize = 8;

/// The name of each directory of a chain: long, so that paths are soon longer than the kernel takes at once.
pub const CHAIN: &str = "a-directory-with-a-name-that-is-neither-short-nor-unusually-long";

/// Processes that attack a yard until this is dropped.
pub struct Attackers(Vec<Child>);

impl Drop for Attackers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

impl Attackers {
    /// One that exchanges these pairs of names without pause.
    pub fn exchange(yard: &Yard, pairs: &[(String, String)]) -> Self {
        let list: Vec<String> = pairs.iter().map(|(one, other)| format!("{one}\t{other}")).collect();
        let attackers = Self::start(yard, "exchange", &list.join("\n"));
        // It is at work when something is not where it was.
        let (one, _) = &pairs[0];
        let inode =
            || std::fs::symlink_metadata(yard.path(one)).map(|about| std::os::unix::fs::MetadataExt::ino(&about)).ok();
        let before = inode();
        wait_for("the attacker", || (inode() != before).then_some(()));
        attackers
    }

    /// One that takes away what is called `square/name-N`, to `attic`.
    pub fn take_away(yard: &Yard) -> Self {
        Self::start(yard, "take away", "")
    }

    /// One that makes a chain of directories in `square` longer.
    pub fn deepen(yard: &Yard) -> Self {
        Self::start(yard, "deepen", "")
    }

    /// One that makes files in `square`.
    pub fn make_files(yard: &Yard) -> Self {
        let attackers = Self::start(yard, "make files", "");
        wait_for("the attacker", || yard.path("square/made-9").exists().then_some(()));
        attackers
    }

    fn start(yard: &Yard, attack: &str, names: &str) -> Self {
        let itself = std::env::current_exe().expect("this program");
        let mut command = if needs::is_root() {
            let mut other = Command::new("setpriv");
            other.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(itself);
            other
        } else {
            Command::new(itself)
        };
        command.args(["--exact", "attacks::attackers::attacker", "--ignored"]).current_dir(yard.path(""));
        command.env("JANITOR_ATTACK", attack).env("JANITOR_ATTACKED", names);
        Self(vec![command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts")])
    }
}

/// Not a test: what the attacks start as another user.
#[test]
#[ignore = "it is the attacker of other tests"]
fn attacker() {
    let Ok(attack) = std::env::var("JANITOR_ATTACK") else { return };
    match attack.as_str() {
        "exchange" => {
            let list = std::env::var("JANITOR_ATTACKED").expect("given");
            let pairs: Vec<_> = list.lines().map(|line| line.split_once('\t').expect("a pair")).collect();
            loop {
                for (one, other) in &pairs {
                    _ = renameat_with(CWD, *one, CWD, *other, RenameFlags::EXCHANGE);
                }
            }
        }
        "take away" => {
            for number in 0_u64.. {
                let name = format!("square/name-{}", number % PAIRS as u64);
                _ = renameat_with(CWD, name, CWD, format!("attic/{number}"), RenameFlags::NOREPLACE);
                // A while in which a run can come to like what it finds.
                std::thread::sleep(Duration::from_micros(50));
            }
        }
        "deepen" => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let mut at = openat(CWD, "square", flags, Mode::empty()).expect("it is there");
            for level in 1_u64.. {
                if level % 200 == 0 {
                    // Faster it would only be more to clear away.
                    std::thread::sleep(Duration::from_millis(20));
                }
                mkdirat(&at, CHAIN, Mode::RWXU | Mode::RWXG | Mode::RWXO).expect("made");
                at = openat(&at, CHAIN, flags, Mode::empty()).expect("opened");
            }
        }
        _ => {
            for number in 0_u64.. {
                drop(std::fs::write(Path::new("square").join(format!("made-{number}")), ""));
            }
        }
    }
}
