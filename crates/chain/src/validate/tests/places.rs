//! Blocks that are judged by where they stand: the two that Core excepts from rules of scripts, by their hashes.

use super::super::*;
use super::drafts::{FINAL, OP_TRUE, Tip, move_all, script_hash};
use super::transactions::In;
use crate::coins::Coin;
use crate::encode::Hash;
use crate::params::Params;

/// Long ago.
struct LongAgo;

impl MedianTimes for LongAgo {
    fn median_time_at(&self, _: u32) -> Option<u32> {
        Some(1_300_000_000)
    }
}

/// The verdict on a mainnet block at `height` that spends a coin locked by `lock` with `unlock`, were its hash `hash`.
fn judge(height: u32, hash: &Hash, lock: &[u8], unlock: Vec<u8>) -> Result<ValidBlock, Refusal> {
    let params = Params::mainnet();
    let tip = Tip::at(height - 1, &params);
    let input = In { txid: [5; 32], script: unlock, sequence: FINAL, ..In::default() };
    let mut draft = tip.draft(0, &[move_all(input, 1)]);
    draft.transactions[0].outputs[0].0 = 0;
    let bytes = draft.finish();
    let mut spent = SpentCoins::default();
    spent.push(Some(Coin { height: 1, is_coinbase: false, value: 1, script: lock }));
    let context = BlockContext { header: bytes.first_chunk().unwrap(), height, params: &params };
    let place = Place { context, hash, median_times: &LongAgo };
    validate_block(&bytes, &place, &spent, &EngineJudge::default(), &mut ())
}

/// The hash of an excepted block.
fn excepted(which: usize) -> Hash {
    Params::mainnet().script_flag_exceptions[which].0
}

#[test]
fn one_block_may_spend_by_the_hash_of_a_script_that_fails() {
    // OP_RETURN, whose hash is all that the output asked for before BIP 16.
    let (lock, unlock) = (script_hash(&[0x6a]), vec![1, 0x6a]);
    assert!(judge(170_060, &excepted(0), &lock, unlock.clone()).is_ok());
    for (height, hash) in [(170_060, [1; 32]), (170_061, [1; 32]), (692_261, excepted(1))] {
        let refusal = judge(height, &hash, &lock, unlock.clone()).unwrap_err();
        assert_eq!(refusal.reason(), "block-script-verify-flag-failed", "{height}");
    }
}

#[test]
fn one_block_may_spend_taproot_outputs_without_a_signature() {
    let lock = [&[OP_TRUE, 32][..], &[2; 32]].concat();
    assert!(judge(692_261, &excepted(1), &lock, vec![]).is_ok());
    // Excepted from all rules of that time, and therefore from taproot's.
    assert!(judge(170_060, &excepted(0), &lock, vec![]).is_ok());
    for (height, hash) in [(692_261, [1; 32]), (709_632, [1; 32]), (170_061, [1; 32])] {
        let refusal = judge(height, &hash, &lock, vec![]).unwrap_err();
        assert_eq!(refusal.reason(), "block-script-verify-flag-failed", "{height}");
    }
}
