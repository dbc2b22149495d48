//! Checking of the raw config: the meaning of each value, and whether the values fit together.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::looks::Looks;
use super::own::absolute;
use super::parse::{Blamed, nearest};
use super::places;
use super::problems::{MOST, Problem};
use super::raw::{At, RawConfig, RawTarget};
use super::target::{Inherited, Keys};
use super::{Config, Env, Settings};
use crate::clock;
use crate::names::TargetName;
use crate::protected::Protected;
use crate::target::{Action, Target, Zone};

/// Name and schedule of the built-in target.
pub(super) const BUILT_IN: &str = "marked_images";
pub(super) const BUILT_IN_SCHEDULE: &str = "0 2 * * *";

/// Most sweeps at once on one file system: more help nobody.
const MOST_SWEEPS: u64 = 8;

/// State of the check of a raw config, which collects problems.
pub(super) struct Checker<'a> {
    pub(super) text: &'a str,
    pub(super) env: &'a Env,
    /// Base of relative paths, absolute; the directory of the config until `base` has been read.
    pub(super) base: PathBuf,
    /// Whether the config sets the base of relative paths.
    pub(super) has_base: bool,
    pub(super) blamed: &'a Blamed,
    pub(super) problems: Vec<Problem>,
    pub(super) looks: Looks,
}

impl<'a> Checker<'a> {
    pub(super) fn new(text: &'a str, env: &'a Env, blamed: &'a Blamed, problems: Vec<Problem>) -> Self {
        let (base, looks) = (env.directory().to_path_buf(), Looks::default());
        Self { text, env, base, has_base: false, blamed, problems, looks }
    }
}

impl Checker<'_> {
    pub(super) fn problem(&mut self, span: Range<usize>, message: impl Into<String>, help: impl Into<Option<String>>) {
        self.problems.push(Problem { span, message: message.into(), help: help.into() });
    }

    /// Returns whether one of these keys was written wrongly in the table that begins at `table`.
    pub(super) fn is_blamed(&self, table: usize, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.blamed.contains(&(table, (*key).to_owned())))
    }

    /// Returns whether this key was written wrongly. For keys of only one table.
    pub(super) fn is_blamed_anywhere(&self, key: &str) -> bool {
        self.blamed.iter().any(|(_, blamed)| blamed == key)
    }

    /// Returns the place of a part of a string value in the text. For a string with escapes, or over several lines, the
    /// place of the part is unknown, so the whole value is returned.
    pub(super) fn within(&self, value: &At<String>, part: Range<usize>) -> Range<usize> {
        let span = value.span();
        let inside = span.start + 1..span.end.saturating_sub(1);
        if self.text.get(inside.clone()) == Some(value.value().as_str()) && !part.is_empty() {
            inside.start + part.start..inside.start + part.end
        } else {
            span
        }
    }

    pub(super) fn zone(&mut self, value: &At<String>) -> Option<Zone> {
        let name = value.value();
        if name == "local" {
            return match local_zone() {
                Ok(zone) => Some(zone),
                Err(error) => {
                    let help = "set the variable TZ or /etc/localtime right, or name a zone here".to_owned();
                    self.problem(value.span(), format!("the system's time zone is not known: {error}"), help);
                    None
                }
            };
        }
        match clock::zone(name) {
            Ok(tz) => Some(Zone { name: name.clone(), tz }),
            Err(_) => {
                let known: Vec<String> = jiff::tz::db().available().map(|known| known.to_string()).collect();
                let meant = nearest(name, known.iter().map(String::as_str).chain(["local"]));
                let help = match meant {
                    Some(meant) => format!("did you mean \"{meant}\"?"),
                    None if known.is_empty() => "the system has no time zones; install tzdata".to_owned(),
                    None => "write \"local\" or an IANA name such as \"Europe/Berlin\"".to_owned(),
                };
                self.problem(value.span(), format!("unknown time zone \"{name}\""), help);
                None
            }
        }
    }

    fn sweeps_per_filesystem(&mut self, raw: &RawConfig) -> usize {
        let number = self.number("sweeps_per_filesystem", raw.sweeps_per_filesystem.as_ref(), MOST_SWEEPS);
        number.good().and_then(|number| usize::try_from(number).ok()).unwrap_or(1)
    }

    /// Checks the whole config. The result is only valid when no problem was found.
    pub(super) fn config(&mut self, raw: &RawConfig) -> Config {
        let zone = match &raw.timezone {
            Some(value) => self.zone(value),
            None => local_zone()
                .map_err(|error| {
                    self.problem(
                        0..0,
                        format!("the system's time zone is not known: {error}"),
                        Some("set `timezone`".to_owned()),
                    )
                })
                .ok(),
        };
        let zone = zone.unwrap_or(Zone { name: "UTC".into(), tz: TimeZone::UTC });
        self.find_base(raw.base.as_ref());
        let layout = self.env.layout(&self.base);
        let settings = Settings {
            zone,
            base: self.base.clone(),
            state_dir: self.state_dir(raw.state_dir.as_ref(), &layout),
            admin: self.admin(raw.admin.as_ref(), &layout),
            log: self.log(raw.log.as_ref(), &layout),
            sweeps_per_filesystem: self.sweeps_per_filesystem(raw),
        };
        self.collisions(raw, &settings);
        let protected = Arc::new(places::protected(&settings, self.env));
        let defaults = self.defaults(raw);
        let base = self.base.clone();
        let paths = raw.target.iter().flatten().filter_map(|target| target.value().path.as_ref());
        self.looks.take(paths.map(|path| absolute(Path::new(path.value()), &base)));
        let mut targets = Vec::new();
        let mut names = BTreeMap::new();
        for raw in raw.target.iter().flatten() {
            if self.problems.len() > MOST {
                break;
            }
            targets.extend(self.target(raw, &defaults, &settings.zone, &protected, &mut names));
        }
        let written = raw.target.iter().flatten().count();
        if targets.len() < written && self.problems.is_empty() {
            // Every target left out has a problem of its own. Should that ever fail, the config is refused all the
            // same.
            self.problem(0..0, "a target cannot be used", None);
        }
        let (targets, sharing) = places::related(targets);
        let targets = targets.into_iter().map(Arc::new).collect();
        Config { settings, targets, names_targets: written > 0, sharing, protected }
    }

    fn defaults(&mut self, raw: &RawConfig) -> Keys {
        match &raw.defaults {
            Some(defaults) => {
                let keys = self.keys(&defaults.value().keys(), defaults.span().start);
                self.sizes(&keys, &Keys::default());
                keys
            }
            None if self.is_blamed_anywhere("defaults") => Keys::unknown(),
            None => Keys::default(),
        }
    }

    /// Returns the built-in config: every default, and the built-in target, to which the same protections apply.
    pub(super) fn built_in(&mut self) -> Config {
        let config = self.config(&RawConfig::default());
        let target = super::built_in::built_in(&config.settings.zone, &self.base);
        let look = self.looks.of(&target.path).clone();
        let target = Target { device: look.device, ..target };
        if let Some(why) = places::refuse(&config.protected, &target.path, &look) {
            let message = format!("the built-in target `{BUILT_IN}` is protected: {why}");
            self.problem(0..0, message, "write a config with a `[[target]]`".to_owned());
        }
        let (targets, sharing) = places::related(vec![(target, look.real)]);
        Config { targets: targets.into_iter().map(Arc::new).collect(), sharing, ..config }
    }

    fn unique(&mut self, raw: &At<RawTarget>, name: &TargetName, names: &mut BTreeMap<TargetName, usize>) {
        let RawTarget { name: written, path, .. } = raw.value();
        let span = written.as_ref().or(path.as_ref()).map_or_else(|| raw.span(), At::span);
        match names.get(name) {
            None => drop(names.insert(name.clone(), span.start)),
            Some(first) => {
                let before = &self.text[..self.text.floor_char_boundary(*first)];
                let line = before.matches('\n').count() + 1;
                let message = format!("the name `{name}` is taken by the target in line {line}");
                let help = written.is_none().then(|| "give one of them a `name` of its own".to_owned());
                self.problem(span, message, help);
            }
        }
    }

    fn target(
        &mut self,
        raw: &At<RawTarget>,
        defaults: &Keys,
        zone: &Zone,
        protected: &Protected,
        names: &mut BTreeMap<TargetName, usize>,
    ) -> Option<(Target, PathBuf)> {
        let before = self.problems.len();
        let RawTarget { name, path: written, .. } = raw.value();
        let start = raw.span().start;
        if written.is_none() && !self.is_blamed(start, &["path"]) {
            self.problem(raw.span(), "this target has no `path`", None);
        }
        let path = written.as_ref().and_then(|value| self.path(value));
        let look = path.as_deref().map(|path| self.looks.of(path).clone());
        if let (Some(value), Some(path), Some(look)) = (written, &path, &look)
            && let Some(why) = places::refuse(protected, path, look)
        {
            self.problem(value.span(), format!("this directory is protected: {why}"), None);
        }
        let name = match (name, &path) {
            (Some(value), _) => {
                TargetName::new(value.value()).map_err(|why| self.problem(value.span(), why, None)).ok()
            }
            (None, Some(path)) if !self.is_blamed(start, &["name"]) => self.name_of(path, raw),
            _ => None,
        };
        if let Some(name) = &name {
            self.unique(raw, name, names);
        }
        let own = self.keys(&raw.value().keys(), start);
        let (schedule, policy, rest) = self.combine(raw, Inherited { own, defaults, zone })?;
        if let (Action::MoveTo(to), Some(look)) = (&rest.action, &look) {
            self.destination(raw, to, &look.real, protected);
        }
        if self.problems.len() > before {
            return None;
        }
        let look = look?;
        let target = Target {
            name: name?,
            written_path: written.as_ref()?.value().clone(),
            path: path?,
            schedule,
            zone: rest.zone,
            enabled: rest.enabled,
            missing: rest.missing,
            dry_run: rest.dry_run,
            threads: rest.threads,
            idle: rest.idle,
            action: rest.action,
            trash_keep: rest.trash_keep,
            on_unverifiable: rest.on_unverifiable,
            sandbox: rest.sandbox,
            root: rest.root,
            catch_up: rest.catch_up,
            max_deletes: rest.max_deletes,
            require: rest.require,
            device: look.device,
            same_disk: Vec::new(),
            nested: Vec::new(),
            policy,
        };
        Some((target, look.real))
    }

    /// Checks that files of the target, whose resolved path is `path`, may be moved to `to`.
    fn destination(&mut self, raw: &At<RawTarget>, to: &Path, path: &Path, protected: &Protected) {
        let span = raw.value().action.as_ref().map_or_else(|| raw.span(), At::span);
        let look = self.looks.of(to).clone();
        if let Some(why) = places::refuse_destination(protected, to, &look) {
            self.problem(span, format!("nothing can be moved to a protected directory: {why}"), None);
        } else if look.real.starts_with(path) {
            self.problem(span, "the files would be moved to where they are swept from", None);
        }
    }

    fn name_of(&mut self, path: &Path, raw: &At<RawTarget>) -> Option<TargetName> {
        let last = path.file_name().and_then(|name| name.to_str());
        match last.ok_or_else(|| "the path has no last component".to_owned()).and_then(TargetName::new) {
            Ok(name) => Some(name),
            Err(why) => {
                let span = raw.value().path.as_ref().map_or_else(|| raw.span(), At::span);
                self.problem(
                    span,
                    format!("the target cannot be named after its path: {why}"),
                    Some("give it a `name`".to_owned()),
                );
                None
            }
        }
    }
}

fn local_zone() -> Result<Zone, jiff::Error> {
    clock::local_zone().map(|tz| Zone { name: "local".into(), tz })
}
