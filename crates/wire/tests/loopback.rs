//! Hubs that exchange a torrent over loopback.
#![expect(clippy::unwrap_used, reason = "tests")]

mod swarm;

use blockswarm_net::tcp;
use blockswarm_pieces::{FolderLayout, PieceOutcome, RelativePath, Store, StoreOptions};
use blockswarm_wire::message::{Message, Span};
use blockswarm_wire::{Hello, How, Limits};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use swarm::{INFO_HASH, Node, PIECE_LENGTH, Raw, empty_store, full_store, hello, some_bytes};

const BLOCKS: u32 = PIECE_LENGTH / 16_384;

#[test]
fn fetches_from_several_seeders_though_one_dies_mid_piece() {
    let folder = tempfile::tempdir().unwrap();
    let data = some_bytes(40 * PIECE_LENGTH as usize + 20_001);
    let mut seeders: Vec<Node> = (0..3)
        .map(|n| {
            let store = full_store(folder.path(), &format!("seed{n}"), &data);
            Node::seeder(n, store, Limits::default())
        })
        .collect();

    let store = empty_store(folder.path(), "leech", &data);
    let mut leech = Node::start(9, Limits::default());
    let torrent = leech.hub.add_torrent(Some(Arc::clone(&store)));
    let links: Vec<u32> = seeders.iter().map(|seeder| leech.connect(torrent, seeder.address)).collect();
    for (link, seeder) in links.iter().zip(&mut seeders) {
        seeder.until_incoming();
        leech.until_open(*link);
        leech.until("an unchoke", |leech| (!leech.events[link].record.peer_choking).then_some(()));
        assert!(leech.until("a have-all", |leech| Some(leech.events[link].record.have_all)));
    }
    // A piece begun by a peer that dies: half of it is asked of the first, which is then gone.
    assert!(leech.hub.fetch(links[0], 0, 0, 2));
    leech.until("half a piece", |leech| (leech.events[&links[0]].record.finished == [0, 0, 2]).then_some(()));
    seeders.remove(0);
    assert_eq!(leech.until_closed(links[0]), "reset");
    assert!(!leech.hub.fetch(links[0], 0, 2, BLOCKS));

    let geometry = store.geometry();
    for piece in geometry.pieces() {
        let link = links[1 + piece.get() as usize % 2];
        assert!(leech.hub.fetch(link, piece.get(), 0, geometry.block_count(piece)));
    }
    leech.until("all pieces", |leech| (leech.verdicts.len() == 41).then_some(()));
    assert!(leech.verdicts.iter().all(|verdict| {
        let verdict = &verdict.verdict;
        matches!(verdict.outcome, PieceOutcome::Good) && verdict.culprits.is_empty()
    }));
    let first = leech.verdicts.iter().find(|verdict| verdict.verdict.piece.get() == 0).unwrap();
    assert_eq!(
        first.verdict.senders,
        [u64::from(links[0]), u64::from(links[1])],
        "the dead peer's blocks were kept"
    );
    assert!(std::fs::read(folder.path().join("leech")).unwrap() == data);
    leech.until("everything settled", |leech| {
        let blocks = |link: &u32| -> u32 {
            leech.events[link].record.finished.chunks(3).map(|triple| triple[2] - triple[1]).sum()
        };
        (blocks(&links[1]) + blocks(&links[2]) == 40 * BLOCKS + 2).then_some(())
    });
    for link in &links[1..] {
        let event = leech.until("a settled link", |leech| {
            let event = &leech.events[link];
            (event.queued_blocks == 0 && event.since_block_ms == 0).then(|| event.clone())
        });
        assert!(event.downloaded_bytes > 0 && event.record.rejected.is_empty());
    }
}

#[test]
fn pieces_written_behind_are_served_at_once_and_are_on_disk_when_the_hub_closes() {
    let folder = tempfile::tempdir().unwrap();
    let data = some_bytes(3 * PIECE_LENGTH as usize);
    let seed = full_store(folder.path(), "seed", &data);
    let mut seeder = Node::seeder(1, Arc::clone(&seed), Limits::default());
    let layout =
        FolderLayout { files: vec![RelativePath::new(&["file"]).unwrap()], ..FolderLayout::default() };
    let options = StoreOptions { write_behind: u64::MAX, ..StoreOptions::default() };
    let (geometry, root) = (seed.geometry().clone(), folder.path().join("leech"));
    let store = Store::open_folder(geometry, seed.hashes().clone(), &root, layout, &options).unwrap();
    let hour = Duration::from_secs(3600);
    let limits = Limits { write_behind_age: hour, ..Limits::default() };
    let mut middle = Node::seeder(2, Arc::clone(&store), limits);
    let mut leech = Node::start(3, Limits::default());
    let last = empty_store(folder.path(), "last", &data);
    let torrent = leech.hub.add_torrent(Some(Arc::clone(&last)));
    fetch_all(&mut middle, 1, &mut seeder);
    assert!(store.has_unwritten() && std::fs::read(root.join("file")).unwrap() != data);
    fetch_all(&mut leech, torrent, &mut middle);
    assert!(std::fs::read(folder.path().join("last")).unwrap() == data);
    middle.hub.close(Duration::from_secs(10));
    assert!(!store.has_unwritten() && std::fs::read(root.join("file")).unwrap() == data);
}

/// `node` fetches all of its torrent from a seeder.
fn fetch_all(node: &mut Node, torrent: u32, from: &mut Node) {
    let link = node.connect(torrent, from.address);
    from.until_incoming();
    node.until("an unchoke", |node| (!node.events.get(&link)?.record.peer_choking).then_some(()));
    for piece in 0..3 {
        assert!(node.hub.fetch(link, piece, 0, BLOCKS));
    }
    node.until("all pieces", |node| (node.verdicts.len() == 3).then_some(()));
}

#[test]
fn names_the_sender_of_a_corrupt_block_when_the_piece_later_passes() {
    let folder = tempfile::tempdir().unwrap();
    let data = some_bytes(2 * PIECE_LENGTH as usize);
    let mut seeder = Node::seeder(1, full_store(folder.path(), "seed", &data), Limits::default());
    let mut leech = Node::start(9, Limits::default());
    let torrent = leech.hub.add_torrent(Some(empty_store(folder.path(), "leech", &data)));
    let honest = leech.connect(torrent, seeder.address);
    seeder.until_incoming();
    leech.open_to = Some(torrent);
    let mut liar = Raw::dial(leech.address, true);
    let liar_link = leech.until_incoming();
    liar.read_handshake();
    liar.send(&[Message::HaveAll, Message::Unchoke]);
    for link in [honest, liar_link] {
        leech.until("an unchoke", |leech| {
            let record = &leech.events.get(&link)?.record;
            (!record.peer_choking && record.have_all).then_some(())
        });
    }
    assert!(leech.hub.fetch(liar_link, 1, 0, 1) && leech.hub.fetch(honest, 1, 1, BLOCKS));
    let span = liar.hear_until(|message| match message {
        Message::Request(span) => Some(span),
        _ => None,
    });
    assert_eq!(span, Span { piece: 1, begin: 0, length: 16_384 });
    liar.send(&[Message::Piece { piece: 1, begin: 0, data: &[0xee; 16_384] }]);
    leech.until("a verdict", |leech| (!leech.verdicts.is_empty()).then_some(()));
    let verdict = leech.verdicts.remove(0).verdict;
    assert!(matches!(verdict.outcome, PieceOutcome::Bad) && verdict.culprits.is_empty());
    assert_eq!(verdict.senders, [u64::from(honest), u64::from(liar_link)]);

    assert!(leech.hub.fetch(honest, 1, 0, BLOCKS));
    leech.until("a verdict", |leech| (!leech.verdicts.is_empty()).then_some(()));
    let verdict = leech.verdicts.remove(0).verdict;
    assert!(matches!(verdict.outcome, PieceOutcome::Good));
    assert_eq!(verdict.culprits, [u64::from(liar_link)]);
}

#[test]
fn metadata_first_then_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let data = some_bytes(3 * PIECE_LENGTH as usize);
    let mut seeder = Node::seeder(1, full_store(folder.path(), "seed", &data), Limits::default());
    let mut leech = Node::start(9, Limits::default());
    let torrent = leech.hub.add_torrent(None);
    let link = leech.connect(torrent, seeder.address);
    let back = seeder.until_incoming();
    let message = leech
        .until("the extension handshake", |leech| leech.events.get(&link)?.record.messages.first().cloned());
    assert_eq!((message.id, &message.payload[..]), (0, &b"d1:v4:teste"[..]));
    assert!(leech.hub.send_extension(link, 3, b"piece of metadata?".to_vec()));
    let message =
        seeder.until("the question", |seeder| seeder.events.get(&back)?.record.messages.get(1).cloned());
    assert_eq!((message.id, &message.payload[..]), (3, &b"piece of metadata?"[..]));
    assert!(!leech.hub.fetch(link, 0, 0, 1), "no store yet");
    assert!(!leech.events[&link].record.have_all && leech.events[&link].record.bitmap.is_none());

    assert!(leech.hub.attach_store(torrent, empty_store(folder.path(), "leech", &data)));
    assert!(!leech.hub.attach_store(torrent, empty_store(folder.path(), "other", &data)), "only once");
    leech.until("what the peer has", |leech| leech.events[&link].record.have_all.then_some(()));
    leech.until("an unchoke", |leech| (!leech.events[&link].record.peer_choking).then_some(()));
    for piece in 0..3 {
        assert!(leech.hub.fetch(link, piece, 0, BLOCKS));
    }
    leech.until("all pieces", |leech| (leech.verdicts.len() == 3).then_some(()));
    leech.hub.announce_have(torrent, 0);
    leech.hub.remove_torrent(torrent);
    assert_eq!(leech.until_closed(link), "removed");
    assert_eq!(leech.hub.assembly_bytes(), 0);
}

#[test]
fn announces_a_piece_to_every_peer() {
    let folder = tempfile::tempdir().unwrap();
    let data = some_bytes(2 * PIECE_LENGTH as usize);
    let mut node = Node::seeder(1, empty_store(folder.path(), "node", &data), Limits::default());
    let mut has = Raw::dial(node.address, true);
    let has_link = node.until_incoming();
    let mut lacks = Raw::dial(node.address, false);
    node.until_incoming();
    has.read_handshake();
    lacks.read_handshake();
    has.send(&[Message::Bitfield(&[0x80])]);
    node.until("the bitfield", |node| {
        (node.events.get(&has_link)?.record.bitmap.as_deref() == Some(&[0x80])).then_some(())
    });
    node.hub.announce_have(1, 0);
    node.hub.announce_have(1, 1);
    let have = |message: Message<'_>| match message {
        Message::Have(piece) => Some(piece),
        _ => None,
    };
    assert_eq!((has.hear_until(have), has.hear_until(have)), (0, 1));
    assert_eq!((lacks.hear_until(have), lacks.hear_until(have)), (0, 1));
    has.send(&[Message::Have(1)]);
    node.until("the last piece", |node| node.events[&has_link].record.have_all.then_some(()));
}

#[test]
fn a_hybrid_torrent_may_be_answered_with_its_other_hash_and_no_third() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut node = Node::start(1, Limits::default());
    let torrent = node.hub.add_torrent(None);
    let hybrid = || Hello { other_info_hash: Some([0xcd; 20]), ..hello(1) };
    for (answer, ends) in [([0xcd; 20], None), ([0xef; 20], Some("wrong-info-hash"))] {
        let link =
            node.hub.connect(torrent, listener.local_addr().unwrap(), hybrid(), How::default()).unwrap();
        let mut peer = Raw::over(listener.accept().unwrap().0);
        let theirs = peer.read_handshake();
        assert_eq!(theirs.info_hash, INFO_HASH);
        assert!(theirs.reserved.v2() && theirs.reserved.fast() && theirs.reserved.extensions());
        peer.send_handshake(true, answer);
        if let Some(reason) = ends {
            assert_eq!(node.until_closed(link), reason);
        } else {
            node.until_open(link);
            assert_eq!(node.events[&link].record.opened.as_ref().unwrap().info_hash, answer);
        }
    }
    let mut peer = Raw::over(std::net::TcpStream::connect(node.address).unwrap());
    peer.send_handshake(true, [0xcd; 20]);
    let link = node.until_incoming();
    let answer = || Hello { info_hash: [0xcd; 20], ..hybrid() };
    assert!(node.hub.accept(link, torrent, answer()) && !node.hub.accept(link, torrent, answer()));
    assert_eq!(peer.read_handshake().info_hash, [0xcd; 20], "answered as TypeScript says");
}

#[test]
fn a_peer_that_is_not_there_is_an_event() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut node = Node::start(1, Limits { links: 1, ..Limits::default() });
    let torrent = node.hub.add_torrent(None);
    let link = node.connect(torrent, gone);
    assert_eq!(node.until_closed(link), "refused");
    assert_eq!(node.hub.connect(77, gone, hello(1), How::default()), None);

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let held = node.connect(torrent, silent.local_addr().unwrap());
    let over = node.connect(torrent, silent.local_addr().unwrap());
    assert_eq!(node.until_closed(over), "full");
    node.hub.close_link(held, "not needed");
    assert_eq!(node.until_closed(held), "not needed");
    assert_eq!(node.hub.links(), 0);
}

#[test]
fn closes_in_the_middle_of_everything_more_than_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = some_bytes(100 * PIECE_LENGTH as usize);
    let mut seeder = Node::seeder(1, full_store(folder.path(), "seed", &data), Limits::default());
    let mut leech = Node::start(9, Limits::default());
    let torrent = leech.hub.add_torrent(Some(empty_store(folder.path(), "leech", &data)));
    let link = leech.connect(torrent, seeder.address);
    seeder.until_incoming();
    leech.until("an unchoke", |leech| (!leech.events.get(&link)?.record.peer_choking).then_some(()));
    for piece in 0..100 {
        assert!(leech.hub.fetch(link, piece, 0, BLOCKS));
    }
    for _ in 0..2 {
        leech.hub.close(std::time::Duration::from_secs(10));
        assert_eq!(leech.hub.links(), 0);
        let any = tcp::address("127.0.0.1", 0).unwrap();
        assert_eq!(leech.hub.listen(any).unwrap_err().code(), "ERR_LISTEN");
        assert_eq!(leech.hub.connect(torrent, any, hello(9), How::default()), None);
    }
}
