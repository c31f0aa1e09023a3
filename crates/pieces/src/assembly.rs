//! A piece while its blocks arrive: one buffer, who sent which block, and the memory it is charged to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use thiserror::Error;

use crate::{BLOCK_BYTES, Geometry, PieceIndex};

/// The bytes that pieces in assembly may take, shared by many stores.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    used: AtomicU64,
}

/// No room for one more piece in assembly: ask again when another piece is finished or abandoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no room for {0} bytes more of pieces in assembly")]
pub struct OverBudget(pub u64);

/// Bytes taken from a budget, given back on drop.
#[derive(Debug)]
struct Reservation {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    /// At most `limit` bytes; a single piece that is larger is let in while there is no other.
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicU64::new(0) })
    }

    /// The limit in bytes.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes taken now.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn take(self: &Arc<Self>, bytes: u64) -> Result<Reservation, OverBudget> {
        // A limit under one piece length would otherwise stop the torrent for good.
        let room = |used: u64| used.checked_add(bytes).filter(|sum| used == 0 || *sum <= self.limit);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, room)
            .map(|_| Reservation { budget: Arc::clone(self), bytes })
            .map_err(|_| OverBudget(bytes))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What became of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockWrite {
    /// Kept; more blocks are missing.
    Stored,
    /// It was there already; nothing was written.
    Duplicate,
    /// Nobody wants it: the piece is not in assembly, or there is no such block.
    NotWanted,
    /// Kept, and it was the last: call [`crate::Store::finish_piece`] on a worker. Said once.
    Completed,
}

/// A piece with all its blocks, not yet judged.
pub(crate) struct Received {
    pub(crate) data: Vec<u8>,
    /// Who sent each block.
    pub(crate) senders: Vec<u64>,
    _reservation: Reservation,
}

/// A piece in assembly. Its lock is held for one block's copy, never while hashing or writing to disk.
pub(crate) struct Assembly {
    state: Mutex<State>,
}

enum State {
    /// `fed_at`: when the last block came, or the piece entered assembly.
    Filling {
        received: Received,
        missing: u32,
        have: Vec<bool>,
        fed_at: Instant,
    },
    Complete(Received),
    Judging,
    Gone,
}

impl Assembly {
    /// An empty piece, charged to `budget`.
    pub(crate) fn new(
        geometry: &Geometry,
        piece: PieceIndex,
        budget: &Arc<Budget>,
    ) -> Result<Self, OverBudget> {
        let bytes = geometry.piece_bytes(piece);
        let blocks = geometry.block_count(piece);
        let reservation = budget.take(u64::from(bytes))?;
        let received = Received {
            data: vec![0; bytes as usize],
            senders: vec![0; blocks as usize],
            _reservation: reservation,
        };
        let have = vec![false; blocks as usize];
        Ok(Self {
            state: Mutex::new(State::Filling { received, missing: blocks, have, fed_at: Instant::now() }),
        })
    }

    /// The blocks of `[first, end)` that have not arrived.
    pub(crate) fn wanted(&self, first: u32, end: u32) -> Vec<u32> {
        match &*self.state.lock() {
            State::Filling { have, .. } => {
                (first..end).filter(|block| have.get(*block as usize) == Some(&false)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Keeps one block. `data` must have the block's exact length.
    pub(crate) fn write(&self, block: u32, data: &[u8], from: u64) -> BlockWrite {
        let mut state = self.state.lock();
        let (received, missing, have, fed_at) = match &mut *state {
            State::Filling { received, missing, have, fed_at } => (received, missing, have, fed_at),
            State::Complete(_) | State::Judging => return BlockWrite::Duplicate,
            State::Gone => return BlockWrite::NotWanted,
        };
        let begin = block as usize * BLOCK_BYTES as usize;
        let Some(slot) = received.data.get_mut(begin..begin + data.len()) else {
            return BlockWrite::NotWanted;
        };
        let (Some(have), Some(sender)) =
            (have.get_mut(block as usize), received.senders.get_mut(block as usize))
        else {
            return BlockWrite::NotWanted;
        };
        if *have {
            return BlockWrite::Duplicate;
        }
        slot.copy_from_slice(data);
        (*have, *sender, *fed_at) = (true, from, Instant::now());
        *missing -= 1;
        if *missing > 0 {
            return BlockWrite::Stored;
        }
        if let State::Filling { received, .. } = std::mem::replace(&mut *state, State::Gone) {
            *state = State::Complete(received);
        }
        BlockWrite::Completed
    }

    /// The finished piece, once; `None` while blocks are missing or when it was taken already.
    pub(crate) fn take(&self) -> Option<Received> {
        let mut state = self.state.lock();
        match std::mem::replace(&mut *state, State::Judging) {
            State::Complete(received) => Some(received),
            other => {
                *state = other;
                None
            }
        }
    }

    /// Lets go of a piece that still has blocks missing; false when all have arrived.
    pub(crate) fn abandon(&self) -> bool {
        let mut state = self.state.lock();
        if matches!(*state, State::Filling { .. }) {
            *state = State::Gone;
        }
        matches!(*state, State::Gone)
    }

    /// Whether blocks are missing and none has come for so long.
    pub(crate) fn is_idle(&self, idle: Duration) -> bool {
        matches!(&*self.state.lock(), State::Filling { fed_at, .. } if fed_at.elapsed() >= idle)
    }
}
