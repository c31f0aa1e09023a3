//! Hash messages (BEP 52), asked for and given, and peers that abuse them.
#![expect(clippy::unwrap_used, reason = "tests")]

mod swarm;

use blockswarm_pieces::{Geometry, PieceHashes, PieceOutcome, Store};
use blockswarm_wire::message::{HashSpan, Message, Span};
use blockswarm_wire::{HashOutcome, HashesOf, Hello, Limits};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use swarm::{Node, PIECE_LENGTH, Raw, empty_store, full_store, hashes, hello, some_bytes};

const PIECES: usize = 3;

fn data() -> Vec<u8> {
    some_bytes(PIECES * PIECE_LENGTH as usize)
}

fn root(data: &[u8]) -> [u8; 32] {
    hashes(data).v2.unwrap()[0].root
}

/// A v2-only store as a magnet link gives it.
fn bare_store(folder: &Path, data: &[u8]) -> Arc<Store> {
    let PieceHashes { mut v2, .. } = hashes(data);
    v2.as_mut().unwrap()[0].layer = None;
    let geometry = Geometry::new(data.len() as u64, PIECE_LENGTH).unwrap();
    Store::open_scratch(geometry, PieceHashes { v1: None, v2 }, &folder.join("leech")).unwrap()
}

fn seeder(hello: Hello) -> (tempfile::TempDir, Node, Raw, u32) {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::start(1, Limits::default());
    let torrent = node.hub.add_torrent(Some(full_store(folder.path(), "seed", &data())));
    let mut peer = Raw::dial(node.address, true);
    let link = node.until_incoming();
    assert!(node.hub.accept(link, torrent, hello));
    peer.read_handshake();
    (folder, node, peer, link)
}

/// The answer to a request: hashes, or none.
fn answer(peer: &mut Raw, asked: HashSpan) -> Option<Vec<u8>> {
    peer.hear_until(|message| match message {
        Message::Hashes { span, hashes } if span == asked => Some(Some(hashes.to_vec())),
        Message::HashReject(span) if span == asked => Some(None),
        _ => None,
    })
}

fn ask(peer: &mut Raw, span: HashSpan) -> Option<Vec<u8>> {
    peer.send(&[Message::HashRequest(span)]);
    answer(peer, span)
}

#[test]
fn a_choked_peer_gets_hashes_of_pieces_and_leaves() {
    let (_folder, _node, mut peer, _) = seeder(hello(1));
    let layer = hashes(&data()).v2.unwrap()[0].layer.clone().unwrap();
    let span = HashSpan { root: root(&data()), base_layer: 2, index: 0, length: 4, proof_layers: 1 };
    let given = ask(&mut peer, span).unwrap();
    assert_eq!((given.len(), &given[..96]), (128, &layer[..]));
    let leaves = HashSpan { base_layer: 0, index: 4, proof_layers: 3, ..span };
    assert_eq!(ask(&mut peer, leaves).unwrap().len(), 32 * (4 + 2));
}

#[test]
fn nonsense_is_refused_and_nothing_is_hashed_for_it() {
    let (_folder, _node, mut peer, _) = seeder(hello(1));
    let good = HashSpan { root: root(&data()), base_layer: 0, index: 0, length: 4, proof_layers: 0 };
    for span in [
        HashSpan { root: [3; 32], ..good },
        HashSpan { length: 0, ..good },
        HashSpan { length: 8_193, ..good },
        HashSpan { length: u32::MAX, ..good },
        HashSpan { index: 2, ..good },
        HashSpan { index: u32::MAX - 3, ..good },
        HashSpan { index: 16, ..good },
        HashSpan { base_layer: 1, ..good },
        HashSpan { base_layer: u32::MAX, ..good },
        HashSpan { proof_layers: 4, ..good },
        HashSpan { proof_layers: u32::MAX, ..good },
    ] {
        assert_eq!(ask(&mut peer, span), None, "{span:?}");
    }
    assert!(ask(&mut peer, good).is_some());
}

#[test]
fn requests_beyond_a_short_queue_are_refused_and_every_one_is_answered() {
    const REQUESTS: usize = 500;
    let (_folder, _node, mut peer, _) = seeder(hello(1));
    let span = HashSpan { root: root(&data()), base_layer: 0, index: 0, length: 16, proof_layers: 0 };
    peer.send(&vec![Message::HashRequest(span); REQUESTS]);
    let answers = (0..REQUESTS).filter(|_| answer(&mut peer, span).is_some()).count();
    assert!((1..REQUESTS - 100).contains(&answers), "{answers} answers");
}

#[test]
fn leaves_wait_when_too_much_was_hashed_for_a_peer() {
    let folder = tempfile::tempdir().unwrap();
    // A piece at once, and another one after two seconds.
    let limits = Limits { hashed_kib: (64, 32), ..Limits::default() };
    let mut node = Node::seeder(1, full_store(folder.path(), "seed", &data()), limits);
    let mut peer = Raw::dial(node.address, true);
    node.until_incoming();
    peer.read_handshake();
    let span = HashSpan { root: root(&data()), base_layer: 0, index: 0, length: 4, proof_layers: 0 };
    let started = Instant::now();
    assert!(ask(&mut peer, span).is_some());
    assert!(ask(&mut peer, span).is_some());
    assert!(started.elapsed() > Duration::from_millis(1_500));
}

#[test]
fn requests_without_end_are_a_flood() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { control: (200, 1), ..Limits::default() };
    let mut node = Node::seeder(1, full_store(folder.path(), "seed", &data()), limits);
    let mut peer = Raw::dial(node.address, true);
    let link = node.until_incoming();
    peer.read_handshake();
    let span = HashSpan { root: [3; 32], base_layer: 0, index: 0, length: 2, proof_layers: 0 };
    peer.send(&vec![Message::HashRequest(span); 400]);
    assert_eq!(node.until_closed(link), "flood");
}

#[test]
fn a_link_that_hides_what_we_have_tells_nothing_of_it_by_hashes() {
    let (_folder, node, mut peer, link) = seeder(Hello { hide_have: true, ..hello(1) });
    let span = HashSpan { root: root(&data()), base_layer: 0, index: 4, length: 4, proof_layers: 1 };
    assert_eq!(ask(&mut peer, span), None);
    node.hub.show_piece(link, 1);
    peer.hear_until(|message| (message == Message::Have(1)).then_some(()));
    assert!(ask(&mut peer, span).is_some());
}

/// A node with a store, and a raw peer that has everything and does not choke it.
fn leech(store: Arc<Store>) -> (Node, Raw, u32) {
    let mut node = Node::start(1, Limits::default());
    node.open_to = Some(node.hub.add_torrent(Some(store)));
    let mut peer = Raw::dial(node.address, true);
    let link = node.until_incoming();
    peer.read_handshake();
    peer.send(&[Message::HaveAll, Message::Unchoke]);
    node.until("an unchoke", |node| (!node.events.get(&link)?.record.peer_choking).then_some(()));
    (node, peer, link)
}

fn hear_hash_request(peer: &mut Raw) -> HashSpan {
    peer.hear_until(|message| match message {
        Message::HashRequest(span) => Some(span),
        _ => None,
    })
}

fn until_answer(node: &mut Node, link: u32) -> HashOutcome {
    node.until("an answer", |node| Some(node.events.get(&link)?.record.hash_answers.first()?.outcome))
}

#[test]
fn pieces_of_a_v2_torrent_without_layers_are_fetched_once_their_hashes_are_proven() {
    let folder = tempfile::tempdir().unwrap();
    let source = full_store(folder.path(), "seed", &data());
    let (mut node, mut peer, link) = leech(bare_store(folder.path(), &data()));
    assert!(!node.hub.fetch(link, 0, 0, 4), "nobody could judge it");
    assert_eq!(node.hub.request_hashes(link, 1, HashesOf::Leaves), None);
    assert_eq!(node.hub.request_hashes(link, 1, HashesOf::Pieces), Some(0..3));
    let span = hear_hash_request(&mut peer);
    assert_eq!((span.base_layer, span.index, span.length), (2, 0, 4));
    let hashes = source.answer_hashes(&span).unwrap();
    peer.send(&[Message::Hashes { span, hashes: &hashes }]);
    assert_eq!(until_answer(&mut node, link), HashOutcome::Good);
    assert_eq!(node.hub.request_hashes(link, 1, HashesOf::Pieces), None, "they are known");
    assert!(node.hub.fetch(link, 0, 0, 4));
    for n in 0..4 {
        let begin = n * 16_384;
        peer.hear_until(|message| matches!(message, Message::Request(_)).then_some(()));
        let bytes = &data()[begin as usize..begin as usize + 16_384];
        peer.send(&[Message::Piece { piece: 0, begin, data: bytes }]);
    }
    node.until("a good piece", |node| {
        matches!(node.verdicts.first()?.verdict.outcome, PieceOutcome::Good).then_some(())
    });
}

#[test]
fn who_makes_hashes_up_is_named_and_who_refuses_is_not() {
    for (lies, outcome) in [(true, HashOutcome::Wrong), (false, HashOutcome::Refused)] {
        let folder = tempfile::tempdir().unwrap();
        let (mut node, mut peer, link) = leech(bare_store(folder.path(), &data()));
        assert!(node.hub.request_hashes(link, 0, HashesOf::Pieces).is_some());
        let span = hear_hash_request(&mut peer);
        let message = Message::Hashes { span, hashes: &[1; 128] };
        peer.send(&[if lies { message } else { Message::HashReject(span) }]);
        assert_eq!(until_answer(&mut node, link), outcome);
        if lies {
            assert_eq!(node.until_closed(link), "bad-hashes");
        }
    }
}

#[test]
fn a_few_hashes_nobody_asked_for_are_dropped_and_more_end_the_link() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, mut peer, link) = leech(bare_store(folder.path(), &data()));
    let span = HashSpan { root: root(&data()), base_layer: 2, index: 0, length: 4, proof_layers: 1 };
    peer.send(&[Message::Hashes { span, hashes: &[1; 128] }, Message::HashReject(span), Message::Interested]);
    node.until("interest", |node| node.events.get(&link)?.record.peer_interested.then_some(()));
    assert!(node.events[&link].record.hash_answers.is_empty());
    for _ in 0..17 {
        peer.send(&[Message::Hashes { span, hashes: &[1; 128] }]);
    }
    assert_eq!(node.until_closed(link), "unsolicited-block");
}

#[test]
fn no_more_is_asked_of_a_silent_peer() {
    let folder = tempfile::tempdir().unwrap();
    let (node, mut peer, link) = leech(bare_store(folder.path(), &data()));
    let asked = (0..20).filter(|_| node.hub.request_hashes(link, 0, HashesOf::Pieces).is_some()).count();
    assert_eq!(asked, 8);
    for _ in 0..8 {
        hear_hash_request(&mut peer);
    }
    assert_eq!(node.hub.request_hashes(link + 1, 0, HashesOf::Pieces), None);
}

#[test]
fn leaves_tell_through_whom_a_piece_was_bad_while_it_is_fetched_anew() {
    let folder = tempfile::tempdir().unwrap();
    let source = full_store(folder.path(), "seed", &data());
    let (mut node, mut good, good_link) = leech(empty_store(folder.path(), "leech", &data()));
    let mut liar = Raw::dial(node.address, true);
    let liar_link = node.until_incoming();
    liar.read_handshake();
    liar.send(&[Message::HaveAll, Message::Unchoke]);
    node.until("an unchoke", |node| (!node.events.get(&liar_link)?.record.peer_choking).then_some(()));
    for (peer, link, n, spoil) in [(&mut good, good_link, 0, 0), (&mut liar, liar_link, 2, 1)] {
        assert!(node.hub.fetch(link, 0, n, n + 2));
        for n in n..n + 2 {
            let begin = n * 16_384;
            let asked = peer.hear_until(|message| match message {
                Message::Request(span) => Some(span),
                _ => None,
            });
            assert_eq!(asked, Span { piece: 0, begin, length: 16_384 });
            let mut bytes = data()[begin as usize..begin as usize + 16_384].to_vec();
            bytes[9] ^= spoil;
            peer.send(&[Message::Piece { piece: 0, begin, data: &bytes }]);
        }
    }
    node.until("a verdict", |node| {
        let verdict = &node.verdicts.first()?.verdict;
        assert!(matches!(verdict.outcome, PieceOutcome::Bad) && verdict.culprits.is_empty());
        Some(())
    });
    assert_eq!(node.hub.request_hashes(good_link, 0, HashesOf::Leaves), Some(0..1));
    let span = hear_hash_request(&mut good);
    let hashes = source.answer_hashes(&span).unwrap();
    good.send(&[Message::Hashes { span, hashes: &hashes }]);
    let culprits = node.until("blame", |node| {
        let verdict = &node.verdicts.get(1)?.verdict;
        matches!(verdict.outcome, PieceOutcome::Blamed).then(|| verdict.culprits.clone())
    });
    assert_eq!(culprits, [u64::from(liar_link)]);
}
