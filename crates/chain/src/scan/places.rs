//! Where the bytes of a segment's file lie.
use super::error::{ScanError, in_segment, spent_missing};
use super::records::{HEAD_BYTES, Record};
use super::{BlockIndex, Found};
use crate::segments::{SegmentKind, sealed_segments};
use crate::undo::CHECKSUM_BYTES;
use blockswarm_pieces::{Extents, ExtentsBuilder, FileId};
use std::ops::Range;
use std::sync::Arc;

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
}

/// Where the record of one block lies, or lay.
struct Part {
    file: FileId,
    offset: u64,
    length: u64,
    is_gone: bool,
}
