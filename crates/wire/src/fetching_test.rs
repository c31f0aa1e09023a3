//! The ledger of one link: nothing is lost, nothing is reported twice.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::{Arrival, Fetching, Settled};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

fn triples(flat: &[u32]) -> Vec<(u32, u32, u32)> {
    flat.chunks(3).map(|triple| (triple[0], triple[1], triple[2])).collect()
}

/// All that may be asked now.
fn ask(fetching: &mut Fetching) -> Vec<(u32, u32)> {
    std::iter::from_fn(|| fetching.next_request(Instant::now())).collect()
}

fn arrived(fetching: &mut Fetching, piece: u32, block: u32) -> Arrival {
    fetching.arrived(piece, block, 16_384, Instant::now())
}

fn receive(fetching: &mut Fetching, piece: u32, block: u32) {
    let Arrival::Asked(ticket) = arrived(fetching, piece, block) else { panic!("{piece} {block} was asked") };
    fetching.settle(ticket, true);
}

#[test]
fn asks_in_order_and_reports_a_range_when_it_is_whole() {
    let mut fetching = Fetching::new(256, Instant::now());
    fetching.add(3, 0, 4, &[0, 1, 2, 3]);
    fetching.add(5, 2, 4, &[3]);
    assert_eq!(ask(&mut fetching), [(3, 0), (3, 1), (3, 2), (3, 3), (5, 3)]);
    for block in [0, 2, 1] {
        receive(&mut fetching, 3, block);
        assert_eq!(fetching.take_settled(), None);
    }
    receive(&mut fetching, 5, 3);
    receive(&mut fetching, 3, 3);
    let settled = fetching.take_settled().unwrap();
    assert_eq!(triples(&settled.finished), [(5, 2, 4), (3, 0, 4)]);
    assert!(settled.rejected.is_empty() && fetching.is_idle());
    assert_eq!(fetching.take_released(), 5);
}

#[test]
fn a_range_that_is_had_already_is_finished_at_once() {
    let mut fetching = Fetching::new(256, Instant::now());
    fetching.add(0, 0, 8, &[]);
    assert_eq!(fetching.take_settled(), Some(Settled { finished: vec![0, 0, 8], rejected: vec![] }));
}

#[test]
fn a_choke_gives_everything_back_and_a_block_already_on_its_way_is_no_offence() {
    let mut fetching = Fetching::new(2, Instant::now());
    fetching.add(0, 0, 4, &[0, 1, 2, 3]);
    ask(&mut fetching);
    receive(&mut fetching, 0, 0);
    fetching.choked(false, &[]);
    let settled = fetching.take_settled().unwrap();
    assert_eq!((triples(&settled.finished), triples(&settled.rejected)), (vec![(0, 0, 1)], vec![(0, 1, 4)]));
    assert_eq!(arrived(&mut fetching, 0, 1), Arrival::Late);
    assert_eq!(arrived(&mut fetching, 0, 1), Arrival::Unsolicited);
}

#[test]
fn with_the_fast_extension_a_choke_waits_for_the_rejects() {
    let mut fetching = Fetching::new(2, Instant::now());
    fetching.add(0, 0, 3, &[0, 1, 2]);
    ask(&mut fetching);
    fetching.choked(true, &[]);
    assert_eq!(fetching.take_settled(), None);
    assert!(fetching.rejected(0, 0));
    assert!(!fetching.rejected(0, 0));
    receive(&mut fetching, 0, 1);
    let settled = fetching.take_settled().unwrap();
    assert_eq!((settled.finished, settled.rejected), (vec![0, 1, 2], vec![0, 0, 1, 0, 2, 3]));
}

#[test]
fn a_cancel_names_the_requests_to_take_back_and_is_not_reported() {
    let mut fetching = Fetching::new(2, Instant::now());
    fetching.add(7, 0, 4, &[0, 1, 2, 3]);
    ask(&mut fetching);
    assert_eq!(fetching.cancel(7, 1, 4), [1]);
    assert_eq!(fetching.cancel(8, 0, 4), []);
    receive(&mut fetching, 7, 0);
    assert_eq!(fetching.take_settled(), Some(Settled { finished: vec![7, 0, 1], rejected: vec![] }));
    assert_eq!(arrived(&mut fetching, 7, 1), Arrival::Late);
    assert_eq!(arrived(&mut fetching, 7, 2), Arrival::Unsolicited, "it was never asked for");
    assert_eq!(fetching.take_released(), 4);
}

/// A peer that answers every request after `latency`, and sends at most `rate` blocks a second; on a clock of its own.
struct Simulated {
    fetching: Fetching,
    now: Instant,
    latency: Duration,
    gap: Duration,
    /// When answers come, and of what.
    answers: VecDeque<(Instant, u32, u32)>,
}

impl Simulated {
    fn new(most: u32, latency_ms: u64, rate: u32) -> Self {
        let now = Instant::now();
        let mut fetching = Fetching::new(most, now);
        for piece in 0..400 {
            fetching.add(piece, 0, 256, &(0..256).collect::<Vec<u32>>());
        }
        let (latency, gap) = (Duration::from_millis(latency_ms), Duration::from_secs(1) / rate);
        Self { fetching, now, latency, gap, answers: VecDeque::new() }
    }

    fn ask(&mut self) {
        while let Some((piece, block)) = self.fetching.next_request(self.now) {
            let last = self.answers.back().map_or(self.now, |(last, ..)| *last);
            self.answers.push_back(((last + self.gap).max(self.now + self.latency), piece, block));
        }
    }

    /// Runs for some seconds; returns the blocks that came in the last of them.
    fn seconds(&mut self, seconds: u32) -> u32 {
        let mut received = 0;
        for _ in 0..seconds {
            received = 0;
            let end = self.now + Duration::from_secs(1);
            self.ask();
            while let Some((at, piece, block)) = self.answers.front().copied()
                && at <= end
            {
                self.answers.pop_front();
                self.now = at;
                let Arrival::Asked(ticket) = self.fetching.arrived(piece, block, 16_384, at) else {
                    panic!("{piece} {block} was asked")
                };
                self.fetching.settle(ticket, true);
                received += 1;
                self.ask();
            }
            self.now = end;
            self.fetching.measure(end);
        }
        received
    }
}

#[test]
fn a_fast_peer_never_idles_whatever_its_latency() {
    for (latency_ms, rate) in [(1, 5_000), (50, 2_000), (700, 400), (2_000, 200)] {
        let mut peer = Simulated::new(4_000, latency_ms, rate);
        let last = peer.seconds(20);
        assert!(last >= rate * 9 / 10, "{latency_ms} ms: {last} of {rate} blocks");
        let delayed = u64::from(rate) * latency_ms / 1_000;
        assert!(
            u64::from(peer.fetching.depth) <= 5 * delayed / 2 + u64::from(rate) / 2 + 20,
            "no more than it takes"
        );
    }
}

#[test]
fn a_slow_peer_holds_few_blocks_and_nobody_more_than_it_takes() {
    let mut peer = Simulated::new(250, 100, 5);
    peer.seconds(20);
    assert_eq!(peer.fetching.depth, 18, "what it sends in half a second, and the spare ones");
    let mut peer = Simulated::new(250, 100, 5_000);
    peer.seconds(5);
    assert_eq!(peer.fetching.depth, 250);
    peer.fetching.set_most(10);
    assert_eq!(peer.fetching.depth, 10);
}

#[test]
fn requests_go_out_in_batches() {
    let mut fetching = Fetching::new(32, Instant::now());
    fetching.add(0, 0, 100, &(0..100).collect::<Vec<u32>>());
    assert_eq!(ask(&mut fetching).len(), 32);
    for block in 0..7 {
        receive(&mut fetching, 0, block);
        assert_eq!(ask(&mut fetching), []);
    }
    receive(&mut fetching, 0, 7);
    assert_eq!(ask(&mut fetching).len(), 8);
    receive(&mut fetching, 0, 8);
    assert_eq!(ask(&mut fetching), []);
}

proptest! {
    #[test]
    fn every_block_is_settled_once_or_cancelled(
        ranges in proptest::collection::vec((0u32..4, 0u32..20, 1u32..20), 1..6),
        steps in proptest::collection::vec((0u8..6, any::<prop::sample::Index>(), any::<bool>()), 0..300)
    ) {
        let mut fetching = Fetching::new(8, Instant::now());
        // One range of a piece, so that a block belongs to one range.
        let ranges: BTreeMap<u32, (u32, u32)> =
            ranges.into_iter().map(|(piece, first, count)| (piece, (first, first + count))).collect();
        let mut open: BTreeMap<(u32, u32), bool> = BTreeMap::new();
        for (piece, (first, end)) in &ranges {
            let wanted: Vec<u32> = (*first..*end).collect();
            fetching.add(*piece, *first, *end, &wanted);
            open.extend(wanted.iter().map(|block| ((*piece, *block), true)));
        }
        let total = open.len() as u32;
        let mut released = 0;
        let mut check = |fetching: &mut Fetching| {
            released += fetching.take_released();
            let settled = fetching.take_settled().unwrap_or_default();
            for (piece, first, end) in triples(&settled.finished).into_iter().chain(triples(&settled.rejected)) {
                for block in first..end {
                    assert_eq!(open.remove(&(piece, block)), Some(true), "reported once");
                }
            }
            released
        };
        for (step, index, flag) in steps {
            let asked = (!fetching.asked.is_empty()).then(|| fetching.asked[index.index(fetching.asked.len())]);
            match (step, asked) {
                (0 | 1, _) => { fetching.next_request(Instant::now()); }
                (2 | 3, Some(asked)) => receive(&mut fetching, asked.piece, asked.block),
                (4, Some(asked)) => { fetching.rejected(asked.piece, asked.block); }
                (5, Some(asked)) if flag => {
                    fetching.cancel(asked.piece, asked.block, asked.block + 2);
                }
                (5, _) => fetching.choked(flag, &[]),
                _ => {}
            }
            check(&mut fetching);
        }
        fetching.choked(false, &[]);
        prop_assert_eq!(check(&mut fetching), total);
        prop_assert!(fetching.is_idle() && fetching.asked() == 0);
    }
}
