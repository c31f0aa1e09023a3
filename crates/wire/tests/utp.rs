//! Links over uTP on loopback: they are links as others are, encrypted or not.
#![expect(clippy::unwrap_used, reason = "tests")]

mod swarm;

use blockswarm_net::{UdpLimits, UtpLimits, tcp};
use blockswarm_wire::{Encryption, How, Limits, Transport};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use swarm::{INFO_HASH, Node, PIECE_LENGTH, empty_store, full_store, some_bytes};

fn bind(node: &Node, utp: bool) -> SocketAddr {
    let limits = UdpLimits { utp: utp.then(UtpLimits::default), ..UdpLimits::default() };
    node.hub.bind_udp(tcp::address("127.0.0.1", 0).unwrap(), limits).unwrap()
}

#[test]
fn a_link_over_utp_carries_a_torrent_whole_plain_or_encrypted() {
    let folder = tempfile::tempdir().unwrap();
    let data = some_bytes(30 * PIECE_LENGTH as usize + 12_345);
    let seed = full_store(folder.path(), "seed", &data);
    let mut seeder = Node::seeder(1, seed, Limits::default());
    seeder.hub.know_info_hash(INFO_HASH);
    let address = bind(&seeder, true);
    let done = Arc::new(AtomicBool::new(false));
    let serving = thread::spawn({
        let done = Arc::clone(&done);
        move || {
            while !done.load(Ordering::Acquire) {
                seeder.pump(Duration::from_millis(20));
            }
            seeder
        }
    });
    for encrypted in [false, true] {
        let name = format!("leech {encrypted}");
        let store = empty_store(folder.path(), &name, &data);
        let mut leech = Node::start(2, Limits::default());
        leech.hub.set_encryption(if encrypted { Encryption::Required } else { Encryption::Off });
        bind(&leech, true);
        let torrent = leech.hub.add_torrent(Some(Arc::clone(&store)));
        let how = How { transport: Transport::Utp, encrypted };
        let link = leech.fetch_from(torrent, address, how, &store);
        let opened = leech.events[&link].record.opened.clone().unwrap();
        assert_eq!((opened.transport, opened.encrypted), (Transport::Utp, encrypted));
        assert!(std::fs::read(folder.path().join(&name)).unwrap() == data);
    }
    done.store(true, Ordering::Release);
    let mut seeder = serving.join().unwrap();
    for link in seeder.events.keys().copied().collect::<Vec<_>>() {
        assert_eq!(seeder.until_closed(link), "reset", "the seeder notices that the leech has gone");
    }
}

#[test]
fn who_has_no_utp_neither_dials_nor_takes_it() {
    let mut node = Node::start(1, Limits::default());
    let limits = Limits { dial_timeout: Duration::from_millis(200), ..Limits::default() };
    let mut other = Node::start(2, limits);
    let torrent = other.hub.add_torrent(None);
    let how = How { transport: Transport::Utp, encrypted: false };
    let address = bind(&node, false);
    let link = other.connect_how(torrent, address, how);
    assert_eq!(other.until_closed(link), "refused", "no UDP socket here");
    bind(&other, true);
    let link = other.connect_how(torrent, address, how);
    assert_eq!(other.until_closed(link), "dial-timeout", "no uTP there");
    node.pump(Duration::ZERO);
    assert!(node.incoming.is_empty());
}

#[test]
fn beginnings_over_utp_that_lead_nowhere_leave_the_places_of_tcp_alone() {
    let limits = Limits { half_open: 4, ..Limits::default() };
    let mut node = Node::start(1, limits);
    let address = bind(&node, true);
    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for id in 0..12 {
        // Version 1, SYN; nothing follows, as from a forged address.
        let mut syn = [0; 20];
        (syn[0], syn[3]) = (0x41, 2 * id);
        stranger.send_to(&syn, address).unwrap();
    }
    node.until("all of them", |node| {
        let turned_away = node.hub.counters().turned_away.load(Ordering::Relaxed);
        (turned_away == 10 && node.hub.links() == 2).then_some(())
    });
    let _peers: Vec<_> = (0..2).map(|_| swarm::Raw::dial(node.address, true)).collect();
    node.until("both peers over TCP", |node| (node.incoming.len() == 2).then_some(()));
}
