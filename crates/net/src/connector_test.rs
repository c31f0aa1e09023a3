//! A connector leads where it should, or nowhere.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::{Connector, Isolation, ListenScope, Login, Socks5, Way};
use crate::endpoint::Endpoint;
use crate::error::{DialError, ProxyFault};
use crate::socks5::Credentials;
use crate::{GateLimits, Runtime, RuntimeOptions, Udp, UdpLimits, tcp};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

fn runtime() -> Runtime {
    Runtime::start(RuntimeOptions { network_threads: 1, worker_threads: 1 }).unwrap()
}

fn connector(proxy: SocketAddr, login: Login, udp: bool, listen: ListenScope) -> Arc<Connector> {
    Arc::new(Connector::socks5(Socks5 { proxy, login, udp, listen, health: Arc::default() }))
}

/// Each connection is handed to `serve`.
fn proxy(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, serve) = (stream.unwrap(), Arc::clone(&serve));
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

fn dial(connector: &Connector, runtime: &Runtime, to: &str, isolation: Isolation) -> Result<(), DialError> {
    let to = Endpoint::parse(to, 6881).unwrap();
    let timeout = Duration::from_millis(500);
    runtime.handle().block_on(connector.dial(&to, isolation, timeout)).map(drop)
}

#[test]
fn a_stream_goes_through_the_proxy_and_bytes_behind_the_reply_are_kept() {
    let runtime = runtime();
    let at = proxy(|mut stream| {
        assert_eq!(read(&mut stream, 3), [5, 1, 0]);
        stream.write_all(&[5, 0]).unwrap();
        assert_eq!(read(&mut stream, 5 + 12 + 2), b"\x05\x01\x00\x03\x0cpeer.example\x1a\xe1");
        stream.write_all(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00hello").unwrap();
        let _ = read(&mut stream, 1);
    });
    let connector = connector(at, Login::Anonymous, false, ListenScope::Nowhere);
    let to = Endpoint::parse("peer.example", 6881).unwrap();
    let said = runtime.handle().block_on(async {
        let stream = connector.dial(&to, Isolation::Torrent(1), PATIENCE).await.unwrap();
        let mut buffer = [0; 5];
        let mut read = 0;
        while read < 5 {
            stream.readable().await.unwrap();
            read += stream.try_read(&mut buffer[read..]).unwrap_or(0);
        }
        buffer
    });
    assert_eq!(&said, b"hello");
    assert_eq!(connector.health().unwrap().fault(), None);
    runtime.close(PATIENCE);
}

#[test]
fn streams_that_shall_not_be_told_as_one_users_have_names_of_their_own() {
    let (tell, names): (_, Receiver<Vec<u8>>) = channel();
    let at = proxy(move |mut stream| {
        assert_eq!(read(&mut stream, 3), [5, 1, 2]);
        stream.write_all(&[5, 2]).unwrap();
        let mut login = read(&mut stream, 2 + 32 + 1);
        let password = usize::from(*login.last().unwrap());
        login.extend(read(&mut stream, password));
        tell.send(login).unwrap();
        stream.write_all(&[1, 1]).unwrap();
    });
    let (runtime, tor) = (runtime(), connector(at, Login::Isolated([7; 16]), false, ListenScope::Loopback));
    let of = |isolation| {
        let refused = dial(&tor, &runtime, "192.0.2.1", isolation);
        assert_eq!(refused, Err(DialError::Proxy(ProxyFault::Authentication)));
        names.recv_timeout(PATIENCE).unwrap()
    };
    let torrent = of(Isolation::Torrent(1));
    assert_eq!(of(Isolation::Torrent(1)), torrent);
    let group = || Isolation::group("a torrent", "tracker.example");
    assert_eq!(of(group()), of(group()));
    let [one, two] = ["tracker.example", "other.example"].map(|host| of(Isolation::group("another", host)));
    let clients = [of(Isolation::client()), of(Isolation::client())];
    let others = [vec![of(Isolation::Torrent(2)), of(group()), one, two], clients.to_vec()].concat();
    for (at, one) in others.iter().enumerate() {
        assert!(*one != torrent && others.iter().skip(at + 1).all(|other| other != one));
    }
    assert_eq!(tor.health().unwrap().faults(), 10);
    assert_eq!(tor.health().unwrap().fault(), Some(ProxyFault::Authentication));
    runtime.close(PATIENCE);
}

#[test]
fn a_proxy_that_is_slow_gone_or_none_is_a_fault_of_its_own_and_bounded() {
    let runtime = runtime();
    let of = |at| {
        let connector = connector(at, Login::Anonymous, false, ListenScope::Nowhere);
        let start = Instant::now();
        let dialled = dial(&connector, &runtime, "192.0.2.1", Isolation::Torrent(1));
        assert!(start.elapsed() < Duration::from_secs(10));
        dialled.unwrap_err()
    };
    // One byte in a while: the whole greeting has one time.
    let slow = proxy(|mut stream| {
        while stream.write_all(&[5]).is_ok() {
            std::thread::sleep(Duration::from_secs(5));
        }
    });
    assert_eq!(of(slow), DialError::Proxy(ProxyFault::Slow));
    let web = proxy(|mut stream| stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap());
    assert_eq!(of(web), DialError::Proxy(ProxyFault::NotSocks5));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(of(closed), DialError::Proxy(ProxyFault::Unreachable));
    // Let in, and then left waiting: that is whom it dials.
    let waiting = proxy(|mut stream| {
        stream.write_all(&[5, 0]).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    assert_eq!(of(waiting), DialError::TimedOut);
    runtime.close(PATIENCE);
}

#[test]
fn nothing_but_the_proxy_is_met_and_nobody_heard_where_that_is_not_wanted() {
    let runtime = runtime();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let tor = connector(nobody, Login::Isolated([0; 16]), false, ListenScope::Loopback);
    let to = server.local_addr().unwrap();
    let dialled =
        runtime.handle().block_on(tor.dial(&to.into(), Isolation::Torrent(1), Duration::from_secs(5)));
    assert!(dialled.is_err() && server.accept().is_err(), "it was not dialled past the proxy");
    let at = |host: &str| tcp::address(host, 0).unwrap();
    assert!(tor.listen(runtime.handle(), at("127.0.0.1")).is_ok());
    assert_eq!(tor.listen(runtime.handle(), at("0.0.0.0")).unwrap_err().code(), "ERR_PRIVACY");
    assert_eq!(tor.listen(runtime.handle(), at("::")).unwrap_err().code(), "ERR_PRIVACY");
    let bound = Udp::bind(runtime.handle(), &tor, at("127.0.0.1"), UdpLimits::default(), || ());
    assert_eq!(bound.unwrap_err().code(), "ERR_PRIVACY");
    let deaf = connector(nobody, Login::Anonymous, true, ListenScope::Nowhere);
    assert_eq!(deaf.listen(runtime.handle(), at("127.0.0.1")).unwrap_err().code(), "ERR_PRIVACY");
    // And the other way round: no name is resolved where there is no proxy.
    let direct = dial(&Connector::direct(), &runtime, "peer.example", Isolation::Torrent(1));
    assert_eq!(direct, Err(DialError::Forbidden));
    runtime.close(PATIENCE);
}

/// A proxy whose relay echoes datagrams, a fragment and one from a stranger beforehand; says of each association how to
/// end it.
fn relay() -> (SocketAddr, Receiver<TcpStream>) {
    let (tell, associations) = channel();
    let at = proxy(move |mut stream| {
        let greeting = read(&mut stream, 3);
        stream.write_all(&[5, greeting[2]]).unwrap();
        read(&mut stream, 1 + 2 + 2);
        stream.write_all(&[1, 0]).unwrap();
        assert_eq!(read(&mut stream, 10), [5, 3, 0, 1, 0, 0, 0, 0, 0, 0]);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port().to_be_bytes();
        // 0.0.0.0: at the proxy's own address.
        stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, port[0], port[1]]).unwrap();
        tell.send(stream).unwrap();
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let datagram = &mut buffer[..length];
            stranger.send_to(datagram, from).unwrap();
            datagram[2] = 1;
            socket.send_to(datagram, from).unwrap();
            datagram[2] = 0;
            socket.send_to(datagram, from).unwrap();
        }
    });
    (at, associations)
}

#[test]
fn datagrams_go_by_the_relay_and_by_a_new_one_when_it_is_gone() {
    let runtime = runtime();
    let (at, associations) = relay();
    let login = Login::As(Credentials::new(b"u", b"p").unwrap());
    let connector = connector(at, login, true, ListenScope::Nowhere);
    let (tell, woken) = channel();
    let limits = UdpLimits { gate: GateLimits::default(), ..UdpLimits::default() };
    let nowhere = tcp::address("0.0.0.0", 0).unwrap();
    let udp = Udp::bind(runtime.handle(), &connector, nowhere, limits, move || {
        let _ = tell.send(());
    });
    let (udp, peer) = (udp.unwrap(), tcp::address("192.0.2.7", 6881).unwrap());
    for _ in 0..2 {
        let association = associations.recv_timeout(PATIENCE).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            // Lost until the socket is there.
            assert!(udp.send(peer, b"d1:q4:pinge".to_vec()));
            if woken.recv_timeout(Duration::from_millis(50)).is_ok() {
                break;
            }
        }
        let datagrams = udp.drain();
        assert!(!datagrams.is_empty());
        for datagram in datagrams {
            assert_eq!((datagram.from, &datagram.payload[..]), (peer, &b"d1:q4:pinge"[..]));
        }
        while woken.try_recv().is_ok() {}
        drop(association);
    }
    runtime.close(PATIENCE);
}

#[test]
fn a_relay_elsewhere_is_not_taken() {
    let runtime = runtime();
    let at = proxy(|mut stream| {
        read(&mut stream, 3);
        stream.write_all(&[5, 0]).unwrap();
        read(&mut stream, 10);
        stream.write_all(&[5, 0, 0, 1, 127, 0, 0, 99, 0, 9]).unwrap();
    });
    let connector = connector(at, Login::Anonymous, true, ListenScope::Nowhere);
    let Way::Socks5(socks) = &connector.way else { return };
    let asked = runtime.handle().block_on(socks.associate(PATIENCE));
    assert_eq!(asked.map(drop), Err(DialError::Proxy(ProxyFault::ForeignRelay)));
    runtime.close(PATIENCE);
}
