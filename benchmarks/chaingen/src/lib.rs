//! A deterministic regtest chain that Core's engine accepts in full: the same options give the same bytes on
//! every host, so that tests and benchmarks can name its infohashes.
//!
//! The blocks have what real ones have: BIP 34 heights, segwit commitments, coins of several script types spent
//! after maturity, a coin spent in the block that made it, and filler that does not compress. Nothing is shared
//! with the crates under test: an error in their encoding cannot hide behind the same error here.
mod block;
mod filler;
mod transaction;

pub use block::{Block, GENESIS_TIME_SECONDS, REGTEST_MAGIC};

use block::{Coinbase, assemble, genesis};
use filler::Filler;
use std::collections::VecDeque;
use transaction::{Coin, Lock, Transaction, data_output, output};

/// Blocks that must lie on top of a coinbase before it is spent (consensus: `COINBASE_MATURITY`).
const MATURITY: u32 = 100;
/// Blocks on top after which the bare `OP_TRUE` coin of a transaction is spent.
const BARE_COIN_AGE: u32 = 7;
/// Paid by every transaction, so that amounts out are below amounts in. The coinbase leaves fees unclaimed.
const FEE_SATOSHI: u64 = 1_000;
/// What a block takes besides its filler, rounded up: the coinbase alone, and with transactions.
const COINBASE_BYTES: u32 = 340;
const SPENDS_BYTES: u32 = 1_700;
/// Bytes of one filler output, below the 10,000 from which Core prunes a script as unspendable by its size.
const DATA_OUTPUT_BYTES: u32 = 9_000;
/// 900 KB of outputs weigh 3.6 million units: the limit is 4 million.
const BLOCK_BYTES_LIMIT: u32 = 900_000;

/// What to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Blocks, genesis included: heights `0..blocks`.
    pub blocks: u32,
    /// Size aimed at for every block but genesis, up to 900,000.
    pub bytes_per_block: u32,
}

impl Default for Options {
    /// Three sealed segments of 144 blocks and some more on top, blocks files of about 15 MiB.
    fn default() -> Self {
        Self { blocks: 600, bytes_per_block: 110_000 }
    }
}

/// Options out of range.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("bytes per block expected at most {BLOCK_BYTES_LIMIT}, got {0}")]
pub struct BlockTooLarge(pub u32);

/// The blocks in height order, genesis first.
#[derive(Debug)]
pub struct Chain {
    options: Options,
    height: u32,
    tip: [u8; 32],
    /// Coins of coinbases, oldest first: one entry a height.
    coinbases: VecDeque<Coinbase>,
    /// Bare `OP_TRUE` coins of earlier transactions, oldest first, with the height that made them.
    bare: VecDeque<(u32, Coin)>,
}

impl Chain {
    /// A chain that starts at genesis.
    pub fn new(options: Options) -> Result<Self, BlockTooLarge> {
        if options.bytes_per_block > BLOCK_BYTES_LIMIT {
            return Err(BlockTooLarge(options.bytes_per_block));
        }
        Ok(Self { options, height: 0, tip: [0; 32], coinbases: VecDeque::new(), bare: VecDeque::new() })
    }

    /// The transactions of the next block besides the coinbase: none before the first coin is mature.
    fn transactions(&mut self, filler: &mut Filler, budget: u32) -> Vec<Transaction> {
        if self.height <= MATURITY {
            return Vec::new();
        }
        let Some(coinbase) = self.coinbases.pop_front() else { return Vec::new() };
        // Coinbase coins of three types become a coin for the filler's witness, a bare and a nested one.
        let first = Transaction::spend(&coinbase.coins, FEE_SATOSHI, &[Lock::Drop, Lock::Bare, Lock::Nested]);
        let mut coins = first.coins();
        let nested = coins.pop();
        let bare = coins.pop();
        // The second spends two of them in the same block.
        let mut dropped: Vec<Coin> = coins;
        dropped.extend(nested);
        let mut second = Transaction::spend(&dropped, FEE_SATOSHI, &[Lock::Witness]);
        let in_witness = second.fill_witness(filler, budget / 2);
        for script in data_scripts(filler, budget.saturating_sub(in_witness)) {
            second.outputs.push(data_output(&script));
        }
        let mut transactions = vec![first, second];
        // The third has no witness at all: the old encoding.
        if self.bare.front().is_some_and(|(made, _)| self.height >= made + BARE_COIN_AGE)
            && let Some((_, coin)) = self.bare.pop_front()
        {
            transactions.push(Transaction::spend(&[coin], FEE_SATOSHI, &[Lock::ScriptHash, Lock::Bare]));
        }
        self.bare.extend(bare.map(|coin| (self.height, coin)));
        transactions
    }
}

/// Filler for outputs: `bytes` in scripts of at most [`DATA_OUTPUT_BYTES`].
fn data_scripts(filler: &mut Filler, bytes: u32) -> Vec<Vec<u8>> {
    let mut left = bytes;
    let mut scripts = Vec::new();
    while left > 0 {
        let part = left.min(DATA_OUTPUT_BYTES);
        scripts.push(filler.bytes(part));
        left -= part;
    }
    scripts
}

impl Iterator for Chain {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        if self.height >= self.options.blocks {
            return None;
        }
        let block = if self.height == 0 {
            genesis()
        } else {
            let mut filler = Filler::new(self.height);
            let overhead = if self.height > MATURITY { SPENDS_BYTES } else { COINBASE_BYTES };
            let budget = self.options.bytes_per_block.saturating_sub(overhead);
            let transactions = self.transactions(&mut filler, budget);
            let mut outputs: Vec<_> = [Lock::Witness, Lock::Bare, Lock::ScriptHash]
                .iter()
                .map(|lock| output(subsidy_satoshi(self.height) / 3, *lock))
                .collect();
            if transactions.is_empty() {
                outputs.extend(data_scripts(&mut filler, budget).iter().map(|script| data_output(script)));
            }
            let (block, coinbase) = assemble(self.height, self.tip, outputs, &transactions);
            self.coinbases.push_back(coinbase);
            block
        };
        self.tip = block.hash;
        self.height += 1;
        Some(block)
    }
}

/// What a regtest block may make: 50 coins, halved every 150 blocks.
fn subsidy_satoshi(height: u32) -> u64 {
    5_000_000_000u64.checked_shr(height / 150).unwrap_or(0)
}
