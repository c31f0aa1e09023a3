//! The scripts of a block's inputs.
//!
//! Behind a trait: a call of Core's that takes the coins may replace the judge one day.

use crate::coins::SpentCoins;
use crate::transaction::Transaction;

/// What is to be judged: all inputs of a block but the coinbase's.
#[derive(Debug, Clone, Copy)]
pub struct BlockScripts<'a> {
    /// All transactions, the coinbase first.
    pub transactions: &'a [Transaction<'a>],
    /// The coin of each input.
    pub spent: &'a SpentCoins,
    /// The script rules that hold (`params::script_flags`).
    pub flags: u32,
}

/// Why the scripts of a block are not known to be valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScriptFault {
    /// An input's script fails: always the first in the block that does.
    #[error("the script of input {input} of transaction {transaction} fails")]
    Failed {
        /// Place of the transaction in the block.
        transaction: usize,
        /// Its input.
        input: usize,
    },
    /// The judge was asked to stop.
    #[error("stopped")]
    Stopped,
    /// The engine does not take what it was given, which says nothing about the block.
    #[error("Core's engine does not take transaction {transaction}")]
    Engine {
        /// Place of the transaction in the block.
        transaction: usize,
    },
}

/// Judges scripts. Called by several threads at once.
pub trait ScriptJudge: Sync {
    /// Runs the scripts of a block. May take minutes for the worst legal block.
    fn judge(&self, block: &BlockScripts<'_>) -> Result<(), ScriptFault>;
}
