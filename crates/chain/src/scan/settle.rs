//! The last look at the bytes of a segment's file before they are published.
use super::error::{ScanError, in_segment, spent_missing, unusable};
use super::file::BlockFile;
use super::open_files::OpenFiles;
use super::pairing::Undo;
use super::reader::FileReader;
use super::records::HEAD_BYTES;
use super::undo_bytes::check_record;
use super::{BlockIndex, Found};
use crate::block::{BlockContext, BlockFacts, BlockFault, check_block, input_counts};
use crate::header::{RawHeader, block_hash};
use crate::segments::SegmentKind;
use blockswarm_pieces::{Extents, HashPace};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

impl BlockIndex {
    /// Reads a segment's file once and checks each of its records: a block against its header (`chain` level), a
    /// spent record against its block. To be done before the file is hashed for the first time, so that nothing
    /// is published that others could not have made too.
    ///
    /// Reads all `rev` files that the segment touches, and its blocks. Records found good are remembered as
    /// long as their files do not change. Returns [`Self::extents`].
    pub fn settle(
        &self,
        segment: u32,
        kind: SegmentKind,
        cancelled: &AtomicBool,
    ) -> Result<Extents, ScanError> {
        self.settle_at(segment, kind, None, cancelled)
    }

    /// [`Self::settle`] at a pace.
    pub(super) fn settle_at(
        &self,
        segment: u32,
        kind: SegmentKind,
        pace: Option<&HashPace>,
        cancelled: &AtomicBool,
    ) -> Result<Extents, ScanError> {
        let heights = self.heights(segment)?;
        if kind == SegmentKind::Blocks {
            self.recent_inputs.clear();
        }
        let settled = self
            .settle_heights(heights.clone(), kind, pace, cancelled)
            .map_err(|error| in_segment(error, segment))?;
        if kind == SegmentKind::Spent {
            // What one thread proved while another paired the same file anew: most is known, and passed over.
            let mut open = OpenFiles::default();
            for height in heights {
                self.settle_height(&mut open, height, kind, cancelled)
                    .map_err(|error| in_segment(error, segment))?;
            }
        }
        if kind == SegmentKind::Spent {
            self.recent_inputs.clear();
        }
        self.keep_undo(&settled);
        self.extents(segment, kind)
    }

    /// Settles on several threads; the fault of the lowest height is told. The files whose undo is known better now.
    fn settle_heights(
        &self,
        heights: Range<u32>,
        kind: SegmentKind,
        pace: Option<&HashPace>,
        cancelled: &AtomicBool,
    ) -> Result<BTreeMap<u32, &BlockFile>, ScanError> {
        let (next, end) = (AtomicU32::new(heights.start), heights.end);
        let outcome: Mutex<Outcome<'_>> = Mutex::default();
        let work = || {
            let _idle = pace.map(HashPace::step_back);
            let mut open = OpenFiles::default();
            loop {
                let height = next.fetch_add(1, Ordering::Relaxed);
                if height >= end {
                    break;
                }
                if let (Some(pace), Some(found)) = (pace, self.found(height)) {
                    pace.take(HEAD_BYTES + u64::from(found.frame.record().size), cancelled);
                }
                if kind == SegmentKind::Blocks {
                    self.read_ahead(&mut open, height.saturating_add(AHEAD_BLOCKS));
                }
                let settled = self.settle_height(&mut open, height, kind, cancelled);
                if settled.is_err() {
                    next.store(end, Ordering::Relaxed);
                }
                outcome.lock().take(height, settled);
            }
        };
        let threads = match pace.map_or(0, HashPace::threads) {
            0 => thread::available_parallelism().map_or(1, usize::from).min(THREADS_LIMIT),
            threads => threads,
        };
        thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        let Outcome { settled, failed } = outcome.into_inner();
        failed.map_or(Ok(settled), |(_, error)| Err(error))
    }

    /// Has the disk begin with a block, also one of the next segment: it goes on while this one is hashed.
    fn read_ahead(&self, open: &mut OpenFiles, height: u32) {
        if let Some(found) = self.found(height)
            && !found.file.is_gone
            && let Ok(reader) = open.get(self, &found.file.pair.blocks_path)
        {
            let record = found.frame.record();
            reader.will_fill(record.offset + HEAD_BYTES, record.size.into());
        }
    }

    /// The file whose undo records are known better now, if any.
    fn settle_height(
        &self,
        open: &mut OpenFiles,
        height: u32,
        kind: SegmentKind,
        cancelled: &AtomicBool,
    ) -> Result<Option<&BlockFile>, ScanError> {
        if cancelled.load(Ordering::Relaxed) {
            return Err(ScanError::Cancelled);
        }
        let Some(found) = self.found(height) else { return Err(self.beyond(height)) };
        if found.file.is_gone {
            return Err(ScanError::Pruned { path: found.file.pair.blocks_path.clone(), height });
        }
        match kind {
            SegmentKind::Blocks => {
                let facts = self.check_block(open, &found, height)?;
                self.recent_inputs.put(found.number, facts.inputs);
                Ok(None)
            }
            SegmentKind::Spent if height == 0 => Ok(None),
            SegmentKind::Spent => {
                let is_new = self.settle_spent(open, &found, height, cancelled)?;
                Ok(is_new.then_some(found.file))
            }
        }
    }

    /// Whether it was not known before.
    fn settle_spent(
        &self,
        open: &mut OpenFiles,
        found: &Found<'_>,
        height: u32,
        cancelled: &AtomicBool,
    ) -> Result<bool, ScanError> {
        let hash = self.tree.hash(found.number).unwrap_or_default();
        if let Some(overlay) = self.overlay.get()
            && let Some(record) = overlay.record(&hash)
        {
            if !overlay.is_settled(&hash) {
                let inputs = self.block_inputs(open, found, height)?;
                let reader = open.get(self, &overlay.path)?;
                let prev = self.tree.parent_hash(found.number).unwrap_or_default();
                check_record(reader, record, &prev, &inputs, height)
                    .map_err(|error| ScanError::unreadable(&overlay.path, error))?
                    .map_err(|fault| spent_missing(height, &fault.to_string()))?;
                overlay.settle(&hash);
            }
            return Ok(false);
        }
        let undo = self.undo(found.file, cancelled)?;
        if undo.is_settled(found.index) {
            return Ok(false);
        }
        let pair = &found.file.pair;
        let undo = match undo.record(found.index) {
            None if undo.is_provisional => self.pair_by_checksums(found.file, cancelled)?,
            _ => undo,
        };
        if undo.record(found.index).is_none() {
            return Err(undo.none_for(pair, height));
        }
        let inputs = self.block_inputs(open, found, height)?;
        let reader = open.get(self, &pair.undo_path)?;
        let Err(fault) = self.check_undo(reader, &undo, found, &inputs, height)? else { return Ok(true) };
        if !undo.is_provisional {
            return Err(fault);
        }
        // The order was not what it seemed.
        self.pair_by_checksums(found.file, cancelled)?;
        self.settle_spent(open, found, height, cancelled)
    }

    /// A block's record against it; the outer error is a file that cannot be read.
    fn check_undo(
        &self,
        reader: &FileReader,
        undo: &Undo,
        found: &Found<'_>,
        inputs: &[u32],
        height: u32,
    ) -> Result<Result<(), ScanError>, ScanError> {
        let path = &found.file.pair.undo_path;
        let record = undo.record(found.index).ok_or_else(|| spent_missing(height, "no undo record"))?;
        let prev = self.tree.parent_hash(found.number).unwrap_or_default();
        let verdict = check_record(reader, record, &prev, inputs, height);
        let verdict = verdict.map_err(|error| ScanError::unreadable(path, error))?;
        if verdict.is_ok() {
            undo.settle(found.index);
        }
        Ok(verdict.map_err(|fault| unusable(height, &fault)))
    }

    /// The inputs of each transaction of a block but the coinbase. It is checked against its header, unless that was done in
    /// this run and its file has not been written to since.
    fn block_inputs(
        &self,
        open: &mut OpenFiles,
        found: &Found<'_>,
        height: u32,
    ) -> Result<Vec<u32>, ScanError> {
        if !found.file.checked.has(found.index) {
            return Ok(self.check_block(open, found, height)?.inputs);
        }
        if let Some(inputs) = self.recent_inputs.take(found.number) {
            return Ok(inputs);
        }
        let block = open.block(self, &found.file.pair.blocks_path, found.frame.record())?;
        let inputs = block.and_then(|block| input_counts(block).ok());
        inputs.ok_or_else(|| damaged(found, height, "it is not what it was a moment ago"))
    }

    fn check_block(
        &self,
        open: &mut OpenFiles,
        found: &Found<'_>,
        height: u32,
    ) -> Result<BlockFacts, ScanError> {
        let block = open.block(self, &found.file.pair.blocks_path, found.frame.record())?;
        let block = block.ok_or_else(|| damaged(found, height, "the file was cut"))?;
        let facts = self.check_bytes(block, found.number, height);
        let facts = facts.map_err(|fault| damaged(found, height, &fault.to_string()))?;
        found.file.checked.note(found.index);
        Ok(facts)
    }

    /// A block's bytes against the header of that number.
    pub(super) fn check_bytes(
        &self,
        block: &[u8],
        number: u32,
        height: u32,
    ) -> Result<BlockFacts, BlockFault> {
        let header: Option<&RawHeader> = block.first_chunk();
        let header = header.filter(|header| self.tree.hash(number) == Some(block_hash(header)));
        let header = header.ok_or(BlockFault::WrongHeader)?;
        check_block(block, &BlockContext { header, height, params: self.params() })
    }
}

fn damaged(found: &Found<'_>, height: u32, reason: &str) -> ScanError {
    let Found { file, index, frame, .. } = found;
    // It may have been written over: the next look tells.
    if file.holds(*index as u32) {
        file.doubt();
    }
    ScanError::BlockDamaged {
        path: file.pair.blocks_path.clone(),
        offset: frame.record().offset,
        reason: format!("height {height}: {reason}"),
    }
}

/// What lies between the block that is read and the one that the disk is asked for: some 100 MiB of full blocks.
const AHEAD_BLOCKS: u32 = 64;
/// More threads than this only fight for the disk.
const THREADS_LIMIT: usize = 8;

/// What threads found.
#[derive(Default)]
struct Outcome<'a> {
    settled: BTreeMap<u32, &'a BlockFile>,
    /// The lowest height of those that failed.
    failed: Option<(u32, ScanError)>,
}

impl<'a> Outcome<'a> {
    fn take(&mut self, height: u32, settled: Result<Option<&'a BlockFile>, ScanError>) {
        match settled {
            Ok(Some(file)) => {
                self.settled.insert(file.pair.number, file);
            }
            Err(error) if self.failed.as_ref().is_none_or(|(lowest, _)| height < *lowest) => {
                self.failed = Some((height, error));
            }
            Ok(None) | Err(_) => {}
        }
    }
}
