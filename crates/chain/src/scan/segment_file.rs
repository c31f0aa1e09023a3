//! A segment's files as files of their own: as they were exported, or as their torrents were downloaded.
use super::error::ScanError;
use super::error::{in_segment, spent_missing};
use super::hashed::HashedFile;
use super::reader::FileReader;
use super::records::{HEAD_BYTES, Record};
use super::undo_bytes::check_record;
use super::walk::BLOCK_BYTES;
use crate::block::{BlockContext, BlockFacts, check_block};
use crate::header::{HEADER_BYTES, Header, RawHeader};
use crate::headers::HeaderChain;
use crate::params::Params;
use crate::segments::SegmentKind;
use crate::undo::{CHECKSUM_BYTES, MAX_UNDO_BYTES};
use blockswarm_pieces::{Before, ExtentsBuilder, Files, MadeHashes, ResumeDb, hash_extents};
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The files of one segment. Nothing of them is believed but what was checked.
pub struct SegmentFiles {
    params: Params,
    pub(super) segment: u32,
    pub(super) blocks: PathBuf,
    pub(super) spent: Option<PathBuf>,
    /// The headers of its blocks, as the blocks file has them.
    headers: Vec<RawHeader>,
    /// Where each block's record is.
    pub(super) records: Vec<Record>,
}

impl SegmentFiles {
    /// Walks the blocks file from head to head: exactly the segment's number of records. What is in them, and whether
    /// the headers are those of a chain, is not looked at.
    pub fn open(
        params: &Params,
        segment: u32,
        blocks: &Path,
        spent: Option<&Path>,
    ) -> Result<Self, ScanError> {
        let unreadable = |error| ScanError::unreadable(blocks, error);
        let damaged = |offset, reason: &str| damaged(blocks, offset, reason);
        let mut reader = FileReader::open(blocks, [0; 8]).map_err(unreadable)?;
        let (mut headers, mut records) = (Vec::new(), Vec::new());
        let mut offset = 0;
        for _ in 0..params.interval {
            let head = reader.array::<8>(offset).map_err(unreadable)?;
            let header = reader.array::<HEADER_BYTES>(offset + HEAD_BYTES).map_err(unreadable)?;
            let (Some(head), Some(header)) = (head, header) else {
                return Err(damaged(offset, "the file ends before the segment does"));
            };
            let record = record_at(offset, head, params)
                .filter(|record| BLOCK_BYTES.contains(&record.size))
                .ok_or_else(|| damaged(offset, "no block record"))?;
            headers.push(header);
            records.push(record);
            offset += HEAD_BYTES + u64::from(record.size);
        }
        if offset != reader.length() {
            return Err(damaged(offset, "the file does not end where the segment does"));
        }
        let (blocks, spent) = (blocks.to_owned(), spent.map(Path::to_owned));
        Ok(Self { params: params.clone(), segment, blocks, spent, headers, records })
    }

    /// The headers of all blocks, 80 bytes each.
    pub fn headers(&self) -> &[RawHeader] {
        &self.headers
    }

    /// Checks one of the files and hashes it, or takes its hashes from `db` when it is the file that was checked in an
    /// earlier run. The headers must have been found to be the chain's at this place.
    ///
    /// A blocks file is checked block by block against the headers (`chain` level), a spent file record by record
    /// against the blocks.
    pub fn hashed(
        &self,
        kind: SegmentKind,
        piece_length: u32,
        db: Option<&ResumeDb>,
        cancelled: &AtomicBool,
    ) -> Result<HashedFile, ScanError> {
        let path = match (kind, &self.spent) {
            (SegmentKind::Blocks, _) => &self.blocks,
            (SegmentKind::Spent, Some(spent)) => spent,
            (SegmentKind::Spent, None) => {
                let reason = "its file is missing".to_owned();
                return Err(ScanError::SpentMissing { segment: self.segment, reason });
            }
        };
        let unreadable = |error| ScanError::unreadable(path, error);
        let length = std::fs::metadata(path).map_err(unreadable)?.len();
        let files = Files::new(1);
        let file = files.add(path, None);
        let mut builder = ExtentsBuilder::new(Arc::clone(&files));
        builder.push(file, 0, length)?;
        let extents = builder.finish();
        let key = self.key(kind, piece_length);
        let at = |found: &Path| (found == path).then_some(file);
        if let Some((extents, hashes)) = db.and_then(|db| db.made(&key)?.restore(&files, at)) {
            return Ok(HashedFile { extents, hashes, is_remembered: true });
        }
        let before = Before::of(&files, [file]);
        match kind {
            SegmentKind::Blocks => self.check_blocks(cancelled)?,
            SegmentKind::Spent => {
                self.check_spent(path, cancelled).map_err(|error| in_segment(error, self.segment))?;
            }
        }
        let hashes = hash_extents(&extents, piece_length, cancelled)?;
        let made = before.and_then(|before| MadeHashes::new(before, &extents, &hashes));
        if let (Some(db), Some(made)) = (db, made) {
            db.keep_made(&key, &made);
        }
        Ok(HashedFile { extents, hashes, is_remembered: false })
    }

    /// An error when they are not the headers of that chain.
    pub(super) fn check_headers(&self, chain: &HeaderChain) -> Result<(), ScanError> {
        let first = self.first_height();
        for ((height, header), record) in (first..).zip(&self.headers).zip(&self.records) {
            if chain.headers(height, height.saturating_add(1)) != Some(&[*header][..]) {
                let reason = format!("height {height}: not the header of the chain");
                return Err(damaged(&self.blocks, record.offset, &reason));
            }
        }
        Ok(())
    }

    fn first_height(&self) -> u32 {
        self.segment.saturating_mul(self.params.interval)
    }

    fn key(&self, kind: SegmentKind, piece_length: u32) -> [u8; 32] {
        let key = Sha256::new_with_prefix(b"segment file ")
            .chain_update(kind.file_name(&self.params, self.segment))
            .chain_update(piece_length.to_le_bytes())
            .chain_update(self.headers.last().map_or(&[][..], |header| &header[..]));
        key.finalize().into()
    }

    fn check_blocks(&self, cancelled: &AtomicBool) -> Result<(), ScanError> {
        let reader = self.blocks_reader()?;
        for at in 0..self.records.len() {
            self.check_block(&reader, at, cancelled)?;
        }
        Ok(())
    }

    fn blocks_reader(&self) -> Result<FileReader, ScanError> {
        FileReader::open(&self.blocks, [0; 8]).map_err(|error| ScanError::unreadable(&self.blocks, error))
    }

    fn check_block(
        &self,
        reader: &FileReader,
        at: usize,
        cancelled: &AtomicBool,
    ) -> Result<BlockFacts, ScanError> {
        if cancelled.load(Ordering::Relaxed) {
            return Err(ScanError::Cancelled);
        }
        let (Some(record), Some(header)) = (self.records.get(at), self.headers.get(at)) else {
            return Err(damaged(&self.blocks, 0, "no such block"));
        };
        let height = self.first_height() + at as u32;
        let mut block = vec![0; record.size as usize];
        let is_whole = reader
            .fill(record.offset + HEAD_BYTES, &mut block)
            .map_err(|error| ScanError::unreadable(&self.blocks, error))?;
        let reason =
            |reason: &str| damaged(&self.blocks, record.offset, &format!("height {height}: {reason}"));
        if !is_whole {
            return Err(reason("the file was cut"));
        }
        check_block(&block, &BlockContext { header, height, params: &self.params })
            .map_err(|fault| reason(&fault.to_string()))
    }

    fn check_spent(&self, path: &Path, cancelled: &AtomicBool) -> Result<(), ScanError> {
        let unreadable = |error: io::Error| ScanError::unreadable(path, error);
        let blocks = self.blocks_reader()?;
        let records = self.spent_records(path)?;
        let reader = FileReader::open(path, [0; 8]).map_err(unreadable)?;
        for (at, (header, record)) in self.headers.iter().zip(records).enumerate() {
            let height = self.first_height() + at as u32;
            if height == 0 {
                continue;
            }
            let facts = self.check_block(&blocks, at, cancelled)?;
            let prev = Header::parse(header).prev;
            check_record(&reader, record, &prev, &facts.inputs, height)
                .map_err(unreadable)?
                .map_err(|fault| spent_missing(height, &fault.to_string()))?;
        }
        Ok(())
    }

    /// Walks a spent file from head to head: exactly one record for each block, but for genesis, which has an empty
    /// place here.
    pub(super) fn spent_records(&self, path: &Path) -> Result<Vec<Record>, ScanError> {
        let unreadable = |error: io::Error| ScanError::unreadable(path, error);
        let mut reader = FileReader::open(path, [0; 8]).map_err(unreadable)?;
        let (mut records, mut offset) = (Vec::with_capacity(self.records.len()), 0);
        for height in (self.first_height()..).take(self.records.len()) {
            if height == 0 {
                records.push(Record { offset: 0, size: 0 });
                continue;
            }
            let head = reader.array::<8>(offset).map_err(unreadable)?;
            let record = head.and_then(|head| record_at(offset, head, &self.params));
            let record = record
                .filter(|record| u64::from(record.size) <= MAX_UNDO_BYTES)
                .ok_or_else(|| spent_missing(height, &format!("no undo record at byte {offset}")))?;
            offset += HEAD_BYTES + u64::from(record.size) + CHECKSUM_BYTES;
            records.push(record);
        }
        if offset == reader.length() {
            return Ok(records);
        }
        let reason = if offset > reader.length() {
            format!("{} ends inside its last record", path.display())
        } else {
            format!("bytes follow its last record, at byte {offset} of {}", path.display())
        };
        Err(ScanError::SpentMissing { segment: self.segment, reason })
    }
}

fn record_at(offset: u64, head: [u8; 8], params: &Params) -> Option<Record> {
    let [m0, m1, m2, m3, s0, s1, s2, s3] = head;
    let size = u32::from_le_bytes([s0, s1, s2, s3]);
    ([m0, m1, m2, m3] == params.magic).then_some(Record { offset, size })
}

fn damaged(path: &Path, offset: u64, reason: &str) -> ScanError {
    ScanError::BlockDamaged { path: path.to_owned(), offset, reason: reason.to_owned() }
}

#[cfg(test)]
#[path = "segment_file_test.rs"]
mod tests;
