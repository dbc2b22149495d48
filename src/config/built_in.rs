//! The target that stands in where there is no config file.

use std::path::Path;

use super::check::{BUILT_IN, BUILT_IN_SCHEDULE};
use super::own::absolute;
use crate::globs::Globs;
use crate::names::TargetName;
use crate::schedule::Schedule;
use crate::target::{Action, CatchUp, Missing, Policy, RootRule, Sandbox, Target, Unverifiable, Zone};

/// The target of the built-in config.
pub(super) fn built_in(zone: &Zone, base: &Path) -> Target {
    #[expect(clippy::expect_used, reason = "constants, and a test builds them")]
    let (name, schedule, globs) = (
        TargetName::new(BUILT_IN).expect("a good name"),
        Schedule::parse(BUILT_IN_SCHEDULE).expect("a good schedule"),
        Globs::new(["*"], []).expect("a good pattern"),
    );
    Target {
        name,
        written_path: BUILT_IN.to_owned(),
        path: absolute(Path::new(BUILT_IN), base),
        schedule,
        zone: zone.clone(),
        enabled: true,
        missing: Missing::Create,
        dry_run: false,
        threads: None,
        idle: false,
        action: Action::default(),
        trash_keep: Target::TRASH_KEEP,
        on_unverifiable: Unverifiable::default(),
        sandbox: Sandbox::default(),
        root: RootRule::default(),
        catch_up: CatchUp::default(),
        max_deletes: None,
        require: None,
        device: None,
        same_disk: Vec::new(),
        nested: Vec::new(),
        policy: Policy::new(globs),
    }
}
