//! The records of one `blk` or `rev` file: `magic | size u32 | body`, found by walking from head to head.
//!
//! Bytes between records (historical bugs, crashes, a damaged disk) are passed over by searching the next magic,
//! as Core's reindex does (`ChainstateManager::LoadExternalBlockFile`).
use super::error::SkipReason;
use super::reader::FileReader;
use std::io;
use std::ops::RangeInclusive;

/// Bytes before a record's body.
pub(super) const HEAD_BYTES: u64 = 8;

/// What a kind of file holds.
pub(super) struct Shape {
    /// First four bytes of each record.
    pub magic: [u8; 4],
    /// Sizes that a body may have.
    pub sizes: RangeInclusive<u32>,
    /// Bytes behind the body that its size does not count.
    pub trailer: u64,
}

/// A record's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    /// Where its head starts in the file.
    pub offset: u64,
    /// Size of its body, as the head says.
    pub size: u32,
}

/// Bytes passed over.
pub(super) struct Skip {
    pub first: u64,
    pub end: u64,
    pub reason: SkipReason,
}

/// A walk through one file.
pub(super) struct Records {
    pub reader: FileReader,
    shape: Shape,
    position: u64,
    /// Start of the bytes being passed over now, and why.
    skipping: Option<(u64, SkipReason)>,
    /// Bytes passed over so far.
    pub skips: Vec<Skip>,
    /// The walk ended at a record that is not whole.
    pub is_torn: bool,
}

impl Records {
    /// Starts at a record's end, or at the file's first byte.
    pub fn from(reader: FileReader, shape: Shape, position: u64) -> Self {
        Self { reader, shape, position, skipping: None, skips: Vec::new(), is_torn: false }
    }

    /// The next record that lies wholly in the file.
    ///
    /// A record that the file does not hold to its end is not there yet, unless other records follow: then
    /// it is garbage. With an exact reader the walk ends at the first bytes that are no record.
    pub fn next(&mut self) -> io::Result<Option<Record>> {
        loop {
            let offset = self.position;
            let Some(head) = self.reader.array::<8>(offset)? else {
                return Ok(self.end_at(self.reader.length()));
            };
            let [m0, m1, m2, m3, s0, s1, s2, s3] = head;
            if [m0, m1, m2, m3] != self.shape.magic {
                if self.reader.is_exact() {
                    return Ok(None);
                }
                let search = self.reader.search(offset, self.shape.magic)?;
                if search.passed_data {
                    self.skip_from(offset, SkipReason::Garbage);
                }
                let Some(found) = search.found else { return Ok(self.end_at(self.reader.length())) };
                self.position = found;
                continue;
            }
            let size = u32::from_le_bytes([s0, s1, s2, s3]);
            if !self.shape.sizes.contains(&size) {
                if self.reader.is_exact() {
                    return Ok(None);
                }
                self.skip_from(offset, SkipReason::Length(size));
                self.position = offset + 1;
                continue;
            }
            let end = offset + HEAD_BYTES + u64::from(size) + self.shape.trailer;
            if end > self.reader.length() {
                if self.reader.is_exact() {
                    self.is_torn = true;
                    return Ok(None);
                }
                self.skip_from(offset, SkipReason::Torn);
                self.position = offset + 1;
                continue;
            }
            self.position = end;
            return Ok(Some(Record { offset, size }));
        }
    }

    /// The record is a good one: whatever was passed over ends at its head.
    pub fn accept(&mut self, record: Record) {
        self.finish_skip(record.offset);
    }

    /// The record is none: the search goes on one byte further.
    pub fn reject(&mut self, record: Record, reason: SkipReason) {
        self.skip_from(record.offset, reason);
        self.position = record.offset + 1;
    }

    fn skip_from(&mut self, offset: u64, reason: SkipReason) {
        self.skipping.get_or_insert((offset, reason));
    }

    fn finish_skip(&mut self, end: u64) {
        if let Some((first, reason)) = self.skipping.take() {
            self.skips.push(Skip { first, end, reason });
        }
    }

    /// The file's end: what stands there may be a record that is being written just now.
    fn end_at(&mut self, end: u64) -> Option<Record> {
        if let Some((first, SkipReason::Torn)) = self.skipping {
            self.skipping = None;
            self.position = first;
            self.is_torn = true;
            return None;
        }
        self.finish_skip(end);
        None
    }
}
