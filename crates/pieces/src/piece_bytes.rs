//! The bytes of one piece in memory, in portions that are hashed, written and freed without being moved.

use crate::budget::{BUFFER_BYTES, Reservation};
use crate::portion::Portion;

/// Bytes in a portion: enough to fill the widest lanes with leaves, little enough to be hashed while it is in the
/// nearest caches; a multiple of the block, so that no block lies in two.
pub(crate) const PORTION_BYTES: usize = BUFFER_BYTES;

/// A piece's bytes and the memory they are charged to.
pub(crate) struct PieceBytes {
    portions: Box<[Portion]>,
    length: usize,
    reservation: Reservation,
}

impl PieceBytes {
    /// No bytes yet of `length`. Memory is taken as they come.
    pub(crate) fn new(length: usize, reservation: Reservation) -> Self {
        let portions = (0..length.div_ceil(PORTION_BYTES)).map(|_| Portion::default()).collect();
        Self { portions, length, reservation }
    }

    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// All portions in order.
    pub(crate) fn portions(&self) -> &[Portion] {
        &self.portions
    }

    /// Bytes that portion `n` has when it is whole.
    fn portion_bytes(&self, n: usize) -> usize {
        self.length.saturating_sub(n * PORTION_BYTES).min(PORTION_BYTES)
    }

    /// Keeps a block; false when it is not inside one portion of the piece.
    pub(crate) fn put(&mut self, begin: usize, data: &[u8]) -> bool {
        let (n, at) = (begin / PORTION_BYTES, begin % PORTION_BYTES);
        let whole = self.portion_bytes(n);
        let Some(portion) = self.portions.get_mut(n).filter(|_| at + data.len() <= whole) else {
            return false;
        };
        if portion.is_nothing() {
            *portion = self.reservation.buffer(whole);
        }
        portion.put(at, data);
        true
    }

    /// Fills with zeros what nobody wrote at the end of each portion: padding.
    pub(crate) fn fill_up(&mut self) {
        for n in 0..self.portions.len() {
            let whole = self.portion_bytes(n);
            if let Some(portion) = self.portions.get_mut(n) {
                portion.fill_up(whole);
            }
        }
    }

    /// Takes portion `n` out, padded with zeros to its length; [`Self::give_back`] follows.
    pub(crate) fn take(&mut self, n: usize) -> Portion {
        let whole = self.portion_bytes(n);
        let mut portion = self.portions.get_mut(n).map(std::mem::take).unwrap_or_default();
        portion.fill_up(whole);
        portion
    }

    pub(crate) fn give_back(&mut self, n: usize, portion: Portion) {
        if let Some(slot) = self.portions.get_mut(n) {
            *slot = portion;
        }
    }

    /// Copies `[begin, begin + out.len())`, which must be inside the piece.
    pub(crate) fn copy_to(&self, begin: usize, out: &mut [u8]) {
        let (mut n, mut at, mut rest) = (begin / PORTION_BYTES, begin % PORTION_BYTES, out);
        while !rest.is_empty() {
            let portion = self.portions.get(n).and_then(|portion| portion.get(at..)).unwrap_or_default();
            let (head, tail) = rest.split_at_mut(portion.len().min(rest.len()));
            if head.is_empty() {
                return;
            }
            head.copy_from_slice(portion.split_at(head.len()).0);
            (n, at, rest) = (n + 1, 0, tail);
        }
    }
}

impl Drop for PieceBytes {
    fn drop(&mut self) {
        self.reservation.give_back(self.portions.iter_mut().map(std::mem::take));
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Budget;

    proptest! {
        #[test]
        fn blocks_in_any_order_make_the_piece(
            length in 1..1_200_000usize, seed: u64, cuts in proptest::collection::vec((any::<u32>(), 1..40_000usize), 1..6),
        ) {
            let data: Vec<u8> = (0..length).map(|n| (n / 7 % 251) as u8).collect();
            let mut bytes = PieceBytes::new(length, Budget::new(0).take(1).unwrap());
            let mut blocks: Vec<usize> = (0..length.div_ceil(16384)).collect();
            blocks.sort_by_key(|n| (*n as u64 + 1).wrapping_mul(seed | 1));
            for n in blocks {
                prop_assert!(bytes.put(n * 16384, &data[n * 16384..length.min((n + 1) * 16384)]));
            }
            prop_assert!(bytes.portions().iter().flat_map(|portion| portion.iter()).copied().eq(data.iter().copied()));
            for (at, count) in cuts {
                let begin = at as usize % length;
                let mut out = vec![0xaa; count.min(length - begin)];
                bytes.copy_to(begin, &mut out);
                prop_assert_eq!(&out, &data[begin..begin + out.len()]);
            }
        }
    }

    #[test]
    fn what_nobody_wrote_is_zeros_and_what_does_not_fit_is_refused() {
        let mut bytes = PieceBytes::new(PORTION_BYTES + 20_000, Budget::new(0).take(1).unwrap());
        assert!(bytes.put(16384, &[7; 16384]));
        assert!(!bytes.put(PORTION_BYTES - 1, &[7; 2]) && !bytes.put(PORTION_BYTES + 16384, &[7; 4000]));
        assert!(!bytes.put(9 * PORTION_BYTES, &[7]));
        let first = bytes.take(0);
        assert_eq!(first.len(), PORTION_BYTES);
        assert!(first.iter().enumerate().all(|(at, byte)| *byte == if at / 16384 == 1 { 7 } else { 0 }));
        bytes.give_back(0, first);
        bytes.fill_up();
        assert_eq!(bytes.portions().iter().map(|portion| portion.len()).sum::<usize>(), bytes.length());
    }
}
