//! 256-bit unsigned integers for targets and work, as Core's `arith_uint256` computes them.

use std::ops::{Not, Shl, Shr};

use crate::encode::Hash;

/// A 256-bit unsigned integer; four words, least significant first. Arithmetic is modulo 2^256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct U256([u64; 4]);

impl U256 {
    /// 0.
    pub const ZERO: Self = Self([0; 4]);

    /// Reads a hash as a number: its bytes are little-endian.
    pub fn from_hash(hash: &Hash) -> Self {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(hash.chunks_exact(8)) {
            *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
        Self(words)
    }

    /// Reads 32 bytes, most significant first.
    pub fn from_be_bytes(bytes: &[u8; 32]) -> Self {
        let mut reversed = *bytes;
        reversed.reverse();
        Self::from_hash(&reversed)
    }

    /// 32 bytes, most significant first.
    pub fn to_be_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(self.0.iter().rev()) {
            chunk.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    /// Bits up to the highest set one; 0 for zero.
    pub fn bits(self) -> u32 {
        (0..4u32)
            .rev()
            .find(|i| self.0[*i as usize] != 0)
            .map_or(0, |i| 64 * (i + 1) - self.0[i as usize].leading_zeros())
    }

    /// The lowest 64 bits.
    pub fn low_u64(self) -> u64 {
        self.0[0]
    }

    /// Sum modulo 2^256.
    #[must_use]
    pub fn wrapping_add(self, other: Self) -> Self {
        let mut carry = false;
        let words = std::array::from_fn(|i| {
            let (sum, first) = self.0[i].overflowing_add(other.0[i]);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            carry = first || second;
            sum
        });
        Self(words)
    }

    /// Difference modulo 2^256.
    #[must_use]
    pub fn wrapping_sub(self, other: Self) -> Self {
        self.wrapping_add(!other).wrapping_add(Self::from(1))
    }

    /// Product with a 64-bit number modulo 2^256, as Core's `operator*=` truncates.
    #[must_use]
    pub fn wrapping_mul(self, factor: u64) -> Self {
        let mut carry = 0u128;
        let words = self.0.map(|word| {
            let product = u128::from(word) * u128::from(factor) + carry;
            carry = product >> 64;
            product as u64
        });
        Self(words)
    }

    /// Quotient, rounded down; `None` for a division by zero.
    pub fn checked_div(self, divisor: Self) -> Option<Self> {
        if divisor == Self::ZERO {
            return None;
        }
        let (mut quotient, mut rest) = (Self::ZERO, self);
        let Some(highest) = self.bits().checked_sub(divisor.bits()) else { return Some(quotient) };
        for shift in (0..=highest).rev() {
            let step = divisor << shift;
            if rest >= step {
                rest = rest.wrapping_sub(step);
                quotient.0[(shift / 64) as usize] |= 1 << (shift % 64);
            }
        }
        Some(quotient)
    }
}

/// Shifts left; what leaves is lost.
impl Shl<u32> for U256 {
    type Output = Self;

    fn shl(self, count: u32) -> Self {
        let (skip, bits) = ((count / 64) as usize, count % 64);
        Self(std::array::from_fn(|i| {
            let word = |i: Option<usize>| i.and_then(|i| self.0.get(i)).copied().unwrap_or(0);
            let high = word(i.checked_sub(skip)) << bits;
            if bits == 0 { high } else { high | word(i.checked_sub(skip + 1)) >> (64 - bits) }
        }))
    }
}

impl Shr<u32> for U256 {
    type Output = Self;

    fn shr(self, count: u32) -> Self {
        let (skip, bits) = ((count / 64) as usize, count % 64);
        Self(std::array::from_fn(|i| {
            let word = |i: usize| self.0.get(i).copied().unwrap_or(0);
            let low = word(i + skip) >> bits;
            if bits == 0 { low } else { low | word(i + skip + 1) << (64 - bits) }
        }))
    }
}

impl Not for U256 {
    type Output = Self;

    fn not(self) -> Self {
        Self(self.0.map(|word| !word))
    }
}

impl From<u64> for U256 {
    fn from(value: u64) -> Self {
        Self([value, 0, 0, 0])
    }
}

impl Ord for U256 {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.iter().rev().cmp(other.0.iter().rev())
    }
}

impl PartialOrd for U256 {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wide(value: u128) -> U256 {
        U256([value as u64, (value >> 64) as u64, 0, 0])
    }

    proptest! {
        #[test]
        fn agrees_with_u128_where_that_is_wide_enough(a: u128, b: u128, count in 0u32..128, factor: u64) {
            let (a, b) = (a >> 1, b >> 1);
            prop_assert_eq!(wide(a).wrapping_add(wide(b)), wide(a + b));
            prop_assert_eq!(wide(a.max(b)).wrapping_sub(wide(a.min(b))), wide(a.max(b) - a.min(b)));
            prop_assert_eq!(wide(a) >> count, wide(a >> count));
            prop_assert_eq!(wide(a).cmp(&wide(b)), a.cmp(&b));
            prop_assert_eq!(wide(a).bits(), 128 - a.leading_zeros());
            prop_assert_eq!(wide(a >> 64).wrapping_mul(factor), wide((a >> 64) * u128::from(factor)));
            prop_assert_eq!(wide(a).checked_div(wide(b)), a.checked_div(b).map(wide));
        }

        #[test]
        fn divides_back_what_it_multiplied(words: [u64; 3], factor in 1u64..) {
            let value = U256([words[0], words[1], words[2], 0]);
            prop_assert_eq!(value.wrapping_mul(factor).checked_div(factor.into()).unwrap(), value);
            prop_assert_eq!((value << 64) >> 64, value);
            prop_assert_eq!(U256::from_be_bytes(&value.to_be_bytes()), value);
        }
    }

    #[test]
    fn wraps_at_256_bits() {
        let all = !U256::ZERO;
        assert_eq!(all.wrapping_add(1.into()), U256::ZERO);
        assert_eq!(all << 256, U256::ZERO);
        assert_eq!(all >> 255, 1.into());
        assert_eq!((all << 255).bits(), 256);
        assert_eq!(all.checked_div(U256::ZERO), None);
    }
}
