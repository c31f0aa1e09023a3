//! What can be wrong with a blocks directory: errors end the scan, warnings are told beside its result.
use crate::undo::UndoFault;
use blockswarm_pieces::PiecesError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A blocks directory that cannot be used, or a part of it that was asked for and is not there.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// No `blk*.dat` file in the folder.
    #[error("no blk*.dat file in {}; expected the blocks folder of a Bitcoin Core data directory", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// No block in btcd's files or a `bootstrap.dat`.
    #[error("no block of the network in {}; expected btcd's blocks_ffldb/*.fdb, or a bootstrap.dat", path.display())]
    NoArchive {
        /// The folder or file.
        path: PathBuf,
    },
    /// A file or folder that cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// `xor.dat` does not hold exactly 8 bytes.
    #[error("the XOR key {} has {length} bytes, expected 8", path.display())]
    XorKeyLength {
        /// The key's file.
        path: PathBuf,
        /// Its length in bytes.
        length: u64,
    },
    /// There is data, there is no `xor.dat`, and not one block record is found.
    #[error("no block record found in {}, and {} is missing: copy it from the node's blocks folder", file.display(), path.display())]
    XorKeyMissing {
        /// Where the key should be.
        path: PathBuf,
        /// The first file in which nothing was found.
        file: PathBuf,
    },
    /// There is data, and not one block record is found with the key of `xor.dat`.
    #[error("no block record found in {} with the key {}: it is another node's", file.display(), path.display())]
    XorKeyWrong {
        /// The key's file.
        path: PathBuf,
        /// The first file in which nothing was found.
        file: PathBuf,
    },
    /// A file begins with a block of another network.
    #[error("{} holds blocks of {found}, expected {expected}", path.display())]
    NetworkMismatch {
        /// The file.
        path: PathBuf,
        /// Name of the network asked for.
        expected: String,
        /// Name of the network found, or its magic when no name is known.
        found: String,
    },
    /// No sealed segment of that number.
    #[error("segment {segment} is not sealed: {sealed} segments are")]
    SegmentRange {
        /// The segment asked for.
        segment: u32,
        /// Sealed segments.
        sealed: u32,
    },
    /// The segment's spent outputs are not wholly in the undo files, or not usable.
    #[error("segment {segment} has no spent file: {reason}")]
    SpentMissing {
        /// The segment asked for.
        segment: u32,
        /// Which block, and what is wrong.
        reason: String,
    },
    /// The segment's spent outputs are there as Core before 0.15 wrote them: without the heights of some coins.
    #[error("segment {segment} has no spent file: {reason}")]
    OldUndo {
        /// The segment asked for.
        segment: u32,
        /// Which block.
        reason: String,
    },
    /// A block's bytes do not belong to its header: the disk has changed them.
    #[error("{}: the block at byte {offset} is damaged: {reason}", path.display())]
    BlockDamaged {
        /// The file.
        path: PathBuf,
        /// Where the record starts in the file.
        offset: u64,
        /// What the block breaks.
        reason: String,
    },
    /// The node has deleted the file.
    #[error("the block at height {height} was pruned: {} is gone", path.display())]
    Pruned {
        /// The `blk` file that was.
        path: PathBuf,
        /// The block's height.
        height: u32,
    },
    /// The table of files is full.
    #[error(transparent)]
    Pieces(#[from] PiecesError),
    /// The caller's flag was raised.
    #[error("cancelled")]
    Cancelled,
}

impl ScanError {
    /// The code under which TypeScript knows the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty { .. } | Self::NoArchive { .. } => "ERR_DATADIR_EMPTY",
            Self::Unreadable { .. } => "ERR_DATADIR_UNREADABLE",
            Self::XorKeyLength { .. } | Self::XorKeyMissing { .. } | Self::XorKeyWrong { .. } => {
                "ERR_XOR_KEY"
            }
            Self::NetworkMismatch { .. } => "ERR_NETWORK_MISMATCH",
            Self::SegmentRange { .. } => "ERR_SEGMENT_RANGE",
            Self::SpentMissing { .. } => "ERR_SPENT_MISSING",
            Self::OldUndo { .. } => "ERR_UNDO_OLD",
            Self::BlockDamaged { .. } => "ERR_BLOCK_DAMAGED",
            Self::Pruned { .. } => "ERR_BLOCK_PRUNED",
            Self::Pieces(error) => error.code(),
            Self::Cancelled => "ERR_INTERRUPTED",
        }
    }

    /// Whether it says that bytes are not, or not any more, what the chain says: nothing is wrong beyond them.
    pub(super) fn is_of_bytes(&self) -> bool {
        matches!(self, Self::BlockDamaged { .. } | Self::SpentMissing { .. } | Self::Pruned { .. })
    }

    pub(super) fn unreadable(path: &Path, cause: io::Error) -> Self {
        Self::Unreadable { path: path.to_owned(), cause }
    }
}

pub(super) fn spent_missing(height: u32, reason: &str) -> ScanError {
    ScanError::SpentMissing { segment: 0, reason: format!("block {height}: {reason}") }
}

pub(super) fn unusable(height: u32, fault: &UndoFault) -> ScanError {
    match fault {
        UndoFault::Incomplete => {
            ScanError::OldUndo { segment: 0, reason: format!("block {height}: {fault}") }
        }
        _ => spent_missing(height, &fault.to_string()),
    }
}

pub(super) fn in_segment(error: ScanError, segment: u32) -> ScanError {
    match error {
        ScanError::SpentMissing { reason, .. } => ScanError::SpentMissing { segment, reason },
        ScanError::OldUndo { reason, .. } => ScanError::OldUndo { segment, reason },
        other => other,
    }
}

/// Why bytes of a file were passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// They are no record at all.
    Garbage,
    /// A record of that length, out of bounds.
    Length(u32),
    /// A header whose hash does not meet its own target, or whose target is above the network's limit.
    ProofOfWork,
    /// A record that is not whole.
    Torn,
}

impl SkipReason {
    /// As a store keeps it: a number, and a length where it has one.
    pub(super) fn code(self) -> (u32, u32) {
        match self {
            Self::Garbage => (0, 0),
            Self::Length(length) => (1, length),
            Self::ProofOfWork => (2, 0),
            Self::Torn => (3, 0),
        }
    }

    /// `None` for a number that is no reason's.
    pub(super) fn of_code(code: u32, length: u32) -> Option<Self> {
        let known = [Self::Garbage, Self::Length(length), Self::ProofOfWork, Self::Torn];
        known.get(code as usize).copied()
    }
}

/// Bytes of a block file that were passed over, as Core's own reindex does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The file.
    pub path: PathBuf,
    /// First byte passed over.
    pub first: u64,
    /// End of the bytes passed over.
    pub end: u64,
    /// Why, as seen at the first byte.
    pub reason: SkipReason,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, first, end, reason } = self;
        write!(f, "{}: skipped bytes {first} to {end}: ", path.display())?;
        match reason {
            SkipReason::Garbage => write!(f, "no block record"),
            SkipReason::Length(length) => write!(f, "a record of {length} bytes, expected 80 to 4000000"),
            SkipReason::ProofOfWork => write!(f, "a header without proof of work"),
            SkipReason::Torn => write!(f, "a record that is not whole"),
        }
    }
}
