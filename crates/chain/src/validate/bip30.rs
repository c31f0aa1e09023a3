//! BIP 30: no transaction has the id of another one that still has unspent outputs.
//!
//! Only coinbases can repeat: any other transaction spends something that would have to repeat first. From BIP 34 on,
//! a coinbase names its height, and so it repeats none, unless one from before that rule happened to name a later
//! height. On mainnet the first such height is 1,983,702 (the comment in Core's `ConnectBlock` has the whole story).

use std::collections::HashMap;

use crate::block::ReadBlock;
use crate::encode::Hash;
use crate::params::{Params, shown};

use super::fault::{Broken, Rule, Violation};

/// The height from which BIP 34 does not imply BIP 30 on its own chain.
const BIP34_IMPLIES_BIP30_LIMIT: u32 = 1_983_702;
/// The two mainnet blocks that repeat a coinbase, and are valid (`IsBIP30Repeat`).
const REPEATS: [(u32, Hash); 2] = [
    (91_842, shown("00000000000a4d0a398161ffc163c503763b1f4360639393e0e4c8e300e0caec")),
    (91_880, shown("00000000000743f190a18c5577a3c2d2a1f610ae9601ac046a38084ccb7cd721")),
];
/// The two whose coinbase they overwrote (`IsBIP30Unspendable`).
const OVERWRITTEN: [(u32, Hash); 2] = [
    (91_722, shown("00000000000271a2dc26e7667f8419f2e15416dc6955e5a6c6cdf3f2574dd08e")),
    (91_812, shown("00000000000af0aed4792b1acee3d966af36cf5def14935db8de83d6f9306f2f")),
];

/// Whether the coinbase of the block was overwritten before it could be spent: it creates no coin.
pub fn is_overwritten(height: u32, hash: &Hash) -> bool {
    OVERWRITTEN.contains(&(height, *hash))
}

/// Whether the coins of the block must be compared with those that exist before it. `bip34_block` is the hash of the
/// block at BIP 34's height on the same chain, `None` when the block is not above it.
pub fn is_enforced(height: u32, hash: &Hash, params: &Params, bip34_block: Option<&Hash>) -> bool {
    let implied = bip34_block.is_some() && bip34_block == params.bip34_hash.as_ref();
    (!REPEATS.contains(&(height, *hash)) && !implied) || height >= BIP34_IMPLIES_BIP30_LIMIT
}

/// Looks whether any output of the block exists already: `exists` takes a transaction's id and the number of an
/// output. For whoever keeps the coins of the block before.
pub fn check_outputs(
    block: &ReadBlock<'_>,
    height: u32,
    exists: impl Fn(&Hash, u32) -> bool,
) -> Result<(), Violation> {
    for (i, (transaction, txid)) in block.transactions.iter().zip(&block.txids).enumerate() {
        if (0..).zip(transaction.outputs()).any(|(index, _)| exists(txid, index)) {
            return Err(Broken::from(Rule::Overwrites).by(block, i, height));
        }
    }
    Ok(())
}

/// The coinbases of a chain where they could repeat, for blocks in any order and without their coins: about 8 MB on
/// mainnet.
///
/// Stricter than Core in one case that no chain is known to have: a coinbase repeated after all its outputs were
/// spent.
#[derive(Debug, Clone, Default)]
pub struct Coinbases {
    seen: HashMap<Hash, u32>,
}

impl Coinbases {
    /// Whether the block at `height` counts: before BIP 34 on a chain where it implies BIP 30, otherwise everywhere
    /// but where every coinbase names its height.
    pub fn counts(height: u32, params: &Params) -> bool {
        height < params.activations.bip34 || height >= BIP34_IMPLIES_BIP30_LIMIT
    }

    /// Takes the coinbase of a block that counts.
    pub fn insert(&mut self, height: u32, hash: &Hash, txid: &Hash) -> Result<(), Violation> {
        let Some(other) = self.seen.insert(*txid, height).filter(|other| *other != height) else {
            return Ok(());
        };
        let later = height.max(other);
        // The hash of the other block is not at hand: its height is enough on the chain whose later block it is.
        let known = REPEATS
            .iter()
            .any(|(repeat, repeat_hash)| *repeat == later && (later != height || repeat_hash == hash));
        if known {
            return Ok(());
        }
        Err(Violation { rule: Rule::Overwrites, height: later, txid: Some(*txid), input: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_enforced_but_for_two_blocks_and_where_bip34_implies_it() {
        let mainnet = Params::mainnet();
        let bip34 = mainnet.bip34_hash.as_ref();
        assert!(is_enforced(91_842, &[0; 32], &mainnet, None));
        assert!(!is_enforced(91_842, &REPEATS[0].1, &mainnet, None));
        assert!(is_enforced(91_880, &REPEATS[0].1, &mainnet, None));
        assert!(!is_enforced(227_932, &[0; 32], &mainnet, bip34));
        assert!(is_enforced(227_932, &[0; 32], &mainnet, Some(&[0; 32])));
        assert!(is_enforced(BIP34_IMPLIES_BIP30_LIMIT, &[0; 32], &mainnet, bip34));
        assert!(is_enforced(5, &[0; 32], &Params::regtest(), Some(&[0; 32])));
    }

    #[test]
    fn the_two_repeated_coinbases_pass_in_any_order_and_no_other() {
        let (first, second) = ([1; 32], [2; 32]);
        for order in [
            [(91_812, OVERWRITTEN[1].1), (91_842, REPEATS[0].1)],
            [(91_842, REPEATS[0].1), (91_812, OVERWRITTEN[1].1)],
        ] {
            let mut coinbases = Coinbases::default();
            for (height, hash) in order {
                coinbases.insert(height, &hash, &first).unwrap_or_default();
                assert_eq!(coinbases.insert(height, &hash, &first), Ok(()), "a block may be looked at twice");
            }
            coinbases.insert(7, &[0; 32], &second).unwrap_or_default();
            let fault = coinbases.insert(9, &[0; 32], &second);
            assert_eq!(fault.map_err(|fault| (fault.rule, fault.height)), Err((Rule::Overwrites, 9)));
        }
        let mut coinbases = Coinbases::default();
        assert_eq!(coinbases.insert(91_812, &[0; 32], &first), Ok(()));
        assert!(coinbases.insert(91_842, &[0; 32], &first).is_err(), "another block at that height");
    }
}
