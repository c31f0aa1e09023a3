//! The files of one segment while they are read.
use super::BlockIndex;
use super::error::ScanError;
use super::reader::FileReader;
use super::records::{HEAD_BYTES, Record};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Some dozens at most, and the block that was read last.
#[derive(Default)]
pub(super) struct OpenFiles {
    files: BTreeMap<PathBuf, FileReader>,
    block: Vec<u8>,
}

impl OpenFiles {
    pub fn get(&mut self, index: &BlockIndex, path: &Path) -> Result<&FileReader, ScanError> {
        if !self.files.contains_key(path) {
            self.files.insert(path.to_owned(), index.open_file(path)?);
        }
        self.files.get(path).ok_or_else(|| ScanError::unreadable(path, io::ErrorKind::NotFound.into()))
    }

    /// The bytes of a block; `None` when the file ends before.
    pub fn block(
        &mut self,
        index: &BlockIndex,
        path: &Path,
        record: Record,
    ) -> Result<Option<&[u8]>, ScanError> {
        let mut block = std::mem::take(&mut self.block);
        block.resize(record.size as usize, 0);
        let filled = self.get(index, path)?.fill(record.offset + HEAD_BYTES, &mut block);
        self.block = block;
        let is_whole = filled.map_err(|error| ScanError::unreadable(path, error))?;
        Ok(is_whole.then_some(&self.block))
    }
}

impl BlockIndex {
    /// One of the node's files, or the overlay.
    pub(super) fn open_file(&self, path: &Path) -> Result<FileReader, ScanError> {
        let is_own = self.overlay.get().is_some_and(|overlay| overlay.path == path);
        let key = if is_own { [0; 8] } else { self.key() };
        FileReader::open(path, key).map_err(|error| ScanError::unreadable(path, error))
    }
}

/// A block's bytes; `None` when the file ends before.
pub(super) fn read_block(reader: &FileReader, record: Record) -> io::Result<Option<Vec<u8>>> {
    let mut block = vec![0; record.size as usize];
    Ok(reader.fill(record.offset + HEAD_BYTES, &mut block)?.then_some(block))
}
