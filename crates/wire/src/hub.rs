//! The registry of torrents and links, and the one object of the process that owns the network threads.

use crate::batch::BatchPool;
use crate::connect;
use crate::context::{Context, Counters, count};
use crate::docket::Docket;
use crate::encryption::{Encryption, EncryptionPolicy};
use crate::events::{Drained, Outbox, TorrentFault};
use crate::hash_asking::{ASKED, HashesOf};
use crate::limits::{CloseReason, Limits};
use crate::message::{BLOCK_BYTES, PIECE_HEADER_BYTES};
use crate::pace::RateClass;
use crate::shared::{Command, Hello, How, LinkShared, StoreRef, Transport};
use crate::stream::Stream;
use crate::web_seed::{self, WebSeed};
use blockswarm_net::{
    ANONYMOUS_USER_AGENT, Connector, Datagram, Endpoint, HttpDialer, HttpError, HttpGet, HttpJobs,
    HttpLimits, HttpOutcome, NetError, ProxyFault, Runtime, RuntimeOptions, USER_AGENT, Udp, UdpLimits, Utp,
};
use blockswarm_pieces::{Budget, HotCache, Store};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// After a failed accept (out of descriptors): before the next one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Peers whose v2 leaves are hashed at a time: the workers are for our own pieces first.
const HASH_ANSWERS: usize = 2;

/// Between two looks at good pieces that wait to be written.
const WRITE_TICK: Duration = Duration::from_secs(1);

/// For links over uTP to say that they end, before their socket goes.
const UTP_FAREWELL: Duration = Duration::from_millis(100);

/// Sizes of a hub.
#[derive(Debug, Clone)]
pub struct HubOptions {
    /// The one way out.
    pub connector: Arc<Connector>,
    /// HTTP servers are not told which program asks.
    pub anonymous: bool,
    /// Threads of the runtime.
    pub threads: RuntimeOptions,
    /// Bounds of links.
    pub limits: Limits,
    /// Bounds of the UDP socket.
    pub udp: UdpLimits,
    /// Memory for pieces that are not whole yet, over all torrents.
    pub assembly_bytes: u64,
}

/// Every link of the process. All methods are quick and may be called from any thread but the runtime's own.
pub struct Hub {
    core: Arc<Core>,
    runtime: Runtime,
    udp: Mutex<Option<Udp>>,
    http: HttpJobs,
    closed: AtomicBool,
}

struct Core {
    context: Arc<Context>,
    budget: Arc<Budget>,
    hot: Arc<HotCache>,
    registry: Mutex<Registry>,
}

#[derive(Default)]
struct Registry {
    torrents: HashMap<u32, Torrent>,
    links: HashMap<u32, Arc<LinkShared>>,
    rate_classes: HashMap<u32, Arc<RateClass>>,
    last_torrent: u32,
    last_link: u32,
    last_rate_class: u32,
}

#[derive(Default)]
struct Torrent {
    store: Option<Arc<StoreRef>>,
    links: HashSet<u32>,
}

impl Hub {
    /// Starts the threads. `wake` is called from any thread, at most once until the next [`Hub::drain`].
    pub fn start(options: HubOptions, wake: impl Fn() + Send + Sync + 'static) -> Result<Self, NetError> {
        let runtime = Runtime::start(options.threads)?;
        let limits = options.limits;
        let http = HttpLimits {
            dial_timeout: limits.dial_timeout,
            head_timeout: limits.web_seed_timeout,
            slow_after: limits.web_seed_timeout,
            ..HttpLimits::default()
        };
        let single_bytes = BLOCK_BYTES as usize + PIECE_HEADER_BYTES;
        let user_agent = if options.anonymous { ANONYMOUS_USER_AGENT } else { USER_AGENT };
        let context = Context {
            limits,
            start: Instant::now(),
            handle: runtime.handle().clone(),
            outbox: Arc::new(Outbox::new(Box::new(wake))),
            batches: BatchPool::new(limits.batch_bytes, limits.batches_bytes, single_bytes),
            docket: Docket::new(options.assembly_bytes / 3),
            counters: Counters::default(),
            encryption: EncryptionPolicy::new(),
            utp: Mutex::default(),
            half_open_out: Semaphore::new(limits.half_open.max(1)),
            half_open_in: Arc::new(Semaphore::new(limits.half_open.max(1))),
            half_open_utp: Arc::new(Semaphore::new((limits.half_open / 2).max(1))),
            http: Arc::new(HttpDialer::new(http, Arc::clone(&options.connector), user_agent)),
            connector: options.connector,
            hash_answers: Arc::new(Semaphore::new(HASH_ANSWERS)),
        };
        let budget = Budget::new(options.assembly_bytes);
        let hot = HotCache::new(limits.hot_bytes);
        let core = Arc::new(Core { context: Arc::new(context), budget, hot, registry: Mutex::default() });
        runtime.handle().spawn(write_out_regularly(Arc::downgrade(&core)));
        let outbox = Arc::clone(&core.context.outbox);
        let http = HttpJobs::new(Arc::clone(&core.context.http), move || outbox.wake());
        Ok(Self { core, runtime, udp: Mutex::new(None), http, closed: AtomicBool::new(false) })
    }

    /// Takes connections at an address; port 0 chooses one. May be called for several addresses.
    pub fn listen(&self, address: SocketAddr) -> Result<SocketAddr, NetError> {
        self.check_open()?;
        let listener = self.core.context.connector.listen(self.runtime.handle(), address)?;
        let local = listener.local_addr().map_err(|source| NetError::Listen { address, source })?;
        self.runtime.handle().spawn(Arc::clone(&self.core).accept_all(listener));
        Ok(local)
    }

    /// Binds the UDP socket, in place of an earlier one.
    pub fn bind_udp(&self, address: SocketAddr, limits: UdpLimits) -> Result<SocketAddr, NetError> {
        self.check_open()?;
        let outbox = Arc::clone(&self.core.context.outbox);
        let connector = &self.core.context.connector;
        let udp = Udp::bind(self.runtime.handle(), connector, address, limits, move || outbox.wake())?;
        let local = udp.local();
        *self.core.context.utp.lock() = udp.utp();
        if let Some(utp) = udp.utp() {
            self.runtime.handle().spawn(Arc::clone(&self.core).accept_all_utp(utp));
        }
        *self.udp.lock() = Some(udp);
        Ok(local)
    }

    /// Queues a datagram; false when the queue is full or nothing is bound.
    pub fn send_udp(&self, to: SocketAddr, payload: Vec<u8>) -> bool {
        self.udp.lock().as_ref().is_some_and(|udp| udp.send(to, payload))
    }

    /// Reads the UDP socket's counters.
    pub fn udp<T>(&self, read: impl FnOnce(Option<&Udp>) -> T) -> T {
        read(self.udp.lock().as_ref())
    }

    /// What is wrong with the proxy, as long as nothing went through it since.
    pub fn proxy_fault(&self) -> Option<ProxyFault> {
        self.core.context.connector.health().and_then(|health| health.fault())
    }

    /// What incoming links may do, and whether those dialled encrypted may turn plain behind their handshake.
    pub fn set_encryption(&self, mode: Encryption) {
        self.core.context.encryption.set_mode(mode);
    }

    /// Encrypted handshakes for this info hash are understood from now on.
    pub fn know_info_hash(&self, info_hash: [u8; 20]) {
        self.core.context.encryption.know(info_hash);
    }

    /// And from now on are not.
    pub fn forget_info_hash(&self, info_hash: [u8; 20]) {
        self.core.context.encryption.forget(info_hash);
    }

    /// A new torrent; without a store while only its info hash is known.
    pub fn add_torrent(&self, store: Option<Arc<Store>>) -> u32 {
        let store = store.map(|store| self.core.charged(store));
        let mut registry = self.core.registry.lock();
        registry.last_torrent += 1;
        let id = registry.last_torrent;
        registry.torrents.insert(id, Torrent { store: store.clone(), links: HashSet::new() });
        drop(registry);
        if let Some(store) = store {
            self.core.heed_faults(id, &store.0);
        }
        id
    }

    /// Gives a torrent its store, once; false when there is no such torrent or it has one.
    pub fn attach_store(&self, torrent: u32, store: Arc<Store>) -> bool {
        let store = self.core.charged(store);
        let mut registry = self.core.registry.lock();
        let Registry { torrents, links, .. } = &mut *registry;
        let Some(entry) = torrents.get_mut(&torrent).filter(|torrent| torrent.store.is_none()) else {
            return false;
        };
        entry.store = Some(Arc::clone(&store));
        for link in entry.links.iter().filter_map(|id| links.get(id)) {
            link.tell(Command::Attach(Arc::clone(&store)));
        }
        drop(registry);
        self.core.heed_faults(torrent, &store.0);
        true
    }

    /// Forgets a torrent: its links close as `removed`, its unfinished pieces give their memory back.
    pub fn remove_torrent(&self, torrent: u32) {
        let mut registry = self.core.registry.lock();
        let Some(Torrent { store, links }) = registry.torrents.remove(&torrent) else { return };
        for link in links.iter().filter_map(|id| registry.links.get(id)) {
            link.tell(Command::Close(CloseReason::Ours("removed".to_owned())));
        }
        drop(registry);
        if let Some(store) = store {
            store.0.abandon_all();
            self.runtime.handle().spawn_blocking(move || store.0.flush_older_than(Duration::ZERO));
        }
    }

    /// Dials; returns the link's number at once. What comes of it is an event. `None`: no such torrent.
    pub fn connect(&self, torrent: u32, address: impl Into<Endpoint>, hello: Hello, how: How) -> Option<u32> {
        self.begin(torrent, address.into(), |context, link, store| {
            connect::outgoing(context, link, store, hello, how)
        })
    }

    /// Begins to fetch from a web seed: a link like any other, of a peer that has everything. It closes as `no-store`
    /// when the torrent has none.
    pub fn connect_web_seed(&self, torrent: u32, seed: WebSeed) -> Option<u32> {
        let nowhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        self.begin(torrent, nowhere.into(), |context, link, store| async move {
            match store {
                Some(store) => web_seed::run(context, link, Arc::clone(&store.0), seed).await,
                None => CloseReason::Http("no-store".to_owned()),
            }
        })
    }

    fn begin<Life>(
        &self,
        torrent: u32,
        address: Endpoint,
        live: impl FnOnce(Arc<Context>, Arc<LinkShared>, Option<Arc<StoreRef>>) -> Life,
    ) -> Option<u32>
    where
        Life: Future<Output = CloseReason> + Send + 'static,
    {
        let core = &self.core;
        let mut registry = core.registry.lock();
        let full = registry.links.len() >= core.context.limits.links || self.closed.load(Ordering::Acquire);
        registry.last_link += 1;
        let id = registry.last_link;
        let entry = registry.torrents.get_mut(&torrent)?;
        let store = entry.store.clone();
        let link = LinkShared::new(id, torrent, address, Arc::clone(&core.context.outbox));
        if full {
            drop(registry);
            link.update(|record| record.close_reason = Some(CloseReason::Full));
            return Some(id);
        }
        entry.links.insert(id);
        registry.links.insert(id, Arc::clone(&link));
        drop(registry);
        let farewell = Farewell::new(core, &link);
        let life = live(Arc::clone(&core.context), link, store);
        self.runtime.handle().spawn(async move {
            farewell.say(life.await);
        });
        Some(id)
    }

    /// Lets an incoming link in; false when it is gone or refused, was let in before, or there is no such torrent.
    pub fn accept(&self, link: u32, torrent: u32, hello: Hello) -> bool {
        let mut registry = self.core.registry.lock();
        let Registry { torrents, links, .. } = &mut *registry;
        let (Some(shared), Some(torrent_entry)) = (links.get(&link), torrents.get_mut(&torrent)) else {
            return false;
        };
        // A refused link may still be on its way out of the registry.
        if shared.is_ending()
            || shared.torrent.compare_exchange(0, torrent, Ordering::AcqRel, Ordering::Acquire).is_err()
        {
            return false;
        }
        torrent_entry.links.insert(link);
        shared.tell(Command::Accept { store: torrent_entry.store.clone(), hello: Box::new(hello) });
        true
    }

    /// Ends a link; nothing happens when it is gone. An incoming one that was not let in ends without an event.
    pub fn close_link(&self, link: u32, reason: &str) {
        self.tell(link, Command::Close(CloseReason::Ours(reason.to_owned())));
    }

    /// Chokes or unchokes the peer. Links start choked.
    pub fn set_choked(&self, link: u32, choked: bool) {
        self.tell(link, Command::Choke(choked));
    }

    /// Says whether we want something of the peer. Links start without interest.
    pub fn set_interested(&self, link: u32, interested: bool) {
        self.tell(link, Command::Interest(interested));
    }

    /// At most so many unanswered requests to this peer (its `reqq`), under our own limit.
    pub fn set_request_limit(&self, link: u32, requests: u32) {
        self.tell(link, Command::RequestLimit(requests));
    }

    /// A pair of rates that links may share, without limits at first.
    pub fn create_rate_class(&self) -> u32 {
        let mut registry = self.core.registry.lock();
        registry.last_rate_class += 1;
        let id = registry.last_rate_class;
        registry.rate_classes.insert(id, Arc::default());
        id
    }

    /// Bytes a second, 0 for no limit: all that goes over the wire counts, with the headers of its packets. Links that
    /// wait learn of it at once.
    pub fn set_rate_class(&self, rate_class: u32, upload: u64, download: u64) {
        let registry = self.core.registry.lock();
        let Some(class) = registry.rate_classes.get(&rate_class) else { return };
        let now = self.core.context.start.elapsed();
        class.upload.set_rate(upload, now);
        class.download.set_rate(download, now);
        registry.links.values().for_each(|link| link.notify.notify_one());
    }

    /// Forgets a class; links that are in it go on without its limits.
    pub fn drop_rate_class(&self, rate_class: u32) {
        self.set_rate_class(rate_class, 0, 0);
        self.core.registry.lock().rate_classes.remove(&rate_class);
    }

    /// The classes that a link is in from now on, [`crate::RATE_CLASSES`] at most: none has no limits. Unknown ones are
    /// passed over.
    pub fn set_link_rate_classes(&self, link: u32, rate_classes: &[u32]) {
        let registry = self.core.registry.lock();
        let Some(link) = registry.links.get(&link) else { return };
        let classes = rate_classes.iter().take(crate::RATE_CLASSES);
        let classes = classes.filter_map(|id| registry.rate_classes.get(id).map(Arc::clone)).collect();
        link.tell(Command::RateClasses(classes));
    }

    /// The peer lost a piece (BEP 54): its bitmap is reported anew.
    pub fn forget_have(&self, link: u32, piece: u32) {
        self.tell(link, Command::ForgetHave(piece));
    }

    /// Queues `[first, end)` of a piece's blocks behind what is queued; blocks that are had are skipped. False: no
    /// such link, piece or blocks, no store yet, too much queued, or no memory for another piece.
    pub fn fetch(&self, link: u32, piece: u32, first: u32, end: u32) -> bool {
        let Some((shared, store)) = self.link_and_store(link) else { return false };
        let geometry = store.0.geometry();
        let Some(index) = geometry.piece(piece).filter(|index| store.0.can_judge(*index)) else {
            return false;
        };
        if first >= end || end > geometry.block_count(index) {
            return false;
        }
        let queued = shared.queued_blocks.load(Ordering::Relaxed);
        if queued.saturating_add(end - first) > self.core.context.limits.queued_blocks {
            return false;
        }
        let wanted = || store.0.wanted_blocks(index, first..end);
        let Ok(wanted) = wanted().or_else(|_| {
            self.make_room();
            wanted()
        }) else {
            return false;
        };
        shared.queued_blocks.fetch_add(wanted.len() as u32, Ordering::Relaxed);
        shared.tell(Command::Fetch { piece, first, end, wanted });
        true
    }

    /// Takes blocks off a link's queue, and takes requests back. They are not reported any more.
    pub fn cancel(&self, link: u32, piece: u32, first: u32, end: u32) {
        self.tell(link, Command::Cancel { piece, first, end });
    }

    /// Queues an extension message; false: no such link, or its queue is full, and then it closes as `flood`.
    pub fn send_extension(&self, link: u32, id: u8, payload: Vec<u8>) -> bool {
        let registry = self.core.registry.lock();
        let Some(shared) = registry.links.get(&link) else { return false };
        let bytes = shared.extension_out.fetch_add(payload.len(), Ordering::Relaxed) + payload.len();
        if payload.len() > crate::framing::EXTENSION_BYTES || bytes > self.core.context.limits.out_bytes / 2 {
            shared.tell(Command::Close(CloseReason::Flood));
            return false;
        }
        shared.tell(Command::Extension { id, payload });
        true
    }

    /// Tells every peer of a torrent that we have the piece: also those that have it, who thus learn when we
    /// are complete and of no more use to them.
    pub fn announce_have(&self, torrent: u32, piece: u32) {
        let registry = self.core.registry.lock();
        let Some(torrent) = registry.torrents.get(&torrent) else { return };
        for link in torrent.links.iter().filter_map(|id| registry.links.get(id)) {
            link.tell(Command::Have(piece));
        }
    }

    /// Asks a peer for v2 hashes (BEP 52). Returns the pieces whose hashes will come; `None`: no such link or piece, they
    /// are known or cannot be had, or too much is asked of this peer already.
    pub fn request_hashes(&self, link: u32, piece: u32, of: HashesOf) -> Option<Range<u32>> {
        let (shared, store) = self.link_and_store(link)?;
        let index = store.0.geometry().piece(piece)?;
        let (span, pieces) = match of {
            HashesOf::Pieces => store.0.hash_span(index)?,
            HashesOf::Leaves => (store.0.leaf_span(index)?, piece..piece + 1),
        };
        if shared.hash_requests.fetch_add(1, Ordering::Relaxed) >= ASKED {
            shared.hash_requests.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        shared.tell(Command::AskHashes { span, piece: index, of });
        Some(pieces)
    }

    /// Shows a piece to one peer, which may ask for it from now on: what a link that hides what we have is for.
    pub fn show_piece(&self, link: u32, piece: u32) {
        self.tell(link, Command::Show(piece));
    }

    /// Suggests a piece (BEP 6).
    pub fn suggest(&self, link: u32, piece: u32) {
        self.tell(link, Command::Suggest(piece));
    }

    /// Gives pieces to a peer though we choke it, each once (BEP 6).
    pub fn allow_fast(&self, link: u32, pieces: Vec<u32>) {
        self.tell(link, Command::AllowFast(pieces));
    }

    /// Takes what happened since the last call.
    pub fn drain(&self) -> (Drained, Vec<Datagram>) {
        let drained = self.core.context.outbox.drain();
        let datagrams = self.udp.lock().as_ref().map(Udp::drain).unwrap_or_default();
        (drained, datagrams)
    }

    /// Asks a tracker over UDP; false when nothing is bound, or see [`Udp::ask_tracker`].
    pub fn ask_udp_tracker(&self, to: SocketAddr, request: Vec<u8>) -> bool {
        self.udp.lock().as_ref().is_some_and(|udp| udp.ask_tracker(to, request))
    }

    /// Answers of trackers over UDP since the last call.
    pub fn drain_trackers(&self) -> Vec<Datagram> {
        self.udp.lock().as_ref().map(Udp::drain_trackers).unwrap_or_default()
    }

    /// Begins a request for a short answer over HTTP, or one that cannot begin; its number is in its outcome.
    pub fn http_get(&self, request: Result<HttpGet, HttpError>) -> u32 {
        match request {
            Ok(request) => self.http.start(self.runtime.handle(), request),
            Err(error) => self.http.fail(error),
        }
    }

    /// Ends a request; no outcome of it comes any more.
    pub fn cancel_http(&self, job: u32) {
        self.http.cancel(job);
    }

    /// Outcomes of requests since the last call.
    pub fn drain_http(&self) -> Vec<HttpOutcome> {
        self.http.drain()
    }

    /// Counters since the start.
    pub fn counters(&self) -> &Counters {
        &self.core.context.counters
    }

    /// Links now, whatever their state.
    pub fn links(&self) -> usize {
        self.core.registry.lock().links.len()
    }

    /// Memory of blocks on their way to peers, over all links.
    pub fn batch_bytes(&self) -> u64 {
        self.core.context.batches.used_bytes()
    }

    /// Bytes of pieces that are not whole yet.
    pub fn assembly_bytes(&self) -> u64 {
        self.core.budget.used()
    }

    /// First half of closing: no new sockets, no more events. Does not wait.
    pub fn begin_close(&self) {
        self.closed.store(true, Ordering::Release);
        self.core.context.outbox.close();
    }

    /// Ends all links and joins the threads, at most `bound` long, and writes the good pieces that still wait.
    /// Idempotent.
    pub fn close(&self, bound: Duration) {
        self.begin_close();
        if self.core.context.utp.lock().take().is_some() {
            // The kernel tells TCP's peers that we are gone; uTP's hear it from their links.
            for link in self.core.registry.lock().links.values() {
                link.tell(Command::Close(CloseReason::Ours("shutdown".to_owned())));
            }
            std::thread::sleep(UTP_FAREWELL.min(bound));
        }
        *self.udp.lock() = None;
        self.runtime.close(bound);
        for store in self.core.stores() {
            // Who cares for what is lost at the very end flushes the store before.
            let _ = store.0.flush();
        }
        *self.core.registry.lock() = Registry::default();
    }

    /// Makes room for a piece: those that only peers now gone (or lying) had would stop every torrent of the process,
    /// and good ones may wait to be written by a store that gets no more of them.
    fn make_room(&self) {
        let idle = self.core.context.limits.piece_idle;
        self.core.stores().iter().for_each(|store| store.0.abandon_idle(idle));
        self.core.context.judge_waiting();
        self.core.write_out(Duration::ZERO);
    }

    fn link_and_store(&self, link: u32) -> Option<(Arc<LinkShared>, Arc<StoreRef>)> {
        let registry = self.core.registry.lock();
        let shared = registry.links.get(&link)?;
        let torrent = registry.torrents.get(&shared.torrent.load(Ordering::Acquire))?;
        Some((Arc::clone(shared), torrent.store.clone()?))
    }

    fn tell(&self, link: u32, command: Command) {
        if let Some(link) = self.core.registry.lock().links.get(&link) {
            link.tell(command);
        }
    }

    fn check_open(&self) -> Result<(), NetError> {
        if self.closed.load(Ordering::Acquire) { Err(NetError::Closed) } else { Ok(()) }
    }
}

impl Core {
    /// The store, its unfinished pieces charged to the common budget.
    fn charged(&self, store: Arc<Store>) -> Arc<StoreRef> {
        store.set_budget(Arc::clone(&self.budget));
        store.set_hot_cache(&self.hot);
        Arc::new(StoreRef(store))
    }

    /// Tells TypeScript when the torrent's files fail.
    fn heed_faults(&self, torrent: u32, store: &Arc<Store>) {
        let (outbox, weak) = (Arc::clone(&self.context.outbox), Arc::downgrade(store));
        store.on_fault(move || {
            if let Some(fault) = weak.upgrade().and_then(|store| store.fault()) {
                outbox.push_fault(TorrentFault { torrent, fault });
            }
        });
    }

    fn stores(&self) -> Vec<Arc<StoreRef>> {
        self.registry.lock().torrents.values().filter_map(|torrent| torrent.store.clone()).collect()
    }

    /// Writes good pieces that have waited for `age`, on workers.
    fn write_out(&self, age: Duration) {
        for store in self.stores().into_iter().filter(|store| store.0.has_unwritten()) {
            // What cannot be written is a fault of the store.
            self.context.handle.spawn_blocking(move || store.0.flush_older_than(age));
        }
    }

    async fn accept_all(self: Arc<Self>, listener: TcpListener) {
        // While all places are taken the kernel keeps those who come: a crowd of honest peers loses nobody, and what
        // holds a place holds it for seconds only.
        while self.context.half_open_in.acquire().await.is_ok() {
            match listener.accept().await {
                // Whoever cannot be told to send at once is gone.
                Ok((stream, address)) => {
                    if stream.set_nodelay(true).is_ok() {
                        self.take_in(Stream::tcp(stream), address.into());
                    }
                }
                // Out of descriptors, or the peer was gone already: the listener itself is sound.
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    /// Ends with the UDP socket.
    async fn accept_all_utp(self: Arc<Self>, utp: Arc<Utp>) {
        while let Ok((connection, address)) = utp.accept().await {
            self.take_in(Stream::utp(connection), address.into());
        }
    }

    fn take_in(self: &Arc<Self>, stream: Stream, address: Endpoint) {
        let mut registry = self.registry.lock();
        let limits = &self.context.limits;
        let places = match stream.transport() {
            Transport::Utp => &self.context.half_open_utp,
            Transport::Tcp | Transport::Http => &self.context.half_open_in,
        };
        // One host that opens connections and says nothing must leave places for others.
        let crowded = places.available_permits() <= limits.half_open / 2 && {
            let same = |link: &&Arc<LinkShared>| {
                link.address.is_same_host(&address) && link.torrent.load(Ordering::Acquire) == 0
            };
            registry.links.values().filter(same).count() >= limits.half_open.div_ceil(2)
        };
        let full = crowded || registry.links.len() >= limits.links;
        let Some(place) = (!full).then(|| Arc::clone(places).try_acquire_owned().ok()).flatten() else {
            count(&self.context.counters.turned_away, 1);
            return;
        };
        registry.last_link += 1;
        let id = registry.last_link;
        let link = LinkShared::new(id, 0, address, Arc::clone(&self.context.outbox));
        registry.links.insert(id, Arc::clone(&link));
        drop(registry);
        let farewell = Farewell::new(self, &link);
        let context = Arc::clone(&self.context);
        self.context.handle.spawn(async move {
            let reason = connect::incoming(context, link, stream, place).await;
            farewell.say(reason);
        });
    }

    fn forget(&self, link: &Arc<LinkShared>, reason: CloseReason) {
        let mut registry = self.registry.lock();
        registry.links.remove(&link.id);
        let torrent = link.torrent.load(Ordering::Acquire);
        if let Some(torrent) = registry.torrents.get_mut(&torrent) {
            torrent.links.remove(&link.id);
        }
        drop(registry);
        count(&self.context.counters.closed, 1);
        link.queued_blocks.store(0, Ordering::Relaxed);
        link.set_waiting(false);
        link.update(|record| record.close_reason = Some(reason));
    }
}

/// Pieces that nobody wants to write yet are written all the same: a crash of the process should cost seconds of work.
async fn write_out_regularly(core: Weak<Core>) {
    loop {
        tokio::time::sleep(WRITE_TICK).await;
        let Some(core) = core.upgrade() else { return };
        core.write_out(core.context.limits.write_behind_age);
    }
}

/// Takes a link out of the registry when its task ends, however it ends.
struct Farewell {
    core: Arc<Core>,
    link: Arc<LinkShared>,
    reason: CloseReason,
}

impl Farewell {
    fn new(core: &Arc<Core>, link: &Arc<LinkShared>) -> Self {
        let reason = CloseReason::Ours("internal".to_owned());
        Self { core: Arc::clone(core), link: Arc::clone(link), reason }
    }

    fn say(mut self, reason: CloseReason) {
        self.reason = reason;
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        self.core.forget(&self.link, self.reason.clone());
    }
}
