//! Reused memory for blocks on their way out, bounded over all links.

use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Buffers kept for the next link though nobody uses them.
const IDLE_BUFFERS: usize = 32;

/// Hands out batch buffers of one size.
#[derive(Debug)]
pub struct BatchPool {
    batch_bytes: usize,
    single_bytes: usize,
    state: Mutex<State>,
    used: AtomicU64,
}

#[derive(Debug)]
struct State {
    idle: Vec<Vec<u8>>,
    /// Whole batches that may still be handed out.
    left: usize,
}

/// A buffer for one batch. Goes back to its pool when dropped.
#[derive(Debug)]
pub struct BatchBuffer {
    bytes: Vec<u8>,
    pool: Arc<BatchPool>,
}

impl BatchPool {
    /// Batches of `batch_bytes`, `total_bytes` of them in all; beyond that buffers of `single_bytes`.
    pub fn new(batch_bytes: usize, total_bytes: usize, single_bytes: usize) -> Arc<Self> {
        let batch_bytes = batch_bytes.max(single_bytes);
        let state = State { idle: Vec::new(), left: total_bytes / batch_bytes };
        Arc::new(Self { batch_bytes, single_bytes, state: Mutex::new(state), used: AtomicU64::new(0) })
    }

    /// Bytes of the buffers that are handed out.
    pub fn used_bytes(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// A buffer with any contents, for `at_least` bytes.
    pub fn take(self: &Arc<Self>, at_least: usize) -> BatchBuffer {
        let mut state = self.state.lock();
        let bytes = if let Some(left) = state.left.checked_sub(1).filter(|_| at_least <= self.batch_bytes) {
            state.left = left;
            let idle = state.idle.pop();
            drop(state);
            idle.unwrap_or_else(|| vec![0; self.batch_bytes])
        } else {
            drop(state);
            // One more byte tells it from a whole batch.
            let bytes = self.single_bytes.max(at_least);
            vec![0; if bytes == self.batch_bytes { bytes + 1 } else { bytes }]
        };
        self.used.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        BatchBuffer { bytes, pool: Arc::clone(self) }
    }
}

impl BatchBuffer {
    /// All of it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All of it.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for BatchBuffer {
    fn drop(&mut self) {
        self.pool.used.fetch_sub(self.bytes.len() as u64, Ordering::Relaxed);
        if self.bytes.len() == self.pool.batch_bytes {
            let mut state = self.pool.state.lock();
            state.left += 1;
            if state.idle.len() < IDLE_BUFFERS {
                state.idle.push(std::mem::take(&mut self.bytes));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::BatchPool;

    #[test]
    fn hands_out_whole_batches_up_to_the_bound_and_takes_them_back() {
        let pool = BatchPool::new(100, 250, 10);
        let size = |buffer: &super::BatchBuffer| buffer.bytes().len();
        let first = pool.take(1);
        let second = pool.take(100);
        assert_eq!(
            (size(&first), size(&second), size(&pool.take(7)), size(&pool.take(50))),
            (100, 100, 10, 50)
        );
        assert_eq!(size(&pool.take(100)), 101, "not taken for one of the pool's");
        drop(first);
        assert_eq!((size(&pool.take(101)), size(&pool.take(1))), (101, 100));
        assert_eq!(pool.state.lock().left, 1);
    }
}
