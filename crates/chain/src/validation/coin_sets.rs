//! What the sums over a chain's coins are compared with: hints of which survive, or snapshots of sets.
use super::failure::{Blame, Failure, Level, ValidationError};
use crate::encode::Hash;
use crate::headers::HeaderChain;
use crate::hints_file::HintsFile;
use crate::snapshot::{SnapshotFault, SnapshotHead, SnapshotReader};
use crate::sums::{Salt, SaltedSum};
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Coins between two looks at the flag.
const COIN_BATCH: u32 = 1 << 16;

/// What the coins left at the end are known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Survivors {
    /// A hints file, for a proof from genesis on.
    Hints(PathBuf),
    /// A UTXO snapshot of the last block.
    Snapshot(PathBuf),
}

/// What a set is proven with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetPlan {
    /// The coins at the end.
    pub survivors: Survivors,
    /// A UTXO snapshot of the block before the first, unless that is genesis.
    pub start: Option<PathBuf>,
}

impl SetPlan {
    /// The height behind the last block that the survivors are of.
    pub(super) fn end_height(&self, chain: &HeaderChain) -> Result<u32, ValidationError> {
        match &self.survivors {
            Survivors::Hints(path) => HintsFile::end_height_of(path)
                .map_err(|fault| ValidationError::Hints { path: path.clone(), fault }),
            Survivors::Snapshot(path) => {
                let head = head_of(path, chain)?;
                let found =
                    (0..chain.len()).rev().find(|height| chain.hash_at(*height) == Some(head.block_hash));
                let end = found.and_then(|height| height.checked_add(1));
                end.ok_or_else(|| foreign(path, "its block is not in this chain".into()))
            }
        }
    }
}

/// Files that were found to be of the chain and its heights.
pub(super) struct CoinSets {
    hints: Option<(PathBuf, HintsFile)>,
    end: Option<PathBuf>,
    start: Option<PathBuf>,
}

impl CoinSets {
    /// Reads hints from end to end, and the heads of snapshots.
    pub fn open(plan: &SetPlan, chain: &HeaderChain, heights: &Range<u32>) -> Result<Self, ValidationError> {
        let is_from_genesis = heights.start == 0;
        match (&plan.survivors, &plan.start, is_from_genesis) {
            (_, Some(_), true) => {
                return Err(ValidationError::Needs(
                    "a proof from genesis on starts with no coins: leave the snapshot of its start out",
                ));
            }
            (_, None, false) => {
                return Err(ValidationError::Needs(
                    "to prove `set` from a later block than genesis takes a UTXO snapshot of the block before it",
                ));
            }
            (Survivors::Hints(_), _, false) => {
                return Err(ValidationError::Needs(
                    "hints prove `set` from genesis on only: from a later block it takes a UTXO snapshot of the last block",
                ));
            }
            _ => {}
        }
        let mut sets = Self { hints: None, end: None, start: plan.start.clone() };
        match &plan.survivors {
            Survivors::Hints(path) => {
                let hints = HintsFile::open(path, heights.end)
                    .map_err(|fault| ValidationError::Hints { path: path.clone(), fault })?;
                sets.hints = Some((path.clone(), hints));
            }
            Survivors::Snapshot(path) => sets.end = Some(path.clone()),
        }
        let ends = [(&sets.end, heights.end), (&sets.start, heights.start)];
        for (path, end) in ends.into_iter().filter_map(|(path, end)| Some((path.as_ref()?, end))) {
            let last = end.saturating_sub(1);
            if chain.hash_at(last) != Some(head_of(path, chain)?.block_hash) {
                return Err(foreign(path, format!("not of block {last} of this chain")));
            }
        }
        Ok(sets)
    }

    /// The hints, and where they lie.
    pub fn hints(&self) -> Option<&(PathBuf, HintsFile)> {
        self.hints.as_ref()
    }

    /// Whether the coins of the blocks, created less spent, are what they were compared with.
    pub fn prove(
        &self,
        mut balance: SaltedSum,
        salt: &Salt,
        end_height: u32,
        cancelled: &AtomicBool,
    ) -> Result<Option<Failure>, ValidationError> {
        if let Some(start) = &self.start {
            balance.combine(sum_of(start, salt, cancelled)?);
        }
        if let Some(end) = &self.end {
            balance.remove(sum_of(end, salt, cancelled)?);
        }
        let differs = || Failure::new(Level::Set, end_height, &"sums of coins differ", Blame::Coins);
        Ok((balance != SaltedSum::default()).then(differs))
    }
}

fn foreign(path: &Path, message: String) -> ValidationError {
    ValidationError::Foreign { path: path.to_owned(), message }
}

fn open(path: &Path) -> Result<SnapshotReader<File>, ValidationError> {
    let opened = File::open(path).map_err(SnapshotFault::from).and_then(SnapshotReader::new);
    opened.map_err(|fault| ValidationError::Snapshot { path: path.to_owned(), fault })
}

fn head_of(path: &Path, chain: &HeaderChain) -> Result<SnapshotHead, ValidationError> {
    let head = *open(path)?.head();
    if head.magic != chain.params().magic {
        return Err(foreign(path, format!("not a snapshot of {}", chain.params().name)));
    }
    Ok(head)
}

/// The sum of all coins of a snapshot.
fn sum_of(path: &Path, salt: &Salt, cancelled: &AtomicBool) -> Result<SaltedSum, ValidationError> {
    let mut reader = open(path)?;
    let (mut sum, mut scratch, mut count) = (SaltedSum::default(), Vec::new(), 0u32);
    let refused = |fault| ValidationError::Snapshot { path: path.to_owned(), fault };
    while let Some((point, coin)) = reader.next_coin().map_err(refused)? {
        sum.add(salt, point, &coin, &mut scratch);
        count = (count + 1) % COIN_BATCH;
        if count == 0 && cancelled.load(Ordering::Relaxed) {
            return Err(ValidationError::Cancelled);
        }
    }
    Ok(sum)
}

/// What hints a digest over the plan takes in.
pub(super) fn digest_of(hints: Option<&(PathBuf, HintsFile)>) -> Hash {
    hints.map_or([0; 32], |(_, hints)| *hints.digest())
}
