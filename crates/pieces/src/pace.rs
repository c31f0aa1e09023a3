//! How fast a disk is read for hashing, and that others come before us there.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::io_priority::IdlePriority;

/// A wait is cut in such steps: a new rate and a cancellation are heard in between.
const STEP: Duration = Duration::from_millis(50);
/// No wait is longer, whatever the rate.
const MOST: Duration = Duration::from_secs(24 * 3600);
/// What may be read at once after a time in which nothing was.
const BURST: Duration = Duration::from_millis(100);

/// A rate shared by all threads that hash, which may change while they do.
#[derive(Debug)]
pub struct HashPace {
    /// 0: as fast as it goes.
    bytes_per_second: AtomicU64,
    threads: usize,
    due: Mutex<Instant>,
}

impl HashPace {
    /// At most `bytes_per_second` (0: as fast as it goes) on `threads` threads (0: one a core).
    pub fn new(bytes_per_second: u64, threads: usize) -> Self {
        Self { bytes_per_second: AtomicU64::new(bytes_per_second), threads, due: Mutex::new(Instant::now()) }
    }

    /// Changes the rate, also for those who wait.
    pub fn set_rate(&self, bytes_per_second: u64) {
        if self.bytes_per_second.swap(bytes_per_second, Ordering::Relaxed) != bytes_per_second {
            *self.due.lock() = Instant::now();
        }
    }

    /// Threads to hash on; 0: one a core.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Lets everybody else go first at the disk, as long as the answer lives: for this thread.
    pub fn step_back(&self) -> impl Drop + use<> {
        IdlePriority::enter()
    }

    /// Waits until `bytes` more may be read, or the flag is up. Blocks.
    pub fn take(&self, bytes: u64, cancelled: &AtomicBool) {
        let rate = self.bytes_per_second.load(Ordering::Relaxed);
        if rate == 0 {
            return;
        }
        let mut due = {
            let mut due = self.due.lock();
            let now = Instant::now();
            let from = (*due).max(now.checked_sub(BURST).unwrap_or(now));
            let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(rate);
            *due = from + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX)).min(MOST);
            *due
        };
        while !cancelled.load(Ordering::Relaxed)
            && let Some(left) = due.checked_duration_since(Instant::now())
            && !left.is_zero()
        {
            thread::sleep(left.min(STEP));
            // A new rate has wiped out what was agreed.
            due = due.min(*self.due.lock());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_share_the_rate_and_a_new_one_holds_at_once() {
        let (pace, never) = (HashPace::new(1 << 20, 2), AtomicBool::new(false));
        let begun = Instant::now();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..4).for_each(|_| pace.take(64 << 10, &never)));
            }
        });
        let taken = begun.elapsed();
        assert!(
            taken >= Duration::from_millis(350),
            "half a MiB at a MiB a second, but for the burst: {taken:?}"
        );

        pace.set_rate(1);
        thread::scope(|scope| {
            let slow = scope.spawn(|| pace.take(1 << 40, &never));
            while *pace.due.lock() < Instant::now() + Duration::from_secs(1000) {
                thread::yield_now();
            }
            pace.set_rate(0);
            assert!(slow.join().is_ok(), "who waited goes on");
        });
        pace.set_rate(1);
        pace.take(1 << 40, &AtomicBool::new(true));
    }
}
