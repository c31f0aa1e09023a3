//! How fast a link may go: rates that it shares with others, counted in bytes as they are on the wire.

use blockswarm_net::{Endpoint, RateBucket, Turn};
use std::sync::Arc;
use std::time::Duration;

/// Rates that one link may share at most: all, its torrent's, its kind's, its own.
pub const RATE_CLASSES: usize = 4;

/// A pair of rates that links share.
#[derive(Debug, Default)]
pub struct RateClass {
    pub(crate) upload: RateBucket,
    pub(crate) download: RateBucket,
}

/// The rates of one link, and what of them it holds.
#[derive(Debug)]
pub(crate) struct Pace {
    classes: Vec<Arc<RateClass>>,
    /// Headers of IP and TCP, and the bytes that go behind them.
    header_bytes: i64,
    pub(crate) upload: Lane,
    pub(crate) download: Lane,
}

/// One direction.
#[derive(Debug)]
pub(crate) struct Lane {
    bucket: fn(&RateClass) -> &RateBucket,
    /// Bytes it may move now. Less than 0 when a block was larger than what it held: that is paid for first.
    credit: i64,
    /// The turn that it waits for, in which of its classes, and how much it asks each of them for.
    waiting: Option<(Turn, usize, u64)>,
}

/// A full segment's bytes behind its headers on Ethernet.
const SEGMENT_BYTES: i64 = 1_460;

impl Pace {
    /// For packets with this peer, or with the proxy that leads to it.
    pub(crate) fn new(peer: &Endpoint) -> Self {
        let header_bytes = if peer.ip().is_none_or(|ip| ip.to_canonical().is_ipv4()) { 40 } else { 60 };
        let lane = |bucket| Lane { bucket, credit: 0, waiting: None };
        let (upload, download) = (lane(|class| &class.upload), lane(|class| &class.download));
        Self { classes: Vec::new(), header_bytes, upload, download }
    }

    /// From now on these, at most [`RATE_CLASSES`].
    pub(crate) fn set_classes(&mut self, classes: Vec<Arc<RateClass>>) {
        self.upload.give_back(&self.classes);
        self.download.give_back(&self.classes);
        self.classes = classes;
    }

    /// How many bytes may be sent now: a block that is longer may go all the same. `Err`: look again at that time.
    pub(crate) fn may_send(&mut self, now: Duration) -> Result<usize, Duration> {
        self.upload.credit(&self.classes, now)
    }

    /// How many bytes may be taken from the socket now.
    pub(crate) fn may_receive(&mut self, now: Duration) -> Result<usize, Duration> {
        self.download.credit(&self.classes, now)
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        self.upload.credit = self.upload.credit.saturating_sub(self.on_the_wire(bytes));
    }

    pub(crate) fn received(&mut self, bytes: usize) {
        self.download.credit = self.download.credit.saturating_sub(self.on_the_wire(bytes));
    }

    /// Headers counted.
    fn on_the_wire(&self, bytes: usize) -> i64 {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX / 2);
        if self.classes.is_empty() { 0 } else { bytes + (bytes / SEGMENT_BYTES + 1) * self.header_bytes }
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        self.set_classes(Vec::new());
    }
}

impl Lane {
    /// Goes through the classes one by one: a rate is taken from none for a time at which another lets nothing through.
    fn credit(&mut self, classes: &[Arc<RateClass>], now: Duration) -> Result<usize, Duration> {
        if classes.is_empty() {
            return Ok(usize::MAX);
        }
        while self.credit <= 0 {
            let debt = self.credit.unsigned_abs();
            let (class, bytes) = match &self.waiting {
                None => {
                    let sizes = classes.iter().map(|class| (self.bucket)(class).turn_bytes());
                    (0, debt + sizes.min().unwrap_or(0))
                }
                Some((turn, at, bytes)) => match classes.get(*at) {
                    // The rate is another one now: the turn is asked for anew.
                    Some(class) if !(self.bucket)(class).is_current(turn) => (*at, *bytes),
                    _ if turn.at > now => return Err(turn.at),
                    _ => (at + 1, *bytes),
                },
            };
            let Some(next) = classes.get(class) else {
                self.waiting = None;
                self.credit = self.credit.saturating_add_unsigned(bytes);
                continue;
            };
            self.waiting = Some(((self.bucket)(next).turn(bytes, now), class, bytes));
        }
        Ok(usize::try_from(self.credit).unwrap_or(0))
    }

    /// What it waits for it will not use; what it holds and owes is forgotten.
    fn give_back(&mut self, classes: &[Arc<RateClass>]) {
        self.credit = 0;
        if let Some((turn, at, _)) = self.waiting.take()
            && let Some(class) = classes.get(at)
        {
            (self.bucket)(class).give_back(&turn);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::{Pace, RateClass};
    use proptest::prelude::*;
    use std::sync::Arc;
    use std::time::Duration;

    const BURST: Duration = Duration::from_millis(200);
    const BLOCK: usize = 16_397;

    fn class(upload: u64) -> Arc<RateClass> {
        let class = Arc::new(RateClass::default());
        class.upload.set_rate(upload, Duration::ZERO);
        class
    }

    fn pace(classes: &[&Arc<RateClass>]) -> Pace {
        let mut pace = Pace::new(&"192.0.2.7:1".parse::<std::net::SocketAddr>().unwrap().into());
        pace.set_classes(classes.iter().map(|class| Arc::clone(class)).collect());
        pace
    }

    /// Every link sends blocks as fast as it may for so long; bytes on the wire of each.
    fn run(links: &mut [Pace], length: Duration) -> Vec<u64> {
        let mut due: Vec<Duration> = vec![Duration::ZERO; links.len()];
        let mut moved = vec![0; links.len()];
        loop {
            let (at, now) = due.iter().copied().enumerate().min_by_key(|(_, due)| *due).unwrap();
            if now >= length {
                return moved;
            }
            match links[at].may_send(now) {
                Ok(_) => {
                    links[at].sent(BLOCK);
                    moved[at] += BLOCK as u64 + 12 * 40;
                }
                Err(later) => {
                    assert!(later > now, "it waits, it does not spin");
                    due[at] = later;
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn links_that_share_classes_never_get_more_than_each_allows(
            all in 200_000u64..20_000_000, narrow in 200_000u64..5_000_000, many in 1usize..12, few in 1usize..6,
        ) {
            let (global, torrent) = (class(all), class(narrow));
            let mut links: Vec<Pace> = (0..many).map(|_| pace(&[&global])).collect();
            links.extend((0..few).map(|_| pace(&[&torrent, &global])));
            let length = Duration::from_secs(10);
            let moved = run(&mut links, length);
            // A block too much for each link: they are not cut.
            let most = |rate: u64, links: usize| {
                (u128::from(rate) * (length + BURST).as_millis() / 1000) as u64 + links as u64 * 2 * 17_000 + 300_000
            };
            prop_assert!(moved.iter().sum::<u64>() <= most(all, many + few));
            prop_assert!(moved[many..].iter().sum::<u64>() <= most(narrow, few));
            prop_assert!(moved.iter().sum::<u64>() >= all * 9 || narrow < all);
            let wide = &moved[..many];
            prop_assert!(wide.iter().max().unwrap() - wide.iter().min().unwrap() <= 2 * 262_144 + 34_000);
        }
    }

    #[test]
    fn without_classes_there_is_no_limit_and_a_dropped_link_gives_its_turn_back() {
        let mut free = pace(&[]);
        free.sent(1 << 30);
        assert_eq!(free.may_send(Duration::ZERO), Ok(usize::MAX));
        let global = class(100_000);
        let now = Duration::from_secs(5);
        let mut first = pace(&[&global]);
        while first.may_send(now).is_ok() {
            first.sent(BLOCK);
        }
        let (mut second, mut third) = (pace(&[&global]), pace(&[&global]));
        let wait = second.may_send(now).unwrap_err();
        drop(first);
        drop(second);
        assert!(third.may_send(now).unwrap_err() < wait);
        global.upload.set_rate(0, now);
        assert!(third.may_send(now).is_ok());
    }
}
