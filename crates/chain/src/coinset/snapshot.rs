//! Makes a UTXO snapshot: the coins that are left, in Core's order.

use std::fs::File;
use std::io::{BufReader, BufWriter, Seek};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use crate::coins::{Coin, OutPoint, SpentCoins};
use crate::compressor::{push_coin, read_coin};
use crate::encode::{Hash, Reader, push_varint};
use crate::hints::{BlockHints, HintsReader};
use crate::snapshot::{SnapshotFault, SnapshotHead, SnapshotWriter};
use crate::sorted_records::{MergedRecords, Records, SortedRecords};
use crate::sorted_runs::nameless_file;
use crate::validate::CoinVisitor;

use super::culprit::{Cause, Culprit};
use super::hints::write_hints;
use super::search::open_hints;
use super::totals::{CoinTotals, SetTotals};
use super::walk::Buffers;
use super::whole_file::WholeFile;
use super::{BATCH_BLOCKS, CoinSetError, CoinSetJob};

/// Bytes of coins that a thread keeps to itself.
const BATCH_BYTES: usize = 1 << 20;

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotMade {
    /// Hash of the block after which these are the coins, internal order.
    pub block_hash: Hash,
    /// The set.
    pub totals: SetTotals,
    /// Bytes of the file.
    pub length_bytes: u64,
}

/// Writes the coins that the blocks `0..end_height` leave to `out`, whole or not at all, byte for byte as Core's
/// `dumptxoutset` does.
///
/// Which they are is said by a hints file, that is believed, and then one pass over the blocks is enough. Without it, it is found as
/// [`make_hints`](super::make_hints) finds it, in a pass before. On mainnet the sorted coins take some 14 GB of scratch.
pub fn make_snapshot(
    job: &CoinSetJob<'_>,
    end_height: u32,
    hints: Option<&Path>,
    out: &Path,
) -> Result<SnapshotMade, CoinSetError> {
    let heights = 0..end_height;
    job.check_heights(&heights)?;
    let last = end_height.saturating_sub(1);
    let headers = job.records.headers();
    let block_hash = headers.hash_at(last).ok_or_else(|| job.beyond(last))?;
    let (coins, mut totals) = if let Some(path) = hints {
        sorted_coins(job, &heights, path, open_hints(path, end_height)?)?
    } else {
        let scratch = CoinSetError::io(job.scratch);
        let file = nameless_file(job.scratch, "survivors").map_err(&scratch)?;
        let (file, _) = write_hints(job, end_height, BufWriter::new(file), job.scratch)?;
        let mut file = file.into_inner().map_err(|error| scratch(error.into_error()))?;
        file.rewind().map_err(&scratch)?;
        let reader = HintsReader::new(BufReader::new(file)).map_err(CoinSetError::hints(job.scratch))?;
        sorted_coins(job, &heights, job.scratch, reader)?
    };
    let head = SnapshotHead { magic: headers.params().magic, block_hash, coins: totals.coins() };
    let file = WholeFile::create(out).map_err(CoinSetError::io(out))?;
    let file = write(job, coins, file, &head, &mut totals, out)?;
    let length_bytes = file.finish().map_err(CoinSetError::io(out))?;
    Ok(SnapshotMade { block_hash, totals: totals.finish(), length_bytes })
}

/// The coins that hints name, sorted, and their totals but for the hash that needs their order.
fn sorted_coins(
    job: &CoinSetJob<'_>,
    heights: &Range<u32>,
    path: &Path,
    mut hints: HintsReader<BufReader<File>>,
) -> Result<(MergedRecords, CoinTotals), CoinSetError> {
    let scratch = CoinSetError::io(job.scratch);
    let sorted = SortedRecords::new(job.scratch, "snapshot", job.run_bytes()).map_err(&scratch)?;
    let totals: Mutex<CoinTotals> = Mutex::default();
    let mut hinted: Vec<BlockHints> = Vec::new();
    let mut first = heights.start;
    while first < heights.end {
        let batch = first..heights.end.min(first + BATCH_BLOCKS);
        hinted.clear();
        for height in batch.clone() {
            // The hints begin behind genesis, which leaves nothing.
            let places =
                if height == 0 { None } else { hints.next_block().map_err(CoinSetError::hints(path))? };
            hinted.push(places.unwrap_or_default());
        }
        let new_state =
            || (Buffers::default(), Taker { own: CoinTotals::default(), records: Records::default() });
        job.on_all_threads(&batch, new_state, |(buffers, taker), chunk| {
            for height in chunk {
                let places = hinted.get((height - batch.start) as usize).map_or(&[][..], Vec::as_slice);
                if !places.is_empty() {
                    let placed = job.block(height, &mut buffers.block)?;
                    let mut survivors = Survivors { taker, places, place: 0 };
                    placed.visit(&SpentCoins::default(), &mut survivors);
                    if let Some(place) = survivors.places.first() {
                        return Err(not_there(job, height, *place));
                    }
                }
                if taker.records.len_bytes() >= BATCH_BYTES {
                    taker.hand_over(&sorted).map_err(&scratch)?;
                }
                job.progress.fetch_add(1, Ordering::Relaxed);
            }
            taker.hand_over(&sorted).map_err(&scratch)?;
            totals.lock().combine(&std::mem::take(&mut taker.own));
            Ok(())
        })?;
        first = batch.end;
    }
    Ok((sorted.merge().map_err(&scratch)?, totals.into_inner()))
}

fn not_there(job: &CoinSetJob<'_>, height: u32, place: u32) -> CoinSetError {
    let segment = height / job.records.headers().params().interval.max(1);
    let cause = Cause::HintedNotThere { place };
    CoinSetError::Culprits(vec![Culprit { height, segment, coin: None, spender: None, cause }])
}

/// Coins on their way to the sorted ones.
struct Taker {
    own: CoinTotals,
    records: Records,
}

impl Taker {
    fn hand_over(&mut self, sorted: &SortedRecords) -> std::io::Result<()> {
        sorted.push_all(&self.records)?;
        self.records.clear();
        Ok(())
    }
}

/// Takes those coins of a block that survive.
struct Survivors<'a> {
    taker: &'a mut Taker,
    /// Places that did not come yet.
    places: &'a [u32],
    place: u32,
}

impl CoinVisitor for Survivors<'_> {
    fn created(&mut self, point: OutPoint<'_>, coin: &Coin<'_>) {
        if let Some((next, rest)) = self.places.split_first()
            && *next == self.place
        {
            self.places = rest;
            self.taker.own.add(point, coin);
            self.taker.records.push(|record| {
                record.extend_from_slice(point.txid);
                push_varint(record, point.index.into());
                push_coin(coin, record);
            });
        }
        self.place += 1;
    }

    fn spent(&mut self, _: OutPoint<'_>, _: &Coin<'_>) {}
}

/// Writes the sorted coins behind the head, and hashes them in their order.
fn write(
    job: &CoinSetJob<'_>,
    mut coins: MergedRecords,
    file: WholeFile,
    head: &SnapshotHead,
    totals: &mut CoinTotals,
    out: &Path,
) -> Result<WholeFile, CoinSetError> {
    let failed = CoinSetError::snapshot(out);
    let mut writer = SnapshotWriter::new(file, head).map_err(&failed)?;
    let (mut whole, mut number) = (Vec::new(), 0);
    while let Some(record) = coins.next().map_err(CoinSetError::io(job.scratch))? {
        job.check_cancelled()?;
        let of = |fault| failed(SnapshotFault::Coin { number, fault });
        let mut reader = Reader::new(record);
        let txid = reader.array().map_err(|fault| of(fault.into()))?;
        let index = reader.varint().map_err(|fault| of(fault.into()))? as u32;
        let point = OutPoint { txid, index };
        writer.push_encoded(point, record.get(reader.offset()..).unwrap_or_default()).map_err(&failed)?;
        totals.add_ordered(point, &read_coin(&mut reader, &mut whole).map_err(of)?);
        number += 1;
    }
    writer.finish().map_err(&failed)
}
