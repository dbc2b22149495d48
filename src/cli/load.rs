//! Loading the config for a command.

use std::io::IsTerminal;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Exit;
use super::output::complain;
use crate::config::{self, AdminSettings, Config, DEFAULT_FILE, Problems, ReadConfig, Surroundings};
use crate::daemon::Source;
use crate::fsys::{self, Trust};
use crate::names::{Escaped, OneLine};
use crate::target::Target;

/// A config and where it came from.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) config: Config,
    pub(super) source: Source,
    /// The text; `None` when there is no file and the built-in config stands in.
    pub(super) text: Option<String>,
}

/// Where the config is.
fn locate(asked_for: Option<&Path>) -> Result<(Source, bool), Exit> {
    let mut surroundings = Surroundings::of_process().map_err(|error| {
        complain(format_args!("the working directory is not there: {error}"));
        Exit::Failed
    })?;
    let located = config::locate(asked_for, &surroundings);
    let exists = located.is_some();
    // Where there is no file, the first default is where one may appear.
    let file = located.unwrap_or_else(|| surroundings.working_directory.join(DEFAULT_FILE));
    surroundings.config_file = Some(file.clone());
    let shown = file.strip_prefix(&surroundings.working_directory).unwrap_or(&file);
    let shown = asked_for.unwrap_or(shown).to_string_lossy().into_owned();
    Ok((Source { file, shown, surroundings }, exists))
}

/// Loads the config; what is wrong with it is told.
pub(super) fn load(asked_for: Option<&Path>) -> Result<Loaded, Exit> {
    load_or(asked_for, |_| {})
}

/// The same; what is wrong is handed to `wrong` too, one line for each problem.
pub(super) fn load_or(asked_for: Option<&Path>, wrong: impl Fn(Vec<String>)) -> Result<Loaded, Exit> {
    let (source, exists) = locate(asked_for)?;
    let tell = |problems: Problems| {
        wrong(problems.lines());
        tell(&problems)
    };
    if !exists {
        let config = config::built_in(&source.surroundings).map_err(tell)?;
        return Ok(Loaded { config, source, text: None });
    }
    let ReadConfig { text, warnings } = config::read(&source.file).map_err(|error| {
        wrong(vec![error.to_string()]);
        complain(error);
        Exit::Config
    })?;
    warnings.iter().for_each(|warning| complain(format_args!("warning: {warning}")));
    let config = config::check(&text, &source.shown, &source.surroundings).map_err(tell)?;
    Ok(Loaded { config, source, text: Some(text) })
}

/// The settings of the admin port, for a client: a config that is wrong must not keep it from the daemon, which still
/// runs on the last good one and has to say what is wrong. `None` when it is so wrong that the port cannot be told.
pub(super) fn admin(asked_for: Option<&Path>) -> Result<Option<AdminSettings>, Exit> {
    let (source, exists) = locate(asked_for)?;
    if !exists {
        return Ok(config::admin_of("", &source.surroundings));
    }
    match config::read(&source.file) {
        Ok(ReadConfig { text, .. }) => Ok(config::admin_of(&text, &source.surroundings)),
        Err(error) => {
            complain(error);
            Ok(None)
        }
    }
}

/// What a client of the daemon trusts: beside what any command does, the daemon's user, whose state directory it is.
pub(super) fn client_trust(asked_for: Option<&Path>) -> Trust {
    let trust = Trust::of_process();
    let state_dir = || -> Option<PathBuf> {
        let (source, exists) = locate(asked_for).ok()?;
        let text = if exists { config::read(&source.file).ok()?.text } else { String::new() };
        Some(config::check(&text, &source.shown, &source.surroundings).ok()?.settings.state_dir)
    };
    let owner = state_dir().and_then(|dir| fsys::owner_of(&dir));
    owner.map_or(trust, |owner| trust.in_daemon_of(owner))
}

/// Returns the owner of the state directory where root would meddle with what is another user's.
pub(super) fn foreign_state(state_dir: &Path) -> Option<u32> {
    let is_root = rustix::process::geteuid().is_root();
    fsys::owner_of(state_dir).filter(|owner| is_root && !Trust::of_process().is_trusted(*owner))
}

/// Says with which command line the same is done as another user.
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

/// A path, or another argument, for the shell.
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
    /// The targets that were named, or every enabled one.
    pub(super) fn targets(&self, names: &[String]) -> Result<Vec<Arc<Target>>, Exit> {
        let all = &self.config.targets;
        if names.is_empty() {
            let enabled: Vec<_> = all.iter().filter(|target| target.enabled).cloned().collect();
            if enabled.is_empty() {
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

    /// The target of this name.
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
