//! A store over a folder: many files, padding, links and pipes in the way, writes behind, and crashes.
#![expect(clippy::unwrap_used, reason = "tests")]

mod torrent;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use blockswarm_pieces::{
    Allocation, BLOCK_BYTES, BlockWrite, Budget, FileEntry, FolderLayout, Geometry, PieceOutcome,
    PiecesError, RelativePath, Store, StoreOptions, SyncPolicy,
};
use proptest::prelude::*;
use torrent::{NEVER, Torrent, Version, names, options, read};

fn torrents() -> impl Strategy<Value = Torrent> {
    let version = prop_oneof![Just(Version::V1), Just(Version::Hybrid), Just(Version::V2)];
    let lengths = proptest::collection::vec(prop_oneof![Just(0), 1..20_u64, 1..90_000_u64], 1..7);
    (version, lengths, 0..3_u32, 200..40_000_u32).prop_map(|(version, mut lengths, power, odd)| {
        lengths[0] += 1;
        let piece_length = if version == Version::V1 { odd } else { BLOCK_BYTES << power };
        Torrent::new(version, &lengths, piece_length)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Pieces in any order, flushed now and then, read from memory or file alike; a crash at any time leaves what was
    /// written, and a checkpoint never names more than that.
    #[test]
    fn any_torrent_comes_together_through_any_crash(
        torrent in torrents(), write_behind in prop_oneof![Just(0), Just(100_000), Just(u64::MAX)],
        moves in proptest::collection::vec((any::<proptest::sample::Index>(), 0..8_u8), 1..30),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let pieces = torrent.geometry.piece_count();
        let mut store = torrent.open(dir.path(), &options(write_behind)).unwrap();
        let mut safe = vec![0; pieces.div_ceil(8) as usize];
        for (at, action) in moves {
            let n = at.index(pieces as usize) as u32;
            match action {
                0 => {
                    drop(store);
                    store = torrent.open(dir.path(), &options(write_behind)).unwrap();
                    let good = store.verify_pieces(0..pieces, &NEVER).unwrap();
                    prop_assert_eq!(good, store.servable().count());
                    for (safe, now) in safe.iter().zip(store.servable().to_bytes()) {
                        prop_assert_eq!(safe & !now, 0, "what a checkpoint named is there");
                    }
                }
                1 => store.flush().unwrap(),
                2 => safe = store.checkpoint().unwrap(),
                3 => store.flush_older_than(Duration::from_secs(3600)).unwrap(),
                _ if store.servable().get(n) => {}
                _ => prop_assert!(matches!(torrent.put(&store, n), PieceOutcome::Good)),
            }
            for n in 0..pieces {
                match read(&store, n) {
                    Ok(bytes) => prop_assert!(bytes == torrent.piece(n)),
                    Err(_) => prop_assert!(!store.servable().get(n)),
                }
            }
        }
        torrent.put_all(&store);
        store.flush().unwrap();
        prop_assert!(!store.has_unwritten() && store.fault().is_none());
        torrent.check_files(dir.path());
        let again = torrent.open(dir.path(), &StoreOptions { read_only: true, ..options(0) }).unwrap();
        prop_assert_eq!(again.verify_pieces(0..pieces, &NEVER).unwrap(), pieces);
        prop_assert!(again.verify_root(&NEVER).unwrap());
    }
}

#[test]
fn pieces_wait_in_memory_and_are_served_from_there() {
    let dir = tempfile::tempdir().unwrap();
    let torrent = Torrent::new(Version::V1, &[300_000, 100_000], 50_000);
    let store = torrent.open(dir.path(), &options(400_000)).unwrap();
    let budget = Budget::new(10 << 20);
    store.set_budget(Arc::clone(&budget));
    for n in [2, 0, 1] {
        assert!(matches!(torrent.put(&store, n), PieceOutcome::Good));
    }
    assert!(fs::read(dir.path().join("f0")).unwrap().iter().all(|byte| *byte == 0), "nothing is written");
    assert_eq!(budget.used(), 150_000);
    assert_eq!(store.checkpoint().unwrap(), [0xe0]);
    assert_eq!((budget.used(), store.has_unwritten()), (0, false));
    assert!(fs::read(dir.path().join("f0")).unwrap()[..150_000] == torrent.flat[..150_000]);
    for n in 3..7 {
        torrent.put(&store, n);
    }
    assert!(!store.has_unwritten(), "half of the limit was full");
}

#[test]
fn memory_that_is_wanted_for_other_pieces_is_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let torrent = Torrent::new(Version::V1, &[400_000], 50_000);
    let store = torrent.open(dir.path(), &options(u64::MAX)).unwrap();
    store.set_budget(Budget::new(120_000));
    torrent.put(&store, 0);
    assert!(store.has_unwritten());
    torrent.put(&store, 1);
    assert!(!store.has_unwritten());
    torrent.put_all(&store);
}

#[test]
fn threads_bring_one_piece_while_others_hash_it() {
    // A short piece of v1 is hashed at its end.
    for (version, piece_length) in [(Version::V2, 4 << 20), (Version::Hybrid, 16 << 20)] {
        threads_bring_one_piece(&Torrent::new(version, &[17 << 20, 3], piece_length));
    }
}

fn threads_bring_one_piece(torrent: &Torrent) {
    let dir = tempfile::tempdir().unwrap();
    let store = torrent.open(dir.path(), &options(0)).unwrap();
    let (first, threads) = (torrent.geometry.piece(0).unwrap(), 4);
    let (blocks, hashed) = (torrent.geometry.block_count(first), AtomicU32::new(0));
    store.wanted_blocks(first, 0..1).unwrap();
    let put = |block: u32| {
        let begin = (block * BLOCK_BYTES) as usize;
        let data = &torrent.flat[begin..begin + BLOCK_BYTES as usize];
        store.write_block(first, block * BLOCK_BYTES, data, u64::from(block % threads))
    };
    let verdicts: Vec<_> = std::thread::scope(|scope| {
        let bring = |thread: u32| {
            let mut verdict = None;
            for block in (0..blocks).filter(|block| block % threads == thread) {
                match put(block) {
                    BlockWrite::Hashable => {
                        hashed.fetch_add(1, Ordering::Relaxed);
                        store.hash_arrived(first);
                    }
                    BlockWrite::Completed => verdict = store.finish_piece(first),
                    written => assert_eq!(written, BlockWrite::Stored),
                }
                assert!(verdict.is_some() || put(block) == BlockWrite::Duplicate);
            }
            verdict
        };
        let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || bring(thread))).collect();
        running.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(verdicts.len(), 1);
    assert!(matches!(verdicts[0].outcome, PieceOutcome::Good) && verdicts[0].senders == [0, 1, 2, 3]);
    assert!(hashed.into_inner() > 0, "some of it was hashed before it was whole");
    torrent.put_all(&store);
    torrent.check_files(dir.path());
}

#[test]
fn padding_is_had_without_asking() {
    let dir = tempfile::tempdir().unwrap();
    let block = u64::from(BLOCK_BYTES);
    let entry = |length, padding| FileEntry { length, padding };
    // Two blocks of a file and a bit of the third; padding from there over two whole pieces; a last file.
    let list = [entry(2 * block + 5, false), entry(10 * block - 5, true), entry(7, false)];
    let torrent = Torrent::of(Geometry::hybrid(&list, 4 * BLOCK_BYTES).unwrap(), Version::Hybrid);
    let store = torrent.open(dir.path(), &options(0)).unwrap();
    assert_eq!(store.servable().to_bytes(), [0x60], "pieces of nothing but padding");
    let first = torrent.geometry.piece(0).unwrap();
    assert_eq!(store.wanted_blocks(first, 0..9).unwrap(), [0, 1, 2]);
    assert!(read(&store, 1).unwrap().iter().all(|byte| *byte == 0));
    torrent.put_all(&store);
    assert!(read(&store, 0).unwrap() == torrent.piece(0));
    torrent.check_files(dir.path());
    assert_eq!(store.verify_pieces(0..4, &NEVER).unwrap(), 4);
}

/// Puts something where a file of the torrent should be.
type Plant = fn(&Path);

#[test]
fn what_is_in_the_way_is_left_alone() {
    let torrent = Torrent::new(Version::V1, &[10, 20], 16);
    let plants: [(&str, Plant); 8] = [
        ("a link to a file", |root| symlink("/etc/hostname", root.join("f0")).unwrap()),
        ("a dangling link", |root| symlink("../made", root.join("f0")).unwrap()),
        ("a link inside", |root| {
            fs::write(root.join("other"), [1; 10]).unwrap();
            symlink("other", root.join("f0")).unwrap();
        }),
        ("a link to a folder", |root| symlink("..", root.join("sub")).unwrap()),
        ("a folder", |root| fs::create_dir(root.join("f0")).unwrap()),
        ("a file for a folder", |root| fs::write(root.join("sub"), "").unwrap()),
        ("a longer file", |root| fs::write(root.join("f0"), [1; 11]).unwrap()),
        ("a pipe", |root| {
            let mode = rustix::fs::Mode::from_raw_mode(0o600);
            rustix::fs::mknodat(rustix::fs::CWD, root.join("f0"), rustix::fs::FileType::Fifo, mode, 0)
                .unwrap();
        }),
    ];
    for (what, plant) in plants {
        for read_only in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path().join("root");
            fs::create_dir(&root).unwrap();
            plant(&root);
            let before = listing(dir.path());
            let opened = torrent.open(&root, &StoreOptions { read_only, ..options(0) });
            if read_only {
                let store = opened.unwrap();
                assert_eq!(store.verify_pieces(0..2, &NEVER).unwrap(), 0, "{what}");
                assert!(store.fault().is_some(), "{what}");
            } else {
                assert!(matches!(opened, Err(PiecesError::Io(_) | PiecesError::Scratch { .. })), "{what}");
            }
            assert_eq!(listing(dir.path()), before, "{what}");
        }
    }
}

/// Every path and what is there.
fn listing(root: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                open.push(entry.path());
            }
            let held = if kind.is_file() { fs::read(entry.path()).unwrap() } else { Vec::new() };
            all.insert(entry.path().display().to_string(), format!("{kind:?} {held:?}"));
        }
    }
    all
}

#[test]
fn empty_files_are_made_and_two_files_in_one_place_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let torrent = Torrent::new(Version::V2, &[10, 20], BLOCK_BYTES);
    let open = |layout| {
        Store::open_folder(
            torrent.geometry.clone(),
            torrent.hashes.clone(),
            &dir.path().join("root"),
            layout,
            &StoreOptions {
                allocation: Allocation::Full,
                sync: SyncPolicy::OnFlush,
                open_files: 1,
                ..options(1 << 20)
            },
        )
    };
    let path = |parts: &[&str]| RelativePath::new(parts).unwrap();
    let layout =
        FolderLayout { files: names(2), empty_files: vec![path(&["e", "empty"])], ..FolderLayout::default() };
    let store = open(layout.clone()).unwrap();
    torrent.put_all(&store);
    store.flush().unwrap();
    torrent.check_files(&dir.path().join("root"));
    assert_eq!(fs::metadata(dir.path().join("root/e/empty")).unwrap().len(), 0);
    let one = open(FolderLayout { files: vec![path(&["a"])], ..layout.clone() });
    assert!(matches!(one, Err(PiecesError::Paths(_))));
    let twice = open(FolderLayout { empty_files: names(1), ..layout.clone() });
    assert!(matches!(twice, Err(PiecesError::Paths(_))));
    // As a file system that ignores case would have it.
    fs::hard_link(dir.path().join("root/f0"), dir.path().join("root/F0")).unwrap();
    let linked = open(FolderLayout { files: vec![path(&["f0"]), path(&["F0"])], ..layout });
    assert!(matches!(linked, Err(PiecesError::Paths(_))));
}

#[test]
fn paths_are_taken_from_the_list_of_all_files() {
    let entry = |length, padding| FileEntry { length, padding };
    let list = [entry(5, false), entry(16379, true), entry(0, false), entry(7, false)];
    let geometry = Geometry::hybrid(&list, BLOCK_BYTES).unwrap();
    let paths = ["a/b", "", "e/f", "g"].into_iter().collect();
    let layout = FolderLayout::of_entries(&geometry, &paths).unwrap();
    assert_eq!(
        layout.files.iter().map(RelativePath::as_path).collect::<Vec<_>>(),
        [Path::new("a/b"), Path::new("g")]
    );
    assert_eq!(layout.empty_files[0].as_path(), Path::new("e/f"));
    for bad in ["/etc/passwd", "../up", "a//b", ""] {
        let paths = ["a/b", "", "e/f", bad].into_iter().collect();
        assert!(
            matches!(FolderLayout::of_entries(&geometry, &paths), Err(PiecesError::Component { .. })),
            "{bad}"
        );
    }
}

#[test]
fn pieces_judged_together_fare_as_each_alone() {
    let mut stores = Vec::new();
    let dir = tempfile::tempdir().unwrap();
    for (n, version) in [Version::V1, Version::Hybrid, Version::V2, Version::V1].into_iter().enumerate() {
        let torrent = Torrent::new(version, &[(9 << 20) + 77, 300_000], 1 << (20 + n));
        let store = torrent.open(&dir.path().join(n.to_string()), &options(1 << 30)).unwrap();
        stores.push((torrent, store));
    }
    // Every third piece is spoiled, every fourth lacks a block.
    let all: Vec<(usize, u32)> =
        (0..4).flat_map(|n| (0..stores[n].0.geometry.piece_count()).map(move |piece| (n, piece))).collect();
    let mut expected = Vec::new();
    for (at, (n, number)) in all.iter().enumerate() {
        let (torrent, store) = &stores[*n];
        let piece = torrent.geometry.piece(*number).unwrap();
        let (start, mut wanted) =
            (torrent.geometry.piece_offset(piece), store.wanted_blocks(piece, 0..u32::MAX).unwrap());
        let lacks = at % 4 == 3;
        let is_spoiled = at % 3 == 1 && !lacks;
        if lacks {
            wanted.pop();
        }
        for block in wanted {
            let (begin, bytes) = (block * BLOCK_BYTES, torrent.geometry.block_bytes(piece, block));
            let start = (start + u64::from(begin)) as usize;
            let mut data = torrent.flat[start..start + bytes as usize].to_vec();
            data[9] ^= u8::from(is_spoiled && block == 0);
            store.write_block(piece, begin, &data, 5);
        }
        expected.push((!lacks).then_some(!is_spoiled));
    }
    let pieces: Vec<_> =
        all.iter().map(|(n, piece)| (&*stores[*n].1, stores[*n].0.geometry.piece(*piece).unwrap())).collect();
    let verdicts = Store::finish_together(&pieces);
    for (((store, piece), verdict), expected) in pieces.iter().zip(&verdicts).zip(&expected) {
        let is_good = verdict.as_ref().map(|verdict| matches!(verdict.outcome, PieceOutcome::Good));
        assert_eq!(is_good, *expected, "{piece:?}");
        assert_eq!(store.servable().get(piece.get()), *expected == Some(true));
        let culprits = verdict.as_ref().map_or(&[][..], |verdict| &verdict.culprits);
        assert_eq!(culprits, if *expected == Some(false) { &[5][..] } else { &[] });
    }
    assert!(Store::finish_together(&pieces[..1]).pop().unwrap().is_none(), "judged already");
    for (n, (torrent, store)) in stores.iter().enumerate() {
        store.flush().unwrap();
        torrent.put_all(store);
        store.flush().unwrap();
        torrent.check_files(&dir.path().join(n.to_string()));
    }
}
