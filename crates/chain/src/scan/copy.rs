//! Blocks of the most-work chain copied out in the order of heights, as Core's `-loadblock` reads them.
use super::BlockIndex;
use super::Found;
use super::error::ScanError;
use super::open_files::read_block;
use super::reader::FileReader;
use super::records::{HEAD_BYTES, Record};
use blockswarm_pieces::PiecesError;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Source files open at a time: neighbours in height lie in few.
const OPEN_FILES: usize = 32;
const BUFFER_BYTES: usize = 1 << 20;

impl BlockIndex {
    /// Bytes of the records of these heights; `None` when not all are held.
    pub fn records_length(&self, heights: Range<u32>) -> Option<u64> {
        let length = |height| Some(HEAD_BYTES + u64::from(self.found(height)?.frame.record().size));
        heights.map(length).sum()
    }

    /// How many of the heights the file at `path` holds already, as the records from its first byte on, each checked as
    /// a block is checked before it is published; and where the last of them ends.
    pub fn copied_blocks(
        &self,
        heights: Range<u32>,
        path: &Path,
        cancelled: &AtomicBool,
    ) -> Result<(u32, u64), ScanError> {
        let unreadable = |error| ScanError::unreadable(path, error);
        let reader = match FileReader::open(path, [0; 8]) {
            Ok(reader) => reader,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, 0)),
            Err(error) => return Err(unreadable(error)),
        };
        let (mut count, mut offset) = (0, 0);
        for height in heights {
            check(cancelled)?;
            let Some(found) = self.found(height) else { return Err(self.beyond(height)) };
            let size = found.frame.record().size;
            let mut head = [0; HEAD_BYTES as usize];
            let has_head = reader.fill(offset, &mut head).map_err(unreadable)?;
            if !has_head || head != self.head(size) {
                break;
            }
            let block = read_block(&reader, Record { offset, size }).map_err(unreadable)?;
            if block.is_none_or(|block| self.is_block(&block, &found, height).is_err()) {
                break;
            }
            count += 1;
            offset += HEAD_BYTES + u64::from(size);
        }
        Ok((count, offset))
    }

    /// Appends the records of these heights to `out`, each block checked against its header before.
    pub fn copy_blocks(
        &self,
        heights: Range<u32>,
        out: File,
        progress: &AtomicU64,
        cancelled: &AtomicBool,
    ) -> Result<(), ScanError> {
        let failed = |error: io::Error| ScanError::from(PiecesError::from(error));
        let mut out = io::BufWriter::with_capacity(BUFFER_BYTES, out);
        let mut open: BTreeMap<PathBuf, FileReader> = BTreeMap::new();
        for height in heights {
            check(cancelled)?;
            let Some(found) = self.found(height) else { return Err(self.beyond(height)) };
            let path = &found.file.pair.blocks_path;
            let unreadable = |error| ScanError::unreadable(path, error);
            if !open.contains_key(path) {
                if open.len() >= OPEN_FILES {
                    open.clear();
                }
                open.insert(path.clone(), FileReader::open(path, self.key()).map_err(unreadable)?);
            }
            let record = found.frame.record();
            let damaged = |reason: String| ScanError::BlockDamaged {
                path: path.clone(),
                offset: record.offset,
                reason: format!("height {height}: {reason}"),
            };
            let reader = open.get(path).ok_or_else(|| unreadable(io::ErrorKind::NotFound.into()))?;
            let block = read_block(reader, record).map_err(unreadable)?;
            let block = block.ok_or_else(|| damaged("the file was cut".into()))?;
            self.is_block(&block, &found, height).map_err(damaged)?;
            out.write_all(&self.head(record.size)).map_err(failed)?;
            out.write_all(&block).map_err(failed)?;
            progress.fetch_add(HEAD_BYTES + u64::from(record.size), Ordering::Relaxed);
        }
        out.flush().map_err(failed)
    }

    fn head(&self, size: u32) -> [u8; HEAD_BYTES as usize] {
        let [m0, m1, m2, m3] = self.params().magic;
        let [s0, s1, s2, s3] = size.to_le_bytes();
        [m0, m1, m2, m3, s0, s1, s2, s3]
    }

    fn is_block(&self, block: &[u8], found: &Found<'_>, height: u32) -> Result<(), String> {
        self.check_bytes(block, found.number, height).map(|_| ()).map_err(|fault| fault.to_string())
    }
}

fn check(cancelled: &AtomicBool) -> Result<(), ScanError> {
    if cancelled.load(Ordering::Relaxed) { Err(ScanError::Cancelled) } else { Ok(()) }
}
