//! Good pieces that wait in memory to be written, so that neighbours go out in one write. They are served from here.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::Bitmap;
use crate::piece_bytes::PieceBytes;

/// Pieces that are good and not yet in their files.
pub(crate) struct WriteBehind {
    limit: u64,
    piece_length: u32,
    pieces: Mutex<Pieces>,
    /// Pieces in the table: readers look there only when it is not 0.
    count: AtomicUsize,
    /// Notified when pieces have left the table.
    left: Condvar,
}

#[derive(Default)]
struct Pieces {
    table: BTreeMap<u32, Unwritten>,
    waiting: u64,
    writing: u64,
}

struct Unwritten {
    bytes: Arc<PieceBytes>,
    since: Instant,
    /// Somebody has taken it to write it.
    is_taken: bool,
}

/// Neighbouring pieces, in order, that one thread writes.
pub(crate) struct Run {
    pub(crate) first: u32,
    pub(crate) pieces: Vec<Arc<PieceBytes>>,
}

impl Run {
    /// The numbers of its pieces.
    pub(crate) fn numbers(&self) -> Range<u32> {
        self.first..self.first + self.pieces.len() as u32
    }
}

impl Pieces {
    fn remove(&mut self, piece: u32) {
        if let Some(gone) = self.table.remove(&piece) {
            let sum = if gone.is_taken { &mut self.writing } else { &mut self.waiting };
            *sum -= gone.bytes.length() as u64;
        }
    }
}

impl WriteBehind {
    /// At most about `limit` bytes wait; 0: none does.
    pub(crate) fn new(limit: u64, piece_length: u32) -> Self {
        Self {
            limit,
            piece_length,
            pieces: Mutex::default(),
            count: AtomicUsize::new(0),
            left: Condvar::new(),
        }
    }

    pub(crate) fn is_off(&self) -> bool {
        self.limit == 0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// The bytes of a piece that waits or is being written.
    pub(crate) fn get(&self, piece: u32) -> Option<Arc<PieceBytes>> {
        if self.is_empty() {
            return None;
        }
        self.pieces.lock().table.get(&piece).map(|unwritten| Arc::clone(&unwritten.bytes))
    }

    /// Keeps a piece.
    pub(crate) fn insert(&self, piece: u32, bytes: PieceBytes) {
        let length = bytes.length() as u64;
        let unwritten = Unwritten { bytes: Arc::new(bytes), since: Instant::now(), is_taken: false };
        let mut pieces = self.pieces.lock();
        pieces.remove(piece);
        pieces.table.insert(piece, unwritten);
        pieces.waiting += length;
        self.count.store(pieces.table.len(), Ordering::Release);
    }

    /// Whether it is time to write: half of the limit waits (the other half may be on its way to the disk meanwhile), or
    /// anything does while memory is tight.
    pub(crate) fn is_due(&self, is_tight: bool) -> bool {
        if self.is_empty() {
            return false;
        }
        let pieces = self.pieces.lock();
        let much = pieces.waiting >= self.limit / 2 || pieces.waiting + pieces.writing >= self.limit;
        pieces.waiting > 0 && (is_tight || much)
    }

    /// Takes all that waits, when some of it has waited for `age`. The pieces stay readable until
    /// [`Self::forget`].
    pub(crate) fn take(&self, age: Duration) -> Vec<Run> {
        let mut pieces = self.pieces.lock();
        let mut waiting = pieces.table.values().filter(|unwritten| !unwritten.is_taken);
        if !waiting.any(|unwritten| unwritten.since.elapsed() >= age) {
            return Vec::new();
        }
        let mut runs: Vec<Run> = Vec::new();
        for (piece, unwritten) in pieces.table.iter_mut().filter(|(_, unwritten)| !unwritten.is_taken) {
            unwritten.is_taken = true;
            let bytes = Arc::clone(&unwritten.bytes);
            match runs.last_mut().filter(|run| run.numbers().end == *piece && self.is_whole(run)) {
                Some(run) => run.pieces.push(bytes),
                None => runs.push(Run { first: *piece, pieces: vec![bytes] }),
            }
        }
        pieces.writing += std::mem::take(&mut pieces.waiting);
        runs
    }

    /// Whether the next piece follows at once: in v2 there is a gap behind a file's last one.
    fn is_whole(&self, run: &Run) -> bool {
        run.pieces.last().is_none_or(|bytes| bytes.length() == self.piece_length as usize)
    }

    /// Forgets pieces that are written.
    pub(crate) fn forget(&self, numbers: Range<u32>) {
        let mut pieces = self.pieces.lock();
        numbers.for_each(|piece| pieces.remove(piece));
        self.count.store(pieces.table.len(), Ordering::Release);
        self.left.notify_all();
    }

    /// Forgets a piece that cannot be written. It leaves `servable` in the same moment: else a reader would look for it
    /// in its file, or it would come anew and be forgotten instead.
    pub(crate) fn lose(&self, piece: u32, servable: &Bitmap) {
        let mut pieces = self.pieces.lock();
        servable.clear(piece);
        pieces.remove(piece);
        self.count.store(pieces.table.len(), Ordering::Release);
        self.left.notify_all();
    }

    /// Forgets everything: the bytes are elsewhere now.
    pub(crate) fn clear(&self) {
        let mut pieces = self.pieces.lock();
        *pieces = Pieces::default();
        self.count.store(0, Ordering::Release);
        self.left.notify_all();
    }

    /// Waits until nothing is on its way to the disk.
    pub(crate) fn settle(&self) {
        let mut pieces = self.pieces.lock();
        while pieces.table.values().any(|unwritten| unwritten.is_taken) {
            self.left.wait(&mut pieces);
        }
    }

    /// `bits` of all servable pieces without those that are only here; none leaves the table meanwhile.
    pub(crate) fn written(&self, servable: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
        let pieces = self.pieces.lock();
        let mut bits = servable();
        for piece in pieces.table.keys() {
            if let Some(byte) = bits.get_mut(*piece as usize / 8) {
                *byte &= !(0x80 >> (piece % 8));
            }
        }
        bits
    }
}
