//! Web seeds: a hub against small HTTP servers, honest and not.
#![expect(clippy::unwrap_used, reason = "tests")]

mod swarm;

use blockswarm_net::Reach;
use blockswarm_pieces::{FileEntry, Geometry, PieceHashes, PieceOutcome, Store};
use blockswarm_wire::{Limits, WebSeed};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
use std::time::{Duration, Instant};
use swarm::{Node, PIECE_LENGTH, empty_store, full_store, hashes, some_bytes};

const BLOCKS: u32 = PIECE_LENGTH / 16_384;
const ASKED: Reach = Reach { asked: true, loopback: false, tracker: false, family: None };

/// What a server does with one request: the path and range it is asked for, and bytes to write; false: it hangs up.
type Answer = dyn Fn(&str, Range<u64>, &mut dyn Write) -> bool + Send + Sync;

fn serve(answer: Arc<Answer>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), answer) = (stream, Arc::clone(&answer)) else { return };
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                loop {
                    let head: Vec<String> =
                        lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                    let Some(path) = head.first().and_then(|line| line.split(' ').nth(1)) else { return };
                    let range = head.iter().find_map(|line| line.strip_prefix("Range: bytes=")).unwrap();
                    let (first, last) = range.split_once('-').unwrap();
                    let range = first.parse().unwrap()..last.parse::<u64>().unwrap() + 1;
                    if !answer(path, range, &mut stream) {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn head(range: &Range<u64>, length: usize) -> String {
    let last = range.end - 1;
    let bytes = range.end - range.start;
    format!(
        "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes {}-{last}/{length}\r\ncontent-length: {bytes}\r\n\r\n",
        range.start
    )
}

/// What an honest server was asked for.
#[derive(Default)]
struct Traffic {
    bytes: AtomicU64,
    /// One for each connection.
    threads: Mutex<HashSet<ThreadId>>,
}

/// A server that does as it is asked.
fn honest(data: &Arc<Vec<u8>>, traffic: &Arc<Traffic>) -> SocketAddr {
    let (data, traffic) = (Arc::clone(data), Arc::clone(traffic));
    serve(Arc::new(move |_: &str, range: Range<u64>, out: &mut dyn Write| {
        traffic.bytes.fetch_add(range.end - range.start, Ordering::Relaxed);
        traffic.threads.lock().unwrap().insert(std::thread::current().id());
        let body = &data[range.start as usize..range.end as usize];
        out.write_all(head(&range, data.len()).as_bytes()).and_then(|()| out.write_all(body)).is_ok()
    }))
}

fn seed_at(address: SocketAddr) -> WebSeed {
    WebSeed { url: format!("http://{address}/file"), paths: Vec::new(), reach: ASKED }
}

fn leech(folder: &std::path::Path, data: &[u8], limits: Limits) -> (Node, u32) {
    let node = Node::start(9, limits);
    let torrent = node.hub.add_torrent(Some(empty_store(folder, "leech", data)));
    (node, torrent)
}

fn until_all(node: &mut Node, pieces: usize) {
    node.until("all pieces", |node| (node.verdicts.len() == pieces).then_some(()));
    assert!(node.verdicts.iter().all(|verdict| matches!(verdict.verdict.outcome, PieceOutcome::Good)));
}

#[test]
fn a_web_seed_alone_gives_the_whole_torrent_and_no_byte_twice() {
    let folder = tempfile::tempdir().unwrap();
    let data = Arc::new(some_bytes(40 * PIECE_LENGTH as usize + 20_001));
    let traffic = Arc::<Traffic>::default();
    let (mut node, torrent) = leech(folder.path(), &data, Limits::default());
    let link = node.hub.connect_web_seed(torrent, seed_at(honest(&data, &traffic))).unwrap();
    node.until_open(link);
    let event = &node.events[&link];
    assert!(event.record.have_all && !event.record.peer_choking && !event.record.peer_interested);
    for piece in 0..40 {
        assert!(node.hub.fetch(link, piece, 0, BLOCKS));
    }
    assert!(node.hub.fetch(link, 40, 0, 2));
    until_all(&mut node, 41);
    assert!(node.verdicts.iter().all(|verdict| verdict.verdict.senders == [u64::from(link)]));
    assert!(std::fs::read(folder.path().join("leech")).unwrap() == *data);
    assert_eq!(traffic.bytes.load(Ordering::Relaxed), data.len() as u64);
    assert_eq!(traffic.threads.lock().unwrap().len(), 1, "over one connection");
    let event = node.until("a settled link", |node| {
        let event = &node.events[&link];
        (event.queued_blocks == 0 && event.since_block_ms == 0).then(|| event.clone())
    });
    assert_eq!(event.downloaded_bytes, data.len() as u64);
    assert_eq!(event.record.finished.chunks(3).map(|run| run[2] - run[1]).sum::<u32>(), 40 * BLOCKS + 2);
}

#[test]
fn a_web_seed_and_a_peer_share_a_piece_and_a_wrong_half_is_the_web_seeds() {
    let folder = tempfile::tempdir().unwrap();
    let data = Arc::new(some_bytes(2 * PIECE_LENGTH as usize));
    let mut wrong = data.to_vec();
    wrong[5] ^= 1;
    let mut seeder = Node::seeder(1, full_store(folder.path(), "seed", &data), Limits::default());
    let (mut node, torrent) = leech(folder.path(), &data, Limits::default());
    let liar =
        node.hub.connect_web_seed(torrent, seed_at(honest(&Arc::new(wrong), &Arc::default()))).unwrap();
    let peer = node.connect(torrent, seeder.address);
    seeder.until_incoming();
    node.until("an unchoke", |node| (!node.events.get(&peer)?.record.peer_choking).then_some(()));
    node.until_open(liar);
    assert!(node.hub.fetch(liar, 0, 0, 2) && node.hub.fetch(peer, 0, 2, BLOCKS));
    node.until("a verdict", |node| (node.verdicts.len() == 1).then_some(()));
    assert!(matches!(node.verdicts[0].verdict.outcome, PieceOutcome::Bad));
    assert!(node.hub.fetch(peer, 0, 0, BLOCKS));
    node.until("another", |node| (node.verdicts.len() == 2).then_some(()));
    assert!(node.verdicts.iter().any(|verdict| verdict.verdict.culprits == [u64::from(liar)]));
    // A piece that came from nobody else.
    assert!(node.hub.fetch(liar, 1, 0, BLOCKS));
    node.until("a third", |node| (node.verdicts.len() == 3).then_some(()));
}

#[test]
fn cancelled_blocks_are_not_reported_and_what_follows_still_comes() {
    let folder = tempfile::tempdir().unwrap();
    let data = Arc::new(some_bytes(64 * PIECE_LENGTH as usize));
    let (mut node, torrent) = leech(folder.path(), &data, Limits::default());
    // Nothing is answered before the end of `open`.
    let (open, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let body = Arc::clone(&data);
    let address = serve(Arc::new(move |_: &str, range: Range<u64>, out: &mut dyn Write| {
        let _ = gate.lock().unwrap().recv();
        let part = &body[range.start as usize..range.end as usize];
        out.write_all(head(&range, body.len()).as_bytes()).and_then(|()| out.write_all(part)).is_ok()
    }));
    let link = node.hub.connect_web_seed(torrent, seed_at(address)).unwrap();
    node.until_open(link);
    for piece in 0..32 {
        assert!(node.hub.fetch(link, piece, 0, BLOCKS));
        node.hub.cancel(link, piece, 0, BLOCKS);
    }
    drop(open);
    assert!(node.hub.fetch(link, 40, 0, BLOCKS));
    node.until("the piece", |node| {
        node.verdicts.iter().any(|verdict| verdict.verdict.piece.get() == 40).then_some(())
    });
    let record = node.until("a settled link", |node| {
        let event = &node.events[&link];
        (event.queued_blocks == 0).then(|| event.record.clone())
    });
    assert_eq!((record.finished, record.rejected), (vec![40, 0, BLOCKS], vec![]));
}

#[test]
fn a_web_seed_keeps_to_the_rates_of_its_link() {
    let folder = tempfile::tempdir().unwrap();
    let data = Arc::new(some_bytes(16 * PIECE_LENGTH as usize));
    let (mut node, torrent) = leech(folder.path(), &data, Limits::default());
    let link = node.hub.connect_web_seed(torrent, seed_at(honest(&data, &Arc::default()))).unwrap();
    node.until_open(link);
    let class = node.hub.create_rate_class();
    node.hub.set_rate_class(class, 0, 2 << 20);
    node.hub.set_link_rate_classes(link, &[class]);
    let start = Instant::now();
    for piece in 0..16 {
        assert!(node.hub.fetch(link, piece, 0, BLOCKS));
    }
    until_all(&mut node, 16);
    // 1 MiB at 2 MiB/s, a burst let through at once.
    assert!(start.elapsed() > Duration::from_millis(150), "{:?}", start.elapsed());
}

/// How the link ends when the server answers so.
fn ends(
    answer: impl Fn(Range<u64>, &mut dyn Write) -> bool + Send + Sync + 'static,
) -> (String, Option<Duration>) {
    let folder = tempfile::tempdir().unwrap();
    let data = some_bytes(4 * PIECE_LENGTH as usize);
    let (mut node, torrent) = leech(
        folder.path(),
        &data,
        Limits { web_seed_timeout: Duration::from_millis(300), ..Limits::default() },
    );
    let address = serve(Arc::new(move |_: &str, range: Range<u64>, out: &mut dyn Write| answer(range, out)));
    let link = node.hub.connect_web_seed(torrent, seed_at(address)).unwrap();
    node.until_open(link);
    assert!(node.hub.fetch(link, 1, 0, BLOCKS));
    let reason = node.until_closed(link);
    assert!(node.verdicts.is_empty());
    (reason, node.events[&link].record.retry_after)
}

#[test]
fn every_kind_of_bad_server_ends_its_link_with_a_reason() {
    const LENGTH: usize = 4 * PIECE_LENGTH as usize;
    let says = |text: &'static str| ends(move |_, out| out.write_all(text.as_bytes()).is_ok()).0;
    assert_eq!(says("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"), "http-404");
    assert_eq!(says("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"), "http-403");
    assert_eq!(says("HTTP/1.1 416 Range Not Satisfiable\r\ncontent-length: 0\r\n\r\n"), "http-416");
    assert_eq!(says("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n"), "http-500");
    let busy = "HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n";
    let rest = Some(Duration::from_secs(7));
    assert_eq!(ends(move |_, out| out.write_all(busy.as_bytes()).is_ok()), ("http-503".to_owned(), rest));
    assert_eq!(
        says("HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/x\r\ncontent-length: 0\r\n\r\n"),
        "forbidden-address"
    );
    assert_eq!(
        says("HTTP/1.1 302 Found\r\nlocation: file:///etc/passwd\r\ncontent-length: 0\r\n\r\n"),
        "bad-redirect"
    );
    assert_eq!(says("HTTP/1.1 206 Partial Content\r\ncontent-length: 65536\r\n\r\n"), "bad-range");
    assert_eq!(says("HTTP/1.1 206 P\r\ncontent-range: bytes 0-65535/262144\r\n\r\n"), "bad-range");
    assert_eq!(says("HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\n"), "bad-range");
    assert_eq!(says("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n"), "encoded");
    assert_eq!(says("220 ftp.example ready\r\n\r\n"), "bad-head");
    assert_eq!(says("HTTP/1.1 206"), "head-timeout");
    assert_eq!(ends(|_, _| false).0, "reset");
    let slow =
        |range: Range<u64>, out: &mut dyn Write| out.write_all(head(&range, LENGTH).as_bytes()).is_ok();
    assert_eq!(ends(slow).0, "slow");
    let short = |range: Range<u64>, out: &mut dyn Write| {
        let _ = out.write_all(head(&range, LENGTH).as_bytes()).and_then(|()| out.write_all(&[0; 100]));
        false
    };
    assert_eq!(ends(short).0, "short-body");
    let endless = |range: Range<u64>, out: &mut dyn Write| {
        let head = head(&range, LENGTH).replace("content-length: 65536", "transfer-encoding: chunked");
        let chunk = [b"4000\r\n".as_slice(), &[0; 16_384], b"\r\n"].concat();
        let _ = out.write_all(head.as_bytes());
        while out.write_all(&chunk).is_ok() {}
        false
    };
    assert_eq!(endless_reason(endless), "long-body");
    let header = |_: Range<u64>, out: &mut dyn Write| {
        let _ = out.write_all(b"HTTP/1.1 206 Partial Content\r\n");
        while out.write_all(b"x-padding: yes yes yes yes yes yes yes yes yes\r\n").is_ok() {}
        false
    };
    assert_eq!(ends(header).0, "head-too-long");
}

/// As [`ends`], where the piece is whole, and wrong, before the body turns out to have no end.
fn endless_reason(answer: impl Fn(Range<u64>, &mut dyn Write) -> bool + Send + Sync + 'static) -> String {
    let folder = tempfile::tempdir().unwrap();
    let data = some_bytes(4 * PIECE_LENGTH as usize);
    let (mut node, torrent) = leech(folder.path(), &data, Limits::default());
    let address = serve(Arc::new(move |_: &str, range: Range<u64>, out: &mut dyn Write| answer(range, out)));
    let link = node.hub.connect_web_seed(torrent, seed_at(address)).unwrap();
    node.until_open(link);
    assert!(node.hub.fetch(link, 1, 0, BLOCKS));
    let reason = node.until_closed(link);
    node.until("a verdict", |node| (node.verdicts.len() == 1).then_some(()));
    assert_eq!(node.verdicts[0].verdict.culprits, [u64::from(link)]);
    reason
}

#[test]
fn what_cannot_be_dialled_or_has_no_store_never_opens() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, torrent) = leech(folder.path(), &[1; 100], Limits::default());
    let bare = node.hub.add_torrent(None);
    let mut reason = |torrent: u32, url: &str, reach: Reach| {
        let seed = WebSeed { url: url.to_owned(), paths: Vec::new(), reach };
        let link = node.hub.connect_web_seed(torrent, seed).unwrap();
        let reason = node.until_closed(link);
        assert!(node.events[&link].record.opened.is_none());
        reason
    };
    assert_eq!(reason(bare, "http://127.0.0.1:9/", ASKED), "no-store");
    assert_eq!(reason(torrent, "ftp://127.0.0.1/", ASKED), "bad-url");
    assert_eq!(reason(torrent, "http://127.0.0.1:9/", Reach::default()), "forbidden-address");
    assert_eq!(reason(torrent, "http://127.0.0.1:1/", ASKED), "refused");
    assert!(node.hub.connect_web_seed(99, seed_at("127.0.0.1:1".parse().unwrap())).is_none());
}

#[test]
fn files_of_a_torrent_are_asked_for_one_by_one_and_a_missing_one_is_not_had() {
    let folder = tempfile::tempdir().unwrap();
    // Four pieces: the first of `a`, the second of both, the third of `b` and padding, the fourth of `c` alone.
    let lengths = [(90_000, false), (50_000, false), (56_608, true), (65_536, false)];
    let entries: Vec<FileEntry> =
        lengths.iter().map(|(length, padding)| FileEntry { length: *length, padding: *padding }).collect();
    let mut row = some_bytes(262_144);
    row[140_000..196_608].fill(0);
    let whole = hashes(&row);
    let geometry = Geometry::v1(&entries, PIECE_LENGTH).unwrap();
    let hashes = PieceHashes { v2: None, ..whole };
    let store = Store::open_scratch(geometry, hashes, &folder.path().join("leech")).unwrap();
    let mut node = Node::start(9, Limits::default());
    let torrent = node.hub.add_torrent(Some(Arc::clone(&store)));
    let data = row.clone();
    let address = serve(Arc::new(move |path: &str, range: Range<u64>, out: &mut dyn Write| {
        let (start, length) = match path {
            "/base/t/a" => (0, 90_000),
            "/base/t/b%20b" => (90_000, 50_000),
            _ => return out.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").is_ok(),
        };
        let body = &data[start + range.start as usize..start + range.end as usize];
        out.write_all(head(&range, length).as_bytes()).and_then(|()| out.write_all(body)).is_ok()
    }));
    let paths = ["t/a", "t/b%20b", "", "t/c"].map(str::to_owned).to_vec();
    let seed = WebSeed { url: format!("http://{address}/base/"), paths, reach: ASKED };
    let link = node.hub.connect_web_seed(torrent, seed).unwrap();
    node.until_open(link);
    for piece in 0..4 {
        assert!(node.hub.fetch(link, piece, 0, BLOCKS));
    }
    until_all(&mut node, 3);
    node.until("a smaller map", |node| {
        let record = &node.events[&link].record;
        (!record.have_all && record.bitmap == Some(vec![0b1110_0000]) && record.rejected == [3, 0, 4])
            .then_some(())
    });
    assert_eq!(store.servable().to_bytes(), [0b1110_0000]);
}
