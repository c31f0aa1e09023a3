//! A chain in segment files as records by height.
use super::SegmentFiles;
use super::error::ScanError;
use super::error::{in_segment, spent_missing};
use super::node_records::read_at;
use super::records::{HEAD_BYTES, Record};
use crate::chain_records::ChainRecords;
use crate::headers::HeaderChain;
use crate::undo::CHECKSUM_BYTES;
use blockswarm_pieces::{FileId, Files};
use std::ops::Range;
use std::sync::Arc;

/// Segment files kept open: a chain of today has a thousand, a process often 1,024 handles.
const OPEN_FILES: usize = 128;

/// Neighbouring segments of one chain. About 32 bytes a block.
pub struct SegmentRecords {
    headers: Arc<HeaderChain>,
    files: Arc<Files>,
    first_segment: u32,
    segments: Vec<Places>,
}

/// Where the records of a segment lie.
struct Places {
    blocks: FileId,
    block_records: Vec<Record>,
    /// From the segment's first height on, genesis too.
    spent: Option<(FileId, Vec<Record>)>,
}

impl SegmentRecords {
    /// Segments in the order of their numbers, without a gap, whose headers must be those of the chain. Walks the spent
    /// files from head to head.
    ///
    /// `ERR_BLOCK_DAMAGED` when a header is another, `ERR_SPENT_MISSING` when a spent file has other records.
    pub fn new(headers: impl Into<Arc<HeaderChain>>, segments: Vec<SegmentFiles>) -> Result<Self, ScanError> {
        let headers = headers.into();
        let files = Files::new(OPEN_FILES);
        let first_segment = segments.first().map_or(0, |first| first.segment);
        let mut places = Vec::with_capacity(segments.len());
        for (number, segment) in (first_segment..).zip(segments) {
            if segment.segment != number {
                return Err(ScanError::SegmentRange { segment: number, sealed: number });
            }
            segment.check_headers(&headers)?;
            let spent = match &segment.spent {
                Some(path) => {
                    let records = segment.spent_records(path).map_err(|error| in_segment(error, number))?;
                    Some((files.add(path, None), records))
                }
                None => None,
            };
            let blocks = files.add(&segment.blocks, None);
            places.push(Places { blocks, block_records: segment.records, spent });
        }
        Ok(Self { headers, files, first_segment, segments: places })
    }

    fn interval(&self) -> u32 {
        self.headers.params().interval.max(1)
    }

    /// The segment of a height, and the height's place in it.
    fn places(&self, height: u32) -> Result<(&Places, usize), ScanError> {
        let (segment, at) = (height / self.interval(), height % self.interval());
        let places = segment.checked_sub(self.first_segment).and_then(|n| self.segments.get(n as usize));
        let sealed = self.first_segment + self.segments.len() as u32;
        Ok((places.ok_or(ScanError::SegmentRange { segment, sealed })?, at as usize))
    }
}

impl ChainRecords for SegmentRecords {
    fn headers(&self) -> &HeaderChain {
        &self.headers
    }

    fn heights(&self) -> Range<u32> {
        let first = self.first_segment * self.interval();
        first..first + self.segments.len() as u32 * self.interval()
    }

    fn read_block(&self, height: u32, out: &mut Vec<u8>) -> Result<(), ScanError> {
        let (places, at) = self.places(height)?;
        let record = places.block_records.get(at).copied().unwrap_or(Record { offset: 0, size: 0 });
        read_at(&self.files, places.blocks, record.offset + HEAD_BYTES, record.size.into(), out)
    }

    fn read_undo(&self, height: u32, out: &mut Vec<u8>) -> Result<(), ScanError> {
        out.clear();
        let (places, at) = self.places(height)?;
        if height == 0 {
            return Ok(());
        }
        let found = places.spent.as_ref().and_then(|(file, records)| Some((*file, *records.get(at)?)));
        let Some((file, record)) = found else {
            let missing = spent_missing(height, "its spent file is missing");
            return Err(in_segment(missing, height / self.interval()));
        };
        let length = u64::from(record.size) + CHECKSUM_BYTES;
        read_at(&self.files, file, record.offset + HEAD_BYTES, length, out)
    }
}

#[cfg(test)]
#[path = "segment_records_test.rs"]
mod tests;
