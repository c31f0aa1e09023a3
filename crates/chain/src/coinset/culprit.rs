//! What does not add up about a coin, and how it is said.

use std::fmt;

use crate::encode::Hash;

/// A field of a coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoinField {
    /// The height at which it was created.
    Height,
    /// Whether a coinbase created it.
    Coinbase,
    /// Its satoshi.
    Value,
    /// Its locking script.
    Script,
}

impl CoinField {
    /// Its word in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Height => "height",
            Self::Coinbase => "coinbase flag",
            Self::Value => "value",
            Self::Script => "script",
        }
    }
}

/// What does not add up about a coin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// It is spent, and no block creates it.
    NeverCreated,
    /// It is spent, and only a later block creates it.
    CreatedLater {
        /// That block.
        created_height: u32,
    },
    /// It is spent, and was spent before.
    SpentTwice {
        /// The block that spent it first.
        first_height: u32,
    },
    /// The record of what the block spends gives it other than it was created.
    RecordDiffers {
        /// The block that created it.
        created_height: u32,
        /// In what.
        fields: Vec<CoinField>,
    },
    /// The hints say that it survives, and it is spent.
    HintedButSpent {
        /// The block that created it.
        created_height: u32,
    },
    /// The hints name an output that the block does not have.
    HintedNotThere {
        /// Its place among the block's outputs, unspendable ones not counted.
        place: u32,
    },
    /// It survives, and the hints do not say so.
    NotHinted,
    /// It survives, and is not in the snapshot.
    NotInSnapshot,
    /// It is in the snapshot, and no block creates it.
    SnapshotNeverCreated,
    /// It is in the snapshot, and is spent.
    SnapshotButSpent {
        /// The block that created it.
        created_height: u32,
    },
    /// The snapshot gives it other than it was created.
    SnapshotDiffers {
        /// In what.
        fields: Vec<CoinField>,
    },
}

/// One thing that makes the sums differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Culprit {
    /// The block at which it shows: the spending one, or else the one that creates the coin, or is said to.
    pub height: u32,
    /// The segment of that block.
    pub segment: u32,
    /// Id, internal order, and number of the output; `None` when the block has none like that.
    pub coin: Option<(Hash, u32)>,
    /// The input that spends it: the transaction's id, internal order, and the number of its input.
    pub spender: Option<(Hash, u32)>,
    /// What does not add up.
    pub cause: Cause,
}

impl Cause {
    /// Its word in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NeverCreated => "never-created",
            Self::CreatedLater { .. } => "created-later",
            Self::SpentTwice { .. } => "spent-twice",
            Self::RecordDiffers { .. } => "record-differs",
            Self::HintedButSpent { .. } => "hinted-but-spent",
            Self::HintedNotThere { .. } => "hinted-not-there",
            Self::NotHinted => "not-hinted",
            Self::NotInSnapshot => "not-in-snapshot",
            Self::SnapshotNeverCreated => "snapshot-never-created",
            Self::SnapshotButSpent { .. } => "snapshot-but-spent",
            Self::SnapshotDiffers { .. } => "snapshot-differs",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |fields: &[CoinField]| {
            let names: Vec<_> = fields.iter().map(|field| field.name()).collect();
            names.join(", ")
        };
        match self {
            Self::NeverCreated => f.write_str("is spent, and no block creates it"),
            Self::CreatedLater { created_height } => {
                write!(f, "is spent, and only block {created_height} creates it")
            }
            Self::SpentTwice { first_height } => {
                write!(f, "is spent, and block {first_height} spent it before")
            }
            Self::RecordDiffers { created_height, fields } => {
                write!(
                    f,
                    "has another {} in the spent record than block {created_height} gave it",
                    listed(fields)
                )
            }
            Self::HintedButSpent { created_height } => {
                write!(f, "is spent, and survives by the hints of block {created_height}")
            }
            Self::HintedNotThere { place } => {
                write!(f, "the hints name output {place}, which the block does not have")
            }
            Self::NotHinted => f.write_str("survives, and the hints do not say so"),
            Self::NotInSnapshot => f.write_str("survives, and is not in the snapshot"),
            Self::SnapshotNeverCreated => f.write_str("is in the snapshot, and no block creates it"),
            Self::SnapshotButSpent { created_height } => {
                write!(f, "is spent, and in the snapshot, as created by block {created_height}")
            }
            Self::SnapshotDiffers { fields } => {
                write!(f, "has another {} in the snapshot than its block gave it", listed(fields))
            }
        }
    }
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {}, block {}", self.segment, self.height)?;
        if let Some((txid, input)) = &self.spender {
            write!(f, ", input {input} of {}", Shown(txid))?;
        }
        match &self.coin {
            Some((txid, index)) => write!(f, ": the coin {}:{index} {}", Shown(txid), self.cause),
            None => write!(f, ": {}", self.cause),
        }
    }
}

/// A hash as text.
struct Shown<'a>(&'a Hash);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().rev().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
