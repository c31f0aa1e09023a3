#![expect(clippy::unwrap_used, reason = "tests")]
use super::super::testdir::{BlocksDir, TestBlock, block, genesis, records, undos};
use super::*;
use crate::params::Params;

/// The picture of a folder, its headers unjudged: those of the test's blocks all have the same time.
fn open(dir: &BlocksDir) -> NodeRecords {
    let index = Arc::new(BlockIndex::scan(dir.path(), &Params::regtest()).unwrap());
    NodeRecords { index, headers: HeaderChain::new(Params::regtest()), cancelled: Arc::default() }
}

fn read(chain: &NodeRecords, height: u32) -> (Vec<u8>, Result<Vec<u8>, String>) {
    let (mut block, mut undo) = (vec![7; 9], vec![7; 9]);
    chain.read_block(height, &mut block).unwrap();
    let read = chain.read_undo(height, &mut undo).map_err(|error| error.to_string());
    (block, read.map(|()| undo))
}

fn assert_chain(chain: &NodeRecords, blocks: &[TestBlock]) {
    for (height, expected) in (0..).zip(blocks) {
        let undo = if height == 0 { Vec::new() } else { expected.undo()[8..].to_vec() };
        assert_eq!(read(chain, height), (expected.bytes.clone(), Ok(undo)), "height {height}");
    }
}

/// Blocks that spend different numbers of coins.
fn spending_chain(length: u32) -> Vec<TestBlock> {
    let mut blocks = vec![genesis()];
    for height in 1..length {
        let inputs: Vec<u32> = (0..height % 3).map(|i| i + 1).collect();
        blocks.push(block(blocks.last().unwrap().hash, height, &inputs));
    }
    blocks
}

#[test]
fn records_are_read_by_height_whatever_their_order_and_key() {
    let blocks = spending_chain(9);
    let dir = BlocksDir::with_key([9, 8, 7, 6, 5, 4, 3, 2]);
    dir.write("blk00000.dat", &records([0, 2, 1, 5].map(|height| &blocks[height])));
    dir.write_padded("rev00000.dat", &undos([1, 2, 5].map(|height| &blocks[height])), 100);
    dir.write("blk00001.dat", &records([4, 3, 8, 7, 6].map(|height| &blocks[height])));
    // In no order at all.
    dir.write("rev00001.dat", &undos([8, 3, 7, 6, 4].map(|height| &blocks[height])));
    let chain = open(&dir);
    assert_chain(&chain, &blocks);
    assert_eq!(chain.read_block(9, &mut Vec::new()).err().unwrap().code(), "ERR_SEGMENT_RANGE");
}

#[test]
fn a_record_that_only_seems_to_be_the_next_is_looked_for_again() {
    let mut blocks = vec![genesis()];
    for height in 1..5 {
        blocks.push(block(blocks.last().unwrap().hash, height, &[2]));
    }
    let dir = BlocksDir::new();
    dir.write("blk00000.dat", &records(&blocks));
    // As many transactions each: only the checksums tell that two are exchanged.
    dir.write("rev00000.dat", &undos([1, 3, 2, 4].map(|height| &blocks[height])));
    assert_chain(&open(&dir), &blocks);
}

#[test]
fn a_damaged_record_is_left_to_whoever_reads_it() {
    let blocks = spending_chain(6);
    let dir = BlocksDir::new();
    dir.write("blk00000.dat", &records(&blocks));
    let mut undo = undos(&blocks);
    let start = undos(&blocks[..4]).len();
    undo[start + 20] ^= 1;
    dir.write("rev00000.dat", &undo);
    let chain = open(&dir);
    let expected = undo[start + 8..start + blocks[4].undo().len()].to_vec();
    assert_eq!(read(&chain, 4).1, Ok(expected));
    assert_eq!(read(&chain, 5).1, Ok(blocks[5].undo()[8..].to_vec()));
}

#[test]
fn siblings_are_told_apart() {
    let mut blocks = spending_chain(3);
    let stale = block(blocks[2].hash, 50, &[4]);
    blocks.push(block(blocks[2].hash, 51, &[1, 3]));
    blocks.push(block(blocks[3].hash, 52, &[]));
    let dir = BlocksDir::new();
    dir.write("blk00000.dat", &[records(&blocks[..3]), stale.record(), records(&blocks[3..])].concat());
    let undo = [undos(&blocks[..3]), stale.undo(), undos(&blocks[3..])].concat();
    dir.write("rev00000.dat", &undo);
    assert_chain(&open(&dir), &blocks);
}

#[test]
fn a_missing_record_names_its_block_and_a_pruned_file_its_height() {
    let blocks = spending_chain(5);
    let dir = BlocksDir::new();
    let path = dir.write("blk00000.dat", &records(&blocks[..4]));
    dir.write("blk00001.dat", &records(&blocks[4..]));
    dir.write("rev00000.dat", &undos([1, 3].map(|height| &blocks[height])));
    let chain = open(&dir);
    let (block, undo) = read(&chain, 2);
    assert_eq!(block, blocks[2].bytes);
    assert!(undo.unwrap_err().starts_with("segment 0 has no spent file: block 2: no undo record in "));
    assert!(read(&chain, 3).1.is_ok());
    std::fs::remove_file(path).unwrap();
    let index = Arc::new(chain.index.rescan().unwrap().0);
    let chain = NodeRecords { index, ..chain };
    assert_eq!(chain.read_block(2, &mut Vec::new()).err().unwrap().code(), "ERR_BLOCK_PRUNED");
}
