//! What is made of a chain, against a map of its coins.

use std::sync::atomic::Ordering;

use proptest::prelude::*;

use crate::sums::MuHash;

use super::super::segment_sums::sum_segments;
use super::super::{
    CoinRange, CoinSetError, EndCoins, differing_segments, find_culprits, make_hints, make_hints_of_snapshot,
    make_snapshot, make_sums, read_totals,
};
use super::made_chain::{MadeChain, OP_TRUE, Output, Spent};

/// Numbers by chance, the same for a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % end.max(1) as u64) as usize
    }
}

/// A chain by chance: transactions spend coins of earlier blocks and of their own, some outputs nobody can spend.
fn chain(seed: u64, blocks: u32) -> MadeChain {
    let (mut chain, mut chance) = (MadeChain::new(), Chance(seed));
    for _ in 0..blocks {
        let mut left: Vec<_> = chain.coins.keys().copied().collect();
        let mut transactions: Vec<(Vec<Spent>, Vec<Output>)> = Vec::new();
        for _ in 0..chance.below(4) {
            let mut spent = Vec::new();
            for _ in 0..=chance.below(3) {
                if !left.is_empty() {
                    spent.push(chain.spend(left.swap_remove(chance.below(left.len()))));
                }
            }
            if spent.is_empty() {
                continue;
            }
            let script = |chance: &mut Chance| match chance.below(4) {
                0 => vec![0x6a, 1],
                1 => [&[0x76, 0xa9, 20][..], &[chance.below(256) as u8; 20], &[0x88, 0xac]].concat(),
                _ => vec![OP_TRUE; chance.below(80)],
            };
            let outputs = (0..=chance.below(5)).map(|_| (chance.below(1 << 30) as u64, script(&mut chance)));
            transactions.push((spent, outputs.collect()));
        }
        let borrowed: Vec<_> =
            transactions.iter().map(|(spent, outputs)| (&spent[..], &outputs[..])).collect();
        chain.push(&borrowed);
    }
    chain
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn hints_and_snapshot_are_those_of_a_map_whatever_memory_and_threads(
        seed: u64, blocks in prop_oneof![0u32..80, Just(287)], memory_bytes in 0usize..20_000, threads in 1usize..4,
    ) {
        let chain = chain(seed, blocks);
        let (job, end) = (chain.job(memory_bytes, threads), chain.height());
        let (hints, snapshot) = (chain.write_hints(|_| {}), chain.write_snapshot(|_| {}));
        let (made, from_coins) = (chain.path("made.hints"), chain.path("from-coins.hints"));
        let (by_hints, alone) = (chain.path("by-hints.utxo"), chain.path("alone.utxo"));

        let report = make_hints(&job, end, &made).unwrap();
        prop_assert_eq!(report.survivors, chain.coins.len() as u64);
        prop_assert_eq!(make_hints_of_snapshot(&job, end, &snapshot, &from_coins).unwrap(), report);
        let totals = make_snapshot(&job, end, Some(&hints), &by_hints).unwrap();
        prop_assert_eq!(&make_snapshot(&job, end, None, &alone).unwrap(), &totals);
        prop_assert_eq!(totals.totals.value, chain.coins.values().map(|(_, coin)| coin.value).sum::<u64>());
        let (head, read) = read_totals(&alone, threads, &chain.progress, &chain.cancelled).unwrap();
        prop_assert_eq!((head.block_hash, &read), (totals.block_hash, &totals.totals));

        if end == 288 {
            let (mut left, mut spent) = (MuHash::default(), MuHash::default());
            for segment in sum_segments(&job, 0..2).unwrap() {
                left.combine(&segment.created);
                spent.combine(&segment.spent);
            }
            left.remove(&spent);
            prop_assert_eq!(left.finish(), totals.totals.muhash);
        }

        let bytes = |path| std::fs::read(path).unwrap();
        prop_assert!(bytes(&made) == bytes(&hints) && bytes(&from_coins) == bytes(&hints));
        prop_assert!(bytes(&by_hints) == bytes(&snapshot) && bytes(&alone) == bytes(&snapshot));
        for at_end in [EndCoins::Unspent, EndCoins::Hints(&hints), EndCoins::Snapshot(&snapshot)] {
            let range = CoinRange { heights: 0..end, start: None, end: at_end };
            prop_assert_eq!(find_culprits(&job, &range).unwrap(), vec![]);
        }
        prop_assert_eq!(chain.names().len(), 6, "{:?}", chain.names());
    }
}

#[test]
fn the_segment_whose_record_was_altered_is_told_by_its_products() {
    let mut chain = chain(3, 300);
    let sums = chain.path("sums");
    assert_eq!(make_sums(&chain.job(1 << 20, 2), 2, &sums).unwrap(), 12 + 2 * 768);
    assert_eq!(differing_segments(&chain.job(1 << 20, 3), &sums).unwrap(), Vec::<u32>::new());
    let height = chain.spending_height(200);
    chain.retell(height, 0, 0, |coin| coin.value ^= 1);
    assert_eq!(differing_segments(&chain.job(1 << 20, 3), &sums).unwrap(), [1]);
    std::fs::write(&sums, b"bsums01\n").unwrap();
    assert_eq!(differing_segments(&chain.job(1 << 20, 3), &sums).unwrap_err().code(), "ERR_SUMS");
    std::fs::write(&sums, [0; 800]).unwrap();
    assert_eq!(differing_segments(&chain.job(1 << 20, 3), &sums).unwrap_err().code(), "ERR_SUMS");
}

#[test]
fn a_raised_flag_ends_each_job_and_leaves_nothing() {
    let chain = chain(7, 40);
    let snapshot = chain.write_snapshot(|_| {});
    let (job, end) = (chain.job(1 << 20, 2), chain.height());
    chain.cancelled.store(true, Ordering::Relaxed);
    let (hints, utxo) = (chain.path("made.hints"), chain.path("made.utxo"));
    let outcomes = [
        make_hints(&job, end, &hints).err(),
        make_hints_of_snapshot(&job, end, &snapshot, &hints).err(),
        make_snapshot(&job, end, None, &utxo).err(),
    ];
    for outcome in outcomes {
        assert_eq!(outcome.map(|error| error.code()), Some("ERR_INTERRUPTED"));
    }
    assert_eq!(chain.names(), ["expected.utxo"]);
}

#[test]
fn what_is_not_held_is_said_before_anything_is_written() {
    let chain = chain(7, 5);
    let error = make_hints(&chain.job(1 << 20, 1), 9, &chain.path("made.hints")).unwrap_err();
    assert_eq!(error.to_string(), "block 8 is not held: the blocks 0 to 5 are");
    assert!(chain.names().is_empty());
}

#[test]
fn hints_for_other_blocks_make_no_snapshot() {
    let chain = chain(7, 30);
    let (job, end) = (chain.job(1 << 20, 2), chain.height());
    let hints = chain.write_hints(|_| {});
    let error = make_snapshot(&job, end - 1, Some(&hints), &chain.path("made.utxo")).unwrap_err();
    assert!(matches!(error, CoinSetError::HintsHeight { found: 30, wanted: 29, .. }), "{error}");
    let beyond = chain.write_hints(|places| places.entry(12).or_default().push(400_000));
    let error = make_snapshot(&job, end, Some(&beyond), &chain.path("made.utxo")).unwrap_err();
    assert!(matches!(&error, CoinSetError::Culprits(culprits) if culprits[0].height == 12), "{error}");
    std::fs::write(&hints, b"UTXO\0\x1e\0\0\0\x01").unwrap();
    let error = make_snapshot(&job, end, Some(&hints), &chain.path("made.utxo")).unwrap_err();
    assert_eq!(error.code(), "ERR_HINTS", "{error}");
    assert_eq!(chain.names(), ["expected.hints"]);
}
