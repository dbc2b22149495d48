//! The keys that a target and the defaults share, checked.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use super::Surroundings;
use super::check::{BUILT_IN, BUILT_IN_SCHEDULE, Checker, absolute};
use super::raw::{At, RawAgeBy, RawKeys, RawTarget};
use crate::entry::AgeBy;
use crate::globs::{Globs, List};
use crate::names::TargetName;
use crate::schedule::Schedule;
use crate::target::{Policy, Target, Zone};
use crate::units::{self, Bytes, UnitError};

/// More threads than this help nobody.
const MOST_THREADS: usize = 64;

/// What became of a key.
#[derive(Clone, Debug, Default)]
pub(super) enum Key<T> {
    /// It is not there.
    #[default]
    Absent,
    /// It is there and wrong, which has been said.
    Bad,
    /// Its value, and where it stands.
    Good(T, std::ops::Range<usize>),
}

impl<T: Clone> Key<T> {
    /// This one, or the default where it is absent.
    fn or(&self, default: &Self) -> Self {
        match self {
            Self::Absent => default.clone(),
            _ => self.clone(),
        }
    }

    fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    fn good(self) -> Option<T> {
        match self {
            Self::Good(value, _) => Some(value),
            _ => None,
        }
    }
}

/// The shared keys of one table.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    schedule: Key<Schedule>,
    include: Key<Vec<String>>,
    exclude: Key<Vec<String>>,
    older_than: Key<Duration>,
    larger_than: Key<u64>,
    smaller_than: Key<u64>,
    min_age: Key<Duration>,
    zone: Key<Zone>,
    threads: Key<NonZeroUsize>,
    age_by: Option<AgeBy>,
    enabled: Option<bool>,
    create: Option<bool>,
    dry_run: Option<bool>,
}

/// What a target's values come from.
pub(super) struct Inherited<'a> {
    pub(super) own: Keys,
    pub(super) defaults: &'a Keys,
    pub(super) zone: &'a Zone,
    /// Where the target's table begins, as wrong keys are noted.
    pub(super) blamed: usize,
}

/// The values of a target that are neither its schedule nor its policy.
pub(super) struct Rest {
    pub(super) zone: Zone,
    pub(super) enabled: bool,
    pub(super) create: bool,
    pub(super) dry_run: bool,
    pub(super) threads: Option<NonZeroUsize>,
}

impl Checker<'_> {
    /// Checks each key by itself.
    pub(super) fn keys(&mut self, raw: &RawKeys) -> Keys {
        Keys {
            schedule: self.schedule(raw.schedule.as_ref()),
            include: self.globs(List::Include, raw.include.as_ref()),
            exclude: self.globs(List::Exclude, raw.exclude.as_ref()),
            older_than: self.unit(raw.older_than.as_ref(), units::parse_duration),
            larger_than: self.unit(raw.larger_than.as_ref(), units::parse_size),
            smaller_than: self.unit(raw.smaller_than.as_ref(), units::parse_size),
            min_age: self.unit(raw.min_age.as_ref(), units::parse_duration),
            zone: match &raw.timezone {
                None => Key::Absent,
                Some(value) => self.zone(value).map_or(Key::Bad, |zone| Key::Good(zone, value.span())),
            },
            threads: self.threads(raw.threads.as_ref()),
            age_by: raw.age_by.map(|raw| match raw {
                RawAgeBy::Modified => AgeBy::Modified,
                RawAgeBy::Accessed => AgeBy::Accessed,
                RawAgeBy::Changed => AgeBy::Changed,
                RawAgeBy::Created => AgeBy::Created,
                RawAgeBy::Newest => AgeBy::Newest,
            }),
            enabled: raw.enabled,
            create: raw.create,
            dry_run: raw.dry_run,
        }
    }

    fn schedule(&mut self, value: Option<&At<String>>) -> Key<Schedule> {
        let Some(value) = value else { return Key::Absent };
        match Schedule::parse(value.value()) {
            Ok(schedule) => Key::Good(schedule, value.span()),
            Err(error) => {
                let span = self.within(value, error.span);
                self.problem(span, error.message, error.help);
                Key::Bad
            }
        }
    }

    fn unit<T>(&mut self, value: Option<&At<String>>, parse: fn(&str) -> Result<T, UnitError>) -> Key<T> {
        let Some(value) = value else { return Key::Absent };
        match parse(value.value()) {
            Ok(parsed) => Key::Good(parsed, value.span()),
            Err(error) => {
                let span = self.within(value, error.span);
                self.problem(span, error.message, error.help);
                Key::Bad
            }
        }
    }

    fn threads(&mut self, value: Option<&At<u8>>) -> Key<NonZeroUsize> {
        let Some(value) = value else { return Key::Absent };
        match NonZeroUsize::new(usize::from(*value.value())).filter(|threads| threads.get() <= MOST_THREADS) {
            Some(threads) => Key::Good(threads, value.span()),
            None => {
                let help = "leave the key out to use the machine's cores".to_owned();
                self.problem(value.span(), format!("`threads` is a number from 1 to {MOST_THREADS}"), help);
                Key::Bad
            }
        }
    }

    fn globs(&mut self, list: List, value: Option<&At<Vec<At<String>>>>) -> Key<Vec<String>> {
        let Some(value) = value else { return Key::Absent };
        if value.value().is_empty() && list == List::Include {
            let help = "leave the key out, or write `include = [\"**\"]` for everything".to_owned();
            self.problem(value.span(), "an empty `include` names no file", help);
            return Key::Bad;
        }
        let before = self.problems.len();
        for pattern in value.value() {
            if let Err(error) = Globs::check(list, pattern.value()) {
                self.problem(pattern.span(), error.message, error.help);
            }
        }
        if self.problems.len() > before {
            return Key::Bad;
        }
        Key::Good(value.value().iter().map(|pattern| pattern.value().clone()).collect(), value.span())
    }

    /// What holds for a target, from its own keys and the defaults; and whether that goes together. `None` when not
    /// enough is known for the latter, because of problems that have been noted.
    pub(super) fn combine(&mut self, raw: &At<RawTarget>, from: Inherited<'_>) -> Option<(Schedule, Policy, Rest)> {
        let Inherited { own, defaults, zone, blamed } = from;
        let was_blamed = |key: &str| self.blamed.contains(&(blamed, key.to_owned()));
        let lacks = |key: &str, absent: bool| absent && !was_blamed(key);
        let schedule = own.schedule.or(&defaults.schedule);
        let include = own.include.or(&defaults.include);
        let older_than = own.older_than.or(&defaults.older_than);
        let no_schedule = lacks("schedule", schedule.is_absent());
        let no_reason = older_than.is_absent() && !was_blamed("older_than");
        let names_nothing = lacks("include", include.is_absent()) && no_reason;
        if no_schedule {
            let help = "add `schedule = \"0 2 * * *\"`, here or in [defaults]".to_owned();
            self.problem(raw.span(), "this target has no `schedule`", help);
        }
        if names_nothing {
            let help =
                "everything has to be written out: `include = [\"**\"]`, or `[\"*\"]` for the top level".to_owned();
            self.problem(raw.span(), "this target has neither `include` nor a reason to delete", help);
        }
        if let Key::Good(limit, span) = &older_than
            && limit.is_zero()
        {
            let help = "leave the key out to remove files of any age".to_owned();
            self.problem(span.clone(), "`older_than` cannot be zero", help);
        }
        let larger_than = own.larger_than.or(&defaults.larger_than);
        let smaller_than = own.smaller_than.or(&defaults.smaller_than);
        self.sizes(&larger_than, &smaller_than);
        let include = include.good().unwrap_or_else(|| vec!["*".to_owned()]);
        let exclude = own.exclude.or(&defaults.exclude).good().unwrap_or_default();
        let globs = Globs::new(include.iter().map(String::as_str), exclude.iter().map(String::as_str)).ok()?;
        let policy = Policy {
            globs,
            larger_than: larger_than.good(),
            smaller_than: smaller_than.good(),
            older_than: older_than.good(),
            age_by: own.age_by.or(defaults.age_by).unwrap_or_default(),
            min_age: own.min_age.or(&defaults.min_age).good(),
        };
        let rest = Rest {
            zone: own.zone.or(&defaults.zone).good().unwrap_or_else(|| zone.clone()),
            enabled: own.enabled.or(defaults.enabled).unwrap_or(true),
            create: own.create.or(defaults.create).unwrap_or(true),
            dry_run: own.dry_run.or(defaults.dry_run).unwrap_or(false),
            threads: own.threads.or(&defaults.threads).good(),
        };
        Some((schedule.good()?, policy, rest))
    }

    fn sizes(&mut self, larger_than: &Key<u64>, smaller_than: &Key<u64>) {
        let Key::Good(most, span) = smaller_than else { return };
        if *most == 0 {
            self.problem(span.clone(), "no file is smaller than nothing", None);
        } else if let Key::Good(least, _) = larger_than
            && least.saturating_add(1) >= *most
        {
            let message = format!("no file is larger than {} and smaller than {}", Bytes(*least), Bytes(*most));
            self.problem(span.clone(), message, None);
        }
    }
}

/// The target that stands in when a config names none.
pub(super) fn built_in(zone: &Zone, surroundings: &Surroundings) -> Target {
    #[expect(clippy::expect_used, reason = "constants, and a test builds them")]
    let (name, schedule, globs) = (
        TargetName::new(BUILT_IN).expect("a good name"),
        Schedule::parse(BUILT_IN_SCHEDULE).expect("a good schedule"),
        Globs::new(["*"], []).expect("a good pattern"),
    );
    Target {
        name,
        written_path: BUILT_IN.to_owned(),
        path: absolute(Path::new(BUILT_IN), surroundings),
        schedule,
        zone: zone.clone(),
        enabled: true,
        create: true,
        dry_run: false,
        threads: None,
        policy: Policy {
            globs,
            larger_than: None,
            smaller_than: None,
            older_than: None,
            age_by: AgeBy::Modified,
            min_age: None,
        },
    }
}
