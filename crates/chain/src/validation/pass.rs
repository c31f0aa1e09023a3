//! Some segments of a run over its threads.
use super::block_work::{BlockWork, Scratch};
use super::failure::{Failure, Stop, ValidationError};
use super::record::{Part, Record};
use super::{Progress, Tally};
use crate::headers::HeaderChain;
use crate::validate::Violation;
use crate::validate::bip30::Coinbases;
use parking_lot::Mutex;
use rayon::ThreadPool;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

/// Blocks that a thread takes at a time: few, so that all end together.
const CHUNK: u32 = 8;

/// How blocks are judged, and where that is kept.
pub(super) struct Pass<'a> {
    pub work: BlockWork<'a>,
    /// Below it only coinbases are looked at.
    pub first_height: u32,
    pub progress: &'a Progress,
    pub cancelled: &'a AtomicBool,
    pub record: &'a Record,
}

/// What one thread takes at a time.
pub(super) struct Chunk {
    segment: u32,
    heights: Range<u32>,
}

/// What a pass came to.
#[derive(Default)]
pub(super) struct Passed {
    /// The segments that were judged to their end.
    pub done: Vec<(u32, Tally)>,
    /// Of these and all others.
    pub new_inputs: u64,
    /// Those of before and of the blocks that were judged.
    pub coinbases: Coinbases,
    /// What ended it, at the lowest height.
    pub stop: Option<(u32, Stop)>,
}

#[derive(Default)]
struct Open {
    /// Chunks that are not done.
    chunks: u32,
    /// Of those that are.
    tally: Tally,
    heights: Range<u32>,
}

struct State {
    open: BTreeMap<u32, Open>,
    passed: Passed,
}

/// A pass on its threads.
struct Running<'a> {
    pass: &'a Pass<'a>,
    state: Mutex<State>,
    /// No block from there on needs to be judged any more.
    end: AtomicU32,
}

impl Pass<'_> {
    /// Judges chunks, which are taken in their order, up to a height.
    pub fn run(&self, pool: &ThreadPool, chunks: &[Chunk], end: u32, coinbases: Coinbases) -> Passed {
        let mut open: BTreeMap<u32, Open> = BTreeMap::new();
        for Chunk { segment, heights } in chunks {
            let Open { chunks, heights: all, .. } = open.entry(*segment).or_default();
            let first = if *chunks == 0 { heights.start } else { all.start };
            *all = first..heights.end;
            *chunks += 1;
        }
        let passed = Passed { coinbases, ..Passed::default() };
        let running =
            Running { pass: self, state: Mutex::new(State { open, passed }), end: AtomicU32::new(end) };
        let next = AtomicUsize::new(0);
        // One loop on each thread of the pool: what a block's scripts are split into is only taken by those that wait for
        // their own, or have no block left.
        pool.broadcast(|_| {
            let mut scratch = Scratch::default();
            while let Some(chunk) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
                if chunk.heights.start >= running.end.load(Ordering::Relaxed) {
                    break;
                }
                running.take(chunk, &mut scratch);
            }
        });
        running.state.into_inner().passed
    }
}

impl Running<'_> {
    fn take(&self, chunk: &Chunk, scratch: &mut Scratch) {
        let Pass { work, progress, record, .. } = self.pass;
        let mut tally = Tally::default();
        for height in chunk.heights.clone() {
            if self.pass.cancelled.load(Ordering::Relaxed) {
                return self.stop(0, ValidationError::Cancelled.into());
            }
            if height >= self.end.load(Ordering::Relaxed) {
                return;
            }
            let mut one = Tally::default();
            let judged = if height >= self.pass.first_height {
                work.judge(height, scratch, &mut one)
            } else {
                work.read_coinbase(height, scratch, &mut one)
            };
            if let Err(stop) = judged {
                return self.stop(height, stop);
            }
            progress.count(&one);
            tally.add(one);
        }
        let headers = work.chain.headers();
        let mut state = self.state.lock();
        if let Some(violation) = take_coinbases(&mut state.passed.coinbases, headers, &tally) {
            self.stop_at(&mut state, violation.height, Stop::Failure(Failure::of_violation(&violation)));
        }
        state.passed.new_inputs += tally.inputs;
        let Some(open) = state.open.get_mut(&chunk.segment) else { return };
        open.tally.add(tally);
        open.chunks -= 1;
        if open.chunks > 0 || chunk.heights.end <= self.pass.first_height {
            return;
        }
        let Some(whole) = state.open.remove(&chunk.segment) else { return };
        state.passed.done.push((chunk.segment, whole.tally.clone()));
        drop(state);
        record.keep(chunk.segment, &Part::of(headers, &whole.heights), &whole.tally);
        progress.segments.fetch_add(1, Ordering::Relaxed);
    }

    fn stop(&self, height: u32, stop: Stop) {
        self.stop_at(&mut self.state.lock(), height, stop);
    }

    /// The lowest height counts.
    fn stop_at(&self, state: &mut State, height: u32, stop: Stop) {
        if state.passed.stop.as_ref().is_none_or(|(lowest, _)| height < *lowest) {
            state.passed.stop = Some((height, stop));
            self.end.fetch_min(height, Ordering::Relaxed);
        }
    }
}

pub(super) fn chunks_of(segment: u32, heights: Range<u32>) -> impl Iterator<Item = Chunk> {
    let end = heights.end;
    heights
        .step_by(CHUNK as usize)
        .map(move |first| Chunk { segment, heights: first..end.min(first + CHUNK) })
}

/// The lowest coinbase of a tally that repeats one that was taken before.
pub(super) fn take_coinbases(
    coinbases: &mut Coinbases,
    headers: &HeaderChain,
    tally: &Tally,
) -> Option<Violation> {
    let repeated = tally.coinbases.iter().filter_map(|(height, txid)| {
        coinbases.insert(*height, &headers.hash_at(*height).unwrap_or_default(), txid).err()
    });
    repeated.min_by_key(|violation| violation.height)
}
