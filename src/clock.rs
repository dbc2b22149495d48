//! The clocks, and the zone of the system. Only this module reads the time; everything else is told.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The wall clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub fn wall() -> Timestamp {
    Timestamp::now()
}

/// A point on the clock that is never set.
#[derive(Clone, Copy, Debug)]
pub struct Mark(std::time::Instant);

/// A mark to measure from.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub fn mark() -> Mark {
    Mark(std::time::Instant::now())
}

impl Mark {
    /// The time since the mark was made, without the time the machine was suspended.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn elapsed(self) -> Duration {
        std::time::Instant::now().saturating_duration_since(self.0)
    }
}

/// The time since the machine was started, also while it was suspended. It is never set.
#[must_use]
pub fn since_boot() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// When this program was built.
#[must_use]
pub fn built() -> Timestamp {
    env!("JANITOR_BUILT").parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok()).unwrap_or_default()
}

/// The zone of the system: `TZ`, else `/etc/localtime`, else UTC.
///
/// # Errors
/// When `TZ` or `/etc/localtime` names a zone that is not known here.
pub fn local_zone() -> Result<TimeZone, jiff::Error> {
    TimeZone::try_system().or_else(|error| match std::env::var_os("TZ") {
        None if is_utc(Path::new("/etc/localtime")) => Ok(TimeZone::UTC),
        _ => Err(error),
    })
}

/// Whether the zone is UTC although no zone can be read, as in a container without tzdata: a missing `/etc/localtime`
/// means UTC (localtime(5)), and a link to a file called `UTC` says it. A link to any other zone that is not installed
/// leaves open which time it is.
fn is_utc(localtime: &Path) -> bool {
    match localtime.read_link() {
        Ok(zone) => zone.ends_with("UTC"),
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
