//! Proof of work: compact targets, work, and the next target (Core's `pow.cpp`, `arith_uint256.cpp`).

use crate::encode::Hash;
use crate::params::Params;
use crate::u256::U256;

/// A decoded compact number: value, sign and whether it does not fit 256 bits.
struct Compact {
    value: U256,
    negative: bool,
    overflow: bool,
}

/// The target that `bits` stands for; `None` when it is negative, zero, too large to write down, or easier
/// than the network allows.
pub fn target(bits: u32, pow_limit: &Hash) -> Option<U256> {
    let Compact { value, negative, overflow } = decode(bits);
    let valid = !negative && !overflow && value != U256::ZERO && value <= U256::from_hash(pow_limit);
    valid.then_some(value)
}

/// Whether a block hash meets the target of `bits`.
pub fn meets_target(hash: &Hash, bits: u32, pow_limit: &Hash) -> bool {
    target(bits, pow_limit).is_some_and(|target| U256::from_hash(hash) <= target)
}

/// The hashes it takes on average to meet the target of `bits`: 2^256 / (target + 1); 0 for a bad target.
pub fn work(bits: u32) -> U256 {
    let Compact { value, negative, overflow } = decode(bits);
    if negative || overflow {
        return U256::ZERO;
    }
    // 2^256 does not fit: 2^256 / (t + 1) = (2^256 - t - 1) / (t + 1) + 1.
    let next = value.wrapping_add(1.into());
    match (!value).checked_div(next) {
        Some(quotient) if value != U256::ZERO => quotient.wrapping_add(1.into()),
        _ => U256::ZERO,
    }
}

/// The bits after a whole period (Core's `CalculateNextWorkRequired`).
///
/// `base_bits` are those of the period's last block, on BIP 94 networks of its first. The times are those of
/// the first and last block of the period, so that one spacing too few is measured: an old slip that became
/// the rule.
pub fn retarget(params: &Params, base_bits: u32, first_time: u32, last_time: u32) -> u32 {
    if params.no_retargeting {
        return base_bits;
    }
    let timespan = u64::from(params.target_timespan);
    // A negative span is below the lower bound, like 0.
    let actual = u64::from(last_time.saturating_sub(first_time)).clamp(timespan / 4, timespan * 4);
    let limit = U256::from_hash(&params.pow_limit);
    let scaled = decode(base_bits).value.wrapping_mul(actual).checked_div(timespan.into());
    encode(scaled.unwrap_or(limit).min(limit))
}

fn decode(bits: u32) -> Compact {
    let (size, word) = (bits >> 24, bits & 0x007f_ffff);
    let value = if size <= 3 {
        U256::from(u64::from(word >> (8 * (3 - size))))
    } else {
        U256::from(u64::from(word)) << (8 * (size - 3))
    };
    // Core tests the mantissa after it was shifted, for small sizes.
    let word = if size <= 3 { word >> (8 * (3 - size)) } else { word };
    Compact {
        value,
        negative: word != 0 && bits & 0x0080_0000 != 0,
        overflow: word != 0 && (size > 34 || (word > 0xff && size > 33) || (word > 0xffff && size > 32)),
    }
}

fn encode(value: U256) -> u32 {
    let mut size = value.bits().div_ceil(8);
    let mut word =
        if size <= 3 { value.low_u64() << (8 * (3 - size)) } else { (value >> (8 * (size - 3))).low_u64() };
    // The highest mantissa bit is the sign.
    if word & 0x0080_0000 != 0 {
        word >>= 8;
        size += 1;
    }
    word as u32 | size << 24
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decodes_and_encodes_the_vectors_of_cores_arith_tests() {
        // arith_uint256_tests.cpp, bignum_SetCompact: compact, value (low 64 bits), encoded again.
        let cases = [
            (0, 0, 0),
            (0x0012_3456, 0, 0),
            (0x0100_3456, 0, 0),
            (0x0200_0056, 0, 0),
            (0x0300_0000, 0, 0),
            (0x0092_3456, 0, 0),
            (0x0112_3456, 0x12, 0x0112_0000),
            (0x0212_3456, 0x1234, 0x0212_3400),
            (0x0312_3456, 0x12_3456, 0x0312_3456),
            (0x0412_3456, 0x1234_5600, 0x0412_3456),
            (0x0500_9234, 0x9234_0000, 0x0500_9234),
        ];
        for (bits, value, again) in cases {
            let compact = decode(bits);
            assert_eq!(compact.value, U256::from(value), "{bits:08x}");
            assert_eq!(encode(compact.value), again, "{bits:08x}");
            assert!(!compact.negative && !compact.overflow, "{bits:08x}");
        }
        assert!(decode(0x01fe_dcba).negative);
        assert!(decode(0x0492_3456).negative);
        assert!(decode(0xff12_3456).overflow);
        assert_eq!(encode(U256::from(0x80)), 0x0200_8000);
    }

    #[test]
    fn a_target_is_positive_and_not_above_the_limit() {
        let limit = Params::mainnet().pow_limit;
        assert!(target(0x1d00_ffff, &limit).is_some());
        for bits in [0, 0x1d80_ffff, 0x1d01_0000, 0x2100_ffff, 0xff12_3456, 0x0300_0000] {
            assert_eq!(target(bits, &limit), None, "{bits:08x}");
        }
    }

    #[test]
    fn work_of_the_first_difficulty_is_as_published() {
        assert_eq!(work(0x1d00_ffff), U256::from(0x1_0001_0001));
        assert_eq!(work(0x207f_ffff), U256::from(2));
        assert_eq!(work(0x0180_0000), U256::ZERO);
    }

    proptest! {
        #[test]
        fn any_bits_are_judged(bits: u32, first: u32, last: u32) {
            let _ = work(bits);
            for params in [Params::mainnet(), Params::signet(), Params::regtest()] {
                let next = retarget(&params, bits, first, last);
                prop_assert!(params.no_retargeting || decode(next).value <= U256::from_hash(&params.pow_limit));
            }
        }

        #[test]
        fn encoding_keeps_the_mantissa(word in 0x8000u32..0x80_0000, size in 4u32..30) {
            let bits = size << 24 | word;
            prop_assert_eq!(encode(decode(bits).value), bits);
        }
    }
}
