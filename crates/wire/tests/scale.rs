//! Many links at once.
#![expect(clippy::unwrap_used, reason = "tests")]

mod swarm;

use blockswarm_wire::Limits;
use blockswarm_wire::message::{Message, Span};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};
use swarm::{INFO_HASH, Node, PATIENCE, PIECE_LENGTH, Raw, full_store, some_bytes};

/// Memory of this process that is not a part of files, in bytes.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// As many links as the issue asks for, or as the system lets us have: two descriptors each.
fn count() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit });
    getrlimit(Resource::Nofile).current.map_or(2_000, |most| (most.saturating_sub(200) / 2).min(2_000))
}

#[test]
fn thousands_of_links_take_little_memory_each_also_when_they_ask_and_do_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let data = some_bytes(64 * PIECE_LENGTH as usize);
    let limits = Limits { links: 3_000, half_open: 3_000, ..Limits::default() };
    let mut node = Node::seeder(1, full_store(folder.path(), "seed", &data), limits);
    let count = count();
    let before = memory();
    let mut peers: Vec<TcpStream> = Vec::new();
    for _ in 0..count {
        let mut peer = Raw::over(TcpStream::connect(node.address).unwrap());
        peer.send_handshake(true, INFO_HASH);
        peers.push(peer.into_stream());
        node.pump(Duration::ZERO);
    }
    node.until("all links open", |node| (node.events.len() as u64 >= count).then_some(()));
    node.events.clear();
    node.incoming.clear();
    let each = |now: u64| now.saturating_sub(before) / count;
    let idle = each(memory());
    assert!(idle < 24 * 1024, "{idle} bytes for an idle link");
    // A few more, whose kernel buffers the test can afford to fill: a queue of requests, and nothing is read.
    let mut asked = Vec::new();
    for n in 0..480u32 {
        let span = Span { piece: n % 64, begin: n / 64 % 4 * 16_384, length: 16_384 };
        Message::Request(span).write(&mut asked);
    }
    for _ in 0..16 {
        let mut peer = Raw::dial_narrow(node.address);
        node.until_incoming();
        peer.read_handshake();
        peer.until_unchoked();
        let mut stream = peer.into_stream();
        stream.write_all(&asked).unwrap();
        peers.push(stream);
    }
    let begun = Instant::now();
    while node.hub.batch_bytes() == 0 {
        assert!(begun.elapsed() < PATIENCE, "nothing is served");
        std::thread::yield_now();
    }
    while node.hub.batch_bytes() > 0 {
        assert!(
            begun.elapsed() < PATIENCE,
            "{} bytes are held for peers that do not read",
            node.hub.batch_bytes()
        );
        node.pump(Duration::from_millis(20));
    }
}
