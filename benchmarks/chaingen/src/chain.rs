//! The blocks of a chain and of its forks, in the order in which they arrive.
use crate::block::{Block, Place, assemble, genesis};
use crate::filler::Filler;
use crate::mix::{Body, MixedCoins};
use crate::open::{OpenCoins, data_outputs};
use crate::options::{Fork, ForkKind, Mix, OPEN_BYTES_LIMIT, Options, OptionsError};
use crate::room::Room;
use std::collections::VecDeque;

/// Blocks that must lie on top of a coinbase before it is spent (consensus: `COINBASE_MATURITY`).
const MATURITY: u32 = 100;
/// What a block takes besides its filler, rounded up: the coinbase alone, and with open coins spent.
const COINBASE_BYTES: u32 = 340;
const SPENDS_BYTES: u32 = 1_700;
/// Consensus: 4 million (BIP 141). The rest is for the estimate's errors.
const WEIGHT_LIMIT: usize = 3_990_000;

/// The blocks in an order in which each finds its parent, genesis first.
#[derive(Debug)]
pub struct Chain {
    options: Options,
    line: Line,
    /// Forks still to come, by height.
    forks: VecDeque<Fork>,
    /// Made and not yet handed out.
    ready: VecDeque<Block>,
}

impl Chain {
    /// A chain that starts at genesis.
    pub fn new(options: Options) -> Result<Self, OptionsError> {
        let options = options.checked()?;
        let coins = match options.mix {
            Mix::Open => Coins::Open(OpenCoins::default()),
            Mix::Mainnet { inputs_per_block } => Coins::Mixed(MixedCoins::new()?, inputs_per_block),
        };
        let forks = options.forks.iter().copied().collect();
        let line = Line { branch: 0, height: 0, tip: [0; 32], coins };
        Ok(Self { options, line, forks, ready: VecDeque::new() })
    }

    /// The blocks of a fork and of the chain beside it.
    fn fork(&mut self, branch: u32, fork: Fork) -> Result<(), OptionsError> {
        let mut left = Line { branch, ..self.line.clone() };
        let blocks = |line: &mut Line| -> Result<Vec<Block>, OptionsError> {
            (0..fork.depth).map(|_| line.block(&self.options)).collect()
        };
        match fork.kind {
            ForkKind::Stale => {
                self.ready.extend(blocks(&mut self.line)?);
                self.ready.extend(blocks(&mut left)?);
            }
            ForkKind::Reorganised => self.ready.extend(blocks(&mut left)?),
        }
        Ok(())
    }

    fn block(&mut self) -> Result<Option<Block>, OptionsError> {
        if self.ready.is_empty()
            && let Some(fork) = self.forks.front().copied()
            && fork.height == self.line.height
        {
            self.forks.pop_front();
            let branch = (self.options.forks.len() - self.forks.len()) as u32;
            self.fork(branch, fork)?;
        }
        if let Some(block) = self.ready.pop_front() {
            return Ok(Some(block));
        }
        if self.line.height >= self.options.blocks {
            return Ok(None);
        }
        self.line.block(&self.options).map(Some)
    }
}

impl Iterator for Chain {
    type Item = Result<Block, OptionsError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.block().transpose()
    }
}

#[derive(Debug, Clone)]
enum Coins {
    Open(OpenCoins),
    /// With the inputs of a block.
    Mixed(MixedCoins, u32),
}

/// A row of blocks that grows.
#[derive(Debug, Clone)]
struct Line {
    /// 0: the chain that stays.
    branch: u32,
    height: u32,
    tip: [u8; 32],
    coins: Coins,
}

impl Line {
    fn block(&mut self, options: &Options) -> Result<Block, OptionsError> {
        let network = options.network;
        let block = if self.height == 0 {
            genesis(network)
        } else {
            let place = Place { network, height: self.height, branch: self.branch, parent: self.tip };
            let empty = self.height >= options.blocks.saturating_sub(options.empty_blocks);
            self.next(place, options, if empty { 0 } else { options.bytes_per_block })?
        };
        self.tip = block.hash;
        self.height += 1;
        Ok(block)
    }

    /// The next block, of about `bytes`; of a coinbase only when they are 0.
    fn next(&mut self, place: Place, options: &Options, bytes: u32) -> Result<Block, OptionsError> {
        let Place { height, branch, network, .. } = place;
        let mut filler = Filler::new(options.seed, branch, height);
        let subsidy = network.subsidy_satoshi(height);
        let spends = height > MATURITY && bytes > 0;
        match &mut self.coins {
            Coins::Open(coins) => {
                let overhead = if spends { SPENDS_BYTES } else { COINBASE_BYTES };
                let budget = bytes.saturating_sub(overhead);
                let mut outputs = OpenCoins::coinbase_outputs(subsidy);
                let transactions =
                    if spends { coins.transactions(height, &mut filler, budget) } else { Vec::new() };
                if transactions.is_empty() {
                    outputs.extend(data_outputs(&mut filler, budget));
                }
                let (block, txid) = assemble(place, outputs, &transactions, options.threads);
                coins.add_coinbase(txid, subsidy);
                Ok(block)
            }
            Coins::Mixed(coins, inputs) => {
                let budget = bytes.saturating_sub(COINBASE_BYTES);
                let Body { transactions, fees_satoshi } = if spends {
                    let weight = WEIGHT_LIMIT - 4 * COINBASE_BYTES as usize;
                    let room = Room { inputs: *inputs as usize, bytes: budget as usize, weight };
                    coins.body(height, &mut filler, room, options.threads)?
                } else {
                    Body { transactions: Vec::new(), fees_satoshi: 0 }
                };
                let value = subsidy + fees_satoshi;
                let mut outputs = vec![coins.coinbase_output(height, value)];
                if !spends {
                    outputs.extend(data_outputs(&mut filler, budget.min(OPEN_BYTES_LIMIT - COINBASE_BYTES)));
                }
                let (block, txid) = assemble(place, outputs, &transactions, options.threads);
                coins.add_coinbase(height, txid, value);
                Ok(block)
            }
        }
    }
}
