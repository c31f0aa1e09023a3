//! The coins that a chain leaves: which outputs survive (hints), the coins themselves (a snapshot), and which block and
//! coin it was when the sums of created and spent coins differ.
//!
//! All of it is one pass over the blocks in any order, on all cores, or a few, in bounded memory; what does not fit lies
//! in the scratch folder meanwhile, in files without a name. Blocks are what their headers commit to; what they spend is
//! believed only as far as it agrees with what was created. That a block spends nothing before its own transactions
//! create it is for [`validate`](crate::validate) to check.

mod culprit;
mod error;
mod facts;
mod hints;
mod ledger;
mod search;
mod segment_sums;
mod snapshot;
mod suspects;
#[cfg(test)]
mod tests;
mod totals;
mod walk;
mod whole_file;

pub use culprit::{Cause, CoinField, Culprit};
pub use error::CoinSetError;
pub use hints::{HintsMade, make_hints, make_hints_of_snapshot};
pub use search::find_culprits;
pub use segment_sums::{differing_segments, make_sums};
pub use snapshot::{SnapshotMade, make_snapshot};
pub use totals::{SetTotals, read_totals};

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::chain_records::ChainRecords;
use crate::coins::{Coin, OutPoint};
use crate::snapshot::SnapshotReader;

/// Blocks that are worked on between two looks at a file that is read in their order.
const BATCH_BLOCKS: u32 = 256;

/// What every job over the coins of a chain works with.
#[derive(Clone, Copy)]
pub struct CoinSetJob<'a> {
    /// The chain.
    pub records: &'a dyn ChainRecords,
    /// An existing folder for what does not fit into memory.
    pub scratch: &'a Path,
    /// Memory for rows that are to be sorted.
    pub memory_bytes: usize,
    /// At least 1.
    pub threads: usize,
    /// Counts heights that were read; each pass counts its own.
    pub progress: &'a AtomicU64,
    /// Ends the job, with nothing left behind.
    pub cancelled: &'a AtomicBool,
}

/// Blocks whose coins are to add up.
#[derive(Debug, Clone)]
pub struct CoinRange<'a> {
    /// The blocks.
    pub heights: Range<u32>,
    /// A snapshot of the coins that were there before the first of them, when that is not genesis.
    pub start: Option<&'a Path>,
    /// What is left behind the last.
    pub end: EndCoins<'a>,
}

/// Who says which coins are left.
#[derive(Debug, Clone, Copy)]
pub enum EndCoins<'a> {
    /// Nobody: whatever is not spent.
    Unspent,
    /// A hints file; the blocks begin with genesis.
    Hints(&'a Path),
    /// A snapshot file.
    Snapshot(&'a Path),
}

impl<'a> EndCoins<'a> {
    fn snapshot(self) -> Option<&'a Path> {
        match self {
            Self::Snapshot(path) => Some(path),
            Self::Unspent | Self::Hints(_) => None,
        }
    }
}

impl CoinSetJob<'_> {
    /// Of each run: one is filled while every thread sorts another.
    fn run_bytes(&self) -> usize {
        self.memory_bytes / (self.threads + 1)
    }

    fn check_cancelled(&self) -> Result<(), CoinSetError> {
        if self.cancelled.load(Ordering::Relaxed) { Err(CoinSetError::Cancelled) } else { Ok(()) }
    }

    /// Shows all coins of a snapshot.
    fn read_snapshot(
        &self,
        path: &Path,
        mut take: impl FnMut(OutPoint<'_>, &Coin<'_>) -> Result<(), CoinSetError>,
    ) -> Result<(), CoinSetError> {
        let failed = CoinSetError::snapshot(path);
        let file = File::open(path).map_err(CoinSetError::io(path))?;
        let mut reader = SnapshotReader::new(file).map_err(&failed)?;
        while let Some((point, coin)) = reader.next_coin().map_err(&failed)? {
            self.check_cancelled()?;
            take(point, &coin)?;
        }
        Ok(())
    }
}
