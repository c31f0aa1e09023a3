//! A node that goes on writing, and what else may happen to its files.
#![expect(clippy::unwrap_used, reason = "tests")]
use super::testdir::{BlocksDir, TestBlock, block, chain, records, touch, undos};
use super::{BlockIndex, Changes};
use crate::params::Params;
use crate::segments::SegmentKind::{Blocks, Spent};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::sync::atomic::AtomicBool;

/// What a head and the count of transactions behind a header take: read beside the blocks themselves.
const HEAD_READ: u64 = 97;

fn scan(dir: &BlocksDir) -> BlockIndex {
    BlockIndex::scan(dir.path(), &Params { interval: 4, ..Params::regtest() }).unwrap()
}

fn rescan(index: &mut BlockIndex) -> Changes {
    let (next, changes) = index.rescan().unwrap();
    *index = next;
    changes
}

fn assert_holds(index: &BlockIndex, blocks: &[TestBlock]) {
    assert_eq!(index.held_height(), Some(blocks.len() as u32 - 1));
    let mut bytes = vec![0; records(blocks).len()];
    index.block_extents(0..blocks.len() as u32).unwrap().read_exact_at(0, &mut bytes).unwrap();
    assert!(bytes == records(blocks));
}

#[test]
fn no_byte_is_read_twice_while_a_node_goes_on() {
    let blocks = chain(60);
    let dir = BlocksDir::new();
    let path = dir.write_padded("blk00000.dat", &records(&blocks[..20]), 1 << 20);
    let mut index = scan(&dir);
    let file = File::options().write(true).open(&path).unwrap();
    let mut offset = records(&blocks[..20]).len() as u64;
    let (mut appended, mut read) = (0, 0);
    for (height, block) in (20..).zip(&blocks[20..]) {
        file.write_all_at(&block.record(), offset).unwrap();
        touch(&path);
        offset += block.record().len() as u64;
        appended += block.record().len() as u64;
        let changes = rescan(&mut index);
        assert_eq!((changes.appended, changes.gone, changes.replaced), (1, 0, 0));
        assert_eq!((changes.fork_height, changes.tip.unwrap().height), (Some(height - 1), height));
        assert_eq!(changes.tip_before.unwrap().hash, block.prev);
        read += changes.read_bytes;
    }
    assert!(read <= appended + 40 * (HEAD_READ + 9), "{read} bytes read of {appended} appended");
    assert_holds(&index, &blocks);
    // Nothing new: nothing is read.
    assert_eq!(rescan(&mut index).read_bytes, 0);
    // A file that is full is cut to its last block.
    file.set_len(offset).unwrap();
    touch(&path);
    let changes = rescan(&mut index);
    assert!(changes.read_bytes <= HEAD_READ && changes.replaced == 0);
    assert_holds(&index, &blocks);
}

#[test]
fn a_block_that_is_being_written_appears_when_it_is_whole() {
    let blocks = chain(3);
    let dir = BlocksDir::new();
    let path = dir.write_padded("blk00000.dat", &records(&blocks[..2]), 4096);
    let mut index = scan(&dir);
    let file = File::options().write(true).open(&path).unwrap();
    let (offset, record) = (records(&blocks[..2]).len() as u64, blocks[2].record());
    for end in [4, 8, 60, 88, record.len() - 6] {
        file.write_all_at(&record[..end], offset).unwrap();
        touch(&path);
        assert_eq!(rescan(&mut index).replaced, 0);
        assert_eq!(index.held_height(), Some(1), "{end} bytes");
    }
    file.write_all_at(&record, offset).unwrap();
    touch(&path);
    assert_eq!(rescan(&mut index).appended, 1);
    assert_holds(&index, &blocks);
}

#[test]
fn what_a_node_writes_over_after_a_crash_is_noticed_whatever_the_lengths() {
    let blocks = chain(12);
    let fork: Vec<TestBlock> = (0..4).fold(vec![blocks[5].clone()], |mut fork, salt| {
        fork.push(block(fork.last().unwrap().hash, 900 + salt, &[]));
        fork
    });
    // Shorter than before, as long, and longer; always blocks of one length.
    for count in [2, 3, 4] {
        let dir = BlocksDir::new();
        dir.write_padded("blk00000.dat", &records(&blocks[..9]), 4096);
        let mut index = scan(&dir);
        let again: Vec<&TestBlock> = blocks[..6].iter().chain(&fork[1..=count]).collect();
        let mut bytes = records(again.iter().copied());
        let before = records(&blocks[..9]);
        bytes.extend(before.get(bytes.len()..).unwrap_or_default());
        dir.write_padded("blk00000.dat", &bytes, 4096);
        let changes = rescan(&mut index);
        assert_eq!((changes.replaced, changes.fork_height), (1, Some(5)), "{count} blocks");
        assert_eq!(index.hash_at(6), Some(fork[1].hash));
        assert_eq!(index.held_height(), Some(5 + count as u32));
    }
}

#[test]
fn a_file_that_is_cut_or_zeroed_or_exchanged_loses_its_blocks() {
    let blocks = chain(12);
    let whole = records(&blocks[4..]);
    let first = records(&blocks[4..5]).len();
    let other: Vec<TestBlock> = (0..8).map(|salt| block([9; 32], salt, &[])).collect();
    for (what, bytes, held) in [
        ("cut", whole[..first].to_vec(), 4),
        ("empty", Vec::new(), 3),
        ("zeroed", vec![0; whole.len()], 3),
        ("other blocks", records(&other), 3),
    ] {
        let dir = BlocksDir::new();
        dir.write("blk00000.dat", &records(&blocks[..4]));
        let path = dir.write("blk00001.dat", &whole);
        dir.write("blk00002.dat", &[]);
        let mut index = scan(&dir);
        assert_holds(&index, &blocks);
        fs::write(&path, &bytes).unwrap();
        touch(&path);
        let changes = rescan(&mut index);
        assert_eq!((changes.replaced, changes.tip.unwrap().height), (1, held), "{what}");
        assert_eq!((changes.tip_before.unwrap().height, changes.fork_height), (11, Some(held)), "{what}");
        assert_eq!(index.extents(1, Blocks).err().unwrap().code(), "ERR_SEGMENT_RANGE", "{what}");
        // And has them again when they are back.
        fs::write(&path, &whole).unwrap();
        touch(&path);
        rescan(&mut index);
        assert_holds(&index, &blocks);
    }
}

#[test]
fn a_damaged_block_puts_its_file_in_doubt() {
    let blocks = chain(8);
    let dir = BlocksDir::new();
    let path = dir.write("blk00000.dat", &records(&blocks));
    let mut index = scan(&dir);
    // Zeroed without a trace in the file's times: as a failing disk does.
    let times = fs::metadata(&path).unwrap().modified().unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    let offset = records(&blocks[..5]).len() as u64;
    file.write_all_at(&vec![0; blocks[5].record().len()], offset).unwrap();
    file.set_modified(times).unwrap();
    assert_eq!(rescan(&mut index).read_bytes, 0);
    let error = index.settle(1, Blocks, &AtomicBool::new(false)).err().unwrap();
    assert_eq!(error.code(), "ERR_BLOCK_DAMAGED");
    assert_eq!(rescan(&mut index).tip.unwrap().height, 4);
}

#[test]
fn another_key_is_an_error_and_the_right_one_heals_it() {
    let blocks = chain(8);
    let dir = BlocksDir::with_key(*b"12345678");
    dir.write("blk00000.dat", &records(&blocks));
    let mut index = scan(&dir);
    fs::write(dir.path().join("xor.dat"), b"abcdefgh").unwrap();
    let error = index.rescan().err().unwrap();
    assert_eq!(error.code(), "ERR_XOR_KEY");
    assert!(error.to_string().contains("it is another node's"), "{error}");
    assert_holds(&index, &blocks);
    fs::write(dir.path().join("xor.dat"), b"12345678").unwrap();
    rescan(&mut index);
    assert_holds(&index, &blocks);
}

#[test]
fn an_undo_file_that_grows_keeps_what_was_proven_and_is_checked_anew() {
    let blocks = chain(12);
    let dir = BlocksDir::new();
    dir.write("blk00000.dat", &records(&blocks[..8]));
    let path = dir.write("rev00000.dat", &undos(&blocks[..8]));
    let mut index = scan(&dir);
    index.settle(0, Spent, &AtomicBool::new(false)).unwrap();
    dir.write("blk00000.dat", &records(&blocks));
    File::options().append(true).open(&path).unwrap().write_all(&undos(&blocks[8..])).unwrap();
    touch(&path);
    rescan(&mut index);
    assert_eq!(index.extents(0, Spent).unwrap().length(), 3 * 41);
    for segment in 0..3 {
        index.settle(segment, Spent, &AtomicBool::new(false)).unwrap();
    }
    // Written over: what is there now is no record any more.
    fs::write(&path, vec![7; 12 * 41]).unwrap();
    touch(&path);
    rescan(&mut index);
    let error = index.settle(0, Spent, &AtomicBool::new(false)).err().unwrap();
    assert_eq!(error.code(), "ERR_SPENT_MISSING");
}

#[test]
fn files_may_be_links_to_another_disk() {
    let blocks = chain(8);
    let (dir, elsewhere) = (BlocksDir::new(), BlocksDir::new());
    for (number, part) in blocks.chunks(4).enumerate() {
        let target = elsewhere.write(&format!("{number}.dat"), &records(part));
        std::os::unix::fs::symlink(target, dir.path().join(format!("blk{number:05}.dat"))).unwrap();
    }
    let link = elsewhere.path().join("blocks");
    std::os::unix::fs::symlink(dir.path(), &link).unwrap();
    let mut index = BlockIndex::scan(&link, &Params { interval: 4, ..Params::regtest() }).unwrap();
    assert_holds(&index, &blocks);
    fs::remove_file(elsewhere.path().join("0.dat")).unwrap();
    assert_eq!(rescan(&mut index).gone, 1);
    assert_eq!(index.gone_ranges(0, Blocks).unwrap().len(), 1);
}

#[test]
fn a_block_takes_less_than_100_bytes_of_memory() {
    const FILES: usize = 12;
    let blocks = chain(120_000);
    let (dir, state) = (BlocksDir::new(), tempfile::tempdir().unwrap());
    for (number, part) in blocks.chunks(blocks.len() / FILES).enumerate() {
        dir.write(&format!("blk{number:05}.dat"), &records(part));
        dir.write(&format!("rev{number:05}.dat"), &undos(part));
    }
    let params = Params { interval: 40_000, ..Params::regtest() };
    let index = BlockIndex::scan_kept(dir.path(), &params, &state.path().join("index.redb")).unwrap();
    assert_eq!(index.held_height(), Some(119_999));
    for segment in 0..3 {
        index.settle(segment, Spent, &AtomicBool::new(false)).unwrap();
    }
    let each = index.memory_bytes() / blocks.len();
    assert!(each < 95, "{each} bytes");
    let headers: Vec<u8> = blocks[..5000].iter().flat_map(|block| block.bytes[..80].to_vec()).collect();
    assert!(index.headers(0, 5000).unwrap() == headers);
    // After a restart, and when all was checked again.
    index.close();
    drop(index);
    let again = BlockIndex::scan_kept(dir.path(), &params, &state.path().join("index.redb")).unwrap();
    for segment in 0..3 {
        again.settle(segment, Spent, &AtomicBool::new(false)).unwrap();
    }
    let each = again.memory_bytes() / blocks.len();
    assert!(each < 95, "{each} bytes after a restart");
    assert!(again.headers(0, 5000).unwrap() == headers);
    let without = BlockIndex::scan(dir.path(), &params).unwrap().memory_bytes() / blocks.len();
    assert!(without < 140, "{without} bytes");
}
