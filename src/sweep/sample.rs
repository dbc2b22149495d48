//! Estimate of the bytes freed by files that go without a look at them.
//!
//! If a rule asks for nothing but the name, looking at each file would take a fifth of the time of the whole sweep,
//! only to tell how much space was freed. So the first files of a run are all looked at, which makes the figure exact
//! for most runs. Of the others some are looked at, and the rest is estimated from these.

/// Number of files of a run that are all looked at.
// Tests have small trees, which must reach the files beyond.
pub(super) const EXACT: u64 = if cfg!(test) { 4 } else { 10_000 };

/// Number of files of which one is looked at after that; a power of two.
pub(super) const ONE_IN: usize = 1 << ONE_IN_BITS;
const ONE_IN_BITS: u32 = 5;

/// Files that one worker has seen of these.
#[derive(Debug, Default)]
pub(super) struct Sample {
    /// Groups of files of which one is looked at.
    groups: u64,
    /// Files that were looked at.
    looked: u64,
    /// Bytes that the files looked at gave back.
    bytes: u64,
    /// Files that went without a look.
    unseen: u64,
}

/// Estimate for the files that were not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Estimate {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

impl Sample {
    /// Returns which of the next [`ONE_IN`] files is looked at.
    pub(super) fn next(&mut self) -> usize {
        // The place changes, so that no order of the files (an image, its thumbnail, an image, ...) coincides with that
        // of the sample. (Fibonacci hashing: the first is 0, and every place is as frequent as any other.)
        let place = self.groups.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - ONE_IN_BITS);
        self.groups += 1;
        place as usize
    }

    /// Counts a file that went without a look.
    pub(super) fn passed(&mut self) {
        self.unseen += 1;
    }

    /// Counts a file that was looked at, and the bytes that it gave back.
    pub(super) fn looked(&mut self, bytes: u64) {
        self.looked += 1;
        self.bytes += bytes;
    }

    /// Estimates the bytes that the other files have given back.
    pub(super) fn estimate(&self) -> Estimate {
        // The first file of the first group is looked at, so there is hardly a file without a look before one with it.
        let bytes = u128::from(self.bytes) * u128::from(self.unseen) / u128::from(self.looked.max(1));
        Estimate { files: self.unseen, bytes: u64::try_from(bytes).unwrap_or(u64::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_all_is_looked_at_and_every_place_as_often_as_any_other() {
        let mut sample = Sample::default();
        assert_eq!(sample.next(), 0);
        let mut places = [0; ONE_IN];
        for _ in 0..3200 {
            places[sample.next()] += 1;
        }
        assert!(places.iter().all(|times| (90..=110).contains(times)), "{places:?}");
    }

    #[test]
    fn what_was_not_looked_at_is_taken_to_be_like_what_was() {
        let mut sample = Sample::default();
        assert_eq!(sample.estimate(), Estimate { files: 0, bytes: 0 });
        for bytes in [100, 300] {
            sample.looked(bytes);
        }
        (0..50).for_each(|_| sample.passed());
        assert_eq!(sample.estimate(), Estimate { files: 50, bytes: 10_000 });
        sample.looked(u64::MAX - 1000);
        assert_eq!(sample.estimate(), Estimate { files: 50, bytes: u64::MAX });
    }
}
