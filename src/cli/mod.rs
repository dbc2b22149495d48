//! The command line: the commands, and the exit code that tells how one ended.

mod args;
mod check;
mod client;
mod door;
mod explain;
mod history;
mod interrupt;
mod load;
mod next;
mod output;
mod run;
mod status;
mod sweeps;
mod table;
mod token;
mod trash;
mod undo;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

/// Result of a command, as the shell sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// The command did what it was asked.
    Ok = 0,
    /// The command failed, or did only a part.
    Failed = 1,
    /// The command was asked wrongly (`EX_USAGE` of `sysexits.h`).
    Usage = 64,
    /// A guard held the run as a whole: nothing was removed (`EX_TEMPFAIL`).
    Held = 75,
    /// The config is wrong (`EX_CONFIG`).
    Config = 78,
    /// SIGHUP ended the command, as the shell tells that (128 and the number of the signal).
    HungUp = 129,
    /// SIGINT ended the command.
    Interrupted = 130,
    /// SIGTERM ended the command.
    Terminated = 143,
}

/// Result of a command for its caller. An error has been reported by then.
type Done = Result<(), Exit>;

/// Runs the command that the arguments ask for; the first is the program's name.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<_> = arguments.collect();
    if arguments.get(1).is_some_and(|first| first == crate::fsys::ASK_FOR_LANDLOCK) {
        crate::fsys::ask_for_landlock();
        return ExitCode::SUCCESS;
    }
    let exit = match Args::try_parse_from(arguments) {
        Ok(args) => dispatch(args).err().unwrap_or(Exit::Ok),
        Err(asked) => {
            // Help and version come this way, too; where they cannot be printed, nothing can.
            _ = asked.print();
            if asked.use_stderr() { Exit::Usage } else { Exit::Ok }
        }
    };
    ExitCode::from(exit as u8)
}

fn dispatch(args: Args) -> Done {
    crate::fsys::trust_owner(args.trust_owner);
    let config = args.config.as_deref();
    match args.command {
        Command::Run => run::run(config),
        Command::Check(args) => check::check(config, &args),
        Command::Preview(args) => sweeps::preview(config, &args),
        Command::Explain(args) => explain::explain(config, &args),
        Command::Clean(args) => sweeps::clean(config, &args),
        Command::Next(args) => next::next(config, &args),
        Command::Schema => output::print(&crate::config::schema()),
        Command::Status(args) => status::status(config, &args),
        Command::Trigger(args) => client::trigger(config, &args),
        Command::Start(args) => client::start(config, &args),
        Command::Stop(args) => client::stop(config, &args),
        Command::Reload(args) => client::reload(config, &args),
        Command::Release(args) => client::release(config, &args),
        Command::History(args) => history::history(config, &args),
        Command::Undo(args) => undo::undo(config, &args),
        Command::Trash(args) => trash::trash(config, &args),
        Command::Token(args) => token::token(config, &args),
    }
}
