//! All that a chain does with a few coins.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use crate::coins::{Coin, OutPoint};
use crate::encode::Hash;
use crate::hints::HintsReader;
use crate::transaction::Transaction;
use crate::validate::CoinVisitor;

use super::walk::{Buffers, PlacedBlock};
use super::{CoinRange, CoinSetError, CoinSetJob, EndCoins};

/// An outpoint that is kept.
pub(super) type Point = (Hash, u32);

/// A coin that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnCoin {
    pub height: u32,
    pub is_coinbase: bool,
    pub value: u64,
    pub script: Vec<u8>,
}

impl OwnCoin {
    fn of(coin: &Coin<'_>) -> Self {
        let Coin { height, is_coinbase, value, script } = *coin;
        Self { height, is_coinbase, value, script: script.to_vec() }
    }
}

/// Where it says that a coin comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Creation {
    pub coin: OwnCoin,
    /// Among the coins that the block creates; `None` for one that was there at the start.
    pub place: Option<u32>,
    pub is_hinted: bool,
}

/// One spend of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spend {
    pub height: u32,
    /// The place of the transaction in its block, of the input in the transaction, and the transaction's id.
    pub transaction: usize,
    pub input: u32,
    pub txid: Hash,
    /// The coin as the record has it.
    pub claimed: OwnCoin,
}

/// What becomes of one outpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// By rising height.
    pub creations: Vec<Creation>,
    /// In the order of the chain.
    pub spends: Vec<Spend>,
    /// The coin that is said to be left at the end.
    pub at_end: Option<OwnCoin>,
}

/// Gathers the facts of `points`: one pass over the blocks and snapshots of the range, and one over the hints.
pub(super) fn gather(
    job: &CoinSetJob<'_>,
    range: &CoinRange<'_>,
    points: &BTreeSet<Point>,
) -> Result<BTreeMap<Point, Facts>, CoinSetError> {
    let none = points.iter().map(|point| (*point, Facts::default()));
    let facts: Mutex<BTreeMap<Point, Facts>> = Mutex::new(none.collect());
    let of_snapshot = |path: &Path, take: fn(&mut Facts, OwnCoin)| {
        job.read_snapshot(path, |point, coin| {
            if let Some(facts) = facts.lock().get_mut(&(*point.txid, point.index)) {
                take(facts, OwnCoin::of(coin));
            }
            Ok(())
        })
    };
    if let Some(start) = range.start {
        of_snapshot(start, |facts, coin| {
            facts.creations.push(Creation { coin, place: None, is_hinted: false });
        })?;
    }
    if let EndCoins::Snapshot(end) = range.end {
        of_snapshot(end, |facts, coin| facts.at_end = Some(coin))?;
    }
    job.on_all_threads(&range.heights, Buffers::default, |buffers, chunk| {
        for height in chunk {
            let placed = job.block(height, &mut buffers.block)?;
            look_at_outputs(&placed, &facts);
            look_at_inputs(job, &placed, &mut buffers.undo, height, points, &facts)?;
            job.progress.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    })?;
    let mut facts = facts.into_inner();
    for facts in facts.values_mut() {
        facts.creations.sort_by_key(|creation| creation.coin.height);
        facts.spends.sort_by_key(|spend| (spend.height, spend.transaction, spend.input));
    }
    if let EndCoins::Hints(hints) = range.end {
        mark_hinted(hints, &mut facts)?;
    }
    Ok(facts)
}

fn look_at_outputs(placed: &PlacedBlock<'_>, facts: &Mutex<BTreeMap<Point, Facts>>) {
    struct Outputs<'a> {
        facts: &'a Mutex<BTreeMap<Point, Facts>>,
        txids: BTreeSet<Hash>,
        place: u32,
    }
    impl CoinVisitor for Outputs<'_> {
        fn created(&mut self, point: OutPoint<'_>, coin: &Coin<'_>) {
            let place = Some(self.place);
            self.place += 1;
            if self.txids.contains(point.txid)
                && let Some(facts) = self.facts.lock().get_mut(&(*point.txid, point.index))
            {
                facts.creations.push(Creation { coin: OwnCoin::of(coin), place, is_hinted: false });
            }
        }

        fn spent(&mut self, _: OutPoint<'_>, _: &Coin<'_>) {}
    }
    let txids = facts.lock().keys().map(|(txid, _)| *txid).collect();
    placed.visit(&crate::coins::SpentCoins::default(), &mut Outputs { facts, txids, place: 0 });
}

fn look_at_inputs(
    job: &CoinSetJob<'_>,
    placed: &PlacedBlock<'_>,
    undo: &mut Vec<u8>,
    height: u32,
    points: &BTreeSet<Point>,
    facts: &Mutex<BTreeMap<Point, Facts>>,
) -> Result<(), CoinSetError> {
    let is_wanted = |point: OutPoint<'_>| points.contains(&(*point.txid, point.index));
    let transactions = || placed.block.transactions.iter().skip(1);
    if !transactions().flat_map(Transaction::inputs).any(|input| is_wanted(input.outpoint())) {
        return Ok(());
    }
    let spent = job.spent(placed, undo)?;
    let mut number = 0;
    for (at, transaction) in placed.block.transactions.iter().enumerate().skip(1) {
        for (input, from) in (0..).zip(transaction.inputs()) {
            let (point, coin) = (from.outpoint(), spent.get(number));
            number += 1;
            let (true, Some(coin)) = (is_wanted(point), coin) else { continue };
            let txid = placed.block.txids.get(at).copied().unwrap_or_default();
            let spend = Spend { height, transaction: at, input, txid, claimed: OwnCoin::of(&coin) };
            if let Some(facts) = facts.lock().get_mut(&(*point.txid, point.index)) {
                facts.spends.push(spend);
            }
        }
    }
    Ok(())
}

fn mark_hinted(path: &Path, facts: &mut BTreeMap<Point, Facts>) -> Result<(), CoinSetError> {
    let failed = CoinSetError::hints(path);
    let file = File::open(path).map_err(CoinSetError::io(path))?;
    let mut reader = HintsReader::new(BufReader::new(file)).map_err(&failed)?;
    let mut creations: Vec<&mut Creation> =
        facts.values_mut().flat_map(|facts| facts.creations.iter_mut()).collect();
    creations.sort_by_key(|creation| creation.coin.height);
    let mut height = 0;
    let mut places = Vec::new();
    for creation in creations {
        while height < creation.coin.height {
            places = reader.next_block().map_err(&failed)?.unwrap_or_default();
            height += 1;
        }
        creation.is_hinted = height == creation.coin.height
            && creation.place.is_some_and(|place| places.binary_search(&place).is_ok());
    }
    Ok(())
}
