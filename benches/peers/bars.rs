//! The bars, as ratios of medians.

use super::Figure;
use super::programs::{NINE_CALLS, RENAMES};

struct Bar {
    shape: &'static str,
    program: &'static str,
    /// Its time is at most this many times that of the other.
    most: f64,
    other: &'static str,
}

const fn bar(shape: &'static str, program: &'static str, most: f64, other: &'static str) -> Bar {
    Bar { shape, program, most, other }
}

const BARS: [Bar; 25] = [
    bar("tree", "janitor", 1.25, "bare calls, 4 threads"),
    bar("tree", "janitor", 1.0, "find | xargs -P4 rm"),
    bar("deep", "janitor", 1.25, "bare calls, 4 threads"),
    bar("deep", "janitor", 1.0, "find | xargs -P4 rm"),
    bar("flat", "janitor", 1.25, "bare calls, 4 threads"),
    bar("flat", "janitor", 1.0, "find | xargs -P4 rm"),
    bar("big", "janitor", 1.25, "bare calls, 4 threads"),
    bar("big", "janitor", 1.0, "find | xargs -P4 rm"),
    bar("scan", "janitor", 1.3, "bare calls, 4 threads"),
    bar("scan", "janitor", 0.4, "find -delete"),
    bar("log", "janitor", 0.2, "Python loop"),
    bar("tree", "janitor, 1 thread", 1.0, "find -delete"),
    bar("flat", "janitor, 1 thread", 1.0, "find -delete"),
    bar("deep", "janitor, 1 thread", 1.0, "find -delete"),
    bar("name", "janitor", 1.0, "find -delete"),
    bar("sticky", "janitor", 1.25, NINE_CALLS),
    bar("sticky", "janitor", 1.8, "systemd-tmpfiles"),
    bar("sticky", "janitor, no sandbox", 1.25, NINE_CALLS),
    bar("aged", "janitor, trash", 1.25, RENAMES),
    bar("aged", "janitor, move", 1.25, RENAMES),
    bar("aged", "janitor, skip_open", 2.0, "janitor"),
    bar("gone", "janitor", 1.0, "rmz"),
    bar("gone by age", "janitor", 1.15, "rmz"),
    bar("gone", "janitor, no sandbox", 1.0, "rmz"),
    bar("gone by age", "janitor, no sandbox", 1.15, "rmz"),
];

/// Says of each bar whether it is met.
pub fn met(figures: &[Figure]) -> bool {
    let mut all = true;
    let mut systems: Vec<&str> = figures.iter().map(|figure| figure.fs.as_str()).collect();
    systems.dedup();
    println!("\n| bar | at most | measured | |\n|---|---|---|---|");
    for fs in systems {
        for Bar { shape, program, most, other } in &BARS {
            let time = |program: &str| {
                let is_it = |figure: &&Figure| figure.fs == fs && figure.shape == *shape && figure.program == program;
                figures.iter().find(is_it).map(|figure| figure.median.as_secs_f64())
            };
            let (Some(ours), Some(theirs)) = (time(program), time(other)) else { continue };
            let ratio = ours / theirs;
            let word = if ratio <= *most { "met" } else { "MISSED" };
            all &= ratio <= *most;
            println!("| {fs}, {shape}: {program} / {other} | {most} | {ratio:.2} | {word} |");
        }
    }
    all
}
