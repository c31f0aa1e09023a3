//! A token bucket with the clock passed in.

use std::time::Duration;

/// Allows `burst` at once and `per_second` on average. Counts in thousandths of a token, so that a slow refill
/// asked often is not rounded away.
#[derive(Debug, Clone, Copy)]
pub struct TokenBucket {
    burst_milli: u64,
    per_second: u32,
    level_milli: u64,
    at: Duration,
}

impl TokenBucket {
    /// A full bucket. `now` is the time since any fixed start.
    pub fn new(burst: u32, per_second: u32, now: Duration) -> Self {
        let burst_milli = u64::from(burst) * 1000;
        Self { burst_milli, per_second, level_milli: burst_milli, at: now }
    }

    /// Takes `tokens`; false, and nothing taken, when there are not that many. A clock that goes back adds nothing.
    pub fn take(&mut self, tokens: u32, now: Duration) -> bool {
        // Milliseconds times tokens a second is thousandths of tokens. Time below a millisecond stays uncounted.
        let passed_ms = u64::try_from(now.saturating_sub(self.at).as_millis()).unwrap_or(u64::MAX);
        if passed_ms > 0 {
            let gained = passed_ms.saturating_mul(u64::from(self.per_second));
            self.level_milli = self.level_milli.saturating_add(gained).min(self.burst_milli);
            self.at = now;
        }
        match self.level_milli.checked_sub(u64::from(tokens) * 1000) {
            Some(rest) => {
                self.level_milli = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TokenBucket;
    use proptest::prelude::*;
    use std::time::Duration;

    proptest! {
        #[test]
        fn never_passes_more_than_burst_plus_refill(
            burst in 0u32..500, rate in 0u32..2_000, steps in proptest::collection::vec((0u64..400, 0u32..9), 1..200)
        ) {
            let mut bucket = TokenBucket::new(burst, rate, Duration::ZERO);
            let (mut now_ms, mut passed) = (0u64, 0u64);
            for (wait_ms, tokens) in steps {
                now_ms += wait_ms;
                if bucket.take(tokens, Duration::from_millis(now_ms)) {
                    passed += u64::from(tokens);
                }
                prop_assert!(passed * 1000 <= u64::from(burst) * 1000 + now_ms * u64::from(rate));
            }
        }
    }

    #[test]
    fn refills_and_ignores_a_clock_that_goes_back() {
        let mut bucket = TokenBucket::new(2, 10, Duration::from_secs(5));
        assert!(bucket.take(2, Duration::from_secs(5)));
        assert!(!bucket.take(1, Duration::from_secs(1)));
        assert!(!bucket.take(1, Duration::from_millis(5_099)));
        assert!(bucket.take(1, Duration::from_millis(5_100)));
    }
}
