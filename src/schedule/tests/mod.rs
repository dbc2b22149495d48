//! Tests of schedules. The oracle is [`debian`], which shares no code with what it judges.

mod agreement;
mod invariants;
mod parsing;
mod pinned;
mod refusals;
mod zones;

use proptest::prelude::*;

use super::{Schedule, debian};

fn schedule(text: &str) -> Schedule {
    Schedule::parse(text).unwrap_or_else(|error| unreachable!("`{text}`: {error:?}"))
}

/// Fields of all shapes, from values that the clock shows: lists, ranges, steps, stars.
fn field(low: u8, high: u8) -> impl Strategy<Value = String> {
    let number = low..=high;
    let range = (low..high).prop_flat_map(move |from| (Just(from), from + 1..=high));
    let stepped = range.clone().prop_flat_map(|(from, to)| (Just(from), Just(to), 1..=(to - from)));
    let item = prop_oneof![
        4 => number.prop_map(|n| n.to_string()),
        1 => range.prop_map(|(from, to)| format!("{from}-{to}")),
        1 => stepped.prop_map(|(from, to, step)| format!("{from}-{to}/{step}")),
        1 => (1..=high - low).prop_map(|step| format!("*/{step}")),
    ];
    prop_oneof![
        3 => Just("*".to_owned()),
        5 => item.clone(),
        1 => prop::collection::vec(prop_oneof![4 => item, 1 => beyond()], 2..4).prop_map(|items| items.join(",")),
    ]
}

/// Steps of which most lead beyond any range: refused only as all of a minute or an hour.
fn beyond() -> impl Strategy<Value = String> {
    (1..300u16).prop_map(|step| format!("*/{step}"))
}

/// Mostly unrestricted, since a random day is seldom one on which clocks change.
fn day_field(low: u8, high: u8) -> impl Strategy<Value = String> {
    prop_oneof![9 => Just("*".to_owned()), 3 => field(low, high), 1 => beyond()]
}

/// Five fields, the hours near those at which clocks change.
fn five_fields() -> impl Strategy<Value = String> {
    let hour = prop_oneof![2 => field(0, 23), 2 => field(0, 4), 1 => (0..4u8).prop_map(|hour| format!("{hour},23"))];
    let month = prop_oneof![9 => Just("*".to_owned()), 1 => field(1, 12)];
    let dow = prop_oneof![4 => day_field(0, 7), 1 => Just("fri-sun".to_owned()), 1 => Just("Mon,wed".to_owned())];
    (field(0, 59), hour, day_field(1, 31), month, dow)
        .prop_map(|(minute, hour, dom, month, dow)| format!("{minute} {hour} {dom} {month} {dow}"))
}

/// As many cases as a property is worth, and no files left behind.
fn cases(count: u32) -> ProptestConfig {
    ProptestConfig { cases: count, failure_persistence: None, ..ProptestConfig::default() }
}
