//! Two kinds of ends for tests on loopback: a hub with its events gathered, and a raw peer that says what it is told.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![expect(dead_code, reason = "each test file uses a part")]

use blockswarm_net::{Connector, RuntimeOptions, UdpLimits, tcp};
use blockswarm_pieces::{Geometry, PieceHashes, Store, hash_bytes};
use blockswarm_wire::events::{Drained, Incoming, LinkEvent, TorrentFault, Verdict};
use blockswarm_wire::framing::Decoder;
use blockswarm_wire::handshake::{Handshake, Reserved};
use blockswarm_wire::message::Message;
use blockswarm_wire::{Hello, How, Hub, HubOptions, Limits};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// Long enough for a loaded machine; no test waits for it unless it fails.
pub const PATIENCE: Duration = Duration::from_secs(30);
pub const INFO_HASH: [u8; 20] = [0xab; 20];
pub const PIECE_LENGTH: u32 = 65_536;

pub fn hello(name: u8) -> Hello {
    Hello {
        info_hash: INFO_HASH,
        other_info_hash: None,
        peer_id: [name; 20],
        v2: true,
        extension_handshake: b"d1:v4:teste".to_vec(),
        hide_have: false,
        dht_port: None,
    }
}

/// Bytes that do not repeat from piece to piece.
pub fn some_bytes(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

pub fn hashes(data: &[u8]) -> PieceHashes {
    hash_bytes(data, PIECE_LENGTH).unwrap()
}

/// A store over a file with these bytes, all servable.
pub fn full_store(folder: &Path, name: &str, data: &[u8]) -> Arc<Store> {
    let path = folder.join(name);
    std::fs::write(&path, data).unwrap();
    let store = empty_store(folder, name, data);
    for piece in store.geometry().pieces() {
        assert!(store.verify_piece(piece).unwrap());
    }
    store
}

/// A store for these bytes that holds none of them.
pub fn empty_store(folder: &Path, name: &str, data: &[u8]) -> Arc<Store> {
    let geometry = Geometry::new(data.len() as u64, PIECE_LENGTH).unwrap();
    Store::open_scratch(geometry, hashes(data), &folder.join(name)).unwrap()
}

/// A hub, what it said so far, and the smallest policy there is.
pub struct Node {
    pub hub: Hub,
    pub address: SocketAddr,
    pub events: HashMap<u32, LinkEvent>,
    pub verdicts: Vec<Verdict>,
    pub faults: Vec<TorrentFault>,
    pub incoming: Vec<Incoming>,
    /// Incoming links join this torrent by themselves.
    pub open_to: Option<u32>,
    woken: mpsc::Receiver<()>,
    name: u8,
}

impl Node {
    pub fn start(name: u8, limits: Limits) -> Self {
        Self::start_within(name, limits, 64 << 20)
    }

    /// With so many bytes for unfinished pieces.
    pub fn start_within(name: u8, limits: Limits, assembly_bytes: u64) -> Self {
        let (sender, woken) = mpsc::channel();
        let threads = RuntimeOptions { network_threads: 2, worker_threads: 2 };
        let (connector, udp) = (Arc::new(Connector::direct()), UdpLimits::default());
        let options = HubOptions { connector, anonymous: false, threads, limits, udp, assembly_bytes };
        let hub = Hub::start(options, move || {
            let _ = sender.send(());
        })
        .unwrap();
        let address = hub.listen(tcp::address("127.0.0.1", 0).unwrap()).unwrap();
        let (events, verdicts, incoming) = (HashMap::new(), Vec::new(), Vec::new());
        Self { hub, address, events, verdicts, faults: Vec::new(), incoming, open_to: None, woken, name }
    }

    /// A hub that serves `store` to whoever comes.
    pub fn seeder(name: u8, store: Arc<Store>, limits: Limits) -> Self {
        let mut node = Self::start(name, limits);
        node.open_to = Some(node.hub.add_torrent(Some(store)));
        node
    }

    pub fn connect(&self, torrent: u32, address: SocketAddr) -> u32 {
        self.connect_how(torrent, address, How::default())
    }

    pub fn connect_how(&self, torrent: u32, address: SocketAddr, how: How) -> u32 {
        self.hub.connect(torrent, address, hello(self.name), how).unwrap()
    }

    /// Gets everything that the seeder at `address` has; the link it came by.
    pub fn fetch_from(&mut self, torrent: u32, address: SocketAddr, how: How, store: &Store) -> u32 {
        let link = self.connect_how(torrent, address, how);
        self.until_open(link);
        self.until("an unchoke", |node| (!node.events[&link].record.peer_choking).then_some(()));
        let geometry = store.geometry();
        for piece in geometry.pieces() {
            assert!(self.hub.fetch(link, piece.get(), 0, geometry.block_count(piece)));
        }
        self.until("all pieces", |node| {
            (node.verdicts.len() == geometry.piece_count() as usize).then_some(())
        });
        link
    }

    /// Takes in what happened: state is overwritten, changes are appended.
    pub fn pump(&mut self, wait: Duration) {
        let _ = self.woken.recv_timeout(wait);
        let (Drained { incoming, links, verdicts, faults }, _) = self.hub.drain();
        self.faults.extend(faults);
        for caller in &incoming {
            if let Some(torrent) = self.open_to {
                self.hub.accept(caller.link, torrent, hello(self.name));
                self.hub.set_choked(caller.link, false);
            }
        }
        self.incoming.extend(incoming);
        self.verdicts.extend(verdicts);
        for mut event in links {
            if let Some(old) = self.events.remove(&event.link) {
                let (now, old) = (&mut event.record, old.record);
                now.opened = now.opened.take().or(old.opened);
                now.bitmap = now.bitmap.take().or(old.bitmap);
                for (now, old) in [
                    (&mut now.haves, old.haves),
                    (&mut now.finished, old.finished),
                    (&mut now.rejected, old.rejected),
                    (&mut now.suggested, old.suggested),
                    (&mut now.allowed_fast, old.allowed_fast),
                ] {
                    now.splice(..0, old);
                }
                now.messages.splice(..0, old.messages);
                now.hash_answers.splice(..0, old.hash_answers);
            }
            self.events.insert(event.link, event);
        }
    }

    pub fn until<T>(&mut self, what: &str, mut found: impl FnMut(&Self) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = found(self) {
                return found;
            }
            assert!(Instant::now() < end, "waited in vain for {what}");
            self.pump(Duration::from_millis(20));
        }
    }

    pub fn until_open(&mut self, link: u32) {
        self.until("an open link", |node| node.events.get(&link)?.record.opened.clone());
    }

    pub fn until_closed(&mut self, link: u32) -> String {
        self.until("a closed link", |node| {
            Some(node.events.get(&link)?.record.close_reason.as_ref()?.as_str().to_owned())
        })
    }

    /// The link by which a raw peer came in.
    pub fn until_incoming(&mut self) -> u32 {
        let link = self.until("an incoming link", |node| Some(node.incoming.first()?.link));
        self.incoming.clear();
        link
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.hub.close(Duration::from_secs(10));
    }
}

/// A peer that does exactly what the test says.
pub struct Raw {
    pub stream: TcpStream,
    decoder: Decoder,
}

impl Raw {
    /// Connects and shakes hands, with or without the fast extension.
    pub fn dial(address: SocketAddr, fast: bool) -> Self {
        let mut raw = Self::over(TcpStream::connect(address).unwrap());
        raw.send_handshake(fast, INFO_HASH);
        raw
    }

    /// The same through a small window, so that the other side is soon stuck when nothing is read.
    pub fn dial_narrow(address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let stream = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.set_recv_buffer_size(16 * 1024).unwrap();
            socket.connect(address).await.unwrap().into_std().unwrap()
        });
        stream.set_nonblocking(false).unwrap();
        let mut raw = Self::over(stream);
        raw.send_handshake(true, INFO_HASH);
        raw
    }

    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut decoder = Decoder::new(1 << 18);
        decoder.set_room(1 << 18);
        Self { stream, decoder }
    }

    pub fn send_handshake(&mut self, fast: bool, info_hash: [u8; 20]) {
        let reserved = if fast { Reserved::ours(false, false) } else { Reserved([0; 8]) };
        let bytes = Handshake { reserved, info_hash, peer_id: [0x5a; 20] }.to_bytes();
        self.stream.write_all(&bytes).unwrap();
    }

    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    pub fn read_handshake(&mut self) -> Handshake {
        let mut bytes = [0; 68];
        self.stream.read_exact(&mut bytes).unwrap();
        Handshake::parse(&bytes).unwrap().unwrap()
    }

    pub fn send(&mut self, messages: &[Message<'_>]) {
        let mut bytes = Vec::new();
        for message in messages {
            message.write(&mut bytes);
        }
        self.stream.write_all(&bytes).unwrap();
    }

    /// The next message; `None` when the other side ended the connection.
    pub fn hear<T>(&mut self, understand: impl FnOnce(Message<'_>) -> T) -> Option<T> {
        // Two steps, for the borrow checker: first wait until a message is whole, then decode it.
        loop {
            if let Some(length) = self.decoder.pending().first_chunk::<4>()
                && self.decoder.pending().len() >= 4 + u32::from_be_bytes(*length) as usize
            {
                return Some(understand(self.decoder.next_message().unwrap().unwrap()));
            }
            assert!(self.decoder.next_message().unwrap().is_none());
            match self.stream.read(self.decoder.spare()) {
                Ok(0) => return None,
                Ok(bytes) => self.decoder.filled(bytes),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Skips messages until one is understood.
    pub fn hear_until<T>(&mut self, mut understand: impl FnMut(Message<'_>) -> Option<T>) -> T {
        loop {
            let heard = self.hear(&mut understand).unwrap_or_else(|| panic!("the connection ended"));
            if let Some(heard) = heard {
                return heard;
            }
        }
    }

    pub fn until_unchoked(&mut self) {
        self.hear_until(|message| (message == Message::Unchoke).then_some(()));
    }

    /// Reads until the other side ends the connection.
    pub fn until_end(&mut self) {
        while self.hear(|_| ()).is_some() {}
    }
}
