//! Which block and coin it was when the sums of created and spent coins differ.
//!
//! The sums tell only that they differ. Here the coins themselves meet, in sorted runs; what did not meet is looked at
//! again in a second pass over the blocks, which gathers all that the chain does with those few coins.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use crate::coins::{Coin, OutPoint, SpentCoins};
use crate::encode::Hash;
use crate::hints::HintsReader;
use crate::validate::CoinVisitor;

use super::facts::{Creation, Facts, OwnCoin, Point, Spend, gather};
use super::ledger::{CoinKey, CoinLedger};
use super::suspects::{CULPRITS_LIMIT, Suspect, Suspects};
use super::walk::Buffers;
use super::{CoinRange, CoinSetError, CoinSetJob, EndCoins};

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

/// Looks for what makes the coins of a range not add up: at most ten things, the lowest height first; none when all
/// adds up. Two passes over blocks and undo records, the second only when there is something to name.
///
/// The blocks must be valid by themselves: what spends within its own block is not looked at.
pub fn find_culprits(job: &CoinSetJob<'_>, range: &CoinRange<'_>) -> Result<Vec<Culprit>, CoinSetError> {
    let ledger = CoinLedger::new(*job)?;
    if let Some(start) = range.start {
        ledger.take_snapshot(start, false)?;
    }
    if let EndCoins::Snapshot(end) = range.end {
        ledger.take_snapshot(end, true)?;
    }
    ledger.take_blocks(&range.heights)?;
    let key = ledger.key();
    let (leftovers, mut suspects) = (ledger.leftovers()?, Suspects::default());
    let mut hints = match range.end {
        EndCoins::Hints(path) => Some(open_hints(path, range.heights.end)?),
        EndCoins::Unspent | EndCoins::Snapshot(_) => None,
    };
    leftovers.by_block(range.heights.end, &mut suspects, |height, places, suspects| {
        let hinted = match (&mut hints, range.end) {
            (Some(hints), EndCoins::Hints(path)) => {
                hints.next_block().map_err(CoinSetError::hints(path))?.unwrap_or_default()
            }
            (_, EndCoins::Snapshot(_)) => Vec::new(),
            _ => return Ok(()),
        };
        let is_in = |places: &[u32], place: &u32| places.binary_search(place).is_ok();
        let only_left = places.iter().filter(|place| !is_in(&hinted, place));
        let only_hinted = hinted.iter().filter(|place| !is_in(places, place));
        only_left.chain(only_hinted).for_each(|place| suspects.push(height, Suspect::Output(*place)));
        Ok(())
    })?;
    name_culprits(job, range, &key, &suspects)
}

/// A hints file that tells of the blocks up to `end_height`.
pub(super) fn open_hints(path: &Path, end_height: u32) -> Result<HintsReader<BufReader<File>>, CoinSetError> {
    let file = File::open(path).map_err(CoinSetError::io(path))?;
    let reader = HintsReader::new(BufReader::new(file)).map_err(CoinSetError::hints(path))?;
    let (found, wanted) = (reader.end_height().saturating_sub(1), end_height.saturating_sub(1));
    if found == wanted {
        Ok(reader)
    } else {
        Err(CoinSetError::HintsHeight { path: path.to_owned(), found, wanted })
    }
}

/// Finds out what is wrong with the suspects of the lowest heights.
pub(super) fn name_culprits(
    job: &CoinSetJob<'_>,
    range: &CoinRange<'_>,
    key: &CoinKey,
    suspects: &Suspects,
) -> Result<Vec<Culprit>, CoinSetError> {
    if suspects.is_empty() {
        return Ok(Vec::new());
    }
    let interval = job.records.headers().params().interval.max(1);
    let mut search = Search { job, key, points: BTreeMap::new(), nowhere: Vec::new() };
    search.find_points(range, suspects)?;
    let mut first: Vec<(u32, Point)> =
        search.points.into_iter().map(|(point, height)| (height, point)).collect();
    first.sort_unstable();
    first.truncate(CULPRITS_LIMIT);
    let points = first.into_iter().map(|(_, point)| point).collect();
    let mut culprits = Vec::new();
    for (point, facts) in gather(job, range, &points)? {
        judge(&facts, range.end, &mut |height, spender, cause| {
            culprits.push(Culprit { height, segment: height / interval, coin: Some(point), spender, cause });
        });
    }
    culprits.extend(search.nowhere.into_iter().map(|(height, place)| Culprit {
        height,
        segment: height / interval,
        coin: None,
        spender: None,
        cause: Cause::HintedNotThere { place },
    }));
    culprits.sort_by_key(|culprit| (culprit.height, culprit.coin));
    culprits.truncate(CULPRITS_LIMIT);
    Ok(culprits)
}

/// Which outpoints the suspects are.
struct Search<'a> {
    job: &'a CoinSetJob<'a>,
    key: &'a CoinKey,
    /// With the lowest height at which each is suspect.
    points: BTreeMap<Point, u32>,
    /// Heights and places that hints name, where there is no output.
    nowhere: Vec<(u32, u32)>,
}

impl Search<'_> {
    fn find_points(&mut self, range: &CoinRange<'_>, suspects: &Suspects) -> Result<(), CoinSetError> {
        let mut buffers = Buffers::default();
        let (mut at_start, mut at_end) = (BTreeSet::new(), BTreeSet::new());
        for (height, suspects) in suspects.iter() {
            let (mut outputs, mut spends) = (BTreeSet::new(), BTreeSet::new());
            for suspect in suspects {
                match suspect {
                    Suspect::Output(place) => outputs.insert(*place),
                    Suspect::Spend(hash) => spends.insert(*hash),
                    Suspect::Start(hash) => at_start.insert((height, *hash)),
                    Suspect::End(hash) => at_end.insert((height, *hash)),
                };
            }
            if outputs.is_empty() && spends.is_empty() {
                continue;
            }
            let placed = self.job.block(height, &mut buffers.block)?;
            let spent = if spends.is_empty() {
                SpentCoins::default()
            } else {
                self.job.spent(&placed, &mut buffers.undo)?
            };
            let mut finder = Finder { search: self, height, outputs, spends, place: 0, scratch: Vec::new() };
            placed.visit(&spent, &mut finder);
            let nowhere = finder.outputs;
            self.nowhere.extend(nowhere.into_iter().map(|place| (height, place)));
        }
        let mut scratch = Vec::new();
        let snapshots = [(range.start, at_start), (range.end.snapshot(), at_end)];
        for (path, wanted) in snapshots.into_iter().filter_map(|(path, wanted)| Some((path?, wanted))) {
            if wanted.is_empty() {
                continue;
            }
            self.job.read_snapshot(path, |point, coin| {
                if wanted.contains(&(coin.height, self.key.hash(point, coin, &mut scratch))) {
                    self.points.entry((*point.txid, point.index)).or_insert(coin.height);
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// Finds the outpoints of one block's suspects.
struct Finder<'a, 'b> {
    search: &'a mut Search<'b>,
    height: u32,
    /// Those not found yet.
    outputs: BTreeSet<u32>,
    spends: BTreeSet<[u8; 8]>,
    place: u32,
    scratch: Vec<u8>,
}

impl Finder<'_, '_> {
    fn add(&mut self, point: OutPoint<'_>) {
        let lowest = self.search.points.entry((*point.txid, point.index)).or_insert(self.height);
        *lowest = self.height.min(*lowest);
    }
}

impl CoinVisitor for Finder<'_, '_> {
    fn created(&mut self, point: OutPoint<'_>, _: &Coin<'_>) {
        if self.outputs.remove(&self.place) {
            self.add(point);
        }
        self.place += 1;
    }

    fn spent(&mut self, point: OutPoint<'_>, coin: &Coin<'_>) {
        if !self.spends.is_empty()
            && self.spends.contains(&self.search.key.hash(point, coin, &mut self.scratch))
        {
            self.add(point);
        }
    }
}

/// What does not add up about one outpoint.
fn judge(facts: &Facts, end: EndCoins<'_>, tell: &mut impl FnMut(u32, Option<(Hash, u32)>, Cause)) {
    let mut unspent: Vec<&Creation> = facts.creations.iter().collect();
    let mut spent: Vec<(&Creation, &Spend)> = Vec::new();
    let mut is_told = false;
    for spend in &facts.spends {
        let cause = match unspent.iter().position(|creation| creation.coin.height <= spend.height) {
            Some(at) => {
                let creation = unspent.remove(at);
                spent.push((creation, spend));
                let fields = differences(&creation.coin, &spend.claimed);
                (!fields.is_empty())
                    .then_some(Cause::RecordDiffers { created_height: creation.coin.height, fields })
            }
            None => Some(match (spent.last(), facts.creations.first()) {
                (Some((_, first)), _) => Cause::SpentTwice { first_height: first.height },
                (None, Some(creation)) => Cause::CreatedLater { created_height: creation.coin.height },
                (None, None) => Cause::NeverCreated,
            }),
        };
        if let Some(cause) = cause {
            tell(spend.height, Some((spend.txid, spend.input)), cause);
            is_told = true;
        }
    }
    match end {
        // What is left follows from what was told.
        _ if is_told => {}
        EndCoins::Unspent => {}
        EndCoins::Hints(_) => {
            for creation in unspent.iter().filter(|creation| !creation.is_hinted) {
                tell(creation.coin.height, None, Cause::NotHinted);
            }
            for (creation, spend) in spent.iter().filter(|(creation, _)| creation.is_hinted) {
                let cause = Cause::HintedButSpent { created_height: creation.coin.height };
                tell(spend.height, Some((spend.txid, spend.input)), cause);
            }
        }
        EndCoins::Snapshot(_) => judge_snapshot(facts.at_end.as_ref(), unspent.first(), spent.last(), tell),
    }
}

/// What the snapshot at the end says of one outpoint.
fn judge_snapshot(
    at_end: Option<&OwnCoin>,
    unspent: Option<&&Creation>,
    spent: Option<&(&Creation, &Spend)>,
    tell: &mut impl FnMut(u32, Option<(Hash, u32)>, Cause),
) {
    match (at_end, unspent, spent) {
        (Some(coin), Some(creation), _) => {
            let fields = differences(&creation.coin, coin);
            if !fields.is_empty() {
                tell(creation.coin.height, None, Cause::SnapshotDiffers { fields });
            }
        }
        (None, Some(creation), _) => tell(creation.coin.height, None, Cause::NotInSnapshot),
        (Some(_), None, Some((creation, spend))) => {
            let cause = Cause::SnapshotButSpent { created_height: creation.coin.height };
            tell(spend.height, Some((spend.txid, spend.input)), cause);
        }
        (Some(coin), None, None) => tell(coin.height, None, Cause::SnapshotNeverCreated),
        (None, None, _) => {}
    }
}

fn differences(one: &OwnCoin, other: &OwnCoin) -> Vec<CoinField> {
    let fields = [
        (CoinField::Height, one.height != other.height),
        (CoinField::Coinbase, one.is_coinbase != other.is_coinbase),
        (CoinField::Value, one.value != other.value),
        (CoinField::Script, one.script != other.script),
    ];
    fields.into_iter().filter_map(|(field, differs)| differs.then_some(field)).collect()
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
