//! What a block must be before its coins are looked at: the rest of Core's `CheckBlock` and `ContextualCheckBlock`
//! that [`read_block`](crate::block::read_block) has not checked.

use crate::block::ReadBlock;
use crate::script::push_number;

use super::Place;
use super::fault::{Refusal, Rule};
use super::sigops::{MAX_SIGOP_COST, SCALE, legacy_sigops};
use super::transaction::{check_transaction, is_final};

/// Checks every transaction by itself, the signature operations that are written out, lock times, and the height in
/// the coinbase.
pub fn check_rules(block: &ReadBlock<'_>, place: &Place<'_>) -> Result<(), Refusal> {
    let height = place.height();
    for (i, transaction) in block.transactions.iter().enumerate() {
        check_transaction(transaction).map_err(|broken| broken.by(block, i, height))?;
    }
    let sigops: u32 = block.transactions.iter().map(legacy_sigops).sum();
    if sigops * SCALE > MAX_SIGOP_COST {
        return Err(Rule::Sigops.of_block(height).into());
    }
    // BIP 113.
    let time = if place.csv_active() { place.median_time_past()? } else { block.header.time };
    for (i, transaction) in block.transactions.iter().enumerate() {
        if !is_final(transaction, height, time) {
            return Err(super::fault::Broken::from(Rule::NotFinal).by(block, i, height).into());
        }
    }
    if height >= place.context.params.activations.bip34 {
        let script = block.transactions.first().and_then(|coinbase| coinbase.inputs().next());
        if !script.is_some_and(|input| input.script.starts_with(&push_number(height))) {
            return Err(Rule::CoinbaseHeight.of_block(height).into());
        }
    }
    Ok(())
}
