//! What crosses to TypeScript: one record for each link that coalesces, verdicts, and links that ask to be let in.

use crate::hash_asking::HashAnswer;
use crate::limits::CloseReason;
use crate::peer_pieces::set_bit;
use crate::shared::{LinkShared, Transport};
use blockswarm_net::Endpoint;
use blockswarm_pieces::{Fault, PieceVerdict};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Single haves beyond which the whole bitmap crosses instead.
const HAVES: usize = 1_024;
/// What a queued extension message costs beyond its payload.
const MESSAGE_OVERHEAD: usize = 64;
/// Records that cross at once; more wake again.
const LINKS_PER_DRAIN: usize = 4_096;

/// What the handshake said, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// 20 bytes of the peer's choice.
    pub peer_id: [u8; 20],
    /// The peer's reserved bytes.
    pub reserved: [u8; 8],
    /// The info hash that both sides use on this link.
    pub info_hash: [u8; 20],
    /// What is sent is sealed.
    pub encrypted: bool,
    /// What carries the link.
    pub transport: Transport,
}

/// An extension message (BEP 10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionMessage {
    /// 0 is the extension handshake; others as our handshake numbered them.
    pub id: u8,
    /// The rest of it.
    pub payload: Vec<u8>,
}

/// State of a link and what changed since it was last drained.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "BEP 3 has four flags")]
pub struct Record {
    /// With the first record of an open link.
    pub opened: Option<Opened>,
    /// The link is over.
    pub close_reason: Option<CloseReason>,
    /// With it: how long a web seed asks to be left alone.
    pub retry_after: Option<Duration>,
    /// The peer chokes us; true at the start.
    pub peer_choking: bool,
    /// The peer wants something.
    pub peer_interested: bool,
    /// The peer has every piece; then no bitmap crosses.
    pub have_all: bool,
    /// The whole bitmap, when it came or changed much.
    pub bitmap: Option<Vec<u8>>,
    /// Single new pieces.
    pub haves: Vec<u32>,
    /// Flat triples `piece, first block, end block`: in hand.
    pub finished: Vec<u32>,
    /// Flat triples: not coming from this peer.
    pub rejected: Vec<u32>,
    /// Pieces that the peer suggests (BEP 6).
    pub suggested: Vec<u32>,
    /// Pieces that the peer gives us though it chokes us (BEP 6).
    pub allowed_fast: Vec<u32>,
    /// UDP port of the peer's node in the DHT (BEP 5), when it was told.
    pub dht_port: Option<u16>,
    /// Hashes that were asked for (BEP 52).
    pub hash_answers: Vec<HashAnswer>,
    /// In the order they came.
    pub messages: Vec<ExtensionMessage>,
    message_bytes: usize,
    dirty: bool,
}

impl Record {
    pub(crate) fn new() -> Self {
        Self { peer_choking: true, ..Self::default() }
    }

    /// The peer has one more piece; `bits` are all of them.
    pub(crate) fn add_have(&mut self, piece: u32, bits: &[u8]) {
        match &mut self.bitmap {
            Some(bitmap) => set_bit(bitmap, piece),
            None if self.haves.len() >= HAVES => self.set_bitmap(bits.to_vec()),
            None => self.haves.push(piece),
        }
    }

    pub(crate) fn set_bitmap(&mut self, bitmap: Vec<u8>) {
        self.haves.clear();
        self.bitmap = Some(bitmap);
    }

    /// Queues a message; false when that would exceed `limit` bytes.
    pub(crate) fn add_message(&mut self, id: u8, payload: &[u8], limit: usize) -> bool {
        let bytes = self.message_bytes + payload.len() + MESSAGE_OVERHEAD;
        if bytes > limit {
            return false;
        }
        self.message_bytes = bytes;
        self.messages.push(ExtensionMessage { id, payload: payload.to_vec() });
        true
    }

    /// Takes the changes; the state stays.
    fn take(&mut self) -> Self {
        let stays = Self {
            close_reason: self.close_reason.clone(),
            retry_after: self.retry_after,
            peer_choking: self.peer_choking,
            peer_interested: self.peer_interested,
            have_all: self.have_all,
            ..Self::default()
        };
        std::mem::replace(self, stays)
    }

    /// Marks the record changed; true when it was not.
    pub(crate) fn mark(&mut self) -> bool {
        !std::mem::replace(&mut self.dirty, true)
    }
}

/// An incoming link that waits to be accepted.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Its number.
    pub link: u32,
    /// Where it comes from.
    pub address: Endpoint,
    /// What the peer said.
    pub opened: Opened,
}

/// One link's record as it crosses.
#[derive(Debug, Clone)]
pub struct LinkEvent {
    /// The link.
    pub link: u32,
    /// Its torrent.
    pub torrent: u32,
    /// The peer's address.
    pub address: Endpoint,
    /// State and changes.
    pub record: Record,
    /// Blocks asked and waiting to be asked.
    pub queued_blocks: u32,
    /// Block bytes received, in all.
    pub downloaded_bytes: u64,
    /// Block bytes sent, in all.
    pub uploaded_bytes: u64,
    /// Since the last wanted block, or the first request after a pause; 0 while nothing is asked.
    pub since_block_ms: u64,
}

/// A judged piece; senders and culprits are links.
#[derive(Debug)]
pub struct Verdict {
    /// The torrent.
    pub torrent: u32,
    /// What the store says.
    pub verdict: PieceVerdict,
}

/// A torrent whose files failed: pieces are not servable any more.
#[derive(Debug, Clone)]
pub struct TorrentFault {
    /// The torrent.
    pub torrent: u32,
    /// The first thing that went wrong.
    pub fault: Fault,
}

/// What [`Outbox::drain`] hands over.
#[derive(Debug, Default)]
pub struct Drained {
    /// Links that ask to be let in.
    pub incoming: Vec<Incoming>,
    /// Links with changes.
    pub links: Vec<LinkEvent>,
    /// Judged pieces.
    pub verdicts: Vec<Verdict>,
    /// Torrents whose files failed.
    pub faults: Vec<TorrentFault>,
}

/// Collects events and wakes whoever drains: once until the next drain.
pub struct Outbox {
    queue: Mutex<Queue>,
    woken: AtomicBool,
    closed: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct Queue {
    incoming: Vec<Incoming>,
    links: VecDeque<Arc<LinkShared>>,
    verdicts: Vec<Verdict>,
    faults: Vec<TorrentFault>,
}

impl Outbox {
    pub(crate) fn new(wake: Box<dyn Fn() + Send + Sync>) -> Self {
        let (woken, closed) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { queue: Mutex::default(), woken, closed, wake }
    }

    /// Wakes, unless that was done since the last drain.
    pub(crate) fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) && !self.closed.load(Ordering::Acquire) {
            (self.wake)();
        }
    }

    fn push(&self, put: impl FnOnce(&mut Queue)) {
        if !self.closed.load(Ordering::Acquire) {
            put(&mut self.queue.lock());
            self.wake();
        }
    }

    pub(crate) fn push_link(&self, link: Arc<LinkShared>) {
        self.push(|queue| queue.links.push_back(link));
    }

    pub(crate) fn push_incoming(&self, incoming: Incoming) {
        self.push(|queue| queue.incoming.push(incoming));
    }

    pub(crate) fn push_verdicts(&self, verdicts: impl Iterator<Item = Verdict>) {
        self.push(|queue| queue.verdicts.extend(verdicts));
    }

    /// The store says each fault once.
    pub(crate) fn push_fault(&self, fault: TorrentFault) {
        self.push(|queue| queue.faults.push(fault));
    }

    /// Takes everything, of links at most 4,096 records: the rest wakes again.
    pub(crate) fn drain(&self) -> Drained {
        // First: what comes from now on wakes anew.
        self.woken.store(false, Ordering::Release);
        let mut queue = self.queue.lock();
        let incoming = std::mem::take(&mut queue.incoming);
        let verdicts = std::mem::take(&mut queue.verdicts);
        let faults = std::mem::take(&mut queue.faults);
        let count = queue.links.len().min(LINKS_PER_DRAIN);
        let links: Vec<_> = queue.links.drain(..count).collect();
        let more = !queue.links.is_empty();
        drop(queue);
        let links = links.iter().map(|link| link.event(Record::take)).collect();
        if more {
            self.wake();
        }
        Drained { incoming, links, verdicts, faults }
    }

    /// Forgets everything and wakes no more.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        *self.queue.lock() = Queue::default();
    }
}
