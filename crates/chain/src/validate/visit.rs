//! The coins of a block, each shown once: for sums, indexes and snapshots.

use crate::block::ReadBlock;
use crate::coins::{Coin, OutPoint, SpentCoins};
use crate::script::is_unspendable;
use crate::transaction::Transaction;

use super::Place;
use super::bip30::is_overwritten;

/// Sees the coins of a valid block.
pub trait CoinVisitor {
    /// The block creates this coin.
    fn created(&mut self, point: OutPoint<'_>, coin: &Coin<'_>);
    /// The block spends this coin, one of its own among them.
    fn spent(&mut self, point: OutPoint<'_>, coin: &Coin<'_>);
}

/// Looks away.
impl CoinVisitor for () {
    fn created(&mut self, _: OutPoint<'_>, _: &Coin<'_>) {}
    fn spent(&mut self, _: OutPoint<'_>, _: &Coin<'_>) {}
}

/// Shows each coin that a block creates, then each that it spends.
///
/// Left out is what never can be spent: outputs with such scripts, genesis' coinbase, and the two coinbases that
/// another one overwrote before they were (BIP 30).
pub fn visit_coins(
    block: &ReadBlock<'_>,
    place: &Place<'_>,
    spent: &SpentCoins,
    visitor: &mut impl CoinVisitor,
) {
    let height = place.height();
    if *place.context.header == place.context.params.genesis_header {
        return;
    }
    let coinbase_counts = !is_overwritten(height, place.hash);
    for (i, (transaction, txid)) in block.transactions.iter().zip(&block.txids).enumerate() {
        if i == 0 && !coinbase_counts {
            continue;
        }
        for (index, output) in (0..).zip(transaction.outputs()) {
            if !is_unspendable(output.script) {
                let coin = Coin { height, is_coinbase: i == 0, value: output.value, script: output.script };
                visitor.created(OutPoint { txid, index }, &coin);
            }
        }
    }
    let inputs = block.transactions.iter().skip(1).flat_map(Transaction::inputs);
    for (i, input) in inputs.enumerate() {
        if let Some(coin) = spent.get(i) {
            visitor.spent(input.outpoint(), &coin);
        }
    }
}
