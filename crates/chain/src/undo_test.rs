#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;
use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::block::{BlockContext, check_block, read_block};
use crate::encode::sha256d;
use crate::header::Header;
use crate::params::Params;
use crate::testdata;
use crate::transaction::Transaction;

const PREV: Hash = [7; 32];

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = vec![(value & 0x7f) as u8];
    while value > 0x7f {
        value = (value >> 7) - 1;
        bytes.push((value & 0x7f) as u8 | 0x80);
    }
    bytes.reverse();
    bytes
}

/// A coin: height and coinbase flag, what stands for the version, compressed amount, compressed script.
fn coin(height: u64, version: &[u8], amount: u64, script: &[u8]) -> Vec<u8> {
    [&varint(height << 1)[..], version, &varint(amount), script].concat()
}

fn raw_script(script: &[u8]) -> Vec<u8> {
    [&varint(script.len() as u64 + 6)[..], script].concat()
}

fn check(undo: &[u8], inputs: &[u32], height: u32) -> Result<(), UndoFault> {
    let record = [undo, &sha256d([&PREV, undo])].concat();
    check_undo(&record[..], undo.len() as u64, &PREV, inputs, height)
}

/// One transaction that spends these coins, at height 100.
fn check_coins(coins: &[Vec<u8>]) -> Result<(), UndoFault> {
    check(&[&[1, coins.len() as u8][..], &coins.concat()].concat(), &[coins.len() as u32], 100)
}

fn undo_file(archive: &str, name: &str) -> Option<Vec<u8>> {
    let archive = testdata::path(archive)?;
    let output = Command::new("tar").args(["-I", "zstd", "-xOf"]).arg(archive).arg(name).output().unwrap();
    assert!(output.status.success());
    Some(output.stdout)
}

#[test]
fn accepts_every_record_that_core_wrote_and_only_under_its_parent() {
    let archive = "chain-mainnet/core-blocksdir-0-14131-xor.tar.zst";
    let Some(mut rev) = undo_file(archive, "rev00000.dat") else { return };
    let mut blk = undo_file(archive, "blk00000.dat").unwrap();
    let key = undo_file(archive, "xor.dat").unwrap();
    for file in [&mut rev, &mut blk] {
        file.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
    }
    let params = Params::mainnet();
    let blocks = testdata::frames(&blk, params.magic);
    let (mut rest, mut coins, mut records) = (&rev[..], 0, 0);
    let mut unspent = HashMap::new();
    for (height, block) in blocks.iter().enumerate().skip(1) {
        let header = block.first_chunk().unwrap();
        let context = BlockContext { header, height: height as u32, params: &params };
        let facts = check_block(block, &context).unwrap();
        let size = u32::from_le_bytes(*rest[4..].first_chunk().unwrap());
        let (record, after) = rest[8..].split_at(size as usize + 32);
        let prev = Header::parse(header).prev;
        check_undo(record, size.into(), &prev, &facts.inputs, height as u32).unwrap();
        if !facts.inputs.is_empty() {
            let early = check_undo(record, size.into(), &prev, &facts.inputs, 1);
            assert!(height == 1 || matches!(early, Err(UndoFault::CoinHeight { .. })), "{height}");
            let other = check_undo(record, size.into(), &PREV, &facts.inputs, height as u32);
            assert!(matches!(other, Err(UndoFault::Checksum)));
        }
        // The coins are the outputs that were created, most of them with a whole public key.
        let spent = read_undo(record, size.into(), &prev, &facts.inputs, height as u32).unwrap();
        let block = read_block(block, &context).unwrap();
        for (i, (transaction, txid)) in block.transactions.iter().zip(&block.txids).enumerate() {
            for (index, output) in (0..).zip(transaction.outputs()) {
                let coin = Coin {
                    height: height as u32,
                    is_coinbase: i == 0,
                    value: output.value,
                    script: output.script,
                };
                unspent.insert((*txid, index), coin);
            }
        }
        let inputs = block.transactions.iter().skip(1).flat_map(Transaction::inputs);
        for (i, input) in inputs.enumerate() {
            assert_eq!(spent.get(i), unspent.remove(&(*input.prev_txid, input.prev_index)), "{height} {i}");
        }
        coins += spent.len();
        records += 1;
        rest = after;
    }
    assert_eq!((records, coins), (14_131, 865));
}

#[test]
fn a_block_that_spends_nothing_has_one_zero_byte() {
    check(&[0], &[], 5).unwrap();
    assert!(matches!(check(&[], &[], 5), Err(UndoFault::Malformed { offset: 0 })));
    assert!(matches!(check(&[0, 0], &[], 5), Err(UndoFault::Malformed { offset: 1 })));
    assert!(matches!(check(&[0xfd, 0, 0], &[], 5), Err(UndoFault::Malformed { .. })));
}

#[test]
fn counts_follow_the_block() {
    let one = coin(5, &[0], 9, &[0; 21]);
    let undo = [&[1, 1][..], &one].concat();
    check(&undo, &[1], 5).unwrap();
    assert!(matches!(check(&undo, &[], 5), Err(UndoFault::Size { .. })));
    let too_few = check(&[0], &[1], 5);
    assert!(matches!(too_few, Err(UndoFault::TransactionCount { found: 0, expected: 1 })));
    let other = check(&undo, &[2], 5);
    assert!(matches!(other, Err(UndoFault::CoinCount { transaction: 1, found: 1, expected: 2 })));
    assert!(matches!(check(&undo, &[1], 4), Err(UndoFault::CoinHeight { coin_height: 5 })));
    let short = check(&undo[..undo.len() - 1], &[1], 5);
    assert!(matches!(short, Err(UndoFault::Malformed { .. })));
}

#[test]
fn records_from_before_0_15_are_incomplete() {
    let whole = coin(5, &[0], 9, &[0; 21]);
    check_coins(&[whole.clone(), whole.clone()]).unwrap();
    let no_height = coin(0, &[], 9, &[0; 21]);
    assert!(matches!(check_coins(&[whole.clone(), no_height]), Err(UndoFault::Incomplete)));
    let version_one = coin(5, &[1], 9, &[0; 21]);
    assert!(matches!(check_coins(&[version_one, whole.clone()]), Err(UndoFault::Incomplete)));
    let long_version = coin(5, &[0x80, 0], 9, &[0; 21]);
    assert!(matches!(check_coins(&[whole, long_version]), Err(UndoFault::Incomplete)));
}

#[test]
fn damage_is_a_checksum_fault_whatever_it_breaks() {
    let undo = [&[1, 1][..], &coin(5, &[0], 9, &[0; 21])].concat();
    let record = [&undo[..], &sha256d([&PREV, &undo])].concat();
    for i in 0..record.len() {
        let mut damaged = record.clone();
        damaged[i] ^= 0x40;
        let verdict = check_undo(&damaged[..], undo.len() as u64, &PREV, &[1], 5);
        assert!(matches!(verdict, Err(UndoFault::Checksum)), "{i}");
    }
    let cut = check_undo(&record[..record.len() - 1], undo.len() as u64, &PREV, &[1], 5);
    assert!(matches!(cut, Err(UndoFault::Io(_))));
}

#[test]
fn scripts_use_their_short_form_and_have_a_bound() {
    let with = |script: Vec<u8>| check_coins(&[coin(5, &[0], 9, &script)]);
    for (form, length) in [(0, 20), (1, 20), (2, 32), (3, 32), (4, 32), (5, 32)] {
        with([&[form][..], &vec![3; length]].concat()).unwrap();
    }
    for length in [0, 1, 22, 23, 25, 35, 67, 10_000] {
        with(raw_script(&vec![0; length])).unwrap();
    }
    let refused = [
        raw_script(&[&[0x76, 0xa9, 20][..], &[0; 20], &[0x88, 0xac]].concat()),
        raw_script(&[&[0xa9, 20][..], &[0; 20], &[0x87]].concat()),
        raw_script(&[&[33, 2][..], &[0; 32], &[0xac]].concat()),
        raw_script(&[0; 10_001]),
        varint(u64::from(u32::MAX)),
        varint(u64::from(u32::MAX) + 1),
    ];
    for script in refused {
        assert!(matches!(with(script), Err(UndoFault::Malformed { .. })));
    }
    with(raw_script(&[&[33, 4][..], &[0; 32], &[0xac]].concat())).unwrap();
}

#[test]
fn reads_scripts_in_their_whole_form() {
    let read = |form: u8, hash: &[u8]| {
        let undo = [&[1, 1][..], &coin(5, &[0], 9, &[&[form], hash].concat())].concat();
        let record = [&undo[..], &sha256d([&PREV, &undo])].concat();
        let spent = read_undo(&record[..], undo.len() as u64, &PREV, &[1], 5)?;
        Ok::<_, UndoFault>(spent.get(0).unwrap().script.to_vec())
    };
    assert_eq!(read(0, &[7; 20]).unwrap(), [&[0x76, 0xa9, 20][..], &[7; 20], &[0x88, 0xac]].concat());
    assert_eq!(read(1, &[7; 20]).unwrap(), [&[0xa9, 20][..], &[7; 20], &[0x87]].concat());
    assert_eq!(read(2, &[7; 32]).unwrap(), [&[33, 2][..], &[7; 32], &[0xac]].concat());
    assert_eq!(read(3, &[7; 32]).unwrap(), [&[33, 3][..], &[7; 32], &[0xac]].concat());
    // The generator of secp256k1 and its negation.
    let x = testdata::unhex("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798");
    let y = testdata::unhex("483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8");
    assert_eq!(read(4, &x).unwrap(), [&[65, 4][..], &x, &y, &[0xac]].concat());
    let odd = read(5, &x).unwrap();
    assert!(odd[2..34] == x[..] && odd[34..66] != y[..] && odd[65] % 2 == 1);
    // No point has this x.
    assert!(matches!(read(4, &[&[0; 31][..], &[5]].concat()), Err(UndoFault::Malformed { .. })));
}

#[test]
fn amounts_are_money() {
    // compressor tests of Core: 0, 1, CENT, COIN, 50 COIN, 21000000 COIN.
    let cases =
        [(0, 0), (1, 1), (7, 1_000_000), (9, 100_000_000), (0x32, 5_000_000_000), (0x0140_6f40, MAX_MONEY)];
    for (compressed, amount) in cases {
        assert_eq!(decompress_amount(compressed), Some(amount));
        check_coins(&[coin(5, &[0], compressed, &[0; 21])]).unwrap();
    }
    for compressed in [0x0140_6f40 + 10, u64::MAX, u64::MAX / 10] {
        let verdict = check_coins(&[coin(5, &[0], compressed, &[0; 21])]);
        assert!(matches!(verdict, Err(UndoFault::Malformed { .. })), "{compressed}");
    }
}

#[test]
fn many_large_coins_stream_within_the_limit() {
    let one = coin(5, &[0], 9, &raw_script(&vec![1; 10_000]));
    let undo = [&[1, 200][..], &one.repeat(200)].concat();
    assert!(undo.len() as u64 <= undo_limit(200) && undo.len() > 20 * CHUNK_BYTES);
    check(&undo, &[200], 5).unwrap();
    assert_eq!((undo_limit(0), undo_limit(1), undo_limit(u64::MAX)), (9, 10_039, MAX_UNDO_BYTES));
}

proptest! {
    #[test]
    fn never_panics_on_random_bytes(undo: Vec<u8>, inputs in prop::collection::vec(0u32..9, 0..4), height: u32) {
        let _ = check(&undo, &inputs, height);
        let _ = check_undo(&undo[..], undo.len() as u64 / 2, &PREV, &inputs, height);
        let _ = check(&[&[1, 3][..], &undo].concat(), &[3], height);
    }
}
