#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
//! Tests of the whole of validation, by where their blocks come from.

#[cfg(feature = "engine")]
mod acceptance;
#[cfg(feature = "engine")]
mod chain_state;
#[cfg(feature = "engine")]
mod real_blocks;
