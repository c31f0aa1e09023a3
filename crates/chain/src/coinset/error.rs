//! Why a job over the coins of a chain gave nothing.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::block::BlockFault;
use crate::hints::HintsFault;
use crate::scan::ScanError;
use crate::snapshot::SnapshotFault;
use crate::sums::SumsFault;
use crate::undo::UndoFault;

use super::Culprit;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum CoinSetError {
    /// A block or undo record cannot be read.
    #[error(transparent)]
    Records(#[from] ScanError),
    /// Bytes that are not the block of that height.
    #[error("block {height}: {fault}")]
    Block {
        /// Its height.
        height: u32,
        /// What is wrong.
        fault: BlockFault,
    },
    /// Bytes that are not what the block of that height spends.
    #[error("the undo record of block {height}: {fault}")]
    Undo {
        /// Its height.
        height: u32,
        /// What is wrong.
        fault: UndoFault,
    },
    /// A block that is not held.
    #[error("block {asked} is not held: the blocks {} to {} are", held.start, held.end.saturating_sub(1))]
    BeyondChain {
        /// Its height.
        asked: u32,
        /// The heights that are.
        held: Range<u32>,
    },
    /// A hints file that is none, or not for these blocks.
    #[error("{}: {fault}", path.display())]
    Hints {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: HintsFault,
    },
    /// Hints for other heights.
    #[error("{} tells of the blocks up to {found}, wanted are those up to {wanted}", path.display())]
    HintsHeight {
        /// The file.
        path: PathBuf,
        /// The last block that it tells of.
        found: u32,
        /// The last block wanted.
        wanted: u32,
    },
    /// A snapshot file that is none.
    #[error("{}: {fault}", path.display())]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: SnapshotFault,
    },
    /// A file of sums that is none.
    #[error("{}: {fault}", path.display())]
    Sums {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: SumsFault,
    },
    /// Coins that do not add up: at most ten, the lowest height first.
    #[error("{}", .0.first().map_or("the coins do not add up".into(), ToString::to_string))]
    Culprits(Vec<Culprit>),
    /// A file of ours cannot be read or written.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The caller's flag was raised.
    #[error("cancelled")]
    Cancelled,
}

impl CoinSetError {
    /// The code under which TypeScript knows the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Records(error) => error.code(),
            Self::Block { .. } => "ERR_BLOCK_DAMAGED",
            Self::Undo { fault: UndoFault::Incomplete, .. } => "ERR_UNDO_OLD",
            Self::Undo { .. } => "ERR_SPENT_MISSING",
            Self::BeyondChain { .. } => "ERR_SEGMENT_RANGE",
            Self::Hints { fault: HintsFault::Io(cause), .. }
            | Self::Snapshot { fault: SnapshotFault::Io(cause), .. }
            | Self::Sums { fault: SumsFault::Io(cause), .. }
            | Self::Io { cause, .. } => io_code(cause),
            Self::Hints { .. } | Self::HintsHeight { .. } => "ERR_HINTS",
            Self::Snapshot { .. } => "ERR_SNAPSHOT",
            Self::Sums { .. } => "ERR_SUMS",
            Self::Culprits(_) => "ERR_COINS",
            Self::Cancelled => "ERR_INTERRUPTED",
        }
    }

    /// Of a file or folder.
    pub(super) fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        move |cause| Self::Io { path: path.to_owned(), cause }
    }

    /// Of a hints file.
    pub(super) fn hints(path: &Path) -> impl Fn(HintsFault) -> Self {
        move |fault| Self::Hints { path: path.to_owned(), fault }
    }

    /// Of a sums file.
    pub(super) fn sums(path: &Path) -> impl Fn(SumsFault) -> Self {
        move |fault| Self::Sums { path: path.to_owned(), fault }
    }

    /// Of a snapshot file.
    pub(super) fn snapshot(path: &Path) -> impl Fn(SnapshotFault) -> Self {
        move |fault| Self::Snapshot { path: path.to_owned(), fault }
    }
}

fn io_code(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "ERR_DISK_FULL",
        _ => "ERR_IO",
    }
}
