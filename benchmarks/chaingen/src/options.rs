//! What to generate, and what cannot be.
use crate::network::Network;

/// 900 KB of outputs weigh 3.6 million units: the limit is 4 million.
pub(crate) const OPEN_BYTES_LIMIT: u32 = 900_000;
/// Most bytes of a block of the mainnet mix: nearly all are then an envelope's, which weigh one unit each.
const MIXED_BYTES_LIMIT: u32 = 3_900_000;
/// As many weigh about 3.6 million units.
const INPUTS_LIMIT: u32 = 6_000;

/// Who can spend the coins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mix {
    /// Anyone: five kinds of scripts around `OP_TRUE`, a handful of inputs a block.
    #[default]
    Open,
    /// Who has the key: P2WPKH, P2TR by key and by script, P2PKH, P2SH and P2WSH multisig, `OP_RETURN`, envelopes.
    Mainnet {
        /// Inputs aimed at for every block, up to 6,000; fewer while coins are few and where bytes do not suffice.
        inputs_per_block: u32,
    },
}

/// What becomes of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForkKind {
    /// It comes after the chain's blocks of the same heights and is never followed.
    Stale,
    /// It comes first and is followed, until the chain outgrows it by a block.
    Reorganised,
}

/// A branch that is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fork {
    /// Height of its first block.
    pub height: u32,
    /// Its blocks.
    pub depth: u32,
    /// What becomes of it.
    pub kind: ForkKind,
}

/// What to generate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Which network.
    pub network: Network,
    /// Blocks of the chain, genesis and the empty ones included: heights `0..blocks`. Those of forks come on top.
    pub blocks: u32,
    /// The last ones, with nothing but a coinbase. 2,100 outlast the two weeks above Core's assumed-valid block.
    pub empty_blocks: u32,
    /// Size aimed at for every other block but genesis: up to 900,000, of the mainnet mix 3,900,000 (blocks to
    /// height 100 have no coins to spend and stay at 900,000).
    pub bytes_per_block: u32,
    /// Who can spend.
    pub mix: Mix,
    /// Another seed is another chain.
    pub seed: u64,
    /// Branches by height; they may not overlap, nor touch genesis or the last block.
    pub forks: Vec<Fork>,
    /// Threads that sign and grind. The chain is the same with any number.
    pub threads: usize,
}

impl Default for Options {
    /// Three sealed segments of regtest and some more on top, blocks files of about 15 MiB.
    fn default() -> Self {
        Self {
            network: Network::Regtest,
            blocks: 600,
            empty_blocks: 0,
            bytes_per_block: 110_000,
            mix: Mix::Open,
            seed: 0,
            forks: Vec::new(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// Options out of range.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// A block would be too heavy.
    #[error("bytes per block: at most {limit} expected, got {given}")]
    Bytes {
        /// The most that this mix can have.
        limit: u32,
        /// What was asked for.
        given: u32,
    },
    /// A block would be too heavy.
    #[error("inputs per block: at most {INPUTS_LIMIT} expected, got {0}")]
    Inputs(u32),
    /// A fork at genesis, without blocks, over another, or reaching the last block.
    #[error(
        "fork of {} at height {}: forks begin above genesis, end before the last block, and do not overlap",
        .0.depth, .0.height
    )]
    Fork(Fork),
    /// The keys could not be derived.
    #[error("keys: {0}")]
    Keys(#[from] secp256k1::Error),
}

impl Options {
    /// Refuses what cannot be made; forks are put in order.
    pub(crate) fn checked(mut self) -> Result<Self, OptionsError> {
        let limit = match self.mix {
            Mix::Open => OPEN_BYTES_LIMIT,
            Mix::Mainnet { inputs_per_block } if inputs_per_block > INPUTS_LIMIT => {
                return Err(OptionsError::Inputs(inputs_per_block));
            }
            Mix::Mainnet { .. } => MIXED_BYTES_LIMIT,
        };
        if self.bytes_per_block > limit {
            return Err(OptionsError::Bytes { limit, given: self.bytes_per_block });
        }
        self.forks.sort_unstable_by_key(|fork| fork.height);
        let mut free = 1;
        for fork in &self.forks {
            let end = fork.height.checked_add(fork.depth).filter(|end| *end < self.blocks);
            let Some(end) = end.filter(|_| fork.height >= free && fork.depth > 0) else {
                return Err(OptionsError::Fork(*fork));
            };
            // The block that decides between the branches is not the first of the next fork.
            free = end + 1;
        }
        self.threads = self.threads.max(1);
        Ok(self)
    }
}
