//! A web seed (BEP 19) as a link: a task that asks an HTTP server for ranges of a torrent's files and keeps the blocks in
//! them. To TypeScript it is a peer that has everything, never chokes and wants nothing.

use crate::context::{Context, count};
use crate::events::Opened;
use crate::fetching::{Arrival, Fetching};
use crate::limits::CloseReason;
use crate::message::BLOCK_BYTES;
use crate::pace::Pace;
use crate::peer_pieces::clear_bit;
use crate::shared::{Command, LinkShared, Transport};
use crate::web_seed_run::{RUN_BYTES, Run};
use blockswarm_net::{HttpClient, HttpError, HttpUrl, Reach};
use blockswarm_pieces::{BlockWrite, Store};
use std::convert::Infallible;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Blocks on their way: those of the longest run.
const MOST: u32 = (RUN_BYTES / BLOCK_BYTES as u64) as u32;
/// A cancelled rest of this length is taken rather than dialled anew for.
const DRAIN_BYTES: u64 = 256 * 1024;
const BUSY_TICK: Duration = Duration::from_secs(1);
const QUIET_TICK: Duration = Duration::from_secs(30);
/// Of the synthetic peer id; the link's number follows.
const PEER_ID: &[u8; 10] = b"-BSWEB1-  ";

/// Where a torrent's bytes are to be had over HTTP.
#[derive(Clone)]
pub struct WebSeed {
    /// The file itself, or what the files' paths are put behind.
    pub url: String,
    /// For each file as the torrent lists it (padding included): its path, escaped. Empty for a single file at `url`.
    pub paths: Vec<String>,
    /// Where it may lead.
    pub reach: Reach,
}

pub(crate) struct WebSeedLink {
    context: Arc<Context>,
    shared: Arc<LinkShared>,
    store: Arc<Store>,
    seed: WebSeed,
    fetching: Fetching,
    run: Run,
    /// Asked for, and not in the run because it does not follow it.
    held: Option<(u32, u32)>,
    /// Pieces of files that the server has; `None`: all of them.
    pieces: Option<Vec<u8>>,
    pace: Pace,
    tick_at: Instant,
    moved_bytes: u64,
}

/// Dials, and runs the link to its end.
pub(crate) async fn run(
    context: Arc<Context>,
    shared: Arc<LinkShared>,
    store: Arc<Store>,
    seed: WebSeed,
) -> CloseReason {
    let mut client = HttpClient::new(Arc::clone(&context.http), seed.reach);
    let (now, pace) = (Instant::now(), Pace::new(&shared.address));
    let mut link = WebSeedLink {
        fetching: Fetching::new(MOST, now.into_std()),
        context,
        shared,
        store,
        seed,
        run: Run::default(),
        held: None,
        pieces: None,
        pace,
        tick_at: now,
        moved_bytes: 0,
    };
    match link.turns(&mut client).await {
        Err(reason) => reason,
        Ok(never) => match never {},
    }
}

impl WebSeedLink {
    async fn turns(&mut self, client: &mut HttpClient) -> Result<Infallible, CloseReason> {
        let first = self.store.geometry().files().first().map_or(0, |file| file.entry);
        let url = self.url(first)?;
        let dialled = {
            let context = Arc::clone(&self.context);
            let dialling = async {
                let _permit = context.half_open_out.acquire().await.map_err(|_| CloseReason::Full)?;
                client.connect(&url).await.map_err(|error| closed(&error))
            };
            self.unless_closed(dialling).await?
        };
        dialled?;
        count(&self.context.counters.opened, 1);
        let opened = Opened {
            peer_id: peer_id(self.shared.id),
            reserved: [0; 8],
            info_hash: [0; 20],
            encrypted: url.origin().tls,
            transport: Transport::Http,
        };
        self.shared.update(|record| {
            record.opened = Some(opened);
            (record.peer_choking, record.have_all) = (false, true);
        });
        let shared = Arc::clone(&self.shared);
        let mut tick = pin!(sleep_until(self.tick_at));
        loop {
            self.obey()?;
            self.plan();
            self.report();
            if Instant::now() >= self.tick_at {
                self.tick();
            }
            if tick.deadline() != self.tick_at {
                tick.as_mut().reset(self.tick_at);
            }
            // A body has to end also when all its blocks are there.
            if self.run.is_empty() && !client.is_receiving() {
                tokio::select! {
                    () = shared.notify.notified() => {}
                    () = tick.as_mut() => {}
                }
                continue;
            }
            if self.run.left() > DRAIN_BYTES && !self.run.is_wanted() {
                client.abandon();
                self.run = Run::default();
                continue;
            }
            if !client.is_receiving() {
                self.ask(client).await?;
                continue;
            }
            if let Err(at) = self.pace.may_receive(Instant::now() - self.context.start) {
                count(&self.context.counters.paced, 1);
                tokio::select! {
                    () = sleep_until(self.context.start + at) => {}
                    () = shared.notify.notified() => {}
                    () = tick.as_mut() => {}
                }
                continue;
            }
            let chunk = tokio::select! {
                chunk = client.chunk() => chunk,
                () = shared.notify.notified() => continue,
                () = tick.as_mut() => continue,
            };
            if let Some(data) = chunk.map_err(|error| closed(&error))? {
                self.pace.received(data.len());
                let mut run = std::mem::take(&mut self.run);
                run.take(&data, |piece, block, data| self.keep(piece, block, data));
                self.run = run;
            }
        }
    }

    /// Asks for the next range of the run.
    async fn ask(&mut self, client: &mut HttpClient) -> Result<(), CloseReason> {
        let mut run = std::mem::take(&mut self.run);
        let part = run.next_part(|piece, block, data| self.keep(piece, block, data));
        self.run = run;
        let Some((number, range)) = part else { return Ok(()) };
        let Some(file) = self.store.geometry().files().get(number).copied() else { return Ok(()) };
        let url = self.url(file.entry)?;
        let asking = client.get(&url, range, file.length);
        match self.unless_closed(asking).await? {
            Ok(()) => Ok(()),
            // One file is not there; others may be.
            Err(HttpError::Status { status: 403 | 404 | 410, .. }) if self.lose_file(number) => Ok(()),
            Err(error) => {
                self.shared.update(|record| record.retry_after = error.retry_after());
                Err(closed(&error))
            }
        }
    }

    /// The server lacks a file: its pieces are not had. False when nothing is left.
    fn lose_file(&mut self, file: usize) -> bool {
        let geometry = self.store.geometry();
        let Range { start, end } = geometry.pieces_of(file);
        let pieces = geometry.piece_count();
        let bits = self.pieces.get_or_insert_with(|| {
            let mut bits = vec![0xff; pieces.div_ceil(8) as usize];
            (pieces..pieces.next_multiple_of(8)).for_each(|spare| clear_bit(&mut bits, spare));
            bits
        });
        (start..end).for_each(|piece| clear_bit(bits, piece));
        if bits.iter().all(|byte| *byte == 0) {
            return false;
        }
        let bitmap = bits.clone();
        self.shared.update(|record| {
            record.have_all = false;
            record.set_bitmap(bitmap);
        });
        for (piece, block) in std::mem::take(&mut self.run).blocks() {
            self.fetching.rejected(piece, block);
        }
        true
    }

    /// Fills the run with blocks that lie next to each other.
    fn plan(&mut self) {
        if !self.run.is_empty() {
            return;
        }
        let now = Instant::now().into_std();
        while let Some((piece, block)) = self.held.take().or_else(|| self.fetching.next_request(now)) {
            if !self.has(piece) {
                self.fetching.rejected(piece, block);
            } else if !self.run.push(self.store.geometry(), piece, block) {
                if self.run.is_empty() {
                    self.fetching.rejected(piece, block);
                    continue;
                }
                self.held = Some((piece, block));
                break;
            }
        }
        if self.fetching.asked() > 0 && !self.shared.is_waiting() {
            self.shared.set_waiting(true);
        }
    }

    fn has(&self, piece: u32) -> bool {
        let bit = |bits: &Vec<u8>| {
            bits.get(piece as usize / 8).is_some_and(|byte| byte & (0x80 >> (piece % 8)) != 0)
        };
        self.pieces.as_ref().is_none_or(bit)
    }

    fn obey(&mut self) -> Result<(), CloseReason> {
        for command in self.shared.commands() {
            match command {
                Command::Close(reason) => return Err(reason),
                Command::Fetch { piece, first, end, wanted } => {
                    self.fetching.add(piece, first, end, &wanted);
                    self.tick_at = self.tick_at.min(Instant::now() + BUSY_TICK);
                }
                Command::Cancel { piece, first, end } => {
                    let cancelled = self.fetching.cancel(piece, first, end);
                    self.run.cancel(piece, &cancelled);
                    self.held = self.held.filter(|held| held.0 != piece || !cancelled.contains(&held.1));
                }
                Command::RateClasses(classes) => self.pace.set_classes(classes),
                // A server neither hears nor says anything else.
                _ => {}
            }
        }
        Ok(())
    }

    fn keep(&mut self, piece: u32, block: u32, data: &[u8]) {
        let Some(index) = self.store.geometry().piece(piece) else { return };
        let arrival = self.fetching.arrived(piece, block, data.len(), Instant::now().into_std());
        let bytes = data.len() as u64;
        self.shared.downloaded.fetch_add(bytes, Ordering::Relaxed);
        count(&self.context.counters.downloaded_bytes, bytes);
        let written = self.store.write_block(index, block * BLOCK_BYTES, data, u64::from(self.shared.id));
        match written {
            BlockWrite::Stored => {}
            BlockWrite::Duplicate | BlockWrite::NotWanted => {
                count(&self.context.counters.wasted_bytes, bytes);
            }
            BlockWrite::Hashable => self.context.hash_arrived(Arc::clone(&self.store), index),
            BlockWrite::Completed => {
                let torrent = self.shared.torrent.load(Ordering::Acquire);
                self.context.finish_piece(torrent, Arc::clone(&self.store), index);
            }
        }
        if let Arrival::Asked(ticket) = arrival {
            self.fetching.settle(ticket, written != BlockWrite::NotWanted);
            self.shared.set_waiting(self.fetching.asked() > 0);
        }
    }

    fn report(&mut self) {
        let released = self.fetching.take_released();
        if released > 0 {
            self.shared.queued_blocks.fetch_sub(released, Ordering::Relaxed);
        }
        if self.fetching.asked() == 0 {
            self.shared.set_waiting(false);
        }
        if let Some(settled) = self.fetching.take_settled() {
            self.shared.update(|record| {
                record.finished.extend(settled.finished);
                record.rejected.extend(settled.rejected);
            });
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        self.tick_at = now + if self.fetching.is_idle() { QUIET_TICK } else { BUSY_TICK };
        self.fetching.measure(now.into_std());
        let downloaded = self.shared.downloaded.load(Ordering::Relaxed);
        if downloaded != self.moved_bytes || self.shared.is_waiting() {
            self.moved_bytes = downloaded;
            self.shared.update(|_| ());
        }
    }

    /// Where the file is, by its number in the torrent's list.
    fn url(&self, entry: usize) -> Result<HttpUrl, CloseReason> {
        let WebSeed { url, paths, .. } = &self.seed;
        let path = paths.get(entry).map_or("", String::as_str);
        HttpUrl::parse(&format!("{url}{path}")).map_err(|error| closed(&error))
    }

    /// Waits, obeying and reporting meanwhile.
    async fn unless_closed<T>(&mut self, work: impl Future<Output = T>) -> Result<T, CloseReason> {
        let shared = Arc::clone(&self.shared);
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = work.as_mut() => return Ok(done),
                () = shared.notify.notified() => self.obey()?,
                () = sleep_until(self.tick_at), if self.fetching.asked() > 0 => self.tick(),
            }
            self.report();
        }
    }
}

fn closed(error: &HttpError) -> CloseReason {
    CloseReason::Http(error.code().into_owned())
}

/// One that no other link has: two links with the same are taken for one peer.
fn peer_id(link: u32) -> [u8; 20] {
    let mut id = [b'0'; 20];
    let digits = format!("{link:010}");
    for (to, from) in id.iter_mut().zip(PEER_ID.iter().chain(digits.as_bytes())) {
        *to = *from;
    }
    id
}
