//! The keys that a target and the defaults share, checked.

use std::num::NonZeroUsize;
use std::ops::Range;
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
/// The reasons to go, those of later versions too: where one was meant, `include` is not missing.
const REASONS: [&str; 4] = ["older_than", "max_size", "max_files", "min_free"];

/// What became of a key.
#[derive(Clone, Debug, Default)]
pub(super) enum Key<T> {
    /// It is not there.
    #[default]
    Absent,
    /// It is there and wrong, which has been said.
    Bad,
    /// Its value, and where it stands.
    Good(T, Range<usize>),
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

    /// A key that was written so wrongly that it is not even there any more.
    fn missed(self, is_blamed: bool) -> Self {
        if is_blamed && self.is_absent() { Self::Bad } else { self }
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

impl Keys {
    /// Those of a table that could not be read.
    pub(super) fn unknown() -> Self {
        Self { schedule: Key::Bad, include: Key::Bad, older_than: Key::Bad, ..Self::default() }
    }
}

/// What a target's values come from.
pub(super) struct Inherited<'a> {
    pub(super) own: Keys,
    pub(super) defaults: &'a Keys,
    pub(super) zone: &'a Zone,
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
    /// Checks each key by itself, of the table that begins there.
    pub(super) fn keys(&mut self, raw: &RawKeys, table: usize) -> Keys {
        let older_than = self.unit(raw.older_than.as_ref(), units::parse_duration);
        let older_than = self.not_zero(older_than, Duration::is_zero, |checker, span| {
            let help = "leave the key out to remove files of any age".to_owned();
            checker.problem(span, "`older_than` cannot be zero", help);
        });
        let smaller_than = self.unit(raw.smaller_than.as_ref(), units::parse_size);
        let smaller_than = self.not_zero(
            smaller_than,
            |size| *size == 0,
            |checker, span| {
                checker.problem(span, "no file is smaller than nothing", None);
            },
        );
        Keys {
            schedule: self.schedule(raw.schedule.as_ref()).missed(self.is_blamed(table, &["schedule"])),
            include: self.globs(List::Include, raw.include.as_ref()).missed(self.is_blamed(table, &["include"])),
            exclude: self.globs(List::Exclude, raw.exclude.as_ref()),
            older_than: older_than.missed(self.is_blamed(table, &REASONS)),
            larger_than: self.unit(raw.larger_than.as_ref(), units::parse_size),
            smaller_than,
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

    fn not_zero<T>(&mut self, key: Key<T>, is_zero: fn(&T) -> bool, say: fn(&mut Self, Range<usize>)) -> Key<T> {
        match key {
            Key::Good(value, span) if is_zero(&value) => {
                say(self, span);
                Key::Bad
            }
            key => key,
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
        let Inherited { own, defaults, zone } = from;
        let schedule = own.schedule.or(&defaults.schedule);
        let include = own.include.or(&defaults.include);
        let older_than = own.older_than.or(&defaults.older_than);
        if schedule.is_absent() {
            let help = "add `schedule = \"0 2 * * *\"`, here or in [defaults]".to_owned();
            self.problem(raw.span(), "this target has no `schedule`", help);
        }
        if include.is_absent() && older_than.is_absent() {
            let help =
                "everything has to be written out: `include = [\"**\"]`, or `[\"*\"]` for the top level".to_owned();
            self.problem(raw.span(), "this target has neither `include` nor a reason to delete", help);
        }
        let larger_than = own.larger_than.or(&defaults.larger_than);
        let smaller_than = own.smaller_than.or(&defaults.smaller_than);
        self.sizes(&own, defaults);
        let include = include.good().unwrap_or_else(|| vec!["*".to_owned()]);
        let exclude = own.exclude.or(&defaults.exclude).good().unwrap_or_default();
        let globs = Globs::new(include.iter().map(String::as_str), exclude.iter().map(String::as_str));
        let globs = globs.map_err(|error| self.problem(raw.span(), error.message, error.help)).ok()?;
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

    /// Whether there are sizes between the two, as a target has them from its own keys and the defaults.
    pub(super) fn sizes(&mut self, own: &Keys, defaults: &Keys) {
        let larger_than = own.larger_than.or(&defaults.larger_than);
        let Key::Good(least, larger_span) = larger_than else { return };
        let Key::Good(most, smaller_span) = own.smaller_than.or(&defaults.smaller_than) else { return };
        if least.saturating_add(1) < most {
            return;
        }
        // A target that does not go with the defaults is told so at its own key.
        let span =
            if own.smaller_than.is_absent() && !own.larger_than.is_absent() { larger_span } else { smaller_span };
        self.problem(span, format!("no file is larger than {} and smaller than {}", Bytes(least), Bytes(most)), None);
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
