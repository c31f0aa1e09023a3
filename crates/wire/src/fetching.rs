//! What is asked of one peer: ranges of blocks in the order TypeScript gave them, requests on their way, and how many
//! of those there should be. Pure: no socket, no store; the clock comes in.
//!
//! A range is reported once, when its last block is settled: as finished or as rejected, or in parts when its blocks
//! fared differently; cancelled blocks are not reported. On a link whose peer chokes us nothing waits but what it
//! allows all the same (BEP 6): it is rejected at once.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// Requests on their way when nothing is known of the peer yet: half a MiB, which a fast peer has sent within a round
/// trip, and a slow one within seconds.
const START_DEPTH: u32 = 32;
/// Beyond what the peer's rate needs: it does not idle when its rate grows.
const SPARE_DEPTH: u32 = 16;
/// How much of the peer's rate is kept on its way: twice its latency, but never less than lets it rest between bursts
/// (a disk's seek, a bucket's refill), nor more than a peer deserves that answers late.
const AHEAD: RangeInclusive<Duration> = Duration::from_millis(500)..=Duration::from_secs(5);
/// Room for a quarter of the requests is waited for before more are asked: a request of 17 bytes in a packet of its own
/// costs either side a system call for each block.
const REFILL_PART: usize = 4;
/// Cancelled blocks that may still come. An honest peer has no more under way than it was asked for.
const LATE: usize = 1_024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BlockState {
    /// Not reported.
    Cancelled,
    Waiting,
    Asked,
    InHand,
    Rejected,
}

#[derive(Debug)]
struct Range {
    id: u64,
    piece: u32,
    first: u32,
    blocks: Vec<BlockState>,
    /// No block before this one waits.
    next: usize,
    /// Blocks that wait or are asked.
    unsettled: u32,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    piece: u32,
    block: u32,
    range: u64,
    at: Instant,
}

/// A block that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// Asked for: say with [`Fetching::settle`] what became of it.
    Asked(Ticket),
    /// Asked for and then cancelled: may be kept, is not reported.
    Late,
    /// Never asked for.
    Unsolicited,
}

/// An asked block on its way into the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    range: u64,
    block: u32,
}

/// Settled ranges, as flat triples `piece, first block, end block`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// In hand.
    pub finished: Vec<u32>,
    /// Not coming from this peer.
    pub rejected: Vec<u32>,
}

/// The state of fetching over one link.
#[derive(Debug)]
pub struct Fetching {
    ranges: VecDeque<Range>,
    next_range: u64,
    asked: VecDeque<Asked>,
    late: VecDeque<(u32, u32)>,
    settled: Settled,
    /// Blocks settled or cancelled since [`Fetching::take_released`].
    released: u32,
    depth: u32,
    most: u32,
    starting: bool,
    /// More is asked until all of the depth is used.
    is_refilling: bool,
    /// The shortest wait for a block: a round trip and the peer's own delay, without the queue that we make.
    latency: Option<Duration>,
    bytes: u64,
    last_rate: u64,
    measured_at: Instant,
}

impl Fetching {
    /// Nothing asked; at most `most` requests on their way.
    pub fn new(most: u32, now: Instant) -> Self {
        Self {
            ranges: VecDeque::new(),
            next_range: 0,
            asked: VecDeque::new(),
            late: VecDeque::new(),
            settled: Settled::default(),
            released: 0,
            depth: START_DEPTH.min(most.max(1)),
            most: most.max(1),
            starting: true,
            is_refilling: true,
            latency: None,
            bytes: 0,
            last_rate: 0,
            measured_at: now,
        }
    }

    /// The peer takes no more than so many requests (`reqq`).
    pub fn set_most(&mut self, most: u32) {
        self.most = most.max(1);
        self.depth = self.depth.min(self.most);
    }

    /// Requests on their way.
    pub fn asked(&self) -> usize {
        self.asked.len()
    }

    /// Whether anything is asked or waits.
    pub fn is_idle(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Takes what was settled since the last call.
    pub fn take_settled(&mut self) -> Option<Settled> {
        let any = !self.settled.finished.is_empty() || !self.settled.rejected.is_empty();
        any.then(|| std::mem::take(&mut self.settled))
    }

    /// How many of the blocks given to [`Fetching::add`] have left since the last call.
    pub fn take_released(&mut self) -> u32 {
        std::mem::take(&mut self.released)
    }

    /// Queues `[first, end)` of a piece, of which only `wanted` (ascending, inside) are missing.
    pub fn add(&mut self, piece: u32, first: u32, end: u32, wanted: &[u32]) {
        let mut blocks = vec![BlockState::InHand; end.saturating_sub(first) as usize];
        let mut unsettled = 0;
        for block in wanted {
            if let Some(state) = block.checked_sub(first).and_then(|at| blocks.get_mut(at as usize)) {
                *state = BlockState::Waiting;
                unsettled += 1;
            }
        }
        let range = Range { id: self.next_range, piece, first, blocks, next: 0, unsettled };
        self.next_range += 1;
        self.ranges.push_back(range);
        self.report();
    }

    /// The next block to ask for, while there is room on the way: `(piece, block)`.
    pub fn next_request(&mut self, now: Instant) -> Option<(u32, u32)> {
        let depth = self.depth as usize;
        self.is_refilling |= self.asked.len() <= depth - depth / REFILL_PART;
        self.is_refilling &= self.asked.len() < depth;
        if !self.is_refilling {
            return None;
        }
        for range in &mut self.ranges {
            while let Some(state) = range.blocks.get_mut(range.next) {
                let block = range.first + range.next as u32;
                range.next += 1;
                if *state == BlockState::Waiting {
                    *state = BlockState::Asked;
                    self.asked.push_back(Asked { piece: range.piece, block, range: range.id, at: now });
                    return Some((range.piece, block));
                }
            }
        }
        None
    }

    /// Whether a block that came was asked for.
    pub fn arrived(&mut self, piece: u32, block: u32, bytes: usize, now: Instant) -> Arrival {
        if let Some(asked) = self.take_asked(piece, block) {
            self.bytes += bytes as u64;
            let waited = now.saturating_duration_since(asked.at);
            self.latency = Some(self.latency.map_or(waited, |latency| latency.min(waited)));
            if self.starting {
                self.depth = (self.depth + 1).min(self.most);
            }
            return Arrival::Asked(Ticket { range: asked.range, block });
        }
        match self.late.iter().position(|late| *late == (piece, block)) {
            Some(at) => {
                self.late.remove(at);
                Arrival::Late
            }
            None => Arrival::Unsolicited,
        }
    }

    /// Says what became of an asked block: in hand, or of no use.
    pub fn settle(&mut self, ticket: Ticket, in_hand: bool) {
        let state = if in_hand { BlockState::InHand } else { BlockState::Rejected };
        self.set_state(ticket.range, ticket.block, state);
        self.report();
    }

    /// The peer will not send a block; false when it was not asked for.
    pub fn rejected(&mut self, piece: u32, block: u32) -> bool {
        if let Some(asked) = self.take_asked(piece, block) {
            self.set_state(asked.range, block, BlockState::Rejected);
            self.report();
            return true;
        }
        let before = self.late.len();
        self.late.retain(|late| *late != (piece, block));
        self.late.len() < before
    }

    /// The peer chokes us. With the fast extension it answers every request still; without, they are void. What waits is
    /// rejected, but for the pieces `allowed` although it chokes.
    pub fn choked(&mut self, fast: bool, allowed: &[u32]) {
        if !fast {
            let asked = std::mem::take(&mut self.asked);
            for Asked { piece, block, range, .. } in asked {
                self.set_state(range, block, BlockState::Rejected);
                self.expect_late(piece, block);
            }
        }
        for range in self.ranges.iter_mut().filter(|range| !allowed.contains(&range.piece)) {
            for state in range.blocks.iter_mut().filter(|state| **state == BlockState::Waiting) {
                *state = BlockState::Rejected;
                range.unsettled = range.unsettled.saturating_sub(1);
                self.released += 1;
            }
        }
        self.report();
    }

    /// Takes `[first, end)` of a piece off the queue; returns the blocks whose requests are to be cancelled.
    pub fn cancel(&mut self, piece: u32, first: u32, end: u32) -> Vec<u32> {
        for range in self.ranges.iter_mut().filter(|range| range.piece == piece) {
            for (block, state) in (range.first..).zip(&mut range.blocks) {
                if (first..end).contains(&block) && matches!(state, BlockState::Waiting | BlockState::Asked) {
                    *state = BlockState::Cancelled;
                    range.unsettled = range.unsettled.saturating_sub(1);
                    self.released += 1;
                }
            }
        }
        let inside = |asked: &Asked| asked.piece == piece && (first..end).contains(&asked.block);
        let cancelled: Vec<u32> =
            self.asked.iter().filter(|asked| inside(asked)).map(|asked| asked.block).collect();
        self.asked.retain(|asked| !inside(asked));
        for block in &cancelled {
            self.expect_late(piece, *block);
        }
        self.report();
        cancelled
    }

    /// Adapts the number of requests on their way to the peer's rate and latency. Call about once a second.
    pub fn measure(&mut self, now: Instant) {
        let passed_ms = now.saturating_duration_since(self.measured_at).as_millis() as u64;
        if passed_ms < 500 {
            return;
        }
        let rate = std::mem::take(&mut self.bytes).saturating_mul(1000) / passed_ms;
        self.measured_at = now;
        if self.ranges.is_empty() {
            return;
        }
        // Growth by one a block doubles it in a round trip; that ends when more requests bring no more bytes.
        if self.starting && rate > 0 && rate < self.last_rate + self.last_rate / 10 {
            self.starting = false;
        }
        if !self.starting {
            let ahead = (2 * self.latency.unwrap_or_default()).clamp(*AHEAD.start(), *AHEAD.end());
            let bytes = rate.saturating_mul(ahead.as_millis() as u64) / 1000;
            let blocks = u32::try_from(bytes / u64::from(crate::message::BLOCK_BYTES)).unwrap_or(u32::MAX);
            let depth = blocks.saturating_add(SPARE_DEPTH);
            self.depth = depth.min(self.most);
        }
        self.last_rate = rate;
    }

    fn take_asked(&mut self, piece: u32, block: u32) -> Option<Asked> {
        // Peers answer in order nearly always: found at the front.
        let at = self.asked.iter().position(|asked| asked.piece == piece && asked.block == block)?;
        self.asked.remove(at)
    }

    fn set_state(&mut self, id: u64, block: u32, settled: BlockState) {
        let Some(range) = self.ranges.iter_mut().find(|range| range.id == id) else { return };
        let at = block.checked_sub(range.first).map(|at| at as usize);
        if let Some(state) = at.and_then(|at| range.blocks.get_mut(at))
            && *state == BlockState::Asked
        {
            *state = settled;
            range.unsettled = range.unsettled.saturating_sub(1);
            self.released += 1;
        }
    }

    fn expect_late(&mut self, piece: u32, block: u32) {
        if self.late.len() >= LATE {
            self.late.pop_front();
        }
        self.late.push_back((piece, block));
    }

    /// Moves ranges without an unsettled block into the report, as the longest runs of one outcome.
    fn report(&mut self) {
        let settled = &mut self.settled;
        self.ranges.retain(|range| {
            if range.unsettled > 0 {
                return true;
            }
            let mut start = range.first;
            for run in range.blocks.chunk_by(|a, b| a == b) {
                let end = start + run.len() as u32;
                match run.first() {
                    Some(BlockState::InHand) => settled.finished.extend([range.piece, start, end]),
                    Some(BlockState::Rejected) => settled.rejected.extend([range.piece, start, end]),
                    _ => {}
                }
                start = end;
            }
            false
        });
    }
}

#[cfg(test)]
#[path = "fetching_test.rs"]
mod tests;
