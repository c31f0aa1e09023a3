//! The hashes of a torrent that is being made.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::content_files::ContentFiles;
use crate::error::at_path;
use crate::hash_pass::{self, PieceDigests, PieceReader, PieceSink, PieceSource, Wanted};
use crate::merkle::{self, Hash};
use crate::{
    ContentPaths, Extents, FileHashes, Geometry, HashPace, PassOptions, PieceHashes, PieceIndex, PiecesError,
};

/// For what a torrent is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TorrentKind {
    /// BEP 3.
    V1,
    /// BEP 52.
    V2,
    /// Both at once.
    Hybrid,
}

impl TorrentKind {
    fn wanted(self) -> Wanted {
        Wanted { v1: self != Self::V2, v2: self != Self::V1 }
    }
}

/// Hashes files, one path for each entry of the torrent's list, on many threads. All have the length that the
/// geometry says and none changes meanwhile, or it is an error that names the file. `uncached`: pages that reading
/// brought into memory leave it again, those that were there before stay. Blocks for long: call it on a worker.
///
/// Memory: the hashes, and half a MiB and up to 32 open files for each thread.
pub fn hash_files(
    geometry: &Geometry,
    kind: TorrentKind,
    paths: &ContentPaths,
    uncached: bool,
    options: PassOptions<'_>,
) -> Result<PieceHashes, PiecesError> {
    let files = ContentFiles::new(geometry, paths, uncached);
    files.survey(options.cancelled)?;
    // Before hours of hashing, not after.
    if let Some((file, fault)) = files.faults().into_iter().next() {
        return Err(at_path(files.path(file), &io::Error::other(fault.to_string())).into());
    }
    collect(geometry, kind, &files, options)
}

/// Hashes one file that lies under `extents` as a hybrid torrent, on a thread for each core. Blocks for long: call
/// it on a worker.
pub fn hash_extents(
    extents: &Extents,
    piece_length: u32,
    cancelled: &AtomicBool,
) -> Result<PieceHashes, PiecesError> {
    hash_at_pace(extents, piece_length, None, cancelled)
}

/// [`hash_extents`] in the background, on the threads and at the rate of `pace`.
pub fn hash_extents_paced(
    extents: &Extents,
    piece_length: u32,
    pace: &HashPace,
    cancelled: &AtomicBool,
) -> Result<PieceHashes, PiecesError> {
    hash_at_pace(extents, piece_length, Some(pace), cancelled)
}

fn hash_at_pace(
    extents: &Extents,
    piece_length: u32,
    pace: Option<&HashPace>,
    cancelled: &AtomicBool,
) -> Result<PieceHashes, PiecesError> {
    let geometry = Geometry::new(extents.length(), piece_length)?;
    let threads = pace.map_or(0, HashPace::threads);
    let options = PassOptions { threads, progress: &AtomicU64::new(0), cancelled, pace };
    collect(&geometry, TorrentKind::Hybrid, extents, options)
}

/// [`hash_extents`] of what is in memory.
pub fn hash_bytes(data: &[u8], piece_length: u32) -> Result<PieceHashes, PiecesError> {
    let geometry = Geometry::new(data.len() as u64, piece_length)?;
    let (progress, cancelled) = (AtomicU64::new(0), AtomicBool::new(false));
    let options = PassOptions { threads: 1, progress: &progress, cancelled: &cancelled, pace: None };
    collect(&geometry, TorrentKind::Hybrid, &data, options)
}

fn collect(
    geometry: &Geometry,
    kind: TorrentKind,
    source: &dyn PieceSource,
    options: PassOptions<'_>,
) -> Result<PieceHashes, PiecesError> {
    let (wanted, count) = (kind.wanted(), geometry.piece_count() as usize);
    let rows = Rows {
        v1: Mutex::new(vec![[0; 20]; if wanted.v1 { count } else { 0 }]),
        v2: Mutex::new(vec![[0; 32]; if wanted.v2 { count } else { 0 }]),
    };
    hash_pass::hash_pieces(geometry, 0..geometry.piece_count(), wanted, source, &rows, options)?;
    // Halves of odd numbers may have got lost.
    options.progress.store(geometry.content_length(), Ordering::Relaxed);
    let roots = rows.v2.into_inner();
    let of_file = |file: usize| {
        let pieces = geometry.pieces_of(file);
        let layer = roots.get(pieces.start as usize..pieces.end as usize).unwrap_or_default().as_flattened();
        FileHashes {
            root: merkle::root_of_pieces(layer, geometry.piece_length()),
            layer: (pieces.len() > 1).then(|| layer.to_vec()),
        }
    };
    Ok(PieceHashes {
        v1: wanted.v1.then(|| rows.v1.into_inner().into_flattened()),
        v2: wanted.v2.then(|| (0..geometry.files().len()).map(of_file).collect()),
    })
}

/// The hashes of all pieces, as they come.
struct Rows {
    v1: Mutex<Vec<[u8; 20]>>,
    v2: Mutex<Vec<Hash>>,
}

impl PieceSink for Rows {
    fn hashed(&self, piece: PieceIndex, PieceDigests { v1, v2 }: PieceDigests) {
        let at = piece.get() as usize;
        if let (Some(hash), Some(slot)) = (v1, self.v1.lock().get_mut(at)) {
            *slot = hash;
        }
        if let (Some(root), Some(slot)) = (v2, self.v2.lock().get_mut(at)) {
            *slot = root;
        }
    }

    fn unread(&self, _piece: PieceIndex, error: io::Error) -> Result<(), PiecesError> {
        Err(error.into())
    }
}

impl PieceSource for Extents {
    fn reader(&self) -> Box<dyn PieceReader + '_> {
        Box::new(self)
    }
}

impl PieceReader for &Extents {
    fn read_exact_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        Extents::read_exact_at(self, offset, buffer)
    }
}

impl PieceSource for &[u8] {
    fn reader(&self) -> Box<dyn PieceReader + '_> {
        Box::new(*self)
    }
}

impl PieceReader for &[u8] {
    fn read_exact_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let from = self.get(offset as usize..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}
