//! All blocks of a run over its threads.
use super::block_work::{BlockWork, Scratch};
use super::coin_sets::CoinSets;
use super::failure::{Failure, Stop, ValidationError};
use super::record::Record;
use super::{MAX_THREADS, Plan, Progress, Tally};
use crate::chain_records::ChainRecords;
use crate::sums::Salt;
use crate::validate::EngineJudge;
use crate::validate::bip30::Coinbases;
use parking_lot::Mutex;
use rayon::ThreadPoolBuilder;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

/// Blocks that a thread takes at a time: few, so that all end together.
const CHUNK: u32 = 8;

/// The blocks of one plan.
pub(super) struct Run<'a> {
    work: BlockWork<'a>,
    heights: Range<u32>,
    interval: u32,
    threads: usize,
    progress: &'a Progress,
    cancelled: &'a AtomicBool,
    state: Mutex<State>,
    /// No block from there on needs to be judged any more.
    end: AtomicU32,
}

/// What one thread takes at a time.
struct Chunk {
    segment: u32,
    heights: Range<u32>,
}

#[derive(Default)]
struct State {
    /// Segments under way: chunks that are not done, and the tally of those that are.
    open: BTreeMap<u32, (u32, Tally)>,
    total: Tally,
    new_inputs: u64,
    coinbases: Coinbases,
    /// What ended the run, at the lowest height so far.
    stop: Option<(u32, Stop)>,
}

impl<'a> Run<'a> {
    pub fn new(
        chain: &'a dyn ChainRecords,
        plan: &Plan,
        heights: &Range<u32>,
        sums: Option<(&'a Salt, &'a CoinSets)>,
        progress: &'a Progress,
        cancelled: &'a Arc<AtomicBool>,
    ) -> Self {
        let scripts = plan.scripts.then(|| EngineJudge::new(Arc::clone(cancelled)));
        Self {
            work: BlockWork { chain, scripts, sums: sums.map(|(salt, sets)| (salt, sets.hints())) },
            heights: heights.clone(),
            interval: chain.headers().params().interval.max(1),
            threads: plan.threads.min(MAX_THREADS),
            progress,
            cancelled,
            state: Mutex::default(),
            end: AtomicU32::new(heights.end),
        }
    }

    /// Judges what is not done. What all blocks come to, the inputs judged now, and what is wrong.
    pub fn finish(
        &self,
        record: &Record,
        done: &BTreeMap<u32, Tally>,
    ) -> Result<(Tally, u64, Option<Failure>), ValidationError> {
        let segments = self.segments();
        let mut chunks = self.earlier_coinbases();
        for (segment, heights) in segments {
            if let Some(tally) = done.get(&segment) {
                self.count(tally);
                self.progress.segments.fetch_add(1, Ordering::Relaxed);
                let mut state = self.state.lock();
                self.take_coinbases(&mut state, tally);
                state.total.add(tally.clone());
                continue;
            }
            let of_segment: Vec<_> = chunks_of(segment, heights).collect();
            self.state.lock().open.insert(segment, (of_segment.len() as u32, Tally::default()));
            chunks.extend(of_segment);
        }
        let next = AtomicUsize::new(0);
        let pool = ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .thread_name(|n| format!("validate-{n}"))
            .build()
            .map_err(|error| ValidationError::Io {
                what: "threads".into(),
                cause: io::Error::other(error.to_string()),
            })?;
        // One loop on each thread of the pool: what a block's scripts are split into is only taken by those that wait for
        // their own, or have no block left.
        pool.broadcast(|_| {
            let mut scratch = Scratch::default();
            while let Some(chunk) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
                if chunk.heights.start >= self.end.load(Ordering::Relaxed) {
                    break;
                }
                self.take(chunk, &mut scratch, record);
            }
        });
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(ValidationError::Cancelled);
        }
        let State { total, new_inputs, stop, .. } = std::mem::take(&mut *self.state.lock());
        match stop {
            Some((_, Stop::Error(error))) => Err(error),
            Some((_, Stop::Failure(failure))) => Ok((total, new_inputs, Some(failure))),
            None => Ok((total, new_inputs, None)),
        }
    }

    /// The part of each segment that is to be judged.
    fn segments(&self) -> Vec<(u32, Range<u32>)> {
        let Range { start, end } = self.heights;
        let numbers = start / self.interval..end.div_ceil(self.interval);
        let heights = |segment: u32| {
            let first = segment * self.interval;
            first.max(start)..first.saturating_add(self.interval).min(end)
        };
        numbers.map(|segment| (segment, heights(segment))).collect()
    }

    /// Blocks below the first whose coinbases could be repeated by one that is judged.
    fn earlier_coinbases(&self) -> Vec<Chunk> {
        let params = self.work.chain.headers().params();
        let is_concerned = self.work.needs_coins() && Coinbases::counts(self.heights.start, params);
        let end = if is_concerned { self.heights.start.min(params.activations.bip34) } else { 0 };
        chunks_of(u32::MAX, 0..end).collect()
    }

    fn take(&self, chunk: &Chunk, scratch: &mut Scratch, record: &Record) {
        let mut tally = Tally::default();
        for height in chunk.heights.clone() {
            let is_judged = height >= self.heights.start;
            if self.cancelled.load(Ordering::Relaxed) {
                return self.stop(0, ValidationError::Cancelled.into());
            }
            if height >= self.end.load(Ordering::Relaxed) {
                return;
            }
            let mut one = Tally::default();
            let judged = if is_judged {
                self.work.judge(height, scratch, &mut one)
            } else {
                self.work.read_coinbase(height, scratch, &mut one)
            };
            if let Err(stop) = judged {
                return self.stop(height, stop);
            }
            self.count(&one);
            tally.add(one);
        }
        let mut state = self.state.lock();
        self.take_coinbases(&mut state, &tally);
        state.new_inputs += tally.inputs;
        let Some((left, sum)) = state.open.get_mut(&chunk.segment) else { return };
        sum.add(tally);
        *left -= 1;
        if *left == 0
            && let Some((_, whole)) = state.open.remove(&chunk.segment)
        {
            state.total.add(Tally { coinbases: Vec::new(), ..whole.clone() });
            drop(state);
            record.keep(chunk.segment, &whole);
            self.progress.segments.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn count(&self, tally: &Tally) {
        self.progress.blocks.fetch_add(tally.blocks, Ordering::Relaxed);
        self.progress.transactions.fetch_add(tally.transactions, Ordering::Relaxed);
        self.progress.inputs.fetch_add(tally.inputs, Ordering::Relaxed);
    }

    fn take_coinbases(&self, state: &mut State, tally: &Tally) {
        for (height, txid) in &tally.coinbases {
            let hash = self.work.chain.headers().hash_at(*height).unwrap_or_default();
            if let Err(violation) = state.coinbases.insert(*height, &hash, txid) {
                self.stop_at(state, violation.height, Stop::Failure(Failure::of_violation(&violation)));
            }
        }
    }

    fn stop(&self, height: u32, stop: Stop) {
        self.stop_at(&mut self.state.lock(), height, stop);
    }

    /// The lowest height counts.
    fn stop_at(&self, state: &mut State, height: u32, stop: Stop) {
        if state.stop.as_ref().is_none_or(|(lowest, _)| height < *lowest) {
            state.stop = Some((height, stop));
            self.end.fetch_min(height, Ordering::Relaxed);
        }
    }
}

fn chunks_of(segment: u32, heights: Range<u32>) -> impl Iterator<Item = Chunk> {
    let end = heights.end;
    heights
        .step_by(CHUNK as usize)
        .map(move |first| Chunk { segment, heights: first..end.min(first + CHUNK) })
}
