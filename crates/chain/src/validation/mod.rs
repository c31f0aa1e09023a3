//! The blocks of a chain validated in any order, on every core (DESIGN §2).
//!
//! Each block is judged by itself against what it spends as claimed (`validate`); the sums over all coins say whether the
//! claims are true. Blocks are taken in chunks by rising height, one at a time for each thread, and the tally of a segment
//! is kept when its last chunk is done: a kill costs what was under way. A block that fails ends the run at its height:
//! all below it are judged to the end, so that the lowest one is told. Segments may also come one by one, in any order
//! ([`Validation`]): a tally adds up whenever it comes.
//!
//! Memory: for each thread a block, its record and its coins; 36 bytes for each block where BIP 30 counts; 8 for each
//! block that hints speak of.
#[cfg(test)]
mod arriving_test;
mod block_work;
mod coin_sets;
mod failure;
#[cfg(test)]
mod forged_test;
#[cfg(test)]
mod memory_chain;
mod pass;
mod record;
#[cfg(test)]
mod tests;
#[expect(clippy::module_inception, reason = "the run is what the module is about")]
mod validation;

pub use coin_sets::{SetPlan, Survivors};
pub use failure::{Blame, Failure, Level, ValidationError};
pub use validation::Validation;

use crate::chain_records::ChainRecords;
use crate::encode::Hash;
use crate::headers::{HeaderChain, HeaderFault};
use crate::sums::SaltedSum;
use crate::u256::U256;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Threads that a run may have.
pub const MAX_THREADS: usize = 256;

/// What is to be proven of which blocks. The `chain` level always is.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The first height.
    pub first_height: u32,
    /// The height behind the last; without it the end of the hints or of the snapshot, or of what is held.
    pub end_height: Option<u32>,
    /// Every script, and all rules about coins as claimed.
    pub scripts: bool,
    /// That the claims are true.
    pub set: Option<SetPlan>,
    /// 0 stands for one a core.
    pub threads: usize,
    /// Where the run is kept, in an existing folder: a file that only the user can read.
    pub record: Option<PathBuf>,
}

/// How far a run is, those before a kill included. Read it whenever it is to be shown.
#[derive(Debug, Default)]
pub struct Progress {
    /// Blocks judged.
    pub blocks: AtomicU64,
    /// Their transactions.
    pub transactions: AtomicU64,
    /// Their inputs, the coinbases' not among them.
    pub inputs: AtomicU64,
    /// Segments, or parts of them at the ends, that are done.
    pub segments: AtomicU32,
    /// The height behind the last block; 0 until it is known.
    pub end_height: AtomicU32,
}

impl Progress {
    fn count(&self, tally: &Tally) {
        self.blocks.fetch_add(tally.blocks, Ordering::Relaxed);
        self.transactions.fetch_add(tally.transactions, Ordering::Relaxed);
        self.inputs.fetch_add(tally.inputs, Ordering::Relaxed);
    }

    /// Blocks, transactions and inputs.
    fn counts(&self) -> [u64; 3] {
        [&self.blocks, &self.transactions, &self.inputs].map(|count| count.load(Ordering::Relaxed))
    }

    fn reset(&self, counts: [u64; 3]) {
        for (count, value) in [&self.blocks, &self.transactions, &self.inputs].into_iter().zip(counts) {
            count.store(value, Ordering::Relaxed);
        }
    }
}

/// What a run has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The heights that were to be judged.
    pub heights: Range<u32>,
    /// Blocks judged, in this run and in those that it goes on from.
    pub blocks: u64,
    /// Their transactions.
    pub transactions: u64,
    /// Their inputs, the coinbases' not among them.
    pub inputs: u64,
    /// Inputs judged in this run.
    pub new_inputs: u64,
    /// The height below which every block is valid as far as was asked for.
    pub proven_end: u32,
    /// All heights whose blocks are, in order: more ranges than one while segments are missing.
    pub valid: Vec<Range<u32>>,
    /// Whether the sums over all coins are equal.
    pub set: bool,
    /// What is wrong, at the lowest height.
    pub failure: Option<Failure>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl Verdict {
    /// That a header of the chain breaks a rule: nothing was judged.
    pub fn of_header(plan: &Plan, fault: &HeaderFault) -> Self {
        let failure = Failure::new(Level::Chain, fault.height, &fault.rule, Blame::Header);
        Self {
            heights: plan.first_height..plan.end_height.unwrap_or(fault.height.saturating_add(1)),
            blocks: 0,
            transactions: 0,
            inputs: 0,
            new_inputs: 0,
            proven_end: plan.first_height,
            valid: Vec::new(),
            set: false,
            failure: Some(failure),
            warnings: Vec::new(),
        }
    }
}

/// What is added up over blocks, in any order.
#[derive(Debug, Clone, Default)]
struct Tally {
    /// Coins created less coins spent; without those that hints say survive.
    balance: SaltedSum,
    blocks: u64,
    transactions: u64,
    inputs: u64,
    /// Height and id of coinbases that BIP 30 is about.
    coinbases: Vec<(u32, Hash)>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.balance.combine(other.balance);
        self.blocks += other.blocks;
        self.transactions += other.transactions;
        self.inputs += other.inputs;
        self.coinbases.extend(other.coinbases);
    }
}

/// Validates blocks of a chain that is here. Runs long, on a pool of its own; `cancelled` ends it within an input.
pub fn validate(
    chain: &dyn ChainRecords,
    plan: &Plan,
    progress: &Arc<Progress>,
    cancelled: &Arc<AtomicBool>,
) -> Result<Verdict, ValidationError> {
    let mut validation = Validation::open(chain.headers(), &chain.heights(), plan, progress)?;
    let left = validation.left();
    validation.judge(chain, &left, cancelled)?;
    validation.finish(cancelled)
}

/// The heights that are meant: held, and at least one.
fn heights(headers: &HeaderChain, held: &Range<u32>, plan: &Plan) -> Result<Range<u32>, ValidationError> {
    let end = match (plan.end_height, &plan.set) {
        (Some(end), _) => end,
        (None, Some(set)) => set.end_height(headers)?,
        (None, None) => held.end,
    };
    let wanted = plan.first_height..end;
    if wanted.is_empty() || wanted.start < held.start || wanted.end > held.end {
        return Err(ValidationError::Heights { wanted, held: held.clone() });
    }
    Ok(wanted)
}

/// What is to be said of a chain with less work than the network's floor.
fn work_warning(chain: &HeaderChain) -> Vec<String> {
    let least = U256::from_be_bytes(&chain.params().min_chain_work);
    let text =
        "the chain has less work than the floor of its network: whether it is the real one is not proven";
    if chain.tip_work() < least { vec![text.to_owned()] } else { Vec::new() }
}
