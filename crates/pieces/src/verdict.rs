//! What came of a piece: passed, failed or lost, and through whom.

use std::io;

use crate::PieceIndex;

/// How a finished piece was judged.
#[derive(Debug)]
pub enum PieceOutcome {
    /// It passed, was written, and is servable.
    Good,
    /// It failed and was thrown away.
    Bad,
    /// It could not be kept: the disk is full or broken (`StorageFull`, …), the store was moved meanwhile, or
    /// the torrent's v1 and v2 hashes contradict each other (`InvalidData`). Thrown away, nobody is to blame
    /// for it; it can be fetched again.
    Io(io::Error),
    /// Of a piece that failed before: its leaves are known now, and so is who sent bad ones.
    Blamed,
}

/// The end of a piece's assembly.
#[derive(Debug)]
pub struct PieceVerdict {
    /// Which piece.
    pub piece: PieceIndex,
    /// How it was judged.
    pub outcome: PieceOutcome,
    /// Everybody who sent a block of it, ascending.
    pub senders: Vec<u64>,
    /// Those proven to have sent wrong bytes, in this attempt or an earlier one of this piece, ascending.
    pub culprits: Vec<u64>,
}
