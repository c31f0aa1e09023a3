//! What a transaction must be by itself (`consensus/tx_check.cpp`), and when it is final (`consensus/tx_verify.cpp`).

use crate::block::MAX_BLOCK_BYTES;
use crate::coins::OutPoint;
use crate::money::MAX_MONEY;
use crate::transaction::Transaction;

use super::fault::{Broken, Rule};

/// Lock times below are heights, others are times.
const LOCK_TIME_THRESHOLD: u32 = 500_000_000;
/// A sequence number that opts out of lock times.
const SEQUENCE_FINAL: u32 = u32::MAX;
/// Inputs up to which each pair is compared.
const FEW_INPUTS: usize = 8;

/// Core's `CheckTransaction`.
pub fn check_transaction(transaction: &Transaction<'_>) -> Result<(), Broken> {
    if transaction.input_count() == 0 {
        return Err(Rule::NoInputs.into());
    }
    if transaction.outputs().next().is_none() {
        return Err(Rule::NoOutputs.into());
    }
    if 4 * transaction.stripped_bytes() > MAX_BLOCK_BYTES {
        return Err(Rule::Oversize.into());
    }
    let mut total = 0;
    for output in transaction.outputs() {
        if output.value.cast_signed() < 0 {
            return Err(Rule::OutputNegative.into());
        }
        if output.value > MAX_MONEY {
            return Err(Rule::OutputTooLarge.into());
        }
        total += output.value;
        if total > MAX_MONEY {
            return Err(Rule::OutputTotalTooLarge.into());
        }
    }
    if let Some(input) = duplicate_input(transaction) {
        return Err(Rule::DuplicateInputs.at(input));
    }
    if transaction.is_coinbase() {
        let length = transaction.inputs().next().map_or(0, |input| input.script.len());
        if !(2..=100).contains(&length) {
            return Err(Rule::CoinbaseLength.at(0));
        }
        return Ok(());
    }
    let null = |point: OutPoint<'_>| *point.txid == [0; 32] && point.index == u32::MAX;
    match transaction.inputs().position(|input| null(input.outpoint())) {
        Some(input) => Err(Rule::NullOutpoint.at(input)),
        None => Ok(()),
    }
}

/// The first input that spends what an input before it spends.
fn duplicate_input(transaction: &Transaction<'_>) -> Option<usize> {
    let points = || transaction.inputs().map(|input| input.outpoint());
    if transaction.input_count() <= FEW_INPUTS {
        return points().enumerate().position(|(i, point)| points().take(i).any(|before| before == point));
    }
    let mut sorted: Vec<_> = points().zip(0..).collect();
    sorted.sort_unstable();
    sorted.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| pair[1].1).min()
}

/// Core's `IsFinalTx`: whether the lock time is over at a height and time, or given up.
pub fn is_final(transaction: &Transaction<'_>, height: u32, time: u32) -> bool {
    let lock_time = transaction.lock_time();
    let now = if lock_time < LOCK_TIME_THRESHOLD { height } else { time };
    lock_time == 0 || lock_time < now || transaction.inputs().all(|input| input.sequence == SEQUENCE_FINAL)
}
