//! BitTorrent over TCP and uTP, plain or encrypted, and web seeds over HTTP: links that serve and fetch blocks over a
//! piece store, as they are told. No policy.
//!
//! BEP 3 (messages), 6 (fast extension), 10 (extension protocol), 52 (v2 handshake bit and hash messages). A link is one task; whoever steers it sees states and counters, never a block.

mod batch;
mod connect;
mod context;
mod docket;
mod encryption;
pub mod events;
mod fetching;
pub mod framing;
mod grants;
mod greeting;
pub mod handshake;
mod hash_asking;
mod hash_serving;
mod hearing;
mod hub;
mod hub_links;
mod incoming;
mod key_exchange;
pub mod limits;
mod link;
pub mod message;
mod mse;
mod mse_input;
mod pace;
mod peer_pieces;
mod rate_classes;
mod rc4;
mod registry;
mod serving;
mod shared;
mod stream;
mod web_seed;
mod web_seed_run;

pub use context::Counters;
pub use encryption::Encryption;
pub use hash_asking::{HashAnswer, HashOutcome, HashesOf};
pub use hub::{Hub, HubOptions};
pub use limits::{CloseReason, Limits};
pub use pace::RATE_CLASSES;
pub use shared::{Hello, How, Transport};
pub use web_seed::WebSeed;
