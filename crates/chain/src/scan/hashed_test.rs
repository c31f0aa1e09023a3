//! Hashes of segments that are kept between runs.
#![expect(clippy::unwrap_used, reason = "tests")]
use super::testdir::{BlocksDir, chain, records, undos};
use super::{BlockIndex, HashedFile};
use crate::params::Params;
use crate::segments::SegmentKind::{self, Blocks, Spent};
use blockswarm_pieces::ResumeDb;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

const PIECE_LENGTH: u32 = 16384;
static NEVER: AtomicBool = AtomicBool::new(false);

/// Two segments of four blocks, in a pair of files each.
struct Scene {
    dir: BlocksDir,
    files: Vec<PathBuf>,
    db: ResumeDb,
}

impl Scene {
    fn new() -> Self {
        let blocks = chain(8);
        let dir = BlocksDir::with_key([9, 8, 7, 6, 5, 4, 3, 2]);
        let files = vec![
            dir.write("blk00000.dat", &records(&blocks[..4])),
            dir.write("rev00000.dat", &undos(&blocks[..4])),
            dir.write("blk00001.dat", &records(&blocks[4..])),
            dir.write("rev00001.dat", &undos(&blocks[4..])),
        ];
        let db = ResumeDb::open(&dir.path().join("resume.redb"));
        let scene = Self { dir, files, db };
        scene.files.iter().for_each(|path| age(path));
        scene
    }

    fn hashed(&self, segment: u32, kind: SegmentKind) -> HashedFile {
        let index = BlockIndex::scan(self.dir.path(), &Params { interval: 4, ..Params::regtest() }).unwrap();
        index.hashed(segment, kind, PIECE_LENGTH, Some(&self.db), None, &AtomicBool::new(false)).unwrap()
    }

    fn remembered(&self) -> Vec<bool> {
        let all = [(0, Blocks), (0, Spent), (1, Blocks), (1, Spent)];
        all.into_iter().map(|(segment, kind)| self.hashed(segment, kind).is_remembered).collect()
    }
}

fn age(path: &Path) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
}

fn bytes(file: &HashedFile) -> Vec<u8> {
    let mut bytes = vec![0; file.extents.length() as usize];
    file.extents.read_exact_at(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn a_second_run_takes_places_and_hashes_from_the_first() {
    let scene = Scene::new();
    for (segment, kind) in [(0, Blocks), (0, Spent), (1, Blocks), (1, Spent)] {
        let (first, second) = (scene.hashed(segment, kind), scene.hashed(segment, kind));
        assert_eq!((first.is_remembered, second.is_remembered), (false, true));
        assert_eq!(first.hashes, second.hashes);
        assert!(bytes(&first) == bytes(&second), "{kind} {segment}");
    }
}

#[test]
fn only_what_lies_in_a_file_that_changed_is_hashed_again() {
    let scene = Scene::new();
    assert_eq!(scene.remembered(), [false; 4]);
    // As a node does that finds new blocks: more behind what is there.
    let mut longer = fs::read(&scene.files[2]).unwrap();
    longer.extend([0; 100]);
    fs::write(&scene.files[2], longer).unwrap();
    assert_eq!(scene.remembered(), [true, true, false, true]);
    assert_eq!(scene.remembered(), [true, true, false, true], "written to a moment ago");
    age(&scene.files[2]);
    assert_eq!(scene.remembered(), [true, true, false, true], "hashed for the first time since");
    assert_eq!(scene.remembered(), [true; 4]);
}

#[test]
fn hashes_outlive_damage_to_the_bytes() {
    // Deep enough for a file that lost its blocks to stay known.
    let blocks = chain(200);
    let (dir, state) = (BlocksDir::new(), tempfile::tempdir().unwrap());
    let path = dir.write("blk00000.dat", &records(&blocks[..8]));
    dir.write("rev00000.dat", &undos(&blocks[..8]));
    dir.write("blk00001.dat", &records(&blocks[8..]));
    let db = ResumeDb::open(&state.path().join("resume.redb"));
    let params = Params { interval: 4, ..Params::regtest() };
    let index = BlockIndex::scan_kept(dir.path(), &params, &state.path().join("index.redb")).unwrap();
    let hashed = |index: &BlockIndex| index.hashed(1, Blocks, PIECE_LENGTH, Some(&db), None, &NEVER);
    let first = hashed(&index).unwrap();
    assert!(!first.is_remembered);
    let cut = records(&blocks[..6]).len();
    File::options().write(true).open(&path).unwrap().set_len(cut as u64).unwrap();
    age(&path);
    let index = index.rescan().unwrap().0;
    let second = hashed(&index).unwrap();
    assert_eq!((second.is_remembered, &second.hashes), (true, &first.hashes));
    let mut left = vec![0; records(&blocks[4..6]).len()];
    second.extents.read_exact_at(0, &mut left).unwrap();
    assert!(left == records(&blocks[4..6]));
    let error = index.hashed(0, Spent, PIECE_LENGTH, None, None, &NEVER).err();
    assert!(error.is_none(), "{error:?}");
}
