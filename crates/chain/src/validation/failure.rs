//! What a run found wrong, and what keeps it from finding out.

use crate::block::BlockFault;
use crate::encode::Hash;
use crate::hints::HintsFault;
use crate::scan::ScanError;
use crate::snapshot::SnapshotFault;
use crate::undo::UndoFault;
use crate::validate::{Refusal, ScriptFault, Violation};
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

/// What is proven of blocks (DESIGN §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The bytes are what proof of work commits to.
    Chain,
    /// Every rule, if what is spent is as claimed.
    Scripts,
    /// What is spent is as claimed.
    Set,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chain => "chain",
            Self::Scripts => "scripts",
            Self::Set => "set",
        })
    }
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The block's bytes are not what its header commits to: its keeper's fault, not the chain's.
    Bytes,
    /// The block record that the chain commits to breaks a rule, if what it spends is as claimed.
    Block,
    /// What the block is said to spend cannot be that.
    SpentRecord,
    /// A header.
    Header,
    /// The hints.
    Hints,
    /// Spent records, or the hints or snapshot that they were compared with: they contradict each other.
    Coins,
}

impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes => "bytes",
            Self::Block => "block",
            Self::SpentRecord => "spent-record",
            Self::Header => "header",
            Self::Hints => "hints",
            Self::Coins => "coins",
        })
    }
}

/// Why a chain is not proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The level that is not.
    pub level: Level,
    /// Where; when sums differ, the height behind the last block.
    pub height: u32,
    /// Core's reject reason where Core has one.
    pub reason: String,
    /// The transaction, internal order.
    pub txid: Option<Hash>,
    /// Its input.
    pub input: Option<u32>,
    /// What is wrong.
    pub blame: Blame,
}

impl Failure {
    pub(super) fn new(level: Level, height: u32, reason: &impl ToString, blame: Blame) -> Self {
        Self { level, height, reason: reason.to_string(), txid: None, input: None, blame }
    }

    pub(super) fn of_violation(violation: &Violation) -> Self {
        let Violation { rule, height, txid, input } = *violation;
        Self { txid, input, ..Self::new(Level::Scripts, height, &rule, Blame::Block) }
    }
}

/// Why a run came to no verdict.
#[derive(Debug, thiserror::Error)]
pub enum ValidationError {
    /// Blocks or what they spend cannot be read.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// Not all heights are held.
    #[error("heights {} to {} are not all held: {} to {} are", wanted.start, wanted.end, held.start, held.end)]
    Heights {
        /// Asked for, half-open.
        wanted: Range<u32>,
        /// Held, half-open.
        held: Range<u32>,
    },
    /// Hints that cannot be used.
    #[error("{}: {fault}", path.display())]
    Hints {
        /// Their file.
        path: PathBuf,
        /// What is wrong.
        fault: HintsFault,
    },
    /// A snapshot that cannot be used.
    #[error("{}: {fault}", path.display())]
    Snapshot {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        fault: SnapshotFault,
    },
    /// A snapshot of another chain or height.
    #[error("{}: {message}", path.display())]
    Foreign {
        /// Its file.
        path: PathBuf,
        /// What it is of.
        message: String,
    },
    /// A set cannot be proven with what was given.
    #[error("{0}")]
    Needs(&'static str),
    /// Core's engine does not take a transaction.
    #[error("block {height}: {fault}")]
    Engine {
        /// The block.
        height: u32,
        /// What it says.
        fault: ScriptFault,
    },
    /// The record of the run, its secret, or its threads cannot be made.
    #[error("{what}: {cause}")]
    Io {
        /// What was to be made.
        what: String,
        /// What the system said.
        cause: io::Error,
    },
    /// The caller's flag was raised.
    #[error("cancelled")]
    Cancelled,
}

impl ValidationError {
    /// The code under which TypeScript knows the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Scan(error) => error.code(),
            Self::Heights { .. } => "ERR_SEGMENT_RANGE",
            Self::Hints { fault: HintsFault::Io(_), .. }
            | Self::Snapshot { fault: SnapshotFault::Io(_), .. }
            | Self::Io { .. } => "ERR_IO",
            Self::Hints { .. } => "ERR_HINTS",
            Self::Snapshot { .. } | Self::Foreign { .. } => "ERR_SNAPSHOT",
            Self::Needs(_) => "ERR_USAGE",
            Self::Engine { .. } => "ERR_ENGINE",
            Self::Cancelled => "ERR_INTERRUPTED",
        }
    }
}

/// What ends the judging of a block.
#[derive(Debug)]
pub(super) enum Stop {
    /// The block, or what belongs to it, is bad.
    Failure(Failure),
    /// No verdict.
    Error(ValidationError),
}

impl From<ValidationError> for Stop {
    fn from(error: ValidationError) -> Self {
        Self::Error(error)
    }
}

impl From<ScanError> for Stop {
    fn from(error: ScanError) -> Self {
        Self::Error(error.into())
    }
}

impl Stop {
    pub fn of_bytes(height: u32, fault: BlockFault) -> Self {
        if fault == BlockFault::NeedsEngine {
            let fault = ScriptFault::Engine { transaction: 0 };
            return Self::Error(ValidationError::Engine { height, fault });
        }
        Self::Failure(Failure::new(Level::Chain, height, &fault, Blame::Bytes))
    }

    /// `level` is the one for which spent records are read.
    pub fn of_undo(level: Level, height: u32, segment: u32, fault: &UndoFault) -> Self {
        if let UndoFault::Incomplete = fault {
            let reason = format!("block {height}: {fault}");
            return ScanError::OldUndo { segment, reason }.into();
        }
        Self::Failure(Failure::new(level, height, fault, Blame::SpentRecord))
    }

    pub fn of_refusal(level: Level, height: u32, refusal: &Refusal) -> Self {
        Self::Failure(match refusal {
            Refusal::Bytes(fault) => return Self::of_bytes(height, *fault),
            Refusal::Spent(fault) => Failure::new(level, height, fault, Blame::SpentRecord),
            Refusal::Invalid(violation) => Failure::of_violation(violation),
            Refusal::NoHeader { height: missing } => {
                let (wanted, held) = (*missing..missing.saturating_add(1), 0..*missing);
                return ValidationError::Heights { wanted, held }.into();
            }
            Refusal::Judge(ScriptFault::Stopped) => return ValidationError::Cancelled.into(),
            Refusal::Judge(fault) => return ValidationError::Engine { height, fault: *fault }.into(),
        })
    }
}
