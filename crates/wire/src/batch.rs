//! Reused memory for blocks on their way out, bounded over all links.

use parking_lot::Mutex;
use std::sync::Arc;

/// Buffers kept for the next link though nobody uses them.
const IDLE_BUFFERS: usize = 32;

/// Hands out batch buffers of one size.
#[derive(Debug)]
pub struct BatchPool {
    batch_bytes: usize,
    single_bytes: usize,
    state: Mutex<State>,
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
        Arc::new(Self { batch_bytes, single_bytes, state: Mutex::new(state) })
    }

    /// A buffer with any contents.
    pub fn take(self: &Arc<Self>) -> BatchBuffer {
        let mut state = self.state.lock();
        let bytes = if let Some(left) = state.left.checked_sub(1) {
            state.left = left;
            let idle = state.idle.pop();
            drop(state);
            idle.unwrap_or_else(|| vec![0; self.batch_bytes])
        } else {
            drop(state);
            vec![0; self.single_bytes]
        };
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
        let first = pool.take();
        let second = pool.take();
        assert_eq!((first.bytes().len(), second.bytes().len(), pool.take().bytes().len()), (100, 100, 10));
        drop(first);
        assert_eq!(pool.take().bytes().len(), 100);
        assert_eq!(pool.state.lock().left, 1);
    }
}
