//! What an earlier run has kept.
#![expect(clippy::unwrap_used, reason = "tests")]
use super::testdir::{BlocksDir, TestBlock, block, chain, records, undos};
use super::{BlockIndex, Changes};
use crate::params::Params;
use crate::segments::SegmentKind::{Blocks, Spent};
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;

/// A folder of blocks, and beside it one with a store.
struct Scene {
    dir: BlocksDir,
    state: TempDir,
    blocks: Vec<TestBlock>,
}

impl Scene {
    /// 300 blocks in three pairs of files, segments of 50.
    fn new() -> Self {
        let dir = BlocksDir::with_key(*b"whatever");
        let blocks = chain(300);
        for (number, part) in blocks.chunks(100).enumerate() {
            dir.write(&format!("blk{number:05}.dat"), &records(part));
            dir.write(&format!("rev{number:05}.dat"), &undos(part));
        }
        Self { dir, state: tempfile::tempdir().unwrap(), blocks }
    }

    fn store(&self) -> PathBuf {
        self.state.path().join("index.redb")
    }

    fn params() -> Params {
        Params { interval: 50, ..Params::regtest() }
    }

    /// Of the store, or of a copy of it.
    fn open(&self, store: &Path) -> BlockIndex {
        BlockIndex::scan_kept(self.dir.path(), &Self::params(), store).unwrap()
    }

    /// What a start finds without looking at the folder, and then what it had to read.
    fn start(&self, store: &Path) -> (BlockIndex, Changes) {
        let mut index = BlockIndex::blank(self.dir.path(), &Self::params(), Some(store)).unwrap();
        index.restore();
        index.rescan().unwrap()
    }

    fn assert_whole(&self, index: &BlockIndex) {
        assert_eq!(index.held_height(), Some(self.blocks.len() as u32 - 1));
        let headers: Vec<u8> = self.blocks.iter().flat_map(|block| block.bytes[..80].to_vec()).collect();
        assert!(index.headers(0, self.blocks.len() as u32).unwrap() == headers);
        let extents = index.block_extents(0..self.blocks.len() as u32).unwrap();
        let mut bytes = vec![0; extents.length() as usize];
        extents.read_exact_at(0, &mut bytes).unwrap();
        assert!(bytes == records(&self.blocks));
    }
}

#[test]
fn a_restart_reads_no_block_file_that_has_not_changed() {
    let scene = Scene::new();
    let first = scene.open(&scene.store());
    scene.assert_whole(&first);
    first.close();
    let (index, changes) = scene.start(&scene.store());
    assert_eq!((changes.read_bytes, changes.appended, changes.replaced), (0, 0, 0));
    assert_eq!((changes.tip, changes.fork_height), (first.tip(), Some(299)));
    assert_eq!((index.warnings(), index.stale_blocks(), index.orphans()), (vec![], 0, 0));
    scene.assert_whole(&index);
}

#[test]
fn a_restart_reads_what_was_appended_and_what_was_replaced_meanwhile() {
    let mut scene = Scene::new();
    scene.open(&scene.store()).close();
    let next = block(scene.blocks[299].hash, 300, &[]);
    scene.blocks.push(next.clone());
    scene.dir.write("blk00002.dat", &records(&scene.blocks[200..]));
    let (index, changes) = scene.start(&scene.store());
    assert_eq!((changes.appended, changes.replaced), (1, 0));
    assert!(changes.read_bytes <= next.record().len() as u64 + 2 * 97, "{}", changes.read_bytes);
    scene.assert_whole(&index);
    index.close();
    // Another file of the same size.
    let other: Vec<&TestBlock> = scene.blocks[100..200].iter().rev().collect();
    let path = scene.dir.write("blk", &records(other));
    fs::rename(path, scene.dir.path().join("blk00001.dat")).unwrap();
    let (index, changes) = scene.start(&scene.store());
    assert_eq!((changes.appended, changes.replaced), (0, 1));
    scene.assert_whole(&index);
    index.close();
    let (index, changes) = scene.start(&scene.store());
    assert_eq!((changes.read_bytes, changes.replaced), (0, 0));
    scene.assert_whole(&index);
}

#[test]
fn what_was_pruned_stays_known_after_a_restart() {
    let scene = Scene::new();
    let index = scene.open(&scene.store());
    for segment in 0..6 {
        index.settle(segment, Spent, &AtomicBool::new(false)).unwrap();
    }
    index.close();
    for name in ["blk00000.dat", "rev00000.dat"] {
        fs::remove_file(scene.dir.path().join(name)).unwrap();
    }
    let (index, changes) = scene.start(&scene.store());
    assert_eq!((changes.gone, changes.read_bytes, index.held_height()), (1, 0, Some(299)));
    index.close();
    let (index, changes) = scene.start(&scene.store());
    assert_eq!((changes.gone, changes.read_bytes, index.held_height()), (0, 0, Some(299)));
    let headers: Vec<u8> = scene.blocks.iter().flat_map(|block| block.bytes[..80].to_vec()).collect();
    assert!(index.headers(0, 300).unwrap() == headers);
    let length = index.extents(1, Blocks).unwrap().length();
    assert_eq!(length, records(&scene.blocks[50..100]).len() as u64);
    let gone = |segment, kind| index.gone_ranges(segment, kind).unwrap().first().map(|range| range.end);
    assert_eq!((gone(1, Blocks), gone(1, Spent), gone(2, Blocks)), (Some(length), Some(50 * 41), None));
    // Where its records lay is known, so that a torrent of it can still be served in parts.
    assert_eq!(index.extents(0, Spent).unwrap().length(), 49 * 41);
    let error = index.settle(0, Spent, &AtomicBool::new(false)).err().unwrap();
    assert_eq!(error.code(), "ERR_BLOCK_PRUNED", "{error}");
}

#[test]
fn a_store_of_another_folder_or_network_is_dropped() {
    let scene = Scene::new();
    scene.open(&scene.store()).close();
    let other = BlocksDir::with_key(*b"another_");
    other.write("blk00000.dat", &records(&scene.blocks[..20]));
    let index = BlockIndex::scan_kept(other.path(), &Scene::params(), &scene.store()).unwrap();
    assert_eq!(index.held_height(), Some(19));
    assert!(
        index.warnings()[0].contains("index.redb: it belongs to another folder"),
        "{:?}",
        index.warnings()
    );
    index.close();
    let index = scene.open(&scene.store());
    assert_eq!(index.warnings().len(), 1);
    scene.assert_whole(&index);
}

#[test]
fn a_file_that_is_no_store_is_moved_aside() {
    let scene = Scene::new();
    fs::write(scene.store(), "notes, longer than the head of a database".repeat(200)).unwrap();
    let index = scene.open(&scene.store());
    scene.assert_whole(&index);
    assert!(index.warnings()[0].contains("index.redb.damaged"), "{:?}", index.warnings());
    index.close();
    let (index, changes) = scene.start(&scene.store());
    assert_eq!(changes.read_bytes, 0);
    scene.assert_whole(&index);
}

#[test]
fn a_kill_at_any_point_leaves_a_store_that_is_right() {
    let mut scene = Scene::new();
    let copy = scene.state.path().join("copy.redb");
    let mut index = BlockIndex::blank(scene.dir.path(), &Scene::params(), Some(&scene.store())).unwrap();
    for step in 0..6 {
        index = index.rescan().unwrap().0;
        if step % 2 == 0 {
            index.save();
        }
        // What is on disk while the database is open is what a kill leaves.
        fs::copy(scene.store(), &copy).unwrap();
        let (after, _) = scene.start(&copy);
        assert_eq!(after.warnings(), Vec::<String>::new());
        scene.assert_whole(&after);
        let next = block(scene.blocks.last().unwrap().hash, 1000 + step, &[]);
        scene.blocks.push(next);
        if step == 3 {
            // The node crashed, and writes over what it had.
            let again: Vec<&TestBlock> = scene.blocks[200..].iter().rev().collect();
            scene.dir.write("blk00002.dat", &records(again));
        } else if step != 4 {
            scene.dir.write("blk00002.dat", &records(&scene.blocks[200..]));
        } else {
            scene.dir.write("blk00003.dat", &records(&scene.blocks[304..]));
        }
    }
}

#[test]
fn a_full_disk_costs_the_store_and_nothing_else() {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    use std::os::fd::AsRawFd;
    let scene = Scene::new();
    let memory = memfd_create("full", MemfdFlags::ALLOW_SEALING).unwrap();
    fcntl_add_seals(&memory, SealFlags::GROW).unwrap();
    let index = scene.open(Path::new(&format!("/proc/self/fd/{}", memory.as_raw_fd())));
    scene.assert_whole(&index);
    let warnings = index.warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("scanned anew"), "{warnings:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn damage_anywhere_in_the_store_costs_time_only(
        spots in prop::collection::vec((any::<prop::sample::Index>(), 1..=255u8), 1..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let scene = Scene::new();
        scene.open(&scene.store()).close();
        let mut bytes = fs::read(scene.store()).unwrap();
        for (at, flip) in spots {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        fs::write(scene.store(), bytes).unwrap();
        let index = scene.open(&scene.store());
        scene.assert_whole(&index);
        index.close();
        scene.assert_whole(&scene.open(&scene.store()));
    }
}
