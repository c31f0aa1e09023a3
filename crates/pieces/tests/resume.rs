//! A store that goes on where an earlier run ended, or was ended.
#![expect(clippy::unwrap_used, reason = "tests")]

mod torrent;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use blockswarm_pieces::{
    BLOCK_BYTES, FileChange, FileIdentity, PieceOutcome, ResumeDb, ResumeRecord, Resumed, Store,
};
use proptest::prelude::*;
use torrent::{NEVER, Torrent, Version, names, options, read};

const KEY: [u8; 32] = [1; 32];

/// A torrent of three files in nine pieces, its folder, and the database beside it.
struct Scene {
    dir: tempfile::TempDir,
    torrent: Torrent,
    db: ResumeDb,
}

impl Scene {
    fn new(version: Version) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let piece = u64::from(BLOCK_BYTES);
        let torrent = Torrent::new(version, &[3 * piece, 2 * piece - 5, 4 * piece - 1], BLOCK_BYTES);
        let db = ResumeDb::open(&dir.path().join("resume.redb"));
        Self { dir, torrent, db }
    }

    fn open(&self, write_behind: u64) -> Arc<Store> {
        self.torrent.open(&self.dir.path().join("files"), &options(write_behind)).unwrap()
    }

    fn path(&self, n: usize) -> std::path::PathBuf {
        self.dir.path().join("files").join(names(3)[n].as_path())
    }

    /// What a new run finds.
    fn resume(&self) -> (Arc<Store>, Resumed) {
        let store = self.open(0);
        let resumed = store.resume(&self.db, &KEY);
        (store, resumed)
    }
}

fn set(bitmap: &blockswarm_pieces::Bitmap) -> Vec<u32> {
    (0..bitmap.len()).filter(|piece| bitmap.get(*piece)).collect()
}

fn pieces(resumed: &Resumed) -> Vec<u32> {
    resumed.to_check.iter().cloned().flatten().collect()
}

/// Writes to a file in its place: it stays the same file.
fn overwrite(path: &Path, bytes: &[u8]) {
    File::options().write(true).open(path).unwrap().write_all(bytes).unwrap();
}

#[test]
fn a_store_that_was_closed_well_is_trusted_without_a_look_at_its_bytes() {
    let scene = Scene::new(Version::Hybrid);
    let store = scene.open(1 << 20);
    assert_eq!(pieces(&store.resume(&scene.db, &KEY)), (0..9).collect::<Vec<_>>(), "nothing is known yet");
    for n in [1, 4, 8] {
        assert!(matches!(scene.torrent.put(&store, n), PieceOutcome::Good));
    }
    store.save(&scene.db, &KEY, false).unwrap();
    assert!(!store.has_unwritten(), "what is recorded is in its files");
    drop(store);
    let (again, resumed) = scene.resume();
    assert_eq!((set(&resumed.trusted), pieces(&resumed), resumed.crashed), (vec![1, 4, 8], vec![], false));
    for n in [1, 4, 8] {
        assert_eq!(read(&again, n).unwrap(), scene.torrent.piece(n));
    }
}

#[test]
fn a_file_that_changed_between_two_runs_is_hashed_again_and_no_other() {
    let scene = Scene::new(Version::V2);
    let store = scene.open(0);
    scene.torrent.put_all(&store);
    store.save(&scene.db, &KEY, false).unwrap();
    drop(store);
    overwrite(&scene.path(1), b"spoiled");
    let (again, resumed) = scene.resume();
    assert_eq!((set(&resumed.trusted), pieces(&resumed)), (vec![0, 1, 2, 5, 6, 7, 8], vec![3, 4]));
    assert_eq!(resumed.changed, [(1, FileChange::Modified)]);
    assert_eq!(again.verify_pieces(3..5, &NEVER).unwrap(), 1, "the piece that was not touched");
    assert_eq!(set(again.servable()), [0, 1, 2, 4, 5, 6, 7, 8]);
}

#[test]
fn a_run_that_never_saved_again_leaves_what_it_began_with_and_the_rest_to_be_hashed() {
    let scene = Scene::new(Version::Hybrid);
    let store = scene.open(0);
    scene.torrent.put(&store, 2);
    store.save(&scene.db, &KEY, false).unwrap();
    drop(store);
    let (killed, _) = scene.resume();
    scene.torrent.put(&killed, 7);
    drop(killed);
    let (again, resumed) = scene.resume();
    assert!(resumed.crashed);
    assert_eq!((set(&resumed.trusted), pieces(&resumed)), (vec![2], vec![0, 1, 3, 4, 5, 6, 7, 8]));
    for range in resumed.to_check {
        again.verify_pieces(range, &NEVER).unwrap();
    }
    assert_eq!(set(again.servable()), [2, 7], "what was written before the kill is found");
}

#[test]
fn a_store_over_files_of_others_keeps_no_writer_open() {
    let scene = Scene::new(Version::Hybrid);
    let writer = scene.open(0);
    scene.torrent.put_all(&writer);
    let (geometry, hashes) = (scene.torrent.geometry.clone(), scene.torrent.hashes.clone());
    let reader = Store::over_extents(geometry, hashes, writer.extents()).unwrap();
    reader.set_servable_all();
    reader.save(&scene.db, &KEY, true).unwrap();
    let (_, resumed) = scene.resume();
    assert!(resumed.trusted.is_full() && !resumed.crashed);
}

/// One thing that happens to a download.
#[derive(Clone, Copy, Debug)]
enum Step {
    Put(u32),
    Save,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![3 => (0..9_u32).prop_map(Step::Put), 1 => Just(Step::Save)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// The machine stops: of what was written since the last sync, any part may be lost, torn, or there.
    #[test]
    fn after_a_crash_no_piece_is_had_that_is_not_on_disk(
        v1: bool,
        write_behind in prop_oneof![Just(0), Just(1_u64 << 20)],
        steps in proptest::collection::vec(step(), 1..24),
        lost in proptest::collection::vec(any::<bool>(), 40),
    ) {
        let scene = Scene::new(if v1 { Version::V1 } else { Version::V2 });
        let store = scene.open(write_behind);
        store.resume(&scene.db, &KEY);
        let files = || (0..3).map(|n| fs::read(scene.path(n)).unwrap()).collect::<Vec<_>>();
        let (mut synced, mut saved) = (files(), Vec::new());
        for step in steps {
            match step {
                Step::Put(n) if store.servable().get(n) => {}
                Step::Put(n) => prop_assert!(matches!(scene.torrent.put(&store, n), PieceOutcome::Good)),
                Step::Save => {
                    store.save(&scene.db, &KEY, true).unwrap();
                    (synced, saved) = (files(), set(store.servable()));
                }
            }
        }
        drop(store);
        for (n, synced) in synced.iter().enumerate() {
            let mut left = fs::read(scene.path(n)).unwrap();
            // In portions that are no multiple of a block: writes are torn anywhere.
            for (portion, (left, synced)) in left.chunks_mut(5000).zip(synced.chunks(5000)).enumerate() {
                if lost[(portion + 14 * n) % lost.len()] {
                    left.copy_from_slice(synced);
                }
            }
            overwrite(&scene.path(n), &left);
        }
        let (again, resumed) = scene.resume();
        prop_assert_eq!(set(&resumed.trusted), saved);
        for n in set(&resumed.trusted) {
            prop_assert!(again.verify_piece(scene.torrent.geometry.piece(n).unwrap()).unwrap());
        }
        for range in resumed.to_check {
            again.verify_pieces(range, &NEVER).unwrap();
        }
        scene.torrent.put_all(&again);
        again.save(&scene.db, &KEY, false).unwrap();
        drop(again);
        scene.torrent.check_files(&scene.dir.path().join("files"));
        prop_assert!(scene.resume().1.trusted.is_full());
    }

    /// Any record, however it came about, gives no more than it says.
    #[test]
    fn a_record_gives_no_more_than_it_says(had: [u8; 2], open: bool) {
        let scene = Scene::new(Version::V2);
        let had = vec![had[0], had[1] & 0x80];
        let store = scene.open(0);
        let file = |n: usize| blockswarm_pieces::PlacedFile {
            pieces: scene.torrent.geometry.pieces_of(n),
            identity: FileIdentity::at(&scene.path(n)).unwrap(),
        };
        let files: Vec<_> = (0..3).map(file).collect();
        scene.db.save(&KEY, &ResumeRecord::new(&scene.torrent.geometry, had.clone(), &files, open));
        store.resume(&scene.db, &KEY);
        prop_assert_eq!(store.servable().to_bytes(), had);
    }
}
