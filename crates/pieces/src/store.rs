//! One torrent's bytes: what is servable, where it lies, and what is on its way in.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, IoSliceMut, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use crate::assembly::{Assembly, Received};
use crate::backing::Backing;
use crate::error::at_path;
use crate::hasher::STEP_BYTES;
use crate::hashes::{self, Judgement};
use crate::merkle::{self, Hash};
use crate::nowait::NowRead;
use crate::smart_ban::{self, Suspects};
use crate::{
    BLOCK_BYTES, Bitmap, BlockWrite, Budget, Extents, FileHashes, Geometry, OverBudget, PieceHashes,
    PieceIndex, PieceOutcome, PieceVerdict, PiecesError,
};

/// Bytes of pieces in assembly for a store that was given no budget of its own.
const DEFAULT_BUDGET_BYTES: u64 = 64 * 1024 * 1024;

/// One torrent's bytes. Thread-safe; shared by all links of the torrent.
///
/// Blocks come in by [`Self::wanted_blocks`] and [`Self::write_block`] (memory only, any thread), pieces
/// are judged and written by [`Self::finish_piece`] (a worker), and served by the two reads. A byte is read
/// out only when its piece was held against the torrent's hashes and is wholly in its file. Nothing is synced
/// to the medium: after a crash the pieces are verified again.
pub struct Store {
    geometry: Geometry,
    hashes: PieceHashes,
    servable: Bitmap,
    backing: RwLock<Backing>,
    /// Locked before an assembly's own lock and before `backing`, for look-ups only.
    assemblies: Mutex<HashMap<PieceIndex, Arc<Assembly>>>,
    budget: RwLock<Arc<Budget>>,
    suspects: Mutex<Suspects>,
    /// Roots of pieces as they pass, where the torrent came without its piece layer.
    roots: Option<Mutex<Vec<Option<Hash>>>>,
}

impl Store {
    /// A store over a flat read-write file, made sparse when missing and lengthened when shorter. A longer
    /// file is somebody's data ([`PiecesError::Scratch`]). Nothing is servable before [`Self::verify_piece`].
    pub fn open_scratch(
        geometry: Geometry,
        hashes: PieceHashes,
        path: &Path,
    ) -> Result<Arc<Self>, PiecesError> {
        let hashes = hashes.checked(&geometry)?;
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| at_path(path, &error))?;
        let found = file.metadata()?;
        if !found.is_file() || found.len() > geometry.length() {
            let (path, expected) = (path.to_owned(), geometry.length());
            return Err(PiecesError::Scratch { path, expected, got: found.len() });
        }
        file.set_len(geometry.length()).map_err(|error| at_path(path, &error))?;
        Ok(Self::new(geometry, hashes, Backing::Scratch(Arc::new(file), path.into())))
    }

    /// A read-only store over extents as long as the torrent. Nothing is servable
    /// before [`Self::verify_piece`] or [`Self::set_servable_all`].
    pub fn over_extents(
        geometry: Geometry,
        hashes: PieceHashes,
        extents: Extents,
    ) -> Result<Arc<Self>, PiecesError> {
        let hashes = hashes.checked(&geometry)?;
        check_length(&geometry, &extents)?;
        Ok(Self::new(geometry, hashes, Backing::Extents(extents)))
    }

    fn new(geometry: Geometry, hashes: PieceHashes, backing: Backing) -> Arc<Self> {
        let servable = Bitmap::new(geometry.piece_count());
        let roots =
            hashes.lacks_layer(&geometry).then(|| Mutex::new(vec![None; geometry.piece_count() as usize]));
        Arc::new(Self {
            geometry,
            hashes,
            servable,
            backing: RwLock::new(backing),
            assemblies: Mutex::default(),
            budget: RwLock::new(Budget::new(DEFAULT_BUDGET_BYTES)),
            suspects: Mutex::default(),
            roots,
        })
    }

    /// How the torrent is cut.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The torrent's hashes.
    pub fn hashes(&self) -> &PieceHashes {
        &self.hashes
    }

    /// The pieces that may be served.
    pub fn servable(&self) -> &Bitmap {
        &self.servable
    }

    /// Charges pieces that enter assembly from now on to `budget`, which many stores may share.
    pub fn set_budget(&self, budget: Arc<Budget>) {
        *self.budget.write() = budget;
    }

    /// Fills `buffer` from `offset`, waiting for the disk. A range beyond the end is `InvalidInput`, one
    /// that touches a piece not servable `NotFound`; a file cut short is an error too.
    pub fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.check_servable(offset, buffer.len() as u64)?;
        self.backing().read_exact_at(offset, buffer)
    }

    /// Fills `buffers` from `offset` if that needs no waiting for the disk; errors as in
    /// [`Self::read_exact_at`].
    pub fn read_now(&self, offset: u64, buffers: &mut [IoSliceMut<'_>]) -> io::Result<NowRead> {
        self.check_servable(offset, buffers.iter().map(|buffer| buffer.len() as u64).sum())?;
        self.backing().read_now(offset, buffers)
    }

    /// Serves from `extents` from now on, and lets go of the scratch file (which is not deleted). Reads on
    /// the way see the old bytes or the new, whole. The caller has made sure that they are the same.
    /// Pieces in assembly are abandoned and none enters it any more.
    pub fn move_to(&self, extents: Extents) -> Result<(), PiecesError> {
        check_length(&self.geometry, &extents)?;
        *self.backing.write() = Backing::Extents(extents);
        self.assemblies.lock().retain(|_, assembly| !assembly.abandon());
        Ok(())
    }

    /// Hashes a piece where it lies, and marks it servable, or no longer servable. Blocks: call on a worker.
    /// False when it is wrong or not there yet.
    pub fn verify_piece(&self, piece: PieceIndex) -> io::Result<bool> {
        let was_servable = self.servable.get(piece.get());
        let backing = self.backing();
        let start = self.geometry.piece_offset(piece);
        let range = start..start + u64::from(self.geometry.piece_bytes(piece));
        // A new scratch file is one hole: hashing its zeros would take as long as hashing the torrent.
        if !was_servable && backing.is_hole(&range) {
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
        }
        Ok(good)
    }

    /// [`Self::verify_piece`] for a range of piece numbers, clipped to the torrent; how many are right.
    pub fn verify_pieces(&self, pieces: Range<u32>, cancelled: &AtomicBool) -> Result<u32, PiecesError> {
        let mut good = 0;
        for piece in pieces.map_while(|n| self.geometry.piece(n)) {
            if cancelled.load(Ordering::Relaxed) {
                return Err(PiecesError::Cancelled);
            }
            good += u32::from(self.verify_piece(piece)?);
        }
        Ok(good)
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
        let backing = self.backing();
        for piece in self.geometry.pieces() {
            if cancelled.load(Ordering::Relaxed) {
                return Err(PiecesError::Cancelled);
            }
            self.check_servable(self.geometry.piece_offset(piece), 1)?;
            if matches!(roots.lock().get(piece.get() as usize), Some(None)) {
                let mut judge = self.hashes.judge(&self.geometry, piece);
                self.read_piece(&backing, piece, |step| judge.update(step))?;
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

    /// The blocks of `[blocks.start, blocks.end)` that have not arrived; none when the piece is servable, being
    /// judged, or the store is read-only. The first call for a piece takes its buffer from the budget.
    pub fn wanted_blocks(&self, piece: PieceIndex, blocks: Range<u32>) -> Result<Vec<u32>, OverBudget> {
        let end = blocks.end.min(self.geometry.block_count(piece));
        if blocks.start >= end {
            return Ok(Vec::new());
        }
        let mut assemblies = self.assemblies.lock();
        // Under the lock: a piece turns servable before it leaves the table.
        if self.servable.get(piece.get()) || !self.backing.read().is_scratch() {
            return Ok(Vec::new());
        }
        let assembly = if let Some(assembly) = assemblies.get(&piece) {
            Arc::clone(assembly)
        } else {
            let fresh = Arc::new(Assembly::new(&self.geometry, piece, &self.budget.read())?);
            assemblies.insert(piece, Arc::clone(&fresh));
            fresh
        };
        drop(assemblies);
        Ok(assembly.wanted(blocks.start, end))
    }

    /// Keeps one whole block of a piece in assembly, in memory. `begin` is its offset in the piece, `from` a
    /// number for its sender.
    pub fn write_block(&self, piece: PieceIndex, begin: u32, data: &[u8], from: u64) -> BlockWrite {
        let block = begin / BLOCK_BYTES;
        let whole = data.len() == self.geometry.block_bytes(piece, block) as usize;
        if !begin.is_multiple_of(BLOCK_BYTES) || !whole || data.is_empty() {
            return BlockWrite::NotWanted;
        }
        let assembly = self.assemblies.lock().get(&piece).map(Arc::clone);
        match assembly {
            Some(assembly) => assembly.write(block, data, from),
            None if self.servable.get(piece.get()) => BlockWrite::Duplicate,
            None => BlockWrite::NotWanted,
        }
    }

    /// Judges a piece whose last block has landed, writes a good one to disk and only then marks it
    /// servable. Blocks: call on a worker; no lock is held meanwhile. `None` when the piece is not complete
    /// or was taken already. After any other outcome than `Good` the piece can be fetched anew.
    pub fn finish_piece(&self, piece: PieceIndex) -> Option<PieceVerdict> {
        let assembly = self.assemblies.lock().get(&piece).map(Arc::clone)?;
        let received = assembly.take()?;
        let mut judge = self.hashes.judge(&self.geometry, piece);
        judge.update(&received.data);
        let (judgement, root) = judge.finish();
        let (outcome, culprits) = match judgement {
            Judgement::Good => {
                let culprits = self.convict(piece, &received);
                let outcome = match self.keep(piece, &received.data, root) {
                    Ok(()) => PieceOutcome::Good,
                    Err(error) => PieceOutcome::Io(error),
                };
                (outcome, culprits)
            }
            Judgement::Bad => (PieceOutcome::Bad, self.suspect(piece, &received)),
            Judgement::Contradiction => (PieceOutcome::Io(hashes::contradiction()), Vec::new()),
        };
        self.assemblies.lock().remove(&piece);
        Some(PieceVerdict { piece, outcome, senders: smart_ban::distinct(received.senders), culprits })
    }

    /// Forgets the blocks of a piece in assembly and gives its memory back. A piece whose last block has
    /// landed stays: [`Self::finish_piece`] is on its way.
    pub fn abandon_piece(&self, piece: PieceIndex) {
        let mut assemblies = self.assemblies.lock();
        if assemblies.get(&piece).is_some_and(|assembly| assembly.abandon()) {
            assemblies.remove(&piece);
        }
    }

    /// [`Self::abandon_piece`] for all pieces to which no block has come for `idle`: those whose peers are gone
    /// would hold the budget for ever.
    pub fn abandon_idle(&self, idle: Duration) {
        self.assemblies.lock().retain(|_, assembly| !(assembly.is_idle(idle) && assembly.abandon()));
    }

    /// Writes the whole contents to a new file, which appears at `path` only when it is whole and on disk.
    /// An existing file is `AlreadyExists`; a piece that is not servable `NotFound`. Blocks: call on a worker.
    pub fn copy_to(&self, path: &Path, cancelled: &AtomicBool) -> Result<(), PiecesError> {
        if path.try_exists()? {
            return Err(at_path(path, &io::ErrorKind::AlreadyExists.into()).into());
        }
        let mut name = path.as_os_str().to_owned();
        name.push(".part");
        let part = Path::new(&name);
        let copied = self.copy_into(part, cancelled).and_then(|()| Ok(fs::rename(part, path)?));
        if copied.is_err() {
            // Best effort: the reason that matters is the first one.
            let _ = fs::remove_file(part);
        }
        copied
    }

    fn copy_into(&self, part: &Path, cancelled: &AtomicBool) -> Result<(), PiecesError> {
        let mut file = File::create(part).map_err(|error| at_path(part, &error))?;
        let mut buffer = vec![0; STEP_BYTES];
        let mut offset = 0;
        while offset < self.geometry.length() {
            if cancelled.load(Ordering::Relaxed) {
                return Err(PiecesError::Cancelled);
            }
            let bytes = (self.geometry.length() - offset).min(STEP_BYTES as u64);
            let step = buffer.split_at_mut(bytes as usize).0;
            self.read_exact_at(offset, step)?;
            file.write_all(step).map_err(|error| at_path(part, &error))?;
            offset += bytes;
        }
        Ok(file.sync_all().map_err(|error| at_path(part, &error))?)
    }

    fn backing(&self) -> Backing {
        self.backing.read().clone()
    }

    fn check_servable(&self, offset: u64, length: u64) -> io::Result<()> {
        let end = offset.checked_add(length).filter(|end| *end <= self.geometry.length());
        let beyond = || io::Error::new(io::ErrorKind::InvalidInput, "a range beyond the torrent");
        let end = end.ok_or_else(beyond)?;
        let piece_length = u64::from(self.geometry.piece_length());
        let mut pieces = offset / piece_length..end.div_ceil(piece_length);
        let servable = pieces.all(|piece| self.servable.get(piece as u32));
        let missing = || io::Error::new(io::ErrorKind::NotFound, "a piece that is not servable");
        if servable { Ok(()) } else { Err(missing()) }
    }

    /// Reads a piece from the first byte to the last in steps, servable or not.
    fn read_piece(
        &self,
        backing: &Backing,
        piece: PieceIndex,
        mut each: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        let mut offset = self.geometry.piece_offset(piece);
        let mut missing = self.geometry.piece_bytes(piece) as usize;
        let mut buffer = vec![0; missing.min(STEP_BYTES)];
        while missing > 0 {
            let step = buffer.split_at_mut(missing.min(STEP_BYTES)).0;
            backing.read_exact_at(offset, step)?;
            each(step);
            offset += step.len() as u64;
            missing -= step.len();
        }
        Ok(())
    }

    /// Writes a good piece and marks it servable.
    fn keep(&self, piece: PieceIndex, data: &[u8], root: Option<Hash>) -> io::Result<()> {
        let moved = || io::Error::other("the store has left its scratch file");
        let Backing::Scratch(file, path) = self.backing() else { return Err(moved()) };
        file.write_all_at(data, self.geometry.piece_offset(piece)).map_err(|error| at_path(&path, &error))?;
        // Held until the bit is set: a move now would put it over bytes that nobody has looked at.
        let backing = self.backing.read();
        if !backing.is_scratch() {
            return Err(moved());
        }
        self.keep_root(piece, root);
        self.servable.set(piece.get());
        Ok(())
    }

    fn keep_root(&self, piece: PieceIndex, root: Option<Hash>) {
        if let Some(roots) = &self.roots
            && let Some(slot) = roots.lock().get_mut(piece.get() as usize)
        {
            *slot = root;
        }
    }

    /// The culprits of earlier attempts, now that the right bytes are known.
    fn convict(&self, piece: PieceIndex, received: &Received) -> Vec<u64> {
        if !self.suspects.lock().knows(piece.get()) {
            return Vec::new();
        }
        let hashes = smart_ban::block_hashes(&received.data);
        self.suspects.lock().convict(piece.get(), &hashes)
    }

    /// Remembers who sent what of a bad piece; a single sender is the culprit at once.
    fn suspect(&self, piece: PieceIndex, received: &Received) -> Vec<u64> {
        let senders = smart_ban::distinct(received.senders.clone());
        if senders.len() == 1 {
            return senders;
        }
        let hashes = smart_ban::block_hashes(&received.data);
        self.suspects.lock().remember(piece.get(), &received.senders, hashes);
        Vec::new()
    }
}

fn check_length(geometry: &Geometry, extents: &Extents) -> Result<(), PiecesError> {
    if extents.length() == geometry.length() {
        Ok(())
    } else {
        Err(PiecesError::ExtentsLength { expected: geometry.length(), got: extents.length() })
    }
}
