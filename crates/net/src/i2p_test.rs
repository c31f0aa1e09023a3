//! Streams through a SAM bridge, whatever it says.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::{I2P_PORT, I2p};
use crate::connector::{Connector, Isolation};
use crate::endpoint::Endpoint;
use crate::error::{DialError, ProxyFault};
use crate::{Runtime, RuntimeOptions};
use parking_lot::Mutex;
use proptest::prelude::*;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);
/// 387 bytes of zeros with a certificate of no length, and 288 zeros behind it.
const DESTINATION_CHARACTERS: usize = 516;
const KEYS_CHARACTERS: usize = 900;

fn runtime() -> Runtime {
    Runtime::start(RuntimeOptions { network_threads: 1, worker_threads: 1 }).unwrap()
}

fn zeros(characters: usize) -> String {
    "A".repeat(characters)
}

/// Answers every line of a connection as `answer` says, until it says nothing or begins a stream.
fn bridge(answer: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), Arc::clone(&answer));
            std::thread::spawn(move || {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while let Some(Ok(line)) = lines.next() {
                    let Some(text) = answer(&line) else { return };
                    if stream.write_all(text.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// As a router that is well answers.
fn sound(line: &str) -> Option<String> {
    let topic = line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    Some(match topic.as_str() {
        "HELLO VERSION" => "HELLO REPLY RESULT=OK VERSION=3.1\n".to_owned(),
        "SESSION CREATE" => {
            format!("SESSION STATUS RESULT=OK DESTINATION={}\n", zeros(KEYS_CHARACTERS))
        }
        "NAMING LOOKUP" => {
            format!("NAMING REPLY RESULT=OK NAME=x VALUE={}\n", zeros(DESTINATION_CHARACTERS))
        }
        "STREAM CONNECT" => "STREAM STATUS RESULT=OK\nhello".to_owned(),
        "STREAM ACCEPT" => format!("STREAM STATUS RESULT=OK\n{}\nhi", zeros(DESTINATION_CHARACTERS)),
        _ => return None,
    })
}

fn said(stream: tokio::net::TcpStream, bytes: usize) -> Vec<u8> {
    let mut stream = stream.into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    let mut said = vec![0; bytes];
    stream.read_exact(&mut said).unwrap();
    said
}

fn keep(runtime: &Runtime, at: SocketAddr, lost: impl Fn() + Send + Sync + 'static) -> Arc<I2p> {
    let i2p = Arc::new(I2p::new(at, None).unwrap());
    runtime.handle().spawn(Arc::clone(&i2p).keep(lost));
    i2p
}

#[test]
fn streams_lead_to_names_of_i2p_and_from_them_and_no_byte_of_them_is_lost() {
    let runtime = runtime();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let at = bridge(move |line| {
        log.lock().push(line.split(" DEST").next().unwrap().to_owned());
        sound(line)
    });
    let i2p = keep(&runtime, at, || {});
    let connector = Connector::i2p(Arc::clone(&i2p));
    let dial = |to: &str| {
        let to = Endpoint::parse(to, 80).unwrap();
        runtime.handle().block_on(connector.dial(&to, Isolation::Torrent(1), PATIENCE))
    };
    for elsewhere in ["192.0.2.1", "peer.example", "i2p", "x.i2p.example", "127.0.0.1"] {
        assert_eq!(dial(elsewhere).unwrap_err(), DialError::Forbidden, "{elsewhere}");
    }
    assert_eq!(said(dial("tracker.i2p").unwrap(), 5), b"hello");
    assert_eq!(said(dial("tracker.i2p").unwrap(), 5), b"hello");
    let (stream, from) = runtime.handle().block_on(i2p.accept());
    assert_eq!(said(stream, 2), b"hi");
    let address = i2p.address().unwrap();
    assert_eq!(from, Endpoint::Name { host: Arc::clone(&address.name), port: I2P_PORT });
    assert_eq!(*address.destination, *zeros(DESTINATION_CHARACTERS));
    assert_eq!(said(dial(&address.name).unwrap(), 5), b"hello", "who came in needs no lookup");
    let asked = asked.lock();
    assert_eq!(asked.iter().filter(|line| line.starts_with("NAMING")).count(), 1, "{asked:?}");
    assert!(asked.iter().any(|line| line.starts_with("SESSION CREATE STYLE=STREAM ID=")));
    runtime.close(PATIENCE);
}

#[test]
fn a_hash_leads_to_its_own_destination_only() {
    let runtime = runtime();
    let i2p = keep(&runtime, bridge(sound), || {});
    let connector = Connector::i2p(i2p);
    let to = Endpoint::parse(&format!("{}.b32.i2p", "a".repeat(52)), 80).unwrap();
    let dialled = runtime.handle().block_on(connector.dial(&to, Isolation::Torrent(1), PATIENCE));
    assert_eq!(dialled.unwrap_err(), DialError::Refused);
    runtime.close(PATIENCE);
}

#[test]
fn a_session_that_is_lost_is_told_of_and_made_again_with_its_keys() {
    let runtime = runtime();
    let (tell, sessions) = channel::<(String, TcpStream)>();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap_or(0) > 0 {
                stream.write_all(sound(&line).unwrap().as_bytes()).unwrap();
                if line.starts_with("SESSION") {
                    // A bridge of 3.2 asks whether we are there.
                    stream.write_all(b"PING 7\n").unwrap();
                    let mut pong = String::new();
                    reader.read_line(&mut pong).unwrap();
                    assert_eq!(pong, "PONG 7\n");
                    tell.send((line.clone(), stream.try_clone().unwrap())).unwrap();
                }
                line.clear();
            }
        }
    });
    let (lose, lost) = channel();
    let i2p = keep(&runtime, at, move || lose.send(()).unwrap());
    let (first, control) = sessions.recv_timeout(PATIENCE).unwrap();
    assert!(first.contains("DESTINATION=TRANSIENT SIGNATURE_TYPE=7 i2cp.leaseSetEncType=4,0"), "{first}");
    assert!(i2p.address().is_some());
    control.shutdown(std::net::Shutdown::Both).unwrap();
    lost.recv_timeout(PATIENCE).unwrap();
    assert_eq!(i2p.address(), None);
    assert_eq!(i2p.health().fault(), Some(ProxyFault::Gone));
    let connector = Connector::i2p(Arc::clone(&i2p));
    let to = Endpoint::parse("tracker.i2p", 80).unwrap();
    let dialled = runtime.handle().block_on(connector.dial(&to, Isolation::Torrent(1), Duration::ZERO));
    assert_eq!(dialled.unwrap_err(), DialError::Proxy(ProxyFault::Gone));
    let (second, _control) = sessions.recv_timeout(PATIENCE).unwrap();
    assert!(second.contains(&format!("DESTINATION={} ", zeros(KEYS_CHARACTERS))), "{second}");
    runtime.close(PATIENCE);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_bridge_that_says_anything_else_makes_no_session(
        hello in prop_oneof![Just("HELLO REPLY RESULT=OK".to_owned()), "\\PC{0,40}"],
        status in prop_oneof![
            "SESSION STATUS RESULT=(OK|I2P_ERROR|DUPLICATED_DEST|\"OK) ?(DESTINATION=[A-Za-z~]{0,60})?\n",
            "[ -~]{0,10000}",
        ],
    ) {
        let runtime = runtime();
        let ending = format!("{status}\n");
        let at = bridge(move |line| {
            Some(if line.starts_with("HELLO") { format!("{hello}\n") } else { ending.clone() })
        });
        let i2p = I2p::new(at, None).unwrap();
        let begun = runtime.handle().block_on(async {
            tokio::time::timeout(PATIENCE, i2p.begin()).await
        });
        prop_assert!(begun.unwrap().is_err());
        prop_assert_eq!(i2p.keys(), None);
        runtime.close(PATIENCE);
    }
}
