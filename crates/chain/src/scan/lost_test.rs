//! Block files that are cut, written over, or exchanged, under a chain that is known.
#![expect(clippy::unwrap_used, reason = "tests")]
use super::BlockIndex;
use super::testdir::{BlocksDir, TestBlock, block, chain, records, touch, undos};
use crate::params::Params;
use crate::segments::SegmentKind::{Blocks, Spent};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

static NEVER: AtomicBool = AtomicBool::new(false);
/// Blocks, in segments of ten.
const LENGTH: usize = 400;
/// Behind this one no node forgets any.
const DEEP: usize = LENGTH - 1 - 144;

struct Scene {
    dir: BlocksDir,
    state: tempfile::TempDir,
    blocks: Vec<TestBlock>,
    paths: Vec<PathBuf>,
    index: BlockIndex,
}

impl Scene {
    /// `files`: how many the chain lies in.
    fn new(files: usize) -> Self {
        let (dir, state) = (BlocksDir::with_key(*b"a key of"), tempfile::tempdir().unwrap());
        let blocks = chain(LENGTH as u32);
        let write = |(number, part): (usize, &[TestBlock])| {
            dir.write(&format!("rev{number:05}.dat"), &undos(part));
            dir.write(&format!("blk{number:05}.dat"), &records(part))
        };
        let paths = blocks.chunks(LENGTH / files).enumerate().map(write).collect();
        let index = scan(&dir, state.path());
        let scene = Self { dir, state, blocks, paths, index };
        scene.assert_whole();
        scene
    }

    fn rescan(&mut self) {
        self.index = self.index.rescan().unwrap().0;
    }

    fn restart(&mut self) {
        self.index.close();
        self.index = scan(&self.dir, self.state.path());
    }

    fn tip(&self) -> usize {
        self.index.held_height().unwrap() as usize
    }

    fn assert_whole(&self) {
        assert_eq!(self.tip(), LENGTH - 1);
        assert!((0..LENGTH as u32 / 10).all(|segment| self.gone(segment).is_empty()));
        let mut bytes = vec![0; records(&self.blocks).len()];
        self.index.block_extents(0..LENGTH as u32).unwrap().read_exact_at(0, &mut bytes).unwrap();
        assert!(bytes == records(&self.blocks));
    }

    /// First and end of each range that a segment's blocks file lacks.
    fn gone(&self, segment: u32) -> Vec<(usize, usize)> {
        let ranges = self.index.gone_ranges(segment, Blocks).unwrap();
        ranges.into_iter().map(|range| (range.start as usize, range.end as usize)).collect()
    }

    fn length(&self, heights: std::ops::Range<usize>) -> usize {
        records(&self.blocks[heights]).len()
    }
}

fn scan(dir: &BlocksDir, state: &Path) -> BlockIndex {
    let params = Params { interval: 10, ..Params::regtest() };
    BlockIndex::scan_kept(dir.path(), &params, &state.join("index.redb")).unwrap()
}

/// Puts another file in the place of one.
fn exchange(path: &Path, bytes: &[u8]) {
    let other = path.with_extension("other");
    fs::write(&other, bytes).unwrap();
    touch(&other);
    fs::rename(other, path).unwrap();
}

fn write_over(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    touch(path);
}

#[test]
fn segments_that_lost_bytes_stay_known_with_all_later_ones_and_are_whole_when_the_file_is() {
    // Between other files; and the only one there is, with the newest blocks in it.
    for (files, file, first, end) in [(4, 1, 155, 200), (1, 0, 25, DEEP + 1)] {
        let mut scene = Scene::new(files);
        let path = scene.paths[file].clone();
        let whole = fs::read(&path).unwrap();
        let start = file * LENGTH / files;
        let cut = scene.length(start..first);
        let mishaps: [(&str, &dyn Fn()); 5] = [
            ("cut", &|| write_over(&path, &whole[..cut + 40])),
            ("emptied", &|| write_over(&path, &[])),
            ("zeroed", &|| write_over(&path, &vec![0; whole.len()])),
            ("another", &|| exchange(&path, &vec![0; whole.len()])),
            ("written over", &|| write_over(&path, &[&whole[..cut], &vec![7; whole.len() - cut]].concat())),
        ];
        for (what, mishap) in mishaps {
            let first = if ["cut", "written over"].contains(&what) { first } else { start };
            mishap();
            for again in ["at once", "after a restart"] {
                if again == "at once" {
                    scene.rescan();
                } else {
                    scene.restart();
                }
                let what = format!("{what} of {files}, {again}");
                // What was at the end is forgotten, as after a crash of the node.
                assert_eq!(scene.tip(), if files == 1 { end - 1 } else { LENGTH - 1 }, "{what}");
                for segment in 0..scene.index.sealed_segments(0) {
                    let heights = segment as usize * 10..segment as usize * 10 + 10;
                    let lost = heights.start.max(first)..heights.end.min(end);
                    let expected: Vec<(usize, usize)> = if lost.is_empty() {
                        Vec::new()
                    } else {
                        let before = scene.length(heights.start..lost.start);
                        vec![(before, before + scene.length(lost))]
                    };
                    assert_eq!(scene.gone(segment), expected, "{what}: segment {segment}");
                    let settled = scene.index.settle(segment, Blocks, &NEVER);
                    let code = settled.err().map(|error| error.code());
                    let is_damaged = !expected.is_empty();
                    assert_eq!(code, is_damaged.then_some("ERR_BLOCK_DAMAGED"), "{what}: segment {segment}");
                    assert_eq!(scene.index.headers(0, end as u32).unwrap().len(), end * 80, "{what}");
                }
            }
            exchange(&path, &whole);
            scene.rescan();
            scene.assert_whole();
        }
    }
}

#[test]
fn a_file_that_is_cut_again_and_again_loses_no_more_of_what_is_known() {
    let mut scene = Scene::new(1);
    let file = File::options().write(true).open(&scene.paths[0]).unwrap();
    for height in [350, 40, 10] {
        file.set_len(scene.length(0..height) as u64).unwrap();
        touch(&scene.paths[0]);
        scene.rescan();
        assert_eq!(scene.tip(), DEEP.max(height - 1), "cut at {height}");
    }
}

#[test]
fn blocks_that_a_node_fetches_again_are_served_from_where_they_are_now() {
    let mut scene = Scene::new(2);
    let cut = scene.length(0..80);
    let file = File::options().write(true).open(&scene.paths[0]).unwrap();
    file.set_len(cut as u64).unwrap();
    touch(&scene.paths[0]);
    scene.rescan();
    assert_eq!((scene.tip(), scene.gone(8).len(), scene.gone(19).len()), (LENGTH - 1, 1, 1));
    scene.dir.write("blk00002.dat", &records(&scene.blocks[80..200]));
    scene.rescan();
    scene.assert_whole();
    scene.restart();
    scene.assert_whole();
    // And the file that was cut goes on.
    scene.dir.write("blk00000.dat", &records(scene.blocks[..80].iter().chain(&scene.blocks[80..90])));
    fs::remove_file(scene.dir.path().join("blk00002.dat")).unwrap();
    scene.dir.write("blk00003.dat", &records(&scene.blocks[90..200]));
    scene.rescan();
    scene.assert_whole();
}

#[test]
fn files_of_an_earlier_day_hold_the_chain_of_that_day() {
    let mut scene = Scene::new(2);
    exchange(&scene.paths[0], &{
        let plain = records(&scene.blocks[..30]);
        plain.iter().zip(b"a key of".iter().cycle()).map(|(byte, key)| byte ^ key).collect::<Vec<_>>()
    });
    fs::remove_file(&scene.paths[1]).unwrap();
    scene.rescan();
    assert_eq!(scene.tip(), 29);
}

#[test]
fn a_chain_with_more_work_wins_over_one_of_which_blocks_were_lost() {
    let mut scene = Scene::new(2);
    let mut fork = vec![scene.blocks[40].clone()];
    for salt in 0..370 {
        fork.push(block(fork.last().unwrap().hash, 10_000 + salt, &[]));
    }
    scene.dir.write("blk00000.dat", &records(scene.blocks[..41].iter().chain(&fork[1..])));
    scene.rescan();
    assert_eq!((scene.tip(), scene.index.hash_at(41)), (410, Some(fork[1].hash)));
}

#[test]
fn spent_files_stay_as_they_are_when_only_blocks_are_lost() {
    let mut scene = Scene::new(4);
    for segment in 0..LENGTH as u32 / 10 {
        scene.index.settle(segment, Spent, &NEVER).unwrap();
    }
    write_over(&scene.paths[1], &[]);
    scene.rescan();
    for segment in (0..10).chain(20..40) {
        assert!(scene.index.settle(segment, Spent, &NEVER).is_ok());
    }
    assert_eq!(scene.index.gone_ranges(0, Spent).unwrap(), []);
}
