//! Block bytes and consensus: networks, headers, blocks, spent outputs, segments. No sockets.
//!
//! Everything here judges bytes that strangers sent: each length and count is bounded before memory is
//! taken for it, and a bad byte is a value (a *fault*), never a panic.

pub mod block;
pub mod chain_records;
pub mod coins;
pub mod coinset;
pub mod compressor;
pub mod datadir_lock;
pub mod decoded;
pub mod encode;
#[cfg(feature = "engine")]
pub mod engine;
pub mod header;
pub mod headers;
pub mod hints;
pub mod hints_file;
pub mod judge;
pub mod known_snapshots;
pub mod merkle;
pub mod money;
mod old_undo;
pub mod params;
pub mod pow;
pub mod scan;
pub mod script;
pub mod segments;
#[cfg(feature = "engine")]
pub mod signet;
pub mod snapshot;
mod sorted_records;
mod sorted_runs;
pub mod sums;
pub mod transaction;
pub mod u256;
pub mod undo;
pub mod validate;
#[cfg(feature = "engine")]
pub mod validation;

#[cfg(test)]
mod testdata;
