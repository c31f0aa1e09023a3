//! One open connection: a task that reads, obeys, serves, fetches and writes, and never waits for the disk, nor for
//! the peer to read while the peer's own bytes wait.

use crate::context::{Context, count};
use crate::fetching::Fetching;
use crate::framing::{Decoder, FrameError};
use crate::grants::{Grants, Named, Shown};
use crate::handshake::Handshake;
use crate::hash_asking::HashAsking;
use crate::hash_serving::HashServing;
use crate::limits::CloseReason;
use crate::message::Message;
use crate::pace::Pace;
use crate::peer_pieces::PeerPieces;
use crate::serving::{DiskDone, Filled, Serving};
use crate::shared::{Command, Hello, LinkShared, StoreRef};
use crate::stream::Stream;
use blockswarm_net::TokenBucket;
use blockswarm_pieces::Store;
use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::Interest;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep_until};

/// Requests that a peer is taken to queue while its `reqq` is not known.
const UNSAID_REQUESTS: u32 = 250;
/// Room to receive while blocks are expected: eight of them.
const FETCH_ROOM: usize = 128 * 1024;
/// Reads in a row before the link looks at what it has to send.
const READS: usize = 8;
/// Bytes written in a row before it looks at what has come.
const WRITE_BYTES: usize = 512 * 1024;
/// Output memory kept between bursts.
const OUT_KEPT: usize = 2 * 1024;
const BUSY_TICK: Duration = Duration::from_secs(1);
const QUIET_TICK: Duration = Duration::from_secs(5);

/// A connection after its handshakes.
pub(crate) struct Start {
    pub(crate) stream: Stream,
    /// Holds what the peer sent behind its handshake.
    pub(crate) decoder: Decoder,
    pub(crate) theirs: Handshake,
    pub(crate) hello: Hello,
    pub(crate) store: Option<Arc<StoreRef>>,
    /// Told before the link was open.
    pub(crate) commands: Vec<Command>,
}

#[expect(clippy::struct_excessive_bools, reason = "BEP 3 has four flags, BEP 6 and 10 one each")]
pub(crate) struct Link {
    pub(crate) context: Arc<Context>,
    pub(crate) shared: Arc<LinkShared>,
    stream: Stream,
    pub(crate) decoder: Decoder,
    /// Framed and not yet written, blocks excepted.
    pub(crate) out: Vec<u8>,
    out_written: usize,
    /// Of `out`, what is fit for the wire.
    out_sealed: usize,
    pub(crate) store: Option<Arc<Store>>,
    pub(crate) peer: PeerPieces,
    pub(crate) serving: Serving,
    pub(crate) fetching: Fetching,
    pub(crate) hash_serving: HashServing,
    pub(crate) hash_asking: HashAsking,
    disk: Option<JoinHandle<DiskDone>>,
    early_commands: Vec<Command>,
    /// Both sides speak BEP 6.
    pub(crate) fast: bool,
    pub(crate) extensions: bool,
    /// We choke the peer.
    pub(crate) choking: bool,
    /// We want something of the peer.
    pub(crate) interested: bool,
    /// The peer chokes us.
    pub(crate) peer_choking: bool,
    /// What of ours it is shown.
    pub(crate) shown: Shown,
    /// What it gets though we choke it.
    pub(crate) grants: Grants,
    /// What we get though it chokes us.
    pub(crate) allowed_fast: Named,
    pub(crate) suggested: Named,
    /// The socket takes no more for now.
    blocked: bool,
    /// Since it takes none, the batch was let go.
    released: bool,
    pub(crate) pace: Pace,
    /// When the rates let something through again, for each direction in which something waits for that.
    send_at: Option<Instant>,
    receive_at: Option<Instant>,
    pub(crate) unsolicited: u32,
    pub(crate) control: TokenBucket,
    pub(crate) start: Instant,
    /// When the current turn began: read once a turn.
    pub(crate) now: Instant,
    received_at: Instant,
    sent_at: Instant,
    tick_at: Instant,
    moved_bytes: u64,
}

impl Link {
    pub(crate) fn new(context: Arc<Context>, shared: Arc<LinkShared>, start: Start) -> Self {
        let Start { stream, decoder, theirs, hello, store, commands } = start;
        let now = Instant::now();
        let (burst, refill) = context.limits.control;
        count(&context.counters.opened, 1);
        let mut link = Self {
            serving: Serving::new(Arc::clone(&context.batches)),
            fetching: Fetching::new(context.limits.requests_out.min(UNSAID_REQUESTS), now.into_std()),
            control: TokenBucket::new(burst, refill, Duration::ZERO),
            pace: Pace::new(&shared.address),
            released: false,
            send_at: None,
            receive_at: None,
            hash_serving: HashServing::new(context.limits.hashed_kib),
            context,
            shared,
            stream,
            decoder,
            out: Vec::new(),
            out_written: 0,
            out_sealed: 0,
            store: None,
            peer: PeerPieces::new(None),
            hash_asking: HashAsking::default(),
            disk: None,
            early_commands: commands,
            fast: theirs.reserved.fast(),
            extensions: theirs.reserved.extensions(),
            choking: true,
            interested: false,
            peer_choking: true,
            shown: Shown::new(hello.hide_have),
            grants: Grants::default(),
            allowed_fast: Named::default(),
            suggested: Named::default(),
            blocked: false,
            unsolicited: 0,
            start: now,
            now,
            received_at: now,
            sent_at: now,
            tick_at: now,
            moved_bytes: 0,
        };
        link.greet(&hello, store);
        if let Some(port) = hello.dht_port.filter(|_| theirs.reserved.dht()) {
            Message::Port(port).write(&mut link.out);
        }
        link
    }

    /// The first messages: the extension handshake, then what we have. libtorrent, Transmission and aria2 send them
    /// in this order too.
    fn greet(&mut self, hello: &Hello, store: Option<Arc<StoreRef>>) {
        if self.extensions {
            Message::Extended { id: 0, payload: &hello.extension_handshake }.write(&mut self.out);
        }
        if let Some(store) = store {
            let pieces = store.0.geometry().piece_count();
            self.peer = PeerPieces::new(Some(pieces));
            self.decoder.set_bitfield_bytes(pieces.div_ceil(8) as usize);
            let servable = store.0.servable();
            match if self.shown.is_all() { servable.count() } else { 0 } {
                all if all == pieces && self.fast => Message::HaveAll.write(&mut self.out),
                0 if self.fast => Message::HaveNone.write(&mut self.out),
                0 => {}
                _ => Message::Bitfield(&servable.to_bytes()).write(&mut self.out),
            }
            self.store = Some(Arc::clone(&store.0));
        } else if self.fast {
            Message::HaveNone.write(&mut self.out);
        }
    }

    /// Runs until the link ends, and says why it did.
    pub(crate) async fn run(mut self) -> CloseReason {
        match self.turns().await {
            Err(reason) => reason,
            Ok(never) => match never {},
        }
    }

    async fn turns(&mut self) -> Result<Infallible, CloseReason> {
        let mut tick = pin!(sleep_until(self.tick_at));
        // What came right behind the handshake.
        let mut decoder = std::mem::take(&mut self.decoder);
        self.understand(&mut decoder)?;
        self.decoder = decoder;
        loop {
            if self.turn()? {
                tokio::task::yield_now().await;
                continue;
            }
            let due = [self.send_at, self.receive_at].into_iter().flatten().fold(self.tick_at, Instant::min);
            if tick.deadline() != due {
                tick.as_mut().reset(due);
            }
            let reads = self.receive_at.is_none().then_some(Interest::READABLE);
            let writes = self.blocked.then_some(Interest::WRITABLE);
            tokio::select! {
                ready = ready(&self.stream, reads, writes) => drop(ready.map_err(|_| CloseReason::Reset)?),
                () = self.shared.notify.notified() => {}
                () = tick.as_mut() => {}
                answer = self.hash_serving.answer() => self.answered_hashes(answer.as_deref()),
                done = finished(&mut self.disk) => {
                    self.disk = None;
                    let done = done.map_err(|_| CloseReason::Ours("internal".to_owned()))?;
                    if let Some(span) = self.serving.disk_done(done) {
                        self.unreadable(span)?;
                    }
                }
            }
        }
    }

    /// Does what can be done without waiting; true when there may be more of it.
    fn turn(&mut self) -> Result<bool, CloseReason> {
        self.now = Instant::now();
        for command in std::mem::take(&mut self.early_commands) {
            self.obey(command)?;
        }
        for command in self.shared.commands() {
            self.obey(command)?;
        }
        let more_in = self.receive()?;
        self.request_blocks();
        self.report_blocks();
        if self.now >= self.tick_at {
            self.tick()?;
        }
        let more_out = self.send()?;
        if self.out_backlog() > self.context.limits.out_bytes {
            // The peer makes us answer and does not read the answers.
            return Err(CloseReason::Flood);
        }
        // What was written has made room for answers.
        let unsent = self.out_backlog();
        self.serve_hashes();
        Ok(more_in || more_out || self.out_backlog() > unsent)
    }

    fn receive(&mut self) -> Result<bool, CloseReason> {
        let mut decoder = std::mem::take(&mut self.decoder);
        let mut more = true;
        self.receive_at = None;
        for _ in 0..READS {
            let room = match self.pace.may_receive(self.now - self.context.start) {
                Ok(room) => room,
                Err(at) => {
                    count(&self.context.counters.paced, 1);
                    self.receive_at = Some(self.context.start + at);
                    // It is we who do not listen.
                    self.received_at = self.now;
                    more = false;
                    break;
                }
            };
            let spare = decoder.spare();
            let room = room.min(spare.len());
            match self.stream.try_read(spare.get_mut(..room).unwrap_or_default()) {
                Ok(0) => return Err(CloseReason::Reset),
                Ok(bytes) => {
                    decoder.filled(bytes);
                    self.pace.received(bytes);
                    self.received_at = self.now;
                    self.understand(&mut decoder)?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    more = false;
                    break;
                }
                Err(_) => return Err(CloseReason::Reset),
            }
        }
        self.decoder = decoder;
        Ok(more)
    }

    fn understand(&mut self, decoder: &mut Decoder) -> Result<(), CloseReason> {
        loop {
            match decoder.next_message() {
                Ok(Some(message)) => self.hear(message)?,
                Ok(None) => return Ok(()),
                Err(FrameError::TooLong) => return Err(CloseReason::TooLong),
                Err(FrameError::BadLength) => return Err(CloseReason::BadMessage),
            }
        }
    }

    /// Writes what the socket takes: a batch once begun goes out whole before anything else.
    fn send(&mut self) -> Result<bool, CloseReason> {
        let was_blocked = std::mem::take(&mut self.blocked);
        self.send_at = None;
        if self.released {
            // Nothing is read for a peer that still takes nothing.
            if matches!(self.stream.try_write(&[]), Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
                self.blocked = true;
                return Ok(false);
            }
            self.released = false;
        }
        let mut written = 0;
        while written < WRITE_BYTES {
            if !self.has_something_to_send() {
                return Ok(false);
            }
            let room = match self.pace.may_send(self.now - self.context.start) {
                Ok(room) => room,
                Err(at) => {
                    count(&self.context.counters.paced, 1);
                    self.send_at = Some(self.context.start + at);
                    return Ok(false);
                }
            };
            let from_batch = self.out_written == self.out.len() || self.serving.has_begun();
            if self.stream.is_sealed() {
                self.seal(from_batch);
            }
            let control = self.out.get(self.out_written..).unwrap_or_default();
            let bytes = if from_batch { self.serving.pending() } else { control };
            if bytes.is_empty() {
                if self.fill(room)? {
                    continue;
                }
                return Ok(false);
            }
            match self.stream.try_write(bytes) {
                Ok(count) => {
                    written += count;
                    self.pace.sent(count);
                    self.sent_at = self.now;
                    self.wrote(count, from_batch);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    if !was_blocked {
                        // What was not sent before may have waited for our rates, not for the peer.
                        self.sent_at = self.now;
                    }
                    return Ok(false);
                }
                Err(_) => return Err(CloseReason::Reset),
            }
        }
        Ok(true)
    }

    /// What is to be written next, a whole batch or all control messages, in the order of the wire.
    fn seal(&mut self, from_batch: bool) {
        if from_batch {
            self.serving.begin(|batch| self.stream.seal(batch));
        } else {
            self.stream.seal(self.out.get_mut(self.out_sealed..).unwrap_or_default());
            self.out_sealed = self.out.len();
        }
    }

    fn wrote(&mut self, bytes: usize, from_batch: bool) {
        if from_batch {
            let payload = self.serving.wrote(bytes);
            self.uploaded(payload);
            return;
        }
        self.out_written += bytes;
        if self.out_written == self.out.len() {
            self.out.clear();
            self.out.shrink_to(OUT_KEPT);
            (self.out_written, self.out_sealed) = (0, 0);
        }
    }

    /// Bytes that wait to be written, blocks excepted.
    pub(crate) fn out_backlog(&self) -> usize {
        self.out.len() - self.out_written
    }

    fn uploaded(&self, payload: u64) {
        self.shared.uploaded.fetch_add(payload, Ordering::Relaxed);
        count(&self.context.counters.uploaded_bytes, payload);
    }

    fn has_something_to_send(&self) -> bool {
        self.out_written < self.out.len() || self.serving.has_work()
    }

    /// Gets the next batch, of about so many bytes at most; false when there is none now.
    fn fill(&mut self, at_most: usize) -> Result<bool, CloseReason> {
        let Some(store) = &self.store else { return Ok(false) };
        match self.serving.fill(store, at_most) {
            Filled::Nothing => Ok(false),
            Filled::Ready => Ok(true),
            Filled::Disk(read) => {
                let store = Arc::clone(store);
                count(&self.context.counters.disk_reads, 1);
                self.disk = Some(self.context.handle.spawn_blocking(move || read.run(&store)));
                Ok(false)
            }
            Filled::Failed(span) => {
                self.unreadable(span)?;
                Ok(true)
            }
        }
    }

    /// Looks soon at what the peer's rate is, and reports counters.
    pub(crate) fn hurry(&mut self) {
        self.tick_at = self.tick_at.min(self.now + BUSY_TICK);
    }

    /// Room for blocks that come, or for what a quiet peer says.
    pub(crate) fn expect_blocks(&mut self, expected: bool) {
        self.decoder.set_room(if expected { FETCH_ROOM } else { 0 });
    }

    fn tick(&mut self) -> Result<(), CloseReason> {
        let limits = &self.context.limits;
        if self.now - self.received_at >= limits.idle_timeout {
            return Err(CloseReason::Idle);
        }
        // A peer that talks but does not read would hold its batch's memory for ever.
        if self.blocked && self.now - self.sent_at >= limits.idle_timeout {
            return Err(CloseReason::Idle);
        }
        // Nor for longer than a second: what is left of the batch is read again when the peer goes on.
        if self.blocked && self.now - self.sent_at >= BUSY_TICK {
            let payload = self.serving.release();
            self.released = self.serving.has_begun() && self.serving.pending().is_empty();
            self.uploaded(payload);
        }
        if self.now - self.sent_at >= limits.keep_alive {
            Message::KeepAlive.write(&mut self.out);
        }
        let quiet = QUIET_TICK.min(limits.idle_timeout / 4).min(limits.keep_alive / 4);
        let fetching = !self.fetching.is_idle();
        let busy = fetching || !self.serving.is_idle() || !self.hash_serving.is_idle();
        self.tick_at = self.now + if busy { quiet.min(BUSY_TICK) } else { quiet };
        self.fetching.measure(self.now.into_std());
        self.expect_blocks(fetching);
        let moved =
            self.shared.uploaded.load(Ordering::Relaxed) + self.shared.downloaded.load(Ordering::Relaxed);
        if moved != self.moved_bytes || self.shared.is_waiting() {
            self.moved_bytes = moved;
            self.shared.update(|_| ());
        }
        Ok(())
    }

    /// Messages that are neither requests served nor blocks asked for.
    pub(crate) fn charge(&mut self, messages: u32) -> Result<(), CloseReason> {
        let passes = self.control.take(messages, self.now - self.start);
        if passes { Ok(()) } else { Err(CloseReason::Flood) }
    }
}

/// Waits for the socket; for ever when nothing of it is of interest.
async fn ready(stream: &Stream, reads: Option<Interest>, writes: Option<Interest>) -> io::Result<()> {
    match (reads, writes) {
        (Some(reads), Some(writes)) => stream.ready(reads | writes).await,
        (Some(interest), None) | (None, Some(interest)) => stream.ready(interest).await,
        (None, None) => std::future::pending().await,
    }
}

async fn finished(disk: &mut Option<JoinHandle<DiskDone>>) -> Result<DiskDone, JoinError> {
    match disk {
        Some(reading) => reading.await,
        None => std::future::pending().await,
    }
}
