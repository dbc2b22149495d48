//! The target that is used when there is no config file.

use std::path::Path;

use super::check::{BUILT_IN, BUILT_IN_SCHEDULE};
use super::own::absolute;
use crate::globs::Globs;
use crate::names::TargetName;
use crate::schedule::Schedule;
use crate::target::{Missing, Policy, Target, Zone};

/// Returns the target of the built-in config.
pub(super) fn built_in(zone: &Zone, base: &Path) -> Target {
    #[expect(clippy::expect_used, reason = "constants, and a test builds them")]
    let (name, schedule, globs) = (
        TargetName::new(BUILT_IN).expect("a good name"),
        Schedule::parse(BUILT_IN_SCHEDULE).expect("a good schedule"),
        Globs::new(["*"], []).expect("a good pattern"),
    );
    let path = absolute(Path::new(BUILT_IN), base);
    let target = Target::new(name, path, schedule, zone.clone(), Policy::new(globs));
    Target { written_path: BUILT_IN.to_owned(), missing: Missing::Create, ..target }
}
