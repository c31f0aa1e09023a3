//! The N-API surface of blockswarm: convert, call, convert. No logic lives here.
#![expect(clippy::needless_pass_by_value, reason = "napi hands arguments over by value")]
#[cfg(feature = "engine")]
mod arriving;
mod block_files;
mod chain;
mod chain_records;
mod coin_set;
mod connector;
mod datadir;
#[cfg(feature = "engine")]
mod engine;
mod error;
mod export;
mod hash;
mod http;
mod kept;
mod local_network;
mod lock;
mod old_undo;
mod pace;
mod reactor;
mod resume;
mod store;
mod task;
mod trust;
#[cfg(feature = "engine")]
mod validate;
