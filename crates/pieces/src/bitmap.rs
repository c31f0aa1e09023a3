//! A set of pieces that many threads read while one adds to it.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// A fixed number of bits, each set and read atomically.
///
/// A thread that sees a bit also sees what the setting thread did before (release and acquire).
#[derive(Debug)]
pub struct Bitmap {
    bytes: Box<[AtomicU8]>,
    len: u32,
    count: AtomicU32,
}

impl Bitmap {
    /// `len` bits, all clear.
    pub fn new(len: u32) -> Self {
        let bytes = (0..len.div_ceil(8)).map(|_| AtomicU8::new(0)).collect();
        Self { bytes, len, count: AtomicU32::new(0) }
    }

    /// A BEP 3 bitfield of `len` bits; `None` when its size is wrong or a spare bit is set.
    pub fn from_bytes(len: u32, bytes: &[u8]) -> Option<Self> {
        let spare = (8 - len % 8) % 8;
        let fits = bytes.len() == len.div_ceil(8) as usize;
        let clean = bytes.last().is_none_or(|last| last.trailing_zeros() >= spare);
        (fits && clean).then(|| Self {
            bytes: bytes.iter().map(|byte| AtomicU8::new(*byte)).collect(),
            len,
            count: AtomicU32::new(bytes.iter().map(|byte| byte.count_ones()).sum()),
        })
    }

    /// Number of bits.
    #[expect(clippy::len_without_is_empty, reason = "a torrent has at least one piece")]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Number of bits that are set.
    pub fn count(&self) -> u32 {
        self.count.load(Ordering::Acquire)
    }

    /// Whether every bit is set.
    pub fn is_full(&self) -> bool {
        self.count() == self.len
    }

    /// Bit `n`; false beyond the end.
    pub fn get(&self, n: u32) -> bool {
        n < self.len
            && self.bytes.get(n as usize / 8).is_some_and(|b| b.load(Ordering::Acquire) & mask(n) != 0)
    }

    /// Sets bit `n`; true when it was clear. Nothing happens beyond the end.
    pub fn set(&self, n: u32) -> bool {
        let Some(byte) = self.bytes.get(n as usize / 8).filter(|_| n < self.len) else { return false };
        let changed = byte.fetch_or(mask(n), Ordering::AcqRel) & mask(n) == 0;
        if changed {
            self.count.fetch_add(1, Ordering::AcqRel);
        }
        changed
    }

    /// Clears bit `n`; true when it was set.
    pub fn clear(&self, n: u32) -> bool {
        let Some(byte) = self.bytes.get(n as usize / 8).filter(|_| n < self.len) else { return false };
        let changed = byte.fetch_and(!mask(n), Ordering::AcqRel) & mask(n) != 0;
        if changed {
            self.count.fetch_sub(1, Ordering::AcqRel);
        }
        changed
    }

    /// The bits as a BEP 3 bitfield: bit 0 is the high bit of the first byte, spare bits are zero.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.bytes.iter().map(|byte| byte.load(Ordering::Acquire)).collect()
    }
}

fn mask(n: u32) -> u8 {
    0x80 >> (n % 8)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_high_bit_comes_first() {
        let bitmap = Bitmap::new(10);
        assert!(bitmap.set(0) && bitmap.set(9) && !bitmap.set(9) && !bitmap.set(10));
        assert_eq!(bitmap.to_bytes(), [0x80, 0x40]);
        assert_eq!(bitmap.count(), 2);
        assert!(bitmap.clear(9) && !bitmap.clear(9) && !bitmap.clear(10));
        assert_eq!(bitmap.count(), 1);
    }

    #[test]
    fn a_spare_bit_or_a_wrong_size_is_refused() {
        assert!(Bitmap::from_bytes(10, &[0xff, 0xc0]).unwrap().is_full());
        assert!(Bitmap::from_bytes(10, &[0xff, 0xe0]).is_none());
        assert!(Bitmap::from_bytes(10, &[0xff]).is_none());
        assert!(Bitmap::from_bytes(8, &[0xff, 0]).is_none());
        assert!(Bitmap::from_bytes(8, &[0xff]).is_some());
    }

    proptest! {
        #[test]
        fn bytes_round_trip(bits in proptest::collection::vec(any::<bool>(), 1..200)) {
            let len = u32::try_from(bits.len()).unwrap();
            let bitmap = Bitmap::new(len);
            (0..len).zip(&bits).filter(|(_, bit)| **bit).for_each(|(n, _)| { bitmap.set(n); });
            let again = Bitmap::from_bytes(len, &bitmap.to_bytes()).unwrap();
            prop_assert_eq!(again.count(), bitmap.count());
            for (n, bit) in (0..len).zip(bits) {
                prop_assert_eq!(again.get(n), bit);
            }
        }
    }
}
