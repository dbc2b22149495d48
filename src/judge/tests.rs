use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::entry::{AgeBy, Identity, Stamp, Stamps};
use crate::globs::Globs;
use crate::verdict::Verdict;

fn policy() -> Policy {
    Policy::new(Globs::new(["*"], ["*.db"]).expect("good patterns"))
}

fn facts(size: u64, modified: i64) -> Facts {
    let stamp = Stamp::new(modified, 0);
    let stamps = Stamps { modified: stamp, accessed: stamp, changed: stamp, created: None };
    let identity = Identity { device: 1, inode: 1 };
    Facts { size, allocated: 4096, links: 1, identity, stamps, immutable: false }
}

/// The verdict, where no limit can have a say.
fn verdict(policy: &Policy, facts: &Facts) -> Verdict {
    match by_facts(policy, facts, b"name", None, now()) {
        Standing::Goes(reason) => Verdict::Goes(reason),
        Standing::Filtered(because) | Standing::Protected(because) | Standing::Waits(because) => {
            Verdict::Stays(because)
        }
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_000_000).expect("in range")
}

#[test]
fn the_answer_is_the_one_that_a_person_can_act_on() {
    let policy = policy();
    let place = policy.globs.root();
    let said = |name: &str, kind| by_name(&policy, &place, name.as_bytes(), kind);
    assert_eq!(said("a", Kind::File), None);
    assert_eq!(said("a", Kind::Symlink), Some(Because::NotRegular(Kind::Symlink)));
    assert_eq!(said("a.db", Kind::Symlink), Some(Because::Excluded("*.db".into())));
    assert_eq!(said("a.part", Kind::File), Some(Because::BuiltIn("*.part")));
    let policy = Policy { globs: Globs::new(["*.zip"], []).expect("good"), ..policy };
    assert_eq!(by_name(&policy, &policy.globs.root(), b"a", Kind::Special), Some(Because::NotIncluded));
}

#[test]
fn limits_are_exact() {
    let day = Duration::from_secs(86_400);
    let aged = |age: i64| facts(10, 1_000_000 - age);
    let old = Policy { older_than: Some(day), ..policy() };
    assert_eq!(verdict(&old, &aged(86_400)), Verdict::Goes(Reason::OlderThan { age: day, limit: day }));
    let younger = Duration::from_secs(86_399);
    assert_eq!(verdict(&old, &aged(86_399)), Verdict::Stays(Because::NotOld { age: younger, limit: day }));
    assert_eq!(verdict(&old, &aged(-1)), Verdict::Stays(Because::Future));
    let held = Policy { min_age: Some(day), ..policy() };
    assert_eq!(verdict(&held, &aged(86_400)), Verdict::Goes(Reason::Included));
    assert_eq!(verdict(&held, &aged(86_399)), Verdict::Stays(Because::MinAge { age: younger, limit: day }));
    let both = Policy { older_than: Some(day), min_age: Some(day * 2), ..policy() };
    assert!(matches!(verdict(&both, &aged(86_400)), Verdict::Stays(Because::MinAge { .. })));
    assert!(matches!(verdict(&both, &aged(100)), Verdict::Stays(Because::NotOld { .. })), "no reason to go");
    let larger = Policy { larger_than: Some(10), ..policy() };
    assert_eq!(verdict(&larger, &facts(10, 0)), Verdict::Stays(Because::NotLarger { size: 10, limit: 10 }));
    assert!(verdict(&larger, &facts(11, 0)).goes());
    let smaller = Policy { smaller_than: Some(10), ..policy() };
    assert_eq!(verdict(&smaller, &facts(10, 0)), Verdict::Stays(Because::NotSmaller { size: 10, limit: 10 }));
    assert!(verdict(&smaller, &facts(9, 0)).goes());
}

#[test]
fn a_stamp_matters_only_when_an_age_is_asked_for() {
    let future = facts(1, 2_000_000);
    assert!(verdict(&policy(), &future).goes());
    let any_age = Policy { min_age: Some(Duration::ZERO), ..policy() };
    assert_eq!(verdict(&any_age, &future), Verdict::Stays(Because::Future));
    let born = Policy { older_than: Some(Duration::from_secs(1)), age_by: AgeBy::Created, ..policy() };
    assert_eq!(verdict(&born, &facts(1, 0)), Verdict::Stays(Because::NoBirthTime));
    assert!(verdict(&Policy { older_than: None, ..born }, &facts(1, 0)).goes());
}

#[test]
fn what_only_a_limit_can_take_waits_and_what_is_protected_is_called_so() {
    let day = Duration::from_secs(86_400);
    let said = |policy: &Policy, age: i64| by_facts(policy, &facts(10, 1_000_000 - age), b"name", None, now());
    let limited = Policy { max_files: Some(3), ..policy() };
    assert_eq!(said(&limited, 5), Standing::Waits(Because::WithinLimits));
    let young = Because::MinAge { age: Duration::from_secs(5), limit: day };
    let held = Policy { min_age: Some(day), ..limited.clone() };
    assert_eq!(said(&held, 5), Standing::Protected(young.clone()));
    let old = Policy { older_than: Some(day), ..held };
    assert_eq!(said(&old, 5), Standing::Protected(young), "a limit could take it, were it not protected");
    let not_old = Because::NotOld { age: Duration::from_secs(5), limit: day };
    assert_eq!(said(&Policy { min_age: None, ..old.clone() }, 5), Standing::Waits(not_old.clone()));
    // Without a limit nothing asks for it, so nothing protects it either.
    assert_eq!(said(&Policy { max_files: None, ..old }, 5), Standing::Waits(not_old));
}

#[test]
fn a_candidate_is_what_passes_the_filters() {
    let sized = Policy { larger_than: Some(10), smaller_than: Some(20), ..policy() };
    let candidates: Vec<u64> = (9..22).filter(|size| is_candidate(&sized, &facts(*size, 0))).collect();
    assert_eq!(candidates, (11..20).collect::<Vec<_>>());
    assert!(is_candidate(&policy(), &facts(0, 2_000_000)));
}

#[test]
fn the_oldest_is_the_heaviest_unless_the_largest_goes_first() {
    let aged = |age: i64| facts(10, 1_000_000 - age);
    let second = 1_000_000_000_i128;
    assert_eq!(weight(&policy(), &aged(7), now()), 7 * second);
    assert_eq!(weight(&policy(), &aged(-7), now()), -7 * second);
    let largest = Policy { order: GoesFirst::Largest, ..policy() };
    assert_eq!(weight(&largest, &aged(7), now()), 4096);
    assert_eq!(newest_weight(&largest, &aged(7), now()), 7 * second, "the newest is the newest in any order");
    let born = Policy { age_by: AgeBy::Created, ..policy() };
    assert_eq!(newest_weight(&born, &aged(7), now()), i128::MIN);
}

#[test]
fn the_newest_of_a_directory_are_protected_by_weight_and_name() {
    let three = 3.try_into().expect("not zero");
    let mut newest = Newest::new(three);
    let second = 1_000_000_000_i128;
    for (age, name) in [(5, "a"), (5, "b"), (9, "c"), (1, "d"), (5, "e")] {
        newest.add(age * second, name.as_bytes());
    }
    // However many have looked, together they find the same.
    let mut other = Newest::new(three);
    let mut third = other.clone();
    for (at, (age, name)) in [(5, "a"), (5, "b"), (9, "c"), (1, "d"), (5, "e")].into_iter().enumerate() {
        if at % 2 == 0 { &mut other } else { &mut third }.add(age * second, name.as_bytes());
    }
    other.merge(third);
    assert_eq!(other.kept(), newest.clone().kept());
    let mut few = Newest::new(three);
    few.add(5, b"a");
    few.add(9, b"b");
    assert_eq!(few.kept(), Kept::all(three), "not more than are kept, so all are");
    let kept = newest.kept();
    let held = |age: i64, name: &str| {
        let said = by_facts(&policy(), &facts(10, 1_000_000 - age), name.as_bytes(), Some(&kept), now());
        match said {
            Standing::Protected(because) => {
                assert_eq!(because, Because::KeepNewest(3));
                true
            }
            said => {
                assert_eq!(said, Standing::Goes(Reason::Included));
                false
            }
        }
    };
    // Of equally old ones the last by name are kept.
    let held: Vec<bool> = [(5, "a"), (5, "b"), (9, "c"), (1, "d"), (5, "e")].map(|(age, name)| held(age, name)).into();
    assert_eq!(held, [false, true, false, true, true]);
}

#[test]
fn a_directory_that_was_empty_before_needs_an_age() {
    let (day, week) = (Duration::from_secs(86_400), Duration::from_secs(604_800));
    let said =
        |policy: &Policy, age: i64| empty_directory(policy, &facts(0, 1_000_000 - age).stamps, false, now()).is_ok();
    let ages = Policy { older_than: Some(day), min_age: Some(week), ..policy() };
    for (policy, limit) in [
        (policy(), EMPTY_AGE),
        (Policy { min_age: None, ..ages.clone() }, day),
        (Policy { older_than: None, ..ages.clone() }, week),
        (ages.clone(), week),
    ] {
        let limit = i64::try_from(limit.as_secs()).expect("small");
        assert_eq!([limit - 1, limit, limit + 1, -1].map(|age| said(&policy, age)), [false, true, true, false]);
    }
    let stamps = facts(0, 1_000_000).stamps;
    let young = Because::MinAge { age: Duration::ZERO, limit: week };
    // What has become empty needs `min_age` and no more.
    assert_eq!(empty_directory(&ages, &stamps, true, now()), Err(young.clone()));
    let of_week = facts(0, 1_000_000 - 604_800).stamps;
    assert_eq!(empty_directory(&ages, &of_week, true, now()), Ok(Reason::Emptied));
    let without = Policy { min_age: None, ..ages.clone() };
    assert_eq!(empty_directory(&without, &stamps, true, now()), Ok(Reason::Emptied));
    assert_eq!(empty_directory(&ages, &stamps, false, now()), Err(young));
    let future = facts(0, 2_000_000).stamps;
    assert_eq!(empty_directory(&ages, &future, false, now()), Err(Because::Future));
}

const AGES: [AgeBy; 5] = [AgeBy::Modified, AgeBy::Accessed, AgeBy::Changed, AgeBy::Created, AgeBy::Newest];

/// The one sentence, word by word: passes the filters, has a reason, and nothing protects it. In plain nanoseconds.
fn oracle(policy: &Policy, stamps: [i128; 3], created: Option<i128>, size: u64, now: i128) -> bool {
    let filters =
        policy.larger_than.is_none_or(|limit| size > limit) && policy.smaller_than.is_none_or(|limit| size < limit);
    let [modified, accessed, changed] = stamps;
    let stamp = match policy.age_by {
        AgeBy::Modified => Some(modified),
        AgeBy::Accessed => Some(accessed),
        AgeBy::Changed => Some(changed),
        AgeBy::Created => created,
        AgeBy::Newest => created.map(|created| modified.max(changed).max(created)),
    };
    let nanos = |limit: Duration| i128::try_from(limit.as_nanos()).expect("small");
    let age = stamp.map(|stamp| now - stamp);
    let reasons = [policy.older_than.map(|limit| age.is_some_and(|age| age >= nanos(limit)))];
    let named: Vec<bool> = reasons.into_iter().flatten().collect();
    let has_reason = named.is_empty() || named.contains(&true);
    let age_asked = policy.older_than.is_some() || policy.min_age.is_some();
    let too_young = policy.min_age.is_some_and(|limit| age.is_none_or(|age| age < nanos(limit)));
    let no_age = age_asked && age.is_none_or(|age| age < 0);
    filters && has_reason && !too_young && !no_age
}

/// A stamp near the limits that matter, or anywhere at all.
fn stamp() -> impl Strategy<Value = (i64, u32)> {
    let near = (999_990_i64..1_000_010, 0_u32..3);
    let anywhere = (any::<i64>(), 0_u32..1_000_000_000);
    let edge = (prop::sample::select(vec![i64::MIN, i64::MAX, 0, -1]), Just(999_999_999));
    prop_oneof![6 => near, 1 => anywhere, 1 => edge]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn the_judge_agrees_with_the_one_sentence(
        stamps in prop::array::uniform3(stamp()),
        created in prop::option::of(stamp()),
        size in 0_u64..6,
        larger_than in prop::option::of(0_u64..6),
        smaller_than in prop::option::of(1_u64..6),
        older_than in prop::option::of((0_u64..12, 0_u32..3)),
        min_age in prop::option::of((0_u64..12, 0_u32..3)),
        age_by in prop::sample::select(AGES.to_vec()),
    ) {
        let limit = |(seconds, nanos): (u64, u32)| Duration::new(seconds, nanos);
        let policy = Policy {
            larger_than, smaller_than, age_by,
            older_than: older_than.map(limit),
            min_age: min_age.map(limit),
            ..policy()
        };
        let made = |(seconds, nanos): (i64, u32)| Stamp::new(seconds, nanos);
        let [modified, accessed, changed] = stamps.map(made);
        let facts = Facts {
            size, allocated: 0, links: 1, identity: Identity { device: 1, inode: 1 },
            stamps: Stamps { modified, accessed, changed, created: created.map(made) },
            immutable: false,
        };
        let nanos = |(seconds, nanos): (i64, u32)| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        let goes = oracle(&policy, stamps.map(nanos), created.map(nanos), size, 1_000_000 * 1_000_000_000);
        let verdict = verdict(&policy, &facts);
        prop_assert_eq!(verdict.goes(), goes, "{:?}: {:?}", policy, verdict);
    }
}
