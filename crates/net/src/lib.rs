//! Every socket of the process: one tokio runtime, TCP listening and dialling, one UDP socket behind a gate.
//!
//! Knows nothing of pieces, torrents or peers. Everything here is bounded: threads, queues, tables, waits.

pub mod bucket;
pub mod error;
pub mod gate;
pub mod runtime;
pub mod tcp;
pub mod udp;

pub use bucket::{RateBucket, TokenBucket, Turn};
pub use error::NetError;
pub use gate::{DatagramGate, GateLimits, Verdict};
pub use runtime::{Runtime, RuntimeOptions};
pub use udp::{Datagram, Udp, UdpLimits};
