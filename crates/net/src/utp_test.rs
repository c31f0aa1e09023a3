//! Connections between two sockets of this process, and what strangers may do to them.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::{UtpConnection, UtpLimits};
use crate::{Connector, Runtime, RuntimeOptions, Udp, UdpLimits, tcp};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::Interest;

const PATIENCE: Duration = Duration::from_secs(30);

fn runtime() -> Runtime {
    Runtime::start(RuntimeOptions { network_threads: 2, worker_threads: 1 }).unwrap()
}

fn bind(runtime: &Runtime, host: &str, utp: bool) -> Udp {
    let limits = UdpLimits { utp: utp.then(UtpLimits::default), ..UdpLimits::default() };
    Udp::bind(runtime.handle(), &Arc::new(Connector::direct()), tcp::address(host, 0).unwrap(), limits, || ())
        .unwrap()
}

async fn write_all(connection: &mut UtpConnection, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match connection.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                connection.ready(Interest::WRITABLE).await;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn read_to_end(connection: &mut UtpConnection) -> io::Result<Vec<u8>> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 100_000]);
    loop {
        match connection.try_read(&mut buffer) {
            Ok(0) => return Ok(all),
            Ok(count) => all.extend(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                connection.ready(Interest::READABLE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// What `from` sends to `to`, by a connection of its own, and what comes.
fn exchange(runtime: &Runtime, from: &Udp, to: &Udp, address: SocketAddr) {
    let sent: Vec<u8> = (0..3_000_000u32).map(|n| (n * 7 + n / 251) as u8).collect();
    let (dialling, accepting) = (from.utp().unwrap(), to.utp().unwrap());
    let copy = sent.clone();
    let sending = runtime.handle().spawn(async move {
        let mut connection = dialling.dial(address, PATIENCE).await.unwrap();
        write_all(&mut connection, &copy).await.unwrap();
    });
    let came = runtime.handle().block_on(async {
        let (mut connection, peer) = accepting.accept().await.unwrap();
        assert_eq!(peer.ip(), from.local().ip().to_canonical());
        tokio::time::timeout(PATIENCE, read_to_end(&mut connection)).await.unwrap().unwrap()
    });
    assert!(came == sent);
    runtime.handle().block_on(sending).unwrap();
}

#[test]
fn carries_bytes_whole_both_ways_beside_the_dht_on_one_port() {
    let runtime = runtime();
    let (one, other) = (bind(&runtime, "127.0.0.1", true), bind(&runtime, "127.0.0.1", true));
    exchange(&runtime, &one, &other, other.local());
    exchange(&runtime, &other, &one, one.local());
    assert!(one.send(other.local(), b"d1:q4:pinge".to_vec()));
    let end = std::time::Instant::now() + PATIENCE;
    while other.drain().is_empty() {
        assert!(std::time::Instant::now() < end);
        std::thread::yield_now();
    }
    assert!(other.counters().utp.load(Ordering::Relaxed) > 2_000);
    runtime.close(Duration::from_secs(5));
}

#[test]
fn an_ipv6_socket_reaches_and_is_reached_by_both_families() {
    let runtime = runtime();
    let both = bind(&runtime, "::", true);
    let (v4, v6) = (bind(&runtime, "127.0.0.1", true), bind(&runtime, "::1", true));
    let port = both.local().port();
    exchange(&runtime, &v4, &both, tcp::address("127.0.0.1", port).unwrap());
    exchange(&runtime, &v6, &both, tcp::address("::1", port).unwrap());
    assert!(both.send(v4.local(), b"d1:q4:pinge".to_vec()), "the DHT writes to IPv4 from here, too");
    let end = std::time::Instant::now() + PATIENCE;
    let heard = loop {
        if let Some(datagram) = v4.drain().pop() {
            break datagram;
        }
        assert!(std::time::Instant::now() < end);
        std::thread::yield_now();
    };
    assert_eq!(heard.from, tcp::address("127.0.0.1", port).unwrap());
    runtime.close(Duration::from_secs(5));
}

#[test]
fn a_flood_of_beginnings_is_cut_and_what_belongs_to_no_connection_is_not_answered() {
    let runtime = runtime();
    let udp = bind(&runtime, "127.0.0.1", true);
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let header = |kind: u8, id: u8| {
        let mut bytes = [0; 20];
        (bytes[0], bytes[3]) = (kind << 4 | 1, id);
        bytes
    };
    // Data, end, state and reset of no connection.
    for kind in 0..4 {
        stranger.send_to(&header(kind, 9), udp.local()).unwrap();
    }
    // Neither of them is uTP: too short, another version, another type, too long.
    for bytes in [&header(0, 1)[..19], &[0x02; 20], &[0x51; 20], &[1; 2_049]] {
        stranger.send_to(bytes, udp.local()).unwrap();
    }
    for id in 0..100 {
        stranger.send_to(&header(4, id), udp.local()).unwrap();
    }
    let counters = udp.counters();
    let read = || {
        [&counters.utp, &counters.malformed, &counters.too_many]
            .map(|counter| counter.load(Ordering::Relaxed))
    };
    let end = std::time::Instant::now() + PATIENCE;
    while read().iter().sum::<u64>() < 108 {
        assert!(std::time::Instant::now() < end, "{:?}", read());
        std::thread::yield_now();
    }
    let [utp, malformed, too_many] = read();
    assert_eq!(malformed, 4);
    assert!((4 + 16..40).contains(&utp) && too_many > 60, "{utp} {too_many}");
    // Nobody accepts here, and 32 beginnings may wait: no answer at all so far.
    stranger.set_nonblocking(true).unwrap();
    assert_eq!(stranger.recv(&mut [0; 64]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    runtime.close(Duration::from_secs(5));
}

#[test]
fn a_dial_that_nobody_answers_ends_in_time_and_all_end_with_the_socket() {
    let runtime = runtime();
    let udp = bind(&runtime, "127.0.0.1", true);
    let utp = udp.utp().unwrap();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dialled = runtime.handle().block_on(utp.dial(silent, Duration::from_millis(100)));
    assert_eq!(dialled.unwrap_err().kind(), io::ErrorKind::TimedOut);
    let accepting = std::sync::Arc::clone(&utp);
    let waits = runtime.handle().spawn(async move { accepting.accept().await.is_err() });
    drop(udp);
    assert!(runtime.handle().block_on(waits).unwrap());
    runtime.close(Duration::from_secs(5));
}
