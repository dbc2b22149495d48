//! The clocks, and the zone of the system. Only this module reads the time; every other module takes it as an argument.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

/// Returns the time of the wall clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub fn wall() -> Timestamp {
    Timestamp::now()
}

/// A point on the monotonic clock, which is never set.
#[derive(Clone, Copy, Debug)]
pub struct Mark(std::time::Instant);

/// Returns a mark to measure from.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub fn mark() -> Mark {
    Mark(std::time::Instant::now())
}

impl Mark {
    /// Returns the time since the mark was made, without the time the machine was suspended.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn elapsed(self) -> Duration {
        std::time::Instant::now().saturating_duration_since(self.0)
    }
}

/// Readings of the clocks at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Time of the wall clock.
    pub wall: Timestamp,
    /// Time since the machine was started.
    pub since_boot: Duration,
}

/// Returns the readings of the clocks now.
#[must_use]
pub fn now() -> Moment {
    Moment { wall: wall(), since_boot: since_boot() }
}

/// Returns the time since the machine was started, also while it was suspended. This clock is never set.
#[must_use]
pub fn since_boot() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Returns the time at which this program was built.
#[must_use]
pub fn built() -> Timestamp {
    env!("JANITOR_BUILT").parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok()).unwrap_or_default()
}

/// Names of UTC in the IANA database, which need no database.
const UTC: [&str; 12] = [
    "UTC",
    "Etc/UTC",
    "UCT",
    "Etc/UCT",
    "Universal",
    "Etc/Universal",
    "Zulu",
    "Etc/Zulu",
    "GMT",
    "Etc/GMT",
    "Greenwich",
    "Etc/Greenwich",
];

/// Path of the link to the zone of the system.
const LOCALTIME: &str = "/etc/localtime";

/// Directories in which a zone database may lie; the variable `TZDIR` names another one.
const DATABASES: [&str; 3] = ["/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"];

/// Returns the zone of this IANA name. UTC is known without a zone database.
///
/// # Errors
/// Fails when no zone of this name is known here.
pub fn zone(name: &str) -> Result<TimeZone, jiff::Error> {
    TimeZone::get(name).or_else(|error| match is_utc_name(name) {
        true => Ok(TimeZone::UTC),
        // The zone database may have been installed after the start.
        false => TimeZoneDatabase::from_env().get(name).map_err(|_| error),
    })
}

/// Returns the zone of the system: `TZ`, else `/etc/localtime`, else UTC.
///
/// # Errors
/// Fails when `TZ` or `/etc/localtime` names a zone that is not known here.
pub fn local_zone() -> Result<TimeZone, jiff::Error> {
    TimeZone::try_system().or_else(|error| match zone_of_variable() {
        None if is_utc(Path::new(LOCALTIME)) => Ok(TimeZone::UTC),
        None => Err(error),
        Some(name) => zone(&name).map_err(|_| error),
    })
}

/// Returns the value of the variable `TZ`, without the colon that may precede it.
fn zone_of_variable() -> Option<String> {
    let value = std::env::var_os("TZ")?.to_string_lossy().into_owned();
    Some(value.strip_prefix(':').map(str::to_owned).unwrap_or(value))
}

fn is_utc_name(name: &str) -> bool {
    UTC.iter().any(|utc| utc.eq_ignore_ascii_case(name))
}

/// Forgets the zones that were looked up, so that the next lookup reads the disk again.
pub fn forget_zones() {
    jiff::tz::db().reset();
    jiff::tz::reset_system_time_zone_cache();
}

/// State of the files that zones are read from. The state differs after one of the files was replaced, or changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZoneFiles(Vec<(PathBuf, Option<FileState>)>);

/// Device, inode, size, and the time of the last change of the inode.
type FileState = (u64, u64, u64, i64, i64);

impl ZoneFiles {
    /// Reads the state of the files of the system's zone and of the zones with these names.
    #[must_use]
    pub fn look<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let state = |about: Metadata| (about.dev(), about.ino(), about.size(), about.ctime(), about.ctime_nsec());
        let link = (PathBuf::from(LOCALTIME), Path::new(LOCALTIME).symlink_metadata().ok().map(state));
        let databases: Vec<PathBuf> =
            std::env::var_os("TZDIR").map(PathBuf::from).into_iter().chain(DATABASES.map(PathBuf::from)).collect();
        let names: BTreeSet<String> = names.map(str::to_owned).chain(zone_of_variable()).collect();
        let files = names.iter().flat_map(|name| databases.iter().map(move |database| database.join(name)));
        let followed = files.chain([PathBuf::from(LOCALTIME)]).map(|file| {
            let found = file.metadata().ok().map(state);
            (file, found)
        });
        Self([link].into_iter().chain(followed).collect())
    }
}

/// Returns whether the zone is UTC although no zone can be read, as in a container without tzdata. A missing
/// `/etc/localtime` means UTC (localtime(5)), and so does a link to a file with a name of UTC. A link to any other zone
/// that is not installed leaves open which time it is.
fn is_utc(localtime: &Path) -> bool {
    match localtime.read_link() {
        Ok(zone) => zone.file_name().and_then(|name| name.to_str()).is_some_and(is_utc_name),
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_system_without_a_zone_is_in_utc_and_one_with_an_unknown_zone_is_not() {
        let yard = tempfile::tempdir().expect("a temporary directory");
        let at = |name: &str| yard.path().join(name);
        symlink("/usr/share/zoneinfo/Etc/UTC", at("utc")).expect("made");
        symlink("/usr/share/zoneinfo/Europe/Berlin", at("berlin")).expect("made");
        std::fs::write(at("broken"), "no zone").expect("written");
        let found = ["missing", "utc", "berlin", "broken"].map(|name| is_utc(&at(name)));
        assert_eq!(found, [true, true, false, false]);
    }
}
