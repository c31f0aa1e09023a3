//! Blocks made by hand, each with one violation, with the reason that the case is about.

use super::drafts::{
    Draft, FINAL, OP_CHECKMULTISIG, OP_CHECKSIG, OP_TRUE, REWARD, Tip, move_all, output_of, pay, push,
    script_hash, witness_script_hash,
};
use super::judges::run;
use super::transactions::{In, Tx, block, commitment, mine};
use crate::header::Header;
use crate::params::Params;
use crate::script::push_number;

const MISSING: Option<&str> = Some("bad-txns-inputs-missingorspent");
const SCRIPT: Option<&str> = Some("block-script-verify-flag-failed");

#[test]
fn coins_exist_are_spent_once_and_after_they_were_created() {
    run(&[
        ("a spend", None, |tip| tip.draft(5, &[move_all(tip.coin(1), REWARD - 5)]).finish()),
        ("of the coin again", MISSING, |tip| tip.draft(0, &[move_all(tip.coin(1), REWARD)]).finish()),
        ("of a coin twice", MISSING, |tip| {
            tip.draft(1, &[move_all(tip.coin(2), REWARD), move_all(tip.coin(2), REWARD - 1)]).finish()
        }),
        ("of a coin twice in one transaction", Some("bad-txns-inputs-duplicate"), |tip| {
            tip.draft(0, &[pay(vec![tip.coin(2), tip.coin(2)], vec![(REWARD, vec![])])]).finish()
        }),
        ("of an unknown coin", MISSING, |tip| {
            tip.draft(0, &[move_all(In { txid: [9; 32], ..tip.coin(2) }, 1)]).finish()
        }),
        ("of an output that a coin's transaction has not", MISSING, |tip| {
            tip.draft(0, &[move_all(In { index: 1, ..tip.coin(2) }, 1)]).finish()
        }),
        ("of an output of the same block", None, |tip| {
            let first = move_all(tip.coin(2), REWARD);
            let second = move_all(output_of(&first, 0), REWARD);
            tip.draft(0, &[first, second]).finish()
        }),
        ("before the output is created", MISSING, |tip| {
            let first = move_all(tip.coin(3), REWARD);
            let second = move_all(output_of(&first, 0), REWARD);
            tip.draft(0, &[second, first]).finish()
        }),
        ("of an output of the same block twice", MISSING, |tip| {
            let first = move_all(tip.coin(3), REWARD);
            let [second, third] = [0, 1].map(|fee| move_all(output_of(&first, 0), REWARD - fee));
            tip.draft(1, &[first, second, third]).finish()
        }),
        ("of an output that is not in the block's transaction", MISSING, |tip| {
            let first = move_all(tip.coin(3), REWARD);
            let second = move_all(output_of(&first, 1), 0);
            tip.draft(0, &[first, second]).finish()
        }),
        ("of data", MISSING, |tip| {
            let first = pay(vec![tip.coin(3)], vec![(REWARD, vec![0x6a])]);
            let second = move_all(output_of(&first, 0), REWARD);
            tip.draft(0, &[first, second]).finish()
        }),
        ("of a script too long to run", MISSING, |tip| {
            let first = pay(vec![tip.coin(3)], vec![(REWARD, vec![OP_TRUE; 10_001])]);
            let second = move_all(output_of(&first, 0), REWARD);
            tip.draft(0, &[first, second]).finish()
        }),
        ("of the coinbase of the block", Some("bad-txns-premature-spend-of-coinbase"), |tip| {
            let coinbase = tip.draft(0, &[]).transactions.remove(0);
            tip.draft(0, &[move_all(output_of(&coinbase, 0), REWARD)]).finish()
        }),
        ("of a coinbase 99 blocks old", Some("bad-txns-premature-spend-of-coinbase"), |tip| {
            tip.draft(0, &[move_all(tip.coin(tip.height - 98), REWARD)]).finish()
        }),
        ("of a coinbase 100 blocks old", None, |tip| {
            tip.draft(0, &[move_all(tip.coin(tip.height - 99), REWARD)]).finish()
        }),
        ("of the null outpoint among others", Some("bad-txns-prevout-null"), |tip| {
            let null = In { index: u32::MAX, ..In::default() };
            tip.draft(0, &[pay(vec![tip.coin(4), null], vec![(REWARD, vec![])])]).finish()
        }),
        ("of nothing", Some("bad-txns-vin-empty"), |tip| tip.draft(0, &[Tx::default()]).finish()),
        ("to nobody", Some("bad-txns-vout-empty"), |tip| {
            tip.draft(0, &[pay(vec![tip.coin(4)], vec![])]).finish()
        }),
    ]);
}

#[test]
fn values_are_money_and_nobody_pays_what_is_not_there() {
    const MAX: u64 = crate::money::MAX_MONEY;
    run(&[
        ("more than was there", Some("bad-txns-in-belowout"), |tip| {
            tip.draft(0, &[move_all(tip.coin(1), REWARD + 1)]).finish()
        }),
        ("a negative value", Some("bad-txns-vout-negative"), |tip| {
            tip.draft(0, &[move_all(tip.coin(1), u64::MAX)]).finish()
        }),
        ("more than all money", Some("bad-txns-vout-toolarge"), |tip| {
            tip.draft(0, &[move_all(tip.coin(1), MAX + 1)]).finish()
        }),
        ("more than all money together", Some("bad-txns-txouttotal-toolarge"), |tip| {
            let half = (MAX / 2 + 1, vec![OP_TRUE]);
            tip.draft(0, &[pay(vec![tip.coin(1)], vec![half.clone(), half])]).finish()
        }),
        // CVE-2010-5139: the sum wraps.
        ("values that wrap", Some("bad-txns-vout-negative"), |tip| {
            let half = (1 << 63, vec![OP_TRUE]);
            tip.draft(0, &[pay(vec![tip.coin(1)], vec![half.clone(), half])]).finish()
        }),
        ("a coinbase that takes too much", Some("bad-cb-amount"), |tip| tip.draft(1, &[]).finish()),
        ("a coinbase that takes more than the fees", Some("bad-cb-amount"), |tip| {
            tip.draft(8, &[move_all(tip.coin(1), REWARD - 7)]).finish()
        }),
        ("a coinbase that takes less", None, |tip| {
            tip.draft(6, &[move_all(tip.coin(1), REWARD - 7)]).finish()
        }),
    ]);
}

#[test]
fn coinbases_are_first_alone_and_of_their_form() {
    run(&[
        ("two", Some("bad-cb-multiple"), |tip| {
            let mut second = tip.draft(0, &[]).transactions.remove(0);
            second.lock_time = 1;
            tip.draft(0, &[second]).finish()
        }),
        ("none", Some("bad-cb-missing"), |tip| {
            let mut draft = tip.draft(0, &[move_all(tip.coin(1), REWARD)]);
            draft.transactions.remove(0);
            draft.finish()
        }),
        ("too short a script", Some("bad-cb-length"), |tip| {
            let mut draft = tip.draft(0, &[]);
            draft.transactions[0].inputs[0].script.truncate(1);
            draft.finish()
        }),
        ("too long a script", Some("bad-cb-length"), |tip| {
            let mut draft = tip.draft(0, &[]);
            draft.transactions[0].inputs[0].script.resize(101, 0);
            draft.finish()
        }),
        ("as long a script as may be", None, |tip| {
            let mut draft = tip.draft(0, &[]);
            draft.transactions[0].inputs[0].script.resize(100, 0);
            draft.finish()
        }),
        ("another height", Some("bad-cb-height"), |tip| {
            let mut draft = tip.draft(0, &[]);
            draft.transactions[0].inputs[0].script = [push_number(tip.height), vec![0; 2]].concat();
            draft.finish()
        }),
        ("the height in a longer form", Some("bad-cb-height"), |tip| {
            let mut draft = tip.draft(0, &[]);
            draft.transactions[0].inputs[0].script = vec![2, tip.height as u8 + 1, 0];
            draft.finish()
        }),
    ]);
}

#[test]
fn lock_times_are_over() {
    const NOT_FINAL: Option<&str> = Some("bad-txns-nonfinal");
    fn locked(tip: &Tip, coin: u32, lock_time: u32, sequence: u32) -> Vec<u8> {
        let mut tx = move_all(In { sequence, ..tip.coin(coin) }, REWARD);
        tx.lock_time = lock_time;
        tip.draft(0, &[tx]).finish()
    }
    fn relative(tip: &Tip, coin: u32, version: u32, sequence: u32) -> Vec<u8> {
        let mut tx = move_all(In { sequence, ..tip.coin(coin) }, REWARD);
        tx.version = version;
        tip.draft(0, &[tx]).finish()
    }
    run(&[
        ("its own height", NOT_FINAL, |tip| locked(tip, 1, tip.height + 1, 0)),
        ("the height before", None, |tip| locked(tip, 1, tip.height, 0)),
        ("its own height, given up", None, |tip| locked(tip, 2, tip.height + 1, FINAL)),
        ("the median time", NOT_FINAL, |tip| locked(tip, 3, tip.median, 0)),
        ("just before the median time", None, |tip| locked(tip, 3, tip.median - 1, 0)),
        // BIP 68: the coin of block 4 is as old as the next height says.
        ("too many blocks", NOT_FINAL, |tip| relative(tip, 4, 2, tip.height + 1 - 4 + 1)),
        ("so many blocks", None, |tip| relative(tip, 4, 2, tip.height + 1 - 4)),
        ("too many blocks, first version", None, |tip| relative(tip, 5, 1, 0xffff)),
        ("too many blocks, switched off", None, |tip| relative(tip, 6, 2, 1 << 31 | 0xffff)),
        ("too many blocks, negative version", NOT_FINAL, |tip| relative(tip, 7, u32::MAX, 0xffff)),
        ("too much time", NOT_FINAL, |tip| relative(tip, 7, 2, 1 << 22 | 0xffff)),
        // Blocks are 600 s apart: the median before block 8 is that many seconds before the tip's.
        ("a little too much time", NOT_FINAL, |tip| {
            relative(tip, 8, 2, 1 << 22 | ((tip.height - 7) * 600 / 512 + 5))
        }),
        ("a little time", None, |tip| relative(tip, 8, 2, 1 << 22 | ((tip.height - 7) * 600 / 512 - 5))),
    ]);
}

#[test]
fn signature_operations_are_few_wherever_they_hide() {
    const TOO_MANY: Option<&str> = Some("bad-blk-sigops");
    fn written_out(tip: &Tip, operations: usize) -> Vec<u8> {
        let mut draft = tip.draft(0, &[]);
        draft.transactions[0].outputs.push((0, vec![OP_CHECKSIG; operations]));
        draft.finish()
    }
    /// Spends scripts of so many checks of 20 keys each, of which none runs.
    fn hashed(tip: &Tip, coin: u32, checks: [usize; 2]) -> Vec<u8> {
        let scripts = checks.map(|checks| {
            [&[OP_TRUE, 0x63, OP_TRUE, 0x67][..], &vec![OP_CHECKMULTISIG; checks], &[0x68]].concat()
        });
        let outputs = scripts.iter().map(|script| (REWARD / 2, script_hash(script))).collect();
        let first = pay(vec![tip.coin(coin)], outputs);
        let spend = |i: usize| In { script: push(&scripts[i]), ..output_of(&first, i as u32) };
        let second = pay(vec![spend(0), spend(1)], vec![(REWARD, vec![OP_TRUE])]);
        tip.draft(0, &[first, second]).finish()
    }
    fn in_witness(tip: &Tip, coin: u32, checks: usize) -> Vec<u8> {
        let script = [&[OP_TRUE, 0x63, OP_TRUE, 0x67][..], &vec![OP_CHECKMULTISIG; checks], &[0x68]].concat();
        let first = pay(vec![tip.coin(coin)], vec![(REWARD, witness_script_hash(&script))]);
        let unlock = In { witness: vec![script], ..output_of(&first, 0) };
        let second = pay(vec![unlock], vec![(REWARD, vec![OP_TRUE])]);
        tip.witnessed(0, &[first, second]).finish()
    }
    run(&[
        ("written out", TOO_MANY, |tip| written_out(tip, 20_001)),
        ("written out, as many as may be", None, |tip| written_out(tip, 20_000)),
        // 2 × 500 × 20 × 4 = 80,000.
        ("behind hashes", TOO_MANY, |tip| hashed(tip, 1, [500, 501])),
        // More than 201 operations do not run, whatever they cost: that is the scripts' fault.
        ("behind hashes, as many as may be", SCRIPT, |tip| hashed(tip, 1, [500, 500])),
        // 4,001 × 20 = 80,020.
        ("in a witness", TOO_MANY, |tip| in_witness(tip, 2, 4_001)),
        ("in a witness, as many as may be", SCRIPT, |tip| in_witness(tip, 2, 4_000)),
        ("in a witness, few", None, |tip| in_witness(tip, 2, 150)),
    ]);
}

#[test]
fn bytes_belong_to_their_header() {
    fn with_witness(tip: &Tip) -> Draft {
        let script = vec![OP_TRUE];
        let first = pay(vec![tip.coin(1)], vec![(REWARD, witness_script_hash(&script))]);
        let unlock = In { witness: vec![script], ..output_of(&first, 0) };
        let second = pay(vec![unlock], vec![(REWARD, vec![OP_TRUE])]);
        tip.witnessed(0, &[first, second])
    }
    run(&[
        ("another merkle root", Some("bad-txnmrklroot"), |tip| {
            let mut draft = tip.draft(0, &[]);
            draft.header.merkle_root = [3; 32];
            block(&mine(draft.header), &draft.transactions)
        }),
        ("a repeated tail", Some("bad-txns-duplicate"), |tip| {
            let mut draft = tip.draft(0, &[move_all(tip.coin(1), REWARD), move_all(tip.coin(2), REWARD)]);
            let last = draft.transactions[2].clone();
            draft.transactions.push(last);
            draft.finish()
        }),
        ("an altered witness", Some("bad-witness-merkle-match"), |tip| {
            let mut draft = with_witness(tip);
            draft.transactions[2].inputs[0].witness.push(vec![7]);
            draft.finish()
        }),
        ("a reserved value of 31 bytes", Some("bad-witness-nonce-size"), |tip| {
            let mut draft = with_witness(tip);
            draft.transactions[0].inputs[0].witness = vec![vec![0; 31]];
            draft.finish()
        }),
        ("a witness without commitment", Some("unexpected-witness"), |tip| {
            let mut draft = with_witness(tip);
            draft.transactions[0].outputs.pop();
            draft.transactions[0].inputs[0].witness.clear();
            draft.finish()
        }),
        ("too many bytes", Some("bad-blk-length"), |tip| {
            let mut draft = tip.draft(0, &[]);
            draft.transactions[0].outputs.push((0, vec![0; 1_000_000]));
            draft.finish()
        }),
        ("too much weight", Some("bad-blk-weight"), |tip| {
            let mut draft = with_witness(tip);
            draft.transactions[0].outputs.pop();
            draft.transactions[0].outputs.push((0, vec![0; 900_000]));
            draft.transactions[2].inputs[0].witness.insert(0, vec![0; 400_000]);
            let output = commitment(&draft.transactions);
            draft.transactions[0].outputs.push(output);
            draft.finish()
        }),
        ("a count that is not in its shortest form", Some("bad-encoding"), |tip| {
            let bytes = tip.draft(0, &[]).finish();
            [&bytes[..80], &[0xfd, 1, 0], &bytes[81..]].concat()
        }),
        ("a script's length that is not in its shortest form", Some("bad-encoding"), |tip| {
            // Header, count, version, count, outpoint: then the length of the coinbase's script.
            let (bytes, at) = (tip.draft(0, &[]).finish(), 81 + 4 + 1 + 36);
            [&bytes[..at], &[0xfd, bytes[at], 0], &bytes[at + 1..]].concat()
        }),
        ("a witness that has nothing in it", Some("bad-encoding"), |tip| {
            let (bytes, at) = (tip.draft(0, &[]).finish(), 81 + 4);
            let end = bytes.len() - 4;
            [&bytes[..at], &[0, 1], &bytes[at..end], &[0], &bytes[end..]].concat()
        }),
        ("a form of transactions that there is not", Some("bad-encoding"), |tip| {
            let (bytes, at) = (tip.draft(0, &[]).finish(), 81 + 4);
            [&bytes[..at], &[0, 2], &bytes[at..]].concat()
        }),
        ("a transaction too few", Some("bad-encoding"), |tip| {
            let mut bytes = tip.draft(0, &[move_all(tip.coin(1), REWARD)]).finish();
            bytes[80] = 3;
            bytes
        }),
        ("a cut behind the header", Some("bad-encoding"), |tip| tip.draft(0, &[]).finish()[..80].to_vec()),
        ("a cut in a transaction", Some("bad-encoding"), |tip| {
            tip.draft(0, &[move_all(tip.coin(1), REWARD)]).finish()[..200].to_vec()
        }),
        ("a cut", Some("bad-encoding"), |tip| {
            let bytes = tip.draft(0, &[]).finish();
            bytes[..bytes.len() - 1].to_vec()
        }),
        ("all as it should be", None, |tip| with_witness(tip).finish()),
        ("a transaction of 64 bytes", None, |tip| {
            let tx = pay(vec![tip.coin(2)], vec![(REWARD, vec![OP_TRUE; 4])]);
            assert_eq!(tx.to_bytes().len(), 64);
            tip.draft(0, &[tx]).finish()
        }),
    ]);
}

#[test]
fn scripts_succeed() {
    fn spend_of(tip: &Tip, lock: &[u8], unlock: In) -> Vec<u8> {
        let first = pay(vec![tip.coin(1)], vec![(REWARD, lock.to_vec())]);
        let input = In { txid: first.txid(), sequence: FINAL, ..unlock };
        let second = pay(vec![input], vec![(REWARD, vec![OP_TRUE])]);
        tip.witnessed(0, &[first, second]).finish()
    }
    run(&[
        ("false", SCRIPT, |tip| spend_of(tip, &[0], In::default())),
        ("another script than the hash's", SCRIPT, |tip| {
            spend_of(tip, &script_hash(&[OP_TRUE]), In { script: vec![1, 0x52], ..In::default() })
        }),
        ("no witness", SCRIPT, |tip| spend_of(tip, &witness_script_hash(&[OP_TRUE]), In::default())),
        ("a witness that nothing asks for", SCRIPT, |tip| {
            spend_of(tip, &[OP_TRUE], In { witness: vec![vec![1]], ..In::default() })
        }),
        ("no signature of taproot", SCRIPT, |tip| {
            spend_of(
                tip,
                &[&[OP_TRUE, 32][..], &[2; 32]].concat(),
                In { witness: vec![vec![1; 64]], ..In::default() },
            )
        }),
        ("a later witness version", None, |tip| {
            spend_of(tip, &[&[0x52, 32][..], &[2; 32]].concat(), In::default())
        }),
    ]);
}

#[test]
fn headers_have_their_place() {
    fn with(tip: &Tip, change: impl Fn(&mut Header)) -> Vec<u8> {
        let mut draft = tip.draft(0, &[]);
        change(&mut draft.header);
        draft.finish()
    }
    run(&[
        ("an old version", Some("bad-version(0x00000003)"), |tip| with(tip, |header| header.version = 3)),
        ("the median time", Some("time-too-old"), |tip| with(tip, |header| header.time = tip.median)),
        ("a time to come", Some("time-too-new"), |tip| with(tip, |header| header.time = u32::MAX)),
        ("another target", Some("bad-diffbits"), |tip| with(tip, |header| header.bits = 0x207f_fffe)),
        ("no parent", Some("prev-blk-not-found"), |tip| with(tip, |header| header.prev = [1; 32])),
        ("too little work", Some("high-hash"), |tip| {
            let mut bytes = tip.draft(0, &[]).finish();
            let limit = Params::regtest().pow_limit;
            while crate::pow::meets_target(
                &crate::header::block_hash(bytes.first_chunk().unwrap()),
                0x207f_ffff,
                &limit,
            ) {
                bytes[76] = bytes[76].wrapping_add(1);
            }
            bytes
        }),
    ]);
}
