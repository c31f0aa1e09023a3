//! uTP (BEP 29) over the UDP socket of the process: connections that read and write like TCP's.
//!
//! The protocol is `librqbit-utp`'s. It owns no socket here: what the UDP task takes for uTP comes through a bounded
//! queue, and what uTP sends goes straight out.

use crate::udp::{Wire, canonical};
use librqbit_dualstack_sockets::PollSendToVectored;
use librqbit_utp::{SocketOpts, Transport, UtpSocket, UtpSocketUdp, UtpStream};
use parking_lot::Mutex;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

/// Bounds of uTP.
#[derive(Debug, Clone, Copy)]
pub struct UtpLimits {
    /// Connections at a time.
    pub connections: NonZeroUsize,
    /// What a connection may hold of what came and was not read; the peer is told as much.
    pub receive_bytes: NonZeroUsize,
    /// What it may hold of what was written and not acknowledged.
    pub send_bytes: NonZeroUsize,
    /// Datagrams that wait for the protocol; more are lost, as on a full link.
    pub inbox: usize,
    /// How long what was sent may stay unanswered.
    pub inactivity: Duration,
}

impl Default for UtpLimits {
    fn default() -> Self {
        let size = |bytes| NonZeroUsize::new(bytes).unwrap_or(NonZeroUsize::MIN);
        Self {
            connections: size(256),
            receive_bytes: size(512 * 1024),
            send_bytes: size(512 * 1024),
            inbox: 1_024,
            inactivity: Duration::from_secs(30),
        }
    }
}

/// The environment that the protocol's own UDP socket has; it can be named in no other way.
type Environment = <UtpSocketUdp as HasEnvironment>::Environment;

trait HasEnvironment {
    type Environment;
}

impl<T: Transport, E> HasEnvironment for UtpSocket<T, E> {
    type Environment = E;
}

/// A datagram and where it came from.
pub(crate) type Parcel = (Vec<u8>, SocketAddr);

/// uTP on a bound UDP socket; its connections end with that.
pub struct Utp {
    socket: Arc<UtpSocket<Port, Environment>>,
    stop: CancellationToken,
}

impl Utp {
    /// Starts the protocol; what the UDP task takes for it goes into the queue that comes back.
    pub(crate) fn start(
        handle: &Handle,
        wire: Arc<Wire>,
        limits: UtpLimits,
    ) -> librqbit_utp::Result<(Self, mpsc::Sender<Parcel>)> {
        let _inside = handle.enter();
        let (sender, inbox) = mpsc::channel(limits.inbox.max(1));
        let stop = CancellationToken::new();
        let options = SocketOpts {
            vsock_rx_bufsize_bytes: Some(limits.receive_bytes),
            vsock_tx_bufsize_bytes_max: Some(limits.send_bytes),
            max_live_vsocks: Some(limits.connections),
            remote_inactivity_timeout: Some(limits.inactivity),
            // We write whole batches and short messages that wait for nothing.
            disable_nagle: true,
            dont_wait_for_lastack: true,
            cancellation_token: stop.clone(),
            ..SocketOpts::default()
        };
        let port = Port { wire, inbox: Mutex::new(inbox) };
        let socket = UtpSocket::new_with_opts(port, Environment::default(), options)?;
        Ok((Self { socket, stop }, sender))
    }

    /// Ends the protocol and its connections.
    pub(crate) fn end(&self) {
        self.stop.cancel();
    }

    /// Dials, at most `timeout` long.
    pub async fn dial(&self, address: SocketAddr, timeout: Duration) -> io::Result<UtpConnection> {
        let dialled = tokio::time::timeout(timeout, self.socket.connect(canonical(address))).await?;
        dialled.map(UtpConnection::new).map_err(io::Error::other)
    }

    /// The next connection from outside, and where it comes from. An error is the end of the protocol.
    pub async fn accept(&self) -> io::Result<(UtpConnection, SocketAddr)> {
        let stream = self.socket.accept().await.map_err(io::Error::other)?;
        let address = stream.remote_addr();
        Ok((UtpConnection::new(stream), address))
    }
}

impl std::fmt::Debug for Utp {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Utp")
    }
}

/// One connection, with the calls of a TCP stream that never wait.
pub struct UtpConnection {
    stream: UtpStream,
    readable: Readiness,
    writable: Readiness,
}

impl UtpConnection {
    fn new(stream: UtpStream) -> Self {
        Self { stream, readable: Readiness::new(), writable: Readiness::new() }
    }

    /// Reads what has come: `WouldBlock` when nothing has, 0 bytes at the peer's end.
    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(buffer);
        let stream = Pin::new(&mut self.stream);
        self.readable.attempt(|context| stream.poll_read(context, &mut buffer))?;
        Ok(buffer.filled().len())
    }

    /// Takes what there is room for: `WouldBlock` when there is none.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let stream = Pin::new(&mut self.stream);
        self.writable.attempt(|context| stream.poll_write(context, bytes))
    }

    /// Waits until there may be something to read, or room to write.
    pub async fn ready(&self, interest: Interest) {
        let (reads, writes) = (interest.is_readable(), interest.is_writable());
        while !(reads && self.readable.is_set() || writes && self.writable.is_set()) {
            tokio::select! {
                () = self.readable.changed(), if reads => {}
                () = self.writable.changed(), if writes => {}
            }
        }
    }
}

impl std::fmt::Debug for UtpConnection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("UtpConnection").field(&self.stream.remote_addr()).finish()
    }
}

/// One direction: set while an attempt may succeed, cleared by one that did not.
struct Readiness {
    flag: Arc<Flag>,
    waker: Waker,
}

#[derive(Default)]
struct Flag {
    set: AtomicBool,
    notify: Notify,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.set.store(true, Ordering::Release);
        self.notify.notify_one();
    }
}

impl Readiness {
    fn new() -> Self {
        let flag = Arc::new(Flag { set: AtomicBool::new(true), notify: Notify::new() });
        let waker = Waker::from(Arc::clone(&flag));
        Self { flag, waker }
    }

    fn is_set(&self) -> bool {
        self.flag.set.load(Ordering::Acquire)
    }

    async fn changed(&self) {
        self.flag.notify.notified().await;
    }

    fn attempt<T>(&self, poll: impl FnOnce(&mut Context<'_>) -> Poll<io::Result<T>>) -> io::Result<T> {
        // Before the attempt: a wake from now on counts.
        self.flag.set.store(false, Ordering::Release);
        match poll(&mut Context::from_waker(&self.waker)) {
            Poll::Ready(done) => {
                self.flag.set.store(true, Ordering::Release);
                done
            }
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

/// What the protocol takes for its UDP socket.
struct Port {
    wire: Arc<Wire>,
    inbox: Mutex<mpsc::Receiver<Parcel>>,
}

impl PollSendToVectored for Port {
    fn poll_send_to_vectored(
        &self,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
        to: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.wire.poll_send_to(context, parts, to)
    }
}

impl Transport for Port {
    fn recv_from<'a>(
        &'a self,
        buffer: &'a mut [u8],
    ) -> impl Future<Output = io::Result<(usize, SocketAddr)>> + Send + Sync + 'a {
        poll_fn(move |context| {
            self.inbox.lock().poll_recv(context).map(|parcel| {
                let (payload, from) = parcel.ok_or(io::ErrorKind::BrokenPipe)?;
                // Never longer than what the protocol reads at a time: see `is_utp`.
                let place = buffer.get_mut(..payload.len()).ok_or(io::ErrorKind::InvalidData)?;
                place.copy_from_slice(&payload);
                Ok((payload.len(), from))
            })
        })
    }

    fn send_to<'a>(
        &'a self,
        bytes: &'a [u8],
        to: SocketAddr,
    ) -> impl Future<Output = io::Result<usize>> + Send + Sync + 'a {
        self.wire.send_to(bytes, to)
    }

    fn poll_send_to(
        &self,
        context: &mut Context<'_>,
        bytes: &[u8],
        to: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.wire.poll_send_to(context, &[IoSlice::new(bytes)], to)
    }

    fn bind_addr(&self) -> SocketAddr {
        self.wire.local
    }
}

#[cfg(test)]
#[path = "utp_test.rs"]
mod tests;
