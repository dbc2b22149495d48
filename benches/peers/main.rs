//! janitor against its peers: whole processes, on equal trees, in turn, in one run. What counts is the ratio.
//!
//! ```sh
//! cargo bench                       # everything, on each file system there is
//! cargo bench -- --quick            # a tenth of the size
//! cargo bench -- --shape tree --fs tmpfs --rounds 9
//! cargo bench -- --only janitor,bare   # those whose names begin like this
//! cargo bench -- --check            # also says whether each bar is met, and fails if one is not
//! cargo bench -- --memory           # peak memory and time per file, on two million files
//! ```
//!
//! As root it mounts a fresh tmpfs, and a fresh ext4 image on a loop device in memory; `--dir DIR` uses a directory
//! instead. Peers are those that are found on the path; `rmz` is installed below the target directory when it is missing.
//! Every run is verified: a program that does not remove what it
//! was to remove does not win.

#![expect(clippy::disallowed_methods, clippy::print_stdout, clippy::panic, reason = "a benchmark reads the clock")]
#![allow(missing_docs)]

mod bare;
mod bars;
mod memory;
mod places;
mod programs;
mod shapes;

use std::path::Path;
use std::time::{Duration, Instant};

use places::Place;
use programs::Program;
use shapes::Shape;

/// What is asked for.
pub struct Wish {
    quick: bool,
    check: bool,
    memory: bool,
    rounds: usize,
    files: u64,
    shape: Option<String>,
    /// What the names of the programs begin with that are run; empty: all of them.
    only: Vec<String>,
    fs: Option<String>,
    dir: Option<String>,
}

fn wish(arguments: impl Iterator<Item = String>) -> Wish {
    let mut wish = Wish {
        quick: false,
        check: false,
        memory: false,
        rounds: 0,
        files: 2_000_000,
        shape: None,
        only: Vec::new(),
        fs: None,
        dir: None,
    };
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument} needs a value"));
        match argument.as_str() {
            "--quick" => wish.quick = true,
            "--check" => wish.check = true,
            "--memory" => wish.memory = true,
            "--rounds" => wish.rounds = value().parse().expect("a number of rounds"),
            "--files" => wish.files = value().parse().expect("a number of files"),
            "--shape" => wish.shape = Some(value()),
            "--only" => wish.only = value().split(',').map(str::to_owned).collect(),
            "--fs" => wish.fs = Some(value()),
            "--dir" => wish.dir = Some(value()),
            // What cargo says to every benchmark.
            "--bench" => {}
            other => panic!("unknown argument {other}; they stand at the top of benches/peers/main.rs"),
        }
    }
    if wish.rounds == 0 {
        wish.rounds = if wish.quick { 3 } else { 5 };
    }
    wish
}

/// The median time of one program on one shape.
#[derive(Clone, Debug)]
pub struct Figure {
    fs: String,
    shape: &'static str,
    program: String,
    median: Duration,
}

fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("an unknown CPU");
    let kernel = read("/proc/sys/kernel/osrelease");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} cores, {}, Linux {}", model.trim_start_matches([':', ' ', '\t']), kernel.trim())
}

fn timed(program: &Program, shape: &Shape, place: &Path) -> Duration {
    let tree = &place.join("tree");
    shape.make(tree);
    let mut command = program.command(shape, tree);
    let began = Instant::now();
    let status = command.status().unwrap_or_else(|error| panic!("{}: {error}", program.name));
    let took = began.elapsed();
    let left = shapes::count(tree);
    assert_eq!(left, shape.left(), "{} on {}: {status}, the wrong number of files is left", program.name, shape.name);
    if shape.with_directories {
        assert_eq!(shapes::directories(tree), 0, "{} on {}: directories are left", program.name, shape.name);
    }
    shapes::clear(tree);
    programs::clear_kept(place);
    took
}

fn measure(wish: &Wish, place: &Place, shape: &Shape) -> Vec<Figure> {
    let mut programs = programs::found(shape, &place.path);
    if !wish.only.is_empty() {
        programs.retain(|program| wish.only.iter().any(|only| program.name.starts_with(only)));
    }
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); programs.len()];
    for _ in 0..wish.rounds {
        for (program, times) in programs.iter().zip(&mut times) {
            times.push(timed(program, shape, &place.path));
        }
    }
    let figure = |(program, mut times): (&Program, Vec<Duration>)| {
        times.sort_unstable();
        let median = times[times.len() / 2];
        Figure { fs: place.name.clone(), shape: shape.name, program: program.name.clone(), median }
    };
    programs.iter().zip(times).map(figure).collect()
}

fn table(figures: &[Figure], shape: &Shape) {
    let ours =
        figures.iter().find(|figure| figure.program == "janitor").map_or(1.0, |figure| figure.median.as_secs_f64());
    println!("\n{} on {}: {}\n", shape.name, figures[0].fs, shape.about());
    println!("| program | seconds | times janitor |\n|---|---|---|");
    let mut sorted = figures.to_vec();
    sorted.sort_by_key(|figure| figure.median);
    for Figure { program, median, .. } in sorted {
        println!("| {program} | {:.3} | {:.2} |", median.as_secs_f64(), median.as_secs_f64() / ours);
    }
}

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "bare") {
        bare::main(&arguments.split_off(1));
        return;
    }
    let wish = wish(arguments.into_iter());
    println!("{}", machine());
    let places = places::all(&wish);
    assert!(!places.is_empty(), "there is no file system of that name here");
    if wish.memory {
        for place in &places {
            memory::measure(&place.path, wish.files);
        }
        return;
    }
    println!("not found: {}", programs::missing());
    let mut figures = Vec::new();
    for place in &places {
        for shape in shapes::all(wish.quick) {
            if wish.shape.as_ref().is_none_or(|wanted| wanted == shape.name) {
                let measured = measure(&wish, place, &shape);
                table(&measured, &shape);
                figures.extend(measured);
            }
        }
    }
    if wish.check && !bars::met(&figures) {
        // The places have to be taken away first.
        drop(places);
        panic!("a bar is missed");
    }
}
