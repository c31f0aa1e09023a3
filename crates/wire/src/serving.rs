//! Blocks for one peer: requests wait in a queue, whole batches are read straight behind their headers and go out in
//! one write. A read that would wait for the disk is handed to a worker; the network thread never waits.

use crate::batch::{BatchBuffer, BatchPool};
use crate::message::{PIECE_HEADER_BYTES, Span, piece_header};
use blockswarm_pieces::{NowRead, Store};
use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::sync::Arc;

/// Places for requests that a link keeps though nothing is asked for.
const QUEUE_KEPT: usize = 32;

/// Bytes of a block on the wire.
fn wire_bytes(span: &Span) -> usize {
    PIECE_HEADER_BYTES + span.length as usize
}

/// Where a block starts in the torrent.
fn offset(store: &Store, span: &Span) -> u64 {
    u64::from(span.piece) * u64::from(store.geometry().piece_length()) + u64::from(span.begin)
}

/// What [`Serving::fill`] found.
#[derive(Debug)]
pub enum Filled {
    /// Nothing is asked for, or a batch is on its way already.
    Nothing,
    /// There is something to write.
    Ready,
    /// The disk is needed: run it on a worker, then [`Serving::disk_done`].
    Disk(DiskRead),
    /// This one cannot be read. When a part of it is on the wire, the link cannot go on: [`Serving::is_broken`].
    Failed(Span),
}

/// A batch that a worker fills.
#[derive(Debug)]
pub struct DiskRead {
    buffer: BatchBuffer,
    requests: Vec<Span>,
}

impl DiskRead {
    /// Reads, waiting for the disk, up to the first request that fails.
    pub fn run(mut self, store: &Store) -> DiskDone {
        let mut rest = self.buffer.bytes_mut();
        let mut count = 0;
        for request in &self.requests {
            let Some((slot, after)) = slot(rest, request) else { break };
            rest = after;
            if store.read_exact_at(offset(store, request), slot).is_err() {
                break;
            }
            count += 1;
        }
        DiskDone { read: self, count }
    }
}

/// A batch that a worker has filled as far as it could.
#[derive(Debug)]
pub struct DiskDone {
    read: DiskRead,
    /// Requests that were read; the one behind them could not be.
    count: usize,
}

/// The requests of one peer and the batch on its way.
#[derive(Debug)]
pub struct Serving {
    /// Found right: they lie in servable pieces.
    queue: VecDeque<Span>,
    pool: Arc<BatchPool>,
    buffer: Option<BatchBuffer>,
    /// What the batch answers.
    batch: Vec<Span>,
    /// Bytes of the batch, and of those the ones that are written.
    filled: usize,
    written: usize,
    /// Bytes of the first request in the queue that are on the wire already: the rest must follow.
    resume: usize,
    /// The batch is sealed.
    begun: bool,
    /// A worker has the batch.
    reading: bool,
}

impl Serving {
    /// Nothing asked for.
    pub fn new(pool: Arc<BatchPool>) -> Self {
        Self {
            queue: VecDeque::new(),
            pool,
            buffer: None,
            batch: Vec::new(),
            filled: 0,
            written: 0,
            resume: 0,
            begun: false,
            reading: false,
        }
    }

    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Whether nothing waits and nothing is on its way.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.filled == 0 && !self.reading
    }

    /// Whether there is something to write, or to read for that.
    pub fn has_work(&self) -> bool {
        self.filled > 0 || (!self.queue.is_empty() && !self.reading)
    }

    /// Whether a part of a batch is written, or all of it sealed: it must follow.
    pub fn has_begun(&self) -> bool {
        self.written > 0 || self.resume > 0 || self.begun
    }

    /// A request that failed had a part of it on the wire.
    pub fn is_broken(&self) -> bool {
        self.resume > 0 && !self.reading && self.filled == 0
    }

    /// Lets the batch be sealed for the wire, in place and once.
    pub fn begin(&mut self, seal: impl FnOnce(&mut [u8])) {
        if self.begun || self.filled == 0 {
            return;
        }
        let bytes = self.buffer.as_mut().map(BatchBuffer::bytes_mut).unwrap_or_default();
        seal(bytes.get_mut(..self.filled).unwrap_or_default());
        self.begun = true;
    }

    /// Queues a request that was found right.
    pub fn push(&mut self, span: Span) {
        self.queue.push_back(span);
    }

    /// Takes a request back; false when it is not waiting any more.
    pub fn cancel(&mut self, span: Span) -> bool {
        let on_the_wire = usize::from(self.resume > 0);
        let at = self.queue.iter().skip(on_the_wire).position(|request| *request == span);
        at.is_some_and(|at| self.queue.remove(at + on_the_wire).is_some())
    }

    /// Takes waiting requests back, all but those to be kept.
    pub fn drop_all(&mut self, keep: impl Fn(&Span) -> bool) -> Vec<Span> {
        let on_the_wire = usize::from(self.resume > 0).min(self.queue.len());
        let mut dropped = Vec::from(self.queue.split_off(on_the_wire));
        self.queue.extend(dropped.extract_if(.., |span| keep(span)));
        dropped
    }

    /// What is to be written now; empty when no batch is on its way.
    pub fn pending(&self) -> &[u8] {
        let bytes = self.buffer.as_ref().map(BatchBuffer::bytes).unwrap_or_default();
        bytes.get(self.written..self.filled).unwrap_or_default()
    }

    /// `bytes` of the pending ones are written. Returns the payload bytes of a batch that is out now.
    pub fn wrote(&mut self, bytes: usize) -> u64 {
        self.written += bytes;
        if self.written < self.filled {
            return 0;
        }
        (self.filled, self.written, self.begun) = (0, 0, false);
        if self.queue.is_empty() {
            self.buffer = None;
            // A peer that asks again will need the room again; one that rests needs none.
            self.queue.shrink_to(QUEUE_KEPT);
        }
        self.batch.drain(..).map(|span| u64::from(span.length)).sum()
    }

    /// Gives the batch's memory back while the peer takes nothing: what is left of it is read again later. A sealed
    /// batch stays. Returns the payload bytes of requests that are out.
    pub fn release(&mut self) -> u64 {
        if self.begun {
            return 0;
        }
        self.buffer = None;
        if self.filled == 0 {
            return 0;
        }
        let out = self.batch.iter().scan(self.written, |left, span| {
            *left = left.checked_sub(wire_bytes(span))?;
            Some(span)
        });
        let out = out.count();
        let (done, rest) = self.batch.split_at(out);
        self.resume = self.written - done.iter().map(wire_bytes).sum::<usize>();
        for span in rest.iter().rev() {
            self.queue.push_front(*span);
        }
        let payload = done.iter().map(|span| u64::from(span.length)).sum();
        self.batch = Vec::new();
        (self.filled, self.written) = (0, 0);
        payload
    }

    /// Reads the next batch from memory, or says that a worker must. More than `at_most` bytes are one block.
    pub fn fill(&mut self, store: &Store, at_most: usize) -> Filled {
        let Some(first) = self.queue.front().filter(|_| self.filled == 0 && !self.reading) else {
            return Filled::Nothing;
        };
        let first = wire_bytes(first);
        let mut buffer = self.buffer.take().filter(|buffer| buffer.bytes().len() >= first);
        let mut buffer = buffer.take().unwrap_or_else(|| self.pool.take(first));
        let room = at_most.max(first).min(buffer.bytes().len());
        let mut most = usize::MAX;
        while let Some(count) = self.run_length(store, room - self.filled) {
            let count = count.min(most);
            let bytes = buffer.bytes_mut().get_mut(self.filled..).unwrap_or_default();
            match read_run(store, bytes, self.queue.iter().take(count)) {
                Ok(NowRead::Done) => {
                    for span in self.queue.drain(..count) {
                        self.filled += wire_bytes(&span);
                        self.batch.push(span);
                    }
                }
                // What is in hand goes out first; the rest is asked again after it.
                _ if self.filled > 0 => break,
                Ok(NowRead::WouldBlock) => {
                    self.reading = true;
                    return Filled::Disk(DiskRead { buffer, requests: self.queue.drain(..count).collect() });
                }
                // One of them: its neighbours are asked for alone.
                Err(_) if count > 1 => most = 1,
                Err(_) => {
                    self.buffer = Some(buffer);
                    let failed = self.queue.pop_front();
                    return failed.map_or(Filled::Nothing, Filled::Failed);
                }
            }
        }
        self.buffer = Some(buffer);
        self.written = std::mem::take(&mut self.resume);
        Filled::Ready
    }

    /// The worker is back; what it could not read. What was behind that is read again.
    pub fn disk_done(&mut self, done: DiskDone) -> Option<Span> {
        let DiskDone { read: DiskRead { buffer, mut requests }, count } = done;
        self.reading = false;
        self.buffer = Some(buffer);
        let rest = requests.split_off(count.min(requests.len()));
        self.filled = requests.iter().map(wire_bytes).sum();
        self.batch = requests;
        if self.filled > 0 {
            self.written = std::mem::take(&mut self.resume);
        }
        let (failed, behind) = rest.split_first()?;
        for span in behind.iter().rev() {
            self.queue.push_front(*span);
        }
        Some(*failed)
    }

    /// How many requests from the front lie one behind the other and fit `room`.
    fn run_length(&self, store: &Store, mut room: usize) -> Option<usize> {
        let mut end = offset(store, self.queue.front()?);
        let fits = |span: &&Span| {
            let start = offset(store, span);
            let follows = start == end;
            end = start + u64::from(span.length);
            let left = room.checked_sub(wire_bytes(span));
            room = left.unwrap_or(0);
            follows && left.is_some()
        };
        let count = self.queue.iter().take_while(fits).count();
        (count > 0).then_some(count)
    }
}

/// Writes a request's header and gives the room for its bytes, and the room behind.
fn slot<'a>(room: &'a mut [u8], span: &Span) -> Option<(&'a mut [u8], &'a mut [u8])> {
    let Span { piece, begin, length } = *span;
    let (header, rest) = room.split_at_mut_checked(PIECE_HEADER_BYTES)?;
    header.copy_from_slice(&piece_header(piece, begin, length));
    rest.split_at_mut_checked(length as usize)
}

/// One read for a run of neighbours.
fn read_run<'a>(store: &Store, room: &mut [u8], run: impl Iterator<Item = &'a Span>) -> io::Result<NowRead> {
    let mut slices = Vec::with_capacity(16);
    let (mut rest, mut start) = (room, None);
    for span in run {
        let Some((bytes, after)) = slot(rest, span) else { break };
        slices.push(IoSliceMut::new(bytes));
        rest = after;
        start = start.or_else(|| Some(offset(store, span)));
    }
    start.map_or(Ok(NowRead::Done), |start| store.read_now(start, &mut slices))
}

#[cfg(test)]
#[path = "serving_test.rs"]
mod tests;
