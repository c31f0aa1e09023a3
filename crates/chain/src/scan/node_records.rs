//! The chain of a node's blocks folder as records by height.
use super::error::in_segment;
use super::records::{HEAD_BYTES, Record};
use super::{BlockIndex, Found, ScanError};
use crate::chain_records::ChainRecords;
use crate::encode::{Hash, sha256d};
use crate::headers::{HeaderChain, HeaderFault};
use crate::undo::CHECKSUM_BYTES;
use blockswarm_pieces::{ExtentsBuilder, FileId, Files};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Headers that are judged between two looks at the flag.
const HEADER_BATCH: u32 = 2016;

/// A picture of a node's blocks folder, its most-work chain judged.
pub struct NodeRecords {
    index: Arc<BlockIndex>,
    headers: HeaderChain,
    /// Ends the search for undo records, which may read a whole file.
    cancelled: Arc<AtomicBool>,
}

impl NodeRecords {
    /// Judges the headers of the chain at the time `now` (Unix seconds): the inner error is the first that breaks a rule.
    pub fn new(
        index: Arc<BlockIndex>,
        now: u64,
        cancelled: Arc<AtomicBool>,
    ) -> Result<Result<Self, HeaderFault>, ScanError> {
        let mut headers = HeaderChain::new(index.params().clone());
        let end = index.held_height().map_or(0, |height| height + 1);
        for first in (0..end).step_by(HEADER_BATCH as usize) {
            let batch = index.headers(first, end.min(first + HEADER_BATCH));
            let batch = batch.ok_or_else(|| index.beyond(first))?;
            if cancelled.load(Ordering::Relaxed) {
                return Err(ScanError::Cancelled);
            }
            if let Err(fault) = headers.append(&batch, now) {
                return Ok(Err(fault));
            }
        }
        Ok(Ok(Self { index, headers, cancelled }))
    }

    fn found(&self, height: u32) -> Result<Found<'_>, ScanError> {
        let found = self.index.found(height).ok_or_else(|| self.index.beyond(height))?;
        if found.file.is_gone {
            return Err(ScanError::Pruned { path: found.file.pair.blocks_path.clone(), height });
        }
        Ok(found)
    }

    fn prev(&self, found: &Found<'_>) -> Hash {
        self.index.tree.parent_hash(found.number).unwrap_or_default()
    }

    fn fill_undo(&self, height: u32, out: &mut Vec<u8>) -> Result<(), ScanError> {
        let found = self.found(height)?;
        let (index, pair) = (&self.index, &found.file.pair);
        let read = |file, record: Record, out: &mut Vec<u8>| {
            let length = u64::from(record.size) + CHECKSUM_BYTES;
            read_at(&index.files, file, record.offset + HEAD_BYTES, length, out)
        };
        let overlay = index.overlay.get();
        let hash = index.tree.hash(found.number).unwrap_or_default();
        if let Some((overlay, record)) =
            overlay.as_deref().and_then(|overlay| Some((overlay, overlay.record(&hash)?)))
        {
            return read(overlay.file, record, out);
        }
        let undo = index.undo(found.file, &self.cancelled)?;
        let seen = undo.record(found.index);
        if let Some(record) = seen {
            read(pair.undo_id, record, out)?;
            // Paired by order alone, it may be another block's. Where siblings lie in one file nothing is.
            let is_known = !undo.is_provisional || undo.is_settled(found.index);
            if is_known || has_checksum(out, &self.prev(&found)) {
                return Ok(());
            }
        }
        let undo = index.undo_by_checksums(found.file, &self.cancelled)?;
        // What lies where it should, and is nobody's: damaged, as whoever reads it will find.
        let record = undo.record(found.index).or(seen);
        read(pair.undo_id, record.ok_or_else(|| undo.none_for(pair, height))?, out)
    }
}

impl ChainRecords for NodeRecords {
    fn headers(&self) -> &HeaderChain {
        &self.headers
    }

    fn heights(&self) -> Range<u32> {
        0..self.headers.len()
    }

    fn read_block(&self, height: u32, out: &mut Vec<u8>) -> Result<(), ScanError> {
        let found = self.found(height)?;
        let record = found.frame.record();
        let file = found.file.pair.blocks_id;
        read_at(&self.index.files, file, record.offset + HEAD_BYTES, record.size.into(), out)
    }

    fn read_undo(&self, height: u32, out: &mut Vec<u8>) -> Result<(), ScanError> {
        out.clear();
        if height == 0 {
            return Ok(());
        }
        let segment = height / self.index.params().interval.max(1);
        self.fill_undo(height, out).map_err(|error| in_segment(error, segment))
    }
}

/// Puts bytes of a file in place of what `out` held; `length` is one of a record.
pub(super) fn read_at(
    files: &Arc<Files>,
    file: FileId,
    offset: u64,
    length: u64,
    out: &mut Vec<u8>,
) -> Result<(), ScanError> {
    let mut extent = ExtentsBuilder::new(Arc::clone(files));
    extent.push(file, offset, length)?;
    out.resize(length as usize, 0);
    let path = || files.path(file).unwrap_or_default();
    extent.finish().read_exact_at(0, out).map_err(|error| ScanError::unreadable(&path(), error))
}

/// Whether `CBlockUndo | checksum` is of a block with that parent.
fn has_checksum(record: &[u8], prev: &Hash) -> bool {
    record.split_last_chunk::<32>().is_some_and(|(undo, checksum)| sha256d([prev, undo]) == *checksum)
}

#[cfg(test)]
#[path = "node_records_test.rs"]
mod tests;
