//! The one object of the process that owns the network threads, its sockets and its torrents.

use crate::batch::BatchPool;
use crate::context::{Context, Counters};
use crate::docket::Docket;
use crate::encryption::{Encryption, EncryptionPolicy};
use crate::events::{Drained, Outbox};
use crate::limits::{CloseReason, Limits};
use crate::message::{BLOCK_BYTES, PIECE_HEADER_BYTES};
use crate::registry::{Core, Registry, Torrent, write_out_regularly};
use crate::shared::Command;
use blockswarm_net::{
    ANONYMOUS_USER_AGENT, AddressFilter, AddressRanges, Connector, Datagram, HttpDialer, HttpError, HttpGet,
    HttpJobs, HttpLimits, HttpOutcome, I2pAddress, LocalNetwork, NetError, Onion, OnionOptions, ProxyFault,
    Runtime, RuntimeOptions, USER_AGENT, Udp, UdpLimits,
};
use blockswarm_pieces::{Budget, HotCache, Store};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Peers whose v2 leaves are hashed at a time: the workers are for our own pieces first.
const HASH_ANSWERS: usize = 2;

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
    pub(crate) core: Arc<Core>,
    pub(crate) runtime: Runtime,
    udp: Mutex<Option<Udp>>,
    onion: Mutex<Option<Arc<Onion>>>,
    http: HttpJobs,
    local_network: LocalNetwork,
    pub(crate) closed: AtomicBool,
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
        let outbox = Arc::clone(&core.context.outbox);
        let direct = core.context.connector.is_direct();
        let local_network = LocalNetwork::new(runtime.handle(), direct, move || outbox.wake());
        if let Some(i2p) = core.context.connector.as_i2p() {
            let weak = Arc::downgrade(&core);
            let lost = move || {
                if let Some(core) = weak.upgrade() {
                    core.close_all(&CloseReason::Proxy);
                }
            };
            runtime.handle().spawn(Arc::clone(i2p).keep(lost));
            runtime.handle().spawn(Arc::clone(&core).accept_all_i2p(Arc::clone(i2p)));
        }
        let (udp, onion, closed) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
        Ok(Self { core, runtime, udp, onion, http, local_network, closed })
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

    /// Addresses that are not met, and how often that mattered.
    pub fn address_filter(&self) -> &AddressFilter {
        &self.core.context.connector.filter
    }

    /// From now on these are not met: see [`AddressFilter::set`]. Links with them end.
    pub fn block_addresses(&self, blocked: AddressRanges, allowed: AddressRanges) {
        let filter = self.address_filter();
        filter.set(blocked, allowed);
        for link in self.core.registry.lock().links.values() {
            if link.address.ip().is_some_and(|ip| filter.blocks(ip, &filter.ended)) {
                link.tell(Command::Close(CloseReason::Blocked));
            }
        }
    }

    /// Where peers meet us in I2P, while they can.
    pub fn i2p_address(&self) -> Option<I2pAddress> {
        self.core.context.connector.as_i2p()?.address()
    }

    /// The keys of our destination in I2P, once there is one: a secret.
    pub fn i2p_keys(&self) -> Option<String> {
        self.core.context.connector.as_i2p()?.keys()
    }

    /// Begins to keep an onion service that leads to a listener of ours.
    pub fn keep_onion(&self, options: OnionOptions) {
        let onion = Arc::new(Onion::default());
        self.runtime.handle().spawn(Arc::clone(&onion).keep(options));
        *self.onion.lock() = Some(onion);
    }

    /// The onion service, when there shall be one.
    pub fn onion(&self) -> Option<Arc<Onion>> {
        self.onion.lock().clone()
    }

    /// What is wrong with the proxy, as long as nothing went through it since.
    pub fn proxy_fault(&self) -> Option<ProxyFault> {
        self.core.context.connector.health().and_then(|health| health.fault())
    }

    /// Multicast groups and the gateway.
    pub fn local_network(&self) -> &LocalNetwork {
        &self.local_network
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
            self.core.close_all(&CloseReason::Ours("shutdown".to_owned()));
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

    fn check_open(&self) -> Result<(), NetError> {
        if self.closed.load(Ordering::Acquire) { Err(NetError::Closed) } else { Ok(()) }
    }
}
