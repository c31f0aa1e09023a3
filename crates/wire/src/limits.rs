//! Bounds of what one peer, and all peers together, may make us hold, wait for or do.

use std::time::Duration;

/// Limits of links. The defaults follow what libtorrent, rain and Transmission do.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Links in all, whatever their state. More incoming ones are dropped, more outgoing ones close as `full`.
    pub links: usize,
    /// Outgoing links, and apart from them incoming ones, that have not finished their handshake.
    pub half_open: usize,
    /// For dialling.
    pub dial_timeout: Duration,
    /// For the peer's 68 bytes.
    pub handshake_timeout: Duration,
    /// For TypeScript to accept an incoming link.
    pub accept_timeout: Duration,
    /// Without a byte from the peer, or without its taking one of those that wait.
    pub idle_timeout: Duration,
    /// Without a byte to the peer, before a keep-alive.
    pub keep_alive: Duration,
    /// Requests of a peer that wait.
    pub requests_in: usize,
    /// Our requests that a peer has not answered, at most; beyond 250 only where its `reqq` says so.
    pub requests_out: u32,
    /// Without a block, before an unfinished piece loses its memory to one that has none.
    pub piece_idle: Duration,
    /// How long a good piece may wait in memory for its neighbours before it is written.
    pub write_behind_age: Duration,
    /// Blocks that TypeScript may queue on one link.
    pub queued_blocks: u32,
    /// Extension messages that wait for TypeScript.
    pub extension_in_bytes: usize,
    /// Bytes that wait to be sent, blocks not counted.
    pub out_bytes: usize,
    /// Burst and refill a second of messages that are neither requests served nor blocks asked for. The burst lets
    /// through one `have` for each piece of the largest torrent others can join.
    pub control: (u32, u32),
    /// KiB of a peer's pieces that are hashed because it asks for their v2 leaves: at once, and in a second.
    pub hashed_kib: (u32, u32),
    /// Blocks nobody asked for, before the link is closed.
    pub unsolicited_blocks: u32,
    /// A bitfield's bytes while the number of pieces is not known: 65,536 pieces.
    pub early_bitfield_bytes: usize,
    /// Blocks with their headers that go out in one write.
    pub batch_bytes: usize,
    /// Memory for such batches, over all links; beyond it a link sends block by block.
    pub batches_bytes: usize,
    /// Memory for bytes that several peers ask for and that cost more to read than to copy.
    pub hot_bytes: u64,
    /// For a web seed's answer to begin, and over which its rate is measured.
    pub web_seed_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            links: 2_000,
            half_open: 100,
            dial_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            accept_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(120),
            keep_alive: Duration::from_secs(100),
            requests_in: 500,
            requests_out: 1_000,
            piece_idle: Duration::from_secs(30),
            write_behind_age: Duration::from_secs(5),
            queued_blocks: 32_768,
            extension_in_bytes: 256 * 1024,
            out_bytes: 2 * 1024 * 1024,
            control: (70_000, 2_000),
            hashed_kib: (64 * 1024, 4 * 1024),
            unsolicited_blocks: 16,
            early_bitfield_bytes: 8_192,
            batch_bytes: 256 * 1024,
            batches_bytes: 64 * 1024 * 1024,
            hot_bytes: 16 * 1024 * 1024,
            web_seed_timeout: Duration::from_secs(30),
        }
    }
}

/// Why a link ended: the short code that TypeScript sees, or TypeScript's own reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// The peer did not finish its handshake, or TypeScript did not accept it, in time.
    HandshakeTimeout,
    /// The handshake names another torrent.
    WrongInfoHash,
    /// It was not dialled in time.
    DialTimeout,
    /// One side insists on encryption, or on a kind of it, that the other does not want.
    Encryption,
    /// Not BitTorrent, or a message that makes no sense for this torrent.
    BadMessage,
    /// A message longer than its kind may be.
    TooLong,
    /// More messages, requests or bytes than we hold for one peer.
    Flood,
    /// Blocks that were not asked for.
    UnsolicitedBlock,
    /// v2 hashes that do not lead to their root.
    BadHashes,
    /// Nothing came, or nothing was taken, for too long.
    Idle,
    /// Nobody listens there.
    Refused,
    /// A list of the user's has its address.
    Blocked,
    /// The proxy is to blame, and not whom it should have led to.
    Proxy,
    /// The peer or the network ended it.
    Reset,
    /// No room for another link.
    Full,
    /// What was wrong with a web seed.
    Http(String),
    /// TypeScript ended it.
    Ours(String),
}

impl CloseReason {
    /// The text of it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::HandshakeTimeout => "handshake-timeout",
            Self::WrongInfoHash => "wrong-info-hash",
            Self::DialTimeout => "dial-timeout",
            Self::Encryption => "encryption",
            Self::BadMessage => "bad-message",
            Self::TooLong => "too-long",
            Self::Flood => "flood",
            Self::UnsolicitedBlock => "unsolicited-block",
            Self::BadHashes => "bad-hashes",
            Self::Idle => "idle",
            Self::Refused => "refused",
            Self::Blocked => "blocked",
            Self::Proxy => "proxy",
            Self::Reset => "reset",
            Self::Full => "full",
            Self::Http(reason) | Self::Ours(reason) => reason,
        }
    }
}
