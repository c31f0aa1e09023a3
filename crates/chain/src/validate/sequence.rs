//! Relative lock times, BIP 68 (`consensus/tx_verify.cpp`).

use crate::transaction::Input;

use super::{Place, Refusal};

/// The sequence number means nothing.
const DISABLED: u32 = 1 << 31;
/// It counts time, not blocks.
const IS_TIME: u32 = 1 << 22;
/// The count.
const MASK: u32 = 0xffff;
/// Seconds of a count of time, as a power of two.
const GRANULARITY: u32 = 9;
/// The version from which transactions have relative lock times.
pub const LEAST_VERSION: u32 = 2;

/// Whether an input's coin, created at `coin_height`, is old enough for the block at that place.
pub fn is_mature(input: &Input<'_>, coin_height: u32, place: &Place<'_>) -> Result<bool, Refusal> {
    if input.sequence & DISABLED != 0 {
        return Ok(true);
    }
    let count = input.sequence & MASK;
    if input.sequence & IS_TIME == 0 {
        return Ok(u64::from(coin_height) + u64::from(count) <= u64::from(place.height()));
    }
    let created = place.median_time_at(coin_height.saturating_sub(1))?;
    let over = u64::from(created) + (u64::from(count) << GRANULARITY);
    Ok(over <= u64::from(place.median_time_past()?))
}
