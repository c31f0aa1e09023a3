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
    /// Nothing is said on the local network.
    #[error("the local network is left alone: multicast and requests to the gateway are off")]
    LocalNetwork,
    /// The runtime has been closed.
    #[error("closed")]
    Closed,
    /// The connector takes no part in such a socket.
    #[error("no socket on {address}: {reason}")]
    Private {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the privacy mode has against it.
        reason: &'static str,
    },
}

impl NetError {
    /// The code that TypeScript sees.
    pub fn code(&self) -> &'static str {
        match self {
            Self::PortInUse { .. } => "ERR_PORT_IN_USE",
            Self::Address { .. } => "ERR_ADDRESS",
            Self::Listen { .. } | Self::Closed => "ERR_LISTEN",
            Self::Private { .. } | Self::LocalNetwork => "ERR_PRIVACY",
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

/// What is wrong with the proxy itself, whomever it should have led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyFault {
    /// Nobody listens there.
    #[error("does not answer")]
    Unreachable,
    /// It did not answer in time.
    #[error("answers too slowly")]
    Slow,
    /// It ended the connection before it was of use.
    #[error("ended the connection")]
    Gone,
    /// It does not take our credentials, or none.
    #[error("refuses the user name and password, or wants some")]
    Authentication,
    /// What it said is no SOCKS5.
    #[error("does not speak SOCKS5")]
    NotSocks5,
    /// What it said is no SAM, or none of a version that is of use.
    #[error("does not speak SAM 3.1")]
    NotSam,
    /// The router of I2P makes no session.
    #[error("makes no session")]
    NoSession,
    /// Another session has our destination.
    #[error("says that another program uses our destination's keys")]
    DestinationInUse,
    /// It does not take the keys of our destination.
    #[error("does not take the keys of our destination")]
    BadKeys,
    /// It wants datagrams sent to another host.
    #[error("relays datagrams elsewhere than at its own address")]
    ForeignRelay,
}

/// Why Tor makes no onion service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlFault {
    /// Nobody is there, or not any more.
    #[error("does not answer")]
    Unreachable,
    /// What it said is no reply.
    #[error("does not speak Tor's control protocol")]
    Malformed,
    /// It wants a password, or another one.
    #[error("wants a password, or another one")]
    Password,
    /// Its cookie cannot be read, or it does not know it.
    #[error("cannot be trusted by its cookie file, or that cannot be read")]
    Cookie,
    /// It says no.
    #[error("refuses: {0}")]
    Refused(String),
}

/// Why a connection did not come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// Nobody listens there, or whoever leads us there says so.
    #[error("refused")]
    Refused,
    /// Not in time.
    #[error("timed out")]
    TimedOut,
    /// It ended while it began.
    #[error("reset")]
    Reset,
    /// A list of the user's has the address.
    #[error("blocked")]
    Blocked,
    /// This connector leads to no such place.
    #[error("this kind of address cannot be reached in this privacy mode")]
    Forbidden,
    /// The proxy is to blame, not whom it should lead to.
    #[error("the proxy {0}")]
    Proxy(#[from] ProxyFault),
}
