//! Hashes of v2 trees, given and taken (BEP 52).
#![expect(clippy::unwrap_used, reason = "tests")]

#[expect(dead_code, reason = "for tests of folders")]
mod torrent;

use std::path::Path;
use std::sync::Arc;

use blockswarm_pieces::{
    BLOCK_BYTES, FaultKind, FileHashes, HashSpan, HashesTaken, PieceHashes, PieceIndex, PieceOutcome, Store,
};
use sha2::{Digest, Sha256};
use torrent::{Torrent, Version};

const PIECE: u32 = 4 * BLOCK_BYTES;

fn store(folder: &Path, torrent: &Torrent, hashes: PieceHashes) -> Arc<Store> {
    Store::open_scratch(torrent.geometry.clone(), hashes, &folder.join("scratch")).unwrap()
}

/// The torrent as a magnet link gives it: without piece layers.
fn without_layers(torrent: &Torrent) -> PieceHashes {
    let bare = |file: &FileHashes| FileHashes { root: file.root, layer: None };
    let PieceHashes { v1, v2 } = &torrent.hashes;
    PieceHashes { v1: v1.clone(), v2: v2.as_ref().map(|files| files.iter().map(bare).collect()) }
}

/// A store that has everything.
fn seed(folder: &Path, torrent: &Torrent) -> Arc<Store> {
    std::fs::write(folder.join("scratch"), &torrent.flat).unwrap();
    let seed = store(folder, torrent, torrent.hashes.clone());
    assert_eq!(seed.verify_pieces(0..u32::MAX, &torrent::NEVER).unwrap(), torrent.geometry.piece_count());
    seed
}

fn piece(store: &Store, n: u32) -> PieceIndex {
    store.geometry().piece(n).unwrap()
}

/// Fetches a piece of which block n comes from the sender n + 10, and is spoiled where `bad` says so.
fn fetch(
    store: &Store,
    torrent: &Torrent,
    n: u32,
    bad: impl Fn(u32) -> bool,
) -> blockswarm_pieces::PieceVerdict {
    let piece = piece(store, n);
    let start = torrent.geometry.piece_offset(piece) as usize;
    for block in store.wanted_blocks(piece, 0..u32::MAX).unwrap() {
        let from = start + (block * BLOCK_BYTES) as usize;
        let length = torrent.geometry.block_bytes(piece, block) as usize;
        let mut bytes = torrent.flat.get(from..from + length).unwrap().to_vec();
        if bad(block) {
            bytes[0] ^= 0x55;
        }
        store.write_block(piece, block * BLOCK_BYTES, &bytes, u64::from(block) + 10);
    }
    store.finish_piece(piece).unwrap()
}

/// The definition: all nodes of a file's tree, leaves first.
fn whole_tree(data: &[u8]) -> Vec<Vec<[u8; 32]>> {
    let mut row: Vec<[u8; 32]> =
        data.chunks(BLOCK_BYTES as usize).map(|leaf| Sha256::digest(leaf).into()).collect();
    row.resize(row.len().next_power_of_two(), [0; 32]);
    let mut rows = vec![row];
    while rows.last().unwrap().len() > 1 {
        let pair = |pair: &[[u8; 32]]| Sha256::digest(pair.as_flattened()).into();
        rows.push(rows.last().unwrap().chunks(2).map(pair).collect());
    }
    rows
}

#[test]
fn every_span_that_is_answered_has_the_hashes_and_uncles_of_the_tree() {
    for blocks in [2, 3, 4, 5, 11, 16, 17] {
        let folder = tempfile::tempdir().unwrap();
        let torrent = Torrent::new(Version::V2, &[u64::from(blocks * BLOCK_BYTES - 100)], PIECE);
        let seed = seed(folder.path(), &torrent);
        let tree = whole_tree(&torrent.flat);
        let root = tree.last().unwrap()[0];
        let (mut answered, layers) = (0, tree.len() as u32 - 1);
        let shapes = (0..=layers).flat_map(|base| (0..9).map(move |length| (base, 1_u32 << length)));
        for (base_layer, length) in shapes {
            for (index, proof_layers) in (0..20).flat_map(|n| (0..7).map(move |proof| (n * length, proof))) {
                let span = HashSpan { root, base_layer, index, length, proof_layers };
                let Some(answer) = seed.answer_hashes(&span) else { continue };
                answered += 1;
                let row = &tree[base_layer as usize];
                let mut expected = row[index as usize..(index + length) as usize].to_vec();
                let own = length.trailing_zeros();
                for up in own..=proof_layers {
                    let row = &tree[(base_layer + up) as usize];
                    expected.push(row[((index >> up) ^ 1) as usize]);
                }
                assert_eq!(answer, expected.concat(), "{span:?} of {blocks} blocks");
                assert!(base_layer + proof_layers < layers);
                assert_eq!(answer.len(), 32 * span.answer_hashes());
            }
        }
        assert!(answered >= 1, "{blocks} blocks");
        let all =
            HashSpan { root, base_layer: 0, index: 0, length: blocks.next_power_of_two(), proof_layers: 0 };
        assert_eq!(seed.answer_hashes(&all).unwrap(), tree[0].concat(), "{blocks} blocks");
    }
}

#[test]
fn what_is_not_had_is_not_given() {
    let folder = tempfile::tempdir().unwrap();
    let torrent = Torrent::new(Version::V2, &[u64::from(2 * PIECE + 5), 7], PIECE);
    let roots: Vec<[u8; 32]> = torrent.hashes.v2.as_ref().unwrap().iter().map(|file| file.root).collect();
    let empty = store(folder.path(), &torrent, torrent.hashes.clone());
    let span = |root, base_layer, length| HashSpan { root, base_layer, index: 0, length, proof_layers: 1 };
    assert!(empty.answer_hashes(&span(roots[0], 2, 4)).is_some(), "the layer came with the torrent");
    assert_eq!(empty.hash_source(&span(roots[0], 2, 4)), Some(0..0), "without hashing anything");
    assert_eq!(empty.hash_source(&span(roots[0], 0, 4)), None, "its bytes are not here");
    assert_eq!(empty.hash_source(&span(roots[0], 1, 4)), None, "between leaves and pieces");
    assert_eq!(empty.hash_source(&span([1; 32], 2, 4)), None, "no file of this torrent");
    assert_eq!(empty.hash_source(&span(roots[1], 0, 1)), None, "a file of one block is its own hash");
    let seed = seed(folder.path(), &torrent);
    assert_eq!(seed.hash_source(&span(roots[0], 0, 8)), Some(0..2));
    std::fs::write(folder.path().join("scratch"), vec![9; torrent.flat.len()]).unwrap();
    assert_eq!(seed.answer_hashes(&span(roots[0], 0, 4)), None, "bytes that rotted");
}

#[test]
fn a_v2_torrent_without_layers_is_fetched_as_its_hashes_come() {
    let folder = tempfile::tempdir().unwrap();
    // Longer than one request brings, its end alone in a second one; and a short file.
    let torrent = Torrent::new(Version::V2, &[513 * u64::from(BLOCK_BYTES) - 3, 5], BLOCK_BYTES);
    let source = seed(folder.path(), &torrent);
    let folder = tempfile::tempdir().unwrap();
    let late = store(folder.path(), &torrent, without_layers(&torrent));
    assert!(!late.can_judge(piece(&late, 0)) && late.can_judge(piece(&late, 513)));
    assert_eq!(late.missing_hashes().unwrap().iter().map(|byte| byte.count_ones()).sum::<u32>(), 513);
    assert_eq!(late.piece_layer(0), None);
    assert_eq!(late.hash_span(piece(&late, 513)), None);
    for (asked, expected) in [(512, 512..513), (100, 0..512)] {
        let asked = piece(&late, asked);
        let (span, pieces) = late.hash_span(asked).unwrap();
        assert_eq!(pieces, expected);
        assert_eq!(late.answer_hashes(&span), None);
        let answer = source.answer_hashes(&span).unwrap();
        for at in [0, answer.len() / 2, answer.len() - 1] {
            let mut wrong = answer.clone();
            wrong[at] ^= 1;
            assert!(matches!(late.take_hashes(asked, &span, &wrong), HashesTaken::Wrong));
        }
        assert!(matches!(late.take_hashes(asked, &span, &answer[..answer.len() - 32]), HashesTaken::Wrong));
        let known = late.take_hashes(asked, &span, &answer);
        assert!(
            matches!(known, HashesTaken::Known(pieces, verdicts) if pieces == expected && verdicts.is_empty())
        );
    }
    assert_eq!(late.missing_hashes(), None);
    assert_eq!(late.piece_layer(0), source.piece_layer(0), "the layer is whole");
    assert_eq!(late.piece_layer(1), Some(Vec::new()));
    let (good, bad) = (fetch(&late, &torrent, 512, |_| false), fetch(&late, &torrent, 0, |_| true));
    assert!(matches!((good.outcome, bad.outcome), (PieceOutcome::Good, PieceOutcome::Bad)));
}

#[test]
fn bytes_that_lay_there_are_judged_when_their_hashes_come() {
    let folder = tempfile::tempdir().unwrap();
    let torrent = Torrent::new(Version::V2, &[u64::from(3 * PIECE)], PIECE);
    let source = seed(folder.path(), &torrent);
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = torrent.flat.clone();
    bytes[PIECE as usize] ^= 1;
    std::fs::write(folder.path().join("scratch"), bytes).unwrap();
    let late = store(folder.path(), &torrent, without_layers(&torrent));
    assert_eq!(late.verify_pieces(0..3, &torrent::NEVER).unwrap(), 0);
    let (span, _) = late.hash_span(piece(&late, 0)).unwrap();
    let answer = source.answer_hashes(&span).unwrap();
    let HashesTaken::Known(_, verdicts) = late.take_hashes(piece(&late, 0), &span, &answer) else {
        unreachable!("right hashes")
    };
    let good: Vec<u32> = verdicts.iter().map(|verdict| verdict.piece.get()).collect();
    assert_eq!(good, [0, 2]);
    assert_eq!(late.servable().to_bytes(), [0b1010_0000]);
    assert_eq!(late.fault(), None);
}

#[test]
fn what_an_earlier_run_had_is_believed_until_its_hashes_come() {
    let folder = tempfile::tempdir().unwrap();
    let torrent = Torrent::new(Version::V2, &[u64::from(3 * PIECE)], PIECE);
    let source = seed(folder.path(), &torrent);
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = torrent.flat.clone();
    bytes[PIECE as usize] ^= 1;
    std::fs::write(folder.path().join("scratch"), bytes).unwrap();
    let late = store(folder.path(), &torrent, without_layers(&torrent));
    late.set_servable_all();
    assert_eq!(late.verify_pieces(0..3, &torrent::NEVER).unwrap(), 3);
    let (span, _) = late.hash_span(piece(&late, 0)).unwrap();
    late.take_hashes(piece(&late, 0), &span, &source.answer_hashes(&span).unwrap());
    assert_eq!(late.servable().to_bytes(), [0b1010_0000]);
    assert_eq!(late.fault().unwrap().kind, FaultKind::Changed);
}

#[test]
fn a_hybrid_without_layers_is_judged_by_v1_and_proven_by_what_came() {
    let folder = tempfile::tempdir().unwrap();
    let torrent = Torrent::new(Version::Hybrid, &[u64::from(3 * PIECE) - 9], PIECE);
    let late = store(folder.path(), &torrent, without_layers(&torrent));
    for n in 0..3 {
        assert!(late.missing_hashes().is_some());
        assert!(matches!(fetch(&late, &torrent, n, |_| false).outcome, PieceOutcome::Good));
    }
    assert_eq!(late.missing_hashes(), None, "their roots have the file's root");
    assert_eq!(late.piece_layer(0), torrent.hashes.v2.as_ref().unwrap()[0].layer);
    assert!(late.verify_root(&torrent::NEVER).unwrap());
}

#[test]
fn a_hybrid_that_contradicts_itself_is_a_fault_whichever_comes_first() {
    let honest = Torrent::new(Version::Hybrid, &[u64::from(3 * PIECE)], PIECE);
    let mut other = honest.clone();
    other.flat[PIECE as usize + 1] ^= 1;
    let other = Torrent { hashes: Torrent::hashed(&other.geometry, &other.flat, Version::Hybrid), ..other };
    let source_folder = tempfile::tempdir().unwrap();
    let source = seed(source_folder.path(), &other);
    let mixed = PieceHashes { v1: honest.hashes.v1.clone(), v2: without_layers(&other).v2 };
    for hashes_first in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let late = store(folder.path(), &honest, mixed.clone());
        let give = || {
            let (span, _) = late.hash_span(piece(&late, 0)).unwrap();
            let taken = late.take_hashes(piece(&late, 0), &span, &source.answer_hashes(&span).unwrap());
            assert!(matches!(taken, HashesTaken::Known(..)), "nobody is blamed");
        };
        if hashes_first {
            give();
        }
        let verdict = fetch(&late, &honest, 1, |_| false);
        if !hashes_first {
            assert!(matches!(verdict.outcome, PieceOutcome::Good));
            give();
        }
        assert!(verdict.culprits.is_empty());
        assert_eq!(late.fault().unwrap().kind, FaultKind::Contradiction);
        assert!(!late.servable().get(1));
    }
}

#[test]
fn leaves_name_who_spoiled_a_piece_before_anybody_sends_it_right() {
    let folder = tempfile::tempdir().unwrap();
    let torrent = Torrent::new(Version::Hybrid, &[u64::from(PIECE + 2 * BLOCK_BYTES + 9), 50], PIECE);
    let source = seed(folder.path(), &torrent);
    let folder = tempfile::tempdir().unwrap();
    let leech = store(folder.path(), &torrent, torrent.hashes.clone());
    for (n, bad, culprits, senders) in
        [(0, 2, vec![12], vec![10, 11, 12, 13]), (1, 0, vec![10], vec![10, 11, 12])]
    {
        let verdict = fetch(&leech, &torrent, n, |block| block == bad);
        assert!(matches!(verdict.outcome, PieceOutcome::Bad) && verdict.culprits.is_empty());
        let asked = piece(&leech, n);
        let span = leech.leaf_span(asked).unwrap();
        let answer = source.answer_hashes(&span).unwrap();
        let mut wrong = answer.clone();
        wrong[0] ^= 1;
        assert!(matches!(leech.take_hashes(asked, &span, &wrong), HashesTaken::Wrong));
        let HashesTaken::Leaves(Some(verdict)) = leech.take_hashes(asked, &span, &answer) else {
            unreachable!("right leaves")
        };
        assert!(matches!(verdict.outcome, PieceOutcome::Blamed));
        assert_eq!((verdict.culprits, verdict.senders), (culprits, senders));
        assert!(matches!(leech.take_hashes(asked, &span, &answer), HashesTaken::Leaves(None)), "said once");
    }
    assert_eq!(leech.leaf_span(piece(&leech, 2)), None, "one block: its sender is known");
}

#[test]
fn padding_that_a_peer_makes_up_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let torrent = Torrent::new(Version::Hybrid, &[100, 50], PIECE);
    let leech = store(folder.path(), &torrent, torrent.hashes.clone());
    let first = piece(&leech, 0);
    assert_eq!(leech.wanted_blocks(first, 0..4).unwrap(), [0]);
    let mut block = torrent.flat[..BLOCK_BYTES as usize].to_vec();
    block[100..].fill(7);
    leech.write_block(first, 0, &block, 1);
    let verdict = leech.finish_piece(first).unwrap();
    assert!(matches!(verdict.outcome, PieceOutcome::Good));
    assert_eq!(leech.fault(), None);
}
