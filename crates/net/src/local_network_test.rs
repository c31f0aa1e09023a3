#![expect(clippy::unwrap_used, reason = "tests")]
use super::LocalNetwork;
use crate::gateway::{MappedTransport, MappingMethod, MappingRequest};
use crate::multicast::Group;
use crate::{Runtime, RuntimeOptions};
use std::net::{SocketAddr, UdpSocket};
use std::num::NonZeroU16;
use std::sync::mpsc;
use std::time::Duration;

fn group(port: u16) -> Group {
    let address = SocketAddr::new("239.192.152.143".parse().unwrap(), port);
    Group { interface: "lo".to_owned(), local: "127.0.0.1".parse().unwrap(), address }
}

#[test]
fn nothing_is_said_when_that_was_not_allowed() {
    let runtime = Runtime::start(RuntimeOptions { network_threads: 1, worker_threads: 1 }).unwrap();
    let network = LocalNetwork::new(runtime.handle(), false, || ());
    assert_eq!(network.join(group(6_771)).unwrap_err().code(), "ERR_PRIVACY");
    let port = NonZeroU16::new(6_881).unwrap();
    let request = MappingRequest {
        method: MappingMethod::UpnpIgd,
        gateway: "127.0.0.1".parse().unwrap(),
        search: "127.0.0.1:1900".parse().unwrap(),
        transport: MappedTransport::Tcp,
        internal_port: port,
        external_port: port,
        lifetime_seconds: 60,
    };
    assert!(network.map_port(request).is_err());
    assert!(!network.send(1, Vec::new()));
    runtime.close(Duration::from_secs(5));
}

#[test]
fn two_on_one_interface_hear_each_other_and_a_flood_is_cut_short() {
    let runtime = Runtime::start(RuntimeOptions { network_threads: 1, worker_threads: 1 }).unwrap();
    // A port of our own, on the loopback interface: nothing leaves the machine, nor is heard by other programs.
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (sender, woken) = mpsc::channel();
    let listener = LocalNetwork::new(runtime.handle(), true, move || {
        let _ = sender.send(());
    });
    let speaker = LocalNetwork::new(runtime.handle(), true, || ());
    let heard = listener.join(group(port)).unwrap();
    let said = speaker.join(group(port)).unwrap();
    assert!(speaker.send(said, b"BT-SEARCH".to_vec()));
    woken.recv_timeout(Duration::from_secs(10)).unwrap();
    let (datagrams, _) = listener.drain();
    assert_eq!((datagrams[0].group, &datagrams[0].payload[..]), (heard, &b"BT-SEARCH"[..]));
    assert!(datagrams[0].from.ip().is_loopback());

    for _ in 0..500 {
        assert!(speaker.send(said, vec![0; 1_000]));
    }
    assert!(speaker.send(said, vec![0; 1_501]));
    while woken.recv_timeout(Duration::from_millis(500)).is_ok() {}
    let (datagrams, _) = listener.drain();
    assert!((1..=12).contains(&datagrams.len()), "{} of a flood came through", datagrams.len());
    assert!(datagrams.iter().all(|datagram| datagram.payload.len() == 1_000));

    listener.leave(heard);
    assert!(!listener.send(heard, Vec::new()), "it was left");
    runtime.close(Duration::from_secs(5));
}
