//! A node's blocks folder, read natively and read-only: `blk*.dat`, `rev*.dat`, `xor.dat` as Core leaves them.
//!
//! Never the node's LevelDB: it is locked, and its format changes. A scan reads the head and the header of each
//! record and little more, links the headers to a tree and takes the chain with the most work. Each header has
//! met its own target, so that junk costs whoever makes it; the difficulty rules and the blocks themselves are
//! *not* judged here: Core has judged them before it stored them, and [`BlockIndex::settle`] looks again.
//!
//! An index is an unchanging picture. [`BlockIndex::rescan`] makes the next one from it and shares what did not
//! change, so that readers never wait for a scan. Memory: about 145 bytes a block.
mod archive;
mod copy;
mod error;
mod file;
mod folder;
mod hashed;
mod pairing;
mod reader;
mod records;
mod rewrite;
mod segment_file;
mod settle;
#[cfg(test)]
mod testdir;
mod tree;
mod undo_age;
mod undo_overlay;

#[cfg(test)]
mod copy_test;
#[cfg(test)]
mod core_files_test;
#[cfg(test)]
mod damage_test;
#[cfg(test)]
mod hashed_test;
#[cfg(test)]
mod prune_test;
#[cfg(test)]
mod rewrite_test;
#[cfg(test)]
mod scan_test;
#[cfg(test)]
mod undo_test;

pub use archive::BlockArchive;
pub use error::{ScanError, SkipReason, Skipped};
pub use hashed::HashedFile;
pub use rewrite::Rewritten;
pub use segment_file::SegmentFiles;
pub use undo_age::{UndoAge, undo_age};

use crate::encode::Hash;
use crate::header::HEADER_BYTES;
use crate::params::Params;
use crate::u256::U256;
use blockswarm_pieces::{FileId, Files};
use folder::Folder;
use reader::XorKey;
use records::HEAD_BYTES;
use std::path::{Path, PathBuf};
use std::sync::Arc;
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

/// All blocks of a blocks folder at one moment. Thread-safe and unchanging.
pub struct BlockIndex {
    params: Params,
    folder: Folder,
    /// The same table for all pictures of one folder: extents made earlier go on working.
    files: Arc<Files>,
    tree: Tree,
    /// Undo records of ours in place of old ones; the same place for all pictures of one folder.
    overlay: Arc<OverlaySlot>,
}

impl BlockIndex {
    /// Scans `blocks_dir`, the folder with `blk*.dat` files. Runs long on a cold disk: one read for each block.
    pub fn scan(blocks_dir: &Path, params: &Params) -> Result<Self, ScanError> {
        let folder = Folder::open(blocks_dir)?;
        Self::read(folder, params.clone(), Files::new(OPEN_FILES), &[], Arc::default())
    }

    /// The picture of now: files that have changed since (grown, written over, pruned away, new) are read again.
    pub fn rescan(&self) -> Result<Self, ScanError> {
        let folder = Folder::open(self.folder.path())?;
        // Another key is another folder.
        let known = if folder.key() == self.folder.key() { self.tree.files() } else { &[] };
        let (files, overlay) = (Arc::clone(&self.files), Arc::clone(&self.overlay));
        let next = Self::read(folder, self.params.clone(), files, known, overlay)?;
        // A handle of a file that is gone keeps its space taken; one of a file that was replaced reads old bytes.
        if self.tree.files().iter().any(|file| !next.tree.has_same(file)) {
            self.files.forget_identities();
        }
        Ok(next)
    }

    fn read(
        folder: Folder,
        params: Params,
        files: Arc<Files>,
        known: &[Arc<file::BlockFile>],
        overlay: Arc<OverlaySlot>,
    ) -> Result<Self, ScanError> {
        let scanned = folder.read(&params, &files, known)?;
        folder.refuse_missing_key(&scanned)?;
        let tree = Tree::build(scanned, &params);
        Ok(Self { params, folder, files, tree, overlay })
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
        let found = self.tree.at_height(height)?;
        Some(Tip { height, hash: found.frame.hash, work: self.tree.work })
    }

    /// The height up to which all blocks of that chain are held, genesis on; `None` without genesis.
    pub fn held_height(&self) -> Option<u32> {
        (self.tree.chain.len() as u32).checked_sub(1)
    }

    /// Hash of the block at `height` of that chain, internal order.
    pub fn hash_at(&self, height: u32) -> Option<Hash> {
        Some(self.tree.at_height(height)?.frame.hash)
    }

    /// Headers of the heights `first..end` of that chain, 80 bytes each; `None` when not all are held.
    pub fn headers(&self, first: u32, end: u32) -> Option<Vec<u8>> {
        self.tree.chain.get(first as usize..end as usize)?;
        let mut headers = Vec::with_capacity((end - first) as usize * HEADER_BYTES);
        for height in first..end {
            headers.extend_from_slice(&self.tree.at_height(height)?.frame.header);
        }
        Some(headers)
    }

    /// Where the block at `height` of that chain lies.
    pub fn location(&self, height: u32) -> Option<Location> {
        let found = self.tree.at_height(height)?;
        let record = found.frame.record();
        Some(Location {
            path: found.file.place.blocks_path.clone(),
            offset: record.offset,
            length: HEAD_BYTES + u64::from(record.size),
        })
    }

    /// Blocks that hang on genesis but not in the chain with the most work.
    pub fn stale_blocks(&self) -> u32 {
        self.tree.stale
    }

    /// Blocks without a line to genesis.
    pub fn orphans(&self) -> u32 {
        self.tree.orphans
    }

    /// Bytes of the block files that were passed over.
    pub fn skipped(&self) -> impl Iterator<Item = &Skipped> {
        self.tree.files().iter().flat_map(|file| &file.skipped)
    }

    /// What the operator should know, one line each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> =
            self.skipped().take(WARNINGS_LIMIT).map(ToString::to_string).collect();
        let more = self.skipped().count().saturating_sub(WARNINGS_LIMIT);
        if more > 0 {
            warnings.push(format!("and {more} more places where bytes were skipped"));
        }
        if self.tree.chain.is_empty() && self.tree.orphans > 0 {
            warnings.push(format!(
                "{}: {} blocks, and no genesis block below them: pruned?",
                self.path().display(),
                self.tree.orphans
            ));
        }
        warnings
    }

    /// The `blk` and `rev` files, gone or not, each with its number: in the order in which a node prunes them.
    pub fn owned_files(&self) -> impl Iterator<Item = (u32, FileId)> {
        let places = self.tree.files().iter().map(|file| &file.place);
        places.flat_map(|place| [(place.number, place.blocks_id), (place.number, place.undo_id)])
    }

    /// How many `blk` files are gone: pruned by the node.
    pub fn gone_files(&self) -> u32 {
        self.tree.files().iter().filter(|file| file.is_gone).count() as u32
    }

    /// The table of these files.
    pub fn files(&self) -> &Arc<Files> {
        &self.files
    }

    fn key(&self) -> XorKey {
        self.folder.key()
    }
}
