//! Undo records: whose they are, and when they are not used.
#![expect(clippy::unwrap_used, reason = "tests")]
use super::testdir::{BlocksDir, TestBlock, block, chain, genesis, records, undos};
#[cfg(feature = "engine")]
use super::testdir::{Spend, block_of_words};
use super::{BlockIndex, ScanError};
use crate::params::Params;
use crate::segments::SegmentKind::{Blocks, Spent};
use blockswarm_pieces::Extents;
use std::sync::atomic::AtomicBool;

/// Segments of four blocks.
fn scan(dir: &BlocksDir) -> BlockIndex {
    BlockIndex::scan(dir.path(), &Params { interval: 4, ..Params::regtest() }).unwrap()
}

fn settle(index: &BlockIndex, segment: u32) -> Result<Extents, ScanError> {
    index.settle(segment, Spent, &AtomicBool::new(false))
}

/// Genesis and blocks that spend different numbers of coins.
fn spending_chain(length: u32) -> Vec<TestBlock> {
    let mut blocks = vec![genesis()];
    for height in 1..length {
        let inputs: Vec<u32> = (0..height % 3).map(|i| i + 1).collect();
        blocks.push(block(blocks.last().unwrap().hash, height, &inputs));
    }
    blocks
}

fn assert_spent(index: &BlockIndex, segment: u32, blocks: &[TestBlock]) {
    let extents = settle(index, segment).unwrap();
    let mut found = vec![0; extents.length() as usize];
    extents.read_exact_at(0, &mut found).unwrap();
    let first = segment as usize * 4;
    assert!(found == undos(&blocks[first..first + 4]), "segment {segment}");
}

#[test]
fn records_in_the_order_of_connection_are_found_over_several_files() {
    let blocks = spending_chain(12);
    let dir = BlocksDir::with_key([9, 8, 7, 6, 5, 4, 3, 2]);
    dir.write("blk00000.dat", &records([0, 2, 1, 5, 7].map(|height| &blocks[height])));
    dir.write_padded("rev00000.dat", &undos([1, 2, 5, 7].map(|height| &blocks[height])), 1000);
    dir.write("blk00002.dat", &records([3, 4, 6, 11, 10, 9, 8].map(|height| &blocks[height])));
    dir.write_padded("rev00002.dat", &undos([3, 4, 6, 8, 9, 10, 11].map(|height| &blocks[height])), 1000);
    let index = scan(&dir);
    assert!(index.has_spent(0));
    assert_eq!(index.extents(0, Spent).err().unwrap().code(), "ERR_SPENT_MISSING");
    (0..3).for_each(|segment| assert_spent(&index, segment, &blocks));
    assert_eq!(index.extents(3, Spent).err().unwrap().code(), "ERR_SEGMENT_RANGE");
    assert_eq!(index.extents(u32::MAX, Blocks).err().unwrap().code(), "ERR_SEGMENT_RANGE");
}

#[test]
fn the_order_in_the_file_does_not_matter_nor_does_garbage_nor_a_second_copy() {
    let blocks = spending_chain(8);
    let dir = BlocksDir::new();
    dir.write("blk00000.dat", &records(&blocks));
    let part = |heights: &[usize]| undos(heights.iter().map(|height| &blocks[*height]));
    let junk = [part(&[5])[..30].to_vec(), vec![0; 50], b"junk".to_vec()].concat();
    let foreign = block([5; 32], 1, &[2, 2]).undo();
    let all = [part(&[7, 2, 1]), junk, part(&[2, 6, 4]), foreign, part(&[5, 3, 5, 1])].concat();
    dir.write("rev00000.dat", &all);
    let index = scan(&dir);
    assert_spent(&index, 0, &blocks);
    assert_spent(&index, 1, &blocks);
}

#[test]
fn siblings_are_told_apart_by_their_transactions_and_inputs() {
    let mut blocks = spending_chain(5);
    let stale = block(blocks[4].hash, 50, &[4]);
    let other = block(blocks[4].hash, 51, &[3, 1]);
    let winner = block(blocks[4].hash, 52, &[1, 3]);
    blocks.push(winner.clone());
    blocks.push(block(winner.hash, 6, &[2]));
    blocks.push(block(blocks[6].hash, 7, &[]));
    let mut stored: Vec<&TestBlock> = blocks[..5].iter().collect();
    stored.extend([&stale, &other, &winner, &blocks[6], &blocks[7]]);
    let dir = BlocksDir::new();
    dir.write("blk00000.dat", &records(stored));
    // `other` was never connected.
    let connected = [&blocks[1], &blocks[2], &blocks[3], &blocks[4], &stale, &winner, &blocks[6], &blocks[7]];
    dir.write("rev00000.dat", &undos(connected));
    let index = scan(&dir);
    assert_eq!(index.stale_blocks(), 2);
    assert_spent(&index, 0, &blocks);
    assert_spent(&index, 1, &blocks);
}

#[test]
fn siblings_alike_are_never_guessed() {
    let mut blocks = spending_chain(5);
    let stale = block(blocks[4].hash, 50, &[2, 2]);
    let winner = block(blocks[4].hash, 52, &[2, 2]);
    blocks.push(winner.clone());
    blocks.push(block(winner.hash, 6, &[2]));
    blocks.push(block(blocks[6].hash, 7, &[]));
    let dir = BlocksDir::new();
    dir.write("blk00000.dat", &[records(&blocks[..5]), stale.record(), records(&blocks[5..])].concat());
    dir.write("rev00000.dat", &undos(&blocks));
    let index = scan(&dir);
    assert_spent(&index, 0, &blocks);
    let error = settle(&index, 1).err().unwrap();
    assert_eq!(error.code(), "ERR_SPENT_MISSING");
    assert!(
        error.to_string().starts_with("segment 1 has no spent file: block 5: no undo record in "),
        "{error}"
    );
    assert!(error.to_string().ends_with("(0 of unknown blocks, 1 of siblings alike)"), "{error}");
}

/// Settles block 5 and its neighbours, whose sibling of the same form was connected before it. `connected`: whose records
/// are there, 0 for the sibling's, in their order. The spent file, and what it should be.
#[cfg(feature = "engine")]
fn settled_with_sibling(spends: [&[Spend]; 2], connected: &[usize]) -> Result<(Vec<u8>, Vec<u8>), ScanError> {
    let blocks = spending_chain(5);
    let sibling = |place: usize| block_of_words(blocks[4].hash, 50 + place as u32, spends[place]);
    let [(stale, first), (winner, second)] = [0, 1].map(sibling);
    let next = block(winner.hash, 6, &[2]);
    let last = block(next.hash, 7, &[]);
    let dir = BlocksDir::new();
    let stored = [&blocks[..], &[stale, winner, next.clone(), last.clone()]].concat();
    dir.write("blk00000.dat", &records(&stored));
    let own = connected.iter().flat_map(|place| [&first, &second][*place].clone()).collect();
    let rest = undos([&next, &last]);
    dir.write("rev00000.dat", &[undos(&blocks), own, rest.clone()].concat());
    let extents = settle(&scan(&dir), 1)?;
    let mut found = vec![0; extents.length() as usize];
    extents.read_exact_at(0, &mut found).unwrap();
    Ok((found, [undos(&blocks[4..]), second, rest].concat()))
}

#[cfg(feature = "engine")]
#[test]
fn siblings_alike_are_told_apart_by_amounts_and_scripts() {
    let spend = |word, amount, output| Spend { word, amount, output };
    let by_script = [&[spend(7, 0, 1), spend(8, 0, 1)][..], &[spend(9, 0, 2), spend(8, 0, 2)]];
    let by_amount = [&[spend(0, 5, 1), spend(0, 9, 1)][..], &[spend(0, 9, 2), spend(0, 5, 2)]];
    for spends in [by_script, by_amount] {
        for connected in [&[0, 1][..], &[1, 0], &[1], &[0, 0, 1, 1]] {
            let (found, expected) = settled_with_sibling(spends, connected).unwrap();
            assert!(found == expected, "{spends:?} {connected:?}");
        }
        let error = settled_with_sibling(spends, &[0]).err().unwrap().to_string();
        assert!(error.contains("block 5: no undo record in"), "{error}");
    }
}

#[cfg(feature = "engine")]
#[test]
fn siblings_that_both_satisfy_a_record_have_it_only_when_they_spend_the_same() {
    let spends = [1, 2].map(|output| [Spend { word: 0, amount: 5, output }]);
    let error = settled_with_sibling([&spends[0], &spends[1]], &[1]).err().unwrap().to_string();
    assert!(error.ends_with("(0 of unknown blocks, 1 of siblings alike)"), "{error}");
    let (found, expected) = settled_with_sibling([&spends[1], &spends[1]], &[1]).unwrap();
    assert!(found == expected);
}

#[test]
fn siblings_that_spend_nothing_share_their_record() {
    let blocks = chain(8);
    let stale = block(blocks[2].hash, 50, &[]);
    let dir = BlocksDir::new();
    dir.write("blk00000.dat", &[stale.record(), records(&blocks)].concat());
    dir.write("rev00000.dat", &undos(&blocks));
    let index = scan(&dir);
    assert_spent(&index, 0, &blocks);
    assert_spent(&index, 1, &blocks);
    assert_eq!(index.extents(1, Spent).unwrap().length(), 4 * 41);
}

#[test]
fn a_folder_without_undo_files_has_blocks_files_only() {
    let blocks = chain(8);
    let dir = BlocksDir::new();
    dir.write("blk00000.dat", &records(&blocks));
    let index = scan(&dir);
    assert!(!index.has_spent(0));
    assert_eq!(settle(&index, 0).err().unwrap().code(), "ERR_SPENT_MISSING");
    index.settle(0, Blocks, &AtomicBool::new(false)).unwrap();
    assert_eq!(index.extents(1, Blocks).unwrap().length(), records(&blocks[4..]).len() as u64);
}

#[test]
fn a_spent_file_that_is_settled_behind_its_blocks_file_reads_no_block_again() {
    let blocks = spending_chain(8);
    let dir = BlocksDir::new();
    let path = dir.write("blk00000.dat", &records(&blocks));
    dir.write("rev00000.dat", &undos(&blocks));
    let never = AtomicBool::new(false);
    let index = scan(&dir);
    index.settle(1, Blocks, &never).unwrap();
    // Without a trace in the file's times.
    let times = std::fs::metadata(&path).unwrap().modified().unwrap();
    std::fs::write(&path, vec![0; records(&blocks).len()]).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(times).unwrap();
    assert_spent(&index, 1, &blocks);
    assert_eq!(settle(&index, 0).err().unwrap().code(), "ERR_BLOCK_DAMAGED");
}

#[test]
fn a_missing_record_names_its_block() {
    let blocks = spending_chain(8);
    let dir = BlocksDir::new();
    dir.write("blk00000.dat", &records(&blocks));
    dir.write("rev00000.dat", &undos(blocks.iter().filter(|block| block.hash != blocks[6].hash)));
    let index = scan(&dir);
    assert_spent(&index, 0, &blocks);
    assert!(settle(&index, 1).err().unwrap().to_string().contains("block 6: no undo record in"));
    assert!(index.has_spent(0) && !index.has_spent(1), "now it is known");
}

#[test]
fn records_from_before_0_15_are_not_used() {
    let blocks = spending_chain(8);
    let dir = BlocksDir::new();
    dir.write("blk00000.dat", &records(&blocks));
    let old: Vec<u8> = blocks[1..].iter().flat_map(|block| block.undo_with(0)).collect();
    dir.write("rev00000.dat", &old);
    let error = settle(&scan(&dir), 0).err().unwrap();
    assert_eq!(
        error.to_string(),
        "segment 0 has no spent file: block 1: incomplete: written by a version before 0.15"
    );
}

#[test]
fn a_coin_from_the_future_is_not_used() {
    let blocks = spending_chain(4);
    let dir = BlocksDir::new();
    dir.write("blk00000.dat", &records(&blocks));
    let bad: Vec<u8> = blocks[1..].iter().flat_map(|block| block.undo_with(9)).collect();
    dir.write("rev00000.dat", &bad);
    assert!(settle(&scan(&dir), 0).err().unwrap().to_string().ends_with("block 1: a coin of height 9"));
}

#[test]
fn a_damaged_block_is_noticed_before_its_segment_is_published() {
    let blocks = spending_chain(4);
    let mut bytes = records(&blocks);
    let offset = records(&blocks[..2]).len();
    bytes[offset + 8 + 80 + 30] ^= 1;
    let dir = BlocksDir::new();
    let path = dir.write("blk00000.dat", &bytes);
    let error = scan(&dir).settle(0, Blocks, &AtomicBool::new(false)).err().unwrap();
    assert_eq!(error.code(), "ERR_BLOCK_DAMAGED");
    let expected =
        format!("{}: the block at byte {offset} is damaged: height 2: bad-txnmrklroot", path.display());
    assert_eq!(error.to_string(), expected);
}

#[test]
fn settling_stops_when_asked_to_and_survives_a_rescan() {
    let blocks = spending_chain(8);
    let dir = BlocksDir::new();
    dir.write("blk00000.dat", &records(&blocks));
    dir.write("rev00000.dat", &undos(&blocks));
    let index = scan(&dir);
    let cancelled = index.settle(0, Spent, &AtomicBool::new(true)).err().unwrap();
    assert_eq!(cancelled.code(), "ERR_INTERRUPTED");
    assert_spent(&index, 0, &blocks);
    let more = block(blocks[7].hash, 8, &[]);
    dir.write("blk00001.dat", &more.record());
    let next = index.rescan().unwrap().0;
    assert_eq!(next.held_height(), Some(8));
    assert!(next.extents(0, Spent).is_ok());
    assert!(next.extents(1, Spent).is_err());
}
