//! The command `janitor`.

use std::process::ExitCode;

fn main() -> ExitCode {
    janitor::cli::main(std::env::args_os())
}
