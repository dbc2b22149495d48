//! `janitor token`: the file with the bearer token.

use std::fmt::Write;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::rand::{GetRandomFlags, getrandom};
use serde_json::json;

use super::args::Token as TokenArgs;
use super::load::{Loaded, load, quoted};
use super::output::{self, complain};
use super::{Done, Exit};
use crate::admin::Token;
use crate::config::AdminSettings;
use crate::fsys::{self, OwnFile, Purpose, Trust};
use crate::names::{Escaped, OneLine};

/// Length of a token's secret in bytes: 256 bits, which nobody guesses.
const BYTES: usize = 32;

/// Change that was made to the file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Did {
    Made,
    Replaced,
    Nothing,
}

/// Makes the file that the config names, if it is not there; or puts a new token in its place, if that is asked for.
pub(super) fn token(config: Option<&Path>, args: &TokenArgs) -> Done {
    let json = args.printed.json;
    let failed = |exit: Exit, code: &str, message: String| {
        complain(&message);
        if json {
            // A failure to print has been reported on stderr by then.
            _ = output::json(&json!({ "success": false, "error": code, "message": message }));
        }
        exit
    };
    let Loaded { config, source, .. } = load(config)?;
    let admin = &config.settings.admin;
    let Some(file) = &admin.token_file else {
        let message = format!(
            "the config names no file for a token; write into {}, below [admin]: token_file = \"admin.token\"",
            OneLine(&source.shown)
        );
        return Err(failed(Exit::Config, "no_token_file", message));
    };
    let shown = Escaped(file.as_os_str().as_bytes()).to_string();
    // The daemon, whose user the token is for, may be another user than this one.
    let trust = Trust::of_process();
    let trust = fsys::owner_of(&config.settings.state_dir).map_or(trust, |owner| trust.in_daemon_of(owner));
    let own = trust.file(Purpose::Token, file, None).map_err(|denied| match denied.is_breach() {
        true => failed(Exit::Config, "bad_token_file", format!("cannot use the token file {shown}: {denied}")),
        false => failed(Exit::Failed, "cannot_write", format!("cannot write the token file {shown}: {denied}")),
    })?;
    let is_link = file.symlink_metadata().is_ok_and(|about| about.is_symlink());
    let did = if is_link { make_nothing(args.rotate) } else { make(&own, args.rotate) }.map_err(|error| {
        failed(Exit::Failed, "cannot_write", format!("cannot write the token file {shown}: {error}"))
    })?;
    // The file that was there before may be no good.
    Token::read(file, &trust).map_err(|error| failed(Exit::Config, "bad_token_file", error.to_string()))?;
    if json {
        let (made, replaced) = (did == Did::Made, did == Did::Replaced);
        return output::json(&json!({
            "success": true, "token_file": file.to_string_lossy(), "created": made, "rotated": replaced,
        }));
    }
    output::line(match did {
        Did::Made => format!("{shown}: made, for its owner only (mode 0600)"),
        Did::Replaced => format!("{shown}: has a new token"),
        Did::Nothing => format!("{shown}: was there already, and is left as it is (--rotate makes a new token)"),
    })?;
    if did != Did::Nothing {
        output::line("A running daemon takes it with its next reload: janitor reload")?;
    }
    output::line("The janitor's own commands send it by themselves. With curl:")?;
    output::foreign(&format!("  {}", example(admin, file)))
}

/// Leaves a symbolic link, and what it leads to, as it is.
fn make_nothing(rotate: bool) -> std::io::Result<Did> {
    if rotate { Err(std::io::Error::other("it is a symbolic link; name what it leads to")) } else { Ok(Did::Nothing) }
}

fn make(file: &OwnFile, rotate: bool) -> std::io::Result<Did> {
    let mut secret = [0; BYTES];
    // The kernel gives so few bytes at once or not at all.
    let got = getrandom(&mut secret, GetRandomFlags::empty())?;
    if got != BYTES {
        return Err(std::io::Error::other("the kernel gives too few random bytes"));
    }
    let mut text = String::new();
    for byte in secret {
        // Writing into a string cannot fail.
        _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    match file.create(text.as_bytes()) {
        Ok(()) => Ok(Did::Made),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && rotate => {
            file.replace(text.as_bytes()).map(|()| Did::Replaced)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Did::Nothing),
        Err(error) => Err(error),
    }
}

/// Returns a line for the shell that shows the token to nobody: everybody can read what is on a command line.
fn example(admin: &AdminSettings, file: &Path) -> String {
    let header = format!("printf 'Authorization: Bearer %s' \"$(cat {})\"", quoted(file));
    let to = match (admin.listen, &admin.socket) {
        (Some(listen), _) => format!("http://{listen}/cleanup/manual"),
        (None, Some(socket)) => format!("--unix-socket {} http://localhost/cleanup/manual", quoted(socket)),
        (None, None) => "http://…/cleanup/manual (the config turns the admin port off)".to_owned(),
    };
    format!("{header} | curl -H @- -X POST {to}")
}
