//! Sums over sets of coins that do not depend on the order.
//!
//! The set proof (`SwiftSync`): all coins created, less all coins spent, are the coins that are left. Each side is a sum
//! over its coins, so that blocks may come in any order, on any thread.
mod companion;
mod muhash;
mod salted;

pub use companion::{SegmentSums, SumsFault, read_sums, write_sums};
pub use muhash::{MUHASH_BYTES, MuHash};
pub use salted::{SALT_BYTES, Salt, SaltedSum};

use crate::coins::{Coin, OutPoint};
use crate::encode::push_compact_size;

/// Height and coinbase flag in one number (Core: `Coin::Serialize`). Heights are below 2^31.
pub(crate) fn code(coin: &Coin<'_>) -> u32 {
    coin.height << 1 | u32::from(coin.is_coinbase)
}

/// Appends what all hashes over coins take of one (Core, `coinstats.cpp`, `TxOutSer`): outpoint, code, value, script.
pub(crate) fn push_preimage(point: OutPoint<'_>, coin: &Coin<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(point.txid);
    out.extend_from_slice(&point.index.to_le_bytes());
    out.extend_from_slice(&code(coin).to_le_bytes());
    out.extend_from_slice(&coin.value.to_le_bytes());
    push_compact_size(out, coin.script.len() as u64);
    out.extend_from_slice(coin.script);
}
