//! Good pieces on their way to their files.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{Backing, Store, SyncPolicy};
use crate::hashes;
use crate::merkle::Hash;
use crate::piece_bytes::PieceBytes;
use crate::write_behind::Run;
use crate::{PieceIndex, PiecesError};

impl Store {
    /// Makes a good piece servable: written through, or kept to be written with its neighbours.
    pub(super) fn keep(&self, piece: PieceIndex, bytes: PieceBytes, root: Option<Hash>) -> io::Result<()> {
        let backing = self.backing();
        if backing.overlay.is_some() {
            return self.lay_over(piece, &bytes);
        }
        let is_through = self.unwritten.is_off();
        if is_through {
            let written = backing.write(self.geometry.piece_offset(piece), &[&bytes]);
            written.inspect_err(|error| self.note_failed_write(&backing, error))?;
        }
        // Held until the bit is set: a move now would put it over bytes that nobody has looked at.
        let current = self.backing.read();
        if !current.writable || !Arc::ptr_eq(&current, &backing) {
            return Err(left());
        }
        if !self.keep_root(piece, root) {
            let error = hashes::contradiction();
            self.note_fault(&error);
            return Err(error);
        }
        if !is_through {
            self.unwritten.insert(piece.get(), bytes);
        }
        self.servable.set(piece.get());
        Ok(())
    }

    /// Writes what waits, when it is much or its memory is wanted for pieces in assembly. Blocks: call on a worker.
    pub fn write_due(&self) {
        if self.unwritten.is_due(self.budget.read().is_tight()) {
            // The pieces themselves are good: what cannot be written is a fault, told once for all that waited.
            let _ = self.write_out(Duration::ZERO);
        }
    }

    /// Whether good pieces wait in memory to be written.
    pub fn has_unwritten(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// Writes what waits, if some of it has waited for `age`, and syncs as the policy says. What cannot be written is
    /// not servable any more, and a [`crate::Fault`]. Blocks: call on a worker.
    pub fn flush_older_than(&self, age: Duration) -> Result<(), PiecesError> {
        let any = self.write_out(age)?;
        if any && self.sync == SyncPolicy::OnFlush { self.sync() } else { Ok(()) }
    }

    /// [`Self::flush_older_than`] for all that waits; waits for what others write too, and syncs all of it.
    pub fn flush(&self) -> Result<(), PiecesError> {
        let written = self.write_out(Duration::ZERO);
        self.unwritten.settle();
        written?;
        if self.sync == SyncPolicy::OnFlush { self.sync() } else { Ok(()) }
    }

    /// Waits until all that was written to the files is on the medium. A file that fails takes its pieces along.
    pub fn sync(&self) -> Result<(), PiecesError> {
        let backing = self.backing();
        if !backing.writable {
            return Ok(());
        }
        let Err(errors) = backing.extents.files().sync() else { return Ok(()) };
        for error in &errors {
            self.lose_file(&backing, error);
        }
        Err(errors.into_iter().next().unwrap_or_else(|| io::ErrorKind::Other.into()).into())
    }

    /// Writes and syncs what waits, and says which pieces are wholly on the medium (a BEP 3 bitfield): what may be
    /// remembered over a crash. Blocks: call on a worker.
    pub fn checkpoint(&self) -> Result<Vec<u8>, PiecesError> {
        // What cannot be written is a fault, and not in the answer.
        let _ = self.write_out(Duration::ZERO);
        self.unwritten.settle();
        // Before the sync: what is written during it may not be on the medium after it.
        let mut written = self.unwritten.written(|| self.servable.to_bytes());
        self.sync()?;
        // A piece lost meanwhile stays lost.
        for (bits, servable) in written.iter_mut().zip(self.servable.to_bytes()) {
            *bits &= servable;
        }
        Ok(written)
    }

    /// Writes what waits; whether there was anything. The error is the first of several.
    fn write_out(&self, age: Duration) -> io::Result<bool> {
        let runs = self.unwritten.take(age);
        let any = !runs.is_empty();
        let failed: Vec<io::Error> = runs.iter().flat_map(|run| self.write_run(run)).collect();
        failed.into_iter().next().map_or(Ok(any), Err)
    }

    /// Writes neighbours at once, and when that fails each alone: only what cannot be written is lost.
    fn write_run(&self, run: &Run) -> Vec<io::Error> {
        let backing = self.backing();
        let pieces: Vec<&PieceBytes> = run.pieces.iter().map(|bytes| &**bytes).collect();
        let offset = |n: u32| u64::from(n) * u64::from(self.geometry.piece_length());
        if backing.write(offset(run.first), &pieces).is_ok() {
            self.unwritten.forget(run.numbers());
            return Vec::new();
        }
        let mut failed = Vec::new();
        for (n, piece) in run.numbers().zip(pieces) {
            match backing.write(offset(n), &[piece]) {
                // After a move the bytes are elsewhere, and whole.
                Err(error) if self.is_current(&backing) => {
                    self.unwritten.lose(n, &self.servable);
                    self.note_failed_write(&backing, &error);
                    failed.push(error);
                }
                _ => self.unwritten.forget(n..n.saturating_add(1)),
            }
        }
        failed
    }

    fn is_current(&self, backing: &Arc<Backing>) -> bool {
        Arc::ptr_eq(&self.backing.read(), backing)
    }

    fn note_failed_write(&self, backing: &Arc<Backing>, error: &io::Error) {
        if backing.writable && self.is_current(backing) {
            self.note_fault(error);
        }
    }
}

fn left() -> io::Error {
    io::Error::other("the store has left its own files")
}

impl Backing {
    /// Writes whole pieces end to end.
    fn write(&self, offset: u64, pieces: &[&PieceBytes]) -> io::Result<()> {
        if !self.writable {
            return Err(left());
        }
        let portions: Vec<&[u8]> =
            pieces.iter().flat_map(|piece| piece.portions()).map(|portion| &**portion).collect();
        self.extents.write_all_at(offset, &portions)
    }
}
