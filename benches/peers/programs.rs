//! The programs that are compared.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::shapes::Shape;

const JANITOR: &str = env!("CARGO_BIN_EXE_janitor");

/// The script that janitor replaces, as far as one directory goes.
const PYTHON: &str = r#"
import logging, os, sys
logging.basicConfig(filename=sys.argv[2], level=logging.INFO,
                    format="%(asctime)s - %(name)s - %(levelname)s - %(message)s")
logger = logging.getLogger("cleanup")
for name in os.listdir(sys.argv[1]):
    path = os.path.join(sys.argv[1], name)
    if os.path.isfile(path):
        os.remove(path)
        logger.info(f"Deleted file: {name}")
"#;

/// The bare calls of a move within a file system, on as many threads as janitor has.
pub const RENAMES: &str = "bare renames, as many threads";

/// The bare calls of a verified removal, on as many threads as janitor has.
pub const NINE_CALLS: &str = "bare nine calls, as many threads";

/// One program.
pub struct Program {
    pub name: String,
    /// A command of the shell; `T` in it is the tree.
    line: String,
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).exists())
}

const PEERS: [&str; 8] = ["find", "xargs", "bfs", "fdfind", "rsync", "systemd-tmpfiles", "tmpreaper", "python3"];

pub fn missing() -> String {
    let mut missing: Vec<&str> = PEERS.into_iter().filter(|peer| !on_path(peer)).collect();
    if rmz().is_none() {
        missing.push("rmz (`cargo install rmz --locked` has failed)");
    }
    if missing.is_empty() { "nothing".to_owned() } else { missing.join(", ") }
}

/// The fastest remover known: the one on the path, or one that is installed below the target directory.
fn rmz() -> Option<&'static str> {
    static RMZ: OnceLock<Option<String>> = OnceLock::new();
    let found = RMZ.get_or_init(|| {
        if on_path("rmz") {
            return Some("rmz".to_owned());
        }
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rmz");
        let program = root.join("bin/rmz");
        if !program.exists() {
            let mut install = Command::new("cargo");
            install.args(["install", "rmz", "--locked", "--quiet", "--root"]).arg(&root).stdin(Stdio::null());
            if !install.status().is_ok_and(|status| status.success()) {
                return None;
            }
        }
        Some(program.to_string_lossy().into_owned())
    });
    found.as_deref()
}

/// What a janitor is told beside the rule of the shape.
#[derive(Clone, Copy)]
struct Variant {
    name: &'static str,
    keys: &'static str,
}

const PLAIN: Variant = Variant { name: "janitor", keys: "" };
const ONE_THREAD: Variant = Variant { name: "janitor, 1 thread", keys: "threads = 1\n" };
/// A sweep without the sandbox. The difference to the plain sweep is the cost of the sandbox.
const NO_SANDBOX: Variant = Variant { name: "janitor, no sandbox", keys: "sandbox = \"off\"\n" };

const ACTS: [Variant; 3] = [
    Variant { name: "janitor, trash", keys: "action = \"trash\"\n" },
    Variant { name: "janitor, move", keys: "action = \"move:ARCHIVE\"\n" },
    Variant { name: "janitor, skip_open", keys: "skip_open = true\n" },
];

/// janitor with a config of its own.
fn janitor(shape: &Shape, place: &Path, variant: Variant) -> String {
    let config = place.join(format!("{}.toml", variant.name.replace([',', ' '], "")));
    let level = if shape.logs { "info" } else { "warning" };
    let log = place.join("janitor.log");
    let (tree, archive) = (place.join("tree"), place.join(ARCHIVE));
    fs::create_dir_all(&archive).expect("made");
    let mut text = format!(
        "[admin]\nlisten = \"off\"\n[log]\nfile = {log:?}\nlevel = \"{level}\"\nrotation = \"never\"\n\
         [[target]]\npath = {tree:?}\nschedule = \"@daily\"\n"
    );
    text.push_str(if shape.by_name { "include = [\"**/*.tmp\"]\n" } else { "include = [\"**\"]\n" });
    if shape.by_age {
        text.push_str("older_than = \"30d\"\n");
    }
    if shape.with_directories {
        text.push_str("remove_empty_dirs = true\n");
    }
    text.push_str(&variant.keys.replace("ARCHIVE", &archive.to_string_lossy()));
    fs::write(&config, text).expect("written");
    format!("{JANITOR} clean --quiet --config {}", config.to_string_lossy())
}

/// Removes the files that janitor and the bare renames keep beside the tree. Called after each run, so that all begin
/// alike.
pub fn clear_kept(place: &Path) {
    for kept in [ARCHIVE, ".janitor-trash", super::bare::SLOTS] {
        super::shapes::clear(&place.join(kept));
    }
    fs::create_dir_all(place.join(ARCHIVE)).expect("made");
}

const ARCHIVE: &str = "archive";

/// Those that are there and can do what the shape asks for.
pub fn found(shape: &Shape, place: &Path) -> Vec<Program> {
    let mut programs = Vec::new();
    let mut add = |name: &str, line: String| programs.push(Program { name: name.to_owned(), line });
    let itself = std::env::current_exe().expect("this program");
    let bare = |threads: usize| {
        let what = match (shape.by_age, shape.by_name) {
            (true, _) if shape.sticky => "nine",
            (true, _) => "age",
            (_, true) => "name",
            _ => "all",
        };
        format!("{} bare {what} {threads} T", itself.to_string_lossy())
    };
    let log = place.join("python.log");
    let mut ours = vec![PLAIN, NO_SANDBOX];
    if shape.acts {
        ours.extend(ACTS);
    }
    for variant in ours {
        add(variant.name, janitor(shape, place, variant));
    }
    // They judge nothing, so they are compared where all goes.
    if shape.with_directories {
        if let Some(rmz) = rmz() {
            add("rmz", format!("{rmz} T"));
        }
        add("rm -rf", "rm -rf T".to_owned());
        return programs;
    }
    if shape.logs {
        if on_path("python3") {
            fs::write(place.join("script.py"), PYTHON).expect("written");
            let script = place.join("script.py");
            add("Python loop", format!("python3 {} T {}", script.to_string_lossy(), log.to_string_lossy()));
        }
        return programs;
    }
    add(ONE_THREAD.name, janitor(shape, place, ONE_THREAD));
    // As many threads as janitor takes by itself.
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    if shape.acts {
        add(RENAMES, format!("{} bare rename {threads} T", itself.to_string_lossy()));
    }
    if shape.sticky {
        add(NINE_CALLS, bare(threads));
    } else {
        add("bare calls, 4 threads", bare(4));
        add("bare calls, 1 thread", bare(1));
    }
    let test = match (shape.by_age, shape.by_name) {
        (true, _) => "-type f -mtime +29",
        (_, true) => "-type f -name '*.tmp'",
        _ => "-type f",
    };
    if on_path("find") {
        add("find -delete", format!("find T {test} -delete"));
        if on_path("xargs") {
            add("find | xargs -P4 rm", format!("find T {test} -print0 | xargs -0 -r -P4 -n 1000 rm -f"));
        }
    }
    if on_path("bfs") {
        add("bfs -delete", format!("bfs T {test} -delete"));
    }
    if on_path("fdfind") {
        let test = match (shape.by_age, shape.by_name) {
            (true, _) => "--changed-before 30d",
            (_, true) => "-e tmp",
            _ => "",
        };
        // It runs no command for nothing.
        add("fd -X rm", format!("fdfind -uu -t f {test} . T -X rm -f"));
    }
    if shape.by_age && on_path("systemd-tmpfiles") {
        let rules = place.join("tmpfiles.conf");
        fs::write(&rules, format!("e {} - - - m:30d\n", place.join("tree").to_string_lossy())).expect("written");
        add("systemd-tmpfiles", format!("systemd-tmpfiles --clean {}", rules.to_string_lossy()));
    }
    if shape.by_age && on_path("tmpreaper") {
        add("tmpreaper", "tmpreaper --mtime --runtime=0 30d T".to_owned());
    }
    if !shape.by_age && !shape.by_name {
        add("rm -rf", "rm -rf T".to_owned());
        if on_path("rsync") {
            let empty = place.join("empty");
            fs::create_dir_all(&empty).expect("made");
            add("rsync --delete", format!("rsync -a --delete {}/ T/", empty.to_string_lossy()));
        }
    }
    programs
}

impl Program {
    pub fn command(&self, _: &Shape, tree: &Path) -> Command {
        let tree = tree.to_string_lossy();
        let words = self.line.split(' ').map(|word| match word {
            "T" => tree.to_string(),
            "T/" => format!("{tree}/"),
            word => word.to_owned(),
        });
        let line = words.collect::<Vec<_>>().join(" ");
        let mut command = if line.contains(['|', '\'']) {
            let mut shell = Command::new("sh");
            shell.args(["-c", &line]);
            shell
        } else {
            let mut words = line.split(' ').filter(|word| !word.is_empty());
            let mut command = Command::new(words.next().expect("a program"));
            command.args(words);
            command
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}
