//! Peak memory and time per file on very many files, with every rule on.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// Makes files of ages that differ, and gives directories an old age.
fn make(tree: &Path, directories: u64, each: u64) {
    super::shapes::clear(tree);
    let now = SystemTime::now();
    let old = |at: u64| now - Duration::from_secs(30 * 86_400 + (at.wrapping_mul(7919) % 5_000_000));
    for directory in 0..directories {
        let path = if directories == 1 { tree.to_path_buf() } else { tree.join(format!("d{directory:05}")) };
        fs::create_dir_all(&path).expect("made");
        for at in 0..each {
            let file = fs::File::create(path.join(format!("file-{at:07}"))).expect("made");
            file.set_modified(old(directory * each + at)).expect("ours");
        }
        fs::File::open(&path).expect("ours").set_modified(old(0)).expect("ours");
    }
}

/// Runs janitor; how long it took, and its peak memory in bytes.
fn run(place: &Path, rules: &str) -> (Duration, u64) {
    let config = place.join("memory.toml");
    let (tree, log) = (place.join("tree"), place.join("memory.log"));
    let text = format!(
        "[admin]\nlisten = \"off\"\n[log]\nfile = {log:?}\nlevel = \"warning\"\n\
         [[target]]\npath = {tree:?}\nschedule = \"@daily\"\ninclude = [\"**\"]\n{rules}\n"
    );
    fs::write(&config, text).expect("written");
    let began = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_janitor"));
    command.args(["clean", "--quiet", "--config"]).arg(&config).stdin(Stdio::null());
    let mut child = command.spawn().expect("it runs");
    let mut peak = 0;
    loop {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse().ok());
        peak = peak.max(kilobytes.unwrap_or(0) * 1024);
        if let Some(status) = child.try_wait().expect("ours") {
            assert!(status.success(), "{status}");
            return (began.elapsed(), peak);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn measure(place: &Path, files: u64) {
    println!("\n| tree | rules | files | microseconds per file | peak memory, MiB |\n|---|---|---|---|---|");
    let tree = place.join("tree");
    for (name, each) in [("directories of 200", 200), ("one directory", 0)] {
        for (rules, keys) in [
            ("none", ""),
            ("limits", "max_size = \"1TB\"\nmax_files = HALF\nkeep_newest = 2\nremove_empty_dirs = true"),
            ("limits, whole_dirs", "max_size = \"1TB\"\nmax_files = HALF\nkeep_newest = 2\nwhole_dirs = true"),
        ] {
            for files in [100_000, if each == 0 { files / 2 } else { files }] {
                let (directories, each) = files.checked_div(each).map_or((1, files), |directories| (directories, each));
                make(&tree, directories, each);
                let (took, peak) = run(place, &keys.replace("HALF", &(files / 2).to_string()));
                let micros = took.as_secs_f64() * 1e6 / files as f64;
                println!("| {name} | {rules} | {files} | {micros:.2} | {:.1} |", peak as f64 / f64::from(1 << 20));
            }
        }
    }
    super::shapes::clear(&tree);
}
