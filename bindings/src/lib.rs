//! The N-API surface of blockswarm: convert, call, convert. No logic lives here.
#![expect(clippy::needless_pass_by_value, reason = "napi hands arguments over by value")]
mod chain;
mod connector;
mod datadir;
#[cfg(feature = "engine")]
mod engine;
mod error;
mod hash;
mod http;
mod local_network;
mod lock;
mod reactor;
mod resume;
mod store;
mod task;
