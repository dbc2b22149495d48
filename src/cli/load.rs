//! Loading the config for a command.

use std::io::IsTerminal;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use super::Exit;
use super::output::complain;
use crate::config::{self, AdminSettings, Config, DEFAULT_FILE, Env, Problems, ReadConfig};
use crate::daemon::Source;
use crate::fsys::{self, Trust};
use crate::names::{Escaped, OneLine};
use crate::target::Target;

/// Message about a config without any target.
pub(super) const NO_TARGET: &str = "the config names no [[target]]: nothing is swept";

/// A config and its source.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) config: Config,
    pub(super) source: Source,
    /// Text of the file; `None` when there is no file and the built-in config stands in.
    pub(super) text: Option<String>,
}

/// Place of the config.
struct Found {
    source: Source,
    /// Whether there is a file; without a file the built-in config stands in.
    exists: bool,
}

impl Found {
    /// Reports on stderr which config a command goes by, once.
    fn announce(&self) {
        static TOLD: Once = Once::new();
        TOLD.call_once(|| match self.exists {
            true => complain(format_args!("config: {}", Escaped(self.source.file.as_os_str().as_bytes()))),
            false => complain(format_args!("config: {BUILT_IN}")),
        });
    }
}

/// Description of the source of the built-in config.
pub(super) const BUILT_IN: &str = "built in, there is no file";

fn locate(asked_for: Option<&Path>) -> Result<Found, Exit> {
    let env = Env::of_process();
    let gone = |error| {
        complain(format_args!("cannot find the config: {error}"));
        Exit::Failed
    };
    let located = config::locate(asked_for, &env).map_err(gone)?;
    let exists = located.is_some();
    // Where there is no file, the first default is the place at which a file may appear.
    let default = || Some(env.working_directory.as_deref()?.join(DEFAULT_FILE));
    let file = located.or_else(default).ok_or_else(|| gone(std::io::ErrorKind::NotFound.into()))?;
    let below = env.working_directory.as_ref().and_then(|here| file.strip_prefix(here).ok());
    let asked_for = asked_for.or(env.janitor_config.as_deref());
    let shown = asked_for.or(below).unwrap_or(&file).to_string_lossy().into_owned();
    Ok(Found { source: Source { env: env.with_config(file.clone()), file, shown }, exists })
}

/// Loads the config, and reports which one it is. Problems in it are reported, too.
pub(super) fn load(asked_for: Option<&Path>) -> Result<Loaded, Exit> {
    let found = locate(asked_for)?;
    found.announce();
    let loaded = read(found, |_| {})?;
    if loaded.config.targets.is_empty() {
        complain(NO_TARGET);
    }
    Ok(loaded)
}

/// Loads the config for a command that says by itself which config it is, and whether it has targets. Problems are also
/// handed to `wrong`, one line for each.
pub(super) fn load_silently(asked_for: Option<&Path>, wrong: impl Fn(Vec<String>)) -> Result<Loaded, Exit> {
    read(locate(asked_for)?, wrong)
}

fn read(Found { source, exists }: Found, wrong: impl Fn(Vec<String>)) -> Result<Loaded, Exit> {
    let tell = |problems: Problems| {
        wrong(problems.lines());
        tell(&problems)
    };
    if !exists {
        let config = config::built_in(&source.env).map_err(tell)?;
        return Ok(Loaded { config, source, text: None });
    }
    let ReadConfig { text, warnings } = config::read(&source.file).map_err(|error| {
        wrong(vec![error.to_string()]);
        complain(error);
        Exit::Config
    })?;
    warnings.iter().for_each(|warning| complain(format_args!("warning: {warning}")));
    let config = config::check(&text, &source.shown, &source.env).map_err(tell)?;
    Ok(Loaded { config, source, text: Some(text) })
}

/// Returns the settings of the admin port, for a client. A config that is wrong must not keep a client from the daemon,
/// which still runs on the last good one and has to say what is wrong. `None` when the config is so wrong that the port
/// cannot be told.
pub(super) fn admin(asked_for: Option<&Path>) -> Result<Option<AdminSettings>, Exit> {
    let found = locate(asked_for)?;
    found.announce();
    let Found { source, exists } = found;
    if !exists {
        return Ok(config::built_in(&source.env).ok().map(|config| config.settings.admin));
    }
    match config::read(&source.file) {
        Ok(ReadConfig { text, .. }) => {
            if config::names_no_target(&text) {
                complain(NO_TARGET);
            }
            Ok(config::admin_of(&text, &source.env))
        }
        Err(error) => {
            complain(error);
            Ok(None)
        }
    }
}

/// Returns the owners that a client of the daemon trusts: those of any command, and the daemon's user, whose state
/// directory it is.
pub(super) fn client_trust(asked_for: Option<&Path>) -> Trust {
    let trust = Trust::of_process();
    let state_dir = || -> Option<PathBuf> {
        let Found { source, exists } = locate(asked_for).ok()?;
        if !exists {
            return Some(config::built_in(&source.env).ok()?.settings.state_dir);
        }
        let text = config::read(&source.file).ok()?.text;
        Some(config::check(&text, &source.shown, &source.env).ok()?.settings.state_dir)
    };
    let owner = state_dir().and_then(|dir| fsys::owner_of(&dir));
    owner.map_or(trust, |owner| trust.in_daemon_of(owner))
}

/// Returns the owner of the state directory where root would meddle with the state of another user.
pub(super) fn foreign_state(state_dir: &Path) -> Option<u32> {
    let is_root = rustix::process::geteuid().is_root();
    fsys::owner_of(state_dir).filter(|owner| is_root && !Trust::of_process().is_trusted(*owner))
}

/// Reports the command line that does the same as another user.
pub(super) fn complain_as_user(state_dir: &Path, owner: u32, why: &str) {
    let arguments = std::env::args_os().skip(1).map(|argument| quoted(Path::new(&argument)));
    let line: Vec<String> = arguments.collect();
    complain(format_args!(
        "the state `{}` belongs to another user, and {}; run: sudo -u {} janitor {}",
        Escaped(state_dir.as_os_str().as_bytes()),
        OneLine(why),
        quoted(Path::new(&fsys::sudo_user(owner))),
        OneLine(&line.join(" "))
    ));
}

/// Quotes a path, or another argument, for the shell.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "/._-+:@%".contains(character);
    if text.chars().all(is_plain) { text.into_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

fn tell(problems: &Problems) -> Exit {
    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let count = problems.len();
    let what = if count == 1 { "one problem" } else { &format!("{count} problems") };
    complain(format_args!("the config has {what}\n\n{}\n", problems.render(color)));
    Exit::Config
}

impl Loaded {
    /// Returns the targets that were named, or every enabled one.
    pub(super) fn targets(&self, names: &[String]) -> Result<Vec<Arc<Target>>, Exit> {
        let all = &self.config.targets;
        if names.is_empty() {
            let enabled: Vec<_> = all.iter().filter(|target| target.enabled).cloned().collect();
            if enabled.is_empty() && !all.is_empty() {
                complain("no target is enabled");
            }
            return Ok(enabled);
        }
        let mut targets = Vec::new();
        for name in names {
            let target = self.target(name)?;
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        Ok(targets)
    }

    /// Returns the target of this name.
    pub(super) fn target(&self, name: &str) -> Result<Arc<Target>, Exit> {
        let all = &self.config.targets;
        all.iter().find(|target| target.name.as_str() == name).cloned().ok_or_else(|| {
            let known: Vec<&str> = all.iter().map(|target| target.name.as_str()).collect();
            complain(format_args!("there is no target `{name}`; there are: {}", known.join(", ")));
            Exit::Usage
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_where_the_shell_would_take_it_apart() {
        assert_eq!(quoted(Path::new("/srv/a-b_c.token")), "/srv/a-b_c.token");
        assert_eq!(quoted(Path::new("/srv/it's $here")), "'/srv/it'\\''s $here'");
    }
}
