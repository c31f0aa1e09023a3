//! Pieces held against the torrent's hashes where they lie.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Backing, Store};
use crate::hasher::STEP_BYTES;
use crate::hashes::Judgement;
use crate::merkle;
use crate::{FileHashes, PieceIndex, PiecesError};

impl Store {
    /// Hashes a piece where it lies, and marks it servable, or no longer servable. Blocks: call on a worker.
    /// False when it is wrong or not there yet; an error is a [`crate::Fault`] too.
    pub fn verify_piece(&self, piece: PieceIndex) -> io::Result<bool> {
        let was_servable = self.servable.get(piece.get());
        // It was verified when it came; in its file it is not yet.
        if was_servable && self.unwritten.get(piece.get()).is_some() {
            return Ok(true);
        }
        let backing = self.backing();
        let start = self.geometry.piece_offset(piece);
        let bytes = u64::from(self.geometry.piece_bytes(piece));
        // A new scratch file is one hole: hashing its zeros would take as long as hashing the torrent.
        if !was_servable && backing.writable && backing.extents.is_hole(start, bytes) {
            return Ok(false);
        }
        let mut judge = self.hashes.judge(&self.geometry, piece);
        self.read_piece(&backing, piece, |step| judge.update(step))?;
        let (judgement, root) = judge.finish();
        let good = judgement == Judgement::Good;
        if good {
            self.keep_root(piece, root);
            self.servable.set(piece.get());
        } else if was_servable {
            // Only then: a piece that was not may have come in while this read its old bytes.
            self.servable.clear(piece.get());
            self.forget_hot();
        }
        Ok(good)
    }

    /// [`Self::verify_piece`] for a range of piece numbers, clipped to the torrent; how many are right. A piece that
    /// cannot be read is not; the others are looked at all the same, and [`Self::fault`] says why.
    pub fn verify_pieces(&self, pieces: Range<u32>, cancelled: &AtomicBool) -> Result<u32, PiecesError> {
        let mut good = 0;
        for piece in pieces.map_while(|n| self.geometry.piece(n)) {
            if cancelled.load(Ordering::Relaxed) {
                return Err(PiecesError::Cancelled);
            }
            good += u32::from(self.verify_piece(piece).unwrap_or(false));
        }
        Ok(good)
    }

    /// Forgets the fault, looks at the files anew, and verifies the pieces that are not servable; how many are now. What
    /// still fails is a fault again.
    pub fn recheck(&self, cancelled: &AtomicBool) -> Result<u32, PiecesError> {
        self.clear_fault();
        for piece in self.geometry.pieces().filter(|piece| !self.servable.get(piece.get())) {
            self.verify_pieces(piece.get()..piece.get() + 1, cancelled)?;
        }
        Ok(self.servable.count())
    }

    /// Marks all pieces servable: the caller has just hashed the same extents with [`crate::hash_extents`]
    /// and found this torrent's hashes.
    pub fn set_servable_all(&self) {
        self.geometry.pieces().for_each(|piece| {
            self.servable.set(piece.get());
        });
    }

    /// Whether the pieces of each file together have its pieces root. Needed only where a piece layer is not known
    /// (else it was checked when the store was made, and this is true at once). Blocks while it hashes the pieces that
    /// did not pass through this store. All pieces must be servable (`NotFound`).
    pub fn verify_root(&self, cancelled: &AtomicBool) -> Result<bool, PiecesError> {
        let (Some(roots), Some(files)) = (&self.roots, &self.hashes.v2) else { return Ok(true) };
        for piece in self.geometry.pieces() {
            if cancelled.load(Ordering::Relaxed) {
                return Err(PiecesError::Cancelled);
            }
            self.check_servable(self.geometry.piece_offset(piece), 1)?;
            if matches!(roots.lock().get(piece.get() as usize), Some(None)) {
                let mut judge = self.hashes.judge(&self.geometry, piece);
                self.read_piece(&self.backing(), piece, |step| judge.update(step))?;
                self.keep_root(piece, judge.finish().1);
            }
        }
        let roots = roots.lock();
        let right = |(n, file): (usize, &FileHashes)| {
            let pieces = self.geometry.pieces_of(n);
            let of_file = roots.get(pieces.start as usize..pieces.end as usize).unwrap_or_default();
            let layer: Vec<u8> = of_file.iter().flatten().flatten().copied().collect();
            merkle::root_of_pieces(&layer, self.geometry.piece_length()) == file.root
        };
        Ok(files.iter().enumerate().all(right))
    }

    /// Reads a piece from its file from the first byte to the last in steps, servable or not.
    fn read_piece(
        &self,
        backing: &Arc<Backing>,
        piece: PieceIndex,
        mut each: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        let mut offset = self.geometry.piece_offset(piece);
        let mut missing = self.geometry.piece_bytes(piece) as usize;
        let mut buffer = vec![0; missing.min(STEP_BYTES)];
        while missing > 0 {
            let step = buffer.split_at_mut(missing.min(STEP_BYTES)).0;
            if let Err(error) = backing.extents.read_exact_at(offset, step) {
                self.lose_file(backing, &error);
                return Err(error);
            }
            each(step);
            offset += step.len() as u64;
            missing -= step.len();
        }
        Ok(())
    }
}
