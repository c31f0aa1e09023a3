//! The records of one chain by height: its blocks, and what they spend as Core writes it.

use std::ops::Range;

use crate::headers::HeaderChain;
use crate::scan::ScanError;

/// Blocks and undo records of a chain whose headers were judged. Read from several threads at once, in any order;
/// nothing of what is read has been checked but what a method says.
pub trait ChainRecords: Sync {
    /// The chain, from genesis on.
    fn headers(&self) -> &HeaderChain;

    /// The heights whose blocks are held.
    fn heights(&self) -> Range<u32>;

    /// Puts the block at `height` in place of what `out` held: at most `MAX_BLOCK_BYTES`, in full serialization.
    fn read_block(&self, height: u32, out: &mut Vec<u8>) -> Result<(), ScanError>;

    /// Puts what the block at `height` spends in place of what `out` held: `CBlockUndo | checksum`, as
    /// [`read_undo`](crate::undo::read_undo) takes it, at most `MAX_UNDO_BYTES` and the checksum. Nothing for genesis.
    ///
    /// `ERR_SPENT_MISSING` when there is no such record.
    fn read_undo(&self, height: u32, out: &mut Vec<u8>) -> Result<(), ScanError>;
}
