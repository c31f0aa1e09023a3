//! Who waits for whom, and how long.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::{Call, Case, Docket, PATIENCE};
use blockswarm_pieces::{FileEntry, Geometry, PieceHashes, Store, sha};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const PIECE_LENGTH: u32 = 16_384;

/// A store of 40 pieces, of which some are in assembly.
fn store(folder: &Path, name: &str, open: u32) -> Arc<Store> {
    let geometry =
        Geometry::v1(&[FileEntry { length: 40 * u64::from(PIECE_LENGTH), padding: false }], PIECE_LENGTH);
    let hashes = PieceHashes { v1: Some(vec![7; 40 * 20]), v2: None };
    let store = Store::open_scratch(geometry.unwrap(), hashes, &folder.join(name)).unwrap();
    for piece in store.geometry().pieces().take(open as usize) {
        store.wanted_blocks(piece, 0..1).unwrap();
    }
    store
}

fn case(store: &Arc<Store>, piece: u32) -> Case {
    Case { torrent: 1, store: Arc::clone(store), piece: store.geometry().piece(piece).unwrap() }
}

fn judged(call: Call) -> usize {
    match call {
        Call::Judge(cases) => cases.len(),
        Call::Wait | Call::WaitUntil(_) => 0,
    }
}

#[test]
fn the_last_piece_on_its_way_waits_for_nobody_and_takes_the_others_along() {
    let folder = tempfile::tempdir().unwrap();
    let (docket, now) = (Docket::new(u64::MAX), Instant::now());
    let store = store(folder.path(), "one", 3);
    assert_eq!(judged(docket.add(case(&store, 0), now)), usize::from(sha::sha1_lanes() == 1));
    if sha::sha1_lanes() >= 3 {
        assert_eq!(judged(docket.add(case(&store, 1), now)), 0);
        assert_eq!(judged(docket.add(case(&store, 2), now)), 3);
    }
}

#[test]
fn as_many_as_are_hashed_together_or_as_the_memory_allows_are_judged_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), "one", 40);
    let lanes = sha::sha1_lanes();
    for (most_bytes, expected) in [(u64::MAX, lanes), (2 * u64::from(PIECE_LENGTH), lanes.min(2))] {
        let (docket, now) = (Docket::new(most_bytes), Instant::now());
        for piece in 1..expected as u32 {
            assert_eq!(judged(docket.add(case(&store, piece), now)), 0);
        }
        assert_eq!(judged(docket.add(case(&store, 0), now)), expected);
        assert!(docket.take().is_empty());
    }
}

#[test]
fn one_watches_the_clock_and_a_piece_waits_no_longer_than_it_is_patient() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (store(folder.path(), "one", 3), store(folder.path(), "other", 3));
    let (docket, start) = (Docket::new(u64::MAX), Instant::now());
    if sha::sha1_lanes() < 4 {
        return;
    }
    let Call::WaitUntil(due_at) = docket.add(case(&one, 0), start) else { panic!("nobody watches") };
    assert_eq!(due_at, start + PATIENCE);
    let later = start + PATIENCE / 2;
    assert!(matches!(docket.add(case(&other, 0), later), Call::Wait), "of another torrent");
    assert_eq!(docket.take().len(), 2, "their memory was wanted");
    assert!(matches!(docket.add(case(&other, 1), later), Call::Wait));
    let (cases, next) = docket.due(due_at);
    assert_eq!((cases.len(), next), (0, Some(later + PATIENCE)), "it came later");
    let (cases, next) = docket.due(later + PATIENCE);
    assert_eq!((cases.len(), next), (1, None));
    let long_after = later + Duration::from_secs(9);
    assert!(matches!(docket.add(case(&other, 2), long_after), Call::WaitUntil(_)));
}
