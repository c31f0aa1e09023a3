//! A node's blocks folder, read natively and read-only: `blk*.dat`, `rev*.dat`, `xor.dat` as Core leaves them.
//!
//! Never the node's LevelDB: it is locked, and its format changes. A scan reads the head and the header of each
//! record and little more, links the headers to a tree and takes the chain with the most work. Each header has
//! met its own target, so that junk costs whoever makes it; the difficulty rules and the blocks themselves are
//! *not* judged here: Core has judged them before it stored them, and [`BlockIndex::settle`] looks again.
//!
//! An index is an unchanging picture. [`BlockIndex::rescan`] makes the next one from it and shares what did not
//! change, so that readers never wait for a scan. Memory: less than 100 bytes a block with a store, 44 more without.
mod archive;
mod by_hash;
mod checked;
mod chunks;
mod copy;
mod error;
mod file;
mod file_undo;
mod folder;
mod follow;
mod hashed;
mod lost;
mod node_records;
mod open_files;
mod pairing;
mod places;
mod reader;
mod recent_inputs;
mod records;
mod rests;
mod rewrite;
mod segment_file;
mod segment_records;
mod settle;
#[cfg(feature = "engine")]
mod siblings;
mod store;
#[cfg(test)]
mod testdir;
mod tree;
mod undo_age;
mod undo_bytes;
mod undo_overlay;
mod undo_search;
mod walk;

#[cfg(test)]
mod copy_test;
#[cfg(test)]
mod core_files_test;
#[cfg(test)]
mod damage_test;
#[cfg(test)]
mod follow_test;
#[cfg(test)]
mod hashed_test;
#[cfg(test)]
mod lost_test;
#[cfg(test)]
mod prune_test;
#[cfg(test)]
mod rewrite_test;
#[cfg(test)]
mod scan_test;
#[cfg(test)]
mod store_test;
#[cfg(test)]
mod undo_test;

pub use archive::BlockArchive;
pub use error::{ScanError, SkipReason, Skipped};
pub use follow::Changes;
pub use hashed::HashedFile;
pub use node_records::NodeRecords;
pub use rewrite::Rewritten;
pub use segment_file::SegmentFiles;
pub use segment_records::SegmentRecords;
pub use undo_age::{UndoAge, undo_age};

use crate::encode::Hash;
use crate::header::{HEADER_BYTES, RawHeader, block_hash};
use crate::params::Params;
use crate::u256::U256;
use blockswarm_pieces::{FileId, Files};
use file::{BlockFile, Frame};
use folder::Folder;
use reader::{FileReader, XorKey};
use recent_inputs::RecentInputs;
use records::HEAD_BYTES;
use rests::Rests;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use store::{HeaderRow, IndexStore};
use tree::Tree;
use undo_overlay::OverlaySlot;

/// Block files kept open for serving: a node of today has some ten thousand, a process often 1,024 handles.
const OPEN_FILES: usize = 256;
/// Warnings told one by one; the rest is counted.
const WARNINGS_LIMIT: usize = 100;

/// The block at the end of the chain with the most work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// Its height.
    pub height: u32,
    /// Its hash, internal order.
    pub hash: Hash,
    /// Work of the chain up to it.
    pub work: U256,
}

/// Where a block's record lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The `blk` file.
    pub path: PathBuf,
    /// Where the record's head (`magic | size`) starts.
    pub offset: u64,
    /// Bytes of the record, head included.
    pub length: u64,
}

/// All blocks of a blocks folder at one moment. Thread-safe and unchanging; a clone costs little.
#[derive(Clone)]
pub struct BlockIndex {
    params: Arc<Params>,
    folder: Folder,
    /// The same table for all pictures of one folder: extents made earlier go on working.
    files: Arc<Files>,
    tree: Tree,
    /// Undo records of ours in place of old ones; the same place for all pictures of one folder.
    overlay: Arc<OverlaySlot>,
    /// In the order of their numbers.
    block_files: Arc<Vec<Arc<BlockFile>>>,
    rests: Rests,
    /// The last block of the chain that had so many behind it, at some time, that no node forgets it.
    deep: Option<u32>,
    store: Option<Arc<IndexStore>>,
    /// Of the segment whose blocks were checked last; the same place for all pictures of one folder.
    recent_inputs: Arc<RecentInputs>,
    /// Nothing was looked at since it was read from the store.
    is_restored: bool,
    /// Which of the older files are looked at next.
    sweep: Arc<AtomicUsize>,
}

/// A block of the chain, found by its height.
struct Found<'a> {
    number: u32,
    file: &'a Arc<BlockFile>,
    /// Which of the file's records it is.
    index: usize,
    frame: &'a Frame,
}

impl BlockIndex {
    /// Scans `blocks_dir`, the folder with `blk*.dat` files. Runs long on a cold disk: one read for each block.
    pub fn scan(blocks_dir: &Path, params: &Params) -> Result<Self, ScanError> {
        Self::open(blocks_dir, params, None)
    }

    /// The same, with what an earlier run has kept in the file `store`: only what has changed since is read. A file that
    /// is damaged, or of another folder, is begun anew; see [`Self::warnings`]. One process at a time.
    pub fn scan_kept(blocks_dir: &Path, params: &Params, store: &Path) -> Result<Self, ScanError> {
        Self::open(blocks_dir, params, Some(store))
    }

    fn open(blocks_dir: &Path, params: &Params, store: Option<&Path>) -> Result<Self, ScanError> {
        let mut index = Self::blank(blocks_dir, params, store)?;
        index.restore();
        Ok(index.rescan()?.0)
    }

    fn blank(blocks_dir: &Path, params: &Params, store: Option<&Path>) -> Result<Self, ScanError> {
        let folder = Folder::open(blocks_dir)?;
        Ok(Self {
            params: Arc::new(params.clone()),
            tree: Tree::new(params.genesis_hash),
            folder,
            files: Files::new(OPEN_FILES),
            block_files: Arc::default(),
            rests: Rests::default(),
            deep: None,
            store: store.map(|path| Arc::new(IndexStore::new(path))),
            overlay: Arc::default(),
            recent_inputs: Arc::default(),
            is_restored: false,
            sweep: Arc::default(),
        })
    }

    /// The network's values.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The folder that was scanned.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The key that a reader of the files needs, unless they are plain.
    pub fn xor_key(&self) -> Option<[u8; 8]> {
        Some(self.folder.key()).filter(|key| *key != [0; 8])
    }

    /// The end of the chain with the most work; `None` without genesis.
    pub fn tip(&self) -> Option<Tip> {
        let height = self.held_height()?;
        Some(Tip { height, hash: self.hash_at(height)?, work: self.tree.work })
    }

    /// The height up to which all blocks of that chain are held, genesis on; `None` without genesis.
    pub fn held_height(&self) -> Option<u32> {
        self.tree.chain_length().checked_sub(1)
    }

    /// Hash of the block at `height` of that chain, internal order.
    pub fn hash_at(&self, height: u32) -> Option<Hash> {
        self.tree.hash(self.tree.at_height(height)?)
    }

    /// Headers of the heights `first..end` of that chain, 80 bytes each; `None` when not all are held.
    pub fn headers(&self, first: u32, end: u32) -> Option<Vec<u8>> {
        let count = end.checked_sub(first).filter(|_| end <= self.tree.chain_length())?;
        let mut headers = Vec::with_capacity(count as usize * HEADER_BYTES);
        let mut row = HeaderRow::default();
        for height in first..end {
            headers.extend_from_slice(&self.header(self.tree.at_height(height)?, &mut row)?);
        }
        Some(headers)
    }

    /// A header: from memory, from the store, or from the block file.
    fn header(&self, number: u32, row: &mut HeaderRow) -> Option<RawHeader> {
        let hash = self.tree.hash(number)?;
        let is_it = |header: &RawHeader| block_hash(header) == hash;
        let (prev, bits) = (self.tree.parent_hash(number)?, self.tree.bits(number)?);
        let known = self.rests.header(number, prev, bits);
        let kept = || self.store.as_ref()?.header(number, row).filter(is_it);
        known.or_else(kept).or_else(|| {
            let place = self.tree.place(number)?;
            let file = self.block_file(place.file)?;
            let offset = file.frames.get(place.index as usize)?.record().offset + HEAD_BYTES;
            let reader = FileReader::open(&file.pair.blocks_path, self.key()).ok()?;
            let mut header = [0; HEADER_BYTES];
            reader.fill(offset, &mut header).ok().filter(|filled| *filled && is_it(&header)).map(|_| header)
        })
    }

    fn found(&self, height: u32) -> Option<Found<'_>> {
        let number = self.tree.at_height(height)?;
        let place = self.tree.place(number)?;
        let (file, index) = (self.block_file(place.file)?, place.index as usize);
        Some(Found { number, file, index, frame: file.frames.get(index)? })
    }

    fn block_file(&self, number: u32) -> Option<&Arc<BlockFile>> {
        let at = self.block_files.binary_search_by_key(&number, |file| file.pair.number).ok()?;
        self.block_files.get(at)
    }

    /// Where the block at `height` of that chain lies.
    pub fn location(&self, height: u32) -> Option<Location> {
        let found = self.found(height)?;
        let record = found.frame.record();
        Some(Location {
            path: found.file.pair.blocks_path.clone(),
            offset: record.offset,
            length: HEAD_BYTES + u64::from(record.size),
        })
    }

    /// Blocks that hang on genesis but not in the chain with the most work.
    pub fn stale_blocks(&self) -> u32 {
        self.tree.stale()
    }

    /// Blocks without a line to genesis.
    pub fn orphans(&self) -> u32 {
        self.tree.orphans()
    }

    /// Bytes of the block files that were passed over.
    pub fn skipped(&self) -> impl Iterator<Item = &Skipped> {
        self.block_files.iter().flat_map(|file| file.skipped.iter())
    }

    /// What the operator should know, one line each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> =
            self.skipped().take(WARNINGS_LIMIT).map(ToString::to_string).collect();
        let more = self.skipped().count().saturating_sub(WARNINGS_LIMIT);
        if more > 0 {
            warnings.push(format!("and {more} more places where bytes were skipped"));
        }
        warnings.extend(self.store.iter().flat_map(|store| store.warnings()));
        if self.tip().is_none() && self.orphans() > 0 {
            warnings.push(format!(
                "{}: {} blocks, and no genesis block below them: pruned?",
                self.path().display(),
                self.orphans()
            ));
        }
        warnings
    }

    /// The `blk` and `rev` files, gone or not, each with its number: in the order in which a node prunes them.
    pub fn owned_files(&self) -> impl Iterator<Item = (u32, FileId)> {
        let pairs = self.block_files.iter().map(|file| &file.pair);
        pairs.flat_map(|pair| [(pair.number, pair.blocks_id), (pair.number, pair.undo_id)])
    }

    /// How many `blk` files are gone: pruned by the node.
    pub fn gone_files(&self) -> u32 {
        self.block_files.iter().filter(|file| file.is_gone).count() as u32
    }

    /// The table of these files.
    pub fn files(&self) -> &Arc<Files> {
        &self.files
    }

    /// Keeps what is new in the store, and lets go of it. A later rescan opens it again.
    pub fn close(&self) {
        self.clone().save();
        self.store.iter().for_each(|store| store.close());
    }

    /// Bytes of memory that grow with the number of blocks, without what the store's file caches (4 MiB at most).
    #[cfg(test)]
    fn memory_bytes(&self) -> usize {
        let of_file = |file: &Arc<BlockFile>| {
            let undos = [file.undo(), file.earlier_undo()].into_iter().flatten();
            let undo: usize = undos.map(|undo| size_of_val(undo.slots())).sum();
            size_of::<BlockFile>()
                + 2 * file.pair.blocks_path.capacity()
                + size_of_val(&*file.frames)
                + file.checked.memory_bytes()
                + undo
        };
        let files: usize = self.block_files.iter().map(of_file).sum();
        self.tree.memory_bytes() + self.rests.memory_bytes() + files
    }

    fn key(&self) -> XorKey {
        self.folder.key()
    }
}
