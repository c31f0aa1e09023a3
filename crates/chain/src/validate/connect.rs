//! The coins of a block: that they exist, are old enough, spent once, and pay for what is created (`ConnectBlock` and
//! `CheckTxInputs`).
//!
//! That an earlier block created a coin, and none before this one spent it, is for the sums to prove. What the block
//! itself creates is seen here, so that its order, and what the spent record says of it, are checked.

use std::collections::{HashMap, HashSet};

use crate::block::ReadBlock;
use crate::coins::{Coin, OutPoint, SpentCoins};
use crate::encode::Hash;
use crate::money::{MAX_MONEY, subsidy};
use crate::script::is_unspendable;
use crate::transaction::Transaction;

use super::Place;
use super::fault::{Broken, Refusal, Rule, SpentFault};
use super::sequence::{LEAST_VERSION, is_mature};
use super::sigops::{MAX_SIGOP_COST, SCALE, input_sigop_cost, legacy_sigops};

/// Blocks until a coinbase output may be spent.
const COINBASE_MATURITY: u32 = 100;

/// What a block comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connected {
    /// Satoshi that the transactions leave to the coinbase.
    pub fees: u64,
    /// Signature operations as weighed by BIP 141.
    pub sigop_cost: u32,
    /// The script rules that hold for the block (`params::script_flags`).
    pub script_flags: u32,
}

/// Checks a block against the coins that it spends. The rules of [`check_rules`](super::check_rules) hold.
pub fn connect(block: &ReadBlock<'_>, place: &Place<'_>, spent: &SpentCoins) -> Result<Connected, Refusal> {
    let height = place.height();
    let script_flags = place.context.params.script_flags(height, place.hash);
    if *place.context.header == place.context.params.genesis_header {
        return Ok(Connected { fees: 0, sigop_cost: 0, script_flags });
    }
    let expected = block.transactions.iter().skip(1).map(Transaction::input_count).sum();
    if spent.len() != expected {
        return Err(SpentFault::Count { found: spent.len(), expected }.into());
    }
    let mut coins = BlockCoins::new(block, place, spent, expected);
    let (mut fees, mut sigop_cost) = (0, 0);
    for (i, transaction) in block.transactions.iter().enumerate() {
        let broken = |broken: Broken| Refusal::from(broken.by(block, i, height));
        sigop_cost += SCALE * legacy_sigops(transaction);
        if i > 0 {
            let first = coins.next_input;
            coins.spend(i, transaction)?;
            fees += fee(transaction, first, spent, height).map_err(broken)?;
            if fees > MAX_MONEY {
                return Err(broken(Rule::AccumulatedFees.into()));
            }
            sigop_cost += check_inputs(block, place, i, first, spent, script_flags)?;
        }
        if sigop_cost > MAX_SIGOP_COST {
            return Err(broken(Rule::Sigops.into()));
        }
    }
    let paid: u64 = block.transactions.first().map_or(0, output_total);
    if paid > fees + subsidy(height, place.context.params) {
        return Err(Broken::from(Rule::CoinbaseAmount).by(block, 0, height).into());
    }
    Ok(Connected { fees, sigop_cost, script_flags })
}

/// What the block creates and has spent so far.
struct BlockCoins<'a> {
    block: &'a ReadBlock<'a>,
    spent: &'a SpentCoins,
    height: u32,
    /// Id of each transaction to its place.
    created: HashMap<&'a Hash, usize>,
    seen: HashSet<OutPoint<'a>>,
    /// The next input, counted over the whole block.
    next_input: usize,
}

impl<'a> BlockCoins<'a> {
    fn new(block: &'a ReadBlock<'a>, place: &Place<'_>, spent: &'a SpentCoins, inputs: usize) -> Self {
        let created = block.txids.iter().enumerate().map(|(place, txid)| (txid, place)).collect();
        let seen = HashSet::with_capacity(inputs);
        Self { block, spent, height: place.height(), created, seen, next_input: 0 }
    }

    /// Takes the coins of a transaction, each of which must be there.
    fn spend(&mut self, transaction: usize, bytes: &Transaction<'a>) -> Result<(), Refusal> {
        for (i, input) in bytes.inputs().enumerate() {
            let point = input.outpoint();
            let exists = self.exists(point, transaction)? && self.seen.insert(point);
            if !exists {
                let broken = Rule::MissingOrSpent.at(i);
                return Err(broken.by(self.block, transaction, self.height).into());
            }
            self.next_input += 1;
        }
        Ok(())
    }

    /// Whether the coin of the next input exists before `transaction`, as far as this block tells.
    fn exists(&self, point: OutPoint<'_>, transaction: usize) -> Result<bool, SpentFault> {
        let input = self.next_input;
        let Some(creator) = self.created.get(point.txid).copied() else {
            // Of an earlier block.
            let Some(coin) = self.spent.get(input) else { return Ok(false) };
            if coin.height >= self.height {
                return Err(SpentFault::Height { input, coin_height: coin.height });
            }
            return Ok(!is_unspendable(coin.script));
        };
        let outputs = self.block.transactions.get(creator).map(Transaction::outputs);
        let output = outputs.and_then(|mut outputs| outputs.nth(point.index as usize));
        let Some(output) = output.filter(|output| creator < transaction && !is_unspendable(output.script))
        else {
            return Ok(false);
        };
        let real = Coin {
            height: self.height,
            is_coinbase: creator == 0,
            value: output.value,
            script: output.script,
        };
        if self.spent.get(input) == Some(real) { Ok(true) } else { Err(SpentFault::Differs { input }) }
    }
}

/// `CheckTxInputs`: what a transaction leaves over. `first` is its first input, counted over the whole block.
fn fee(transaction: &Transaction<'_>, first: usize, spent: &SpentCoins, height: u32) -> Result<u64, Broken> {
    let mut value_in = 0;
    for i in 0..transaction.input_count() {
        let coin = spent.get(first + i).ok_or_else(|| Rule::MissingOrSpent.at(i))?;
        if coin.is_coinbase && height - coin.height < COINBASE_MATURITY {
            return Err(Rule::PrematureCoinbaseSpend.at(i));
        }
        if coin.value > MAX_MONEY || value_in + coin.value > MAX_MONEY {
            return Err(Rule::InputValues.at(i));
        }
        value_in += coin.value;
    }
    value_in.checked_sub(output_total(transaction)).ok_or_else(|| Rule::InputsBelowOutputs.into())
}

/// Relative lock times, and the cost of signature operations that only the coins tell.
fn check_inputs(
    block: &ReadBlock<'_>,
    place: &Place<'_>,
    transaction: usize,
    first: usize,
    spent: &SpentCoins,
    flags: u32,
) -> Result<u32, Refusal> {
    let Some(bytes) = block.transactions.get(transaction) else { return Ok(0) };
    let has_relative_locks = place.csv_active() && bytes.version() >= LEAST_VERSION;
    let (mut witnesses, mut cost) = (bytes.last_witness_items(), 0);
    for (i, input) in bytes.inputs().enumerate() {
        let Some(coin) = spent.get(first + i) else { continue };
        if has_relative_locks && !is_mature(&input, coin.height, place)? {
            return Err(Rule::NotFinal.at(i).by(block, transaction, place.height()).into());
        }
        cost += input_sigop_cost(&input, &coin, witnesses.next().unwrap_or_default(), flags);
    }
    Ok(cost)
}

/// The values of the outputs, which are known to be money together.
fn output_total(transaction: &Transaction<'_>) -> u64 {
    transaction.outputs().map(|output| output.value).sum()
}
