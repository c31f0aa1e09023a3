//! Every consensus rule for one block, in any order of blocks.
//!
//! What is not decided here: the header's own rules (`headers`, which a block's header has passed before), whether the
//! spent outputs are genuine and spent once over the whole chain (the sums), and BIP 30 (`bip30`, a little state over
//! the whole chain). Given those, the verdict is Core's: `CheckBlock`, `ContextualCheckBlock` and `ConnectBlock`
//! (`validation.cpp`).
//!
//! The stages are functions of their own, cheap first, and each says who is to blame: [`read_block`] the bytes,
//! [`check_rules`] the block, [`connect`] the block or its spent record, a [`ScriptJudge`] the block.

pub mod bip30;
mod connect;
#[cfg(feature = "engine")]
mod engine_judge;
mod fault;
mod rules;
mod scripts;
mod sequence;
mod sigops;
#[cfg(test)]
pub(crate) mod tests;
mod transaction;
mod visit;

pub use connect::{Connected, connect};
#[cfg(feature = "engine")]
pub use engine_judge::EngineJudge;
pub use fault::{Refusal, Rule, SpentFault, Violation};
pub use rules::check_rules;
pub use scripts::{BlockScripts, ScriptFault, ScriptJudge};
pub use transaction::check_transaction;
pub use visit::{CoinVisitor, visit_coins};

use crate::block::{BlockContext, ReadBlock, read_block};
use crate::coins::SpentCoins;
use crate::encode::Hash;
use crate::headers::HeaderChain;

/// The median times of a header chain.
pub trait MedianTimes: Sync {
    /// Median time of the eleven headers up to and with `height`, in Unix seconds; `None` when it is not held.
    fn median_time_at(&self, height: u32) -> Option<u32>;
}

impl MedianTimes for HeaderChain {
    fn median_time_at(&self, height: u32) -> Option<u32> {
        HeaderChain::median_time_at(self, height)
    }
}

/// The place of a block in its chain.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// Its header, height and network.
    pub context: BlockContext<'a>,
    /// Its hash, internal order.
    pub hash: &'a Hash,
    /// The headers below it.
    pub median_times: &'a dyn MedianTimes,
}

impl Place<'_> {
    fn height(&self) -> u32 {
        self.context.height
    }

    /// Median time of the block before.
    fn median_time_past(&self) -> Result<u32, Refusal> {
        self.median_time_at(self.height().saturating_sub(1))
    }

    fn median_time_at(&self, height: u32) -> Result<u32, Refusal> {
        self.median_times.median_time_at(height).ok_or(Refusal::NoHeader { height })
    }

    fn csv_active(&self) -> bool {
        self.height() >= self.context.params.activations.csv
    }
}

/// What was learnt from a valid block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidBlock {
    /// Transactions, the coinbase among them.
    pub transactions: u32,
    /// Inputs, the coinbase's not among them.
    pub inputs: u32,
    /// Weight units, BIP 141.
    pub weight: u32,
    /// Signature operations as weighed by BIP 141.
    pub sigop_cost: u32,
    /// Satoshi that the transactions leave to the coinbase.
    pub fees: u64,
    /// Id of the coinbase, for BIP 30.
    pub coinbase_txid: Hash,
}

/// Judges one block, `bytes` in full serialization, by every rule that `spent`, the coins of its inputs as claimed,
/// allows to decide. Calls `visitor` once for each coin that a valid block creates or spends.
///
/// Genesis is valid and creates and spends nothing. Time is bounded by the block's weight; the scripts of the worst
/// legal block may take minutes on one core.
pub fn validate_block(
    bytes: &[u8],
    place: &Place<'_>,
    spent: &SpentCoins,
    judge: &dyn ScriptJudge,
    visitor: &mut impl CoinVisitor,
) -> Result<ValidBlock, Refusal> {
    let block = read_block(bytes, &place.context)?;
    let connected = check_connected(&block, place, spent)?;
    judge_scripts(&block, place, spent, &connected, judge)?;
    visit_coins(&block, place, spent, visitor);
    Ok(ValidBlock {
        transactions: block.transactions.len() as u32,
        inputs: spent.len() as u32,
        weight: block.weight,
        sigop_cost: connected.sigop_cost,
        fees: connected.fees,
        coinbase_txid: block.txids.first().copied().unwrap_or_default(),
    })
}

/// All rules but those of scripts for a block that was read.
pub fn check_connected(
    block: &ReadBlock<'_>,
    place: &Place<'_>,
    spent: &SpentCoins,
) -> Result<Connected, Refusal> {
    check_rules(block, place)?;
    connect(block, place, spent)
}

/// The scripts of a block that is valid otherwise.
pub fn judge_scripts(
    block: &ReadBlock<'_>,
    place: &Place<'_>,
    spent: &SpentCoins,
    connected: &Connected,
    judge: &dyn ScriptJudge,
) -> Result<(), Refusal> {
    let scripts = BlockScripts { transactions: &block.transactions, spent, flags: connected.script_flags };
    judge.judge(&scripts).map_err(|fault| Refusal::of_scripts(fault, block, place.height()))
}
