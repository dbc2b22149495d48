//! What refuses to go when it comes to it: the next ones go instead.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::Yard;
use super::forest::{Sprout, grow, list, sprouts};
use super::held::Held;
use super::oracle::{cases, oracle, told};
use super::wish::{self, Wish, wish};
use crate::entry::Facts;
use crate::fsys::{Dir, Found};
use crate::report::Outcome;
use crate::sweep::act::{Act, Hands, How, Remove, Undone};
use crate::sweep::batch::Opened;
use crate::sweep::emptied::Emptied;
use crate::target::{Target, Unverifiable};
use crate::verdict::{Because, Reason};

/// An act that refuses some inodes, as the system does, or who has them open.
pub(super) struct Refusing<'a> {
    inodes: &'a BTreeSet<u64>,
    remove: Remove,
}

impl<'a> Refusing<'a> {
    pub(super) fn new(inodes: &'a BTreeSet<u64>) -> Self {
        Self { inodes, remove: Remove(Unverifiable::Skip) }
    }
}

impl Act for Refusing<'_> {
    fn may_change(&self) -> bool {
        true
    }

    fn goes_by_name(&self, directory: &Opened) -> bool {
        self.remove.goes_by_name(directory)
    }

    fn by_name(
        &self,
        directory: &Opened,
        name: &CStr,
        judged: Option<&Facts>,
        reason: &Reason,
        root: &Dir,
    ) -> Result<How, Undone> {
        let found = directory.dir.look(name.to_bytes()).map_err(Undone::Failed)?;
        if self.inodes.contains(&found.facts.identity.inode) {
            return Err(Undone::Stays(Because::Conflict("refused".into())));
        }
        self.remove.by_name(directory, name, judged, reason, root)
    }

    fn act(
        &self,
        directory: &Opened,
        name: &CStr,
        found: &Found,
        reason: &Reason,
        hands: Hands<'_>,
    ) -> Result<How, Undone> {
        if self.inodes.contains(&found.facts.identity.inode) {
            return Err(Undone::Stays(Because::Conflict("refused".into())));
        }
        self.remove.act(directory, name, found, reason, hands)
    }

    fn directory(&self, parent: &Dir, name: &[u8], emptied: Emptied<'_>, hands: Hands<'_>) -> Result<(), Undone> {
        self.remove.directory(parent, name, emptied, hands)
    }
}

/// What refuses to go counts as protected, though that is only found out when it is tried.
fn replaces(wish: &Wish, sprouts: &[Sprout], one_in: usize) -> Result<(), TestCaseError> {
    let yard = Yard::new();
    grow(&yard, wish.require, sprouts);
    let seen = list(&yard.root, wish.age_by);
    let files = seen.iter().filter(|entry| !entry.is_directory && !entry.is_link);
    let inodes: BTreeSet<u64> = files.step_by(one_in).map(|entry| entry.inode).collect();
    let mut allocated: BTreeMap<u64, u64> =
        seen.iter().filter(|seen| !seen.is_directory).map(|seen| (seen.inode, seen.allocated)).collect();
    if let Ok(about) = yard.root.join("../elsewhere").symlink_metadata() {
        allocated.insert(about.ino(), about.blocks() * 512);
    }
    let held = Held { refused: inodes.clone(), ..Held::default() };
    let expected = oracle(wish, &seen, &held).unwrap_or_default();
    let mut order = yard.order(wish.policy());
    order.target = std::sync::Arc::new(Target {
        threads: NonZeroUsize::new(wish.threads),
        require: wish.require.then(|| "sentinel".into()),
        ..(*order.target).clone()
    });
    let act = Refusing::new(&inodes);
    let (report, removed) = told(&order, &act, allocated.values().sum(), &AtomicBool::new(false));
    prop_assert_eq!(report.outcome, Outcome::Done, "{:?}", report);
    prop_assert_eq!(&removed, &expected, "{:?}", report);
    Ok(())
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn the_next_ones_go_instead_of_what_refuses_to(wish in wish(), one_in in 2_usize..6, sprouts in sprouts()) {
        let wish = Wish {
            skip_open: false,
            holds: wish::Holds::default(),
            whole_dirs: false,
            max_deletes: None,
            action: wish::Act::Delete,
            max_files: wish.max_files.or(Some(2)),
            ..wish
        };
        replaces(&wish, &sprouts, one_in)?;
    }
}
