//! Small torrents of many files, and their bytes.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use blockswarm_pieces::{
    BLOCK_BYTES, BlockWrite, FileEntry, FileHashes, FolderLayout, Geometry, PieceHashes, PieceIndex,
    PieceOutcome, PiecesError, RelativePath, Store, StoreOptions, layer_root, piece_root,
};
use sha1::{Digest, Sha1};

pub static NEVER: AtomicBool = AtomicBool::new(false);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1,
    Hybrid,
    V2,
}

/// A torrent and its bytes, gaps and padding as zeros.
#[derive(Clone, Debug)]
pub struct Torrent {
    pub geometry: Geometry,
    pub hashes: PieceHashes,
    pub flat: Vec<u8>,
}

impl Torrent {
    pub fn new(version: Version, lengths: &[u64], piece_length: u32) -> Self {
        let plain: Vec<FileEntry> =
            lengths.iter().map(|length| FileEntry { length: *length, padding: false }).collect();
        let padded = |entry: &FileEntry| {
            let rest = entry.length.next_multiple_of(u64::from(piece_length)) - entry.length;
            [*entry, FileEntry { length: rest, padding: true }]
        };
        let geometry = match version {
            Version::V1 => Geometry::v1(&plain, piece_length),
            Version::V2 => Geometry::v2(lengths, piece_length),
            Version::Hybrid => {
                Geometry::hybrid(&plain.iter().flat_map(padded).collect::<Vec<_>>(), piece_length)
            }
        };
        Self::of(geometry.unwrap(), version)
    }

    /// Bytes and hashes for a geometry.
    pub fn of(geometry: Geometry, version: Version) -> Self {
        let mut flat = vec![0; geometry.length() as usize];
        for (n, file) in geometry.files().iter().enumerate() {
            for (at, byte) in flat[file.start as usize..file.end() as usize].iter_mut().enumerate() {
                *byte = (at / 3 + at / 4096 + n * 7) as u8 | 1;
            }
        }
        Self { hashes: Self::hashed(&geometry, &flat, version), geometry, flat }
    }

    /// The hashes of other bytes.
    pub fn hashed(geometry: &Geometry, flat: &[u8], version: Version) -> PieceHashes {
        let bytes = |piece: PieceIndex, count: u32| {
            let start = geometry.piece_offset(piece) as usize;
            &flat[start..start + count as usize]
        };
        let sha1 = |piece| Sha1::digest(bytes(piece, geometry.piece_bytes(piece)));
        let v1 = (version != Version::V2).then(|| geometry.pieces().flat_map(sha1).collect());
        let root = |n: u32| {
            let piece = geometry.piece(n).unwrap();
            piece_root(bytes(piece, geometry.content_bytes(piece)), geometry, piece)
        };
        let of_file = |n: usize| {
            let layer: Vec<u8> = geometry.pieces_of(n).flat_map(root).collect();
            match <[u8; 32]>::try_from(&layer[..]) {
                Ok(root) => FileHashes { root, layer: None },
                Err(_) => {
                    FileHashes { root: layer_root(&layer, geometry.piece_length()), layer: Some(layer) }
                }
            }
        };
        let v2 = (version != Version::V1).then(|| (0..geometry.files().len()).map(of_file).collect());
        PieceHashes { v1, v2 }
    }

    pub fn open(&self, root: &Path, options: &StoreOptions) -> Result<Arc<Store>, PiecesError> {
        let layout = FolderLayout { files: names(self.geometry.files().len()), ..FolderLayout::default() };
        Store::open_folder(self.geometry.clone(), self.hashes.clone(), root, layout, options)
    }

    /// Puts all wanted blocks of a piece.
    pub fn put(&self, store: &Store, n: u32) -> PieceOutcome {
        let piece = self.geometry.piece(n).unwrap();
        for block in store.wanted_blocks(piece, 0..u32::MAX).unwrap() {
            let begin = block * BLOCK_BYTES;
            let start = (self.geometry.piece_offset(piece) + u64::from(begin)) as usize;
            let data = &self.flat[start..start + self.geometry.block_bytes(piece, block) as usize];
            if store.write_block(piece, begin, data, 1) == BlockWrite::Hashable {
                store.hash_arrived(piece);
            }
        }
        store.finish_piece(piece).unwrap().outcome
    }

    pub fn put_all(&self, store: &Store) {
        for n in 0..self.geometry.piece_count() {
            if !store.servable().get(n) {
                assert!(matches!(self.put(store, n), PieceOutcome::Good));
            }
        }
    }

    /// The bytes of the piece as peers are served them.
    pub fn piece(&self, n: u32) -> &[u8] {
        let piece = self.geometry.piece(n).unwrap();
        let start = self.geometry.piece_offset(piece) as usize;
        &self.flat[start..start + self.geometry.piece_bytes(piece) as usize]
    }

    pub fn check_files(&self, root: &Path) {
        for (span, name) in self.geometry.files().iter().zip(names(self.geometry.files().len())) {
            let on_disk = fs::read(root.join(name.as_path())).unwrap();
            assert!(on_disk == self.flat[span.start as usize..span.end() as usize], "{name:?}");
        }
    }
}

/// Paths for so many files: some in folders.
pub fn names(count: usize) -> Vec<RelativePath> {
    (0..count)
        .map(|n| match n % 3 {
            0 => RelativePath::new(&[format!("f{n}")]),
            1 => RelativePath::new(&["sub".to_owned(), format!("f{n}")]),
            _ => RelativePath::new(&["sub".to_owned(), "deep".to_owned(), format!("f{n}")]),
        })
        .map(Result::unwrap)
        .collect()
}

pub fn read(store: &Store, n: u32) -> std::io::Result<Vec<u8>> {
    let piece = store.geometry().piece(n).unwrap();
    let mut buffer = vec![0xaa; store.geometry().piece_bytes(piece) as usize];
    store.read_exact_at(store.geometry().piece_offset(piece), &mut buffer)?;
    Ok(buffer)
}

pub fn options(write_behind: u64) -> StoreOptions {
    StoreOptions { write_behind, open_files: 2, ..StoreOptions::default() }
}
