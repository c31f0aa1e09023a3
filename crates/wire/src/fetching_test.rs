//! The ledger of one link: nothing is lost, nothing is reported twice.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::{Arrival, Fetching, Settled};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

fn triples(flat: &[u32]) -> Vec<(u32, u32, u32)> {
    flat.chunks(3).map(|triple| (triple[0], triple[1], triple[2])).collect()
}

fn receive(fetching: &mut Fetching, piece: u32, block: u32) {
    let Arrival::Asked(ticket) = fetching.arrived(piece, block, 16_384) else {
        panic!("{piece} {block} was asked")
    };
    fetching.settle(ticket, true);
}

#[test]
fn asks_in_order_and_reports_a_range_when_it_is_whole() {
    let mut fetching = Fetching::new(256, Instant::now());
    fetching.add(3, 0, 4, &[0, 1, 2, 3]);
    fetching.add(5, 2, 4, &[3]);
    let asked: Vec<_> = std::iter::from_fn(|| fetching.next_request()).collect();
    assert_eq!(asked, [(3, 0), (3, 1), (3, 2), (3, 3), (5, 3)]);
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
    while fetching.next_request().is_some() {}
    receive(&mut fetching, 0, 0);
    fetching.choked(false, &[]);
    let settled = fetching.take_settled().unwrap();
    assert_eq!((triples(&settled.finished), triples(&settled.rejected)), (vec![(0, 0, 1)], vec![(0, 1, 4)]));
    assert_eq!(fetching.arrived(0, 1, 1), Arrival::Late);
    assert_eq!(fetching.arrived(0, 1, 1), Arrival::Unsolicited);
}

#[test]
fn with_the_fast_extension_a_choke_waits_for_the_rejects() {
    let mut fetching = Fetching::new(2, Instant::now());
    fetching.add(0, 0, 3, &[0, 1, 2]);
    while fetching.next_request().is_some() {}
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
    while fetching.next_request().is_some() {}
    assert_eq!(fetching.cancel(7, 1, 4), [1]);
    assert_eq!(fetching.cancel(8, 0, 4), []);
    receive(&mut fetching, 7, 0);
    assert_eq!(fetching.take_settled(), Some(Settled { finished: vec![7, 0, 1], rejected: vec![] }));
    assert_eq!(fetching.arrived(7, 1, 1), Arrival::Late);
    assert_eq!(fetching.arrived(7, 2, 1), Arrival::Unsolicited, "it was never asked for");
    assert_eq!(fetching.take_released(), 4);
}

#[test]
fn the_number_of_requests_follows_the_rate() {
    let start = Instant::now();
    let mut fetching = Fetching::new(250, start);
    let all: Vec<u32> = (0..10_000).collect();
    fetching.add(0, 0, 10_000, &all);
    let mut second = |blocks: usize, at: u64| {
        for _ in 0..blocks {
            if fetching.asked.is_empty() {
                while fetching.next_request().is_some() {}
            }
            let asked = fetching.asked[0];
            receive(&mut fetching, asked.piece, asked.block);
        }
        fetching.measure(start + Duration::from_secs(at));
        while fetching.next_request().is_some() {}
        fetching.depth
    };
    assert_eq!(second(0, 1), 16);
    assert_eq!(second(100, 2), 116);
    assert_eq!(second(1_000, 3), 250);
    assert_eq!(second(40, 4), 56, "slow: a second's worth and the start's");
    assert_eq!(second(900, 5), 250);
    fetching.set_most(10);
    assert_eq!(fetching.depth, 10);
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
                (0 | 1, _) => { fetching.next_request(); }
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
