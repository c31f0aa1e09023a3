//! Pieces held against the torrent's hashes where they lie.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use parking_lot::Mutex;

use super::{Backing, Store};
use crate::hash_pass::{self, PieceDigests, PieceSink};
use crate::hashes::Judgement;
use crate::merkle;
use crate::{FileHashes, HashPace, PassOptions, PieceIndex, PiecesError};

impl Store {
    /// Hashes a piece where it lies, and marks it servable, or no longer servable. Blocks: call on a worker.
    /// False when it is wrong or not there yet; an error is a [`crate::Fault`] too.
    pub fn verify_piece(&self, piece: PieceIndex) -> io::Result<bool> {
        let only = piece.get()..piece.get() + 1;
        let options = PassOptions {
            // This thread will do for one piece.
            threads: 1,
            progress: &AtomicU64::new(0),
            cancelled: &AtomicBool::new(false),
            pace: None,
        };
        let verified = self.verify(only, |_| true, options).map_err(io::Error::other)?;
        verified.error.map_or(Ok(verified.good == 1), Err)
    }

    /// [`Self::verify_piece`] for a range of piece numbers, clipped to the torrent, on all cores; how many are right. A
    /// piece that cannot be read is not; the others are looked at all the same, and [`Self::fault`] says why.
    pub fn verify_pieces(&self, pieces: Range<u32>, cancelled: &AtomicBool) -> Result<u32, PiecesError> {
        Ok(self.verify(pieces, |_| true, all_cores(cancelled))?.good)
    }

    /// [`Self::verify_pieces`] in the background, on the threads and at the rate of `pace`.
    pub fn scrub(
        &self,
        pieces: Range<u32>,
        pace: &HashPace,
        cancelled: &AtomicBool,
    ) -> Result<u32, PiecesError> {
        let options = PassOptions {
            threads: pace.threads(),
            progress: &AtomicU64::new(0),
            cancelled,
            pace: Some(pace),
        };
        // What is missing is not looked for here.
        Ok(self.verify(pieces, |piece| self.servable.get(piece.get()), options)?.good)
    }

    fn verify(
        &self,
        pieces: Range<u32>,
        chosen: impl Fn(PieceIndex) -> bool,
        options: PassOptions<'_>,
    ) -> Result<Verified, PiecesError> {
        let pieces = pieces.start..pieces.end.min(self.geometry.piece_count());
        let backing = self.backing();
        let (mut verified, mut before) =
            (Verified::default(), vec![None; self.geometry.piece_count() as usize]);
        for piece in pieces.clone().filter_map(|n| self.geometry.piece(n)).filter(|piece| chosen(*piece)) {
            let was_servable = self.servable.get(piece.get());
            let (start, bytes) =
                (self.geometry.piece_offset(piece), u64::from(self.geometry.piece_bytes(piece)));
            if was_servable && self.unwritten.get(piece.get()).is_some() {
                // It was verified when it came; in its file it is not yet.
                verified.good += 1;
            } else if was_servable || !backing.writable || !backing.extents.is_hole(start, bytes) {
                // A new scratch file is one hole: hashing its zeros would take as long as hashing the torrent.
                if let Some(slot) = before.get_mut(piece.get() as usize) {
                    *slot = Some(was_servable);
                }
            }
        }
        let sink = Verifying { store: self, backing: &backing, before, verified: Mutex::new(verified) };
        let wanted = self.hashes.wanted();
        hash_pass::hash_pieces(&self.geometry, pieces, wanted, &backing.extents, &sink, options)?;
        Ok(sink.verified.into_inner())
    }

    /// Forgets the fault, looks at the files anew, and verifies the pieces that are not servable; how many are now. What
    /// still fails is a fault again.
    pub fn recheck(&self, cancelled: &AtomicBool) -> Result<u32, PiecesError> {
        self.clear_fault();
        self.verify(0..u32::MAX, |piece| !self.servable.get(piece.get()), all_cores(cancelled))?;
        Ok(self.servable.count())
    }

    /// Marks all pieces servable: the caller has just hashed the same extents with [`crate::hash_extents`]
    /// and found this torrent's hashes. What was repaired lies elsewhere, and is left as it is.
    pub fn set_servable_all(&self) {
        self.believe_others();
    }

    /// Whether the pieces of each file together have its pieces root. Needed only where a piece layer is not known
    /// (else it was checked when the store was made, and this is true at once). Blocks while it hashes the pieces that
    /// did not pass through this store. All pieces must be servable (`NotFound`).
    pub fn verify_root(&self, cancelled: &AtomicBool) -> Result<bool, PiecesError> {
        let (Some(late), Some(files)) = (&self.late, &self.hashes.v2) else { return Ok(true) };
        self.check_servable(0, self.geometry.length())?;
        let unknown = |piece: PieceIndex| late.found(piece).is_none();
        self.verify(0..u32::MAX, unknown, all_cores(cancelled))?;
        self.check_servable(0, self.geometry.length())?;
        let right = |(n, file): (usize, &FileHashes)| {
            let pieces =
                self.geometry.pieces_of(n).filter_map(|piece| late.found(self.geometry.piece(piece)?));
            let layer: Vec<u8> = pieces.flatten().collect();
            merkle::root_of_pieces(&layer, self.geometry.piece_length()) == file.root
        };
        Ok(files.iter().enumerate().all(right))
    }
}

static UNSEEN: AtomicU64 = AtomicU64::new(0);

fn all_cores(cancelled: &AtomicBool) -> PassOptions<'_> {
    PassOptions { threads: 0, progress: &UNSEEN, cancelled, pace: None }
}

/// What came of verifying.
#[derive(Default)]
struct Verified {
    good: u32,
    /// The first piece that could not be read.
    error: Option<io::Error>,
}

/// Judges pieces as they are hashed.
struct Verifying<'a> {
    store: &'a Store,
    backing: &'a Arc<Backing>,
    /// Of each piece that is to be hashed whether it was servable.
    before: Vec<Option<bool>>,
    verified: Mutex<Verified>,
}

impl Verifying<'_> {
    fn before(&self, piece: PieceIndex) -> Option<bool> {
        self.before.get(piece.get() as usize).copied().flatten()
    }
}

impl PieceSink for Verifying<'_> {
    fn wants(&self, piece: PieceIndex) -> bool {
        self.before(piece).is_some()
    }

    fn hashed(&self, piece: PieceIndex, digests: PieceDigests) {
        let store = self.store;
        let late = store.late_hash(piece);
        let is_good = store.hashes.judge_digests(&store.geometry, piece, late, digests) == Judgement::Good;
        // A piece that cannot be judged yet is, when its hash comes: maybe just now.
        let is_kept = (is_good || late.is_none()) && store.keep_root(piece, digests.v2);
        let came =
            || store.hashes.v1.is_none() && digests.v2.is_some() && store.late_hash(piece) == digests.v2;
        if is_kept && (is_good || came()) {
            store.believe(piece);
            self.verified.lock().good += 1;
        } else if self.before(piece) == Some(true) && !store.can_judge(piece) {
            // Taken over from an earlier run; it is judged when its hash comes.
            self.verified.lock().good += 1;
        } else if self.before(piece) == Some(true) {
            // Only then: a piece that was not may have come in while its old bytes were read.
            store.disbelieve(self.backing, piece);
        }
    }

    fn unread(&self, _piece: PieceIndex, error: io::Error) -> Result<(), PiecesError> {
        self.store.lose_file(self.backing, &error);
        self.verified.lock().error.get_or_insert(error);
        Ok(())
    }
}
