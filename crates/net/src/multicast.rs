//! A socket in one multicast group on one interface, for local service discovery (BEP 14).

use crate::error::NetError;
use crate::gate::{GateLimits, RateGate};
use parking_lot::Mutex;
use rustix::net::netdevice::name_to_index;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::runtime::Handle;

/// A longer announcement does not fit an Ethernet frame (BEP 14 wants less than 1,400 bytes).
const DATAGRAM_BYTES: usize = 1_500;
/// Each goes to our own link only: nobody behind a router is believed, so none needs to hear us.
const HOPS: u32 = 1;
/// Datagrams of all groups that wait to be drained; the newest are dropped beyond.
const INBOX: usize = 256;

/// A network's machines announce about once a minute each.
const LIMITS: GateLimits =
    GateLimits { address: (10, 1), prefix: (100, 20), global: (200, 40), table: 512, ban: None };

/// The group, and the interface on which it is joined.
#[derive(Debug, Clone)]
pub struct Group {
    /// The interface's name.
    pub interface: String,
    /// An address of ours on it, of the group's family.
    pub local: IpAddr,
    /// The multicast address and port.
    pub address: SocketAddr,
}

/// A datagram that came to a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDatagram {
    /// As [`super::local_network::LocalNetwork::join`] numbered it.
    pub group: u32,
    /// Who says it sent it.
    pub from: SocketAddr,
    /// At most 1,500 bytes of anything.
    pub payload: Vec<u8>,
}

/// What came to all groups; bounded.
pub(crate) type GroupInbox = Arc<Mutex<Vec<GroupDatagram>>>;

/// Bound to the group's own address, so that what is sent to us alone never comes here, and shared with other
/// programs of the machine.
pub(crate) fn open(handle: &Handle, group: &Group) -> Result<UdpSocket, NetError> {
    let address = group.address;
    let make = || -> io::Result<UdpSocket> {
        let domain = if address.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        let index = name_to_index(&socket, &group.interface)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        // Not allowed everywhere; without it the kernel's own filter, and the look at the subnet, remain.
        let _ = socket.bind_device(Some(group.interface.as_bytes()));
        match (address.ip(), group.local) {
            (IpAddr::V4(multicast), IpAddr::V4(local)) => {
                // Else what other programs joined on other interfaces comes here as well.
                socket.set_multicast_all_v4(false)?;
                socket.bind(&address.into())?;
                socket.join_multicast_v4_n(&multicast, &InterfaceIndexOrAddress::Index(index))?;
                socket.set_multicast_if_v4(&local)?;
                socket.set_multicast_ttl_v4(HOPS)?;
                socket.set_multicast_loop_v4(true)?;
            }
            (IpAddr::V6(multicast), IpAddr::V6(_)) => {
                socket.set_only_v6(true)?;
                socket.set_multicast_all_v6(false)?;
                socket.bind(&address.into())?;
                socket.join_multicast_v6(&multicast, index)?;
                socket.set_multicast_if_v6(index)?;
                socket.set_multicast_hops_v6(HOPS)?;
                socket.set_multicast_loop_v6(true)?;
            }
            _ => return Err(io::Error::other("the group and our address are of two families")),
        }
        let _inside = handle.enter();
        UdpSocket::from_std(socket.into())
    };
    make().map_err(|source| NetError::from_bind(address, source))
}

/// Receives until the task is ended. Floods end at the rates, before anybody is woken.
pub(crate) async fn receive(
    socket: Arc<UdpSocket>,
    group: u32,
    inbox: GroupInbox,
    notify: Arc<dyn Fn() + Send + Sync>,
) {
    let start = Instant::now();
    let mut gate = RateGate::new(LIMITS, Duration::ZERO);
    let mut buffer = vec![0; DATAGRAM_BYTES + 1];
    loop {
        // An error is about something that was sent (ICMP): the socket itself is sound. A socket that only fails
        // must not take a core.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Some(payload) = buffer.get(..length).filter(|payload| payload.len() <= DATAGRAM_BYTES) else {
            continue;
        };
        if !gate.take(from.ip(), start.elapsed()) {
            continue;
        }
        let mut inbox = inbox.lock();
        if inbox.len() < INBOX {
            inbox.push(GroupDatagram { group, from, payload: payload.to_vec() });
            drop(inbox);
            notify();
        }
    }
}
