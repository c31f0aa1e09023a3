//! The piece store from outside: fetching, judging, blame, serving, moving.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::io::{self, IoSliceMut};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use blockswarm_pieces::{
    BLOCK_BYTES, BlockWrite, Budget, Extents, ExtentsBuilder, FileHashes, Files, Geometry, NowRead,
    PieceHashes, PieceIndex, PieceOutcome, PieceVerdict, PiecesError, Store, hash_bytes,
};
use proptest::prelude::*;

const PIECE: u32 = 65536;
static NEVER: AtomicBool = AtomicBool::new(false);

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n / 5 % 241) as u8).collect()
}

fn hybrid(data: &[u8]) -> PieceHashes {
    hash_bytes(data, PIECE).unwrap()
}

fn geometry(data: &[u8]) -> Geometry {
    Geometry::new(data.len() as u64, PIECE).unwrap()
}

fn scratch(dir: &Path, data: &[u8]) -> Arc<Store> {
    Store::open_scratch(geometry(data), hybrid(data), &dir.join("scratch")).unwrap()
}

fn piece(store: &Store, n: u32) -> PieceIndex {
    store.geometry().piece(n).unwrap()
}

fn bytes_of(data: &[u8], piece: PieceIndex) -> &[u8] {
    data.chunks(PIECE as usize).nth(piece.get() as usize).unwrap()
}

fn put(store: &Store, data: &[u8], piece: PieceIndex, block: u32, from: u64) -> BlockWrite {
    let block_bytes = bytes_of(data, piece).chunks(BLOCK_BYTES as usize).nth(block as usize).unwrap();
    store.write_block(piece, block * BLOCK_BYTES, block_bytes, from)
}

/// Fetches one piece of `data`, block n from the sender `from(n)`.
fn fetch(store: &Store, data: &[u8], n: u32, from: impl Fn(u32) -> u64) -> PieceVerdict {
    let piece = piece(store, n);
    let wanted = store.wanted_blocks(piece, 0..u32::MAX).unwrap();
    for block in &wanted {
        let last = wanted.last() == Some(block);
        match put(store, data, piece, *block, from(*block)) {
            BlockWrite::Hashable => store.hash_arrived(piece),
            write => assert_eq!(write, if last { BlockWrite::Completed } else { BlockWrite::Stored }),
        }
    }
    store.finish_piece(piece).unwrap()
}

fn fetch_all(store: &Store, data: &[u8]) {
    for n in 0..store.geometry().piece_count() {
        assert!(matches!(fetch(store, data, n, |_| 1).outcome, PieceOutcome::Good));
    }
}

fn read(store: &Store, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; length];
    store.read_exact_at(offset, &mut buffer).map(|()| buffer)
}

fn file_extents(dir: &Path, name: &str, data: &[u8]) -> Extents {
    fs::write(dir.join(name), data).unwrap();
    Extents::whole_file(&dir.join(name)).unwrap()
}

#[test]
fn torrents_of_every_shape_are_fetched_and_served() {
    for length in [1, 16383, 16384, 16385, 65535, 65536, 65537, 131_072, 131_072 + 16384, 131_072 + 16385] {
        let data = bytes(length);
        let both = hybrid(&data);
        let v1 = PieceHashes { v1: both.v1.clone(), v2: None };
        let v2 = PieceHashes { v1: None, v2: both.v2.clone() };
        for hashes in [both, v1, v2] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("scratch");
            let store = Store::open_scratch(geometry(&data), hashes.clone(), &path).unwrap();
            assert_eq!(read(&store, 0, 1).unwrap_err().kind(), io::ErrorKind::NotFound);
            fetch_all(&store, &data);
            assert!(store.servable().is_full());
            assert_eq!(read(&store, 0, length).unwrap(), data);
            assert_eq!(fs::read(&path).unwrap(), data);
            drop(store);
            let again = Store::open_scratch(geometry(&data), hashes, &path).unwrap();
            assert_eq!(again.servable().count(), 0);
            let count = again.geometry().piece_count();
            assert_eq!(again.verify_pieces(0..u32::MAX, &NEVER).unwrap(), count);
            assert!(again.servable().is_full() && again.verify_root(&NEVER).unwrap());
        }
    }
}

#[test]
fn reads_that_need_no_waiting_scatter_into_buffers() {
    let (dir, data) = (tempfile::tempdir().unwrap(), bytes(3 * 65536));
    let store = scratch(dir.path(), &data);
    fetch(&store, &data, 0, |_| 1);
    fetch(&store, &data, 1, |_| 1);
    let (mut first, mut second) = (vec![0; 20000], vec![0; 50000]);
    let read = store.read_now(10, &mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)]).unwrap();
    if read == NowRead::Done {
        assert_eq!([first, second].concat(), data[10..70010]);
    }
    let mut across = [0; 2];
    let error = store.read_now(131_071, &mut [IoSliceMut::new(&mut across)]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound, "piece 2 is not servable");
    let error = store.read_exact_at(data.len() as u64, &mut across).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn blocks_that_nobody_wants_are_not_kept() {
    let (dir, data) = (tempfile::tempdir().unwrap(), bytes(65536 + 16385));
    let store = scratch(dir.path(), &data);
    let (first, last) = (piece(&store, 0), piece(&store, 1));
    assert_eq!(put(&store, &data, first, 0, 1), BlockWrite::NotWanted, "not asked for");
    assert_eq!(store.wanted_blocks(first, 1..3).unwrap(), [1, 2]);
    assert_eq!(store.write_block(first, 1, &data[1..16385], 1), BlockWrite::NotWanted, "between blocks");
    assert_eq!(store.write_block(first, 0, &data[..16383], 1), BlockWrite::NotWanted, "too short");
    assert_eq!(store.write_block(first, 0, &data[..16385], 1), BlockWrite::NotWanted, "too long");
    assert_eq!(store.write_block(first, 65536, &data[..16384], 1), BlockWrite::NotWanted, "beyond the piece");
    assert_eq!(store.write_block(first, u32::MAX, &[], 1), BlockWrite::NotWanted);
    assert_eq!(put(&store, &data, first, 2, 1), BlockWrite::Stored);
    assert_eq!(put(&store, &data, first, 2, 2), BlockWrite::Duplicate);
    assert_eq!(store.wanted_blocks(first, 0..9).unwrap(), [0, 1, 3]);
    assert!(store.finish_piece(first).is_none(), "blocks are missing");
    assert_eq!(store.wanted_blocks(last, 1..2).unwrap(), [1]);
    assert_eq!(store.write_block(last, 16384, &[data[65536 + 16384]], 1), BlockWrite::Stored);
    assert!(store.wanted_blocks(last, 5..5).unwrap().is_empty());
    fetch(&store, &data, 0, |_| 1);
    assert_eq!(put(&store, &data, first, 0, 1), BlockWrite::Duplicate);
    assert!(store.wanted_blocks(first, 0..4).unwrap().is_empty());
    assert!(store.finish_piece(first).is_none(), "taken already");
}

#[test]
fn the_only_sender_of_a_bad_piece_is_the_culprit_at_once() {
    let (dir, data) = (tempfile::tempdir().unwrap(), bytes(65536 * 2));
    let store = scratch(dir.path(), &data);
    let mut spoiled = data.clone();
    spoiled[65536 - 1] ^= 1;
    let verdict = fetch(&store, &spoiled, 0, |_| 7);
    assert!(matches!(verdict.outcome, PieceOutcome::Bad));
    assert_eq!((verdict.senders, verdict.culprits), (vec![7], vec![7]));
    assert_eq!(store.servable().count(), 0);
    let verdict = fetch(&store, &data, 0, |_| 8);
    assert!(matches!(verdict.outcome, PieceOutcome::Good));
    assert_eq!((verdict.senders, verdict.culprits), (vec![8], vec![]));
}

#[test]
fn the_sender_of_a_bad_block_is_found_when_the_piece_passes() {
    let (dir, data) = (tempfile::tempdir().unwrap(), bytes(65536 * 2));
    let store = scratch(dir.path(), &data);
    let mut spoiled = data.clone();
    spoiled[16384] ^= 1;
    let verdict = fetch(&store, &spoiled, 0, |block| 10 + u64::from(block));
    assert!(matches!(verdict.outcome, PieceOutcome::Bad));
    assert_eq!((verdict.senders, verdict.culprits), (vec![10, 11, 12, 13], vec![]));
    // A second attempt fails by another one; the blocks of both attempts are held against the good piece.
    let mut worse = data.clone();
    worse[3 * 16384] ^= 1;
    assert!(matches!(fetch(&store, &worse, 0, |block| 20 + u64::from(block)).outcome, PieceOutcome::Bad));
    let verdict = fetch(&store, &data, 0, |block| 10 + u64::from(block % 2));
    assert!(matches!(verdict.outcome, PieceOutcome::Good));
    assert_eq!((verdict.senders, verdict.culprits), (vec![10, 11], vec![11, 23]));
}

#[test]
fn a_piece_that_cannot_be_written_is_an_io_outcome_and_can_be_fetched_again() {
    use rustix::fs::{MemfdFlags, SealFlags};
    use std::os::fd::AsRawFd;
    let data = bytes(65536);
    let memory = rustix::fs::memfd_create("full", MemfdFlags::ALLOW_SEALING).unwrap();
    let path = format!("/proc/self/fd/{}", memory.as_raw_fd());
    let store = Store::open_scratch(geometry(&data), hybrid(&data), Path::new(&path)).unwrap();
    let budget = Budget::new(65536);
    store.set_budget(Arc::clone(&budget));
    rustix::fs::fcntl_add_seals(&memory, SealFlags::WRITE).unwrap();
    let verdict = fetch(&store, &data, 0, |_| 1);
    assert!(matches!(verdict.outcome, PieceOutcome::Io(_)));
    assert!(verdict.culprits.is_empty());
    assert_eq!((store.servable().count(), budget.used()), (0, 0));
    assert_eq!(store.wanted_blocks(piece(&store, 0), 0..9).unwrap(), [0, 1, 2, 3]);
}

#[test]
fn a_torrent_that_contradicts_itself_blames_no_sender() {
    let (dir, data) = (tempfile::tempdir().unwrap(), bytes(65536));
    let mut hashes = hybrid(&data);
    hashes.v1 = hybrid(&vec![9; 65536]).v1;
    let store = Store::open_scratch(geometry(&data), hashes, &dir.path().join("scratch")).unwrap();
    let verdict = fetch(&store, &data, 0, |_| 1);
    assert!(matches!(verdict.outcome, PieceOutcome::Io(error) if error.kind() == io::ErrorKind::InvalidData));
    assert!(verdict.culprits.is_empty());
    assert_eq!(store.servable().count(), 0);
}

#[test]
fn without_a_piece_layer_the_root_is_checked_over_all_pieces() {
    let data = bytes(65536 * 3 + 20000);
    for wrong in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut hashes = hybrid(&data);
        let root = if wrong { [1; 32] } else { hashes.v2.unwrap()[0].root };
        hashes.v2 = Some(vec![FileHashes { root, layer: None }]);
        let path = dir.path().join("scratch");
        let store = Store::open_scratch(geometry(&data), hashes.clone(), &path).unwrap();
        fetch(&store, &data, 0, |_| 1);
        assert!(matches!(store.verify_root(&NEVER), Err(PiecesError::Io(_))), "pieces are missing");
        fetch_all_from(&store, &data, 1);
        assert_eq!(store.verify_root(&NEVER).unwrap(), !wrong);
        let again =
            Store::over_extents(geometry(&data), hashes, Extents::whole_file(&path).unwrap()).unwrap();
        again.set_servable_all();
        assert_eq!(again.verify_root(&NEVER).unwrap(), !wrong, "hashed from disk");
    }
}

fn fetch_all_from(store: &Store, data: &[u8], first: u32) {
    for n in first..store.geometry().piece_count() {
        assert!(matches!(fetch(store, data, n, |_| 1).outcome, PieceOutcome::Good));
    }
}

#[test]
fn hashes_that_cannot_judge_are_refused() {
    let (dir, data) = (tempfile::tempdir().unwrap(), bytes(65536 * 2));
    let path = dir.path().join("scratch");
    let refused = |change: &dyn Fn(&mut PieceHashes)| {
        let mut hashes = hybrid(&data);
        change(&mut hashes);
        Store::open_scratch(geometry(&data), hashes, &path).err().unwrap()
    };
    let layer = |hashes: &mut PieceHashes, change: &dyn Fn(&mut Vec<u8>)| {
        hashes.v2.as_mut().and_then(|files| files[0].layer.as_mut()).map(change).unwrap();
    };
    let error = refused(&|hashes| hashes.v1.as_mut().unwrap().push(0));
    assert!(matches!(error, PiecesError::HashBytes { what: "pieces", expected: 40, got: 41 }));
    let error = refused(&|hashes| layer(hashes, &|layer| layer.truncate(32)));
    assert!(matches!(error, PiecesError::HashBytes { what: "piece layer", expected: 64, got: 32 }));
    assert!(matches!(refused(&|hashes| layer(hashes, &|layer| layer[0] ^= 1)), PiecesError::LayerRoot));
    assert!(matches!(refused(&|hashes| *hashes = PieceHashes { v1: None, v2: None }), PiecesError::NoHashes));
    assert_eq!(refused(&|hashes| *hashes = PieceHashes { v1: None, v2: None }).code(), "ERR_METAINFO");
    assert!(!path.exists(), "nothing is made for a torrent that is refused");
}

#[test]
fn a_longer_file_in_the_way_is_left_alone() {
    let (dir, data) = (tempfile::tempdir().unwrap(), bytes(70000));
    let path = dir.path().join("scratch");
    fs::write(&path, vec![1; 70001]).unwrap();
    let error = Store::open_scratch(geometry(&data), hybrid(&data), &path).err().unwrap();
    assert!(matches!(error, PiecesError::Scratch { expected: 70000, got: 70001, .. }));
    assert_eq!(fs::read(&path).unwrap(), vec![1; 70001]);
    assert!(Store::open_scratch(geometry(&data), hybrid(&data), dir.path()).is_err(), "a folder");
    fs::write(&path, &data[..66000]).unwrap();
    let store = scratch(dir.path(), &data);
    assert_eq!(store.verify_pieces(0..9, &NEVER).unwrap(), 1, "the piece that was whole");
    assert_eq!(store.servable().to_bytes(), [0x80]);
    fetch_all_from(&store, &data, 1);
    assert_eq!(read(&store, 0, 70000).unwrap(), data);
}

#[test]
fn what_was_never_written_is_not_there_though_the_hashes_are_those_of_zeros() {
    let (dir, data) = (tempfile::tempdir().unwrap(), vec![0; 3 * PIECE as usize]);
    let store = scratch(dir.path(), &data);
    assert_eq!(store.verify_pieces(0..3, &NEVER).unwrap(), 0, "a hole");
    fetch(&store, &data, 1, |_| 1);
    drop(store);
    let again = scratch(dir.path(), &data);
    assert_eq!(again.verify_pieces(0..3, &NEVER).unwrap(), 1);
    assert!(again.servable().get(1));
}

#[test]
fn the_budget_is_shared_and_given_back() {
    let (one, two, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), bytes(65536 * 3));
    let (first, second) = (scratch(one.path(), &data), scratch(two.path(), &data));
    let budget = Budget::new(2 * 65536 + 100);
    first.set_budget(Arc::clone(&budget));
    second.set_budget(Arc::clone(&budget));
    let nth = |n| piece(&first, n);
    assert_eq!(first.wanted_blocks(nth(0), 0..1).unwrap(), [0]);
    assert_eq!(second.wanted_blocks(nth(1), 0..1).unwrap(), [0]);
    assert_eq!(first.wanted_blocks(nth(1), 0..1).unwrap_err().0, 65536);
    assert_eq!(first.wanted_blocks(nth(0), 0..2).unwrap(), [0, 1], "its buffer is there already");
    second.abandon_piece(nth(1));
    assert_eq!(put(&second, &data, nth(1), 0, 1), BlockWrite::NotWanted);
    fetch(&first, &data, 1, |_| 1);
    assert_eq!(budget.used(), 65536);
    drop(first);
    assert_eq!(budget.used(), 0);
    let tiny = Budget::new(10);
    second.set_budget(Arc::clone(&tiny));
    assert!(second.wanted_blocks(piece(&second, 0), 0..1).is_ok(), "a piece alone is let in");
    assert!(second.wanted_blocks(piece(&second, 1), 0..1).is_err());
}

#[test]
fn a_piece_with_all_its_blocks_is_not_abandoned() {
    let (dir, data) = (tempfile::tempdir().unwrap(), bytes(65536));
    let store = scratch(dir.path(), &data);
    let first = piece(&store, 0);
    store.wanted_blocks(first, 0..4).unwrap();
    for block in 0..4 {
        put(&store, &data, first, block, 1);
    }
    store.abandon_piece(first);
    assert_eq!(put(&store, &data, first, 0, 1), BlockWrite::Duplicate);
    assert!(store.wanted_blocks(first, 0..4).unwrap().is_empty());
    assert!(matches!(store.finish_piece(first).unwrap().outcome, PieceOutcome::Good));
}

#[test]
fn threads_that_send_the_same_piece_complete_it_once() {
    let (dir, data) = (tempfile::tempdir().unwrap(), bytes(65536 * 8));
    let store = scratch(dir.path(), &data);
    let completed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for from in 0..4 {
            let (store, data, completed) = (&store, &data, &completed);
            scope.spawn(move || {
                for n in 0..8 {
                    let piece = piece(store, n);
                    for block in store.wanted_blocks(piece, 0..4).unwrap() {
                        if put(store, data, piece, block, from) == BlockWrite::Completed {
                            completed.fetch_add(1, Ordering::Relaxed);
                            assert!(matches!(store.finish_piece(piece).unwrap().outcome, PieceOutcome::Good));
                        }
                    }
                }
            });
        }
    });
    assert_eq!((completed.into_inner(), read(&store, 0, data.len()).unwrap()), (8, data));
}

#[test]
fn reads_go_on_through_a_move() {
    let (dir, data) = (tempfile::tempdir().unwrap(), bytes(65536 * 4));
    let store = scratch(dir.path(), &data);
    fetch_all(&store, &data);
    let (moved, started) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                started.fetch_add(1, Ordering::Relaxed);
                let mut after = 0;
                while after < 20 {
                    after += u32::from(moved.load(Ordering::Relaxed));
                    assert_eq!(read(&store, 1000, 200_000).unwrap(), data[1000..201_000]);
                }
            });
        }
        while started.load(Ordering::Relaxed) < 2 {
            std::thread::yield_now();
        }
        store.move_to(file_extents(dir.path(), "final", &data)).unwrap();
        fs::remove_file(dir.path().join("scratch")).unwrap();
        moved.store(true, Ordering::Relaxed);
    });
    let short = file_extents(dir.path(), "short", &data[1..]);
    assert!(matches!(store.move_to(short), Err(PiecesError::ExtentsLength { .. })));
}

#[test]
fn a_moved_store_fetches_no_more() {
    let (dir, data) = (tempfile::tempdir().unwrap(), bytes(65536 * 3));
    let store = scratch(dir.path(), &data);
    let budget = Budget::new(1 << 20);
    store.set_budget(Arc::clone(&budget));
    fetch(&store, &data, 0, |_| 1);
    let (second, third) = (piece(&store, 1), piece(&store, 2));
    store.wanted_blocks(second, 0..4).unwrap();
    store.wanted_blocks(third, 0..4).unwrap();
    for block in 0..4 {
        put(&store, &data, third, block, 1);
    }
    store.move_to(file_extents(dir.path(), "final", &data)).unwrap();
    assert_eq!(put(&store, &data, second, 0, 1), BlockWrite::NotWanted);
    assert!(store.wanted_blocks(second, 0..4).unwrap().is_empty());
    assert!(matches!(store.finish_piece(third).unwrap().outcome, PieceOutcome::Io(_)));
    assert_eq!((store.servable().to_bytes(), budget.used()), (vec![0x80], 0));
    assert!(store.verify_piece(third).unwrap());
}

#[test]
fn a_store_over_extents_is_read_only_and_undoes_the_xor() {
    let (dir, data) = (tempfile::tempdir().unwrap(), bytes(65536 + 5));
    let key = [9, 8, 7, 6, 5, 4, 3, 2];
    let stored: Vec<u8> =
        [&[0; 3], &data[..]].concat().iter().enumerate().map(|(at, byte)| byte ^ key[at % 8]).collect();
    fs::write(dir.path().join("blk"), stored).unwrap();
    let files = Files::new(4);
    let file = files.add(dir.path().join("blk"), Some(key));
    let mut builder = ExtentsBuilder::new(files);
    builder.push(file, 3, data.len() as u64).unwrap();
    let store = Store::over_extents(geometry(&data), hybrid(&data), builder.finish()).unwrap();
    assert!(store.wanted_blocks(piece(&store, 0), 0..4).unwrap().is_empty());
    assert_eq!(store.verify_pieces(0..2, &NEVER).unwrap(), 2);
    assert_eq!(read(&store, 0, data.len()).unwrap(), data);
    let copy = dir.path().join("copy");
    store.copy_to(&copy, &NEVER).unwrap();
    assert_eq!(fs::read(&copy).unwrap(), data);
    assert!(matches!(store.copy_to(&copy, &NEVER), Err(PiecesError::Io(_))), "the path is taken");
    let stopped = store.copy_to(&dir.path().join("stopped"), &AtomicBool::new(true));
    assert!(matches!(stopped, Err(PiecesError::Cancelled)));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing half-done is left");
    assert!(matches!(store.verify_pieces(0..2, &AtomicBool::new(true)), Err(PiecesError::Cancelled)));
}

#[test]
fn bytes_that_changed_are_found_and_bytes_that_vanished_are_errors() {
    let (dir, data) = (tempfile::tempdir().unwrap(), bytes(65536 * 2));
    let extents = file_extents(dir.path(), "flat", &data);
    let store = Store::over_extents(geometry(&data), hybrid(&data), extents).unwrap();
    store.set_servable_all();
    let mut changed = data.clone();
    changed[65536] ^= 1;
    fs::write(dir.path().join("flat"), &changed).unwrap();
    assert_eq!(store.verify_pieces(0..2, &NEVER).unwrap(), 1);
    assert_eq!(store.servable().to_bytes(), [0x80]);
    fs::File::options().write(true).open(dir.path().join("flat")).unwrap().set_len(65535).unwrap();
    assert_eq!(read(&store, 0, 65536).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert!(store.verify_piece(piece(&store, 0)).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Any order, duplicates, several senders, spoiled blocks: good in the end, and whoever spoiled is named.
    #[test]
    fn a_torrent_comes_together_from_any_order_of_blocks(
        length in 1..200_000usize,
        moves in proptest::collection::vec((any::<proptest::sample::Index>(), 0..4u64), 1..120),
    ) {
        let (dir, data) = (tempfile::tempdir().unwrap(), bytes(length));
        let spoiled: Vec<u8> = data.iter().map(|byte| byte ^ 0x55).collect();
        let store = scratch(dir.path(), &data);
        let geometry = store.geometry().clone();
        let blocks: Vec<(PieceIndex, u32)> = geometry
            .pieces()
            .flat_map(|piece| (0..geometry.block_count(piece)).map(move |block| (piece, block)))
            .collect();
        let judge = |piece: PieceIndex| -> Result<(), TestCaseError> {
            let verdict = store.finish_piece(piece).unwrap();
            // Sender 0 is the liar; nobody else is ever blamed.
            let lied = verdict.senders.contains(&0);
            match verdict.outcome {
                PieceOutcome::Good => prop_assert!(!lied),
                PieceOutcome::Bad => prop_assert!(lied),
                PieceOutcome::Io(error) => return Err(TestCaseError::fail(error.to_string())),
                PieceOutcome::Blamed => return Err(TestCaseError::fail("no leaves were asked for")),
            }
            prop_assert!(verdict.culprits.is_empty() || verdict.culprits == [0]);
            prop_assert_eq!(store.servable().get(piece.get()), !lied);
            Ok(())
        };
        let put_one = |piece: PieceIndex, block: u32, from: u64| {
            let wanted = !store.wanted_blocks(piece, block..block + 1).unwrap().is_empty();
            let write = put(&store, if from == 0 { &spoiled } else { &data }, piece, block, from);
            prop_assert_eq!(wanted, matches!(write, BlockWrite::Stored | BlockWrite::Completed));
            if write == BlockWrite::Completed { judge(piece) } else { Ok(()) }
        };
        for (at, from) in moves {
            let (piece, block) = *at.get(&blocks);
            put_one(piece, block, from)?;
        }
        while !store.servable().is_full() {
            for (piece, block) in &blocks {
                put_one(*piece, *block, 1)?;
            }
        }
        prop_assert_eq!(read(&store, 0, length).unwrap(), data);
    }
}

#[test]
fn a_scratch_file_that_was_deleted_is_served_while_it_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let data = bytes(PIECE as usize + 5);
    let store = scratch(dir.path(), &data);
    fetch_all(&store, &data);
    assert_eq!(read(&store, 0, 9).unwrap(), data[..9]);
    fs::remove_file(dir.path().join("scratch")).unwrap();
    // Past the second in which nobody looks at it again.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    assert_eq!(read(&store, 0, data.len()).unwrap(), data);
    assert!(store.fault().is_none());
}

#[test]
fn pieces_are_filled_from_a_copy_elsewhere_and_judged_on_the_way() {
    let (dir, data) = (tempfile::tempdir().unwrap(), bytes(5 * PIECE as usize + 77));
    let source = dir.path().join("source");
    fs::write(&source, &data).unwrap();
    let extents = Extents::whole_file(&source).unwrap();
    let store = scratch(dir.path(), &data);
    fetch(&store, &data, 2, |_| 1);
    store.fill_from(&extents, 0..3, &NEVER).unwrap();
    assert_eq!(store.servable().count(), 3);
    store.fill_from(&extents, 0..6, &NEVER).unwrap();
    store.flush().unwrap();
    assert_eq!(fs::read(dir.path().join("scratch")).unwrap(), data);
    assert!(matches!(
        scratch_of(&dir.path().join("new"), &data).fill_from(&extents, 0..6, &AtomicBool::new(true)),
        Err(PiecesError::Cancelled)
    ));

    let mut wrong = data.clone();
    wrong[4 * PIECE as usize] ^= 1;
    fs::write(&source, wrong).unwrap();
    let store = scratch_of(&dir.path().join("other"), &data);
    let extents = Extents::whole_file(&source).unwrap();
    let error = store.fill_from(&extents, 0..6, &NEVER).err().unwrap();
    assert_eq!(error.to_string(), "piece 4 is not what it was hashed to");
    assert!(!store.servable().get(4) && store.servable().get(3));
}

fn scratch_of(path: &Path, data: &[u8]) -> Arc<Store> {
    Store::open_scratch(geometry(data), hybrid(data), path).unwrap()
}
