//! Pieces taken from files that hold the same bytes, instead of from peers.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Store;
use crate::{BLOCK_BYTES, Extents, PieceIndex, PieceOutcome, PiecesError};

/// Pieces judged together: SHA-1 takes them in lock step.
const TOGETHER: usize = 4;

impl Store {
    /// Copies those of the pieces `[pieces.start, pieces.end)` that are not servable from `source`, which holds the same
    /// torrent elsewhere. Each is hashed as it was read and only then written; one that is not right ends the copy
    /// (`InvalidData`). Blocks: call on a worker.
    pub fn fill_from(
        &self,
        source: &Extents,
        pieces: Range<u32>,
        cancelled: &AtomicBool,
    ) -> Result<(), PiecesError> {
        let missing = pieces.filter_map(|n| self.geometry.piece(n));
        let missing: Vec<PieceIndex> = missing.filter(|piece| !self.servable.get(piece.get())).collect();
        let mut buffer = Vec::new();
        for batch in missing.chunks(TOGETHER) {
            for piece in batch {
                if cancelled.load(Ordering::Relaxed) {
                    return Err(PiecesError::Cancelled);
                }
                buffer.resize(self.geometry.piece_bytes(*piece) as usize, 0);
                source.read_exact_at(self.geometry.piece_offset(*piece), &mut buffer)?;
                let blocks = self.wanted_blocks(*piece, 0..u32::MAX);
                for block in blocks.map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))? {
                    let begin = block * BLOCK_BYTES;
                    let length = self.geometry.block_bytes(*piece, block);
                    let data = buffer.get(begin as usize..(begin + length) as usize).unwrap_or_default();
                    self.write_block(*piece, begin, data, 0);
                }
            }
            let together: Vec<_> = batch.iter().map(|piece| (self, *piece)).collect();
            for verdict in Self::finish_together(&together).into_iter().flatten() {
                match verdict.outcome {
                    PieceOutcome::Good => {}
                    PieceOutcome::Io(error) => return Err(error.into()),
                    PieceOutcome::Bad | PieceOutcome::Blamed => {
                        let text = format!("piece {} is not what it was hashed to", verdict.piece.get());
                        return Err(io::Error::new(io::ErrorKind::InvalidData, text).into());
                    }
                }
            }
            self.write_due();
        }
        Ok(())
    }
}
