//! Makes a hints file: from what a chain creates and spends, or from the coins that are left.

use std::collections::HashSet;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use crate::coins::{Coin, OutPoint, SpentCoins};
use crate::hints::{HintsFault, HintsWriter};
use crate::sorted_runs::{MergedRuns, SortedRuns};
use crate::validate::CoinVisitor;

use super::ledger::{CoinKey, CoinLedger};
use super::search::name_culprits;
use super::suspects::{Suspect, Suspects};
use super::walk::Buffers;
use super::whole_file::WholeFile;
use super::{BATCH_BLOCKS, CoinRange, CoinSetError, CoinSetJob, EndCoins};

/// What was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HintsMade {
    /// Coins that survive.
    pub survivors: u64,
    /// Bytes of the file.
    pub length_bytes: u64,
}

/// Finds which coins of the blocks `0..end_height` are left, and writes it to `out`, whole or not at all: one pass over
/// blocks and undo records. What does not add up is told as [`CoinSetError::Culprits`].
pub fn make_hints(job: &CoinSetJob<'_>, end_height: u32, out: &Path) -> Result<HintsMade, CoinSetError> {
    job.check_heights(&(0..end_height))?;
    let file = WholeFile::create(out).map_err(CoinSetError::io(out))?;
    let (file, survivors) = write_hints(job, end_height, file, out)?;
    let length_bytes = file.finish().map_err(CoinSetError::io(out))?;
    Ok(HintsMade { survivors, length_bytes })
}

/// Writes the hints to `sink`, which errors call `out`; how many coins survive.
pub(super) fn write_hints<W: Write>(
    job: &CoinSetJob<'_>,
    end_height: u32,
    sink: W,
    out: &Path,
) -> Result<(W, u64), CoinSetError> {
    let range = CoinRange { heights: 0..end_height, start: None, end: EndCoins::Unspent };
    let ledger = CoinLedger::new(*job)?;
    ledger.take_blocks(&range.heights)?;
    let key = ledger.key();
    let failed = failed(out);
    let mut writer = HintsWriter::new(sink, end_height).map_err(&failed)?;
    let (mut suspects, mut survivors) = (Suspects::default(), 0);
    ledger.leftovers()?.by_block(end_height, &mut suspects, |_, places, _| {
        survivors += places.len() as u64;
        writer.push_block(places).map_err(&failed)
    })?;
    if !suspects.is_empty() {
        return Err(CoinSetError::Culprits(name_culprits(job, &range, &key, &suspects)?));
    }
    Ok((writer.into_sink(), survivors))
}

/// Bytes of a row `height u32 | short hash of the coin`, numbers big-endian.
const ROW_BYTES: usize = 12;

/// Writes the hints for the blocks `0..end_height` to `out`, whole or not at all, from a snapshot of the coins that they
/// leave: one pass over the blocks, without their undo records. On mainnet the rows take 2 GB of scratch.
///
/// A coin of the snapshot that no block creates is told as [`CoinSetError::Culprits`]; one that is missing, or spent, is
/// not noticed.
pub fn make_hints_of_snapshot(
    job: &CoinSetJob<'_>,
    end_height: u32,
    snapshot: &Path,
    out: &Path,
) -> Result<HintsMade, CoinSetError> {
    let range = CoinRange { heights: 0..end_height, start: None, end: EndCoins::Snapshot(snapshot) };
    job.check_heights(&range.heights)?;
    let (failed, key) = (failed(out), CoinKey::default());
    let mut rows = snapshot_rows(job, snapshot, &key)?;
    let file = WholeFile::create(out).map_err(CoinSetError::io(out))?;
    let mut writer = HintsWriter::new(file, end_height).map_err(&failed)?;
    let (mut suspects, mut survivors, mut first) = (Suspects::default(), 0, 0);
    while first < end_height {
        let batch = first..end_height.min(first + BATCH_BLOCKS);
        let wanted = next_rows(&mut rows, &batch).map_err(CoinSetError::io(job.scratch))?;
        let found = Mutex::new(vec![Vec::new(); wanted.len()]);
        job.on_all_threads(&batch, Buffers::default, |buffers, chunk| {
            for height in chunk {
                let at = (height - batch.start) as usize;
                let Some(wanted) = wanted.get(at) else { continue };
                if !wanted.is_empty() {
                    let placed = job.block(height, &mut buffers.block)?;
                    let mut places =
                        Places { wanted, key: &key, place: 0, found: Vec::new(), scratch: Vec::new() };
                    placed.visit(&SpentCoins::default(), &mut places);
                    if let Some(found) = found.lock().get_mut(at) {
                        *found = places.found;
                    }
                }
                job.progress.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        })?;
        for ((height, wanted), found) in batch.clone().zip(&wanted).zip(found.into_inner()) {
            let places: Vec<u32> = found.iter().map(|(place, _)| *place).collect();
            survivors += places.len() as u64;
            if height > 0 {
                writer.push_block(&places).map_err(&failed)?;
            }
            if places.len() < wanted.len() {
                let found: HashSet<_> = found.into_iter().map(|(_, hash)| hash).collect();
                wanted.difference(&found).for_each(|hash| suspects.push(height, Suspect::End(*hash)));
            }
        }
        first = batch.end;
    }
    while let Some(row) = rows.next().map_err(CoinSetError::io(job.scratch))? {
        let (height, hash) = fields(&row);
        suspects.push(height, Suspect::End(hash));
    }
    if !suspects.is_empty() {
        let culprits = name_culprits(job, &range, &key, &suspects)?;
        return Err(CoinSetError::Culprits(culprits));
    }
    let length_bytes = writer.into_sink().finish().map_err(CoinSetError::io(out))?;
    Ok(HintsMade { survivors, length_bytes })
}

/// The coins of a snapshot as rows.
fn snapshot_rows(
    job: &CoinSetJob<'_>,
    snapshot: &Path,
    key: &CoinKey,
) -> Result<MergedRuns<ROW_BYTES>, CoinSetError> {
    let scratch = CoinSetError::io(job.scratch);
    let runs = SortedRuns::<ROW_BYTES>::new(job.scratch, "survivors", job.run_bytes()).map_err(&scratch)?;
    let mut preimage = Vec::new();
    job.read_snapshot(snapshot, |point, coin| {
        let hash = key.hash(point, coin, &mut preimage);
        let mut row = [0; ROW_BYTES];
        row.iter_mut().zip(coin.height.to_be_bytes().iter().chain(&hash)).for_each(|(to, from)| *to = *from);
        runs.push(row).map_err(&scratch)
    })?;
    runs.merge().map_err(&scratch)
}

/// The short hashes of each block of a batch.
fn next_rows(
    rows: &mut MergedRuns<ROW_BYTES>,
    batch: &std::ops::Range<u32>,
) -> std::io::Result<Vec<HashSet<[u8; 8]>>> {
    let mut wanted = vec![HashSet::new(); batch.len()];
    while rows.peek().is_some_and(|row| fields(row).0 < batch.end) {
        let Some(row) = rows.next()? else { break };
        let (height, hash) = fields(&row);
        if let Some(of_block) = wanted.get_mut(height.saturating_sub(batch.start) as usize) {
            of_block.insert(hash);
        }
    }
    Ok(wanted)
}

fn fields(row: &[u8; ROW_BYTES]) -> (u32, [u8; 8]) {
    let height = row.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    (height, row.last_chunk().copied().unwrap_or_default())
}

/// Finds the places of a block's coins that are wanted.
struct Places<'a> {
    wanted: &'a HashSet<[u8; 8]>,
    key: &'a CoinKey,
    place: u32,
    found: Vec<(u32, [u8; 8])>,
    scratch: Vec<u8>,
}

impl CoinVisitor for Places<'_> {
    fn created(&mut self, point: OutPoint<'_>, coin: &Coin<'_>) {
        let hash = self.key.hash(point, coin, &mut self.scratch);
        if self.wanted.contains(&hash) {
            self.found.push((self.place, hash));
        }
        self.place += 1;
    }

    fn spent(&mut self, _: OutPoint<'_>, _: &Coin<'_>) {}
}

fn failed(out: &Path) -> impl Fn(HintsFault) -> CoinSetError {
    CoinSetError::hints(out)
}
