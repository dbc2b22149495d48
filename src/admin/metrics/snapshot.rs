//! The state at the moment of a scrape, written family by family.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::super::wire::Disk;
use super::tallies::{OUTCOMES, Tallied, Tally};
use crate::daemon::{Status, TargetState, TargetStatus};
use crate::judge;
use crate::names::TargetName;
use crate::report::{Outcome, Report};
use crate::target::Target;

/// Data of all metrics but the durations of runs.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) status: Arc<Status>,
    /// Targets in force, as far as they are known.
    pub(super) targets: Vec<Arc<Target>>,
    pub(super) disks: HashMap<TargetName, Disk>,
    pub(super) tallied: Tallied,
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut sheet = Sheet(encoder);
        self.daemon(&mut sheet)?;
        self.config(&mut sheet)?;
        self.counters(&mut sheet)?;
        self.standing(&mut sheet)?;
        self.last_runs(&mut sheet)?;
        self.disks(&mut sheet)
    }
}

/// Writer of families. Each family is there with its help and type also when it has no samples.
struct Sheet<'a>(DescriptorEncoder<'a>);

impl Sheet<'_> {
    fn gauges<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in samples {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        family.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    /// Writes a family of counters. `name` comes without the `_total`, which is added.
    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in samples {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }
}

/// Returns the seconds since 1970.
fn seconds(instant: Timestamp) -> f64 {
    instant.as_millisecond() as f64 / 1000.0
}

fn of(target: &TargetName) -> [(&'static str, &str); 1] {
    [("target", target.as_str())]
}

fn with<'a>(target: &'a TargetName, key: &'static str, value: &'a str) -> [(&'static str, &'a str); 2] {
    [("target", target.as_str()), (key, value)]
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Partial => "partial",
        Outcome::Held => "held",
        Outcome::Cancelled => "cancelled",
        Outcome::Failed => "failed",
    }
}

impl Snapshot {
    fn daemon(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let status = &*self.status;
        let build = [([("version", env!("CARGO_PKG_VERSION"))], 1_u64)];
        sheet.gauges("build_info", "The version of this janitor.", build)?;
        sheet.gauge("start_time_seconds", "When the daemon started, in Unix time.", seconds(status.started))?;
        let help = "Whether the schedule runs: 0 when it was stopped as a whole.";
        sheet.gauge("scheduler_running", help, u64::from(status.is_running))?;
        let mut states = BTreeMap::from(
            [
                TargetState::Scheduled,
                TargetState::Queued,
                TargetState::Running,
                TargetState::Paused,
                TargetState::Unreachable,
                TargetState::Disabled,
            ]
            .map(|state| (state.word(), 0_u64)),
        );
        for target in &status.targets {
            *states.entry(target.state.word()).or_default() += 1;
        }
        let states = states.into_iter().map(|(state, count)| ([("state", state)], count));
        sheet.gauges("targets", "Targets by what they are doing.", states)?;
        let help = "Whether the wall clock cannot be trusted, which holds runs that go by age.";
        sheet.gauge("clock_distrusted", help, u64::from(status.clock.is_some()))?;
        let help = "Whether what happens cannot be remembered at the moment.";
        sheet.gauge("state_error", help, u64::from(status.state.error().is_some()))?;
        let help = "Whether the schedule is stopped because nobody can say whether it was.";
        sheet.gauge("stop_unknown", help, u64::from(status.stop_unknown.is_some()))?;
        let help = "Whether it cannot be written down what is stopped, so that a restart forgets it.";
        sheet.gauge("stop_not_kept", help, u64::from(status.stop_not_kept.is_some()))?;
        let help = "Tasks of the daemon that are dead, and are started anew.";
        sheet.gauge("dead_tasks", help, status.dead_tasks.len() as u64)?;
        let help = "Whether the log file cannot be written at the moment.";
        sheet.gauge("log_error", help, u64::from(status.log.last_error().is_some()))?;
        sheet.counter("log_lost_records", "Records that never reached the log file.", status.log.lost())
    }

    fn config(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let config = &self.status.config;
        sheet.gauge("config_generation", "Counts the configs that were put in force.", config.generation)?;
        let help = "Since when the config in force is in force, in Unix time.";
        sheet.gauge("config_in_force_since_timestamp_seconds", help, seconds(config.in_force_since))?;
        let help = "Whether the config on the disk was rejected, so that the last good one stays in force.";
        sheet.gauge("config_rejected", help, u64::from(config.rejection.is_some()))?;
        let reloads = self.tallied.reloads;
        let results = [("applied", reloads.applied), ("unchanged", reloads.unchanged), ("rejected", reloads.rejected)];
        let results = results.map(|(result, count)| ([("result", result)], count));
        sheet.counters("config_reloads", "Readings of the config after the start, by what came of them.", results)
    }

    /// Returns the targets, with what was counted of them.
    fn tallies(&self) -> impl Iterator<Item = (&TargetStatus, Option<&Tally>)> {
        self.status.targets.iter().map(|target| (target, self.tallied.targets.get(&target.name)))
    }

    fn counters(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let runs = self.tallies().flat_map(|(target, tally)| {
            let count = move |outcome: Outcome| tally.map_or(0, |tally| tally.runs[outcome as usize]);
            OUTCOMES.map(|outcome| (with(&target.name, "outcome", word(outcome)), count(outcome)))
        });
        sheet.counters("runs", "Runs that were no dry runs, by outcome.", runs)?;
        let dry_runs = self.tallies().flat_map(|(target, tally)| {
            let count = move |outcome: Outcome| tally.map_or(0, |tally| tally.dry_runs[outcome as usize]);
            let all = OUTCOMES.map(|outcome| (with(&target.name, "outcome", word(outcome)), count(outcome)));
            all.into_iter().filter(|(_, count)| *count > 0)
        });
        sheet.counters("dry_runs", "Dry runs, by outcome. Nothing else counts them.", dry_runs)?;
        let each = |count: fn(&Tally) -> u64| {
            self.tallies().map(move |(target, tally)| (of(&target.name), tally.map_or(0, count)))
        };
        let help = "Files that were removed, moved or put into the trash.";
        sheet.counters("removed_files", help, each(|tally| tally.files))?;
        sheet.counters("removed_directories", "Directories that were removed.", each(|tally| tally.directories))?;
        sheet.counters(
            "freed_bytes",
            "Bytes that were given back by that; in part an estimate where only names are asked for.",
            each(|tally| tally.freed),
        )?;
        let failures =
            self.tallies().filter_map(|(target, tally)| Some((target, tally?))).flat_map(|(target, tally)| {
                tally.failures.iter().map(|(class, count)| (with(&target.name, "class", class), *count))
            });
        let help = "Failures to read or to remove, by the message of the system.";
        sheet.counters("failures", help, failures)?;
        let skipped = self.status.targets.iter().map(|target| (of(&target.name), target.skipped_ticks));
        sheet.counters("skipped_runs", "Runs that were due while a run was still at work.", skipped)
    }

    fn standing(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let targets = &self.status.targets;
        let held: BTreeMap<&TargetName, u64> = self.status.holds.iter().map(|hold| (&hold.target, 1)).collect();
        let each = |is: fn(&TargetStatus) -> bool| targets.iter().map(move |one| (of(&one.name), u64::from(is(one))));
        sheet.gauges("target_enabled", "Whether the target is enabled.", each(|one| one.enabled))?;
        let help = "Whether the schedule of the target is stopped.";
        sheet.gauges("target_paused", help, each(|one| one.enabled && one.is_paused))?;
        sheet.gauges(
            "target_queued",
            "Whether a run of it waits for others.",
            each(|one| one.state == TargetState::Queued),
        )?;
        sheet.gauges("target_running", "Whether it is being swept.", each(|one| one.state == TargetState::Running))?;
        let help = "Whether a run of it was held, and waits to be released.";
        let held = targets.iter().map(|one| (of(&one.name), held.get(&one.name).copied().unwrap_or(0)));
        sheet.gauges("target_held", help, held)?;
        let times = |time: fn(&TargetStatus) -> Option<Timestamp>| {
            targets.iter().filter_map(move |one| Some((of(&one.name), seconds(time(one)?))))
        };
        let help = "When it is swept next, in Unix time. Not there while nothing is scheduled.";
        sheet.gauges("next_run_timestamp_seconds", help, times(|one| one.next_run))?;
        let help = "When its schedule asked for a run last, in Unix time. Not there while that is not known.";
        sheet.gauges("last_due_timestamp_seconds", help, times(|one| one.last_due))?;
        let help = "When a run of it that was a success ended last, in Unix time. Not there before the first.";
        sheet.gauges("last_success_timestamp_seconds", help, times(|one| one.last_success))
    }

    fn last_runs(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let runs = || self.status.targets.iter().filter_map(|one| Some((&one.name, &**one.last_run.as_ref()?)));
        let help = "When its last run began, in Unix time.";
        let began = runs().map(|(name, run)| (of(name), seconds(run.started)));
        sheet.gauges("last_run_timestamp_seconds", help, began)?;
        let help = "How long its last run took.";
        let took = runs().map(|(name, run)| (of(name), run.took.as_secs_f64()));
        sheet.gauges("last_run_duration_seconds", help, took)?;
        let outcome = runs().map(|(name, run)| (with(name, "outcome", word(run.outcome)), 1_u64));
        sheet.gauges("last_run_outcome", "How its last run ended; always 1.", outcome)?;
        let help = "Files that passed the filters in its last run that went on to judge.";
        let judged = || runs().filter(|(_, run)| has_judged(run));
        let candidates = judged().map(|(name, run)| (of(name), run.counts.candidates));
        sheet.gauges("last_run_candidates", help, candidates)?;
        let help = "Bytes of what was to go in its last run, whether it went or not.";
        let eligible = judged().map(|(name, run)| (of(name), run.counts.eligible));
        sheet.gauges("last_run_eligible_bytes", help, eligible)?;
        let known: HashMap<&TargetName, &Target> =
            self.targets.iter().map(|target| (&target.name, &**target)).collect();
        let measured = self.status.targets.iter().filter_map(|one| Some((&one.name, &**one.last_measured.as_ref()?)));
        let unmet = measured.flat_map(|(name, run)| {
            let limits = known.get(name).into_iter().flat_map(|target| judge::limits_of(&target.policy));
            limits.map(move |limit| {
                let missing = run.unmet.get(&limit).copied().unwrap_or_default();
                (with(name, "limit", limit.word()), missing)
            })
        });
        let help = "How far it is from a limit that its last run could not meet: bytes, of max_files files.";
        sheet.gauges("limit_unmet", help, unmet)
    }

    fn disks(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let each = || self.status.targets.iter().filter_map(|one| Some((of(&one.name), self.disks.get(&one.name)?)));
        let size = each().map(|(labels, disk)| (labels, disk.total_bytes));
        sheet.gauges("disk_size_bytes", "The size of its file system.", size)?;
        let available = each().map(|(labels, disk)| (labels, disk.available_bytes));
        sheet.gauges("disk_available_bytes", "What is free there, as df calls it available.", available)?;
        let wanted = each().filter_map(|(labels, disk)| Some((labels, disk.min_free_bytes?)));
        sheet.gauges("disk_min_free_bytes", "What min_free asks to be free there.", wanted)
    }
}

/// Returns whether a run says something of the files that are there: it was neither held nor kept from beginning, nor
/// stopped half way.
fn has_judged(run: &Report) -> bool {
    matches!(run.outcome, Outcome::Done | Outcome::Partial)
}
