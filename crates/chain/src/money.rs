//! Amounts: what can exist, and what a block may create.

use crate::params::Params;

/// Satoshi in a bitcoin.
pub const COIN: u64 = 100_000_000;
/// Satoshi that an amount, or a sum of amounts, may have (`consensus/amount.h`).
pub const MAX_MONEY: u64 = 21_000_000 * COIN;

/// The satoshi that the block at `height` may create (`GetBlockSubsidy`).
pub fn subsidy(height: u32, params: &Params) -> u64 {
    (50 * COIN).checked_shr(height / params.halving_interval).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subsidy_is_halved_until_nothing_is_left() {
        let mainnet = Params::mainnet();
        let cases =
            [(0, 50 * COIN), (209_999, 50 * COIN), (210_000, 25 * COIN), (6_929_999, 1), (6_930_000, 0)];
        for (height, value) in cases {
            assert_eq!(subsidy(height, &mainnet), value, "{height}");
        }
        // Core's validation_tests.cpp, subsidy_limit_test.
        let all = (0..14_000_000).step_by(1000).map(|height| 1000 * subsidy(height, &mainnet)).sum::<u64>();
        assert_eq!(all, 2_099_999_997_690_000);
        assert_eq!(subsidy(150, &Params::regtest()), 25 * COIN);
        assert_eq!(subsidy(u32::MAX, &Params::regtest()), 0);
    }
}
