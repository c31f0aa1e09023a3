//! Every socket of the process: one tokio runtime, TCP listening and dialling, one UDP socket behind a gate, an HTTP client.
//!
//! Knows nothing of pieces, torrents or peers. Everything here is bounded: threads, queues, tables, waits.

pub mod address_filter;
pub mod bucket;
pub mod connector;
pub mod endpoint;
pub mod error;
pub mod gate;
pub mod gateway;
pub mod http;
mod http_answer;
mod http_connection;
pub mod http_dial;
pub mod http_error;
pub mod http_get;
pub mod http_jobs;
pub mod http_reach;
pub mod http_url;
pub mod i2p;
mod i2p_name;
pub mod local_network;
pub mod multicast;
pub mod runtime;
mod sam;
pub mod socks5;
pub mod tcp;
pub mod tor_control;
mod tracker_gate;
pub mod udp;
mod udp_relay;
mod upnp;
pub mod utp;

pub use address_filter::{AddressFilter, AddressRanges};
pub use bucket::{RateBucket, TokenBucket, Turn};
pub use connector::{Connector, Isolation, ListenScope, Login, ProxyHealth, Socks5};
pub use endpoint::Endpoint;
pub use error::{ControlFault, DialError, NetError, ProxyFault};
pub use gate::{DatagramGate, GateLimits, Verdict};
pub use gateway::{MappedTransport, Mapping, MappingAnswer, MappingMethod, MappingRequest};
pub use http::{ANONYMOUS_USER_AGENT, HttpClient, USER_AGENT};
pub use http_dial::{HttpDialer, HttpLimits};
pub use http_error::HttpError;
pub use http_get::{HttpAnswer, HttpGet};
pub use http_jobs::{HttpJobs, HttpOutcome};
pub use http_reach::{Family, Reach};
pub use http_url::HttpUrl;
pub use i2p::I2p;
pub use i2p_name::I2pAddress;
pub use local_network::LocalNetwork;
pub use multicast::{Group, GroupDatagram};
pub use runtime::{Runtime, RuntimeOptions};
pub use socks5::Credentials;
pub use tor_control::{Onion, OnionOptions};
pub use udp::{Datagram, Udp, UdpLimits};
pub use utp::{Utp, UtpConnection, UtpLimits};
