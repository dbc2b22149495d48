//! Candidates in walks that do not act.

use super::act::Act;
use super::batch::Opened;
use super::pass::{Candidate, Told, taken};
use super::settle::TOO_MANY_LINKS;
use super::walk::Worker;
use crate::entry::Facts;
use crate::judge::limits::Amount;
use crate::judge::{self, Standing};

impl<A: Act> Worker<'_, A> {
    pub(super) fn survey(
        &mut self,
        directory: &Opened,
        name: &[u8],
        facts: &Facts,
        standing: &Standing,
        amount: Amount,
        linked: &[(crate::entry::Identity, u64, u64, u64)],
    ) {
        let told = match standing {
            Standing::Filtered(_) => return,
            Standing::Protected(because) => Told::Protected(because),
            Standing::Goes(_) => Told::Goes,
            Standing::Waits(_) => Told::Waits,
        };
        self.write_path(directory, name);
        let weight = judge::weight(self.sweep.policy(), facts, self.sweep.order.now);
        let candidate = Candidate { weight, path: &self.path, identity: facts.identity, amount, linked };
        if !self.walked.gathered.survey(&candidate, &told, &self.sweep.links) {
            self.sweep.control.cancel(TOO_MANY_LINKS);
        }
    }

    pub(super) fn newest(&mut self, standing: &Standing, name: &[u8], facts: &Facts) {
        if let (Some(newest), false) = (&mut self.walked.gathered.newest, matches!(standing, Standing::Filtered(_))) {
            newest.add(judge::newest_weight(self.sweep.policy(), facts, self.sweep.order.now), name);
        }
    }

    pub(super) fn first(
        &mut self,
        standing: &Standing,
        directory: &Opened,
        name: &[u8],
        facts: &Facts,
        after: &[super::pass::Limit],
        whole: bool,
    ) {
        if !matches!(standing, Standing::Waits(_)) {
            return;
        }
        let weight = judge::weight(self.sweep.policy(), facts, self.sweep.order.now);
        self.write_path(directory, name);
        if taken(after, weight, &self.path).is_none() {
            self.walked.gathered.next(weight, &self.path, facts.identity, whole);
        }
    }
}
