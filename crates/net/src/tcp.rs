//! Addresses, and listening over TCP. Whether that may be is the connector's to say.

use crate::error::NetError;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Handle;

/// Connections that the kernel may finish before we take them.
const BACKLOG: u32 = 1_024;

/// Parses an IP literal and a port.
pub fn address(host: &str, port: u16) -> Result<SocketAddr, NetError> {
    let ip = host.parse().map_err(|_| NetError::Address { text: host.to_owned() })?;
    Ok(SocketAddr::new(ip, port))
}

/// What one host answers for: an IPv4 address, or the /64 of which an IPv6 host may use every address.
pub fn host(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Listens with SO_REUSEADDR, so that a restart need not wait for old connections to fade. Port 0 takes a free one.
pub(crate) fn listen(handle: &Handle, address: SocketAddr) -> Result<TcpListener, NetError> {
    let _inside = handle.enter();
    let open = || -> io::Result<TcpListener> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    open().map_err(|source| NetError::from_bind(address, source))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::{address, host, listen};
    use crate::{Runtime, RuntimeOptions};
    use std::time::Duration;

    #[test]
    fn a_host_is_an_ipv4_address_or_an_ipv6_prefix() {
        let of = |text: &str| host(text.parse().unwrap()).to_string();
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }

    #[test]
    fn names_the_port_that_is_in_use_and_the_host_that_is_no_address() {
        let runtime = Runtime::start(RuntimeOptions { network_threads: 1, worker_threads: 1 }).unwrap();
        let first = listen(runtime.handle(), address("127.0.0.1", 0).unwrap()).unwrap();
        let taken = first.local_addr().unwrap();
        assert_eq!(listen(runtime.handle(), taken).unwrap_err().code(), "ERR_PORT_IN_USE");
        assert_eq!(address("localhost", 1).unwrap_err().code(), "ERR_ADDRESS");
        // 192.0.2.0/24 is for documentation: no interface of ours has it.
        let foreign = listen(runtime.handle(), address("192.0.2.1", 0).unwrap()).unwrap_err();
        assert_eq!(foreign.code(), "ERR_LISTEN");
        runtime.close(Duration::from_secs(5));
    }
}
