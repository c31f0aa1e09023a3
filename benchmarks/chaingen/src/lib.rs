//! Deterministic chains that Core's engine accepts in full: the same options give the same bytes on every host and
//! with any number of threads, so that tests and benchmarks can name their infohashes.
//!
//! Two mixes: coins open to anyone, made as fast as they are written, and the signed ones of today's mainnet. The
//! blocks have what real ones have: BIP 34 heights, segwit commitments, coins spent after maturity and in the block
//! that made them, and filler that does not compress. Encodings are not shared with the crates under test: an error
//! there cannot hide behind the same error here. (Their hash lanes only look for a nonce.)
mod block;
mod chain;
pub mod datadir;
mod filler;
mod grind;
mod keys;
mod mix;
mod network;
mod open;
mod options;
mod parallel;
mod room;
mod sign;
mod transaction;

pub use block::Block;
pub use chain::Chain;
pub use network::{Network, SIGNET_CHALLENGE};
pub use options::{Fork, ForkKind, Mix, Options, OptionsError};
