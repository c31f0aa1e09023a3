//! Batches byte for byte what the requests ask for, whatever their order.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::{DiskRead, Filled, Request, Serving};
use crate::batch::BatchPool;
use crate::message::{Message, Span};
use blockswarm_pieces::{Geometry, PieceHashes, Store, TorrentHasher};
use proptest::prelude::*;
use std::sync::Arc;

const PIECE: u32 = 32_768;

fn store(data: &[u8]) -> (tempfile::TempDir, Arc<Store>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    std::fs::write(&path, data).unwrap();
    let mut hasher = TorrentHasher::new(PIECE).unwrap();
    hasher.update(data);
    let geometry = Geometry::new(data.len() as u64, PIECE).unwrap();
    let store = Store::open_scratch(geometry, PieceHashes::from(hasher.finish()), &path).unwrap();
    for piece in store.geometry().pieces() {
        assert!(store.verify_piece(piece).unwrap());
    }
    (folder, store)
}

fn written(serving: &mut Serving, store: &Store, step: usize) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        match serving.fill(store) {
            Filled::Nothing => assert!(serving.is_idle()),
            Filled::Ready => {}
            Filled::Disk(read) => {
                assert!(!serving.is_idle() && serving.pending().is_empty());
                serving.disk_done(read.run(store)).unwrap();
            }
            Filled::Failed(span, error) => panic!("{span:?} {error}"),
        }
        if serving.is_idle() {
            return out;
        }
        while !serving.pending().is_empty() {
            let count = serving.pending().len().min(step);
            out.extend(&serving.pending()[..count]);
            serving.wrote(count);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn serves_any_requests_in_order(
        asked in proptest::collection::vec((0u32..3, 0u32..20_000, 1u32..16_384), 1..80),
        in_a_row in any::<bool>(), batch_bytes in 1usize..300_000, step in 1usize..100_000
    ) {
        let data: Vec<u8> = (0..3 * PIECE).map(|n| (n * 7 + n / 251) as u8).collect();
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
            serving.push(span, u64::from(offset));
            let bytes = &data[offset as usize..(offset + span.length) as usize];
            Message::Piece { piece: span.piece, begin: span.begin, data: bytes }.write(&mut expected);
        }
        prop_assert!(written(&mut serving, &store, step) == expected);
    }
}

#[test]
fn what_cannot_be_read_is_named_and_its_neighbours_go_out() {
    let data = vec![5; 2 * PIECE as usize];
    let (folder, store) = store(&data);
    let file = std::fs::File::options().write(true).open(folder.path().join("data")).unwrap();
    file.set_len(u64::from(PIECE) + 16_384).unwrap();
    let mut serving = Serving::new(BatchPool::new(1 << 18, 1 << 20, 16_397));
    let span = |n: u32| Span { piece: n / 2, begin: n % 2 * 16_384, length: 16_384 };
    for n in [1, 2, 3, 0] {
        serving.push(span(n), u64::from(n) * 16_384);
    }
    let (mut out, mut failed) = (0, Vec::new());
    while !serving.is_idle() {
        match serving.fill(&store) {
            Filled::Disk(read) => failed.extend(serving.disk_done(read.run(&store)).err()),
            Filled::Failed(span, error) => failed.push((span, error)),
            Filled::Ready | Filled::Nothing => {}
        }
        let count = serving.pending().len();
        serving.wrote(count);
        out += count;
    }
    assert_eq!((out, failed.len()), (3 * 16_397, 1));
    assert_eq!(failed[0].0, span(3));
}

#[test]
fn a_worker_that_fails_in_the_middle_loses_one_request() {
    let data = vec![5; 2 * PIECE as usize];
    let (folder, store) = store(&data);
    let mut serving = Serving::new(BatchPool::new(1 << 18, 1 << 20, 16_397));
    let span = |n: u32| Span { piece: n / 2, begin: n % 2 * 16_384, length: 16_384 };
    let requests = [0, 3, 1].map(|n| Request { span: span(n), offset: u64::from(n) * 16_384 });
    std::fs::File::options()
        .write(true)
        .open(folder.path().join("data"))
        .unwrap()
        .set_len(PIECE.into())
        .unwrap();
    let read = DiskRead { buffer: serving.pool.take(), requests: requests.to_vec() };
    let (failed, _) = serving.disk_done(read.run(&store)).unwrap_err();
    assert_eq!((failed, serving.pending().len(), serving.waiting()), (span(3), 16_397, 1));
}

#[test]
fn a_waiting_request_can_be_taken_back() {
    let (_folder, store) = store(&[1; 100]);
    let mut serving = Serving::new(BatchPool::new(1 << 18, 1 << 20, 16_397));
    let span = Span { piece: 0, begin: 0, length: 100 };
    serving.push(span, 0);
    assert!(serving.cancel(span) && !serving.cancel(span) && serving.is_idle());
    serving.push(span, 0);
    assert_eq!(serving.drop_all().collect::<Vec<_>>(), [span]);
    assert!(written(&mut serving, &store, 1).is_empty());
}
