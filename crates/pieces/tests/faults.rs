//! Files that fail under a store: full, gone, changed, forbidden. What was in them is not had; everything else is.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

#[expect(dead_code, reason = "only a part of it is needed here")]
mod torrent;

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use blockswarm_pieces::{
    Allocation, ExtentsBuilder, FaultKind, Files, PieceOutcome, PiecesError, Store, StoreOptions,
};
use torrent::{NEVER, Torrent, Version, options, read};

/// Three files of one whole piece each.
fn three_files() -> Torrent {
    Torrent::new(Version::V2, &[16384; 3], 16384)
}

/// All of `three_files` below `root`, written and verified.
fn full(torrent: &Torrent, root: &Path) -> Arc<Store> {
    torrent.put_all(&torrent.open(root, &options(0)).unwrap());
    let store = torrent.open(root, &options(0)).unwrap();
    assert_eq!(store.verify_pieces(0..3, &NEVER).unwrap(), 3);
    store
}

/// What happens to the second file, the fault that it is, and whether verifying again finds it sound.
type Mishap = (FaultKind, bool, fn(&Path));

const MISHAPS: [Mishap; 5] = [
    (FaultKind::Changed, false, |file| {
        File::options().write(true).open(file).unwrap().set_len(16383).unwrap();
    }),
    (FaultKind::Vanished, false, |file| fs::remove_file(file).unwrap()),
    (FaultKind::Changed, true, |file| {
        let bytes = fs::read(file).unwrap();
        fs::remove_file(file).unwrap();
        // The old inode is still open: the new file has another number.
        fs::write(file, bytes).unwrap();
    }),
    (FaultKind::Changed, false, |file| {
        let modified = fs::metadata(file).unwrap().modified().unwrap() + std::time::Duration::from_secs(5);
        fs::write(file, vec![0; 16384]).unwrap();
        File::options().write(true).open(file).unwrap().set_modified(modified).unwrap();
    }),
    // A folder in its place: what an open of it says to everybody, root included.
    (FaultKind::Io, false, |file| {
        fs::remove_file(file).unwrap();
        fs::create_dir(file).unwrap();
    }),
];

#[test]
fn a_file_that_fails_takes_its_own_pieces_along_and_no_others() {
    for (n, (kind, recovers, mishap)) in MISHAPS.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let torrent = three_files();
        let store = full(&torrent, dir.path());
        let told = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&told);
        store.on_fault(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let path = dir.path().join("sub/f1");
        let held = File::open(&path).unwrap();
        mishap(&path);
        // As after a second, when the files are looked at again.
        store.extents().files().close_handles();
        read(&store, 1).unwrap_err();
        assert_eq!(read(&store, 1).unwrap_err().kind(), io::ErrorKind::NotFound, "it is not had any more");
        let fault = store.fault().unwrap();
        assert_eq!((fault.kind, fault.path.as_deref()), (kind, Some(&*path)), "mishap {n}: {fault:?}");
        assert!(fault.message.contains("sub/f1"));
        assert_eq!((store.servable().to_bytes(), told.load(Ordering::Relaxed)), (vec![0xa0], 1));
        assert!(read(&store, 0).unwrap() == torrent.piece(0) && read(&store, 2).unwrap() == torrent.piece(2));

        store.clear_fault();
        let good = store.verify_pieces(0..3, &NEVER).unwrap();
        assert_eq!((good, store.fault().is_none()), (2 + u32::from(recovers), recovers || n == 3), "{n}");
        drop(held);
    }
}

#[test]
fn a_file_that_is_cut_while_it_is_read_is_noticed_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let torrent = three_files();
    let store = full(&torrent, dir.path());
    read(&store, 1).unwrap();
    File::options().write(true).open(dir.path().join("sub/f1")).unwrap().set_len(100).unwrap();
    assert_eq!(read(&store, 1).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!((store.fault().unwrap().kind, store.servable().to_bytes()), (FaultKind::Changed, vec![0xa0]));
}

#[test]
fn a_medium_that_cannot_be_read_is_a_fault() {
    let torrent = Torrent::new(Version::V1, &[100], 100);
    let files = Files::new(1);
    // Reading page 0 of our own memory is EIO, as from a bad sector.
    let broken = files.add("/proc/self/mem", None);
    let mut builder = ExtentsBuilder::new(files);
    builder.push(broken, 0, 100).unwrap();
    let store = Store::over_extents(torrent.geometry, torrent.hashes, builder.finish()).unwrap();
    store.set_servable_all();
    let told = Arc::new(AtomicU32::new(0));
    read(&store, 0).unwrap_err();
    let counter = Arc::clone(&told);
    store.on_fault(move || {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    assert_eq!((store.fault().unwrap().kind, store.servable().count()), (FaultKind::Io, 0));
    assert_eq!(told.load(Ordering::Relaxed), 1, "also who listens later is told");
    assert_eq!(store.verify_pieces(0..1, &NEVER).unwrap(), 0);
}

#[test]
fn writes_of_our_own_are_no_change() {
    let dir = tempfile::tempdir().unwrap();
    let torrent = Torrent::new(Version::V1, &[100_000], 10_000);
    let store = torrent.open(dir.path(), &options(20_000)).unwrap();
    for n in 0..10 {
        torrent.put(&store, n);
        store.extents().files().close_handles();
        assert!(read(&store, n).unwrap() == torrent.piece(n));
    }
    store.flush().unwrap();
    store.extents().files().close_handles();
    assert!(read(&store, 0).is_ok() && store.fault().is_none());
}

#[test]
fn a_piece_that_cannot_be_written_behind_is_lost_alone() {
    let dir = tempfile::tempdir().unwrap();
    let torrent = three_files();
    let store = torrent.open(dir.path(), &options(u64::MAX)).unwrap();
    torrent.put_all(&store);
    fs::remove_file(dir.path().join("sub/f1")).unwrap();
    fs::create_dir(dir.path().join("sub/f1")).unwrap();
    assert!(matches!(store.flush(), Err(PiecesError::Io(_))));
    assert_eq!((store.servable().to_bytes(), store.has_unwritten()), (vec![0xa0], false));
    assert_eq!(store.checkpoint().unwrap(), [0xa0]);
    assert!(store.fault().unwrap().message.contains("sub/f1"));
    fs::remove_dir(dir.path().join("sub/f1")).unwrap();
    fs::write(dir.path().join("sub/f1"), vec![0; 16384]).unwrap();
    store.clear_fault();
    assert!(matches!(torrent.put(&store, 1), PieceOutcome::Good));
    store.flush().unwrap();
    torrent.check_files(dir.path());
}

/// A file system of 1 MiB; `None` where it may not be mounted.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(dir.path())
            .stderr(std::process::Stdio::null())
            .status();
        let disk = mounted.is_ok_and(|status| status.success()).then(|| Self(dir));
        if disk.is_none() {
            println!("skipped: a small file system cannot be mounted here");
        }
        disk
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_stops_what_is_written_and_nothing_that_is_had() {
    let torrent = Torrent::new(Version::V1, &[3 << 20], 1 << 18);
    for write_behind in [0, 1 << 19] {
        // A new one each time: what another test starts may hold the old one's files for a moment, and so its room.
        let Some(disk) = SmallDisk::mount() else { return };
        let root = disk.0.path().join("torrent");
        let store = torrent.open(&root, &options(write_behind)).unwrap();
        let failed = (0..12).filter(|n| !matches!(torrent.put(&store, *n), PieceOutcome::Good)).count();
        let _ = store.flush();
        assert_eq!(failed > 0, write_behind == 0);
        assert_eq!(store.fault().unwrap().kind, FaultKind::DiskFull);
        let had: Vec<u32> = (0..12).filter(|n| store.servable().get(*n)).collect();
        assert!((1..12).contains(&had.len()), "{had:?}");
        for n in &had {
            assert!(read(&store, *n).unwrap() == torrent.piece(*n));
        }
        drop(store);
        let again = torrent.open(&root, &options(0)).unwrap();
        assert_eq!(again.verify_pieces(0..12, &NEVER).unwrap() as usize, had.len());
    }
}

#[test]
fn a_place_that_is_not_there_is_known_before_anything_is_fetched() {
    let Some(disk) = SmallDisk::mount() else { return };
    let torrent = Torrent::new(Version::V1, &[100, 3 << 20], 1 << 18);
    let full = StoreOptions { allocation: Allocation::Full, ..options(0) };
    let root = disk.0.path().join("torrent");
    let error = torrent.open(&root, &full).err().unwrap();
    assert_eq!(error.code(), "ERR_DISK_FULL");
    assert!(!root.join("f0").exists() && !root.join("sub/f1").exists(), "nothing is left behind");
}
