//! Making and checking torrents over files, held against hashes made the plain way.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use blockswarm_pieces::{
    BLOCK_BYTES, CheckReport, ContentPaths, Damage, DamageReason, Extents, FileEntry, FileFault, FileHashes,
    Geometry, PassOptions, PieceHashes, PiecesError, TorrentKind, check_files, hash_bytes, hash_extents,
    hash_files,
};
use proptest::prelude::*;
use sha1::Sha1;
use sha2::{Digest, Sha256};

const BLOCK: u64 = BLOCK_BYTES as u64;
static NEVER: AtomicBool = AtomicBool::new(false);

/// A torrent and its files on disk.
struct Scene {
    dir: tempfile::TempDir,
    kind: TorrentKind,
    geometry: Geometry,
    /// Of each entry; `None` for padding.
    contents: Vec<Option<Vec<u8>>>,
    paths: ContentPaths,
}

fn bytes(length: u64, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..length.div_ceil(8)).flat_map(|_| word()).take(length as usize).collect()
}

impl Scene {
    fn new(kind: TorrentKind, lengths: &[u64], piece_length: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut entries: Vec<FileEntry> = Vec::new();
        let mut offset = 0;
        for length in lengths {
            entries.push(FileEntry { length: *length, padding: false });
            offset += length;
            let rest = offset % u64::from(piece_length);
            if kind == TorrentKind::Hybrid && lengths.len() > 1 && rest > 0 {
                entries.push(FileEntry { length: u64::from(piece_length) - rest, padding: true });
                offset += u64::from(piece_length) - rest;
            }
        }
        let contents: Vec<Option<Vec<u8>>> = entries
            .iter()
            .zip(1..)
            .map(|(entry, n)| (!entry.padding).then(|| bytes(entry.length, n)))
            .collect();
        let paths: Vec<PathBuf> = (0..entries.len()).map(|n| dir.path().join(n.to_string())).collect();
        for (path, content) in paths.iter().zip(&contents) {
            if let Some(content) = content {
                fs::write(path, content).unwrap();
            }
        }
        let geometry = match kind {
            TorrentKind::V1 => Geometry::v1(&entries, piece_length),
            TorrentKind::V2 => Geometry::v2(lengths, piece_length),
            TorrentKind::Hybrid => Geometry::hybrid(&entries, piece_length),
        };
        let paths = paths.iter().map(|path| path.as_os_str().as_encoded_bytes()).collect();
        Self { geometry: geometry.unwrap(), dir, kind, contents, paths }
    }

    fn path(&self, entry: usize) -> PathBuf {
        self.dir.path().join(entry.to_string())
    }

    /// Each piece alone, by the plain crates, as the BEPs say it.
    fn expected(&self) -> PieceHashes {
        let g = &self.geometry;
        let mut flat = vec![0; g.length() as usize];
        for file in g.files() {
            let content = self.contents[file.entry].as_ref().unwrap();
            flat[file.start as usize..file.end() as usize].copy_from_slice(content);
        }
        let v1 = flat.chunks(g.piece_length() as usize).flat_map(Sha1::digest).collect();
        let v2 = g.files().iter().map(|file| {
            let content = &flat[file.start as usize..file.end() as usize];
            file_hashes(content, u64::from(g.piece_length()))
        });
        PieceHashes {
            v1: (self.kind != TorrentKind::V2).then_some(v1),
            v2: (self.kind != TorrentKind::V1).then(|| v2.collect()),
        }
    }

    fn hash(&self, threads: usize) -> Result<PieceHashes, PiecesError> {
        let progress = AtomicU64::new(0);
        let options = PassOptions { threads, progress: &progress, cancelled: &NEVER, pace: None };
        let hashes = hash_files(&self.geometry, self.kind, &self.paths, threads == 2, options);
        assert!(hashes.is_err() || progress.into_inner() == self.geometry.content_length());
        hashes
    }

    fn check(&self, hashes: PieceHashes) -> CheckReport {
        let progress = AtomicU64::new(0);
        let options = PassOptions { threads: 2, progress: &progress, cancelled: &NEVER, pace: None };
        let report = check_files(&self.geometry, hashes, &self.paths, true, options).unwrap();
        assert_eq!(progress.into_inner(), self.geometry.content_length());
        report
    }
}

fn file_hashes(content: &[u8], piece_length: u64) -> FileHashes {
    let leaves: Vec<[u8; 32]> =
        content.chunks(BLOCK as usize).map(|leaf| Sha256::digest(leaf).into()).collect();
    let piece_leaves = (piece_length / BLOCK) as usize;
    let roots: Vec<[u8; 32]> = leaves.chunks(piece_leaves).map(|leaves| fold(leaves, piece_leaves)).collect();
    let width = leaves.len().next_power_of_two();
    FileHashes {
        root: fold(&leaves, width),
        layer: (content.len() as u64 > piece_length).then(|| roots.concat()),
    }
}

fn fold(leaves: &[[u8; 32]], width: usize) -> [u8; 32] {
    let mut row = leaves.to_vec();
    row.resize(width, [0; 32]);
    while row.len() > 1 {
        row = row.chunks(2).map(|pair| Sha256::digest(pair.concat()).into()).collect();
    }
    row[0]
}

fn damaged(file: usize, range: std::ops::Range<u64>, reason: DamageReason) -> Damage {
    Damage { file, range, reason, hole_bytes: 0 }
}

fn change(path: &Path, offset: usize) {
    let mut content = fs::read(path).unwrap();
    content[offset] ^= 1;
    fs::write(path, content).unwrap();
}

fn kinds() -> impl Strategy<Value = TorrentKind> {
    prop_oneof![Just(TorrentKind::V1), Just(TorrentKind::V2), Just(TorrentKind::Hybrid)]
}

/// Around blocks, pieces and steps, and small.
fn lengths() -> impl Strategy<Value = Vec<u64>> {
    let length = prop_oneof![
        3 => 0..40u64,
        3 => (0..9u64, 0..3u64).prop_map(|(blocks, more)| (blocks * BLOCK + more).saturating_sub(1)),
        2 => 0..200_000u64,
        1 => 0..1_500_000u64,
    ];
    proptest::collection::vec(length, 1..12).prop_filter("content", |lengths| lengths.iter().sum::<u64>() > 0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn hashes_are_those_of_each_piece_alone(
        kind in kinds(), lengths in lengths(), shift in 0..7u32, odd in 1..70_000u32, threads in 1..5usize,
    ) {
        let piece_length = if kind == TorrentKind::V1 && shift < 3 { odd } else { BLOCK_BYTES << shift };
        let scene = Scene::new(kind, &lengths, piece_length);
        let hashes = scene.hash(threads).unwrap();
        prop_assert_eq!(&hashes, &scene.expected());
        let report = scene.check(hashes);
        prop_assert_eq!(report.good_pieces, scene.geometry.piece_count());
        prop_assert!(report.damage.is_empty() && report.faults.is_empty());
    }

    #[test]
    fn a_changed_byte_spoils_its_piece_and_no_other(
        kind in kinds(), lengths in lengths(), shift in 0..5u32, place in any::<prop::sample::Index>(),
    ) {
        let scene = Scene::new(kind, &lengths, BLOCK_BYTES << shift);
        let g = &scene.geometry;
        let n = place.index(g.files().len());
        let file = g.files()[n];
        let offset = place.index(file.length as usize);
        change(&scene.path(file.entry), offset);
        let report = scene.check(scene.expected());
        let piece = g.piece_at(file.start + offset as u64).unwrap();
        let start = g.piece_offset(piece);
        let parts: Vec<Damage> = g
            .parts(&(start..start + u64::from(g.piece_bytes(piece))))
            .map(|part| damaged(part.file, part.range, DamageReason::Wrong))
            .collect();
        prop_assert_eq!(report.damage, parts);
        prop_assert_eq!(report.good_pieces, g.piece_count() - 1);
    }

    #[test]
    fn a_file_cut_short_is_missing_from_there_on(
        kind in kinds(), lengths in lengths(), place in any::<prop::sample::Index>(),
    ) {
        let scene = Scene::new(kind, &lengths, BLOCK_BYTES * 2);
        let n = place.index(scene.geometry.files().len());
        let file = scene.geometry.files()[n];
        let size = place.index(file.length as usize) as u64;
        fs::File::options().write(true).open(scene.path(file.entry)).unwrap().set_len(size).unwrap();
        let report = scene.check(scene.expected());
        let missing: Vec<_> = report.damage.iter().filter(|found| found.reason == DamageReason::Missing).collect();
        prop_assert_eq!(missing, [&damaged(n, size..file.length, DamageReason::Missing)]);
        prop_assert!(report.damage.iter().all(|found| found.reason != DamageReason::Wrong));
        prop_assert_eq!(report.faults.get(&n), Some(&FileFault::Short(size)));
    }
}

#[test]
fn a_piece_longer_than_a_span_has_the_root_of_all_its_leaves() {
    // One piece of 64 MiB and two files: spans of 16 MiB, the last of them short, and a file shorter than a span.
    let lengths = [(40 << 20) + 5, 3 << 20];
    for kind in [TorrentKind::V2, TorrentKind::Hybrid] {
        let scene = Scene::new(kind, &lengths, 64 << 20);
        assert_eq!(scene.hash(3).unwrap(), scene.expected());
    }
    let scene = Scene::new(TorrentKind::V2, &[(70 << 20) + 5], 32 << 20);
    assert_eq!(scene.hash(2).unwrap(), scene.expected());
}

#[test]
fn the_hashes_of_extents_and_of_bytes_are_those_of_the_file() {
    let scene = Scene::new(TorrentKind::Hybrid, &[300_000], 65536);
    let extents = Extents::whole_file(&scene.path(0)).unwrap();
    assert_eq!(hash_extents(&extents, 65536, &NEVER).unwrap(), scene.expected());
    assert_eq!(hash_bytes(&fs::read(scene.path(0)).unwrap(), 65536).unwrap(), scene.expected());
    let stopped = hash_extents(&extents, 65536, &AtomicBool::new(true));
    assert!(matches!(stopped, Err(PiecesError::Cancelled)));
}

#[test]
fn a_raised_flag_stops_hashing_and_checking() {
    let scene = Scene::new(TorrentKind::V1, &[300_000], 65536);
    let (progress, cancelled) = (AtomicU64::new(0), AtomicBool::new(true));
    let options = PassOptions { threads: 2, progress: &progress, cancelled: &cancelled, pace: None };
    let hashed = hash_files(&scene.geometry, scene.kind, &scene.paths, false, options);
    assert!(matches!(hashed, Err(PiecesError::Cancelled)));
    let checked = check_files(&scene.geometry, scene.expected(), &scene.paths, false, options);
    assert!(matches!(checked, Err(PiecesError::Cancelled)));
}

#[test]
fn a_torrent_is_not_made_of_a_file_that_is_not_as_it_was_listed() {
    for (change, text) in [
        ((|path| fs::remove_file(path).unwrap()) as fn(&Path), "no such file"),
        (|path| fs::write(path, [1; 9]).unwrap(), "only 9 bytes long"),
        (|path| fs::write(path, [1; 9_000]).unwrap(), "too long"),
        (|path| fs::remove_file(path).and_then(|()| fs::create_dir(path)).unwrap(), "not a plain file"),
    ] {
        let scene = Scene::new(TorrentKind::V1, &[100, 5000, 3], 65536);
        change(&scene.path(1));
        let error = scene.hash(1).unwrap_err();
        assert_eq!(error.code(), "ERR_IO");
        assert!(error.to_string().contains(text), "{error}");
        assert!(error.to_string().contains(scene.path(1).to_str().unwrap()), "{error}");
    }
}

#[test]
fn a_file_that_changes_while_it_is_hashed_makes_no_torrent() {
    let scene = Scene::new(TorrentKind::Hybrid, &[64 << 20], 1 << 20);
    let progress = AtomicU64::new(0);
    let options = PassOptions { threads: 1, progress: &progress, cancelled: &NEVER, pace: None };
    let error = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            while progress.load(Ordering::Relaxed) == 0 {
                std::thread::yield_now();
            }
            // Of the same length: only its time tells.
            let file = fs::File::options().write(true).open(scene.path(0)).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, &[9], 0).unwrap();
        });
        let error = hash_files(&scene.geometry, scene.kind, &scene.paths, false, options).unwrap_err();
        writer.join().unwrap();
        error
    });
    assert_eq!(error.code(), "ERR_IO");
    assert!(error.to_string().contains("changed while it was read"), "{error}");
}

#[test]
fn a_missing_file_spoils_its_pieces_and_leaves_its_neighbours_unproven() {
    let scene = Scene::new(TorrentKind::V1, &[100_000, 10, 100_000], 65536);
    fs::remove_file(scene.path(1)).unwrap();
    let report = scene.check(scene.expected());
    assert_eq!(report.faults.get(&1), Some(&FileFault::Missing));
    assert_eq!(
        report.damage,
        [
            damaged(0, 65536..100_000, DamageReason::Unproven),
            damaged(1, 0..10, DamageReason::Missing),
            damaged(2, 0..31_062, DamageReason::Unproven),
        ]
    );
    assert_eq!(report.good_pieces, 3);
}

#[test]
fn a_longer_file_is_told_though_its_pieces_are_right() {
    let scene = Scene::new(TorrentKind::V2, &[100_000], 65536);
    let mut content = fs::read(scene.path(0)).unwrap();
    content.push(7);
    fs::write(scene.path(0), content).unwrap();
    let report = scene.check(scene.expected());
    assert_eq!((report.good_pieces, report.damage.len()), (2, 0));
    assert_eq!(report.faults.get(&0), Some(&FileFault::Long(100_001)));
}

#[test]
fn a_fifo_in_the_place_of_a_file_is_not_waited_for() {
    let scene = Scene::new(TorrentKind::V2, &[100_000, 5], 65536);
    fs::remove_file(scene.path(1)).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        scene.path(1),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let report = scene.check(scene.expected());
    assert_eq!(report.faults.get(&1), Some(&FileFault::NotAFile));
    assert_eq!(report.damage, [damaged(1, 0..5, DamageReason::Missing)]);
}

#[test]
fn a_torrent_that_contradicts_itself_does_not_blame_the_data() {
    let scene = Scene::new(TorrentKind::Hybrid, &[200_000], 65536);
    let mut hashes = scene.expected();
    hashes.v1.as_mut().unwrap()[20] ^= 1;
    let report = scene.check(hashes);
    assert_eq!(report.damage, [damaged(0, 65536..131_072, DamageReason::Contradiction)]);
}

#[test]
fn what_was_never_written_is_told_as_holes() {
    let scene = Scene::new(TorrentKind::V1, &[1 << 20], 65536);
    let expected = scene.expected();
    let file = fs::File::create(scene.path(0)).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes(1 << 20, 1)[..65536], 0).unwrap();
    file.set_len(1 << 20).unwrap();
    let report = scene.check(expected);
    assert_eq!(report.good_pieces, 1);
    let [found] = &report.damage[..] else { unreachable!("{report:?}") };
    assert_eq!((&found.range, found.reason), (&(65536..1 << 20), DamageReason::Wrong));
    // A file system without holes says 0.
    assert!([0, (1 << 20) - 65536].contains(&found.hole_bytes), "{report:?}");
}

#[test]
fn thousands_of_tiny_files_are_hashed_with_few_of_them_open() {
    let lengths: Vec<u64> = (0..3000).map(|n| n % 700).collect();
    for kind in [TorrentKind::V1, TorrentKind::V2] {
        let scene = Scene::new(kind, &lengths, 65536);
        assert_eq!(scene.hash(4).unwrap(), scene.expected());
    }
}

/// Whether the page of an offset is in memory.
fn is_cached(file: &fs::File, offset: u64) -> bool {
    let flags = rustix::io::ReadWriteFlags::NOWAIT;
    rustix::io::preadv2(file, &mut [std::io::IoSliceMut::new(&mut [0])], offset, flags).is_ok()
}

#[test]
fn uncached_hashing_leaves_in_memory_what_was_there_and_nothing_else() {
    let scene = Scene::new(TorrentKind::V1, &[24 << 20], 1 << 20);
    let file = fs::File::open(scene.path(0)).unwrap();
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    let offsets: Vec<u64> = (0..24).map(|mebibyte| (mebibyte << 20) + 4096).collect();
    if offsets.iter().rev().any(|offset| is_cached(&file, *offset)) {
        return; // This file system keeps its files in memory.
    }
    let warm = 4 << 20..8 << 20;
    let length = std::num::NonZeroU64::new(warm.end - warm.start);
    rustix::fs::fadvise(&file, warm.start, length, rustix::fs::Advice::Random).unwrap();
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut vec![0; 4 << 20], warm.start).unwrap();
    assert_eq!(scene.hash(2).unwrap(), scene.expected());
    for offset in offsets.into_iter().rev() {
        assert_eq!(is_cached(&file, offset), warm.contains(&offset), "at {offset}");
    }
}
