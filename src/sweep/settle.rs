//! Verdict on one candidate in a walk, and the action that follows.

use std::ffi::CStr;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};

use super::act::{Act, Hands, How, Undone};
use super::batch::Opened;
use super::event::Event;
use super::hold::{Going, Held};
use super::pass::{Pass, taken, worth};
use super::walk::{Sweep, TURNS, Worker, is_gone};
use crate::entry::{Asked, Facts, Stamps};
use crate::fsys::Found;
use crate::judge::limits::Amount;
use crate::judge::{self, Standing};
use crate::target::Unverifiable;
use crate::verdict::{Because, Protection, Reason};

/// Message with which the sweep is stopped when its candidates cannot be measured.
pub(super) const TOO_MANY_LINKS: &str = "more than 1000000 files with several hard links: what they take together \
                                         cannot be measured";

/// Message with which the sweep is stopped when most of its attempts fail.
pub(super) const TOO_MANY_ERRORS: &str = "50 files could not be removed, and that is half of those tried or more";

/// Number of errors that end a run, if they are half of the attempts.
const BRAKE: u64 = 50;

impl<'a, A: Act> Worker<'a, A> {
    /// Looks at an entry; counts an entry that is gone or cannot be looked at.
    pub(super) fn look(&mut self, directory: &Opened, name: &CStr) -> Option<Found> {
        let looked = directory.dir.look_listed(name, Asked::ALL);
        self.looked(directory, name, looked)
    }

    /// Returns what was found when an entry was looked at; counts an entry that is gone or could not be looked at.
    pub(super) fn looked(&mut self, directory: &Opened, name: &CStr, looked: io::Result<Found>) -> Option<Found> {
        match looked {
            Ok(found) => Some(found),
            Err(error) if is_gone(&error) => {
                self.walked.counts.vanished += 1;
                None
            }
            Err(error) => {
                directory.node.leave();
                self.unreadable(directory.at(name.to_bytes()), &error);
                None
            }
        }
    }

    /// Judges a regular file whose name was let through. Returns the file if it is to go, in a walk that acts;
    /// otherwise records it.
    pub(super) fn file(&mut self, directory: &Opened, name: &[u8], facts: &Facts) -> Option<Going<'a>> {
        let policy = self.sweep.policy();
        let mut standing = judge::by_facts(policy, facts, name, directory.kept.as_ref(), self.sweep.order.now);
        let is_candidate = !matches!(standing, Standing::Filtered(_));
        self.walked.gathered.has_candidates |= is_candidate;
        self.walked.counts.candidates += u64::from(is_candidate && self.acts());
        let may_go = match (&standing, self.pass) {
            (Standing::Goes(_), _) => true,
            (Standing::Waits(_), Pass::Act(limits)) => !limits.is_empty(),
            (Standing::Waits(_), Pass::Survey(_)) => policy.has_limits(),
            _ => false,
        };
        // If the act itself asks that right before, it need not be asked twice; unless a guard counts the files that
        // go.
        let Sweep { act, order, max_deletes, .. } = self.sweep;
        let is_asked = self.acts() && act.may_change() && !directory.is_trusted() && max_deletes.is_none();
        let by_act = is_asked && order.target.on_unverifiable == Unverifiable::Skip;
        let mut held = None;
        if policy.skip_open && may_go && !by_act {
            match self.hold(directory, name, facts) {
                Ok(free) => held = free,
                Err(because) => standing = Standing::Protected(because),
            }
        }
        if may_go && self.is_sticky(&directory.dir, name) {
            standing = Standing::Protected(Because::Sticky);
        }
        self.protect_restored(&mut standing, facts);
        self.protect_stuck(&mut standing, directory, name, facts);
        let is_asked = may_go || matches!(self.pass, Pass::First(_));
        if is_asked && directory.is_immutable() && matches!(standing, Standing::Goes(_) | Standing::Waits(_)) {
            standing = Standing::Protected(Because::InImmutable);
        }
        match self.pass {
            Pass::Act(limits) => {
                let verdict = match standing {
                    Standing::Goes(reason) => Ok(reason),
                    Standing::Filtered(because) | Standing::Protected(because) => Err(because),
                    Standing::Waits(because) if limits.is_empty() => Err(because),
                    Standing::Waits(because) => {
                        let weight = judge::weight(policy, facts, self.sweep.order.now);
                        self.write_path(directory, name);
                        taken(limits, weight, &self.path).cloned().ok_or(because)
                    }
                };
                match verdict.and_then(|reason| self.within_guard(1).map(|()| reason)) {
                    Ok(reason) => return Some(Going { reason, held }),
                    Err(because) => self.stays(directory, name, &because),
                }
            }
            Pass::Survey(_) => {
                let (amount, linked) = worth(facts);
                self.survey(directory, name, facts, &standing, amount, linked.as_slice());
            }
            Pass::Newest(_) => self.newest(&standing, name, facts),
            Pass::First(after) => self.first(&standing, directory, name, facts, after, false),
        }
        None
    }

    pub(super) fn write_path(&mut self, directory: &Opened, name: &[u8]) {
        self.path.clear();
        self.path.extend_from_slice(&directory.path);
        if !directory.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
    }

    /// Acts on a file that is to go. Returns whether it went.
    pub(super) fn goes(&mut self, directory: &Opened, name: &CStr, found: &Found, going: Going<'a>) -> bool {
        self.goes_by(self.sweep.act, directory, name, found, (&going.reason, going.held))
    }

    /// Acts on a file as [`Self::goes`] does, by an act that need not be that of the sweep.
    pub(super) fn goes_by<B: Act>(
        &mut self,
        act: &B,
        directory: &Opened,
        name: &CStr,
        found: &Found,
        (reason, held): (&Reason, Option<Held<'a>>),
    ) -> bool {
        let Sweep { aside, root, control, .. } = self.sweep;
        let skip_open = self.sweep.policy().skip_open;
        let (held, turn) = held.map_or((None, None), |Held { file, turn }| (Some(file), turn));
        let turn = if act.may_change() { turn.or_else(|| self.turn(&found.facts)) } else { None };
        let hands = Hands { aside, root, control, worker: self.number, skip_open, held: held.as_ref() };
        let Some(turn) = turn else {
            let done = act.act(directory, name, found, reason, hands);
            drop(held);
            return self.settle(directory, name, Some(&found.facts), reason, done);
        };
        if self.is_cancelled() {
            directory.node.leave();
            return false;
        }
        let now = self.but_for_other_names(directory, name, found);
        let done = now.and_then(|now| Ok((now, act.act(directory, name, &now, reason, hands)?)));
        drop((held, turn));
        let (facts, done) = match done {
            Ok((now, how)) => (now.facts, Ok(how)),
            Err(undone) => (found.facts, Err(undone)),
        };
        self.settle(directory, name, Some(&facts), reason, done)
    }

    /// Waits until no worker acts on another name of a file, and holds its lock; returns `None` for a file that has no
    /// other name.
    pub(super) fn turn(&self, facts: &Facts) -> Option<MutexGuard<'a, ()>> {
        let turn = || &self.sweep.turns[facts.identity.inode as usize % TURNS];
        (facts.links > 1).then(|| turn().lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at a file with several names again. Fails if anything of it has changed but its ctime and its number of
    /// links, which an action on another of its names changes.
    fn but_for_other_names(&self, directory: &Opened, name: &CStr, judged: &Found) -> Result<Found, Undone> {
        let now = directory.dir.look_listed(name, Asked::ALL)?;
        let age_by = self.sweep.policy().age_by;
        let what = |found: &Found| {
            let stamps = Stamps { changed: judged.facts.stamps.changed, ..found.facts.stamps };
            (found.kind, found.facts.identity, found.facts.size, stamps.modified, stamps.by(age_by))
        };
        if what(&now) != what(judged) {
            return Err(Undone::Stays(Because::Changed));
        }
        Ok(now)
    }

    /// Counts and reports the outcome of a file that was to go, with the facts that are known of it. Returns whether it
    /// went.
    pub(super) fn settle(
        &mut self,
        directory: &Opened,
        name: &CStr,
        facts: Option<&Facts>,
        reason: &Reason,
        done: Result<How, Undone>,
    ) -> bool {
        let name = name.to_bytes();
        let at = directory.at(name);
        let attempts = self.sweep.attempts.fetch_add(1, Ordering::Relaxed) + 1;
        let gives_back = facts.map_or(0, |facts| if facts.links == 1 { facts.allocated } else { 0 });
        self.walked.counts.eligible += gives_back;
        match done {
            Ok(how) => {
                self.walked.counts.deleted += 1;
                self.walked.counts.verified += u64::from(how == How::Verified);
                if self.sweep.frees(reason) {
                    self.walked.counts.freed += gives_back;
                    self.walked.counts.estimated += gives_back;
                }
                if let Some(facts) = facts {
                    let gone = &mut self.walked.gone;
                    gone.amount += Amount { files: 1, bytes: gives_back, freed: 0 };
                    gone.allocated = gone.allocated.saturating_add(facts.allocated);
                    gone.has_links |= facts.links > 1;
                }
                directory.node.empty();
                let event = match facts {
                    Some(facts) if !self.sweep.act.may_change() => Event::WouldRemove { at, facts, reason },
                    _ => Event::Removed { at, reason },
                };
                (self.sweep.observer)(&event);
                true
            }
            Err(Undone::Stays(because)) => {
                // Everybody may see the class, but not the examples.
                let named = because.named().map(|named| format!("{at}: {named}"));
                self.walked.left.add(because.without_names(), named.unwrap_or_else(|| at.to_string()));
                self.could_not_go(directory, name, facts, &because);
                self.give_back_guard(1);
                self.stays(directory, name, &because);
                false
            }
            Err(Undone::Stopped) => {
                directory.node.leave();
                false
            }
            Err(Undone::Failed(error)) if is_gone(&error) => {
                self.walked.counts.vanished += 1;
                self.give_back_guard(1);
                false
            }
            Err(Undone::Failed(error)) => {
                directory.node.leave();
                self.could_not_go(directory, name, facts, &Because::Refused(error.to_string().into()));
                self.give_back_guard(1);
                self.walked.counts.failed += 1;
                self.walked.failures.add(&error, at);
                (self.sweep.observer)(&Event::NotRemoved { at, error: &error });
                self.brake(attempts);
                false
            }
        }
    }

    /// Ends the run when half of its attempts or more fail: something is wrong that more attempts do not mend.
    fn brake(&self, attempts: u64) {
        let errors = self.sweep.errors.fetch_add(1, Ordering::Relaxed) + 1;
        if errors >= BRAKE && errors.saturating_mul(2) >= attempts {
            self.sweep.control.cancel(TOO_MANY_ERRORS);
        }
    }

    pub(super) fn stays(&mut self, directory: &Opened, name: &[u8], because: &Because) {
        directory.node.leave();
        self.walked.counts.kept += 1;
        self.note(because);
        if self.acts() {
            if because.protection() == Some(Protection::Immutable) {
                self.walked.immutable.add(because, directory.at(name));
            }
            (self.sweep.observer)(&Event::Stays { at: directory.at(name), because });
        }
    }
}
