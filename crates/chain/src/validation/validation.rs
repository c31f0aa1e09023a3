//! A run that takes its segments as they come.
use super::block_work::BlockWork;
use super::coin_sets::CoinSets;
use super::failure::{Failure, Stop, ValidationError};
use super::pass::{Chunk, Pass, chunks_of, take_coinbases};
use super::record::{self, Kept, Record};
use super::{MAX_THREADS, Plan, Progress, Tally, Verdict, heights, work_warning};
use crate::chain_records::ChainRecords;
use crate::headers::HeaderChain;
use crate::sums::Salt;
use crate::validate::EngineJudge;
use crate::validate::bip30::Coinbases;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is known of the blocks of one plan, whose segments may come in any order. What is done is kept by the plan's record,
/// segment by segment, and a later run goes on from there.
pub struct Validation {
    plan: Plan,
    heights: Range<u32>,
    interval: u32,
    sets: Option<CoinSets>,
    salt: Salt,
    record: Record,
    progress: Arc<Progress>,
    /// Without the coinbases, which are in a map of their own.
    total: Tally,
    coinbases: Coinbases,
    has_earlier: bool,
    new_inputs: u64,
    /// Segments judged to their end.
    done: BTreeSet<u32>,
    /// And those in which that went up to the failure only.
    judged: BTreeSet<u32>,
    /// At the lowest height so far.
    failure: Option<Failure>,
    warnings: Vec<String>,
}

impl Validation {
    /// Begins, or goes on where an earlier run with the same plan was. Reads hints from end to end. `held` are the heights
    /// whose blocks are here or will come.
    pub fn open(
        headers: &HeaderChain,
        held: &Range<u32>,
        plan: &Plan,
        progress: &Arc<Progress>,
    ) -> Result<Self, ValidationError> {
        let heights = heights(headers, held, plan)?;
        progress.end_height.store(heights.end, Ordering::Relaxed);
        let sets = plan.set.as_ref().map(|set| CoinSets::open(set, headers, &heights)).transpose()?;
        let key = record::key(headers, plan, &heights, sets.as_ref().and_then(CoinSets::hints));
        let (record, salt, kept) = Record::open(plan.record.as_deref(), &key)?;
        let mut warnings = work_warning(headers);
        let params = headers.params();
        let needs_coins = plan.scripts || plan.set.is_some();
        if held.start > 0 && needs_coins && Coinbases::counts(heights.start, params) {
            let first = held.start;
            warnings.push(format!(
                "blocks before {first} are not looked at: whether a coinbase repeats one of theirs (BIP 30) is not proven"
            ));
        }
        let mut validation = Self {
            plan: plan.clone(),
            interval: params.interval.max(1),
            sets,
            salt,
            record,
            progress: Arc::clone(progress),
            total: Tally::default(),
            coinbases: Coinbases::default(),
            has_earlier: false,
            new_inputs: 0,
            done: BTreeSet::new(),
            judged: BTreeSet::new(),
            failure: None,
            warnings,
            heights,
        };
        for (segment, Kept { part, tally }) in kept {
            // A segment of another chain, or another part of it, is judged anew.
            if validation.part(segment).is_some_and(|heights| record::Part::of(headers, &heights) == part) {
                validation.progress.count(&tally);
                validation.progress.segments.fetch_add(1, Ordering::Relaxed);
                let repeated = take_coinbases(&mut validation.coinbases, headers, &tally);
                validation.fail(repeated.map(|violation| Failure::of_violation(&violation)));
                validation.take(segment, &tally);
            }
        }
        Ok(validation)
    }

    /// The heights that are to be judged.
    pub fn heights(&self) -> Range<u32> {
        self.heights.clone()
    }

    /// The numbers, rising, of the segments that are still to be judged: none above a block that fails.
    pub fn left(&self) -> Vec<u32> {
        let (first, end) = (self.heights.start / self.interval, self.limit().div_ceil(self.interval));
        (first..end).filter(|segment| !self.judged.contains(segment)).collect()
    }

    /// Judges segments of `chain`, of the same headers as before, on a pool of its own; `cancelled` ends it within an input.
    /// What is wrong with them is told by `verdict`; after an error they are still to be judged.
    pub fn judge(
        &mut self,
        chain: &dyn ChainRecords,
        segments: &[u32],
        cancelled: &Arc<AtomicBool>,
    ) -> Result<(), ValidationError> {
        let mut segments: Vec<u32> =
            segments.iter().copied().filter(|segment| !self.judged.contains(segment)).collect();
        segments.sort_unstable();
        segments.dedup();
        let parts: Vec<_> =
            segments.into_iter().filter_map(|segment| Some((segment, self.part(segment)?))).collect();
        let mut chunks = self.earlier_coinbases(chain);
        chunks.extend(parts.iter().flat_map(|(segment, heights)| chunks_of(*segment, heights.clone())));
        if chunks.is_empty() {
            return Ok(());
        }
        let pool = pool(self.plan.threads)?;
        let before = self.progress.counts();
        let scripts = self.plan.scripts.then(|| EngineJudge::new(Arc::clone(cancelled)));
        let sums = self.sets.as_ref().map(|sets| (&self.salt, sets.hints()));
        let pass = Pass {
            work: BlockWork { chain, scripts, sums },
            first_height: self.heights.start,
            progress: &self.progress,
            cancelled,
            record: &self.record,
        };
        let coinbases = std::mem::take(&mut self.coinbases);
        let passed = pass.run(&pool, &chunks, self.limit(), coinbases);
        self.coinbases = passed.coinbases;
        let error = match passed.stop {
            _ if cancelled.load(Ordering::Relaxed) => Some(ValidationError::Cancelled),
            Some((_, Stop::Error(error))) => Some(error),
            Some((_, Stop::Failure(failure))) => {
                self.fail(Some(failure));
                None
            }
            None => None,
        };
        if error.is_some() {
            // What will be judged again is not counted twice.
            self.progress.reset(before);
            passed.done.iter().for_each(|(_, tally)| self.progress.count(tally));
            self.new_inputs += passed.done.iter().map(|(_, tally)| tally.inputs).sum::<u64>();
        } else {
            self.new_inputs += passed.new_inputs;
            self.has_earlier = true;
            self.judged.extend(parts.iter().map(|(segment, _)| segment));
        }
        for (segment, tally) in passed.done {
            self.take(segment, &tally);
        }
        error.map_or(Ok(()), Err)
    }

    /// What is wrong, at the lowest height so far.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// What was found so far; nothing of `set`. Warnings about the record are told once.
    pub fn verdict(&self) -> Verdict {
        let limit = self.limit();
        let mut valid: Vec<Range<u32>> = Vec::new();
        for segment in &self.judged {
            let Some(mut part) = self.part(*segment) else { continue };
            // Others are not known to be valid but below the block that fails.
            if !self.done.contains(segment) || part.contains(&limit) {
                part.end = part.end.min(limit);
            }
            match valid.last_mut() {
                Some(last) if last.end == part.start => last.end = last.end.max(part.end),
                _ if part.is_empty() => {}
                _ => valid.push(part),
            }
        }
        let first = valid.first().filter(|first| first.start == self.heights.start);
        Verdict {
            heights: self.heights.clone(),
            blocks: self.progress.blocks.load(Ordering::Relaxed),
            transactions: self.progress.transactions.load(Ordering::Relaxed),
            inputs: self.progress.inputs.load(Ordering::Relaxed),
            new_inputs: self.new_inputs,
            proven_end: first
                .map_or(self.heights.start, |first| first.end)
                .min(limit.max(self.heights.start)),
            valid,
            set: false,
            failure: self.failure.clone(),
            warnings: [self.warnings.clone(), self.record.warnings()].concat(),
        }
    }

    /// The verdict, with that on the set when all is judged and nothing was wrong: this reads snapshots. A run that has come
    /// to its end leaves no record.
    pub fn finish(&self, cancelled: &AtomicBool) -> Result<Verdict, ValidationError> {
        let mut verdict = self.verdict();
        if verdict.failure.is_some() || !self.left().is_empty() {
            return Ok(verdict);
        }
        if let Some(sets) = &self.sets {
            verdict.failure = sets.prove(self.total.balance, &self.salt, self.heights.end, cancelled)?;
            verdict.set = verdict.failure.is_none();
        }
        // Sums that have served: another run draws another salt.
        self.record.forget();
        Ok(verdict)
    }

    /// No block from there on needs to be judged.
    fn limit(&self) -> u32 {
        self.failure.as_ref().map_or(self.heights.end, |failure| failure.height)
    }

    /// The part of a segment that is to be judged.
    fn part(&self, segment: u32) -> Option<Range<u32>> {
        let first = segment.checked_mul(self.interval)?;
        let part = first.max(self.heights.start)..first.saturating_add(self.interval).min(self.heights.end);
        Some(part).filter(|part| !part.is_empty())
    }

    /// Blocks below the first whose coinbases could be repeated by one that is judged, as far as the chain has them.
    fn earlier_coinbases(&self, chain: &dyn ChainRecords) -> Vec<Chunk> {
        let params = chain.headers().params();
        let needs_coins = self.plan.scripts || self.sets.is_some();
        let is_concerned = needs_coins && !self.has_earlier && Coinbases::counts(self.heights.start, params);
        let end = if is_concerned { self.heights.start.min(params.activations.bip34) } else { 0 };
        chunks_of(u32::MAX, chain.heights().start..end).collect()
    }

    fn take(&mut self, segment: u32, tally: &Tally) {
        let Tally { balance, blocks, transactions, inputs, .. } = *tally;
        self.total.add(Tally { balance, blocks, transactions, inputs, coinbases: Vec::new() });
        self.done.insert(segment);
        self.judged.insert(segment);
    }

    /// The lowest height counts.
    fn fail(&mut self, failure: Option<Failure>) {
        if let Some(failure) = failure.filter(|failure| failure.height < self.limit()) {
            self.failure = Some(failure);
        }
    }
}

fn pool(threads: usize) -> Result<ThreadPool, ValidationError> {
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads.min(MAX_THREADS))
        .thread_name(|n| format!("validate-{n}"))
        .build();
    pool.map_err(|error| ValidationError::Io {
        what: "threads".into(),
        cause: io::Error::other(error.to_string()),
    })
}
