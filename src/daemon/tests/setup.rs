//! What a supervisor under test begins with.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::clock;
use crate::config::{AdminSettings, Config, LogFormat, LogLevel, LogSettings, Rotation, Settings};
use crate::daemon::supervisor::Beginning;
use crate::daemon::{Applied, ConfigStatus, News, Surface};
use crate::globs::Globs;
use crate::history::{Remembered, Word};
use crate::names::TargetName;
use crate::protected::Protected;
use crate::schedule::Schedule;
use crate::target::{Policy, Target, Zone};

fn zone() -> Zone {
    Zone { name: "UTC".into(), tz: TimeZone::UTC }
}

pub(in crate::daemon) fn target(name: &str, schedule: &str) -> Arc<Target> {
    let (path, schedule) = (PathBuf::from("/nowhere").join(name), Schedule::parse(schedule).expect("a schedule"));
    let policy = Policy::new(Globs::new(["*"], []).expect("good"));
    Arc::new(Target::new(TargetName::new(name).expect("a name"), path, schedule, zone(), policy))
}

pub(in crate::daemon) fn config(targets: Vec<Arc<Target>>) -> Config {
    let log = LogSettings {
        file: Some("/nowhere/log".into()),
        rotation: Rotation::Never,
        max_size: None,
        keep: 1,
        format: LogFormat::Text,
        level: LogLevel::Info,
    };
    let admin = AdminSettings { listen: None, socket: None, token_file: None };
    let settings = Settings {
        zone: zone(),
        base: "/nowhere".into(),
        state_dir: "/nowhere/state".into(),
        admin,
        log,
        sweeps_per_filesystem: 1,
    };
    Config {
        settings,
        targets,
        names_targets: true,
        sharing: BTreeMap::new(),
        protected: Arc::new(Protected::default()),
    }
}

struct Nothing;

impl Surface for Nothing {
    fn apply(&mut self, _: &Settings) -> Applied {
        Applied { needs_restart: vec!["admin.listen".into()], failed: Vec::new() }
    }

    fn look_after_log(&mut self) {}

    fn reopen_log(&mut self) {}

    fn tell(&mut self, _: News<'_>) {}
}

/// What a supervisor begins with that knows nothing.
pub(in crate::daemon) fn beginning(config: Config) -> Beginning {
    let about_config = ConfigStatus {
        path: Some("/nowhere/janitor.toml".into()),
        generation: 1,
        in_force_since: Timestamp::UNIX_EPOCH,
        rejection: None,
        needs_restart: Vec::new(),
        not_applied: Vec::new(),
    };
    Beginning {
        config,
        about_config,
        file: "/nowhere/janitor.toml".into(),
        surface: Box::new(Nothing),
        log: Arc::default(),
        word: Word::New,
        remembered: Remembered::default(),
        health: Arc::default(),
        mark: clock::mark(),
    }
}
