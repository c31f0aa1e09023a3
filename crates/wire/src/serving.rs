//! Blocks for one peer: requests wait in a queue, whole batches are read straight behind their headers and go out in
//! one write. A read that would wait for the disk is handed to a worker; the network thread never waits.

use crate::batch::{BatchBuffer, BatchPool};
use crate::message::{PIECE_HEADER_BYTES, Span, piece_header};
use blockswarm_pieces::{NowRead, Store};
use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::sync::Arc;

/// A request that was found right: its bytes lie at `offset` of the torrent.
#[derive(Debug, Clone, Copy)]
struct Request {
    span: Span,
    offset: u64,
}

impl Request {
    fn bytes(&self) -> usize {
        PIECE_HEADER_BYTES + self.span.length as usize
    }

    fn end(&self) -> u64 {
        self.offset + u64::from(self.span.length)
    }
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
    /// This one cannot be read.
    Failed(Span),
}

/// A batch that a worker fills.
#[derive(Debug)]
pub struct DiskRead {
    buffer: BatchBuffer,
    requests: Vec<Request>,
}

impl DiskRead {
    /// Reads, waiting for the disk, up to the first request that fails.
    pub fn run(mut self, store: &Store) -> DiskDone {
        let mut rest = self.buffer.bytes_mut();
        let mut count = 0;
        for request in &self.requests {
            let Some((slot, after)) = slot(rest, request) else { break };
            rest = after;
            if store.read_exact_at(request.offset, slot).is_err() {
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
    queue: VecDeque<Request>,
    pool: Arc<BatchPool>,
    buffer: Option<BatchBuffer>,
    /// Bytes of the batch, and of those the ones that are written.
    filled: usize,
    written: usize,
    payload: u64,
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
            filled: 0,
            written: 0,
            payload: 0,
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
        self.written > 0 || self.begun
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

    /// Queues a request that was found right; `offset` is where its bytes start in the torrent.
    pub fn push(&mut self, span: Span, offset: u64) {
        self.queue.push_back(Request { span, offset });
    }

    /// Takes a request back; false when it is not waiting any more.
    pub fn cancel(&mut self, span: Span) -> bool {
        let at = self.queue.iter().position(|request| request.span == span);
        at.is_some_and(|at| self.queue.remove(at).is_some())
    }

    /// Takes waiting requests back, all but those to be kept.
    pub fn drop_all(&mut self, keep: impl Fn(&Span) -> bool) -> Vec<Span> {
        let dropped: Vec<Span> =
            self.queue.iter().map(|request| request.span).filter(|span| !keep(span)).collect();
        self.queue.retain(|request| keep(&request.span));
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
        }
        std::mem::take(&mut self.payload)
    }

    /// Reads the next batch from memory, or says that a worker must. More than `at_most` bytes are one block.
    pub fn fill(&mut self, store: &Store, at_most: usize) -> Filled {
        let Some(first) = self.queue.front().filter(|_| self.filled == 0 && !self.reading) else {
            return Filled::Nothing;
        };
        let room = at_most.max(first.bytes());
        let mut buffer = self.buffer.take().unwrap_or_else(|| self.pool.take());
        let room = room.min(buffer.bytes().len());
        let mut most = usize::MAX;
        while let Some(count) = self.run_length(room - self.filled) {
            let count = count.min(most);
            let room = buffer.bytes_mut().get_mut(self.filled..).unwrap_or_default();
            match read_run(store, room, self.queue.iter().take(count)) {
                Ok(NowRead::Done) => {
                    for request in self.queue.drain(..count) {
                        self.filled += request.bytes();
                        self.payload += u64::from(request.span.length);
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
                    return failed.map_or(Filled::Nothing, |request| Filled::Failed(request.span));
                }
            }
        }
        self.buffer = Some(buffer);
        Filled::Ready
    }

    /// The worker is back; what it could not read. What was behind that is read again.
    pub fn disk_done(&mut self, done: DiskDone) -> Option<Span> {
        let DiskDone { read: DiskRead { buffer, requests }, count } = done;
        self.reading = false;
        self.buffer = Some(buffer);
        let (read, rest) = requests.split_at(count.min(requests.len()));
        self.filled = read.iter().map(Request::bytes).sum();
        self.payload = read.iter().map(|request| u64::from(request.span.length)).sum();
        let (failed, behind) = rest.split_first()?;
        for request in behind.iter().rev() {
            self.queue.push_front(*request);
        }
        Some(failed.span)
    }

    /// How many requests from the front lie one behind the other and fit `room`.
    fn run_length(&self, mut room: usize) -> Option<usize> {
        let mut end = self.queue.front()?.offset;
        let fits = |request: &&Request| {
            let follows = request.offset == end;
            end = request.end();
            let left = room.checked_sub(request.bytes());
            room = left.unwrap_or(0);
            follows && left.is_some()
        };
        let count = self.queue.iter().take_while(fits).count();
        (count > 0).then_some(count)
    }
}

/// Writes a request's header and gives the room for its bytes, and the room behind.
fn slot<'a>(room: &'a mut [u8], request: &Request) -> Option<(&'a mut [u8], &'a mut [u8])> {
    let Span { piece, begin, length } = request.span;
    let (header, rest) = room.split_at_mut_checked(PIECE_HEADER_BYTES)?;
    header.copy_from_slice(&piece_header(piece, begin, length));
    rest.split_at_mut_checked(length as usize)
}

/// One read for a run of neighbours.
fn read_run<'a>(
    store: &Store,
    room: &mut [u8],
    run: impl Iterator<Item = &'a Request>,
) -> io::Result<NowRead> {
    let mut slices = Vec::with_capacity(16);
    let (mut rest, mut offset) = (room, None);
    for request in run {
        let Some((bytes, after)) = slot(rest, request) else { break };
        slices.push(IoSliceMut::new(bytes));
        rest = after;
        offset = offset.or(Some(request.offset));
    }
    offset.map_or(Ok(NowRead::Done), |offset| store.read_now(offset, &mut slices))
}

#[cfg(test)]
#[path = "serving_test.rs"]
mod tests;
