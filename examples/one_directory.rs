//! Sweeps one directory without the daemon: `cargo run --example one_directory -- DIRECTORY [--really]`.
//!
//! What is a week old goes, at any depth, except what is called `*.keep`. Without `--really` it only tells.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use janitor::clock;
use janitor::config::{self, Env};
use janitor::names::RunId;
use janitor::report::{Outcome, Trigger};
use janitor::sweep::{self, Control, Event, Guards, Order};

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("which directory?")?;
    let really = arguments.next().as_deref() == Some("--really");

    // A target is made by the config, which leaves nothing in it to doubt: no protected directory, no bad glob.
    let directory = Path::new(&directory).canonicalize()?;
    let text = format!(
        "[[target]]\nname = \"example\"\npath = {:?}\nschedule = \"@daily\"\n\
         include = [\"**\"]\nexclude = [\"*.keep\"]\nolder_than = \"7d\"\n",
        directory.to_str().ok_or("the path is no text")?
    );
    let config = config::check(&text, "the example", &Env::of_process())?;
    let target = config.targets.first().ok_or("no target")?.clone();

    let now = clock::wall();
    let protected = Arc::clone(&config.protected);
    let order = Order {
        run: RunId::new(now),
        target,
        trigger: Trigger::Manual,
        dry_run: !really,
        protected,
        now,
        guards: Guards::default(),
    };
    let report = sweep::sweep(&order, &Control::default(), &|event| {
        let mut out = io::stdout().lock();
        // Whoever reads this may have gone; the sweep goes on.
        _ = match event {
            Event::Removed { at, reason, .. } => writeln!(out, "removed {at}: {reason}"),
            Event::WouldRemove { at, reason, .. } => writeln!(out, "would remove {at}: {reason}"),
            Event::NotRemoved { at, error } => writeln!(out, "could not remove {at}: {error}"),
            _ => Ok(()),
        };
    });
    writeln!(io::stdout(), "{}: {:?}", report.outcome, report.counts)?;
    Ok(if report.outcome == Outcome::Done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
