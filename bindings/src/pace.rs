//! How fast the disk is read in the background, for JavaScript.
use blockswarm_pieces::HashPace as Pace;
use napi_derive::napi;
use std::sync::Arc;

/// A rate that tasks share and that may change while they run. Their reads come after everybody else's at the disk.
#[napi]
pub struct HashPace {
    pub(crate) pace: Arc<Pace>,
}

#[napi]
impl HashPace {
    /// At most so many bytes a second (0: as fast as it goes) on so many threads (0: one a core).
    #[napi(constructor, catch_unwind)]
    pub fn new(bytes_per_second: f64, threads: u32) -> Self {
        Self { pace: Arc::new(Pace::new(rate(bytes_per_second), threads as usize)) }
    }

    /// Changes the rate, also for tasks that wait.
    #[napi(catch_unwind)]
    pub fn set_rate(&self, bytes_per_second: f64) {
        self.pace.set_rate(rate(bytes_per_second));
    }
}

fn rate(bytes_per_second: f64) -> u64 {
    // Saturates: a negative rate is none.
    #[expect(clippy::cast_sign_loss, reason = "a negative rate is none")]
    let rate = bytes_per_second as u64;
    rate
}
