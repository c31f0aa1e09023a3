//! The part of a link that both its task and TypeScript's thread touch.

use crate::events::{LinkEvent, Outbox, Record};
use crate::hash_asking::HashesOf;
use crate::limits::CloseReason;
use crate::pace::RateClass;
use blockswarm_net::Endpoint;
use blockswarm_pieces::{HashSpan, PieceIndex, Store};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;
use tokio::sync::Notify;

/// What we say when a link opens.
#[derive(Debug, Clone)]
pub struct Hello {
    /// Info hash to send: v1, or v2 cut to 20 bytes.
    pub info_hash: [u8; 20],
    /// Taken in the answer as well: the other hash of a hybrid torrent.
    pub other_info_hash: Option<[u8; 20]>,
    /// Ours.
    pub peer_id: [u8; 20],
    /// Says that we speak v2 (BEP 52).
    pub v2: bool,
    /// Bencoded dictionary of BEP 10, sent as it is.
    pub extension_handshake: Vec<u8>,
    /// Super seeding (BEP 16): the peer is told that we have nothing, until pieces are shown to it one by one.
    pub hide_have: bool,
    /// UDP port of our node in the DHT: told to a peer that has one too (BEP 5).
    pub dht_port: Option<u16>,
}

/// What carries a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// TCP.
    #[default]
    Tcp,
    /// BEP 29.
    Utp,
    /// BEP 19: a web seed. Not to be dialled as a peer.
    Http,
}

impl Transport {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Utp => "utp",
            Self::Http => "http",
        }
    }
}

/// How to dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct How {
    /// Over what.
    pub transport: Transport,
    /// With the handshake of MSE first.
    pub encrypted: bool,
}

/// What a link is told.
#[derive(Debug)]
pub(crate) enum Command {
    Accept {
        store: Option<Arc<StoreRef>>,
        hello: Box<Hello>,
    },
    Attach(Arc<StoreRef>),
    Choke(bool),
    Interest(bool),
    Fetch {
        piece: u32,
        first: u32,
        end: u32,
        wanted: Vec<u32>,
    },
    Cancel {
        piece: u32,
        first: u32,
        end: u32,
    },
    Extension {
        id: u8,
        payload: Vec<u8>,
    },
    Have(u32),
    /// To this peer only.
    Show(u32),
    Suggest(u32),
    AllowFast(Vec<u32>),
    AskHashes {
        span: HashSpan,
        piece: PieceIndex,
        of: HashesOf,
    },
    ForgetHave(u32),
    RequestLimit(u32),
    RateClasses(Vec<Arc<RateClass>>),
    Close(CloseReason),
}

/// A store that can be printed.
pub(crate) struct StoreRef(pub(crate) Arc<Store>);

impl std::fmt::Debug for StoreRef {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Store")
    }
}

/// A link's number, counters, record and commands.
pub struct LinkShared {
    pub(crate) id: u32,
    pub(crate) address: Endpoint,
    /// 0 while an incoming link is not accepted: then nothing of it is reported.
    pub(crate) torrent: AtomicU32,
    pub(crate) downloaded: AtomicU64,
    pub(crate) uploaded: AtomicU64,
    pub(crate) queued_blocks: AtomicU32,
    /// Hash requests that the peer has not answered.
    pub(crate) hash_requests: AtomicU32,
    /// Extension bytes that wait to be framed.
    pub(crate) extension_out: AtomicUsize,
    /// When the last wanted block came, in milliseconds since `start` plus 1; 0 while nothing is asked.
    block_at: AtomicU64,
    start: Instant,
    record: Mutex<Record>,
    commands: Mutex<Vec<Command>>,
    has_commands: AtomicBool,
    /// It was told to close; stays set when the link has taken the command.
    ending: AtomicBool,
    pub(crate) notify: Notify,
    /// Woken beside `notify` when the link shall close: heard while it is not open yet.
    pub(crate) closing: Notify,
    outbox: Arc<Outbox>,
}

impl LinkShared {
    pub(crate) fn new(id: u32, torrent: u32, address: Endpoint, outbox: Arc<Outbox>) -> Arc<Self> {
        Arc::new(Self {
            id,
            address,
            torrent: AtomicU32::new(torrent),
            downloaded: AtomicU64::new(0),
            uploaded: AtomicU64::new(0),
            queued_blocks: AtomicU32::new(0),
            hash_requests: AtomicU32::new(0),
            extension_out: AtomicUsize::new(0),
            block_at: AtomicU64::new(0),
            start: Instant::now(),
            record: Mutex::new(Record::new()),
            commands: Mutex::default(),
            has_commands: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            notify: Notify::new(),
            closing: Notify::new(),
            outbox,
        })
    }

    /// Tells the link something; it looks when it next runs.
    pub(crate) fn tell(&self, command: Command) {
        let closes = matches!(command, Command::Close(_));
        let mut commands = self.commands.lock();
        commands.push(command);
        self.has_commands.store(true, Ordering::Release);
        drop(commands);
        self.notify.notify_one();
        if closes {
            self.ending.store(true, Ordering::Release);
            self.closing.notify_one();
        }
    }

    /// Whether it was told to close at some time.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    /// Whether it was told to close, and why; the commands stay.
    pub(crate) fn told_to_close(&self) -> Option<CloseReason> {
        self.commands.lock().iter().find_map(|command| match command {
            Command::Close(reason) => Some(reason.clone()),
            _ => None,
        })
    }

    /// What the link was told since the last call.
    pub(crate) fn commands(&self) -> Vec<Command> {
        if !self.has_commands.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        std::mem::take(&mut *self.commands.lock())
    }

    /// Changes the record and sees to it that it is drained.
    pub(crate) fn update<T>(self: &Arc<Self>, change: impl FnOnce(&mut Record) -> T) -> T {
        let mut record = self.record.lock();
        let result = change(&mut record);
        let first = self.torrent.load(Ordering::Acquire) != 0 && record.mark();
        drop(record);
        if first {
            self.outbox.push_link(Arc::clone(self));
        }
        result
    }

    /// Notes that blocks are asked for, or that a wanted one has come; or that nothing is asked.
    pub(crate) fn set_waiting(&self, waiting: bool) {
        let now = if waiting { self.start.elapsed().as_millis() as u64 + 1 } else { 0 };
        self.block_at.store(now, Ordering::Relaxed);
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.block_at.load(Ordering::Relaxed) != 0
    }

    /// The event as of now.
    pub(crate) fn event(&self, take: impl FnOnce(&mut Record) -> Record) -> LinkEvent {
        let record = take(&mut self.record.lock());
        let since_block_ms = match self.block_at.load(Ordering::Relaxed) {
            0 => 0,
            at => (self.start.elapsed().as_millis() as u64 + 1).saturating_sub(at),
        };
        LinkEvent {
            link: self.id,
            torrent: self.torrent.load(Ordering::Acquire),
            address: self.address.clone(),
            record,
            queued_blocks: self.queued_blocks.load(Ordering::Relaxed),
            downloaded_bytes: self.downloaded.load(Ordering::Relaxed),
            uploaded_bytes: self.uploaded.load(Ordering::Relaxed),
            since_block_ms,
        }
    }
}
