//! Datagrams through a SOCKS5 proxy (RFC 1928, UDP ASSOCIATE): they go to its relay, each behind a header that says
//! whom it is for. The socket is connected to the relay, so the kernel takes and gives datagrams of nobody else.
//!
//! The relay lives as long as the stream on which it was asked for. While there is none datagrams are lost, as datagrams
//! may be; nothing is sent in another way.

use crate::connector::{Connector, Way, unspecified};
use crate::endpoint::Endpoint;
use crate::socks5::{self, DATAGRAM_HEADER_BYTES};
use parking_lot::Mutex;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::UdpSocket;
use tokio::sync::Notify;

const ASSOCIATE_TIMEOUT: Duration = Duration::from_secs(10);
/// Before a relay is asked for again: this long, twice as long after each time in vain, ...
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// ... and no longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The way of datagrams through a proxy.
#[derive(Debug, Default)]
pub(crate) struct UdpRelay {
    /// Connected to the relay; none while there is no relay.
    socket: Mutex<Option<Arc<UdpSocket>>>,
    changed: Notify,
}

impl UdpRelay {
    /// Sends now or never.
    pub(crate) fn send(&self, parts: &[io::IoSlice<'_>], to: &Endpoint) {
        let Some(socket) = self.socket.lock().clone() else { return };
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        let mut datagram = Vec::with_capacity(DATAGRAM_HEADER_BYTES + bytes);
        if socks5::put_datagram_header(&mut datagram, to) {
            for part in parts {
                datagram.extend_from_slice(part);
            }
            // Lost when the socket is full, or the relay gone.
            let _ = socket.try_send(&datagram);
        }
    }

    /// Waits until there may be something to receive.
    pub(crate) async fn readable(&self) {
        loop {
            let changed = self.changed.notified();
            let socket = self.socket.lock().clone();
            let Some(socket) = socket else {
                changed.await;
                continue;
            };
            tokio::select! {
                _ = socket.readable() => return,
                () = changed => {}
            }
        }
    }

    /// Receives a datagram into the buffer; who sent it, and where in the buffer its payload lies.
    pub(crate) fn try_receive(&self, buffer: &mut [u8]) -> io::Result<(SocketAddr, std::ops::Range<usize>)> {
        let socket = self.socket.lock().clone().ok_or(io::ErrorKind::WouldBlock)?;
        let length = socket.try_recv(buffer)?;
        let (from, payload) = socks5::open_datagram(buffer.get(..length).unwrap_or_default())
            .ok_or(io::ErrorKind::InvalidData)?;
        Ok((from, length - payload.len()..length))
    }

    /// Keeps a relay, for ever.
    pub(crate) async fn keep(self: Arc<Self>, connector: Arc<Connector>) {
        let Way::Socks5(proxy) = &connector.way else { return };
        let mut pause = FIRST_PAUSE;
        loop {
            if let Ok((mut stream, relay)) = proxy.associate(ASSOCIATE_TIMEOUT).await
                && let Ok(socket) = towards(&stream, relay).await
            {
                self.set(Some(Arc::new(socket)));
                pause = FIRST_PAUSE;
                // It has nothing more to say: the end of the stream is the end of the relay.
                let _ = stream.read_u8().await;
                self.set(None);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn set(&self, socket: Option<Arc<UdpSocket>>) {
        *self.socket.lock() = socket;
        self.changed.notify_waiters();
    }
}

/// A socket on the way that the stream takes as well.
async fn towards(stream: &tokio::net::TcpStream, relay: SocketAddr) -> io::Result<UdpSocket> {
    let from = stream.local_addr().map_or_else(|_| unspecified(relay), |from| from.ip());
    let socket = UdpSocket::bind(SocketAddr::new(from, 0)).await?;
    socket.connect(relay).await?;
    Ok(socket)
}

/// What a socket that has no address of its own says it has.
pub(crate) const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
