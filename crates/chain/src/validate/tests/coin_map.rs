//! The coins of a chain in a map, as a node keeps them.

use std::collections::HashMap;

use super::super::*;
use crate::block::ReadBlock;
use crate::coins::{Coin, OutPoint};
use crate::encode::{push_compact_size, sha256d};
use crate::transaction::Transaction;

#[derive(Debug, Clone, PartialEq, Eq)]
struct OwnCoin {
    height: u32,
    is_coinbase: bool,
    value: u64,
    script: Vec<u8>,
}

impl OwnCoin {
    fn of(coin: &Coin<'_>) -> Self {
        let Coin { height, is_coinbase, value, script } = *coin;
        Self { height, is_coinbase, value, script: script.to_vec() }
    }

    fn borrow(&self) -> Coin<'_> {
        let Self { height, is_coinbase, value, script } = self;
        Coin { height: *height, is_coinbase: *is_coinbase, value: *value, script }
    }
}

type Point = (Hash, u32);

/// What the last block changed.
#[derive(Debug, Default)]
pub struct Changes {
    created: Vec<Point>,
    spent: Vec<(Point, OwnCoin)>,
}

/// Takes in valid blocks as a visitor of their coins.
#[derive(Default)]
pub struct CoinMap {
    coins: HashMap<Point, OwnCoin>,
    changes: Changes,
}

impl CoinVisitor for CoinMap {
    fn created(&mut self, point: OutPoint<'_>, coin: &Coin<'_>) {
        let point = (*point.txid, point.index);
        assert_eq!(self.coins.insert(point, OwnCoin::of(coin)), None, "BIP 30");
        self.changes.created.push(point);
    }

    fn spent(&mut self, point: OutPoint<'_>, coin: &Coin<'_>) {
        let point = (*point.txid, point.index);
        assert_eq!(self.coins.remove(&point), Some(OwnCoin::of(coin)));
        self.changes.spent.push((point, OwnCoin::of(coin)));
    }
}

impl CoinMap {
    pub fn len(&self) -> usize {
        self.coins.len()
    }

    pub fn contains(&self, txid: &Hash, index: u32) -> bool {
        self.coins.contains_key(&(*txid, index))
    }

    /// What a spent record would say: the coins of the block before, and those that the block creates anywhere.
    pub fn spent_by(&self, block: &ReadBlock<'_>, height: u32) -> SpentCoins {
        let created: HashMap<&Hash, usize> = block.txids.iter().zip(0..).collect();
        let mut spent = SpentCoins::default();
        for input in block.transactions.iter().skip(1).flat_map(Transaction::inputs) {
            let point = input.outpoint();
            let own = created.get(point.txid).and_then(|at| {
                let output = block.transactions[*at].outputs().nth(point.index as usize)?;
                Some(Coin { height, is_coinbase: *at == 0, value: output.value, script: output.script })
            });
            let before = || self.coins.get(&(*point.txid, point.index)).map(OwnCoin::borrow);
            spent.push(own.or_else(before));
        }
        spent
    }

    /// What changed since this was asked before.
    pub fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// Undoes the changes of the last block.
    pub fn revert(&mut self, changes: Changes) {
        self.coins.extend(changes.spent);
        for point in changes.created {
            self.coins.remove(&point);
        }
    }

    /// Core's `hash_serialized_3`.
    pub fn hash(&self) -> Hash {
        let mut sorted: Vec<_> = self.coins.iter().collect();
        sorted.sort_unstable_by_key(|(point, _)| **point);
        let mut bytes = Vec::new();
        for ((txid, index), coin) in sorted {
            bytes.extend_from_slice(txid);
            bytes.extend_from_slice(&index.to_le_bytes());
            bytes.extend_from_slice(&(2 * coin.height + u32::from(coin.is_coinbase)).to_le_bytes());
            bytes.extend_from_slice(&coin.value.to_le_bytes());
            push_compact_size(&mut bytes, coin.script.len() as u64);
            bytes.extend_from_slice(&coin.script);
        }
        sha256d([&bytes])
    }
}
