//! Which block and coin it was when the sums of created and spent coins differ.
//!
//! The sums tell only that they differ. Here the coins themselves meet, in sorted runs; what did not meet is looked at
//! again in a second pass over the blocks, which gathers all that the chain does with those few coins.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use crate::coins::{Coin, OutPoint, SpentCoins};
use crate::encode::Hash;
use crate::hints::HintsReader;
use crate::validate::CoinVisitor;

use super::culprit::{Cause, CoinField, Culprit};
use super::facts::{Creation, Facts, OwnCoin, Point, Spend, gather};
use super::ledger::{CoinKey, CoinLedger};
use super::suspects::{CULPRITS_LIMIT, Suspect, Suspects};
use super::walk::Buffers;
use super::{CoinRange, CoinSetError, CoinSetJob, EndCoins};

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
