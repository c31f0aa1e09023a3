//! The one tokio runtime: network threads that never wait for a disk, and a bounded pool that may.

use crate::error::NetError;
use parking_lot::Mutex;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};

/// Turns of tasks between two looks at sockets and at what other threads have to say. A link's turn takes a quarter of a
/// millisecond when it serves a fast peer, so tokio's own 61 would let a new peer wait for 15 ms at every step.
const TURNS: u32 = 8;

/// Sizes of the runtime.
#[derive(Debug, Clone, Copy)]
pub struct RuntimeOptions {
    /// Threads that run the sockets, at least 1.
    pub network_threads: usize,
    /// Threads that may wait for disk or hash, at least 1.
    pub worker_threads: usize,
}

/// Owns the threads. Dropping it without [`Runtime::close`] lets them end by themselves, without a wait.
#[derive(Debug)]
pub struct Runtime {
    handle: Handle,
    inner: Mutex<Option<tokio::runtime::Runtime>>,
}

impl Runtime {
    /// Starts the threads.
    pub fn start(options: RuntimeOptions) -> Result<Self, NetError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(options.network_threads.max(1))
            .max_blocking_threads(options.worker_threads.max(1))
            .thread_name("blockswarm")
            .event_interval(TURNS)
            .global_queue_interval(TURNS)
            .enable_io()
            .enable_time()
            .build()
            .map_err(|source| NetError::Runtime { source })?;
        Ok(Self { handle: runtime.handle().clone(), inner: Mutex::new(Some(runtime)) })
    }

    /// To spawn with. Spawning after `close` does nothing.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Drops every task at its next wait, then joins the threads, at most `bound` long: a thread inside a system
    /// call that does not return is left behind. Idempotent. Not from a thread of the runtime.
    pub fn close(&self, bound: Duration) {
        let runtime = self.inner.lock().take();
        if let Some(runtime) = runtime {
            runtime.shutdown_timeout(bound);
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Some(runtime) = self.inner.get_mut().take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::{Runtime, RuntimeOptions};
    use std::time::{Duration, Instant};

    #[test]
    fn close_is_idempotent_and_bounded_though_a_worker_hangs() {
        let runtime = Runtime::start(RuntimeOptions { network_threads: 1, worker_threads: 1 }).unwrap();
        runtime.handle().spawn(std::future::pending::<()>());
        let (release, held) = std::sync::mpsc::channel::<()>();
        runtime.handle().spawn_blocking(move || {
            let _ = held.recv_timeout(Duration::from_secs(20));
        });
        let start = Instant::now();
        runtime.close(Duration::from_millis(50));
        runtime.close(Duration::from_millis(50));
        assert!(start.elapsed() < Duration::from_secs(10));
        drop(release);
    }
}
