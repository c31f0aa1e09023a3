//! Token buckets with the clock passed in: one for events of one peer, one for bytes of many links.

use parking_lot::Mutex;
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

/// What a pause may be made up for: timers and other links are late by less.
const BURST: Duration = Duration::from_millis(200);
/// Bytes of one turn: what goes in 20 ms, but a block at least, and no more than a batch.
const TURN_PER_SECOND: u64 = 50;
const TURN_BYTES: std::ops::RangeInclusive<u64> = 17_000..=262_144;

/// A rate that many links share, in bytes a second; thread-safe.
///
/// A link asks for a turn, waits for its time, and may then move the bytes of it. Turns are given out in the order they
/// are asked for, so links that ask again and again share the rate evenly, and none of them wakes in vain. Before any
/// time *t* come turns of no more than rate × (t + 200 ms) bytes.
#[derive(Debug, Default)]
pub struct RateBucket {
    state: Mutex<RateState>,
}

#[derive(Debug, Default)]
struct RateState {
    /// 0: no limit.
    per_second: u64,
    /// The end of the latest turn, had all of them gone one behind the other.
    paid_until: Duration,
    /// Counts changes of the rate: turns given out before are void.
    generation: u64,
}

/// Leave to move some bytes from a time on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// When.
    pub at: Duration,
    bytes: u64,
    generation: u64,
}

impl RateBucket {
    /// A new rate, 0 for none. Turns that were given out are void.
    pub fn set_rate(&self, per_second: u64, now: Duration) {
        let mut state = self.state.lock();
        if state.per_second == per_second {
            return;
        }
        state.per_second = per_second;
        state.generation += 1;
        state.paid_until = now;
    }

    /// The next turn of so many bytes.
    pub fn turn(&self, bytes: u64, now: Duration) -> Turn {
        let mut state = self.state.lock();
        let at = if state.per_second == 0 {
            now
        } else {
            state.paid_until = state.paid_until.max(now.saturating_sub(BURST)) + state.time_of(bytes);
            state.paid_until.max(now)
        };
        Turn { at, bytes, generation: state.generation }
    }

    /// Whether the rate is still the one that a turn was given out for.
    pub fn is_current(&self, turn: &Turn) -> bool {
        self.state.lock().generation == turn.generation
    }

    /// A turn is not used.
    pub fn give_back(&self, turn: &Turn) {
        let mut state = self.state.lock();
        if state.per_second > 0 && state.generation == turn.generation {
            state.paid_until = state.paid_until.saturating_sub(state.time_of(turn.bytes));
        }
    }

    /// Bytes that a turn should be asked for.
    pub fn turn_bytes(&self) -> u64 {
        match self.state.lock().per_second {
            0 => *TURN_BYTES.end(),
            rate => (rate / TURN_PER_SECOND).clamp(*TURN_BYTES.start(), *TURN_BYTES.end()),
        }
    }
}

impl RateState {
    fn time_of(&self, bytes: u64) -> Duration {
        let nanos = (u128::from(bytes) * 1_000_000_000).div_ceil(u128::from(self.per_second.max(1)));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{BURST, RateBucket, TokenBucket};
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

    proptest! {
        #[test]
        fn any_links_get_no_more_than_burst_plus_rate(
            rate in 1u64..50_000_000, links in 1usize..40,
            asks in proptest::collection::vec((0usize..40, 1u64..300_000, 0u64..300, any::<bool>()), 1..300),
        ) {
            let bucket = RateBucket::default();
            bucket.set_rate(rate, Duration::ZERO);
            let mut now = Duration::ZERO;
            // When each link may ask again, and all turns that were used.
            let mut free = vec![Duration::ZERO; links];
            let mut turns = Vec::new();
            for (link, bytes, pause_ms, uses) in asks {
                let link = link % links;
                now = (now + Duration::from_millis(pause_ms)).max(free[link]);
                let turn = bucket.turn(bytes, now);
                prop_assert!(turn.at >= now && bucket.is_current(&turn));
                if uses {
                    free[link] = turn.at;
                    turns.push((turn.at, bytes));
                } else {
                    bucket.give_back(&turn);
                }
            }
            turns.sort_unstable();
            let mut moved = 0u128;
            for (at, bytes) in turns {
                moved += u128::from(bytes);
                prop_assert!(moved * 1_000_000_000 <= u128::from(rate) * (at + BURST).as_nanos());
            }
        }

        #[test]
        fn links_that_ask_again_and_again_share_evenly_and_use_all_of_the_rate(
            rate in 1_000_000u64..100_000_000, links in 1usize..60,
        ) {
            let bucket = RateBucket::default();
            bucket.set_rate(rate, Duration::ZERO);
            let bytes = bucket.turn_bytes();
            let mut waiting: Vec<_> = (0..links).map(|link| (bucket.turn(bytes, Duration::ZERO).at, link)).collect();
            let mut moved = vec![0u64; links];
            let end = Duration::from_secs(20);
            loop {
                waiting.sort_unstable();
                let (now, link) = waiting[0];
                if now >= end {
                    break;
                }
                moved[link] += bytes;
                waiting[0] = (bucket.turn(bytes, now).at, link);
            }
            prop_assert!(moved.iter().max().unwrap() - moved.iter().min().unwrap() <= bytes);
            let all: u64 = moved.iter().sum();
            prop_assert!(all >= rate * 20 - bytes * links as u64);
        }
    }

    #[test]
    fn a_new_rate_voids_turns_and_none_lets_everything_through() {
        let bucket = RateBucket::default();
        let now = Duration::from_secs(9);
        assert_eq!(bucket.turn(u64::MAX, now).at, now);
        bucket.set_rate(10, now);
        let late = bucket.turn(1_000, now);
        assert_eq!(late.at, now + Duration::from_secs(100));
        bucket.set_rate(10, now);
        assert!(bucket.is_current(&late), "the same rate changes nothing");
        bucket.set_rate(1_000, now);
        assert!(!bucket.is_current(&late));
        bucket.give_back(&late);
        assert_eq!(bucket.turn(1_000, now).at, now + Duration::from_secs(1));
        bucket.set_rate(0, now);
        assert_eq!(bucket.turn(1_000, now).at, now);
    }
}
