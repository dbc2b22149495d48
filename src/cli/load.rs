//! Loading the config for a command.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use super::Exit;
use super::output::complain;
use crate::config::{self, AdminSettings, Config, DEFAULT_FILE, Problems, Surroundings};
use crate::daemon::Source;
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
    let text = config::read(&source.file).map_err(|error| {
        wrong(vec![error.to_string()]);
        complain(error);
        Exit::Config
    })?;
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
        Ok(text) => Ok(config::admin_of(&text, &source.surroundings)),
        Err(error) => {
            complain(error);
            Ok(None)
        }
    }
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
