//! Whose the undo records of a file are, found out when it is first asked.
use super::BlockIndex;
use super::error::ScanError;
use super::file::BlockFile;
use super::open_files::read_block;
use super::pairing::{Pairing, Undo};
use super::reader::FileReader;
use super::records::Record;
use super::undo_bytes::check_record;
#[cfg(not(feature = "engine"))]
use crate::encode::Hash;
use crate::undo::UndoFault;
#[cfg(not(feature = "engine"))]
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

impl BlockIndex {
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

    pub(super) fn pair_by_checksums(
        &self,
        file: &BlockFile,
        cancelled: &AtomicBool,
    ) -> Result<Arc<Undo>, ScanError> {
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
                check_record(undo, record, &prev, &facts.inputs, height)?,
                Ok(()) | Err(UndoFault::Incomplete)
            ))
        };
        let spends = |undo: &FileReader, record: Record, index: usize, height: u32| {
            let Some(frame) = file.frames.get(index) else { return Ok(None) };
            let Some(block) = read_block(&blocks, frame.record())? else { return Ok(None) };
            self.spends(&block, (frame.number, height), undo, record)
        };
        let pairing = Pairing {
            file,
            tree: &self.tree,
            key: self.key(),
            params: self.params(),
            cancelled,
            fits: &fits,
            spends: &spends,
        };
        let undo = Arc::new(pairing.run(all_bytes)?);
        if let Some(provisional) = file.undo() {
            undo.follow(&provisional, true);
        }
        file.set_undo(Arc::clone(&undo));
        Ok(undo)
    }

    /// Nobody can tell without the engine.
    #[cfg(not(feature = "engine"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "with the engine it reads and judges")]
    fn spends(&self, _: &[u8], _: (u32, u32), _: &FileReader, _: Record) -> io::Result<Option<Hash>> {
        Ok(None)
    }
}
