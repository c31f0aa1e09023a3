//! Memory for pieces on their way from peers to the disk, shared by many stores.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use thiserror::Error;

use crate::portion::Portion;

/// The bytes that pieces in assembly, and good ones that wait to be written, may take together.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    used: AtomicU64,
    /// Buffers that were used before: new memory costs a page fault for every 4 KiB, several times what the copy does.
    idle: Mutex<Vec<Portion>>,
}

/// Bytes in a buffer that is kept.
pub(crate) const BUFFER_BYTES: usize = 256 * 1024;
/// Buffers that are kept: 16 MiB.
const IDLE_BUFFERS: usize = 64;

/// No room for one more piece in assembly: ask again when another piece is written or abandoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no room for {0} bytes more of pieces in assembly")]
pub struct OverBudget(pub u64);

/// Bytes taken from a budget, given back on drop.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    /// At most `limit` bytes; a single piece that is larger is let in while there is no other.
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicU64::new(0), idle: Mutex::default() })
    }

    /// The limit in bytes.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes taken now.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether more than half is taken: what waits only for convenience should give its part back.
    pub(crate) fn is_tight(&self) -> bool {
        self.used() > self.limit / 2
    }

    pub(crate) fn take(self: &Arc<Self>, bytes: u64) -> Result<Reservation, OverBudget> {
        // A limit under one piece length would otherwise stop the torrent for good.
        let room = |used: u64| used.checked_add(bytes).filter(|sum| used == 0 || *sum <= self.limit);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, room)
            .map(|_| Reservation { budget: Arc::clone(self), bytes })
            .map_err(|_| OverBudget(bytes))
    }
}

impl Reservation {
    /// An empty buffer for `bytes` bytes.
    pub(crate) fn buffer(&self, bytes: usize) -> Portion {
        let used = if bytes == BUFFER_BYTES { self.budget.idle.lock().pop() } else { None };
        used.unwrap_or_else(|| Portion::with_room(bytes))
    }

    /// Takes buffers back.
    pub(crate) fn give_back(&self, buffers: impl Iterator<Item = Portion>) {
        let mut idle = self.budget.idle.lock();
        for mut buffer in buffers.filter(|buffer| buffer.has_room(BUFFER_BYTES)) {
            if idle.len() == IDLE_BUFFERS {
                return;
            }
            buffer.clear();
            idle.push(buffer);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
