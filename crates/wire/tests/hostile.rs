//! Peers that break rules, and the rules of choking, one by one.
#![expect(clippy::unwrap_used, reason = "tests")]

mod swarm;

use blockswarm_pieces::FaultKind;
use blockswarm_wire::Limits;
use blockswarm_wire::message::{HashSpan, Message, Span};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;
use swarm::{Node, PIECE_LENGTH, Raw, empty_store, full_store, some_bytes};

const BLOCK: Span = Span { piece: 0, begin: 0, length: 16_384 };

/// A seeder of `pieces` pieces and a raw peer on it, unchoked.
fn seeder(pieces: usize, fast: bool, limits: Limits) -> (tempfile::TempDir, Node, Raw, u32) {
    let folder = tempfile::tempdir().unwrap();
    let data = some_bytes(pieces * PIECE_LENGTH as usize);
    let mut node = Node::seeder(1, full_store(folder.path(), "seed", &data), limits);
    let mut peer = Raw::dial(node.address, fast);
    let link = node.until_incoming();
    peer.read_handshake();
    peer.until_unchoked();
    (folder, node, peer, link)
}

fn ends_with(messages: &[Message<'_>], limits: Limits) -> String {
    let (_folder, mut node, mut peer, link) = seeder(2, true, limits);
    peer.send(messages);
    node.until_closed(link)
}

#[test]
fn requests_outside_of_the_torrent_or_longer_than_a_block_end_the_link() {
    for span in [
        Span { length: 16_385, ..BLOCK },
        Span { length: 0, ..BLOCK },
        Span { piece: 2, ..BLOCK },
        Span { begin: PIECE_LENGTH - 16_383, ..BLOCK },
        Span { begin: u32::MAX, ..BLOCK },
        Span { piece: u32::MAX, begin: u32::MAX, length: u32::MAX },
    ] {
        assert_eq!(ends_with(&[Message::Request(span)], Limits::default()), "bad-message", "{span:?}");
    }
}

#[test]
fn messages_that_do_not_fit_the_torrent_end_the_link() {
    assert_eq!(ends_with(&[Message::Have(2)], Limits::default()), "bad-message");
    assert_eq!(ends_with(&[Message::Bitfield(&[0xc0, 0])], Limits::default()), "too-long");
    assert_eq!(ends_with(&[Message::Bitfield(&[])], Limits::default()), "bad-message");
    assert_eq!(ends_with(&[Message::Bitfield(&[0xe0])], Limits::default()), "bad-message");
    let long = vec![0; 16_385];
    assert_eq!(
        ends_with(&[Message::Piece { piece: 0, begin: 0, data: &long }], Limits::default()),
        "too-long"
    );
    let long = vec![0; 64 * 1024 + 1];
    assert_eq!(ends_with(&[Message::Extended { id: 1, payload: &long }], Limits::default()), "too-long");
}

#[test]
fn fast_messages_of_a_peer_that_did_not_offer_them_end_the_link() {
    for message in [
        Message::HaveAll,
        Message::HaveNone,
        Message::Reject(BLOCK),
        Message::Suggest(0),
        Message::AllowedFast(0),
    ] {
        let (_folder, mut node, mut peer, link) = seeder(2, false, Limits::default());
        peer.send(&[message]);
        assert_eq!(node.until_closed(link), "bad-message", "{message:?}");
    }
}

#[test]
fn unknown_and_unused_messages_are_ignored_and_hashes_are_refused() {
    let (_folder, _node, mut peer, _) = seeder(2, true, Limits::default());
    let span = HashSpan { root: [3; 32], base_layer: 0, index: 0, length: 2, proof_layers: 0 };
    let ignored = [
        Message::Unknown(99),
        Message::Port(1),
        Message::Suggest(9),
        Message::AllowedFast(9),
        Message::KeepAlive,
    ];
    peer.send(&ignored);
    peer.send(&[
        Message::HashRequest(span),
        Message::Hashes { span, hashes: &[1; 64] },
        Message::HashReject(span),
    ]);
    assert!(peer.hear(|message| message == Message::HashReject(span)).unwrap());
}

#[test]
fn floods_end_the_link() {
    let narrow = Limits { control: (100, 1), ..Limits::default() };
    assert_eq!(ends_with(&vec![Message::KeepAlive; 200], narrow), "flood");
    assert_eq!(ends_with(&vec![Message::Interested; 200], narrow), "flood");
    // Nobody drains while 300 kB of messages come.
    let (_folder, mut node, mut peer, link) = seeder(2, true, Limits::default());
    peer.send(&vec![Message::Extended { id: 2, payload: &[7; 1_000] }; 300]);
    peer.until_end();
    assert_eq!(node.until_closed(link), "flood");
}

#[test]
fn as_many_haves_as_the_largest_torrent_has_pieces_are_no_flood() {
    let mut node = Node::start(1, Limits::default());
    node.open_to = Some(node.hub.add_torrent(None));
    let mut peer = Raw::dial(node.address, true);
    node.until_incoming();
    peer.read_handshake();
    for first in (0..65_536).step_by(1024) {
        let haves: Vec<_> = (first..first + 1024).map(Message::Have).collect();
        peer.send(&haves);
    }
    let span = HashSpan { root: [3; 32], base_layer: 0, index: 0, length: 2, proof_layers: 0 };
    peer.send(&[Message::HashRequest(span)]);
    peer.hear_until(|message| (message == Message::HashReject(span)).then_some(()));
}

#[test]
fn requests_of_a_served_peer_are_no_flood_but_too_many_waiting_are() {
    let limits = Limits { control: (20, 0), requests_in: 50, ..Limits::default() };
    let (_folder, _node, mut peer, _) = seeder(2, true, limits);
    for _ in 0..1_000 {
        peer.send(&[Message::Request(BLOCK)]);
        peer.hear_until(|message| matches!(message, Message::Piece { .. }).then_some(()));
    }
    let (_folder, mut node, mut peer, link) = seeder(2, true, limits);
    peer.send(&[Message::Request(BLOCK); 60]);
    let mut answers = [0; 2];
    for _ in 0..60 {
        let rejected = peer.hear_until(|message| match message {
            Message::Piece { data, .. } => Some((data.len() != 16_384).into()),
            Message::Reject(span) => Some(usize::from(span == BLOCK)),
            _ => None,
        });
        answers[rejected] += 1;
    }
    assert_eq!(answers.iter().sum::<usize>(), 60);
    peer.send(&vec![Message::Request(BLOCK); 1_000]);
    assert_eq!(node.until_closed(link), "flood", "rejects are charged");
    let (_folder, mut node, mut peer, link) = seeder(2, false, limits);
    peer.send(&vec![Message::Request(BLOCK); 1_000]);
    assert_eq!(node.until_closed(link), "flood");
}

#[test]
fn a_choked_peer_gets_rejects_with_the_fast_extension_and_nothing_without() {
    for fast in [true, false] {
        let (_folder, mut node, mut peer, link) = seeder(2, fast, Limits::default());
        node.hub.set_choked(link, true);
        peer.hear_until(|message| (message == Message::Choke).then_some(()));
        peer.send(&[Message::Request(BLOCK), Message::Interested]);
        node.until("interest", |node| node.events.get(&link)?.record.peer_interested.then_some(()));
        node.hub.set_choked(link, false);
        if fast {
            assert!(peer.hear(|message| message == Message::Reject(BLOCK)).unwrap());
        }
        assert!(peer.hear(|message| message == Message::Unchoke).unwrap());
        peer.send(&[Message::Request(BLOCK)]);
        assert!(peer.hear(|message| matches!(message, Message::Piece { piece: 0, begin: 0, .. })).unwrap());
    }
}

#[test]
fn a_choke_rejects_what_waits_and_every_request_is_answered_once() {
    // More than the socket's buffers take: the peer does not read, so most of it waits.
    const REQUESTS: usize = 2_500;
    let limits = Limits { requests_in: REQUESTS, ..Limits::default() };
    let (_folder, mut node, mut peer, link) = seeder(2, true, limits);
    for _ in 0..REQUESTS / 100 {
        peer.send(&[Message::Request(BLOCK); 100]);
    }
    peer.send(&[Message::Interested]);
    node.until("interest", |node| node.events.get(&link)?.record.peer_interested.then_some(()));
    node.hub.set_choked(link, true);
    let (mut blocks, mut rejects, mut choked) = (0, 0, false);
    while blocks + rejects < REQUESTS {
        peer.hear(|message| match message {
            Message::Piece { .. } => blocks += 1,
            Message::Reject(_) => {
                assert!(choked);
                rejects += 1;
            }
            Message::Choke => choked = true,
            _ => {}
        })
        .unwrap();
    }
    assert!(blocks > 0 && rejects > 0, "{blocks} blocks, {rejects} rejects");
}

#[test]
fn a_cancelled_request_is_rejected_or_served() {
    let (_folder, _node, mut peer, _) = seeder(2, true, Limits::default());
    let mut messages = vec![Message::Request(BLOCK); 20];
    messages.extend([Message::Cancel(BLOCK); 20]);
    peer.send(&messages);
    for _ in 0..20 {
        peer.hear_until(|message| {
            matches!(message, Message::Piece { .. } | Message::Reject(_)).then_some(())
        });
    }
}

#[test]
fn pieces_that_are_not_had_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let data = some_bytes(2 * PIECE_LENGTH as usize);
    let mut node = Node::seeder(1, empty_store(folder.path(), "seed", &data), Limits::default());
    let mut peer = Raw::dial(node.address, true);
    node.until_incoming();
    peer.read_handshake();
    peer.until_unchoked();
    peer.send(&[Message::Request(BLOCK)]);
    assert!(peer.hear(|message| message == Message::Reject(BLOCK)).unwrap());
}

#[test]
fn a_file_cut_short_is_reported_and_rejected() {
    let (folder, mut node, mut peer, _) = seeder(2, true, Limits::default());
    let file = std::fs::File::options().write(true).open(folder.path().join("seed")).unwrap();
    file.set_len(100).unwrap();
    let span = Span { piece: 1, ..BLOCK };
    peer.send(&[Message::Request(span)]);
    assert!(peer.hear(|message| message == Message::Reject(span)).unwrap());
    let fault = node.until("a fault", |node| node.faults.first().cloned());
    assert_eq!((fault.torrent, fault.fault.kind), (1, FaultKind::Changed));
    assert!(fault.fault.message.contains("seed"));
    let whole = Span { piece: 0, ..BLOCK };
    peer.send(&[Message::Request(whole)]);
    assert!(
        peer.hear(|message| message == Message::Reject(whole)).unwrap(),
        "the file is not trusted any more"
    );
    assert_eq!(node.faults.len(), 1, "said once");
}

/// A node that fetches from a raw peer that has everything.
fn fetching(fast: bool) -> (tempfile::TempDir, Node, Raw, u32) {
    let folder = tempfile::tempdir().unwrap();
    let data = some_bytes(2 * PIECE_LENGTH as usize);
    let mut node = Node::seeder(1, empty_store(folder.path(), "leech", &data), Limits::default());
    let mut peer = Raw::dial(node.address, fast);
    let link = node.until_incoming();
    peer.read_handshake();
    peer.send(&[Message::Bitfield(&[0xc0]), Message::Unchoke]);
    node.until("an unchoke", |node| (!node.events.get(&link)?.record.peer_choking).then_some(()));
    (folder, node, peer, link)
}

fn block(piece: u32, begin: u32) -> Message<'static> {
    Message::Piece { piece, begin, data: &[1; 16_384] }
}

fn hear_requests(peer: &mut Raw, count: usize) {
    for _ in 0..count {
        peer.hear_until(|message| matches!(message, Message::Request(_)).then_some(()));
    }
}

#[test]
fn a_few_blocks_nobody_asked_for_are_dropped_and_more_end_the_link() {
    let (_folder, mut node, mut peer, link) = fetching(true);
    assert!(node.hub.fetch(link, 0, 0, 2));
    hear_requests(&mut peer, 2);
    peer.send(&[block(1, 0); 15]);
    peer.send(&[block(0, 5), block(0, 0), block(0, 16_384)]);
    node.until("the range", |node| (node.events[&link].record.finished == [0, 0, 2]).then_some(()));
    peer.send(&[block(9, 0)]);
    assert_eq!(node.until_closed(link), "unsolicited-block");
}

#[test]
fn blocks_that_were_cancelled_may_still_come() {
    let (_folder, mut node, mut peer, link) = fetching(false);
    for (piece, blocks) in [(1, 3), (0, 1)] {
        assert!(node.hub.fetch(link, piece, 0, blocks));
        hear_requests(&mut peer, blocks as usize);
        node.hub.cancel(link, piece, 0, blocks);
        for _ in 0..blocks {
            peer.hear_until(|message| matches!(message, Message::Cancel(_)).then_some(()));
        }
        for n in 0..blocks {
            peer.send(&[block(piece, n * 16_384)]);
        }
    }
    node.until("late blocks", |node| {
        (node.hub.counters().downloaded_bytes.load(std::sync::atomic::Ordering::Relaxed) == 4 * 16_384)
            .then_some(())
    });
    assert!(node.hub.fetch(link, 1, 0, 3));
    node.until("the range", |node| (node.events[&link].record.finished == [1, 0, 3]).then_some(()));
    assert!(node.events[&link].record.close_reason.is_none());
}

#[test]
fn a_block_of_the_wrong_length_ends_the_link() {
    let (_folder, mut node, mut peer, link) = fetching(true);
    assert!(node.hub.fetch(link, 0, 0, 1));
    hear_requests(&mut peer, 1);
    peer.send(&[Message::Piece { piece: 0, begin: 0, data: &[1; 100] }]);
    assert_eq!(node.until_closed(link), "bad-message");
}

#[test]
fn a_block_that_is_begun_and_does_not_end_keeps_nobody_else_from_bringing_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = some_bytes(PIECE_LENGTH as usize);
    let mut seeder = Node::seeder(2, full_store(folder.path(), "seed", &data), Limits::default());
    let mut node = Node::seeder(1, empty_store(folder.path(), "leech", &data), Limits::default());
    let torrent = node.open_to.unwrap();
    let mut slow = Raw::dial(node.address, true);
    let slow_link = node.until_incoming();
    slow.read_handshake();
    slow.send(&[Message::HaveAll, Message::Unchoke]);
    let link = node.connect(torrent, seeder.address);
    seeder.until_incoming();
    for link in [slow_link, link] {
        node.until("an unchoke", |node| (!node.events.get(&link)?.record.peer_choking).then_some(()));
    }
    assert!(node.hub.fetch(slow_link, 0, 0, 1));
    hear_requests(&mut slow, 1);
    let mut bytes = Vec::new();
    Message::Piece { piece: 0, begin: 0, data: &data[..16_384] }.write(&mut bytes);
    let (begun, rest) = bytes.split_at(9_000);
    slow.stream.write_all(begun).unwrap();
    node.until("a silence", |node| (node.events.get(&slow_link)?.since_block_ms > 500).then_some(()));
    assert_eq!(node.events[&slow_link].downloaded_bytes, 0);
    assert!(node.hub.fetch(link, 0, 0, PIECE_LENGTH / 16_384));
    let verdict =
        node.until("a verdict", |node| node.verdicts.first().map(|first| first.verdict.senders.clone()));
    assert_eq!(verdict, [u64::from(link)]);
    // What was asked for may come when it is too late.
    slow.stream.write_all(rest).unwrap();
    node.until("the block", |node| (node.events[&slow_link].record.finished == [0, 0, 1]).then_some(()));
    assert!(node.events[&slow_link].record.close_reason.is_none());
    assert_eq!(node.hub.assembly_bytes(), 0);
}

#[test]
fn a_choking_peer_gives_the_blocks_back() {
    let (_folder, mut node, mut peer, link) = fetching(false);
    assert!(node.hub.fetch(link, 0, 0, 4));
    hear_requests(&mut peer, 4);
    peer.send(&[block(0, 0), Message::Choke]);
    node.until("the rest", |node| (node.events[&link].record.rejected == [0, 1, 4]).then_some(()));
    assert_eq!(node.events[&link].record.finished, [0, 0, 1]);
    assert!(node.hub.fetch(link, 1, 0, 2));
    node.until("a reject at once", |node| (node.events[&link].record.rejected.len() == 6).then_some(()));
    assert_eq!(node.events[&link].queued_blocks, 0);
}

#[test]
fn a_piece_that_nobody_feeds_gives_its_memory_to_another() {
    for (piece_idle, gives) in [(Duration::from_secs(600), false), (Duration::ZERO, true)] {
        let folder = tempfile::tempdir().unwrap();
        let data = some_bytes(2 * PIECE_LENGTH as usize);
        let limits = Limits { piece_idle, ..Limits::default() };
        let mut node = Node::start_within(1, limits, PIECE_LENGTH.into());
        node.open_to = Some(node.hub.add_torrent(Some(empty_store(folder.path(), "leech", &data))));
        let _peer = Raw::dial(node.address, true);
        let link = node.until_incoming();
        assert!(node.hub.fetch(link, 0, 0, 2));
        assert_eq!(node.hub.fetch(link, 1, 0, 2), gives);
        assert_eq!(node.hub.assembly_bytes(), PIECE_LENGTH.into());
    }
}

#[test]
fn rejects_do_not_hide_that_no_block_comes() {
    let (_folder, mut node, mut peer, link) = fetching(true);
    assert!(node.hub.fetch(link, 0, 0, 4));
    hear_requests(&mut peer, 4);
    let silent = Span { piece: 1, ..BLOCK };
    node.until("a silence of a second", |node| {
        peer.send(&[Message::Reject(silent), Message::Reject(BLOCK)]);
        (node.events.get(&link)?.since_block_ms > 1_000).then_some(())
    });
}

#[test]
fn who_does_not_finish_the_handshake_is_dropped_without_an_event() {
    let limits = Limits { handshake_timeout: Duration::from_millis(200), ..Limits::default() };
    let node = Node::start(1, limits);
    let mut slow = TcpStream::connect(node.address).unwrap();
    slow.set_read_timeout(Some(swarm::PATIENCE)).unwrap();
    slow.write_all(b"\x13BitTorrent proto").unwrap();
    assert_eq!(slow.read(&mut [0; 1]).unwrap(), 0);
    let mut other = TcpStream::connect(node.address).unwrap();
    other.set_read_timeout(Some(swarm::PATIENCE)).unwrap();
    other.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(other.read(&mut [0; 1]).unwrap_or(0), 0);
    let (drained, _) = node.hub.drain();
    assert!(drained.links.is_empty() && drained.incoming.is_empty());
}

#[test]
fn one_host_holds_at_most_half_of_the_places_while_it_says_nothing() {
    let node = Node::start(1, Limits { half_open: 4, ..Limits::default() });
    let crowd: Vec<_> = (0..20).map(|_| TcpStream::connect(node.address).unwrap()).collect();
    let end = std::time::Instant::now() + swarm::PATIENCE;
    while node.hub.counters().turned_away.load(std::sync::atomic::Ordering::Relaxed) < 18 {
        assert!(std::time::Instant::now() < end);
        std::thread::yield_now();
    }
    assert_eq!(node.hub.links(), 2);
    drop(crowd);
}

#[test]
fn who_is_not_let_in_is_dropped_without_an_event() {
    let limits = Limits { accept_timeout: Duration::from_millis(100), ..Limits::default() };
    let mut node = Node::start(1, limits);
    let mut waits = Raw::dial(node.address, true);
    let link = node.until_incoming();
    waits.until_end();
    assert!(!node.hub.accept(link, 1, swarm::hello(1)));
    let mut refused = Raw::dial(node.address, true);
    let link = node.until_incoming();
    node.hub.close_link(link, "refused");
    refused.until_end();
    assert!(node.hub.drain().0.links.is_empty());
}

#[test]
fn who_looks_encrypted_and_says_nothing_that_makes_sense_is_dropped() {
    let limits = Limits { handshake_timeout: Duration::from_millis(400), ..Limits::default() };
    let mut node = Node::start(1, limits);
    // 96 bytes are a key, whatever they are; the pad behind them has an end.
    let mut noise = TcpStream::connect(node.address).unwrap();
    noise.write_all(&some_bytes(96 + 512 + 20)).unwrap();
    let mut answer = Vec::new();
    let _ = noise.read_to_end(&mut answer);
    assert!(answer.len() <= 96 + 512, "one key and its pad come back, and no more");

    // Byte by byte, for ever: the handshake's time is for all of it.
    let mut slow = TcpStream::connect(node.address).unwrap();
    let started = std::time::Instant::now();
    while slow.write_all(&[0x55]).is_ok() {
        assert!(started.elapsed() < swarm::PATIENCE);
        std::thread::sleep(Duration::from_millis(5));
    }
    // Who stops behind its key holds its place no longer either.
    let mut stuck = TcpStream::connect(node.address).unwrap();
    stuck.write_all(&[0x55; 96]).unwrap();
    let _ = stuck.read_to_end(&mut Vec::new());
    node.until("free places", |node| (node.hub.links() == 0).then_some(()));
}

#[test]
fn a_dialled_peer_that_says_nothing_times_out() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let limits = Limits { handshake_timeout: Duration::from_millis(100), ..Limits::default() };
    let mut node = Node::start(1, limits);
    let torrent = node.hub.add_torrent(None);
    let link = node.connect(torrent, silent.local_addr().unwrap());
    assert_eq!(node.until_closed(link), "handshake-timeout");
}

#[test]
fn a_silent_peer_hears_keep_alives_and_is_dropped_as_idle() {
    let limits = Limits {
        idle_timeout: Duration::from_millis(900),
        keep_alive: Duration::from_millis(200),
        ..Limits::default()
    };
    let (_folder, mut node, mut peer, link) = seeder(2, true, limits);
    peer.hear_until(|message| (message == Message::KeepAlive).then_some(()));
    peer.hear_until(|message| (message == Message::KeepAlive).then_some(()));
    assert_eq!(node.until_closed(link), "idle");
}

#[test]
fn a_peer_that_asks_and_talks_but_does_not_read_is_dropped_as_idle() {
    // More than the socket's buffers take.
    const REQUESTS: usize = 2_500;
    let limits =
        Limits { idle_timeout: Duration::from_millis(900), requests_in: REQUESTS, ..Limits::default() };
    let (_folder, mut node, mut peer, link) = seeder(2, true, limits);
    for _ in 0..REQUESTS / 100 {
        peer.send(&[Message::Request(BLOCK); 100]);
    }
    let reason = node.until("the end", |node| {
        // Fails once the link has ended.
        let _ = peer.stream.write_all(&[0; 4]);
        Some(node.events.get(&link)?.record.close_reason.as_ref()?.as_str().to_owned())
    });
    assert_eq!(reason, "idle");
}

#[test]
fn a_peer_that_does_not_read_cannot_fill_our_memory() {
    let limits = Limits { out_bytes: 200_000, ..Limits::default() };
    let (_folder, mut node, _peer, link) = seeder(2, true, limits);
    let mut queued = 0;
    while node.hub.send_extension(link, 1, vec![0; 16_384]) {
        queued += 1;
        assert!(queued < 10_000);
        node.pump(Duration::from_millis(1));
    }
    node.until("the end", |node| {
        node.events.get(&link)?.record.close_reason.as_ref().map(|reason| {
            assert_eq!(reason.as_str(), "flood");
        })
    });
}

#[test]
fn a_peer_that_flaps_its_choke_gives_every_block_back_and_is_a_flood_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let data = some_bytes(2 * PIECE_LENGTH as usize);
    let limits = Limits { control: (300, 1), ..Limits::default() };
    let mut node = Node::seeder(1, empty_store(folder.path(), "leech", &data), limits);
    let mut peer = Raw::dial(node.address, true);
    let link = node.until_incoming();
    peer.read_handshake();
    peer.send(&[Message::HaveAll, Message::Unchoke]);
    node.until("an unchoke", |node| (!node.events.get(&link)?.record.peer_choking).then_some(()));
    assert!(node.hub.fetch(link, 0, 0, 4));
    hear_requests(&mut peer, 4);
    let rejects = [0, 16_384, 32_768, 49_152].map(|begin| Message::Reject(Span { begin, ..BLOCK }));
    peer.send(&[Message::Choke]);
    peer.send(&rejects);
    node.until("the blocks back", |node| {
        let event = node.events.get(&link)?;
        (event.record.rejected == [0, 0, 4] && event.queued_blocks == 0).then_some(())
    });
    peer.send(&[Message::Unchoke, Message::Choke].repeat(400));
    assert_eq!(node.until_closed(link), "flood");
}

#[test]
fn a_peer_that_reads_slowly_gets_every_byte_though_the_batch_was_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let data = some_bytes(120 * PIECE_LENGTH as usize);
    let mut node = Node::seeder(1, full_store(folder.path(), "seed", &data), Limits::default());
    let mut peer = Raw::dial_narrow(node.address);
    node.until_incoming();
    peer.read_handshake();
    peer.until_unchoked();
    let spans: Vec<Span> =
        (0..480).map(|n| Span { piece: n / 4, begin: n % 4 * 16_384, length: 16_384 }).collect();
    let requests: Vec<_> = spans.iter().map(|span| Message::Request(*span)).collect();
    let before = node.hub.batch_bytes();
    peer.send(&requests);
    // More than the kernel's buffers take; after a second without a byte taken the rest is let go.
    let end = std::time::Instant::now() + swarm::PATIENCE;
    let mut held = false;
    loop {
        let bytes = node.hub.batch_bytes();
        held |= bytes > before;
        if held && bytes == before {
            break;
        }
        assert!(std::time::Instant::now() < end, "{bytes} bytes are held for ever, or none: {held}");
        std::thread::yield_now();
    }
    for span in spans {
        peer.hear_until(|message| match message {
            Message::Piece { piece, begin, data: bytes } => {
                let at = (piece * PIECE_LENGTH + begin) as usize;
                assert!((piece, begin) == (span.piece, span.begin) && bytes == &data[at..at + 16_384]);
                Some(())
            }
            _ => None,
        });
    }
}
