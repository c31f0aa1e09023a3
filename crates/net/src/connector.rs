//! The one way out: every connection of the process is dialled here, every port opened here.
//!
//! Which way that is was decided by TypeScript when the connector was made, once. A connector that leads through a
//! proxy has no other way in it: there is nothing to fall back to when the proxy is gone, or refuses.

use crate::address_filter::AddressFilter;
use crate::endpoint::Endpoint;
use crate::error::{DialError, NetError, ProxyFault};
use crate::i2p::I2p;
use crate::socks5::{self, Command, Credentials};
use crate::tcp;
use parking_lot::Mutex;
use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

/// How the process meets the world, and whom it does not meet.
#[derive(Debug)]
pub struct Connector {
    pub(crate) way: Way,
    /// Not met in any way. What is behind a name that a proxy resolves cannot be told.
    pub filter: AddressFilter,
}

#[derive(Debug)]
pub(crate) enum Way {
    /// Straight.
    Direct,
    /// Through a SOCKS5 proxy, and in no other way.
    Socks5(Socks5),
    /// Through I2P, to its own names only.
    I2p(Arc<I2p>),
}

/// A SOCKS5 proxy, and what is asked of it.
#[derive(Debug)]
pub struct Socks5 {
    /// Where it is: an address, as looking up a name would go past it.
    pub proxy: SocketAddr,
    /// How to log in.
    pub login: Login,
    /// Datagrams go through it as well (UDP ASSOCIATE); else there are none.
    pub udp: bool,
    /// Where peers may come in.
    pub listen: ListenScope,
    /// What was wrong with it of late.
    pub health: Arc<ProxyHealth>,
}

/// How to log in to a proxy.
#[derive(Debug)]
pub enum Login {
    /// Not at all.
    Anonymous,
    /// The same way each time.
    As(Credentials),
    /// To Tor: under another name for whatever shall not share a circuit. The name is a secret of this process, so that
    /// other programs of the same Tor share none either.
    Isolated([u8; 16]),
}

/// Where ports may be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenScope {
    /// Nowhere.
    Nowhere,
    /// On this machine's own addresses: for whom a proxy brings.
    Loopback,
    /// Wherever the user wants it.
    Anywhere,
}

/// Streams that may be seen to belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// Peers of a torrent.
    Torrent(u32),
    /// One user of HTTP.
    Client(u64),
    /// What is asked of one host for one group of torrents, told by a hash of both.
    Group(u64),
}

impl Isolation {
    /// Of a user of HTTP who shares nothing with others.
    pub fn client() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self::Client(LAST.fetch_add(1, Ordering::Relaxed))
    }

    /// Of those who ask one host for one group.
    pub fn group(group: &str, host: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (group, host).hash(&mut hasher);
        Self::Group(hasher.finish())
    }
}

/// What went wrong with the proxy, for whoever tells the user.
#[derive(Debug, Default)]
pub struct ProxyHealth {
    faults: AtomicU64,
    last: Mutex<Option<ProxyFault>>,
}

impl ProxyHealth {
    /// Times that it was of no use.
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }

    /// Why, as long as it was of no use since.
    pub fn fault(&self) -> Option<ProxyFault> {
        *self.last.lock()
    }

    pub(crate) fn note(&self, fault: Option<ProxyFault>) {
        if fault.is_some() {
            self.faults.fetch_add(1, Ordering::Relaxed);
        }
        *self.last.lock() = fault;
    }
}

impl Connector {
    /// Straight.
    pub fn direct() -> Self {
        Self { way: Way::Direct, filter: AddressFilter::new() }
    }

    /// Through a SOCKS5 proxy, and in no other way.
    pub fn socks5(proxy: Socks5) -> Self {
        Self { way: Way::Socks5(proxy), filter: AddressFilter::new() }
    }

    /// Through I2P, and in no other way.
    pub fn i2p(i2p: Arc<I2p>) -> Self {
        Self { way: Way::I2p(i2p), filter: AddressFilter::new() }
    }

    /// The way through I2P, when it is that.
    pub fn as_i2p(&self) -> Option<&Arc<I2p>> {
        match &self.way {
            Way::I2p(i2p) => Some(i2p),
            Way::Direct | Way::Socks5(_) => None,
        }
    }

    /// Whether names are handed on as they are, and never looked up here.
    pub fn takes_names(&self) -> bool {
        !self.is_direct()
    }

    /// Whether sockets that belong to no connector of the process's may exist at all: multicast, gateways.
    pub fn is_direct(&self) -> bool {
        matches!(self.way, Way::Direct)
    }

    /// The proxy's health, when there is one.
    pub fn health(&self) -> Option<&Arc<ProxyHealth>> {
        match &self.way {
            Way::Direct => None,
            Way::Socks5(socks) => Some(&socks.health),
            Way::I2p(i2p) => Some(i2p.health()),
        }
    }

    /// Dials, at most `timeout` long.
    pub async fn dial(
        &self,
        to: &Endpoint,
        isolation: Isolation,
        timeout: Duration,
    ) -> Result<TcpStream, DialError> {
        if to.ip().is_some_and(|ip| self.filter.blocks(ip, &self.filter.dialled)) {
            return Err(DialError::Blocked);
        }
        match &self.way {
            Way::Direct => match to {
                Endpoint::Ip(address) => dial_directly(*address, timeout).await,
                Endpoint::Name { .. } => Err(DialError::Forbidden),
            },
            Way::Socks5(socks) => socks.dial(to, isolation, timeout).await,
            Way::I2p(i2p) => i2p.dial(to, timeout).await,
        }
    }

    /// Listens, where that is allowed. Port 0 takes a free one.
    pub fn listen(&self, handle: &Handle, address: SocketAddr) -> Result<TcpListener, NetError> {
        let scope = match &self.way {
            Way::Direct => ListenScope::Anywhere,
            Way::Socks5(socks) => socks.listen,
            Way::I2p(_) => ListenScope::Nowhere,
        };
        let reason = match scope {
            ListenScope::Anywhere => None,
            ListenScope::Loopback if address.ip().to_canonical().is_loopback() => None,
            ListenScope::Loopback => Some("in this privacy mode peers are heard on loopback only"),
            ListenScope::Nowhere => Some("in this privacy mode no port is opened"),
        };
        match reason {
            None => tcp::listen(handle, address),
            Some(reason) => Err(NetError::Private { address, reason }),
        }
    }
}

impl Socks5 {
    async fn dial(
        &self,
        to: &Endpoint,
        isolation: Isolation,
        timeout: Duration,
    ) -> Result<TcpStream, DialError> {
        let login = self.login.credentials(isolation);
        let mut is_ready = false;
        let dialling = async {
            let mut stream = self.reach().await?;
            socks5::greet(&mut stream, login.as_ref()).await?;
            is_ready = true;
            socks5::ask(&mut stream, Command::Connect, to).await?;
            Ok(stream)
        };
        let dialled = match tokio::time::timeout(timeout, dialling).await {
            Ok(dialled) => dialled,
            // Once it has let us in, it is the other end that is waited for.
            Err(_) if is_ready => Err(DialError::TimedOut),
            Err(_) => Err(ProxyFault::Slow.into()),
        };
        self.health.note(match &dialled {
            Err(DialError::Proxy(fault)) => Some(*fault),
            _ => None,
        });
        dialled
    }

    async fn reach(&self) -> Result<TcpStream, ProxyFault> {
        let stream = TcpStream::connect(self.proxy).await.map_err(|_| ProxyFault::Unreachable)?;
        stream.set_nodelay(true).map_err(|_| ProxyFault::Gone)?;
        Ok(stream)
    }

    /// Asks for a relay of datagrams: it lives as long as the stream, and takes datagrams at the address.
    pub(crate) async fn associate(&self, timeout: Duration) -> Result<(TcpStream, SocketAddr), DialError> {
        let login = self.login.credentials(Isolation::Torrent(0));
        let asking = async {
            let mut stream = self.reach().await?;
            socks5::greet(&mut stream, login.as_ref()).await?;
            // From where we send is not known yet.
            let from = SocketAddr::new(unspecified(self.proxy), 0);
            let relay = socks5::ask(&mut stream, Command::UdpAssociate, &from.into()).await?;
            let relay = relay.ok_or(ProxyFault::ForeignRelay)?;
            let at = relay.ip().to_canonical();
            // A relay at another host would see whom we talk with, and the proxy not.
            if !at.is_unspecified() && at != self.proxy.ip().to_canonical() {
                return Err(ProxyFault::ForeignRelay.into());
            }
            Ok((stream, SocketAddr::new(self.proxy.ip(), relay.port())))
        };
        let asked = match tokio::time::timeout(timeout, asking).await {
            Ok(asked) => asked,
            Err(_) => Err(ProxyFault::Slow.into()),
        };
        if let Err(DialError::Proxy(fault)) = &asked {
            self.health.note(Some(*fault));
        }
        asked
    }
}

impl Login {
    fn credentials(&self, isolation: Isolation) -> Option<Credentials> {
        match self {
            Self::Anonymous => None,
            Self::As(credentials) => Some(credentials.clone()),
            Self::Isolated(secret) => {
                let mut username = String::with_capacity(32);
                for byte in secret {
                    // Writing to a text does not fail.
                    let _ = write!(username, "{byte:02x}");
                }
                let password = match isolation {
                    Isolation::Torrent(torrent) => format!("torrent {torrent}"),
                    Isolation::Client(client) => format!("http {client}"),
                    Isolation::Group(group) => format!("group {group}"),
                };
                Credentials::new(username.as_bytes(), password.as_bytes())
            }
        }
    }
}

/// Nothing in particular, of the same family.
pub(crate) fn unspecified(like: SocketAddr) -> IpAddr {
    if like.is_ipv4() {
        std::net::Ipv4Addr::UNSPECIFIED.into()
    } else {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    }
}

/// Dials without a proxy, and turns Nagle's delay off: we write whole batches.
async fn dial_directly(address: SocketAddr, timeout: Duration) -> Result<TcpStream, DialError> {
    let dialling = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    let dialled = tokio::time::timeout(timeout, dialling).await.map_err(|_| DialError::TimedOut)?;
    dialled.map_err(|error: std::io::Error| match error.kind() {
        std::io::ErrorKind::TimedOut => DialError::TimedOut,
        std::io::ErrorKind::ConnectionReset => DialError::Reset,
        _ => DialError::Refused,
    })
}

#[cfg(test)]
#[path = "connector_test.rs"]
mod tests;
