//! Why a block is not valid, and whose fault that is.

use std::fmt;

use crate::block::{BlockFault, ReadBlock};
use crate::encode::Hash;

use super::scripts::ScriptFault;

/// A rule about transactions and coins. Shown as Core's reject reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Rule {
    /// A transaction spends nothing.
    #[error("bad-txns-vin-empty")]
    NoInputs,
    /// A transaction pays nobody.
    #[error("bad-txns-vout-empty")]
    NoOutputs,
    /// A transaction is larger than a block can be.
    #[error("bad-txns-oversize")]
    Oversize,
    /// An output has a negative value.
    #[error("bad-txns-vout-negative")]
    OutputNegative,
    /// An output has more than all money.
    #[error("bad-txns-vout-toolarge")]
    OutputTooLarge,
    /// The outputs have more than all money.
    #[error("bad-txns-txouttotal-toolarge")]
    OutputTotalTooLarge,
    /// A transaction spends a coin twice (CVE-2018-17144).
    #[error("bad-txns-inputs-duplicate")]
    DuplicateInputs,
    /// The coinbase script has fewer than 2 or more than 100 bytes.
    #[error("bad-cb-length")]
    CoinbaseLength,
    /// A transaction spends the null outpoint among others.
    #[error("bad-txns-prevout-null")]
    NullOutpoint,
    /// More signature operations than a block may have.
    #[error("bad-blk-sigops")]
    Sigops,
    /// A transaction's lock time, or one of its relative ones (BIP 68), is not over.
    #[error("bad-txns-nonfinal")]
    NotFinal,
    /// The coinbase does not start with the height, BIP 34.
    #[error("bad-cb-height")]
    CoinbaseHeight,
    /// A transaction has the id of another with unspent outputs, BIP 30.
    #[error("bad-txns-BIP30")]
    Overwrites,
    /// A coin that is spent already, or not yet created, or never.
    #[error("bad-txns-inputs-missingorspent")]
    MissingOrSpent,
    /// A coinbase output spent within 100 blocks.
    #[error("bad-txns-premature-spend-of-coinbase")]
    PrematureCoinbaseSpend,
    /// The inputs have more than all money.
    #[error("bad-txns-inputvalues-outofrange")]
    InputValues,
    /// A transaction pays more than it has.
    #[error("bad-txns-in-belowout")]
    InputsBelowOutputs,
    /// The fees are more than all money.
    #[error("bad-txns-accumulated-fee-outofrange")]
    AccumulatedFees,
    /// The coinbase pays more than subsidy and fees.
    #[error("bad-cb-amount")]
    CoinbaseAmount,
    /// An input's script fails. Core adds why in brackets, which its library does not tell.
    #[error("block-script-verify-flag-failed")]
    Script,
}

/// A rule that a transaction broke, before it is said where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken {
    /// The rule.
    pub rule: Rule,
    /// The input at which it was noticed, when it was at one.
    pub input: Option<usize>,
}

impl From<Rule> for Broken {
    fn from(rule: Rule) -> Self {
        Self { rule, input: None }
    }
}

impl Rule {
    /// The rule broken at an input.
    pub(super) fn at(self, input: usize) -> Broken {
        Broken { rule: self, input: Some(input) }
    }

    /// The rule broken by the whole block.
    pub(super) fn of_block(self, height: u32) -> Violation {
        Violation { rule: self, height, txid: None, input: None }
    }
}

impl Broken {
    /// The rule broken by the transaction at that place in the block.
    pub(super) fn by(self, block: &ReadBlock<'_>, transaction: usize, height: u32) -> Violation {
        let txid = block.txids.get(transaction).copied();
        Violation { rule: self.rule, height, txid, input: self.input.map(|input| input as u32) }
    }
}

/// A rule that a block broke, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// Height of the block.
    pub height: u32,
    /// Id of the transaction, internal order; `None` when it is the whole block.
    pub txid: Option<Hash>,
    /// The input, when it is about one.
    pub input: Option<u32>,
}

impl std::error::Error for Violation {}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: block {}", self.rule, self.height)?;
        if let Some(txid) = self.txid {
            write!(f, ", transaction ")?;
            txid.iter().rev().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        }
        self.input.map_or(Ok(()), |input| write!(f, ", input {input}"))
    }
}

/// Why a spent record is not what its block spends, whatever else it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpentFault {
    /// Another number of coins than the block has inputs.
    #[error("{found} spent coins where the block has {expected} inputs")]
    Count {
        /// Coins in the record.
        found: usize,
        /// Inputs of the block, the coinbase's not among them.
        expected: usize,
    },
    /// The coin is not the output that the block itself creates.
    #[error("the spent coin of input {input} is not the output of its own block")]
    Differs {
        /// The input, counted over the whole block.
        input: usize,
    },
    /// The coin is said to be of this block, or of a later one, and no transaction of this block created it.
    #[error("the spent coin of input {input} is said to come from block {coin_height}")]
    Height {
        /// The input, counted over the whole block.
        input: usize,
        /// Height that the coin is said to have.
        coin_height: u32,
    },
}

/// Why a block was not found valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bytes are not the block of that header, which may have a good one.
    #[error(transparent)]
    Bytes(#[from] BlockFault),
    /// The spent record contradicts the block: nothing is said about the block.
    #[error(transparent)]
    Spent(#[from] SpentFault),
    /// The block breaks a rule, if its spent outputs are as claimed.
    #[error(transparent)]
    Invalid(#[from] Violation),
    /// A header that is needed is not held: no verdict.
    #[error("the header at height {height} is missing")]
    NoHeader {
        /// Its height.
        height: u32,
    },
    /// The scripts could not be run: no verdict.
    #[error("scripts were not judged: {0}")]
    Judge(ScriptFault),
}

impl Refusal {
    pub(super) fn of_scripts(fault: ScriptFault, block: &ReadBlock<'_>, height: u32) -> Self {
        match fault {
            ScriptFault::Failed { transaction, input } => {
                Rule::Script.at(input).by(block, transaction, height).into()
            }
            ScriptFault::Stopped | ScriptFault::Engine { .. } => Self::Judge(fault),
        }
    }

    /// Core's reject reason, or what comes closest.
    pub fn reason(&self) -> String {
        match self {
            Self::Invalid(violation) => violation.rule.to_string(),
            other => other.to_string(),
        }
    }
}
