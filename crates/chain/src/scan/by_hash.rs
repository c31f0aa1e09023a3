//! Numbers of blocks by their hashes: open addressing over numbers alone, 5 to 7 bytes a block.
use super::chunks::Chunks;
use crate::encode::Hash;

const EMPTY: u32 = u32::MAX;
/// Slots that even the smallest table has.
const LEAST_SLOTS: u32 = 64;

/// The hashes themselves are where the numbers lead; a clone shares them as [`Chunks`] do.
#[derive(Clone, Default)]
pub(super) struct ByHash {
    slots: Chunks<u32>,
    used: u32,
}

impl ByHash {
    /// The number under a hash; `is` tells whether a number is the hash's.
    pub fn find(&self, hash: &Hash, is: impl Fn(u32) -> bool) -> Option<u32> {
        let slots = self.slots.len();
        let mut at = start(hash, slots);
        loop {
            match *self.slots.get(at)? {
                EMPTY => return None,
                number if is(number) => return Some(number),
                _ => at = if at + 1 == slots { 0 } else { at + 1 },
            }
        }
    }

    /// Adds a number whose hash is not there yet. `hash_of` gives the hash of any number that is.
    pub fn insert(&mut self, hash: &Hash, number: u32, hash_of: impl Fn(u32) -> Hash) {
        // A fifth stays empty, or probing gets long.
        if self.used >= self.slots.len() / 5 * 4 {
            let numbers: Vec<u32> = self.slots.iter().copied().filter(|number| *number != EMPTY).collect();
            let slots = self.used / 20 * 31 + LEAST_SLOTS;
            self.slots = std::iter::repeat_n(EMPTY, slots as usize).collect();
            for number in numbers {
                self.put(&hash_of(number), number);
            }
        }
        self.put(hash, number);
        self.used += 1;
    }

    fn put(&mut self, hash: &Hash, number: u32) {
        let slots = self.slots.len();
        let mut at = start(hash, slots);
        while self.slots.get(at).is_some_and(|slot| *slot != EMPTY) {
            at = if at + 1 == slots { 0 } else { at + 1 };
        }
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = number;
        }
    }

    #[cfg(test)]
    pub fn memory_bytes(&self) -> usize {
        self.slots.memory_bytes()
    }
}

/// The hash's first bytes spread over the slots: its last ones are zeros.
fn start(hash: &Hash, slots: u32) -> u32 {
    let [a, b, c, d, ..] = *hash;
    ((u64::from(u32::from_be_bytes([a, b, c, d])) * u64::from(slots)) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::sha256d;

    #[test]
    fn finds_what_was_put_in_and_nothing_else() {
        let hash_of = |number: u32| sha256d([&number.to_le_bytes()]);
        let mut table = ByHash::default();
        for number in 0..20_000 {
            assert_eq!(table.find(&hash_of(number), |found| found == number), None);
            table.insert(&hash_of(number), number, hash_of);
        }
        for number in 0..20_000 {
            assert_eq!(table.find(&hash_of(number), |found| hash_of(found) == hash_of(number)), Some(number));
        }
        assert!(table.memory_bytes() < 20_000 * 8);
    }

    #[test]
    fn hashes_with_one_beginning_are_told_apart() {
        let hash_of = |number: u32| {
            let mut hash = [0xff; 32];
            hash[28..].copy_from_slice(&number.to_le_bytes());
            hash
        };
        let mut table = ByHash::default();
        (0..300).for_each(|number| table.insert(&hash_of(number), number, hash_of));
        assert!((0..300).all(|number| table.find(&hash_of(number), |found| found == number) == Some(number)));
    }
}
