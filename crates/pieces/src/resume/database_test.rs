#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;

use proptest::prelude::*;

use super::*;
use crate::{BLOCK_BYTES, Bitmap, Geometry};

const KEY: [u8; 32] = [7; 32];

fn record(pieces: u32) -> ResumeRecord {
    let geometry = Geometry::new(u64::from(pieces) * u64::from(BLOCK_BYTES), BLOCK_BYTES).unwrap();
    let had = Bitmap::new(pieces);
    had.set(pieces / 2);
    ResumeRecord::new(&geometry, had.to_bytes(), &[], true)
}

/// A file with some records in it, cleanly closed.
fn saved(path: &Path) -> Vec<u8> {
    let db = ResumeDb::open(path);
    for n in 0..20 {
        assert!(db.save(&[n; 32], &record(u32::from(n) * 1000 + 1)));
    }
    assert_eq!(db.warnings(), Vec::<String>::new());
    drop(db);
    fs::read(path).unwrap()
}

#[test]
fn records_are_kept_between_runs_and_forgotten_on_demand() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("resume.redb");
    saved(&path);
    let db = ResumeDb::open(&path);
    assert_eq!(db.load(&KEY), Some(record(7001)));
    assert_eq!(db.load(&[99; 32]), None);
    assert!(db.save(&KEY, &record(3)));
    assert_eq!(db.load(&KEY), Some(record(3)));
    db.forget(&KEY);
    assert_eq!((db.load(&KEY), db.warnings()), (None, vec![]));
}

#[test]
fn a_foreign_file_is_moved_aside_and_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("resume.redb");
    fs::write(&path, "somebody's notes, long enough to be more than a header of a database".repeat(100))
        .unwrap();
    let before = fs::read(&path).unwrap();
    let db = ResumeDb::open(&path);
    assert_eq!(db.load(&KEY), None);
    let warnings = db.warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("resume.redb.damaged"), "{warnings:?}");
    assert_eq!(fs::read(dir.path().join("resume.redb.damaged")).unwrap(), before);
    assert!(db.save(&KEY, &record(5)) && db.load(&KEY).is_some());
    assert_eq!(db.warnings(), Vec::<String>::new());
}

#[test]
fn a_record_of_another_version_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let db = ResumeDb::open(&dir.path().join("resume.redb"));
    let mut next = crate::resume::codec::RecordWriter::new(2);
    next.bytes(&[1, 2, 3]);
    assert!(db.put(TORRENTS, &KEY, &next.finish()));
    assert_eq!(db.load(&KEY), None);
    assert!(db.warnings().iter().any(|text| text.contains("version")));
    assert!(db.save(&KEY, &record(5)) && db.load(&KEY).is_some());
}

#[test]
fn a_folder_that_is_missing_stops_nothing_and_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("not there");
    let db = ResumeDb::open(&folder.join("resume.redb"));
    assert!(!db.save(&KEY, &record(5)) && db.load(&KEY).is_none());
    assert_eq!(db.warnings().len(), 1);
    fs::create_dir(&folder).unwrap();
    assert!(db.save(&KEY, &record(5)));
    assert_eq!((db.load(&KEY), db.warnings()), (Some(record(5)), vec![]));
}

#[test]
fn a_disk_that_takes_no_more_is_told_once_and_harms_no_earlier_record() {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    use std::os::fd::AsRawFd;
    let memory = memfd_create("full", MemfdFlags::ALLOW_SEALING).unwrap();
    let db = ResumeDb::open(Path::new(&format!("/proc/self/fd/{}", memory.as_raw_fd())));
    assert!(db.save(&KEY, &record(5)));
    fcntl_add_seals(&memory, SealFlags::GROW).unwrap();
    let large = record(2_000_000);
    assert!((0..30).any(|n| !db.save(&[n; 32], &large)), "no room");
    assert!(!db.save(&[30; 32], &large));
    assert_eq!(db.warnings().len(), 1);
    assert_eq!((db.load(&KEY), db.load(&[30; 32])), (Some(record(5)), None));
}

#[test]
fn a_process_that_was_killed_leaves_what_it_had_saved() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("resume.redb"), dir.path().join("copy.redb"));
    let db = ResumeDb::open(&path);
    assert!(db.save(&KEY, &record(5)));
    // What is on disk while the database is open is what a kill leaves.
    fs::copy(&path, &copy).unwrap();
    let after = ResumeDb::open(&copy);
    assert_eq!((after.load(&KEY), after.warnings()), (Some(record(5)), vec![]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn damage_anywhere_loses_records_but_changes_none(
        spots in proptest::collection::vec((any::<proptest::sample::Index>(), 1..=255u8), 1..20),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resume.redb");
        let mut bytes = saved(&path);
        for (at, flip) in spots {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        fs::write(&path, bytes).unwrap();
        let db = ResumeDb::open(&path);
        for n in 0..20 {
            if let Some(found) = db.load(&[n; 32]) {
                prop_assert_eq!(found, record(u32::from(n) * 1000 + 1));
            }
        }
        prop_assert!(db.save(&KEY, &record(5)));
        prop_assert_eq!(db.load(&KEY), Some(record(5)));
    }
}
