//! Bytes in files of others: assumed, hashed before they are served, doubted when the files are written to, and repaired.
#![expect(clippy::unwrap_used, reason = "tests")]

#[expect(dead_code, reason = "only a part of it is needed here")]
mod torrent;

use std::fs::{self, File};
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use blockswarm_pieces::{ExtentsBuilder, FaultKind, FileId, Files, NowRead, PieceOutcome, Store};
use torrent::{NEVER, Torrent, Version, read};

const PIECE: u64 = 65536;
const KEY: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

/// A torrent of four pieces whose halves lie in two files of a node, XORed.
struct Node {
    dir: tempfile::TempDir,
    torrent: Torrent,
    files: Arc<Files>,
    ids: [FileId; 2],
}

impl Node {
    fn new() -> Self {
        let torrent = Torrent::new(Version::Hybrid, &[4 * PIECE], PIECE as u32);
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(2);
        let ids = [0, 1].map(|n| files.add(dir.path().join(format!("blk{n}")), Some(KEY)));
        let node = Self { dir, torrent, files, ids };
        (0..2).for_each(|n| node.write(n));
        node
    }

    fn path(&self, n: usize) -> std::path::PathBuf {
        self.dir.path().join(format!("blk{n}"))
    }

    /// As the node writes it: 100 bytes, half of the torrent, 100 bytes more.
    fn write(&self, n: usize) {
        let half = &self.torrent.flat[n * 2 * PIECE as usize..][..2 * PIECE as usize];
        let mut bytes = [&[7; 100], half, &[9; 100]].concat();
        bytes.iter_mut().enumerate().for_each(|(at, byte)| *byte ^= KEY[at % 8]);
        fs::write(self.path(n), bytes).unwrap();
    }

    fn store(&self) -> Arc<Store> {
        let mut builder = ExtentsBuilder::new(Arc::clone(&self.files));
        self.ids.iter().for_each(|id| builder.push(*id, 100, 2 * PIECE).unwrap());
        Store::over_extents(self.torrent.geometry.clone(), self.torrent.hashes.clone(), builder.finish())
            .unwrap()
    }

    fn flip(&self, piece: u64) {
        flip(&self.path(piece as usize / 2), 100 + piece % 2 * PIECE + 4000);
    }
}

fn flip(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).unwrap();
}

fn read_now(store: &Store, piece: u64) -> io::Result<(NowRead, Vec<u8>)> {
    let mut buffer = vec![0; 16384];
    let read = store.read_now(piece * PIECE, &mut [IoSliceMut::new(&mut buffer)])?;
    Ok((read, buffer))
}

#[test]
fn an_assumed_piece_is_hashed_before_its_first_byte_goes_out_and_a_wrong_one_never_does() {
    let node = Node::new();
    node.flip(2);
    let store = node.store();
    let told = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&told);
    store.on_fault(move || {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    assert_eq!((store.survey().0, store.servable().to_bytes(), store.assumed().count()), (4, vec![0xf0], 4));
    assert_eq!(read_now(&store, 1).unwrap().0, NowRead::WouldBlock, "a network thread does not hash");
    assert!(read(&store, 1).unwrap() == node.torrent.piece(1));
    assert_eq!(store.assumed().to_bytes(), [0xb0]);
    assert_eq!(read(&store, 2).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!((store.servable().to_bytes(), store.assumed().to_bytes()), (vec![0xd0], vec![0x90]));
    assert_eq!((store.damaged().to_bytes(), told.load(Ordering::Relaxed)), (vec![0x20], 1));
    let fault = store.take_fault().unwrap();
    assert_eq!((fault.kind, fault.path), (FaultKind::Damaged, Some(node.path(1))));
    assert_eq!(store.place_of(node.torrent.geometry.piece(3).unwrap()).unwrap().offset, 100 + PIECE);
    assert_eq!(store.survey(), (0, 0), "what is known to be wrong is not assumed again");
    // The rest, as a scrub does it.
    assert_eq!(store.verify_pieces(0..4, &NEVER).unwrap(), 3);
    assert_eq!((store.servable().to_bytes(), store.assumed().count()), (vec![0xd0], 0));
}

#[test]
fn many_readers_of_an_assumed_torrent_get_right_bytes_only() {
    let node = Node::new();
    node.flip(3);
    let store = node.store();
    store.survey();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in (0..4).cycle().take(40) {
                    match read(&store, n) {
                        Ok(bytes) => assert!(bytes == node.torrent.piece(n)),
                        Err(error) => assert_eq!((n, error.kind()), (3, io::ErrorKind::NotFound)),
                    }
                }
            });
        }
    });
    assert_eq!((store.servable().to_bytes(), store.damaged().to_bytes()), (vec![0xe0], vec![0x10]));
}

#[test]
fn what_is_written_to_a_file_that_is_being_served_is_noticed_at_the_next_read() {
    let node = Node::new();
    let store = node.store();
    assert_eq!(store.verify_pieces(0..4, &NEVER).unwrap(), 4);
    assert!(read(&store, 0).unwrap() == node.torrent.piece(0));
    let modified = fs::metadata(node.path(0)).unwrap().modified().unwrap();
    node.flip(0);
    // The clock of the file system may not have moved on since.
    let file = File::options().write(true).open(node.path(0)).unwrap();
    file.set_modified(modified + std::time::Duration::from_millis(5)).unwrap();
    assert_eq!(read_now(&store, 0).unwrap().0, NowRead::WouldBlock);
    assert_eq!(read(&store, 0).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert!(
        read(&store, 1).unwrap() == node.torrent.piece(1)
            && read(&store, 2).unwrap() == node.torrent.piece(2)
    );
    assert_eq!((store.servable().to_bytes(), store.damaged().to_bytes()), (vec![0x70], vec![0x80]));
    assert_eq!(store.survey(), (0, 0), "nothing was written since");
    // Flipped back.
    node.flip(0);
    file.set_modified(modified + std::time::Duration::from_millis(10)).unwrap();
    assert_eq!((store.survey(), store.damaged().count()), ((1, 0), 0));
    assert!(read(&store, 0).unwrap() == node.torrent.piece(0));
}

#[test]
fn another_file_of_the_same_size_in_the_place_of_one_that_is_served_is_hashed_first_in_every_torrent_over_it()
{
    let node = Node::new();
    let stores = [node.store(), node.store()];
    for store in &stores {
        assert_eq!(store.verify_pieces(0..4, &NEVER).unwrap(), 4);
    }
    let other = node.dir.path().join("other");
    fs::write(&other, vec![0; 2 * PIECE as usize + 200]).unwrap();
    fs::rename(&other, node.path(0)).unwrap();
    // As after a second, when the files are looked at again.
    node.files.forget_identities();
    assert_eq!(read(&stores[0], 0).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(read(&stores[1], 1).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert!(stores.iter().all(|store| read(store, 3).unwrap() == node.torrent.piece(3)));
    assert_eq!(stores[1].damaged().to_bytes(), [0x40]);
}

#[test]
fn a_file_that_is_cut_short_or_goes_takes_its_pieces_and_they_come_back_with_it() {
    let node = Node::new();
    let store = node.store();
    store.survey();
    fs::remove_file(node.path(1)).unwrap();
    File::options().write(true).open(node.path(0)).unwrap().set_len(100 + PIECE + 5).unwrap();
    // As after a second, when the files are looked at again: until then what is open is read.
    node.files.close_handles();
    assert!(read(&store, 1).is_err() && read(&store, 2).is_err());
    assert_eq!(store.servable().to_bytes(), [0x00]);
    assert_eq!(
        (store.survey().0, store.servable().to_bytes()),
        (1, vec![0x80]),
        "the piece in front of the cut"
    );
    assert!(read(&store, 0).unwrap() == node.torrent.piece(0));
    (0..2).for_each(|n| node.write(n));
    assert_eq!(store.survey(), (3, 0));
    fs::rename(node.path(1), node.dir.path().join("away")).unwrap();
    node.files.close_handles();
    assert_eq!(store.survey(), (0, 2), "without anybody who reads");
    fs::rename(node.dir.path().join("away"), node.path(1)).unwrap();
    assert_eq!(store.survey(), (2, 0));
    assert!((0..4).all(|n| read(&store, n).unwrap() == node.torrent.piece(n)));
    assert_eq!(store.damaged().count(), 0);
}

#[test]
fn a_damaged_piece_is_fetched_into_a_folder_of_ours_and_served_from_there_also_after_a_restart() {
    let node = Node::new();
    node.flip(1);
    let damaged = fs::read(node.path(0)).unwrap();
    let overlay = node.dir.path().join("overlay");
    let store = node.store();
    assert_eq!(store.repair_into(&overlay).unwrap(), 0);
    store.survey();
    assert!(read(&store, 1).is_err());
    assert!(matches!(node.torrent.put(&store, 1), PieceOutcome::Good));
    assert_eq!((store.servable().to_bytes(), store.damaged().count()), (vec![0xf0], 0));
    assert!((0..4).all(|n| read(&store, n).unwrap() == node.torrent.piece(n)));
    assert!(fs::read(node.path(0)).unwrap() == damaged, "the node's file is as it was");

    let again = node.store();
    assert_eq!(again.repair_into(&overlay).unwrap(), 1);
    again.survey();
    assert_eq!(again.assumed().to_bytes(), [0xf0], "also what is ours");
    assert!((0..4).all(|n| read(&again, n).unwrap() == node.torrent.piece(n)));
    flip(&overlay.join("1.piece"), 9);
    let third = node.store();
    third.repair_into(&overlay).unwrap();
    third.survey();
    assert!(read(&third, 1).is_err());
    assert!(matches!(node.torrent.put(&third, 1), PieceOutcome::Good));
    assert!(read(&third, 1).unwrap() == node.torrent.piece(1));
}

#[test]
fn a_piece_for_which_there_is_no_room_is_missing_and_everything_else_is_served() {
    let node = Node::new();
    node.flip(1);
    let store = node.store();
    let overlay = node.dir.path().join("overlay");
    fs::write(&overlay, "a file where the folder should be").unwrap();
    assert!(store.repair_into(&overlay).is_err());
    fs::remove_file(&overlay).unwrap();
    store.repair_into(&overlay).unwrap();
    store.survey();
    assert!(read(&store, 1).is_err());
    fs::write(&overlay, "too late").unwrap();
    assert!(matches!(node.torrent.put(&store, 1), PieceOutcome::Io(_)));
    assert_eq!((store.servable().to_bytes(), store.damaged().to_bytes()), (vec![0xb0], vec![0x40]));
    assert!(read(&store, 0).unwrap() == node.torrent.piece(0));
}

#[test]
fn a_file_that_is_held_is_served_when_its_owner_has_deleted_it_and_its_space_is_counted() {
    let node = Node::new();
    let store = node.store();
    assert_eq!(store.verify_pieces(0..4, &NEVER).unwrap(), 4);
    let held = node.files.hold(node.ids[0]).unwrap();
    assert_eq!(node.files.unlinked_bytes(), 0);
    fs::remove_file(node.path(0)).unwrap();
    node.files.forget_identities();
    assert!((0..4).all(|n| read(&store, n).unwrap() == node.torrent.piece(n)));
    assert!(node.files.unlinked_bytes() >= 2 * PIECE);

    // Kept elsewhere, it is read from there.
    let copy = node.dir.path().join("copy");
    io::copy(&mut &*held, &mut File::create(&copy).unwrap()).unwrap();
    node.files.relocate(node.ids[0], &copy);
    drop(held);
    assert_eq!(node.files.unlinked_bytes(), 0);
    assert!((0..4).all(|n| read(&store, n).unwrap() == node.torrent.piece(n)));
    // A copy that is not what it should be is not believed.
    flip(&copy, 5000);
    node.files.relocate(node.ids[0], &copy);
    assert!(read(&store, 0).is_err() && read(&store, 1).unwrap() == node.torrent.piece(1));
}
