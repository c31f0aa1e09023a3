//! How far the bytes in files of others are believed: what nobody has hashed yet is hashed before it is served.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::{Backing, Store};
use crate::fault::{Fault, FaultKind};
use crate::{Bitmap, Extents, FileId, PieceIndex};

/// Locks between readers that want to hash: the same piece is not hashed twice.
const CHECKS: usize = 16;

/// What is not known of servable pieces, and what is known of others.
pub(super) struct Trust {
    /// Servable, and not hashed since their files came or were last written to.
    assumed: Bitmap,
    /// Hashed and found wrong.
    damaged: Bitmap,
    /// How often the files under a damaged piece had changed by then.
    damaged_at: Mutex<BTreeMap<u32, u64>>,
    /// In files of ours in place of those of others.
    mended: Bitmap,
    checks: [Mutex<()>; CHECKS],
    /// [`crate::Files::changes`] as of the last look.
    changes: AtomicU64,
    /// Of each file, likewise.
    changes_of: Mutex<BTreeMap<FileId, u64>>,
}

/// Where bytes of a torrent lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PiecePlace {
    /// The file.
    pub path: std::path::PathBuf,
    /// Where in it.
    pub offset: u64,
}

impl Trust {
    pub(super) fn new(pieces: u32, extents: &Extents) -> Self {
        let files = extents.files();
        let changes = AtomicU64::new(files.changes());
        let of_file = |file: FileId| (file, files.changes_of(file));
        let changes_of = Mutex::new(extents.runs().filter_map(|run| run.file).map(of_file).collect());
        let checks = std::array::from_fn(|_| Mutex::default());
        let [assumed, damaged, mended] = std::array::from_fn(|_| Bitmap::new(pieces));
        Self { assumed, damaged, damaged_at: Mutex::default(), mended, checks, changes, changes_of }
    }
}

impl Store {
    /// Looks which files are there and long enough. On their word the pieces in them are servable from now on, unless
    /// something is known against one since its files were last written to: each is hashed before a byte of it is read out. Others are not any more. How many
    /// came and went. Blocks: call on a worker.
    pub fn survey(&self) -> (u32, u32) {
        let backing = self.backing();
        let mut lengths: BTreeMap<FileId, u64> = BTreeMap::new();
        let mut fits = vec![true; self.geometry.piece_count() as usize];
        let mut start = 0;
        for run in backing.extents.runs() {
            let range = start..start + run.length;
            start = range.end;
            let Some(file) = run.file else { continue };
            let length = lengths.entry(file).or_insert_with(|| backing.extents.files().length_now(file));
            if *length >= run.offset + run.length {
                continue;
            }
            let whole = length.saturating_sub(run.offset);
            for piece in self.geometry.pieces_in(&(range.start + whole..range.end)) {
                fits.get_mut(piece as usize).into_iter().for_each(|fits| *fits = false);
            }
        }
        self.doubt_changed();
        self.pardon_changed(&backing);
        let (mut came, mut went) = (0, 0);
        for (piece, fits) in (0..self.geometry.piece_count()).zip(fits) {
            match (fits, self.servable.get(piece)) {
                (true, false) if !self.trust.damaged.get(piece) => {
                    self.trust.assumed.set(piece);
                    self.servable.set(piece);
                    came += 1;
                }
                (false, true) => {
                    self.withdraw(piece);
                    went += 1;
                }
                _ => {}
            }
        }
        (came, went)
    }

    /// Pieces that are servable though nobody has hashed them since their files came or were last written to.
    pub fn assumed(&self) -> &Bitmap {
        &self.trust.assumed
    }

    /// Pieces that were hashed and found wrong, and are not had otherwise.
    pub fn damaged(&self) -> &Bitmap {
        &self.trust.damaged
    }

    /// Where a piece begins.
    pub fn place_of(&self, piece: PieceIndex) -> Option<PiecePlace> {
        place_of(&self.backing().extents, self.geometry.piece_offset(piece))
    }

    /// A piece is in a file of ours from now on.
    pub(super) fn trust_nothing(&self, piece: PieceIndex) {
        self.trust.mended.set(piece.get());
        self.trust.assumed.set(piece.get());
        self.trust.damaged.clear(piece.get());
    }

    /// A piece is right where it lies.
    pub(super) fn believe(&self, piece: PieceIndex) {
        self.trust.damaged.clear(piece.get());
        self.servable.set(piece.get());
        self.trust.assumed.clear(piece.get());
    }

    /// All bytes in files of others are right where they lie.
    pub(super) fn believe_others(&self) {
        self.geometry
            .pieces()
            .filter(|piece| !self.trust.mended.get(piece.get()))
            .for_each(|piece| self.believe(piece));
    }

    /// A piece that was servable is wrong where it lies.
    pub(super) fn disbelieve(&self, backing: &Arc<Backing>, piece: PieceIndex) {
        self.withdraw(piece.get());
        self.forget_hot();
        if backing.writable {
            return;
        }
        let at = changes_in(&backing.extents, &self.range_of(piece));
        self.trust.damaged_at.lock().insert(piece.get(), at);
        self.trust.damaged.set(piece.get());
        let place = place_of(&backing.extents, self.geometry.piece_offset(piece));
        let (path, offset) = place.map(|place| (place.path, place.offset)).unzip();
        let (shown, at) = (path.clone().unwrap_or_default(), offset.unwrap_or_default());
        let message = format!("{}: not the bytes that were there, at or behind {at}", shown.display());
        self.note(Fault { kind: FaultKind::Damaged, path, message });
    }

    /// A piece is not had any more.
    pub(super) fn withdraw(&self, piece: u32) {
        // In this order: who sees a piece that is not assumed any more must not find it servable.
        self.servable.clear(piece);
        self.trust.assumed.clear(piece);
    }

    /// Whether some of the range was not hashed since its files came or were last written to.
    pub(super) fn is_assumed(&self, range: &Range<u64>) -> bool {
        self.doubt_changed();
        let assumed = &self.trust.assumed;
        assumed.count() > 0 && self.geometry.pieces_in(range).any(|piece| assumed.get(piece))
    }

    /// Hashes what of the range is only assumed; `NotFound` when it is wrong.
    pub(super) fn check_assumed(&self, range: &Range<u64>) -> io::Result<()> {
        self.doubt_changed();
        if self.trust.assumed.count() == 0 {
            return Ok(());
        }
        for piece in self.geometry.pieces_in(range).filter_map(|piece| self.geometry.piece(piece)) {
            let lock = self.trust.checks.get(piece.get() as usize % CHECKS);
            let _one = lock.map(Mutex::lock);
            // Another reader may have been quicker.
            if self.trust.assumed.get(piece.get()) && !self.verify_piece(piece)? {
                return Err(io::Error::new(io::ErrorKind::NotFound, "a piece that is not servable"));
            }
        }
        Ok(())
    }

    fn range_of(&self, piece: PieceIndex) -> Range<u64> {
        let start = self.geometry.piece_offset(piece);
        start..start + u64::from(self.geometry.piece_bytes(piece))
    }

    /// Holds nothing against pieces any more whose files were written to since.
    fn pardon_changed(&self, backing: &Backing) {
        self.trust.damaged_at.lock().retain(|piece, at| {
            let range = self.geometry.piece(*piece).map(|piece| self.range_of(piece));
            let is_same = range.is_some_and(|range| changes_in(&backing.extents, &range) == *at);
            if !is_same {
                self.trust.damaged.clear(*piece);
            }
            is_same
        });
    }

    /// Takes note of files of others that were written to: what lies in them is to be hashed again.
    fn doubt_changed(&self) {
        let trust = &self.trust;
        let backing = self.backing.read();
        let files = backing.extents.files();
        let changes = files.changes();
        if backing.writable || trust.changes.load(Ordering::Acquire) == changes {
            return;
        }
        let mut changes_of = trust.changes_of.lock();
        for (file, was) in changes_of.iter_mut() {
            let now = files.changes_of(*file);
            if std::mem::replace(was, now) == now {
                continue;
            }
            for range in backing.extents.ranges_of(*file) {
                for piece in self.geometry.pieces_in(&range).filter(|piece| self.servable.get(*piece)) {
                    trust.assumed.set(piece);
                }
            }
        }
        // Not before: another reader must not pass by what is not marked yet.
        trust.changes.store(changes, Ordering::Release);
    }

    /// Notes that bytes lie in one more file.
    pub(super) fn watch_file(&self, extents: &Extents, file: FileId) {
        self.trust.changes_of.lock().insert(file, extents.files().changes_of(file));
    }
}

/// How often the files under a range have changed, all together.
fn changes_in(extents: &Extents, range: &Range<u64>) -> u64 {
    let mut start = 0;
    let touched = extents.runs().filter_map(|run| {
        let end = start + run.length;
        let touches = start < range.end && range.start < end;
        start = end;
        run.file.filter(|_| touches)
    });
    touched.map(|file| extents.files().changes_of(file)).sum()
}

fn place_of(extents: &Extents, offset: u64) -> Option<PiecePlace> {
    let mut start = 0;
    let run = extents.runs().find_map(|run| {
        let at = offset.checked_sub(start).filter(|at| *at < run.length);
        start += run.length;
        Some((run.file?, run.offset + at?))
    });
    let (file, offset) = run?;
    Some(PiecePlace { path: extents.files().path(file)?, offset })
}
