//! Encrypted links over loopback: which come to be in which mode, and that they carry a torrent.
#![expect(clippy::unwrap_used, reason = "tests")]

mod swarm;

use blockswarm_wire::{Encryption, How, Limits, Transport};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;
use swarm::{INFO_HASH, Node, PIECE_LENGTH, Raw, empty_store, full_store, some_bytes};

fn how(encrypted: bool) -> How {
    How { transport: Transport::Tcp, encrypted }
}

#[test]
fn an_encrypted_link_carries_a_torrent_whole_in_every_mode_that_takes_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = some_bytes(30 * PIECE_LENGTH as usize + 12_345);
    let seed = full_store(folder.path(), "seed", &data);
    for (ours, theirs, sealed) in [
        (Encryption::Allowed, Encryption::Allowed, false),
        (Encryption::Allowed, Encryption::Preferred, true),
        (Encryption::Required, Encryption::Allowed, true),
        (Encryption::Required, Encryption::Required, true),
    ] {
        let mut seeder = Node::seeder(1, std::sync::Arc::clone(&seed), Limits::default());
        seeder.hub.set_encryption(theirs);
        seeder.hub.know_info_hash(INFO_HASH);
        let name = format!("leech {ours:?} {theirs:?}");
        let store = empty_store(folder.path(), &name, &data);
        let mut leech = Node::start(2, Limits::default());
        leech.hub.set_encryption(ours);
        let torrent = leech.hub.add_torrent(Some(std::sync::Arc::clone(&store)));
        // The seeder's events are drained while the leech waits.
        let address = seeder.address;
        let serving = thread::spawn(move || {
            seeder.until_incoming();
            seeder
        });
        let link = leech.fetch_from(torrent, address, how(true), &store);
        let seeder = serving.join().unwrap();
        let opened = |event: &blockswarm_wire::events::LinkEvent| event.record.opened.clone().unwrap();
        assert_eq!(opened(&leech.events[&link]).encrypted, sealed, "{name}");
        assert_eq!(opened(&leech.events[&link]).transport, Transport::Tcp);
        assert!(std::fs::read(folder.path().join(&name)).unwrap() == data);
        drop(seeder);
    }
}

#[test]
fn a_mode_refuses_what_it_does_not_take() {
    for (mode, encrypted, reason) in
        [(Encryption::Off, true, "reset"), (Encryption::Required, false, "reset")]
    {
        let node = Node::start(1, Limits::default());
        node.hub.set_encryption(mode);
        node.hub.know_info_hash(INFO_HASH);
        let mut other = Node::start(2, Limits::default());
        let torrent = other.hub.add_torrent(None);
        let link = other.connect_how(torrent, node.address, how(encrypted));
        assert_eq!(other.until_closed(link), reason, "{mode:?}");
    }
}

#[test]
fn a_torrent_that_is_forgotten_or_was_never_known_is_not_found_by_an_encrypted_handshake() {
    let mut node = Node::start(1, Limits::default());
    node.open_to = Some(node.hub.add_torrent(None));
    let mut other = Node::start(2, Limits::default());
    let torrent = other.hub.add_torrent(None);
    node.hub.know_info_hash([0xcd; 20]);
    let unknown = other.connect_how(torrent, node.address, how(true));
    assert_eq!(other.until_closed(unknown), "reset");
    node.hub.know_info_hash(INFO_HASH);
    let known = other.connect_how(torrent, node.address, how(true));
    node.until_incoming();
    other.until_open(known);
    node.hub.forget_info_hash(INFO_HASH);
    let forgotten = other.connect_how(torrent, node.address, how(true));
    assert_eq!(other.until_closed(forgotten), "reset");
}

#[test]
fn a_dialled_peer_that_answers_an_encrypted_handshake_in_plain_is_dropped() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let limits = Limits { handshake_timeout: Duration::from_millis(300), ..Limits::default() };
    let mut node = Node::start(1, limits);
    let torrent = node.hub.add_torrent(None);
    let link = node.connect_how(torrent, address, how(true));
    let mut raw = Raw::over(listener.accept().unwrap().0);
    raw.send_handshake(true, INFO_HASH);
    assert_eq!(node.until_closed(link), "handshake-timeout", "68 bytes are no key yet");
    let link = node.connect_how(torrent, address, how(true));
    let mut raw = Raw::over(listener.accept().unwrap().0);
    for _ in 0..10 {
        raw.send_handshake(true, INFO_HASH);
    }
    assert_eq!(node.until_closed(link), "bad-message", "a pad is no longer than 512 bytes");
}
