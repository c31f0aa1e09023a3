//! One open connection: a task that reads, obeys, serves, fetches and writes, and never waits for the disk, nor for
//! the peer to read while the peer's own bytes wait.

use crate::context::{Context, count};
use crate::fetching::Fetching;
use crate::framing::{Decoder, FrameError};
use crate::grants::{Grants, Named, Shown};
use crate::handshake::Handshake;
use crate::limits::CloseReason;
use crate::message::Message;
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

/// Room to receive while blocks are expected: eight of them.
const FETCH_ROOM: usize = 128 * 1024;
/// Reads in a row before the link looks at what it has to send.
const READS: usize = 8;
/// Bytes written in a row before it looks at what has come.
const WRITE_BYTES: usize = 1024 * 1024;
/// Output memory kept between bursts.
const OUT_KEPT: usize = 16 * 1024;
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
    pub(crate) unsolicited: u32,
    pub(crate) control: TokenBucket,
    start: Instant,
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
            fetching: Fetching::new(context.limits.requests_out, now.into_std()),
            control: TokenBucket::new(burst, refill, Duration::ZERO),
            context,
            shared,
            stream,
            decoder,
            out: Vec::new(),
            out_written: 0,
            out_sealed: 0,
            store: None,
            peer: PeerPieces::new(None),
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
            if tick.deadline() != self.tick_at {
                tick.as_mut().reset(self.tick_at);
            }
            let interest =
                if self.blocked { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
            tokio::select! {
                ready = self.stream.ready(interest) => drop(ready.map_err(|_| CloseReason::Reset)?),
                () = self.shared.notify.notified() => {}
                () = tick.as_mut() => {}
                done = finished(&mut self.disk) => {
                    self.disk = None;
                    let done = done.map_err(|_| CloseReason::Ours("internal".to_owned()))?;
                    if let Some(span) = self.serving.disk_done(done) {
                        self.unreadable(span);
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
        if self.out.len() - self.out_written > self.context.limits.out_bytes {
            // The peer makes us answer and does not read the answers.
            return Err(CloseReason::Flood);
        }
        Ok(more_in || more_out)
    }

    fn receive(&mut self) -> Result<bool, CloseReason> {
        let mut decoder = std::mem::take(&mut self.decoder);
        let mut more = true;
        for _ in 0..READS {
            match self.stream.try_read(decoder.spare()) {
                Ok(0) => return Err(CloseReason::Reset),
                Ok(bytes) => {
                    decoder.filled(bytes);
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
        self.blocked = false;
        let mut written = 0;
        while written < WRITE_BYTES {
            let from_batch = self.out_written == self.out.len() || self.serving.has_begun();
            if self.stream.is_sealed() {
                self.seal(from_batch);
            }
            let control = self.out.get(self.out_written..).unwrap_or_default();
            let bytes = if from_batch { self.serving.pending() } else { control };
            if bytes.is_empty() {
                if self.fill() {
                    continue;
                }
                return Ok(false);
            }
            match self.stream.try_write(bytes) {
                Ok(count) => {
                    written += count;
                    self.sent_at = self.now;
                    self.wrote(count, from_batch);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
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
            self.shared.uploaded.fetch_add(payload, Ordering::Relaxed);
            count(&self.context.counters.uploaded_bytes, payload);
            return;
        }
        self.out_written += bytes;
        if self.out_written == self.out.len() {
            self.out.clear();
            self.out.shrink_to(OUT_KEPT);
            (self.out_written, self.out_sealed) = (0, 0);
        }
    }

    /// Gets the next batch; false when there is none now.
    fn fill(&mut self) -> bool {
        let Some(store) = &self.store else { return false };
        match self.serving.fill(store) {
            Filled::Nothing => false,
            Filled::Ready => true,
            Filled::Disk(read) => {
                let store = Arc::clone(store);
                count(&self.context.counters.disk_reads, 1);
                self.disk = Some(self.context.handle.spawn_blocking(move || read.run(&store)));
                false
            }
            Filled::Failed(span) => {
                self.unreadable(span);
                true
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
        if self.now - self.sent_at >= limits.keep_alive {
            Message::KeepAlive.write(&mut self.out);
        }
        let quiet = QUIET_TICK.min(limits.idle_timeout / 4).min(limits.keep_alive / 4);
        let fetching = !self.fetching.is_idle();
        let busy = fetching || !self.serving.is_idle();
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

async fn finished(disk: &mut Option<JoinHandle<DiskDone>>) -> Result<DiskDone, JoinError> {
    match disk {
        Some(reading) => reading.await,
        None => std::future::pending().await,
    }
}
