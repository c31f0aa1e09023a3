#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::{BLOCK_BYTES, FileEntry};

const PIECE: u64 = BLOCK_BYTES as u64;

fn identity(n: u64) -> FileIdentity {
    FileIdentity { device: 1, inode: n, size: 10 * n, modified_ns: 1000 }
}

/// Files of 3, 2 and 4 pieces, one after the other.
fn scene() -> (Geometry, Vec<PlacedFile>) {
    let lengths = [3 * PIECE, 2 * PIECE, 4 * PIECE - 1];
    let geometry = Geometry::v2(&lengths, BLOCK_BYTES).unwrap();
    let files =
        (0..3).map(|n| PlacedFile { pieces: geometry.pieces_of(n), identity: Some(identity(n as u64 + 1)) });
    let files = files.collect();
    (geometry, files)
}

fn bitmap(pieces: &[u32]) -> Bitmap {
    let bitmap = Bitmap::new(9);
    for piece in pieces {
        bitmap.set(*piece);
    }
    bitmap
}

fn trusted(resumed: &Resumed) -> Vec<u32> {
    (0..9).filter(|piece| resumed.trusted.get(*piece)).collect()
}

fn pieces(ranges: &[Range<u32>]) -> Vec<u32> {
    ranges.iter().cloned().flatten().collect()
}

#[test]
fn after_a_clean_end_all_is_trusted_and_nothing_is_hashed() {
    let (geometry, files) = scene();
    let record = ResumeRecord::new(&geometry, bitmap(&[0, 3, 8]).to_bytes(), &files, false);
    let resumed = record.trust(&geometry, &files);
    assert_eq!(
        (trusted(&resumed), pieces(&resumed.to_check), resumed.crashed),
        (vec![0, 3, 8], vec![], false)
    );
}

type Edit = fn(&mut FileIdentity);

#[test]
fn after_a_clean_end_only_the_files_that_differ_are_hashed_again() {
    let (geometry, files) = scene();
    let record = ResumeRecord::new(&geometry, bitmap(&[0, 3, 8]).to_bytes(), &files, false);
    let changes: [(Edit, FileChange); 4] = [
        (|now| now.device += 1, FileChange::Replaced),
        (|now| now.inode += 9, FileChange::Replaced),
        (|now| now.size += 1, FileChange::Resized),
        (|now| now.modified_ns += 1, FileChange::Modified),
    ];
    for (change, expected) in changes {
        let mut now = files.clone();
        now[1].identity.iter_mut().for_each(change);
        let resumed = record.trust(&geometry, &now);
        assert_eq!((trusted(&resumed), pieces(&resumed.to_check)), (vec![0, 8], vec![3, 4]));
        assert_eq!(resumed.changed, [(1, expected)]);
    }
    let mut now = files.clone();
    now[2].identity = None;
    let resumed = record.trust(&geometry, &now);
    assert_eq!((trusted(&resumed), pieces(&resumed.to_check)), (vec![0, 3], vec![]));
    assert_eq!(resumed.changed, [(2, FileChange::Missing)]);
}

#[test]
fn after_a_crash_what_was_recorded_is_trusted_and_the_rest_hashed() {
    let (geometry, files) = scene();
    let record = ResumeRecord::new(&geometry, bitmap(&[0, 3, 8]).to_bytes(), &files, true);
    let mut now = files.clone();
    now[0].identity.iter_mut().for_each(|now| now.modified_ns += 5);
    now[1].identity.iter_mut().for_each(|now| now.size -= 5);
    let resumed = record.trust(&geometry, &now);
    assert!(resumed.crashed);
    assert_eq!((trusted(&resumed), pieces(&resumed.to_check)), (vec![0, 8], vec![1, 2, 3, 4, 5, 6, 7]));
    assert_eq!(resumed.changed, [(1, FileChange::Resized)]);
}

#[test]
fn a_piece_across_two_files_is_lost_with_either() {
    let entries = [9, 7, 4].map(|length| FileEntry { length, padding: false });
    let geometry = Geometry::v1(&entries, 5).unwrap();
    let files: Vec<PlacedFile> = (0..3)
        .map(|n| PlacedFile { pieces: geometry.pieces_of(n), identity: Some(identity(n as u64)) })
        .collect();
    let had = Bitmap::new(4);
    geometry.pieces().for_each(|piece| {
        had.set(piece.get());
    });
    let record = ResumeRecord::new(&geometry, had.to_bytes(), &files, false);
    let mut now = files;
    now[1].identity.iter_mut().for_each(|now| now.inode = 77);
    let resumed = record.trust(&geometry, &now);
    assert_eq!((resumed.trusted.to_bytes(), pieces(&resumed.to_check)), (vec![0x80], vec![1, 2, 3]));
}

#[test]
fn a_record_of_another_torrent_or_place_is_worth_nothing() {
    let (geometry, files) = scene();
    let record = ResumeRecord::new(&geometry, bitmap(&[0, 3, 8]).to_bytes(), &files, false);
    let other = Geometry::v2(&[3 * PIECE, 2 * PIECE + 1, 4 * PIECE - 1], BLOCK_BYTES).unwrap();
    assert_eq!(trusted(&record.trust(&other, &files)), []);
    let resumed = record.trust(&geometry, &files[..2]);
    assert_eq!((trusted(&resumed), pieces(&resumed.to_check)), (vec![], vec![0, 1, 2, 3, 4]));
}

prop_compose! {
    fn record()(
        open: bool, geometry: [u8; 32],
        (pieces, had) in proptest::collection::vec(any::<u8>(), 1..40).prop_map(|had| (had.len() as u32 * 8, had)),
        files in proptest::collection::vec(any::<Option<(u64, u64, u64, i64)>>(), 0..20),
    ) -> ResumeRecord {
        let files = files.into_iter().map(|file| file.map(|(device, inode, size, modified_ns)| {
            FileIdentity { device, inode, size, modified_ns }
        }));
        ResumeRecord { geometry, pieces, had, files: files.collect(), open }
    }
}

proptest! {
    #[test]
    fn records_round_trip_and_damage_is_found(
        record in record(), at: proptest::sample::Index, flip in 1..=255u8, cut: proptest::sample::Index,
    ) {
        let bytes = record.encode();
        prop_assert_eq!(ResumeRecord::decode(&bytes), Some(record));
        let mut spoiled = bytes.clone();
        spoiled[at.index(bytes.len())] ^= flip;
        prop_assert_eq!(ResumeRecord::decode(&spoiled), None);
        prop_assert_eq!(ResumeRecord::decode(&bytes[..cut.index(bytes.len())]), None);
    }

    /// Fields that lie about their lengths, behind a digest that is right.
    #[test]
    fn any_fields_decode_to_a_record_or_to_nothing(fields in proptest::collection::vec(any::<u8>(), 0..120)) {
        let mut out = RecordWriter::new(VERSION);
        out.bytes(&fields);
        if let Some(record) = ResumeRecord::decode(&out.finish()) {
            prop_assert!(record.had.len() + record.files.len() <= fields.len());
            let (geometry, files) = scene();
            prop_assert_eq!(record.trust(&geometry, &files).trusted.count(), 0);
        }
    }
}
