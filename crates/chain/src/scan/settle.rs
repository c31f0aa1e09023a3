//! A segment's files: where they lie, and the last look at their bytes before they are published.
use super::BlockIndex;
use super::Found;
use super::error::ScanError;
use super::file::BlockFile;
use super::pairing::{Pairing, Undo};
use super::reader::FileReader;
use super::records::{HEAD_BYTES, Record};
use crate::block::{BlockContext, BlockFacts, BlockFault, check_block};
use crate::encode::Hash;
use crate::header::{RawHeader, block_hash};
use crate::segments::{SegmentKind, sealed_segments};
use crate::undo::{CHECKSUM_BYTES, UndoFault, check_undo};
use blockswarm_pieces::{Extents, ExtentsBuilder, FileId, HashPace};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

impl BlockIndex {
    /// Number of sealed segments of the chain with the most work.
    pub fn sealed_segments(&self, depth: u32) -> u32 {
        sealed_segments(self.held_height(), self.params(), depth)
    }

    /// Whether a segment's spent file can be expected: there are undo files for all its blocks. Only
    /// [`Self::settle`] knows.
    pub fn has_spent(&self, segment: u32) -> bool {
        let Ok(heights) = self.heights(segment) else { return false };
        heights.filter(|height| *height > 0).all(|height| {
            self.found(height).is_some_and(|found| {
                let known = found.file.undo().is_none_or(|undo| undo.record(found.index).is_some());
                known && found.file.stamps.undo.is_some_and(|file| file.size > 0)
            })
        })
    }

    /// Where the bytes of a segment's file lie. A spent file must have been settled before, since its files last
    /// changed: `ERR_SPENT_MISSING` else.
    pub fn extents(&self, segment: u32, kind: SegmentKind) -> Result<Extents, ScanError> {
        self.extents_of(self.heights(segment)?, kind).map_err(|error| in_segment(error, segment))
    }

    /// Where the block records of the heights lie, head included.
    pub fn block_extents(&self, heights: Range<u32>) -> Result<Extents, ScanError> {
        self.extents_of(heights, SegmentKind::Blocks)
    }

    fn extents_of(&self, heights: Range<u32>, kind: SegmentKind) -> Result<Extents, ScanError> {
        let mut builder = ExtentsBuilder::new(Arc::clone(&self.files));
        for height in heights {
            let part = self.part(height, kind)?;
            builder.push(part.file, part.offset, part.length)?;
        }
        Ok(builder.finish())
    }

    /// The bytes of a segment's file, half-open, that are not there any more: the node has pruned their files, or these
    /// were cut or written over. In order, joined where they touch. Errors as [`Self::extents`].
    pub fn gone_ranges(&self, segment: u32, kind: SegmentKind) -> Result<Vec<Range<u64>>, ScanError> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        let mut start = 0;
        for height in self.heights(segment)? {
            let part = self.part(height, kind).map_err(|error| in_segment(error, segment))?;
            let end = start + part.length;
            match ranges.last_mut() {
                _ if !part.is_gone || part.length == 0 => {}
                Some(last) if last.end == start => last.end = end,
                _ => ranges.push(start..end),
            }
            start = end;
        }
        Ok(ranges)
    }

    /// A block's part of its segment's file.
    fn part(&self, height: u32, kind: SegmentKind) -> Result<Part, ScanError> {
        let Some(found) = self.found(height) else { return Err(self.beyond(height)) };
        let (pair, is_gone) = (&found.file.pair, found.file.is_gone);
        match kind {
            SegmentKind::Blocks => {
                let Record { offset, size } = found.frame.record();
                let (length, is_gone) = (HEAD_BYTES + u64::from(size), !found.file.holds(found.index as u32));
                Ok(Part { file: pair.blocks_id, offset, length, is_gone })
            }
            SegmentKind::Spent if height == 0 => {
                Ok(Part { file: pair.undo_id, offset: 0, length: 0, is_gone })
            }
            SegmentKind::Spent => {
                let (file, Record { offset, size }) = self.settled_record(&found, height)?;
                let length = HEAD_BYTES + u64::from(size) + CHECKSUM_BYTES;
                // The overlay stays when the node's file goes.
                Ok(Part { file, offset, length, is_gone: is_gone && file == pair.undo_id })
            }
        }
    }

    /// Where a block's undo record lies: in the overlay, or in the node's file. It was checked.
    fn settled_record(&self, found: &Found<'_>, height: u32) -> Result<(FileId, Record), ScanError> {
        let hash = &self.tree.hash(found.number).unwrap_or_default();
        let overlay = self.overlay.get();
        let own = overlay
            .as_deref()
            .and_then(|overlay| Some((overlay.file, overlay.record(hash)?, overlay.is_settled(hash))));
        let in_node = || {
            let record = found.file.known_undo()?.proven_record(found.index)?;
            Some((found.file.pair.undo_id, record, true))
        };
        match own.or_else(in_node) {
            Some((file, record, true)) => Ok((file, record)),
            _ => Err(spent_missing(height, "its undo record is not checked yet")),
        }
    }

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
                let reader = open.get(self, &found.file.pair.blocks_path)?;
                self.check_block(reader, &found, height).map(|_| None)
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
                let facts = self.check_block(open.get(self, &found.file.pair.blocks_path)?, found, height)?;
                let reader = open.get(self, &overlay.path)?;
                let prev = self.tree.parent_hash(found.number).unwrap_or_default();
                check_record(reader, record, &prev, &facts, height)
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
        let facts = self.check_block(open.get(self, &pair.blocks_path)?, found, height)?;
        let reader = open.get(self, &pair.undo_path)?;
        let Err(fault) = self.check_undo(reader, &undo, found, &facts, height)? else { return Ok(true) };
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
        facts: &BlockFacts,
        height: u32,
    ) -> Result<Result<(), ScanError>, ScanError> {
        let path = &found.file.pair.undo_path;
        let record = undo.record(found.index).ok_or_else(|| spent_missing(height, "no undo record"))?;
        let prev = self.tree.parent_hash(found.number).unwrap_or_default();
        let verdict = check_record(reader, record, &prev, facts, height);
        let verdict = verdict.map_err(|error| ScanError::unreadable(path, error))?;
        if verdict.is_ok() {
            undo.settle(found.index);
        }
        Ok(verdict.map_err(|fault| unusable(height, &fault)))
    }

    fn check_block(
        &self,
        reader: &FileReader,
        found: &Found<'_>,
        height: u32,
    ) -> Result<BlockFacts, ScanError> {
        let path = &found.file.pair.blocks_path;
        let record = found.frame.record();
        let damaged = |reason: String| {
            // It may have been written over: the next look tells.
            if found.file.holds(found.index as u32) {
                found.file.doubt();
            }
            ScanError::BlockDamaged {
                path: path.clone(),
                offset: record.offset,
                reason: format!("height {height}: {reason}"),
            }
        };
        let block = read_block(reader, record).map_err(|error| ScanError::unreadable(path, error))?;
        let block = block.ok_or_else(|| damaged("the file was cut".into()))?;
        self.check_bytes(&block, found.number, height).map_err(|fault| damaged(fault.to_string()))
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

    /// Whose the records of the file's `rev` file are; looked up at the first call.
    pub(super) fn undo(&self, file: &BlockFile, cancelled: &AtomicBool) -> Result<Arc<Undo>, ScanError> {
        if let Some(undo) = file.undo() {
            return Ok(undo);
        }
        // Others that wait for the same file find it done.
        let _one = file.pairing.lock();
        file.undo().map_or_else(|| self.pair(file, false, cancelled), Ok)
    }

    /// The same, each record found by its checksum.
    pub(super) fn undo_by_checksums(
        &self,
        file: &BlockFile,
        cancelled: &AtomicBool,
    ) -> Result<Arc<Undo>, ScanError> {
        match self.undo(file, cancelled)? {
            undo if undo.is_provisional => self.pair_by_checksums(file, cancelled),
            undo => Ok(undo),
        }
    }

    fn pair_by_checksums(&self, file: &BlockFile, cancelled: &AtomicBool) -> Result<Arc<Undo>, ScanError> {
        let _one = file.pairing.lock();
        match file.undo() {
            Some(undo) if !undo.is_provisional => Ok(undo),
            _ => self.pair(file, true, cancelled),
        }
    }

    fn pair(
        &self,
        file: &BlockFile,
        all_bytes: bool,
        cancelled: &AtomicBool,
    ) -> Result<Arc<Undo>, ScanError> {
        let blocks = self.open_file(&file.pair.blocks_path)?;
        let fits = |undo: &FileReader, record: Record, index: usize, height: u32| {
            let Some(frame) = file.frames.get(index) else { return Ok(false) };
            let Some(block) = read_block(&blocks, frame.record())? else { return Ok(false) };
            let Ok(facts) = self.check_bytes(&block, frame.number, height) else { return Ok(false) };
            let prev = self.tree.parent_hash(frame.number).unwrap_or_default();
            // An incomplete record is still this block's.
            Ok(matches!(
                check_record(undo, record, &prev, &facts, height)?,
                Ok(()) | Err(UndoFault::Incomplete)
            ))
        };
        let pairing = Pairing {
            file,
            tree: &self.tree,
            key: self.key(),
            params: self.params(),
            cancelled,
            fits: &fits,
        };
        let undo = Arc::new(pairing.run(all_bytes)?);
        if let Some(provisional) = file.undo() {
            undo.follow(&provisional, true);
        }
        file.set_undo(Arc::clone(&undo));
        Ok(undo)
    }

    pub(super) fn heights(&self, segment: u32) -> Result<Range<u32>, ScanError> {
        let interval = self.params().interval;
        let end = segment.checked_add(1).and_then(|next| next.checked_mul(interval));
        let held = self.held_height().map_or(0, |height| height + 1);
        match end {
            Some(end) if end <= held => Ok(end - interval..end),
            _ => Err(ScanError::SegmentRange { segment, sealed: held / interval.max(1) }),
        }
    }

    pub(super) fn beyond(&self, height: u32) -> ScanError {
        let interval = self.params().interval.max(1);
        ScanError::SegmentRange {
            segment: height / interval,
            sealed: self.held_height().map_or(0, |held| held / interval),
        }
    }

    fn open_file(&self, path: &Path) -> Result<FileReader, ScanError> {
        let is_own = self.overlay.get().is_some_and(|overlay| overlay.path == path);
        let key = if is_own { [0; 8] } else { self.key() };
        FileReader::open(path, key).map_err(|error| ScanError::unreadable(path, error))
    }
}

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

/// Where the record of one block lies, or lay.
struct Part {
    file: FileId,
    offset: u64,
    length: u64,
    is_gone: bool,
}

/// The files of one segment while it is read: some dozens at most.
#[derive(Default)]
struct OpenFiles(BTreeMap<PathBuf, FileReader>);

impl OpenFiles {
    fn get(&mut self, index: &BlockIndex, path: &Path) -> Result<&FileReader, ScanError> {
        if !self.0.contains_key(path) {
            self.0.insert(path.to_owned(), index.open_file(path)?);
        }
        self.0.get(path).ok_or_else(|| ScanError::unreadable(path, io::ErrorKind::NotFound.into()))
    }
}

pub(super) fn read_block(reader: &FileReader, record: Record) -> io::Result<Option<Vec<u8>>> {
    let mut block = vec![0; record.size as usize];
    Ok(reader.fill(record.offset + HEAD_BYTES, &mut block)?.then_some(block))
}

/// A record's verdict; the outer error is a file that cannot be read.
pub(super) fn check_record(
    reader: &FileReader,
    record: Record,
    prev: &Hash,
    facts: &BlockFacts,
    height: u32,
) -> io::Result<Result<(), UndoFault>> {
    let offset = record.offset + HEAD_BYTES;
    let size = u64::from(record.size);
    let body = RecordBody { reader, offset, left: size + CHECKSUM_BYTES };
    match check_undo(body, size, prev, &facts.inputs, height) {
        Err(UndoFault::Io(error)) => Err(error),
        verdict => Ok(verdict),
    }
}

/// A record's bytes behind its head, as a stream.
struct RecordBody<'a> {
    reader: &'a FileReader,
    offset: u64,
    left: u64,
}

impl Read for RecordBody<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.left.min(buffer.len() as u64) as usize;
        let Some(part) = buffer.get_mut(..length) else { return Ok(0) };
        if !self.reader.fill(self.offset, part)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.offset += length as u64;
        self.left -= length as u64;
        Ok(length)
    }
}

pub(super) fn spent_missing(height: u32, reason: &str) -> ScanError {
    ScanError::SpentMissing { segment: 0, reason: format!("block {height}: {reason}") }
}

fn unusable(height: u32, fault: &UndoFault) -> ScanError {
    match fault {
        UndoFault::Incomplete => {
            ScanError::OldUndo { segment: 0, reason: format!("block {height}: {fault}") }
        }
        _ => spent_missing(height, &fault.to_string()),
    }
}

pub(super) fn in_segment(error: ScanError, segment: u32) -> ScanError {
    match error {
        ScanError::SpentMissing { reason, .. } => ScanError::SpentMissing { segment, reason },
        ScanError::OldUndo { reason, .. } => ScanError::OldUndo { segment, reason },
        other => other,
    }
}
