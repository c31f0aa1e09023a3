//! Files that a node prunes while we know them.
#![expect(clippy::unwrap_used, reason = "tests")]
use super::BlockIndex;
use super::testdir::{BlocksDir, TestBlock, chain, records, undos};
use crate::params::Params;
use crate::segments::SegmentKind::{self, Blocks, Spent};
use std::fs;
use std::sync::atomic::AtomicBool;

/// Segments of four blocks in pairs of files: heights 0 to 5, 6 and 7, 8 to 11.
fn scene() -> (BlocksDir, Vec<TestBlock>) {
    let blocks = chain(12);
    let dir = BlocksDir::with_key(*b"whatever");
    for (number, part) in [&blocks[..6], &blocks[6..8], &blocks[8..]].into_iter().enumerate() {
        dir.write(&format!("blk{number:05}.dat"), &records(part));
        dir.write(&format!("rev{number:05}.dat"), &undos(part));
    }
    (dir, blocks)
}

fn scan(dir: &BlocksDir) -> BlockIndex {
    BlockIndex::scan(dir.path(), &Params { interval: 4, ..Params::regtest() }).unwrap()
}

/// First and end of each range.
fn gone(index: &BlockIndex, segment: u32, kind: SegmentKind) -> Vec<(u64, u64)> {
    let ranges = index.gone_ranges(segment, kind).unwrap();
    ranges.into_iter().map(|range| (range.start, range.end)).collect()
}

fn prune(dir: &BlocksDir, number: u32) {
    for kind in ["blk", "rev"] {
        fs::remove_file(dir.path().join(format!("{kind}{number:05}.dat"))).unwrap();
    }
}

#[test]
fn what_was_pruned_stays_known_and_is_told_as_ranges_of_its_segments() {
    let (dir, blocks) = scene();
    let index = scan(&dir);
    for segment in 0..3 {
        index.settle(segment, Spent, &AtomicBool::new(false)).unwrap();
        assert_eq!(index.gone_ranges(segment, Blocks).unwrap(), []);
        assert_eq!(index.gone_ranges(segment, Spent).unwrap(), []);
    }
    let before = index.extents(1, Blocks).unwrap();
    prune(&dir, 0);
    let index = index.rescan().unwrap().0;
    assert_eq!((index.held_height(), index.tip().unwrap().hash), (Some(11), blocks[11].hash));
    assert_eq!(index.headers(0, 12).unwrap().len(), 12 * 80);
    let length = |part: &[TestBlock]| records(part).len() as u64;
    assert_eq!(gone(&index, 0, Blocks), [(0, length(&blocks[..4]))]);
    assert_eq!(gone(&index, 0, Spent), [(0, 3 * 41)]);
    assert_eq!(gone(&index, 1, Blocks), [(0, length(&blocks[4..6]))]);
    assert_eq!(gone(&index, 1, Spent), [(0, 2 * 41)]);
    assert_eq!(index.gone_ranges(2, Blocks).unwrap(), []);
    assert_eq!(index.gone_ranges(3, Blocks).err().unwrap().code(), "ERR_SEGMENT_RANGE");
    let extents = index.extents(1, Blocks).unwrap();
    assert_eq!(extents.length(), before.length());
    let mut rest = vec![0; length(&blocks[6..8]) as usize];
    extents.read_exact_at(length(&blocks[4..6]), &mut rest).unwrap();
    assert_eq!(rest, records(&blocks[6..8]));
    assert!(extents.read_exact_at(0, &mut [0; 8]).is_err());
    prune(&dir, 1);
    let index = index.rescan().unwrap().0.rescan().unwrap().0;
    assert_eq!(gone(&index, 1, Blocks), [(0, length(&blocks[4..8]))]);
    assert_eq!(index.held_height(), Some(11));
}

#[test]
fn a_file_that_comes_back_is_read_again() {
    let (dir, blocks) = scene();
    let index = scan(&dir);
    prune(&dir, 1);
    let index = index.rescan().unwrap().0;
    assert_eq!(index.gone_ranges(1, Blocks).unwrap().len(), 1);
    dir.write("blk00001.dat", &records(&blocks[6..8]));
    let index = index.rescan().unwrap().0;
    assert_eq!(index.gone_ranges(1, Blocks).unwrap(), []);
    index.settle(1, Blocks, &AtomicBool::new(false)).unwrap();
}

#[test]
fn files_that_vanish_from_the_end_were_not_pruned() {
    let (dir, _) = scene();
    let index = scan(&dir);
    prune(&dir, 2);
    prune(&dir, 1);
    let index = index.rescan().unwrap().0;
    assert_eq!(index.held_height(), Some(5));
}
