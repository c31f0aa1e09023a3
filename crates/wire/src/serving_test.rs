//! Batches byte for byte what the requests ask for, whatever their order.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::{Filled, Serving};
use crate::batch::BatchPool;
use crate::message::{Message, Span};
use blockswarm_pieces::{
    FaultKind, FileEntry, FolderLayout, Geometry, PieceHashes, RelativePath, Store, StoreOptions, hash_bytes,
};
use proptest::prelude::*;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

const PIECE: u32 = 32_768;

fn store(data: &[u8]) -> (tempfile::TempDir, Arc<Store>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    std::fs::write(&path, data).unwrap();
    let geometry = Geometry::new(data.len() as u64, PIECE).unwrap();
    let store = Store::open_scratch(geometry, hash_bytes(data, PIECE).unwrap(), &path).unwrap();
    for piece in store.geometry().pieces() {
        assert!(store.verify_piece(piece).unwrap());
    }
    (folder, store)
}

/// All that goes out in steps; after every `rest`-th of them the peer takes nothing for a while.
fn written(serving: &mut Serving, store: &Store, step: usize, rest: usize) -> Vec<u8> {
    let (mut out, mut steps) = (Vec::new(), 0);
    loop {
        match serving.fill(store, usize::MAX) {
            Filled::Nothing => assert!(serving.is_idle()),
            Filled::Ready => {}
            Filled::Disk(read) => {
                assert!(!serving.is_idle() && serving.pending().is_empty());
                assert_eq!(serving.disk_done(read.run(store)), None);
            }
            Filled::Failed(span) => panic!("{span:?}"),
        }
        if serving.is_idle() {
            return out;
        }
        while !serving.pending().is_empty() {
            let count = serving.pending().len().min(step);
            out.extend(&serving.pending()[..count]);
            serving.wrote(count);
            steps += 1;
            if steps % rest == 0 {
                serving.release();
                assert!(serving.buffer.is_none());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn serves_any_requests_in_order(
        asked in proptest::collection::vec((0u32..3, 0u32..20_000, 1u32..16_384), 1..80),
        in_a_row in any::<bool>(), batch_bytes in 1usize..300_000, step in 1usize..100_000, rest in 1usize..5
    ) {
        let data = some_data();
        let (_folder, store) = store(&data);
        let mut serving = Serving::new(BatchPool::new(batch_bytes, 1 << 20, 16_397));
        let mut expected = Vec::new();
        for (n, (piece, begin, length)) in (0u32..).zip(asked) {
            let span = if in_a_row {
                Span { piece: n / 2 % 3, begin: n % 2 * 16_384, length: 16_384 }
            } else {
                Span { piece, begin: begin.min(PIECE - length), length }
            };
            let offset = span.piece * PIECE + span.begin;
            serving.push(span);
            let bytes = &data[offset as usize..(offset + span.length) as usize];
            Message::Piece { piece: span.piece, begin: span.begin, data: bytes }.write(&mut expected);
        }
        prop_assert!(written(&mut serving, &store, step, rest) == expected);
    }
}

/// A torrent of two files of one piece each, and the second file's path.
fn two_files(folder: &Path) -> (Arc<Store>, PathBuf) {
    let files = [FileEntry { length: u64::from(PIECE), padding: false }; 2];
    let geometry = Geometry::v1(&files, PIECE).unwrap();
    let data = vec![5; 2 * PIECE as usize];
    let hashes = PieceHashes { v2: None, ..hash_bytes(&data, PIECE).unwrap() };
    let layout = FolderLayout {
        files: ["a", "b"].map(|name| RelativePath::new(&[name]).unwrap()).into(),
        ..FolderLayout::default()
    };
    for name in ["a", "b"] {
        std::fs::write(folder.join(name), &data[..PIECE as usize]).unwrap();
    }
    let store = Store::open_folder(geometry, hashes, folder, layout, &StoreOptions::default()).unwrap();
    assert_eq!(store.verify_pieces(0..2, &AtomicBool::new(false)).unwrap(), 2);
    (store, folder.join("b"))
}

#[test]
fn what_cannot_be_read_is_named_and_its_neighbours_go_out() {
    for on_a_worker in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let (store, cut) = two_files(folder.path());
        if on_a_worker {
            store.extents().files().close_handles();
        }
        File::options().write(true).open(cut).unwrap().set_len(0).unwrap();
        let mut serving = Serving::new(BatchPool::new(1 << 18, 1 << 20, 16_397));
        let spans =
            [PIECE - 10, PIECE, 0].map(|at| Span { piece: at / PIECE, begin: at % PIECE, length: 10 });
        for span in spans {
            serving.push(span);
        }
        let (mut out, mut failed) = (0, Vec::new());
        while !serving.is_idle() {
            match serving.fill(&store, usize::MAX) {
                Filled::Disk(read) => failed.extend(serving.disk_done(read.run(&store))),
                Filled::Failed(span) => failed.push(span),
                Filled::Ready | Filled::Nothing => {}
            }
            let count = serving.pending().len();
            serving.wrote(count);
            out += count;
        }
        assert_eq!((out, failed), (2 * 23, vec![spans[1]]), "by a worker: {on_a_worker}");
        assert_eq!(store.fault().unwrap().kind, FaultKind::Changed);
        assert_eq!(store.servable().to_bytes(), [0x80], "only what was in the file that was cut is lost");
    }
}

#[test]
fn a_waiting_request_can_be_taken_back() {
    let (_folder, store) = store(&[1; 100]);
    let mut serving = Serving::new(BatchPool::new(1 << 18, 1 << 20, 16_397));
    let span = Span { piece: 0, begin: 0, length: 100 };
    serving.push(span);
    assert!(serving.cancel(span) && !serving.cancel(span) && serving.is_idle());
    serving.push(span);
    assert_eq!(serving.drop_all(|_| false), [span]);
    assert!(written(&mut serving, &store, 1, 9).is_empty());
}

#[test]
fn the_rest_of_a_block_follows_though_its_memory_was_given_back_and_the_peer_was_choked() {
    let data = some_data();
    let (folder, store) = store(&data);
    let spans = [0, 100, 200].map(|begin| Span { piece: 0, begin, length: 100 });
    let begun = || {
        let mut serving = Serving::new(BatchPool::new(1 << 18, 1 << 20, 16_397));
        for span in spans {
            serving.push(span);
        }
        assert!(matches!(serving.fill(&store, usize::MAX), Filled::Ready | Filled::Disk(_)));
        serving
    };
    // Opens the file, if that was not done.
    store.read_exact_at(0, &mut [0]).unwrap();
    let mut serving = begun();
    let first = serving.pending()[..150].to_vec();
    serving.wrote(150);
    assert_eq!((serving.release(), serving.release()), (100, 0));
    assert!(serving.pending().is_empty() && serving.has_begun() && !serving.is_idle());
    assert!(!serving.cancel(spans[1]), "half of it is out");
    assert_eq!(serving.drop_all(|_| false), [spans[2]]);
    let rest = written(&mut serving, &store, 9, 1_000);
    let mut expected = Vec::new();
    for span in &spans[..2] {
        let bytes = &data[span.begin as usize..(span.begin + 100) as usize];
        Message::Piece { piece: 0, begin: span.begin, data: bytes }.write(&mut expected);
    }
    assert!([first, rest].concat() == expected);

    let mut serving = begun();
    serving.wrote(150);
    serving.release();
    File::options().write(true).open(folder.path().join("data")).unwrap().set_len(0).unwrap();
    let failed = match serving.fill(&store, usize::MAX) {
        Filled::Failed(span) => span,
        Filled::Disk(read) => serving.disk_done(read.run(&store)).unwrap(),
        other => panic!("{other:?}"),
    };
    assert!(failed == spans[1] && serving.is_broken());
}

fn some_data() -> Vec<u8> {
    (0..3 * PIECE).map(|n| (n * 7 + n / 251) as u8).collect()
}
