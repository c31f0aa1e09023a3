//! Every socket of the process for JavaScript: links, the listener, the UDP port. Commands never block; what came of
//! them crosses in batches by `drain`.
use crate::connector::ConnectorOptions;
use crate::error::coded;
use crate::http::{HttpOutcome, HttpRequest};
use crate::local_network::{GroupDatagram, MappingAnswer, MappingRequest, MulticastGroup};
use crate::store::Store;
use crate::task::Job;
use blockswarm_net::{
    AddressRanges as NetRanges, Datagram as NetDatagram, Endpoint, I2pAddress as NetI2pAddress, NetError,
    OnionOptions, Reach, RuntimeOptions, UdpLimits, UtpLimits, tcp,
};
use blockswarm_pieces::PieceOutcome;
use blockswarm_wire::events::{
    Incoming as WireIncoming, LinkEvent as WireEvent, Opened, Record, TorrentFault as WireFault, Verdict,
};
use blockswarm_wire::{
    Encryption, HashAnswer as WireHashAnswer, HashOutcome, HashesOf, Hello as WireHello, How as WireHow, Hub,
    HubOptions, Limits, Transport, WebSeed as WireWebSeed,
};
use napi::bindgen_prelude::{AsyncTask, Buffer, Function, Uint8Array, Uint32Array};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Status};
use napi_derive::napi;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long `shutdown` waits for a thread that is inside a system call.
const CLOSE_BOUND: Duration = Duration::from_secs(5);

/// Weak: does not keep the event loop alive. One place in its queue: a second wake before the first was heard says
/// nothing new.
type Wake = ThreadsafeFunction<(), (), (), Status, false, true, 1>;

pub(crate) fn refused(error: NetError) -> napi::Error {
    coded(error.code(), error)
}

fn read_port(port: u32) -> Result<u16, NetError> {
    u16::try_from(port).map_err(|_| NetError::Address { text: format!("port {port}") })
}

pub(crate) fn address(host: &str, port: u32) -> Result<SocketAddr, NetError> {
    tcp::address(host, read_port(port)?)
}

#[expect(clippy::cast_precision_loss, reason = "counters stay below 2^53 for centuries")]
pub(crate) fn count(value: u64) -> f64 {
    value as f64
}

/// Saturates: a negative or absurd number of bytes is 0 or as many as there can be.
#[expect(clippy::cast_sign_loss, reason = "a negative number is none")]
pub(crate) fn bytes(value: f64) -> u64 {
    value as u64
}

/// Rates that links share, counted in bytes on the wire, headers of packets included.
#[napi(object, object_to_js = false)]
pub struct Rates {
    /// 0: no limit.
    pub upload_bytes_per_second: f64,
    /// 0: no limit.
    pub download_bytes_per_second: f64,
}

/// The way out, sizes and waits; what is absent has the default of `crates/wire/src/limits.rs`.
#[napi(object, object_to_js = false)]
pub struct ReactorOptions {
    pub connector: ConnectorOptions,
    /// HTTP servers are not told which program asks.
    pub anonymous: Option<bool>,
    /// Threads for sockets; they never wait for a disk.
    pub network_threads: u32,
    /// Threads that hash, and read and write files.
    pub worker_threads: u32,
    /// Memory for pieces that are not whole yet, over all torrents.
    pub assembly_bytes: f64,
    /// Connections without a finished handshake, in each direction.
    pub half_open_links: u32,
    /// Connections in all.
    pub links: u32,
    /// For dialling.
    pub dial_timeout_ms: Option<u32>,
    /// For the peer's handshake.
    pub handshake_timeout_ms: Option<u32>,
    /// For `accept`.
    pub accept_timeout_ms: Option<u32>,
    /// Without a byte from the peer, or without its taking one of those that wait.
    pub idle_timeout_ms: Option<u32>,
    /// Without a byte to the peer, before a keep-alive.
    pub keep_alive_ms: Option<u32>,
    /// For a web seed's answer to begin, and over which its rate is measured.
    pub web_seed_timeout_ms: Option<u32>,
}

impl ReactorOptions {
    fn read(&self) -> napi::Result<HubOptions> {
        let connector = self.connector.read()?;
        let mut limits = Limits {
            links: self.links as usize,
            half_open: self.half_open_links as usize,
            ..Limits::default()
        };
        for (setting, given) in [
            (&mut limits.dial_timeout, self.dial_timeout_ms),
            (&mut limits.handshake_timeout, self.handshake_timeout_ms),
            (&mut limits.accept_timeout, self.accept_timeout_ms),
            (&mut limits.idle_timeout, self.idle_timeout_ms),
            (&mut limits.keep_alive, self.keep_alive_ms),
            (&mut limits.web_seed_timeout, self.web_seed_timeout_ms),
        ] {
            if let Some(ms) = given {
                *setting = Duration::from_millis(u64::from(ms));
            }
        }
        let threads = RuntimeOptions {
            network_threads: self.network_threads as usize,
            worker_threads: self.worker_threads as usize,
        };
        let assembly_bytes = bytes(self.assembly_bytes);
        let anonymous = self.anonymous.unwrap_or(false);
        Ok(HubOptions { connector, anonymous, threads, limits, udp: UdpLimits::default(), assembly_bytes })
    }
}

fn twenty(name: &str, bytes: &[u8]) -> napi::Result<[u8; 20]> {
    let wrong = || coded("ERR_NATIVE", format!("\"{name}\" expected 20 bytes, got {}", bytes.len()));
    bytes.try_into().map_err(|_| wrong())
}

/// What we say when a link opens.
#[napi(object, object_to_js = false)]
pub struct Hello {
    /// 20 bytes, sent as it is: v1, or v2 cut to 20 (to a v1 peer with the v2 bit: the upgrade of BEP 52).
    pub info_hash: Uint8Array,
    /// 20 bytes: taken in the answer as well.
    pub other_info_hash: Option<Uint8Array>,
    /// 20 bytes.
    pub peer_id: Uint8Array,
    /// Sets the reserved bit of BEP 52.
    pub v2: bool,
    /// Bencoded, sent as extension message 0.
    pub extension_handshake: Uint8Array,
    /// Super seeding (BEP 16): the peer is told that we have nothing, until `sendHave`.
    pub hide_have: Option<bool>,
    /// UDP port of our node in the DHT: sets the reserved bit of BEP 5, and is told to a peer that sets it too.
    pub dht_port: Option<u16>,
}

impl Hello {
    fn read(&self) -> napi::Result<WireHello> {
        let other = self.other_info_hash.as_ref().map(|other| twenty("otherInfoHash", other)).transpose()?;
        Ok(WireHello {
            info_hash: twenty("infoHash", &self.info_hash)?,
            other_info_hash: other,
            peer_id: twenty("peerId", &self.peer_id)?,
            v2: self.v2,
            extension_handshake: self.extension_handshake.to_vec(),
            hide_have: self.hide_have.unwrap_or(false),
            dht_port: self.dht_port,
        })
    }
}

/// How to dial; over TCP and plain when nothing is said.
#[napi(object, object_to_js = false)]
pub struct How {
    /// `utp` needs a UDP port that was bound for it.
    #[napi(ts_type = "'tcp' | 'utp'")]
    pub transport: Option<String>,
    /// The handshake of MSE comes first.
    pub encrypted: Option<bool>,
}

impl How {
    fn read(self) -> napi::Result<WireHow> {
        let transport = match self.transport.as_deref() {
            None | Some("tcp") => Transport::Tcp,
            Some("utp") => Transport::Utp,
            Some(other) => {
                return Err(coded(
                    "ERR_NATIVE",
                    format!("\"transport\" expected \"tcp\" or \"utp\", got \"{other}\""),
                ));
            }
        };
        Ok(WireHow { transport, encrypted: self.encrypted.unwrap_or(false) })
    }
}

/// Where a torrent's bytes are to be had over HTTP (BEP 19).
#[napi(object, object_to_js = false)]
pub struct WebSeed {
    /// The file itself, or what the files' paths are put behind.
    pub url: String,
    /// For each file as the torrent lists it, padding included: its path, escaped. Empty: the only file is at `url`.
    pub paths: Vec<String>,
    /// The user named it; then it may be on this machine.
    pub asked: bool,
    /// Whoever named it, it may be on this machine.
    pub loopback: bool,
}

/// Where a socket is bound, or a peer is.
#[napi(object, object_from_js = false)]
pub struct SocketAddress {
    /// IP literal, or a name that a proxy resolved.
    pub host: String,
    /// 1 to 65,535.
    pub port: u32,
}

impl From<Endpoint> for SocketAddress {
    fn from(endpoint: Endpoint) -> Self {
        Self { host: endpoint.host(), port: u32::from(endpoint.port()) }
    }
}

impl From<SocketAddr> for SocketAddress {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_canonical().to_string(), port: u32::from(address.port()) }
    }
}

/// Where we are in I2P.
#[napi(object, object_from_js = false, js_name = "I2pAddress")]
pub struct I2pAddress {
    /// 52 characters of base32 and `.b32.i2p`.
    pub name: String,
    /// In I2P's base64.
    pub destination: String,
}

/// A peer that waits for `accept` or `refuse`.
#[napi(object, object_from_js = false)]
pub struct Incoming {
    pub link: u32,
    pub host: String,
    pub port: u32,
    /// 20 bytes.
    pub info_hash: Buffer,
    /// 20 bytes.
    pub peer_id: Buffer,
    /// 8 bytes.
    pub reserved: Buffer,
    /// What is sent is encrypted.
    pub encrypted: bool,
    #[napi(ts_type = "'tcp' | 'utp'")]
    pub transport: String,
}

impl From<WireIncoming> for Incoming {
    fn from(incoming: WireIncoming) -> Self {
        let SocketAddress { host, port } = incoming.address.into();
        let Opened { peer_id, reserved, info_hash, encrypted, transport } = incoming.opened;
        Self {
            link: incoming.link,
            host,
            port,
            info_hash: info_hash.to_vec().into(),
            peer_id: peer_id.to_vec().into(),
            reserved: reserved.to_vec().into(),
            encrypted,
            transport: transport.as_str().to_owned(),
        }
    }
}

/// A BEP 10 message; id 0 is the extension handshake.
#[napi(object, object_from_js = false)]
pub struct ExtensionMessage {
    pub id: u32,
    pub payload: Buffer,
}

/// What came of hashes that were asked for.
#[napi(object, object_from_js = false)]
pub struct HashAnswer {
    /// As it was asked for.
    pub piece: u32,
    #[napi(ts_type = "'pieces' | 'leaves'")]
    pub of: String,
    #[napi(ts_type = "'good' | 'refused' | 'wrong'")]
    pub outcome: String,
    /// The pieces `[firstPiece, endPiece)` of which something is known now.
    pub first_piece: u32,
    pub end_piece: u32,
}

impl From<WireHashAnswer> for HashAnswer {
    fn from(WireHashAnswer { piece, known, of, outcome }: WireHashAnswer) -> Self {
        let of = match of {
            HashesOf::Pieces => "pieces",
            HashesOf::Leaves => "leaves",
        };
        let outcome = match outcome {
            HashOutcome::Good => "good",
            HashOutcome::Refused => "refused",
            HashOutcome::Wrong => "wrong",
        };
        Self {
            piece: piece.get(),
            of: of.to_owned(),
            outcome: outcome.to_owned(),
            first_piece: known.start,
            end_piece: known.end,
        }
    }
}

/// State of a link, and what changed since the last batch.
#[napi(object, object_from_js = false)]
pub struct LinkEvent {
    pub link: u32,
    pub torrent: u32,
    #[napi(ts_type = "'open' | 'closed'")]
    pub state: String,
    pub host: String,
    pub port: u32,
    /// A short code, or the reason given to `close`.
    pub close_reason: Option<String>,
    /// With it: how long a web seed asks to be left alone.
    pub retry_after_ms: Option<f64>,
    /// 20 bytes; this and the next four in the first event of an open link only.
    pub peer_id: Option<Buffer>,
    /// 8 bytes.
    pub reserved: Option<Buffer>,
    /// 20 bytes: the hash that both sides use on this link.
    pub info_hash: Option<Buffer>,
    /// What is sent is encrypted.
    pub encrypted: Option<bool>,
    #[napi(ts_type = "'tcp' | 'utp' | 'http'")]
    pub transport: Option<String>,
    pub peer_choking: bool,
    pub peer_interested: bool,
    /// Then no bitmap crosses.
    pub have_all: bool,
    /// The whole bitmap, when it came or changed much.
    pub bitmap: Option<Buffer>,
    /// Single new pieces.
    pub haves: Option<Vec<u32>>,
    /// Flat triples piece, firstBlock, endBlock.
    pub finished: Option<Vec<u32>>,
    /// Flat triples piece, firstBlock, endBlock.
    pub rejected: Option<Vec<u32>>,
    /// Pieces that the peer suggests since the last batch (BEP 6).
    pub suggested: Option<Vec<u32>>,
    /// Pieces that it gives since the last batch though it chokes us (BEP 6).
    pub allowed_fast: Option<Vec<u32>>,
    /// UDP port of the peer's node in the DHT (BEP 5), when it was told since the last batch.
    pub dht_port: Option<u32>,
    /// Answers to `requestHashes`.
    pub hash_answers: Option<Vec<HashAnswer>>,
    /// Asked, and waiting to be asked.
    pub queued_blocks: u32,
    pub downloaded_bytes: f64,
    pub uploaded_bytes: f64,
    /// 0 while nothing is asked.
    pub since_block_ms: f64,
    pub messages: Option<Vec<ExtensionMessage>>,
}

impl From<WireEvent> for LinkEvent {
    fn from(event: WireEvent) -> Self {
        let SocketAddress { host, port } = event.address.into();
        let Record { opened, close_reason, retry_after, messages, bitmap, hash_answers, .. } = event.record;
        let hash_answers: Vec<_> = hash_answers.into_iter().map(HashAnswer::from).collect();
        let some = |list: Vec<u32>| (!list.is_empty()).then_some(list);
        let (encrypted, transport) =
            opened.as_ref().map(|opened| (opened.encrypted, opened.transport.as_str().to_owned())).unzip();
        let (peer_id, reserved, info_hash) = opened
            .map(|opened| (opened.peer_id.to_vec(), opened.reserved.to_vec(), opened.info_hash.to_vec()))
            .map_or((None, None, None), |(id, reserved, hash)| (Some(id), Some(reserved), Some(hash)));
        let messages: Vec<_> = messages
            .into_iter()
            .map(|message| ExtensionMessage { id: u32::from(message.id), payload: message.payload.into() })
            .collect();
        Self {
            link: event.link,
            torrent: event.torrent,
            state: if close_reason.is_some() { "closed" } else { "open" }.to_owned(),
            host,
            port,
            close_reason: close_reason.map(|reason| reason.as_str().to_owned()),
            retry_after_ms: retry_after.map(|rest| count(rest.as_millis() as u64)),
            peer_id: peer_id.map(Buffer::from),
            reserved: reserved.map(Buffer::from),
            info_hash: info_hash.map(Buffer::from),
            encrypted,
            transport,
            peer_choking: event.record.peer_choking,
            peer_interested: event.record.peer_interested,
            have_all: event.record.have_all,
            bitmap: bitmap.map(Buffer::from),
            haves: some(event.record.haves),
            finished: some(event.record.finished),
            rejected: some(event.record.rejected),
            suggested: some(event.record.suggested),
            allowed_fast: some(event.record.allowed_fast),
            dht_port: event.record.dht_port.map(u32::from),
            hash_answers: (!hash_answers.is_empty()).then_some(hash_answers),
            queued_blocks: event.queued_blocks,
            downloaded_bytes: count(event.downloaded_bytes),
            uploaded_bytes: count(event.uploaded_bytes),
            since_block_ms: count(event.since_block_ms),
            messages: (!messages.is_empty()).then_some(messages),
        }
    }
}

/// A judged piece.
#[napi(object, object_from_js = false)]
pub struct PieceVerdict {
    pub torrent: u32,
    pub piece: u32,
    /// `io`: the piece could not be kept. `blamed`: it was bad before, and now it is known through whom.
    #[napi(ts_type = "'good' | 'bad' | 'io' | 'blamed'")]
    pub outcome: String,
    pub message: Option<String>,
    /// Links that sent blocks of it.
    pub senders: Vec<u32>,
    /// Links that sent wrong bytes.
    pub culprits: Vec<u32>,
}

impl From<Verdict> for PieceVerdict {
    fn from(Verdict { torrent, verdict }: Verdict) -> Self {
        let links = |ids: Vec<u64>| ids.into_iter().filter_map(|id| u32::try_from(id).ok()).collect();
        let (outcome, message) = match verdict.outcome {
            PieceOutcome::Good => ("good", None),
            PieceOutcome::Bad => ("bad", None),
            PieceOutcome::Io(error) => ("io", Some(error.to_string())),
            PieceOutcome::Blamed => ("blamed", None),
        };
        Self {
            torrent,
            piece: verdict.piece.get(),
            outcome: outcome.to_owned(),
            message,
            senders: links(verdict.senders),
            culprits: links(verdict.culprits),
        }
    }
}

/// A torrent whose files failed: pieces are not servable any more. Said once until the store's `clearFault`.
#[napi(object, object_from_js = false)]
pub struct TorrentFault {
    pub torrent: u32,
    #[napi(ts_type = "'disk-full' | 'vanished' | 'changed' | 'denied' | 'damaged' | 'io' | 'contradiction'")]
    pub kind: String,
    /// The system's words, with the file's path.
    pub message: String,
}

impl From<WireFault> for TorrentFault {
    fn from(WireFault { torrent, fault }: WireFault) -> Self {
        Self { torrent, kind: fault.kind.as_str().to_owned(), message: fault.message }
    }
}

/// A datagram that passed the gate: one strict bencoded dictionary, or a tracker's answer.
#[napi(object, object_from_js = false)]
pub struct Datagram {
    pub host: String,
    pub port: u32,
    pub payload: Buffer,
}

impl From<NetDatagram> for Datagram {
    fn from(NetDatagram { from, payload }: NetDatagram) -> Self {
        let SocketAddress { host, port } = from.into();
        Self { host, port, payload: payload.into() }
    }
}

/// What did not cross since the last batch.
#[napi(object, object_from_js = false)]
pub struct Dropped {
    /// Malformed, too many, or not drained in time.
    pub datagrams: f64,
}

/// What happened since the last `drain`.
#[napi(object, object_from_js = false)]
pub struct Batch {
    pub incoming: Vec<Incoming>,
    pub links: Vec<LinkEvent>,
    pub pieces: Vec<PieceVerdict>,
    pub faults: Vec<TorrentFault>,
    pub datagrams: Vec<Datagram>,
    /// To requests by `askUdpTracker`.
    pub tracker_answers: Vec<Datagram>,
    pub http: Vec<HttpOutcome>,
    /// What came to multicast groups.
    pub announcements: Vec<GroupDatagram>,
    /// Answers to `mapPort`.
    pub mappings: Vec<MappingAnswer>,
    pub dropped: Dropped,
}

/// Ranges of addresses: first and last, both included.
#[napi(object, object_to_js = false)]
pub struct AddressRanges {
    /// Two numbers a range.
    pub v4: Uint32Array,
    /// 32 bytes a range, in network order.
    pub v6: Uint8Array,
}

impl AddressRanges {
    fn read(&self) -> NetRanges {
        let (pairs, _) = self.v4.as_chunks::<2>();
        let v4 = pairs.iter().map(|[first, last]| (*first, *last)).collect();
        let (halves, _) = self.v6.as_chunks::<16>();
        let halves: Vec<_> = halves.iter().map(|half| u128::from_be_bytes(*half)).collect();
        let (pairs, _) = halves.as_chunks::<2>();
        NetRanges { v4, v6: pairs.iter().map(|[first, last]| (*first, *last)).collect() }
    }
}

/// Counters since the start; `links` and `assemblyBytes` are as of now.
#[napi(object, object_from_js = false)]
pub struct ReactorStats {
    pub links: f64,
    pub assembly_bytes: f64,
    /// Memory of blocks on their way to peers.
    pub batch_bytes: f64,
    pub opened_links: f64,
    pub closed_links: f64,
    pub turned_away_links: f64,
    pub downloaded_bytes: f64,
    pub uploaded_bytes: f64,
    pub wasted_bytes: f64,
    pub unsolicited_blocks: f64,
    pub refused_requests: f64,
    pub disk_reads: f64,
    pub failed_reads: f64,
    /// Times that a link waited for its rates.
    pub paced_links: f64,
    pub passed_datagrams: f64,
    pub malformed_datagrams: f64,
    pub too_many_datagrams: f64,
    pub overflowed_datagrams: f64,
    /// Not dialled, not let in, ended while open, neither sent nor read, since their address is blocked.
    pub blocked_dials: f64,
    pub blocked_incoming: f64,
    pub blocked_links: f64,
    pub blocked_datagrams: f64,
}

/// The one engine object of a process. Keeps nothing alive by itself; `shutdown` it.
#[napi]
pub struct Reactor {
    hub: Arc<Hub>,
    wake: Arc<Mutex<Option<Wake>>>,
    dropped_datagrams: AtomicU64,
}

#[napi]
impl Reactor {
    /// Starts the threads. `wake` is called when there is something to drain, once until it is drained.
    #[napi(constructor, catch_unwind)]
    pub fn new(env: Env, options: ReactorOptions, wake: Function<'_, (), ()>) -> napi::Result<Self> {
        let wake = wake.build_threadsafe_function().weak::<true>().max_queue_size::<1>().build()?;
        let wake = Arc::new(Mutex::new(Some(wake)));
        let waker = Arc::clone(&wake);
        let hub = Hub::start(options.read()?, move || {
            if let Some(wake) = &*waker.lock() {
                wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
            }
        });
        let hub = Arc::new(hub.map_err(refused)?);
        let weak = (Arc::downgrade(&hub), Arc::downgrade(&wake));
        env.add_env_cleanup_hook(weak, |(hub, wake)| {
            drop(wake.upgrade().and_then(|wake| wake.lock().take()));
            if let Some(hub) = hub.upgrade() {
                hub.close(CLOSE_BOUND);
            }
        })?;
        Ok(Self { hub, wake, dropped_datagrams: AtomicU64::new(0) })
    }

    /// Takes peers at an IP literal; port 0 chooses a free one. ERR_PORT_IN_USE, ERR_LISTEN, ERR_ADDRESS.
    #[napi(catch_unwind)]
    pub fn listen(&self, host: String, port: u32) -> napi::Result<SocketAddress> {
        Ok(self.hub.listen(address(&host, port).map_err(refused)?).map_err(refused)?.into())
    }

    /// Binds the UDP port, for the DHT and, when `utp` is true, for peers. Errors as `listen`.
    #[napi(catch_unwind)]
    pub fn bind_udp(&self, host: String, port: u32, utp: Option<bool>) -> napi::Result<SocketAddress> {
        let utp = utp.unwrap_or(false).then(UtpLimits::default);
        let limits = UdpLimits { utp, ..UdpLimits::default() };
        let local = self.hub.bind_udp(address(&host, port).map_err(refused)?, limits).map_err(refused)?;
        self.dropped_datagrams.store(0, Ordering::Relaxed);
        Ok(local.into())
    }

    /// False when nothing is bound, the queue is full, or the address is no IP literal.
    #[napi(catch_unwind)]
    pub fn send_udp(&self, payload: &[u8], host: String, port: u32) -> bool {
        address(&host, port).is_ok_and(|to| self.hub.send_udp(to, payload.to_vec()))
    }

    /// Sends a request to a tracker (BEP 15), of which one answer is let in. False as `sendUdp`, and when too many have
    /// none yet.
    #[napi(catch_unwind)]
    pub fn ask_udp_tracker(&self, request: &[u8], host: String, port: u32) -> bool {
        address(&host, port).is_ok_and(|to| self.hub.ask_udp_tracker(to, request.to_vec()))
    }

    /// Joins a multicast group on an interface; returns its number. ERR_LISTEN; ERR_PRIVACY behind a proxy.
    #[napi(catch_unwind)]
    pub fn join_group(&self, group: MulticastGroup) -> napi::Result<u32> {
        self.hub.local_network().join(group.read()?).map_err(refused)
    }

    /// Leaves it.
    #[napi(catch_unwind)]
    pub fn leave_group(&self, group: u32) {
        self.hub.local_network().leave(group);
    }

    /// False when it is not joined.
    #[napi(catch_unwind)]
    pub fn send_to_group(&self, group: u32, payload: &[u8]) -> bool {
        self.hub.local_network().send(group, payload.to_vec())
    }

    /// Asks the gateway for a port, or to take one back; returns the number under which the answer comes, within ten
    /// seconds. ERR_PRIVACY behind a proxy.
    #[napi(catch_unwind)]
    pub fn map_port(&self, request: MappingRequest) -> napi::Result<u32> {
        self.hub.local_network().map_port(request.read()?).map_err(refused)
    }

    /// What incoming links may do, and whether one that is dialled encrypted may turn plain behind its handshake.
    #[napi(catch_unwind, ts_args_type = "mode: 'off' | 'allowed' | 'preferred' | 'required'")]
    pub fn set_encryption(&self, mode: String) -> napi::Result<()> {
        let unknown = || coded("ERR_NATIVE", format!("no mode of encryption: \"{mode}\""));
        self.hub.set_encryption(Encryption::parse(&mode).ok_or_else(unknown)?);
        Ok(())
    }

    /// 20 bytes: encrypted handshakes for this info hash are understood from now on.
    #[napi(catch_unwind)]
    pub fn know_info_hash(&self, info_hash: &[u8]) -> napi::Result<()> {
        self.hub.know_info_hash(twenty("infoHash", info_hash)?);
        Ok(())
    }

    /// And from now on are not.
    #[napi(catch_unwind)]
    pub fn forget_info_hash(&self, info_hash: &[u8]) -> napi::Result<()> {
        self.hub.forget_info_hash(twenty("infoHash", info_hash)?);
        Ok(())
    }

    /// A new torrent, without a store while only its info hash is known. Numbers start at 1.
    #[napi(catch_unwind)]
    pub fn add_torrent(&self, store: Option<&Store>) -> u32 {
        self.hub.add_torrent(store.map(|store| Arc::clone(&store.store)))
    }

    /// Gives a torrent its store, once.
    #[napi(catch_unwind)]
    pub fn attach_store(&self, torrent: u32, store: &Store) {
        self.hub.attach_store(torrent, Arc::clone(&store.store));
    }

    /// Closes its links and forgets blocks of unfinished pieces.
    #[napi(catch_unwind)]
    pub fn remove_torrent(&self, torrent: u32) {
        self.hub.remove_torrent(torrent);
    }

    /// Dials an IP literal, or a name that only a proxy can resolve. Returns the link's number at once, 0 when there is no
    /// such torrent. ERR_ADDRESS.
    #[napi(catch_unwind)]
    pub fn connect(
        &self,
        torrent: u32,
        host: String,
        port: u32,
        hello: Hello,
        how: Option<How>,
    ) -> napi::Result<u32> {
        let how = how.map(How::read).transpose()?.unwrap_or_default();
        let to = read_port(port).and_then(|port| Endpoint::parse(&host, port)).map_err(refused)?;
        Ok(self.hub.connect(torrent, to, hello.read()?, how).unwrap_or(0))
    }

    /// Begins to fetch from a web seed. Returns the link's number at once, 0 when there is no such torrent.
    #[napi(catch_unwind)]
    pub fn connect_web_seed(&self, torrent: u32, seed: WebSeed) -> u32 {
        let WebSeed { url, paths, asked, loopback } = seed;
        let reach = Reach { asked, loopback, ..Reach::default() };
        self.hub.connect_web_seed(torrent, WireWebSeed { url, paths, reach }).unwrap_or(0)
    }

    /// Begins a GET; its number comes back in its outcome.
    #[napi(catch_unwind)]
    pub fn http_get(&self, request: HttpRequest) -> u32 {
        self.hub.http_get(request.read())
    }

    /// Ends a GET; no outcome of it comes any more.
    #[napi(catch_unwind)]
    pub fn cancel_http(&self, request: u32) {
        self.hub.cancel_http(request);
    }

    /// Lets an incoming link in; false when it is gone.
    #[napi(catch_unwind)]
    pub fn accept(&self, link: u32, torrent: u32, hello: Hello) -> napi::Result<bool> {
        Ok(self.hub.accept(link, torrent, hello.read()?))
    }

    /// Turns an incoming link away; no event follows.
    #[napi(catch_unwind)]
    pub fn refuse(&self, link: u32) {
        self.hub.close_link(link, "refused");
    }

    /// Ends a link; the reason comes back in its last event.
    #[napi(catch_unwind)]
    pub fn close(&self, link: u32, reason: String) {
        self.hub.close_link(link, &reason);
    }

    /// Links start choked.
    #[napi(catch_unwind)]
    pub fn set_choked(&self, link: u32, choked: bool) {
        self.hub.set_choked(link, choked);
    }

    /// Links start without interest.
    #[napi(catch_unwind)]
    pub fn set_interested(&self, link: u32, interested: bool) {
        self.hub.set_interested(link, interested);
    }

    /// At most so many unanswered requests to this peer: its `reqq`.
    #[napi(catch_unwind)]
    pub fn set_request_limit(&self, link: u32, requests: u32) {
        self.hub.set_request_limit(link, requests);
    }

    /// A pair of rates that links may share, without limits at first. Numbers start at 1.
    #[napi(catch_unwind)]
    pub fn create_rate_class(&self) -> u32 {
        self.hub.create_rate_class()
    }

    /// Bytes a second, 0 for no limit.
    #[napi(catch_unwind)]
    pub fn set_rate_class(&self, rate_class: u32, rates: Rates) {
        self.hub.set_rate_class(
            rate_class,
            bytes(rates.upload_bytes_per_second),
            bytes(rates.download_bytes_per_second),
        );
    }

    /// Links that are in it go on without its limits.
    #[napi(catch_unwind)]
    pub fn drop_rate_class(&self, rate_class: u32) {
        self.hub.drop_rate_class(rate_class);
    }

    /// The classes that a link is in from now on, at most 4.
    #[napi(catch_unwind)]
    pub fn set_link_rate_classes(&self, link: u32, rate_classes: Vec<u32>) {
        self.hub.set_link_rate_classes(link, &rate_classes);
    }

    /// The peer lost a piece (BEP 54): its bitmap is reported anew.
    #[napi(catch_unwind)]
    pub fn forget_have(&self, link: u32, piece: u32) {
        self.hub.forget_have(link, piece);
    }

    /// Asks for blocks; those in hand are skipped. False: link gone, no such blocks, or no memory now.
    #[napi(catch_unwind)]
    pub fn fetch(&self, link: u32, piece: u32, first_block: u32, end_block: u32) -> bool {
        self.hub.fetch(link, piece, first_block, end_block)
    }

    /// Takes blocks back; they are not reported any more.
    #[napi(catch_unwind)]
    pub fn cancel(&self, link: u32, piece: u32, first_block: u32, end_block: u32) {
        self.hub.cancel(link, piece, first_block, end_block);
    }

    /// `id` as the peer numbered it. False when the link is gone, or its queue full and it is closed.
    #[napi(catch_unwind)]
    pub fn send_extension(&self, link: u32, id: u32, payload: &[u8]) -> bool {
        u8::try_from(id).is_ok_and(|id| self.hub.send_extension(link, id, payload.to_vec()))
    }

    /// Asks the peer for v2 hashes of the piece and its neighbours, or of the piece's blocks (BEP 52). Returns the end of
    /// the pieces that they are of; 0: link gone, they are known or cannot be had, or too much is asked of it already.
    #[napi(catch_unwind)]
    pub fn request_hashes(
        &self,
        link: u32,
        piece: u32,
        #[napi(ts_arg_type = "'pieces' | 'leaves'")] of: String,
    ) -> u32 {
        let of = if of == "leaves" { HashesOf::Leaves } else { HashesOf::Pieces };
        self.hub.request_hashes(link, piece, of).map_or(0, |pieces| pieces.end)
    }

    /// HAVE to one peer, which may ask for the piece from now on although its link hides what we have.
    #[napi(catch_unwind)]
    pub fn send_have(&self, link: u32, piece: u32) {
        self.hub.show_piece(link, piece);
    }

    /// Suggests a piece (BEP 6).
    #[napi(catch_unwind)]
    pub fn suggest(&self, link: u32, piece: u32) {
        self.hub.suggest(link, piece);
    }

    /// Gives pieces to a peer though we choke it, each once (BEP 6).
    #[napi(catch_unwind)]
    pub fn allow_fast(&self, link: u32, pieces: Vec<u32>) {
        self.hub.allow_fast(link, pieces);
    }

    /// HAVE to all open links of the torrent.
    #[napi(catch_unwind)]
    pub fn announce_have(&self, torrent: u32, piece: u32) {
        self.hub.announce_have(torrent, piece);
    }

    /// Addresses that are not met from now on, also where there is a link, but for those that are allowed.
    #[napi(catch_unwind)]
    pub fn set_blocked(&self, blocked: AddressRanges, allowed: AddressRanges) {
        self.hub.block_addresses(blocked.read(), allowed.read());
    }

    /// Begins to keep an onion service by Tor's control port: `port` of it leads to `target_port` of 127.0.0.1.
    #[napi(catch_unwind)]
    pub fn keep_onion(
        &self,
        control_host: String,
        control_port: u32,
        password: Option<Uint8Array>,
        port: u32,
        target_port: u32,
    ) -> napi::Result<()> {
        let control = address(&control_host, control_port).map_err(refused)?;
        let target = address("127.0.0.1", target_port).map_err(refused)?;
        let port = read_port(port).map_err(refused)?;
        let password = password.map(|password| password.to_vec());
        self.hub.keep_onion(OnionOptions { control, password, port, target });
        Ok(())
    }

    /// The onion service's host name, while it is up.
    #[napi(catch_unwind)]
    pub fn onion_host(&self) -> Option<String> {
        self.hub.onion()?.host()
    }

    /// Why there is no onion service.
    #[napi(catch_unwind)]
    pub fn onion_fault(&self) -> Option<String> {
        self.hub.onion()?.fault().map(|fault| fault.to_string())
    }

    /// Where peers meet us in I2P, while they can.
    #[napi(catch_unwind, js_name = "i2pAddress")]
    pub fn i2p_address(&self) -> Option<I2pAddress> {
        let NetI2pAddress { name, destination } = self.hub.i2p_address()?;
        Some(I2pAddress { name: name.to_string(), destination: destination.to_string() })
    }

    /// The keys of our destination in I2P, once there is one: a secret, by which it is the same one next time.
    #[napi(catch_unwind, js_name = "i2pKeys")]
    pub fn i2p_keys(&self) -> Option<String> {
        self.hub.i2p_keys()
    }

    /// What is wrong with the proxy, as long as nothing went through it since; else, and without one, nothing.
    #[napi(catch_unwind)]
    pub fn proxy_fault(&self) -> Option<String> {
        self.hub.proxy_fault().map(|fault| fault.to_string())
    }

    /// Takes what happened; bounded, more wakes again.
    #[napi(catch_unwind)]
    pub fn drain(&self) -> Batch {
        let (drained, datagrams) = self.hub.drain();
        let (announcements, mappings) = self.hub.local_network().drain();
        let lost = self.hub.udp(|udp| {
            udp.map_or(0, |udp| {
                let counters = udp.counters();
                [&counters.malformed, &counters.too_many, &counters.overflowed]
                    .map(|counter| counter.load(Ordering::Relaxed))
                    .iter()
                    .sum()
            })
        });
        let before = self.dropped_datagrams.swap(lost, Ordering::Relaxed);
        Batch {
            incoming: drained.incoming.into_iter().map(Incoming::from).collect(),
            links: drained.links.into_iter().map(LinkEvent::from).collect(),
            pieces: drained.verdicts.into_iter().map(PieceVerdict::from).collect(),
            faults: drained.faults.into_iter().map(TorrentFault::from).collect(),
            datagrams: datagrams.into_iter().map(Datagram::from).collect(),
            tracker_answers: self.hub.drain_trackers().into_iter().map(Datagram::from).collect(),
            announcements: announcements.into_iter().map(GroupDatagram::from).collect(),
            mappings: mappings.into_iter().map(MappingAnswer::from).collect(),
            http: self.hub.drain_http().into_iter().map(HttpOutcome::from).collect(),
            dropped: Dropped { datagrams: count(lost.saturating_sub(before)) },
        }
    }

    /// Counters.
    #[napi(catch_unwind)]
    pub fn stats(&self) -> ReactorStats {
        let (counters, filter) = (self.hub.counters(), self.hub.address_filter());
        let read = |counter: &AtomicU64| count(counter.load(Ordering::Relaxed));
        let [passed, malformed, too_many, overflowed] = self.hub.udp(|udp| {
            udp.map_or([0.0; 4], |udp| {
                let counters = udp.counters();
                [&counters.passed, &counters.malformed, &counters.too_many, &counters.overflowed].map(read)
            })
        });
        ReactorStats {
            links: count(self.hub.links() as u64),
            assembly_bytes: count(self.hub.assembly_bytes()),
            batch_bytes: count(self.hub.batch_bytes()),
            opened_links: read(&counters.opened),
            closed_links: read(&counters.closed),
            turned_away_links: read(&counters.turned_away),
            downloaded_bytes: read(&counters.downloaded_bytes),
            uploaded_bytes: read(&counters.uploaded_bytes),
            wasted_bytes: read(&counters.wasted_bytes),
            unsolicited_blocks: read(&counters.unsolicited_blocks),
            refused_requests: read(&counters.refused_requests),
            disk_reads: read(&counters.disk_reads),
            failed_reads: read(&counters.failed_reads),
            paced_links: read(&counters.paced),
            passed_datagrams: passed,
            malformed_datagrams: malformed,
            too_many_datagrams: too_many,
            overflowed_datagrams: overflowed,
            blocked_dials: read(&filter.dialled),
            blocked_incoming: read(&filter.incoming),
            blocked_links: read(&filter.ended),
            blocked_datagrams: read(&filter.datagrams),
        }
    }

    /// Ends all links at once and joins the threads on a worker. No wake comes any more. Idempotent.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn shutdown(&self) -> AsyncTask<Job<()>> {
        self.hub.begin_close();
        drop(self.wake.lock().take());
        let hub = Arc::clone(&self.hub);
        AsyncTask::new(Job::new(move || {
            hub.close(CLOSE_BOUND);
            Ok(())
        }))
    }
}
