//! Blocks that are legal and cost as much as can be: verdicts are right at a small scale, and at full scale a judge can
//! be stopped. `npm run bench -- validate` says what they take.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use secp256k1::{Scalar, XOnlyPublicKey};
use sha2::{Digest, Sha256};

use super::super::*;
use super::drafts::{FINAL, OP_CHECKSIG, OP_TRUE, Tip, pay};
use super::transactions::{In, Tx};
use crate::block::MAX_BLOCK_BYTES;
use crate::coins::Coin;
use crate::params::Params;

/// Long ago.
struct LongAgo;

impl MedianTimes for LongAgo {
    fn median_time_at(&self, _: u32) -> Option<u32> {
        Some(1_300_000_000)
    }
}

/// A regtest block with one transaction beside the coinbase.
struct Costly {
    bytes: Vec<u8>,
    spent: SpentCoins,
    params: Params,
}

impl Costly {
    /// Spends a coin of one satoshi by each unlocking, all locked alike.
    fn new(inputs: Vec<In>, lock: &[u8]) -> Self {
        let params = Params::regtest();
        let mut spent = SpentCoins::with_capacity(inputs.len());
        for _ in &inputs {
            spent.push(Some(Coin { height: 1, is_coinbase: false, value: 1, script: lock }));
        }
        let tip = Tip::at(200, &params);
        let spend: Tx = pay(inputs, vec![(1, vec![OP_TRUE])]);
        let has_witness = spend.inputs.iter().any(|input| !input.witness.is_empty());
        let mut draft = if has_witness { tip.witnessed(0, &[spend]) } else { tip.draft(0, &[spend]) };
        // Halved at 150; and no more than that.
        draft.transactions[0].outputs[0].0 = 1;
        Self { bytes: draft.finish(), spent, params }
    }

    fn judge(&self, judge: &EngineJudge) -> Result<ValidBlock, Refusal> {
        let header = self.bytes.first_chunk().unwrap();
        let context = BlockContext { header, height: 201, params: &self.params };
        let place = Place { context, hash: &[1; 32], median_times: &LongAgo };
        validate_block(&self.bytes, &place, &self.spent, judge, &mut ())
    }
}

fn input(number: usize, script: Vec<u8>, witness: Vec<Vec<u8>>) -> In {
    let mut txid = [7; 32];
    txid[..8].copy_from_slice(&number.to_le_bytes());
    In { txid, script, witness, sequence: FINAL, ..In::default() }
}

fn tagged(tag: &str, parts: [&[u8]; 2]) -> [u8; 32] {
    let tag = Sha256::digest(tag);
    let hash = Sha256::new_with_prefix(tag).chain_update(tag);
    hash.chain_update(parts[0]).chain_update(parts[1]).finalize().into()
}

/// A taproot output of the script `OP_TRUE`, and the witness that spends it.
fn taproot() -> (Vec<u8>, Vec<Vec<u8>>) {
    // The generator: nobody needs a key here.
    let internal = crate::testdata::unhex("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798");
    let internal: [u8; 32] = internal.try_into().unwrap();
    let leaf = tagged("TapLeaf", [&[0xc0], &[1, OP_TRUE]]);
    let tweak = Scalar::from_be_bytes(tagged("TapTweak", [&internal, &leaf])).unwrap();
    let (output, parity) = XOnlyPublicKey::from_byte_array(internal).unwrap().add_tweak(&tweak).unwrap();
    let control = [&[0xc0 | parity.to_u8()][..], &internal].concat();
    ([&[OP_TRUE, 32][..], &output.to_byte_array()].concat(), vec![vec![OP_TRUE], control])
}

/// Each input hashes the whole transaction 66 times: failed signatures, each behind another OP_CODESEPARATOR, in an output
/// that costs the block nothing. 198 operations of 201.
fn hash_bomb() -> Vec<u8> {
    // The shortest encoding of a signature with SIGHASH_ALL, and a point that is none.
    let signature = [9, 0x30, 6, 2, 1, 1, 2, 1, 1, 1];
    let check = [&signature[..], &[33, 2], &[0xff; 32], &[OP_CHECKSIG, 0x75, 0xab]].concat();
    [check.repeat(66), vec![OP_TRUE]].concat()
}

#[test]
fn many_taproot_inputs_of_one_transaction_are_each_judged() {
    let (lock, witness) = taproot();
    let mut inputs: Vec<In> = (0..600).map(|number| input(number, vec![], witness.clone())).collect();
    let valid = Costly::new(inputs.clone(), &lock).judge(&EngineJudge::default()).unwrap();
    assert_eq!(valid.inputs, 600);
    for wrong in [599, 431] {
        inputs[wrong].witness[0] = vec![0];
        let refusal = Costly::new(inputs.clone(), &lock).judge(&EngineJudge::default());
        let Err(Refusal::Invalid(violation)) = refusal else { panic!("{refusal:?}") };
        assert_eq!(
            (violation.rule, violation.input),
            (Rule::Script, Some(wrong as u32)),
            "the first that fails"
        );
    }
}

#[test]
fn taproot_inputs_beside_much_script_are_each_judged() {
    // 20 MB of scripts, which the engine copies for each taproot input.
    let (lock, witness) = taproot();
    let params = Params::regtest();
    let long = [vec![OP_TRUE], [&[0x4d, 0x08, 0x02][..], &[0; 520], &[0x75]].concat().repeat(19)].concat();
    let mut spent = SpentCoins::default();
    let inputs: Vec<In> = (0..2_100)
        .map(|number| {
            let is_taproot = number % 700 == 0;
            let script = if is_taproot { &lock } else { &long };
            spent.push(Some(Coin { height: 1, is_coinbase: false, value: 1, script }));
            input(number, vec![], if is_taproot { witness.clone() } else { vec![] })
        })
        .collect();
    let mut costly = Costly::new(inputs.clone(), &lock);
    costly.spent = spent.clone();
    assert_eq!(costly.judge(&EngineJudge::default()).map(|valid| valid.inputs), Ok(2_100));
    let mut wrong = inputs;
    wrong[1_400].witness[0] = vec![0];
    let mut costly = Costly { params, ..Costly::new(wrong, &lock) };
    costly.spent = spent;
    let refusal = costly.judge(&EngineJudge::default());
    let Err(Refusal::Invalid(violation)) = refusal else { panic!("{refusal:?}") };
    assert_eq!((violation.rule, violation.input), (Rule::Script, Some(1_400)));
}

#[test]
fn the_block_that_hashes_most_can_be_stopped() {
    let of = |inputs: usize| {
        Costly::new((0..inputs).map(|number| input(number, vec![], vec![])).collect(), &hash_bomb())
    };
    let small = of(60).judge(&EngineJudge::default()).map(|valid| valid.inputs);
    assert_eq!(small, Ok(60));
    // About 24,000 × 66 MB.
    let whole = of(24_300);
    assert!(4 * whole.bytes.len() > MAX_BLOCK_BYTES - 20_000, "{}", whole.bytes.len());
    let stopped = Arc::new(AtomicBool::new(false));
    let judge = EngineJudge::new(Arc::clone(&stopped));
    let running = std::thread::spawn(move || whole.judge(&judge));
    stopped.store(true, Ordering::Relaxed);
    assert_eq!(running.join().unwrap(), Err(Refusal::Judge(ScriptFault::Stopped)));
}
