use super::*;
use crate::judge::links::Fate;

fn item(weight: i128, path: &str) -> (i128, String) {
    (weight, path.to_owned())
}

/// Finds the cut as a sweep does: as many surveys as it takes, by as many workers.
fn found(all: &[(i128, String)], need: Amount, workers: usize) -> (Cut, Amount, usize) {
    let mut spec = Arc::new(Spec::all());
    let mut before = Amount::default();
    for surveys in 1..20 {
        let mut tallies: Vec<Tally> = (0..workers).map(|_| Tally::new(spec.clone())).collect();
        for (at, (weight, path)) in all.iter().enumerate() {
            let amount = Amount { files: 1, bytes: 3, freed: 3 };
            let identity = Identity { device: 1, inode: at as u64 };
            tallies[at % workers].add(*weight, path.as_bytes(), amount, identity);
        }
        let first = tallies.remove(0);
        let tally = tallies.into_iter().fold(first, |mut sum, other| {
            sum.merge(other);
            sum
        });
        let left = Amount { files: need.files - before.files, ..Amount::default() };
        match tally.find(left) {
            Search::Found { cut, amount } => return (cut, before + amount, surveys),
            Search::Closer { spec: closer, before: more } => {
                before += more;
                spec = Arc::new(closer);
            }
        }
    }
    panic!("no end of surveys");
}

/// The cut is where a full sort puts it, whatever the candidates are like.
fn agrees(all: &[(i128, String)], most_surveys: usize) {
    let mut sorted = all.to_vec();
    sorted.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(&other.1)));
    for count in [1, all.len() / 3, all.len() / 2, all.len() - 1, all.len()] {
        let need = Amount { files: count as u64, ..Amount::default() };
        let (weight, path) = &sorted[count - 1];
        let last = Rank { weight: *weight, path: path.as_bytes().into() };
        let (cut, amount, surveys) = found(all, need, 3);
        assert_eq!(cut, Cut::Until(last), "{count} of {}", all.len());
        assert_eq!(amount, Amount { files: count as u64, bytes: 3 * count as u64, freed: 3 * count as u64 });
        assert!(surveys <= most_surveys, "{surveys} surveys for {count} of {}", all.len());
        assert_eq!(sorted.iter().filter(|(weight, path)| cut.takes(*weight, path.as_bytes())).count(), count);
    }
    let more = Amount { files: all.len() as u64 + 1, ..Amount::default() };
    assert_eq!(found(all, more, 2).0, Cut::All);
}

#[test]
fn few_candidates_take_one_survey() {
    agrees(&[item(5, "b"), item(5, "a"), item(9, "z"), item(-3, "c")], 1);
}

#[test]
fn many_candidates_of_many_ages_take_two() {
    let all: Vec<_> = (0..100_000_u64).map(|at| item(i128::from(scatter(at) >> 20), &format!("d/{at}"))).collect();
    agrees(&all, 2);
}

#[test]
fn equally_old_ones_are_told_apart_by_path() {
    let all: Vec<_> = (0..100_000).map(|at| item(7_000_000_000, &format!("some/where/{at}"))).collect();
    agrees(&all, 3);
}

#[test]
fn what_lies_close_together_is_told_apart() {
    let base = 30 * 86_400 * 1_000_000_000_i128;
    let all: Vec<_> = (0..100_000_i128).map(|at| item(base + at % 1000, &format!("{at}"))).collect();
    agrees(&all, 3);
}

#[test]
fn a_slot_never_goes_before_a_heavier_one() {
    let mut weights = vec![0, 1, 2, 255, 256, 257, 511, 512, 513, i128::from(u64::MAX), i128::MAX];
    weights.extend((0..126).flat_map(|bit| [(1_i128 << bit) - 1, 1 << bit, (1 << bit) + 1]));
    weights.sort_unstable();
    let slots: Vec<_> = weights.iter().map(|weight| Scale::Weights.slot(*weight, b"")).collect();
    assert!(slots.is_sorted_by(|lighter, heavier| lighter >= heavier), "{slots:?}");
    assert!(slots.iter().all(|slot| *slot < Scale::Weights.slots()));
    assert_eq!(Scale::Weights.slot(-1, b""), Scale::Weights.slot(0, b""));
}

#[test]
fn what_is_held_has_an_end() {
    let mut tally = Tally::new(Arc::new(Spec::all()));
    for at in 0..200_000_u64 {
        tally.add(1, at.to_string().as_bytes(), Amount::default(), Identity { device: 1, inode: at });
    }
    assert!(tally.held.is_none());
    assert!(tally.sample.len() < 2 * SAMPLED, "{}", tally.sample.len());
    let long = vec![b'x'; 1_000_000];
    let mut tally = Tally::new(Arc::new(Spec::all()));
    for at in 0..50 {
        tally.add(1, &long, Amount::default(), Identity { device: 1, inode: at });
    }
    assert!(tally.held.is_none());
    assert!(tally.sample_bytes <= HELD_BYTES / 2, "{}", tally.sample_bytes);
}

#[test]
fn the_heaviest_goes_first_and_of_equals_the_first_by_path() {
    let rank = |weight: i128, path: &str| Rank { weight, path: path.as_bytes().into() };
    let order = [rank(9, "b"), rank(5, "a"), rank(5, "b"), rank(-1, "a")];
    for (at, one) in order.iter().enumerate() {
        for (other_at, other) in order.iter().enumerate() {
            let before = one.goes_before(other.weight, &other.path);
            let after = one.is_after(other.weight, &other.path);
            assert_eq!((before, after), (at < other_at, at > other_at), "{one:?} {other:?}");
            assert_eq!(one.partial_cmp(other), Some(at.cmp(&other_at)));
        }
    }
}

#[test]
fn each_step_of_the_scale_is_a_256th() {
    assert_eq!(Scale::Weights.slots(), 120 * 256);
    assert_eq!(Scale::Weights.slot(0, b""), 120 * 256 - 1);
    for bit in 8..126 {
        let (weight, step) = (1_i128 << bit, 1_i128 << (bit - 8));
        let slot = Scale::Weights.slot(weight, b"");
        assert_eq!(Scale::Weights.slot(weight + step, b"") + 1, slot, "{bit}");
        assert_eq!(Scale::Weights.slot(weight + step - 1, b""), slot, "{bit}");
        assert_eq!(Scale::Weights.slot(weight - 1, b""), slot + 1, "{bit}");
    }
    let ranks =
        |weights: &[i128]| weights.iter().map(|weight| Rank { weight: *weight, path: b"m"[..].into() }).collect();
    let between = Scale::Between(ranks(&[9, 5, 1]));
    assert_eq!(between.slots(), 4);
    for (weight, path, slot) in
        [(10, "a", 0), (9, "a", 0), (9, "m", 0), (9, "z", 1), (5, "m", 1), (2, "a", 2), (0, "a", 3)]
    {
        assert_eq!(between.slot(weight, path.as_bytes()), slot, "{weight} {path}");
    }
}

#[test]
fn candidates_are_held_until_there_is_one_too_many() {
    assert_eq!((HELD, HELD_BYTES), (32_768, 4_194_304));
    let identity = |inode| Identity { device: 1, inode };
    let mut tally = Tally::new(Arc::new(Spec::all()));
    for at in 0..HELD as u64 {
        tally.add(1, b"x", Amount::default(), identity(at));
    }
    assert!(tally.held.is_some());
    tally.add(1, b"x", Amount::default(), identity(0));
    assert!(tally.held.is_none());
    let mut tally = Tally::new(Arc::new(Spec::all()));
    for at in 0..4 {
        tally.add(1, &vec![b'x'; HELD_BYTES / 4], Amount::default(), identity(at));
    }
    assert!(tally.held.is_some());
    tally.add(1, b"x", Amount::default(), identity(4));
    assert!(tally.held.is_none());
}

#[test]
fn what_several_links_are_worth_is_found_where_the_last_of_them_is() {
    let mut links = Links::default();
    assert!(links.add(Identity { device: 1, inode: 1 }, 100, 2, 1, Fate::Waits(5, b"a")));
    assert!(links.add(Identity { device: 1, inode: 1 }, 100, 2, 1, Fate::Waits(3, b"c")));
    for spilled in [false, true] {
        let mut tally = Tally::new(Arc::new(Spec::all()));
        for (weight, path) in [(9, "z"), (5, "a"), (4, "b"), (3, "c"), (1, "d")] {
            let identity = Identity { device: 1, inode: 2 };
            tally.add(weight, path.as_bytes(), Amount { files: 1, bytes: 0, freed: 0 }, identity);
        }
        if spilled {
            tally.spill();
        }
        tally.credit(&links);
        match tally.find(Amount { files: 0, bytes: 100, freed: 100 }) {
            Search::Found { cut, amount } => {
                assert!(!spilled);
                assert_eq!(cut, Cut::Until(Rank { weight: 3, path: b"c"[..].into() }));
                assert_eq!(amount, Amount { files: 4, bytes: 100, freed: 100 });
            }
            Search::Closer { spec, before } => {
                assert!(spilled);
                assert_eq!(spec.range[0].1, Scale::Weights.slot(3, b"c"));
                assert_eq!(before, Amount { files: 3, bytes: 0, freed: 0 });
            }
        }
    }
    // A closer look at other candidates has nothing to do with it.
    let elsewhere = Spec { range: vec![(Scale::Weights, 0)], scale: Scale::Whole };
    let mut tally = Tally::new(Arc::new(elsewhere));
    tally.spill();
    tally.credit(&links);
    assert_eq!(tally.slots, [Amount::default()]);
}

#[test]
fn the_sample_of_several_workers_is_as_random_as_that_of_one() {
    let worker = |from: u64, to: u64| {
        let mut tally = Tally::new(Arc::new(Spec::all()));
        for at in from..to {
            tally.add(1, b"x", Amount::default(), Identity { device: 1, inode: at });
        }
        tally
    };
    let mut sum = worker(0, 100_000);
    let until = sum.sampled_until;
    sum.merge(worker(100_000, 100_100));
    assert!(sum.sampled_until <= until);
    assert!(sum.sample.iter().all(|(hash, _)| *hash <= sum.sampled_until));
    assert!(sum.sample.len() >= SAMPLED, "{}", sum.sample.len());
    assert_eq!(sum.sample_bytes, sum.sample.len());
    let mut other = worker(100_000, 100_100);
    other.merge(worker(0, 100_000));
    assert_eq!(other.sample.len(), sum.sample.len());
}

#[test]
fn inodes_are_spread_as_split_mix_spreads_them() {
    // The first output of the generator (Steele, Lea and Flood 2014) with these seeds.
    assert_eq!(scatter(0), 0xe220_a839_7b1d_cdaf);
    assert_eq!(scatter(1_234_567), 6_457_827_717_110_365_317);
}
