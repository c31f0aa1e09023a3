//! What can go wrong before there is a connection. A connection that dies later is an event, not an error.

use std::io;
use std::net::SocketAddr;

/// Errors of opening sockets and starting the runtime.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// Somebody else listens there.
    #[error("{address} is in use: choose another port, or 0 for any free one")]
    PortInUse {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// Not an IP literal. Names are resolved before they come here.
    #[error("not an IP address: `{text}`")]
    Address {
        /// What was given.
        text: String,
    },
    /// The system refused the socket (privileged port, address of another host, out of descriptors).
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The threads could not be started.
    #[error("cannot start the network threads: {source}")]
    Runtime {
        /// The system's reason.
        source: io::Error,
    },
    /// The runtime has been closed.
    #[error("closed")]
    Closed,
}

impl NetError {
    /// The code that TypeScript sees.
    pub fn code(&self) -> &'static str {
        match self {
            Self::PortInUse { .. } => "ERR_PORT_IN_USE",
            Self::Address { .. } => "ERR_ADDRESS",
            Self::Listen { .. } | Self::Closed => "ERR_LISTEN",
            Self::Runtime { .. } => "ERR_NATIVE",
        }
    }

    /// A failed bind or listen, told apart by its kind.
    pub(crate) fn from_bind(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::PortInUse { address },
            _ => Self::Listen { address, source },
        }
    }
}
