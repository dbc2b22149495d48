//! Checks of the keys that a target and the defaults share.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::time::Duration;

use super::check::Checker;
use super::raw::{
    At, RawAgeBy, RawCatchUp, RawKeys, RawMissing, RawOrder, RawRoot, RawSandbox, RawTarget, RawUnverifiable,
};
use super::values::parse_watermark;
use crate::entry::AgeBy;
use crate::globs::{Globs, List};
use crate::schedule::Schedule;
use crate::target::{
    Action, CatchUp, GoesFirst, Missing, Policy, RootRule, Sandbox, Target, Unverifiable, Watermark, Zone,
};
use crate::units::{self, Bytes, UnitError};

/// Most threads of a sweep: more help nobody.
const MOST_THREADS: u64 = 64;
/// Most newest files to keep in each directory: they are held in memory during the search.
const MOST_NEWEST: u64 = 100_000;
/// Default age of protection from a quota or a watermark: long enough that files being written are not removed.
const DEFAULT_MIN_AGE: Duration = Duration::from_secs(600);
/// Keys that are a reason to delete. With a wrongly written one, a target is not reported as having none.
const REASONS: [&str; 4] = ["older_than", "max_size", "max_files", "min_free"];

/// Result of reading a key.
#[derive(Clone, Debug, Default)]
pub(super) enum Key<T> {
    /// The key is absent.
    #[default]
    Absent,
    /// The key is present and wrong, which has been reported.
    Bad,
    /// Value of the key, and its place in the text.
    Good(T, Range<usize>),
}

impl<T: Clone> Key<T> {
    /// Returns this key, or the default if it is absent.
    fn or(&self, default: &Self) -> Self {
        match self {
            Self::Absent => default.clone(),
            _ => self.clone(),
        }
    }

    fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Returns the place of the key, if it is good.
    fn span(&self) -> Option<Range<usize>> {
        match self {
            Self::Good(_, span) => Some(span.clone()),
            _ => None,
        }
    }

    /// Returns `Bad` for an absent key that was written so wrongly that it was dropped.
    fn missed(self, is_blamed: bool) -> Self {
        if is_blamed && self.is_absent() { Self::Bad } else { self }
    }

    pub(super) fn good(self) -> Option<T> {
        match self {
            Self::Good(value, _) => Some(value),
            _ => None,
        }
    }
}

/// Shared keys of one table.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    schedule: Key<Schedule>,
    include: Key<Vec<At<String>>>,
    exclude: Key<Vec<At<String>>>,
    older_than: Key<Duration>,
    larger_than: Key<u64>,
    smaller_than: Key<u64>,
    min_age: Key<Duration>,
    zone: Key<Zone>,
    threads: Key<u64>,
    max_size: Key<u64>,
    max_files: Key<u64>,
    min_free: Key<Watermark>,
    keep_newest: Key<u64>,
    action: Key<Action>,
    trash_keep: Key<Duration>,
    max_deletes: Key<u64>,
    require: Key<Box<str>>,
    age_by: Option<AgeBy>,
    order: Option<GoesFirst>,
    enabled: Option<bool>,
    missing: Option<Missing>,
    dry_run: Option<bool>,
    whole_dirs: Option<bool>,
    remove_empty_dirs: Option<bool>,
    skip_open: Option<bool>,
    idle: Option<bool>,
    on_unverifiable: Option<Unverifiable>,
    sandbox: Option<Sandbox>,
    root: Option<RootRule>,
    catch_up: Option<CatchUp>,
}

impl Keys {
    /// Returns the keys of a table that could not be read.
    pub(super) fn unknown() -> Self {
        Self { schedule: Key::Bad, include: Key::Bad, older_than: Key::Bad, ..Self::default() }
    }
}

/// Sources of a target's values.
pub(super) struct Inherited<'a> {
    pub(super) own: Keys,
    pub(super) defaults: &'a Keys,
    pub(super) zone: &'a Zone,
}

/// Values of a target that are neither its schedule nor its policy.
pub(super) struct Rest {
    pub(super) zone: Zone,
    pub(super) enabled: bool,
    pub(super) missing: Missing,
    pub(super) dry_run: bool,
    pub(super) threads: Option<NonZeroUsize>,
    pub(super) idle: bool,
    pub(super) action: Action,
    pub(super) trash_keep: Duration,
    pub(super) on_unverifiable: Unverifiable,
    pub(super) sandbox: Sandbox,
    pub(super) root: RootRule,
    pub(super) catch_up: CatchUp,
    pub(super) max_deletes: Option<u64>,
    pub(super) require: Option<Box<str>>,
}

impl Checker<'_> {
    /// Checks each key of a table by itself. `table` is the start of the table in the text.
    pub(super) fn keys(&mut self, raw: &RawKeys, table: usize) -> Keys {
        let older_than = self.unit(raw.older_than.as_ref(), units::parse_duration);
        let older_than = self.at_least(older_than, Duration::is_zero, |checker, span| {
            let help = "leave the key out to remove files of any age".to_owned();
            checker.problem(span, "`older_than` cannot be zero", help);
        });
        let smaller_than = self.unit(raw.smaller_than.as_ref(), units::parse_size);
        let smaller_than = self.at_least(
            smaller_than,
            |size| *size == 0,
            |checker, span| {
                checker.problem(span, "no file is smaller than nothing", None);
            },
        );
        let max_size = self.unit(raw.max_size.as_ref(), units::parse_size);
        let max_size = self.at_least(
            max_size,
            |size| *size == 0,
            |checker, span| {
                checker.problem(span, "`max_size` cannot be zero", "leave the key out if you mean none".to_owned());
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
            threads: self.number("threads", raw.threads.as_ref(), MOST_THREADS),
            max_size,
            max_files: self.number("max_files", raw.max_files.as_ref(), u64::MAX),
            min_free: self.unit(raw.min_free.as_ref(), parse_watermark),
            keep_newest: self.number("keep_newest", raw.keep_newest.as_ref(), MOST_NEWEST),
            action: self.action(raw.action.as_ref()),
            trash_keep: self.unit(raw.trash_keep.as_ref(), units::parse_duration),
            max_deletes: self.number("max_deletes", raw.max_deletes.as_ref(), u64::MAX),
            require: self.require(raw.require.as_ref()),
            age_by: raw.age_by.map(|raw| match raw {
                RawAgeBy::Modified => AgeBy::Modified,
                RawAgeBy::Accessed => AgeBy::Accessed,
                RawAgeBy::Changed => AgeBy::Changed,
                RawAgeBy::Created => AgeBy::Created,
                RawAgeBy::Newest => AgeBy::Newest,
            }),
            order: raw.order.map(|raw| match raw {
                RawOrder::Oldest => GoesFirst::Oldest,
                RawOrder::Largest => GoesFirst::Largest,
            }),
            enabled: raw.enabled,
            missing: raw.missing.map(|raw| match raw {
                RawMissing::Fail => Missing::Fail,
                RawMissing::Skip => Missing::Skip,
                RawMissing::Create => Missing::Create,
            }),
            dry_run: raw.dry_run,
            whole_dirs: raw.whole_dirs,
            remove_empty_dirs: raw.remove_empty_dirs,
            skip_open: raw.skip_open,
            idle: raw.idle,
            on_unverifiable: raw.on_unverifiable.map(|raw| match raw {
                RawUnverifiable::Skip => Unverifiable::Skip,
                RawUnverifiable::Plain => Unverifiable::Plain,
            }),
            catch_up: raw.catch_up.map(|raw| match raw {
                RawCatchUp::Once => CatchUp::Once,
                RawCatchUp::None => CatchUp::None,
            }),
            sandbox: raw.sandbox.map(|raw| match raw {
                RawSandbox::Prefer => Sandbox::Prefer,
                RawSandbox::Require => Sandbox::Require,
                RawSandbox::Off => Sandbox::Off,
            }),
            root: raw.root.map(|raw| match raw {
                RawRoot::Same => RootRule::Same,
                RawRoot::Any => RootRule::Any,
            }),
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

    pub(super) fn unit<T>(&mut self, value: Option<&At<String>>, parse: fn(&str) -> Result<T, UnitError>) -> Key<T> {
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

    fn globs(&mut self, list: List, value: Option<&At<Vec<At<String>>>>) -> Key<Vec<At<String>>> {
        let Some(value) = value else { return Key::Absent };
        if value.value().is_empty() && list == List::Include {
            let help = "leave the key out, or write `include = [\"**\"]` for everything".to_owned();
            self.problem(value.span(), "an empty `include` names no file", help);
            return Key::Bad;
        }
        let before = self.problems.len();
        for pattern in value.value() {
            if let Err(error) = Globs::check(list, pattern.value()) {
                let span = self.within(pattern, error.span);
                self.problem(span, error.message, error.help);
            }
        }
        if self.problems.len() > before {
            return Key::Bad;
        }
        Key::Good(value.value().clone(), value.span())
    }

    /// Combines a target's own keys with the defaults, and checks that they fit together. Returns `None` when this
    /// cannot be checked because of problems that have been noted.
    pub(super) fn combine(&mut self, raw: &At<RawTarget>, from: Inherited<'_>) -> Option<(Schedule, Policy, Rest)> {
        let Inherited { own, defaults, zone } = from;
        let schedule = own.schedule.or(&defaults.schedule);
        let include = own.include.or(&defaults.include);
        let older_than = own.older_than.or(&defaults.older_than);
        if schedule.is_absent() {
            let help = "add `schedule = \"0 2 * * *\"`, here or in [defaults]".to_owned();
            self.problem(raw.span(), "this target has no `schedule`", help);
        }
        let max_size = own.max_size.or(&defaults.max_size);
        let max_files = own.max_files.or(&defaults.max_files);
        let min_free = own.min_free.or(&defaults.min_free);
        let has_limits = !(max_size.is_absent() && max_files.is_absent() && min_free.is_absent());
        if include.is_absent() && [max_size.span(), max_files.span(), min_free.span()].iter().any(Option::is_some) {
            // A limit of the defaults may go with another target's `include`, so the problem is reported at this
            // target.
            let own = [own.max_size.span(), own.max_files.span(), own.min_free.span()].into_iter().flatten().next();
            let help =
                "write `include = [\"**\"]` for everything below `path`, or `[\"*\"]` for its top level".to_owned();
            let message = "a limit (`max_size`, `max_files`, `min_free`) needs an `include`";
            self.problem(own.unwrap_or_else(|| raw.span()), message, help);
        }
        if include.is_absent() && older_than.is_absent() && !has_limits {
            let help =
                "everything has to be written out: `include = [\"**\"]`, or `[\"*\"]` for the top level".to_owned();
            self.problem(raw.span(), "this target has neither `include` nor a reason to delete", help);
        }
        let larger_than = own.larger_than.or(&defaults.larger_than);
        let smaller_than = own.smaller_than.or(&defaults.smaller_than);
        self.sizes(&own, defaults);
        let include = include.good();
        let exclude = own.exclude.or(&defaults.exclude).good().unwrap_or_default();
        let texts = |patterns: &[At<String>]| patterns.iter().map(|text| text.value().clone()).collect::<Vec<_>>();
        let (texts, excluded) = (include.as_deref().map_or_else(|| vec!["*".to_owned()], texts), texts(&exclude));
        let globs = Globs::new(texts.iter().map(String::as_str), excluded.iter().map(String::as_str));
        let globs = globs.map_err(|error| self.problem(raw.span(), error.message, error.help)).ok()?;
        if own.whole_dirs.or(defaults.whole_dirs).unwrap_or_default() {
            // An include of the defaults may be right for other targets.
            let here = if own.include.is_absent() { &[] } else { include.as_deref().unwrap_or_default() };
            self.whole_dirs(raw, &globs, here);
        }
        let min_age = own.min_age.or(&defaults.min_age).good();
        let yes = |own: Option<bool>, default: Option<bool>| own.or(default).unwrap_or(false);
        let policy = Policy {
            globs,
            larger_than: larger_than.good(),
            smaller_than: smaller_than.good(),
            older_than: older_than.good(),
            age_by: own.age_by.or(defaults.age_by).unwrap_or_default(),
            min_age: min_age.or(has_limits.then_some(DEFAULT_MIN_AGE)),
            max_size: max_size.good(),
            max_files: max_files.good(),
            min_free: min_free.good(),
            order: own.order.or(defaults.order).unwrap_or_default(),
            keep_newest: positive(own.keep_newest.or(&defaults.keep_newest)),
            whole_dirs: yes(own.whole_dirs, defaults.whole_dirs),
            remove_empty_dirs: yes(own.remove_empty_dirs, defaults.remove_empty_dirs),
            skip_open: yes(own.skip_open, defaults.skip_open),
        };
        let rest = Rest {
            zone: own.zone.or(&defaults.zone).good().unwrap_or_else(|| zone.clone()),
            enabled: own.enabled.or(defaults.enabled).unwrap_or(true),
            missing: own.missing.or(defaults.missing).unwrap_or_default(),
            dry_run: yes(own.dry_run, defaults.dry_run),
            threads: positive(own.threads.or(&defaults.threads)),
            idle: yes(own.idle, defaults.idle),
            on_unverifiable: own.on_unverifiable.or(defaults.on_unverifiable).unwrap_or_default(),
            catch_up: own.catch_up.or(defaults.catch_up).unwrap_or_default(),
            sandbox: own.sandbox.or(defaults.sandbox).unwrap_or_default(),
            root: own.root.or(defaults.root).unwrap_or_default(),
            action: own.action.or(&defaults.action).good().unwrap_or_default(),
            trash_keep: own.trash_keep.or(&defaults.trash_keep).good().unwrap_or(Target::TRASH_KEEP),
            max_deletes: own.max_deletes.or(&defaults.max_deletes).good(),
            require: own.require.or(&defaults.require).good(),
        };
        Some((schedule.good()?, policy, rest))
    }

    /// Refuses includes that can match no first-level directory, which with `whole_dirs` match nothing.
    fn whole_dirs(&mut self, raw: &At<RawTarget>, globs: &Globs, here: &[At<String>]) {
        for include in globs.below_first_level() {
            let written = here.iter().find(|pattern| pattern.value() == include);
            let message = format!("with `whole_dirs` the include `{include}` never names anything");
            let help = "directories directly in `path` go or stay whole: name them, as in `*` or `build-*`".to_owned();
            self.problem(written.map_or_else(|| raw.span(), At::span), message, help);
        }
    }

    /// Checks that a size can lie between `larger_than` and `smaller_than`, from a target's own keys and the defaults.
    pub(super) fn sizes(&mut self, own: &Keys, defaults: &Keys) {
        let larger_than = own.larger_than.or(&defaults.larger_than);
        let Key::Good(least, larger_span) = larger_than else { return };
        let Key::Good(most, smaller_span) = own.smaller_than.or(&defaults.smaller_than) else { return };
        if least.saturating_add(1) < most {
            return;
        }
        // A conflict between a target and the defaults is reported at the target's own key.
        let span =
            if own.smaller_than.is_absent() && !own.larger_than.is_absent() { larger_span } else { smaller_span };
        self.problem(span, format!("no file is larger than {} and smaller than {}", Bytes(least), Bytes(most)), None);
    }
}

/// Returns a number that has been checked to be more than zero.
fn positive(key: Key<u64>) -> Option<NonZeroUsize> {
    key.good().and_then(|number| usize::try_from(number).ok()).and_then(NonZeroUsize::new)
}
