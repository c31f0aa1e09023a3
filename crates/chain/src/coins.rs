//! Coins: outputs that can be spent, and those that one block spends.

use crate::encode::Hash;

/// What a transaction output is called by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OutPoint<'a> {
    /// Id of the transaction, internal order.
    pub txid: &'a Hash,
    /// Which of its outputs.
    pub index: u32,
}

/// An output that can be spent, borrowed (Core's `Coin`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coin<'a> {
    /// Height of the block that created it.
    pub height: u32,
    /// Whether a coinbase created it.
    pub is_coinbase: bool,
    /// Satoshi.
    pub value: u64,
    /// The locking script.
    pub script: &'a [u8],
}

/// The coins that a block spends, in the order of its inputs; the coinbase has none.
///
/// One that its keeper could not find has a place all the same: the block that spends it is invalid.
/// Takes 32 bytes for each coin, and the scripts.
#[derive(Debug, Clone, Default)]
pub struct SpentCoins {
    entries: Vec<Entry>,
    scripts: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    script_end: usize,
    value: u64,
    height: u32,
    is_coinbase: bool,
    is_missing: bool,
}

impl SpentCoins {
    /// Room for the coins of so many inputs.
    pub fn with_capacity(inputs: usize) -> Self {
        Self { entries: Vec::with_capacity(inputs), scripts: Vec::new() }
    }

    /// Inputs that have a place.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Appends the coin of the next input; `None` when there is no such coin.
    pub fn push(&mut self, coin: Option<Coin<'_>>) {
        let Coin { height, is_coinbase, value, script } =
            coin.unwrap_or(Coin { height: 0, is_coinbase: false, value: 0, script: &[] });
        self.scripts.extend_from_slice(script);
        let is_missing = coin.is_none();
        self.entries.push(Entry { script_end: self.scripts.len(), value, height, is_coinbase, is_missing });
    }

    /// The coin of an input, counted over the whole block; `None` when it has none.
    pub fn get(&self, input: usize) -> Option<Coin<'_>> {
        let entry = self.entries.get(input).filter(|entry| !entry.is_missing)?;
        let start = match input {
            0 => 0,
            _ => self.entries.get(input - 1)?.script_end,
        };
        let script = self.scripts.get(start..entry.script_end)?;
        Some(Coin { height: entry.height, is_coinbase: entry.is_coinbase, value: entry.value, script })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_each_coin_and_none_for_one_that_is_missing() {
        let mut spent = SpentCoins::default();
        let coins = [
            Some(Coin { height: 7, is_coinbase: true, value: 5, script: &[1, 2] }),
            None,
            Some(Coin { height: 8, is_coinbase: false, value: u64::MAX, script: &[] }),
            Some(Coin { height: 9, is_coinbase: false, value: 0, script: &[3] }),
        ];
        for coin in coins {
            spent.push(coin);
        }
        assert_eq!(spent.len(), 4);
        for (i, coin) in coins.iter().enumerate() {
            assert_eq!(spent.get(i), *coin);
        }
        assert_eq!(spent.get(4), None);
    }
}
