//! Tests of the whole of validation, by where their blocks come from.
#![cfg(feature = "engine")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod acceptance;
mod asm;
mod chain_state;
mod coin_map;
mod constructed;
mod contiguous;
mod costly;
mod drafts;
mod judges;
mod places;
mod real_blocks;
mod set_proof;
pub mod transactions;
mod vectors;
