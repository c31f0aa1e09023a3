//! The UDP socket: one task, bounded queues both ways, the gate before everything.
//!
//! A datagram that begins as a bencoded dictionary is a DHT message; one that begins as a header of uTP is that, when
//! uTP is wanted; what answers a request to a tracker (BEP 15) begins with three zeros. No datagram begins as two of them.

use crate::connector::{self, Connector};
use crate::error::NetError;
use crate::gate::{DatagramGate, GateLimits, RateGate, Verdict};
use crate::tracker_gate::{self, TrackerGate};
use crate::udp_relay::{NOWHERE, UdpRelay};
use crate::utp::{Parcel, Utp, UtpLimits};
use librqbit_dualstack_sockets::PollSendToVectored;
use parking_lot::Mutex;
use socket2::SockRef;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The largest payload of a UDP datagram.
const RECEIVE_BYTES: usize = 65_535;
/// Asked of the kernel for what came and was not taken, and for what was sent: at 100 MiB/s its own 208 KiB are full after
/// 2 ms, and a thread that comes later finds datagrams lost. The kernel gives as much as it allows (`net.core.rmem_max`,
/// `net.core.wmem_max`).
const KERNEL_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// Datagrams taken in a row before the task looks at what is to be sent.
const BATCH: usize = 64;

const UTP_HEADER_BYTES: usize = 20;
/// The protocol sends no longer ones, and reads none.
const UTP_BYTES: usize = 2_048;
const UTP_SYN: u8 = 4;

/// Bounds of the queues.
#[derive(Debug, Clone, Copy)]
pub struct UdpLimits {
    /// Datagrams waiting for whoever drains them; the newest are dropped beyond.
    pub inbox: usize,
    /// Datagrams waiting to be sent.
    pub outbox: usize,
    /// Rates.
    pub gate: GateLimits,
    /// Whether there is uTP, and its bounds.
    pub utp: Option<UtpLimits>,
}

impl Default for UdpLimits {
    fn default() -> Self {
        Self { inbox: 1_024, outbox: 1_024, gate: GateLimits::default(), utp: None }
    }
}

/// One datagram that passed the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// Who says it sent it.
    pub from: SocketAddr,
    /// A strict bencoded dictionary of at most 2 KiB; of a tracker, its answer to a request.
    pub payload: Vec<u8>,
}

/// What was not handed on, and why.
#[derive(Debug, Default)]
pub struct UdpCounters {
    /// Passed the gate and were queued.
    pub passed: AtomicU64,
    /// Stopped for their shape.
    pub malformed: AtomicU64,
    /// Stopped for their rate.
    pub too_many: AtomicU64,
    /// Passed, but nobody drained the queue.
    pub overflowed: AtomicU64,
    /// Handed to uTP.
    pub utp: AtomicU64,
}

/// A bound socket. Dropping it closes the socket.
#[derive(Debug)]
pub struct Udp {
    local: SocketAddr,
    inbox: Arc<Mutex<Vec<Datagram>>>,
    trackers: Arc<Mutex<TrackerGate>>,
    outbox: mpsc::Sender<Datagram>,
    counters: Arc<UdpCounters>,
    utp: Option<Arc<Utp>>,
}

/// The way that datagrams take.
#[derive(Debug)]
pub(crate) struct Wire {
    way: Way,
    connector: Arc<Connector>,
    pub(crate) local: SocketAddr,
}

#[derive(Debug)]
enum Way {
    Socket(UdpSocket),
    Relay(Arc<UdpRelay>, JoinHandle<()>),
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Way::Relay(_, keeper) = &self.way {
            keeper.abort();
        }
    }
}

impl Wire {
    /// Opens a socket of our own, or keeps a relay at the proxy, as the connector says.
    fn open(connector: &Arc<Connector>, address: SocketAddr) -> Result<Self, NetError> {
        match &connector.way {
            connector::Way::Direct => {
                let open = || -> io::Result<Self> {
                    let socket = std::net::UdpSocket::bind(address)?;
                    socket.set_nonblocking(true)?;
                    let options = SockRef::from(&socket);
                    // What the kernel refuses is no reason to go without the socket.
                    let _ = options.set_recv_buffer_size(KERNEL_BUFFER_BYTES);
                    let _ = options.set_send_buffer_size(KERNEL_BUFFER_BYTES);
                    let local = socket.local_addr()?;
                    let way = Way::Socket(UdpSocket::from_std(socket)?);
                    Ok(Self { way, connector: Arc::clone(connector), local })
                };
                open().map_err(|source| NetError::from_bind(address, source))
            }
            connector::Way::Socks5(socks) if socks.udp => {
                let relay = Arc::new(UdpRelay::default());
                let keeper = tokio::spawn(Arc::clone(&relay).keep(Arc::clone(connector)));
                let way = Way::Relay(relay, keeper);
                Ok(Self { way, connector: Arc::clone(connector), local: NOWHERE })
            }
            connector::Way::Socks5(_) | connector::Way::I2p(_) => {
                let reason = "in this privacy mode there is no UDP";
                Err(NetError::Private { address, reason })
            }
        }
    }

    /// Whether no datagram goes to or comes from there; counted when so.
    fn blocks(&self, address: IpAddr) -> bool {
        let filter = &self.connector.filter;
        filter.blocks(address, &filter.datagrams)
    }

    /// Waits until there may be something to receive; false when there never will be.
    async fn readable(&self) -> bool {
        match &self.way {
            Way::Socket(socket) => socket.ready(Interest::READABLE).await.is_ok(),
            Way::Relay(relay, _) => {
                relay.readable().await;
                true
            }
        }
    }

    /// Receives a datagram: who sent it, and where in the buffer it lies.
    fn try_receive(&self, buffer: &mut [u8]) -> io::Result<(SocketAddr, Range<usize>)> {
        match &self.way {
            Way::Socket(socket) => {
                let (length, from) = socket.try_recv_from(buffer)?;
                Ok((canonical(from), 0..length))
            }
            Way::Relay(relay, _) => relay.try_receive(buffer),
        }
    }

    pub(crate) async fn send_to(&self, payload: &[u8], to: SocketAddr) -> io::Result<usize> {
        match &self.way {
            Way::Socket(socket) => socket.send_to(payload, self.mapped(to)).await,
            Way::Relay(relay, _) => {
                relay.send(&[IoSlice::new(payload)], &to.into());
                Ok(payload.len())
            }
        }
    }

    pub(crate) fn poll_send_to(
        &self,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
        to: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        match &self.way {
            Way::Socket(socket) => match parts {
                [part] => socket.poll_send_to(context, part, self.mapped(to)),
                _ => socket.poll_send_to_vectored(context, parts, self.mapped(to)),
            },
            Way::Relay(relay, _) => {
                relay.send(parts, &to.into());
                Poll::Ready(Ok(parts.iter().map(|part| part.len()).sum()))
            }
        }
    }

    /// An IPv6 socket reaches IPv4 by mapped addresses.
    fn mapped(&self, to: SocketAddr) -> SocketAddr {
        match to.ip() {
            IpAddr::V4(v4) if self.local.is_ipv6() => SocketAddr::new(v4.to_ipv6_mapped().into(), to.port()),
            _ => to,
        }
    }
}

/// The address as everybody else writes it.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        v4 @ IpAddr::V4(_) => SocketAddr::new(v4, address.port()),
        IpAddr::V6(_) => address,
    }
}

impl Udp {
    /// Binds and starts the task. `notify` is called, on a network thread, after datagrams were queued.
    pub fn bind(
        handle: &Handle,
        connector: &Arc<Connector>,
        address: SocketAddr,
        limits: UdpLimits,
        notify: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self, NetError> {
        let _inside = handle.enter();
        let wire = Arc::new(Wire::open(connector, address)?);
        let local = wire.local;
        let started = limits.utp.map(|utp| Utp::start(handle, Arc::clone(&wire), utp)).transpose();
        let started =
            started.map_err(|error| NetError::Listen { address, source: io::Error::other(error) })?;
        let (utp, utp_inbox) = started.map(|(utp, inbox)| (Arc::new(utp), inbox)).unzip();
        let (outbox, queue) = mpsc::channel(limits.outbox.max(1));
        let inbox = Arc::new(Mutex::new(Vec::new()));
        let trackers = Arc::new(Mutex::new(TrackerGate::default()));
        let counters = Arc::new(UdpCounters::default());
        let receiver = Receiver {
            inbox: Arc::clone(&inbox),
            trackers: Arc::clone(&trackers),
            counters: Arc::clone(&counters),
            inbox_limit: limits.inbox,
            gate: DatagramGate::new(limits.gate, Duration::ZERO),
            utp: utp_inbox,
            begins: RateGate::new(GateLimits::connections(), Duration::ZERO),
            start: Instant::now(),
            buffer: vec![0; RECEIVE_BYTES],
        };
        handle.spawn(run(wire, receiver, queue, notify));
        Ok(Self { local, inbox, trackers, outbox, counters, utp })
    }

    /// Where it is bound.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// uTP on this socket, when it is wanted.
    pub fn utp(&self) -> Option<Arc<Utp>> {
        self.utp.clone()
    }

    /// Queues a datagram; false when the queue is full or the socket gone.
    pub fn send(&self, to: SocketAddr, payload: Vec<u8>) -> bool {
        self.outbox.try_send(Datagram { from: to, payload }).is_ok()
    }

    /// Queues a request to a tracker (BEP 15), of which one answer is let in; false also when too many are unanswered, or
    /// it is no request.
    pub fn ask_tracker(&self, to: SocketAddr, request: Vec<u8>) -> bool {
        self.trackers.lock().expect(to, &request, Instant::now()) && self.send(to, request)
    }

    /// The answers of trackers since the last call.
    pub fn drain_trackers(&self) -> Vec<Datagram> {
        self.trackers.lock().drain()
    }

    /// Everything else that came since the last call.
    pub fn drain(&self) -> Vec<Datagram> {
        std::mem::take(&mut *self.inbox.lock())
    }

    /// What was passed and what was stopped.
    pub fn counters(&self) -> &UdpCounters {
        &self.counters
    }
}

impl Drop for Udp {
    fn drop(&mut self) {
        if let Some(utp) = &self.utp {
            utp.end();
        }
    }
}

struct Receiver {
    inbox: Arc<Mutex<Vec<Datagram>>>,
    trackers: Arc<Mutex<TrackerGate>>,
    counters: Arc<UdpCounters>,
    inbox_limit: usize,
    gate: DatagramGate,
    utp: Option<mpsc::Sender<Parcel>>,
    /// How often connections may be begun.
    begins: RateGate,
    start: Instant,
    buffer: Vec<u8>,
}

impl Receiver {
    /// Takes what the socket has, up to a batch; true when something was queued.
    fn receive(&mut self, wire: &Wire) -> bool {
        let mut queued = false;
        for _ in 0..BATCH {
            let (from, range) = match wire.try_receive(&mut self.buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // ICMP answers to what we sent surface here (port unreachable): nothing of this socket is broken. Neither
                // is it by rubbish from a relay.
                Err(_) => continue,
            };
            if wire.blocks(from.ip()) {
                continue;
            }
            let payload = self.buffer.get(range).unwrap_or_default();
            if let Some(utp) = self.utp.as_ref().filter(|_| is_utp(payload)) {
                let passes = !begins_utp(payload) || self.begins.take(from.ip(), self.start.elapsed());
                let counter = if !passes {
                    &self.counters.too_many
                } else if utp.try_send((payload.to_vec(), from)).is_ok() {
                    &self.counters.utp
                } else {
                    &self.counters.overflowed
                };
                counter.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            if tracker_gate::is_answer(payload) {
                let counter = if self.trackers.lock().admit(from, payload, Instant::now()) {
                    queued = true;
                    &self.counters.passed
                } else {
                    &self.counters.malformed
                };
                counter.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let counter = match self.gate.admit(from, payload, self.start.elapsed()) {
                Verdict::Malformed => &self.counters.malformed,
                Verdict::TooMany => &self.counters.too_many,
                Verdict::Pass => {
                    let mut inbox = self.inbox.lock();
                    if inbox.len() < self.inbox_limit {
                        inbox.push(Datagram { from, payload: payload.to_vec() });
                        queued = true;
                        &self.counters.passed
                    } else {
                        &self.counters.overflowed
                    }
                }
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
        queued
    }
}

/// Whether a datagram can be uTP: version 1, one of its five types, no longer than an Ethernet frame carries.
fn is_utp(payload: &[u8]) -> bool {
    (UTP_HEADER_BYTES..=UTP_BYTES).contains(&payload.len())
        && payload.first().is_some_and(|first| first & 0x0f == 1 && first >> 4 <= UTP_SYN)
}

fn begins_utp(payload: &[u8]) -> bool {
    payload.first().is_some_and(|first| first >> 4 == UTP_SYN)
}

async fn run(
    wire: Arc<Wire>,
    mut receiver: Receiver,
    mut queue: mpsc::Receiver<Datagram>,
    notify: impl Fn() + Send + Sync + 'static,
) {
    loop {
        tokio::select! {
            is_open = wire.readable() => {
                if !is_open {
                    return;
                }
                if receiver.receive(&wire) {
                    notify();
                }
                tokio::task::yield_now().await;
            }
            outgoing = queue.recv() => {
                let Some(Datagram { from: to, payload }) = outgoing else { return };
                receiver.gate.sent(canonical(to), &payload, receiver.start.elapsed());
                // A datagram that cannot be sent (unreachable, too long) is lost, as datagrams may be.
                if !wire.blocks(to.ip()) {
                    let _ = wire.send_to(&payload, to).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::{Udp, UdpLimits};
    use crate::{Connector, Runtime, RuntimeOptions, tcp};
    use std::net::UdpSocket;
    use std::sync::Arc;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn hands_on_strict_datagrams_only_and_sends() {
        let runtime = Runtime::start(RuntimeOptions { network_threads: 1, worker_threads: 1 }).unwrap();
        let (sender, woken) = mpsc::channel();
        let notify = move || {
            let _ = sender.send(());
        };
        let any = tcp::address("127.0.0.1", 0).unwrap();
        let direct = Arc::new(Connector::direct());
        let udp = Udp::bind(runtime.handle(), &direct, any, UdpLimits::default(), notify).unwrap();
        let taken =
            Udp::bind(runtime.handle(), &direct, udp.local(), UdpLimits::default(), || ()).unwrap_err();
        assert_eq!(taken.code(), "ERR_PORT_IN_USE");

        let peer = UdpSocket::bind(any).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        for payload in [&b"l-3:e"[..], b"", b"d1:al-3:ee", b"d1:q4:pinge"] {
            peer.send_to(payload, udp.local()).unwrap();
        }
        woken.recv_timeout(Duration::from_secs(10)).unwrap();
        let datagrams = udp.drain();
        assert_eq!(datagrams.len(), 1);
        assert_eq!(datagrams[0].payload, b"d1:q4:pinge");
        assert_eq!(datagrams[0].from, peer.local_addr().unwrap());

        // An answer of a tracker comes in once, when there was a request.
        let answer = b"\0\0\0\x01abcdrest";
        let mut request = vec![0; 16];
        request[12..].copy_from_slice(b"abcd");
        assert!(udp.ask_tracker(peer.local_addr().unwrap(), request));
        let mut buffer = [0; 64];
        peer.recv_from(&mut buffer).unwrap();
        for _ in 0..2 {
            peer.send_to(answer, udp.local()).unwrap();
        }
        woken.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(udp.drain_trackers().len(), 1);

        assert!(udp.send(peer.local_addr().unwrap(), b"anything".to_vec()));
        let (length, from) = peer.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], from), (&b"anything"[..], udp.local()));
        runtime.close(Duration::from_secs(5));
        assert!(!udp.send(from, Vec::new()), "the task is gone");
    }
}
