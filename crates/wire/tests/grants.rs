//! The fast extension beyond rejects (BEP 6), and pieces shown to one peer only (BEP 16).
#![expect(clippy::unwrap_used, reason = "tests")]

mod swarm;

use blockswarm_wire::message::{Message, Span};
use blockswarm_wire::{Hello, Limits};
use swarm::{Node, PIECE_LENGTH, Raw, empty_store, full_store, hello, some_bytes};

fn block(piece: u32, n: u32) -> Span {
    Span { piece, begin: n * 16_384, length: 16_384 }
}

/// A seeder of three pieces of four blocks that does what it is told only, and a raw peer on it.
fn seeder(hello: Hello) -> (tempfile::TempDir, Node, Raw, u32) {
    let folder = tempfile::tempdir().unwrap();
    let data = some_bytes(3 * PIECE_LENGTH as usize);
    let mut node = Node::start(1, Limits::default());
    let torrent = node.hub.add_torrent(Some(full_store(folder.path(), "seed", &data)));
    let mut peer = Raw::dial(node.address, true);
    let link = node.until_incoming();
    assert!(node.hub.accept(link, torrent, hello));
    peer.read_handshake();
    (folder, node, peer, link)
}

/// What comes of a request: served or not.
fn is_served(peer: &mut Raw, span: Span) -> bool {
    peer.send(&[Message::Request(span)]);
    peer.hear_until(|message| match message {
        Message::Piece { piece, begin, .. } => Some((piece, begin) == (span.piece, span.begin)),
        Message::Reject(rejected) => (rejected == span).then_some(false),
        _ => None,
    })
}

#[test]
fn an_allowed_piece_is_given_once_to_a_choked_peer() {
    let (_folder, node, mut peer, link) = seeder(hello(1));
    node.hub.allow_fast(link, vec![1, 9, 1]);
    let mut allowed = Vec::new();
    // The suggestion comes behind.
    node.hub.suggest(link, 2);
    let suggested = peer.hear_until(|message| match message {
        Message::AllowedFast(piece) => {
            allowed.push(piece);
            None
        }
        Message::Suggest(piece) => Some(piece),
        _ => None,
    });
    assert_eq!(suggested, 2);
    assert_eq!(allowed, [1], "once, and no piece that is none");
    assert!(!is_served(&mut peer, block(0, 0)));
    for n in 0..4 {
        assert!(is_served(&mut peer, block(1, n)));
    }
    assert!(!is_served(&mut peer, block(1, 0)), "it was sent before");
}

#[test]
fn a_choke_does_not_reject_what_is_allowed() {
    let (_folder, node, mut peer, link) = seeder(hello(1));
    node.hub.set_choked(link, false);
    node.hub.allow_fast(link, vec![1]);
    node.hub.set_choked(link, true);
    peer.hear_until(|message| (message == Message::Choke).then_some(()));
    assert!(is_served(&mut peer, block(1, 3)));
    assert!(!is_served(&mut peer, block(0, 3)));
}

#[test]
fn named_pieces_are_told_once_and_in_bounds() {
    let (_folder, mut node, mut peer, link) = seeder(hello(1));
    peer.send(&[
        Message::Suggest(2),
        Message::Suggest(2),
        Message::Suggest(3),
        Message::AllowedFast(0),
        Message::AllowedFast(u32::MAX),
        Message::AllowedFast(0),
        Message::Interested,
    ]);
    let record = node.until("interest", |node| {
        let record = &node.events.get(&link)?.record;
        record.peer_interested.then(|| record.clone())
    });
    assert_eq!((record.suggested, record.allowed_fast), (vec![2], vec![0]));
}

#[test]
fn what_is_allowed_is_asked_for_although_the_peer_chokes_us() {
    let folder = tempfile::tempdir().unwrap();
    let data = some_bytes(2 * PIECE_LENGTH as usize);
    let mut node = Node::start(1, Limits::default());
    let torrent = node.hub.add_torrent(Some(empty_store(folder.path(), "leech", &data)));
    node.open_to = Some(torrent);
    let mut peer = Raw::dial(node.address, true);
    let link = node.until_incoming();
    peer.read_handshake();
    peer.send(&[Message::HaveAll, Message::AllowedFast(1)]);
    node.until("an allowed piece", |node| (node.events.get(&link)?.record.allowed_fast == [1]).then_some(()));
    assert!(node.hub.fetch(link, 0, 0, 4) && node.hub.fetch(link, 1, 0, 4));
    for n in 0..4 {
        let asked = peer.hear_until(|message| match message {
            Message::Request(span) => Some(span),
            _ => None,
        });
        assert_eq!(asked, block(1, n));
    }
    // A second choke takes nothing of it back.
    peer.send(&[Message::Choke]);
    let piece = data.get(PIECE_LENGTH as usize..).unwrap();
    for (n, data) in piece.chunks(16_384).enumerate() {
        peer.send(&[Message::Piece { piece: 1, begin: n as u32 * 16_384, data }]);
    }
    let verdict = node.until("a verdict", |node| node.verdicts.first().map(|verdict| verdict.verdict.piece));
    assert_eq!(verdict.get(), 1);
    assert_eq!(node.events.get(&link).unwrap().record.rejected, [0, 0, 4]);
}

#[test]
fn a_hidden_piece_is_announced_and_served_to_whom_it_is_shown() {
    let (_folder, node, mut peer, link) = seeder(Hello { hide_have: true, ..hello(1) });
    assert!(peer.hear_until(|message| match message {
        Message::HaveNone => Some(true),
        Message::HaveAll | Message::Bitfield(_) => Some(false),
        _ => None,
    }));
    node.hub.set_choked(link, false);
    peer.until_unchoked();
    assert!(!is_served(&mut peer, block(0, 0)));
    node.hub.announce_have(1, 0);
    node.hub.show_piece(link, 2);
    let first = peer.hear_until(|message| match message {
        Message::Have(piece) => Some(piece),
        _ => None,
    });
    assert_eq!(first, 2, "others are not announced");
    assert!(is_served(&mut peer, block(2, 0)));
    assert!(!is_served(&mut peer, block(1, 0)));
}
