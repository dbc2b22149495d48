use super::*;

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
    assert!(tally.sample.len() <= 2 * SAMPLED, "{}", tally.sample.len());
    let long = vec![b'x'; 1_000_000];
    let mut tally = Tally::new(Arc::new(Spec::all()));
    for at in 0..50 {
        tally.add(1, &long, Amount::default(), Identity { device: 1, inode: at });
    }
    assert!(tally.held.is_none());
    assert!(tally.sample_bytes <= HELD_BYTES / 2, "{}", tally.sample_bytes);
}
