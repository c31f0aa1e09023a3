//! Created against spent: all coins of a chain in sorted runs, where each spend takes away what it spends.
//!
//! A row has 16 bytes: the height at which the coin was created (as the spending side claims), a keyed short hash of all
//! that there is to know of it (outpoint, height, coinbase flag, value, script), and where in that block it was created, or
//! at which height it was spent. A coin that is spent as it was created leaves nothing; so do most within the run in
//! which both stand, since two of five coins are spent within ten blocks. On mainnet, 3.5 billion outputs, the runs
//! take some 40 GB of disk in the end; without the meeting within a run it would be 110.
//!
//! The key of the hashes is random: nobody can make two coins that meet and are not the same, and 64 bits within
//! one block's outputs do not by chance.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::Ordering;

use crate::coins::{Coin, OutPoint};
use crate::sorted_runs::{MergedRuns, SortedRuns};
use crate::sums::push_preimage;
use crate::validate::CoinVisitor;

use super::suspects::Suspects;
use super::walk::Buffers;
use super::{CoinSetError, CoinSetJob};

const ROW_BYTES: usize = 16;
/// Bytes of a row that say which coin it is.
const COIN_BYTES: usize = 12;
/// Set where a row is a spend; the rest is the height of the spending block. Otherwise, the place of the coin among the
/// outputs that its block creates.
const SPENT: u32 = 1 << 31;
/// In place of a height: the coin is one of those that are left at the end.
const AT_END: u32 = SPENT - 1;
/// In place of a place: the coin is one of those that were there at the start.
const AT_START: u32 = SPENT - 1;

/// Rows that a thread keeps to itself.
const BATCH_ROWS: usize = 1 << 16;

type Row = [u8; ROW_BYTES];

/// What the hashes of coins depend on. A clone makes the same.
#[derive(Clone, Default)]
pub(super) struct CoinKey(RandomState);

impl CoinKey {
    /// What a coin is called in leftovers.
    pub fn hash(&self, point: OutPoint<'_>, coin: &Coin<'_>, scratch: &mut Vec<u8>) -> [u8; 8] {
        scratch.clear();
        push_preimage(point, coin, scratch);
        self.0.hash_one(&*scratch).to_be_bytes()
    }
}

/// Takes the coins of blocks in any order, from any thread.
pub(super) struct CoinLedger<'a> {
    job: CoinSetJob<'a>,
    key: CoinKey,
    runs: SortedRuns<ROW_BYTES>,
}

/// A coin of which one side is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leftover {
    /// The height at which it was created; of one that was never created, what the spending side claims.
    pub created_height: u32,
    /// Its short hash under the ledger's key.
    pub hash: [u8; 8],
    /// The side that there is.
    pub side: Side,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// It was there at the start, and nobody spends it.
    Start,
    /// Nobody spends it. Its place among the coins that its block creates.
    Created(u32),
    /// It was spent by the block at this height, and not created like that, or spent before.
    Spent(u32),
    /// It is said to be left at the end, and was not created like that, or is spent.
    End,
}

impl<'a> CoinLedger<'a> {
    pub fn new(job: CoinSetJob<'a>) -> Result<Self, CoinSetError> {
        let runs = SortedRuns::thinned(job.scratch, "coins", job.run_bytes(), let_meet);
        Ok(Self { job, key: CoinKey::default(), runs: runs.map_err(CoinSetError::io(job.scratch))? })
    }

    /// The key of the short hashes.
    pub fn key(&self) -> CoinKey {
        self.key.clone()
    }

    /// Takes all that the blocks of `heights` create and spend.
    pub fn take_blocks(&self, heights: &Range<u32>) -> Result<(), CoinSetError> {
        let job = self.job;
        job.on_all_threads(
            heights,
            || (Buffers::default(), self.rows()),
            |(buffers, rows), chunk| {
                for height in chunk {
                    let placed = job.block(height, &mut buffers.block)?;
                    let spent = job.spent(&placed, &mut buffers.undo)?;
                    (rows.height, rows.place) = (height, 0);
                    placed.visit(&spent, rows);
                    if rows.rows.len() >= BATCH_ROWS {
                        rows.hand_over()?;
                    }
                    job.progress.fetch_add(1, Ordering::Relaxed);
                }
                // What a thread keeps while it waits for nothing would never meet.
                rows.hand_over()
            },
        )
    }

    /// Takes the coins of a snapshot: those that were there before the first block, or are left behind the last.
    pub fn take_snapshot(&self, path: &Path, at_end: bool) -> Result<(), CoinSetError> {
        let mut rows = self.rows();
        let what = if at_end { SPENT | AT_END } else { AT_START };
        self.job.read_snapshot(path, |point, coin| {
            rows.push(point, coin, what);
            if rows.rows.len() >= BATCH_ROWS { rows.hand_over() } else { Ok(()) }
        })?;
        rows.hand_over()
    }

    fn rows(&self) -> LedgerRows<'_> {
        LedgerRows { ledger: self, rows: Vec::new(), height: 0, place: 0, scratch: Vec::new() }
    }

    /// What is left, by the height of creation.
    pub fn leftovers(self) -> Result<Leftovers<'a>, CoinSetError> {
        let rows = self.runs.merge().map_err(CoinSetError::io(self.job.scratch))?;
        Ok(Leftovers { job: self.job, rows, created: Vec::new(), spent: Vec::new() })
    }
}

/// Rows of some blocks, one after the other.
struct LedgerRows<'a> {
    ledger: &'a CoinLedger<'a>,
    rows: Vec<Row>,
    /// Of the block that is shown.
    height: u32,
    /// Coins that it has created so far.
    place: u32,
    scratch: Vec<u8>,
}

impl LedgerRows<'_> {
    fn hand_over(&mut self) -> Result<(), CoinSetError> {
        self.ledger.runs.push_all(&self.rows).map_err(CoinSetError::io(self.ledger.job.scratch))?;
        self.rows.clear();
        Ok(())
    }

    fn push(&mut self, point: OutPoint<'_>, coin: &Coin<'_>, what: u32) {
        let hash = self.ledger.key.hash(point, coin, &mut self.scratch);
        let mut row = [0; ROW_BYTES];
        let fields = [&coin.height.to_be_bytes()[..], &hash, &what.to_be_bytes()];
        row.iter_mut().zip(fields.into_iter().flatten()).for_each(|(to, from)| *to = *from);
        self.rows.push(row);
    }
}

impl CoinVisitor for LedgerRows<'_> {
    fn created(&mut self, point: OutPoint<'_>, coin: &Coin<'_>) {
        self.push(point, coin, self.place);
        self.place += 1;
    }

    fn spent(&mut self, point: OutPoint<'_>, coin: &Coin<'_>) {
        self.push(point, coin, SPENT | self.height);
    }
}

/// Takes away each creation of sorted rows that has a spend, and the spend.
fn let_meet(rows: &mut Vec<Row>) {
    let (mut kept, mut start) = (0, 0);
    while start < rows.len() {
        let of_coin = |row: &Row| row.first_chunk::<COIN_BYTES>().copied();
        let coin = of_coin(&rows[start]);
        let same = rows[start..].iter().take_while(|row| of_coin(row) == coin).count();
        let created = rows[start..start + same].iter().filter(|row| !is_spent(row)).count();
        let met = created.min(same - created);
        for range in [start + met..start + created, start + created + met..start + same] {
            let length = range.len();
            rows.copy_within(range, kept);
            kept += length;
        }
        start += same;
    }
    rows.truncate(kept);
}

fn is_spent(row: &Row) -> bool {
    what(row) & SPENT != 0
}

fn what(row: &Row) -> u32 {
    row.last_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// The coins of which one side is missing, by the height of creation.
pub(super) struct Leftovers<'a> {
    job: CoinSetJob<'a>,
    rows: MergedRuns<ROW_BYTES>,
    /// Of the coin whose rows come, in reverse order: what is not met yet.
    created: Vec<Row>,
    spent: Vec<Row>,
}

impl Leftovers<'_> {
    /// Shows for each block of `1..end_height` the places of those of its coins that nobody spends, rising. All else goes
    /// to the suspects.
    pub fn by_block(
        mut self,
        end_height: u32,
        suspects: &mut Suspects,
        mut take: impl FnMut(u32, &[u32], &mut Suspects) -> Result<(), CoinSetError>,
    ) -> Result<(), CoinSetError> {
        let mut next = self.next()?;
        let mut places = Vec::new();
        for height in 1..end_height {
            places.clear();
            while let Some(left) = next.filter(|left| left.created_height <= height) {
                match left.side {
                    Side::Created(place) => places.push(place),
                    _ => suspects.push_leftover(&left),
                }
                next = self.next()?;
            }
            places.sort_unstable();
            take(height, &places, suspects)?;
        }
        while let Some(left) = next {
            suspects.push_leftover(&left);
            next = self.next()?;
        }
        Ok(())
    }

    /// The next one.
    fn next(&mut self) -> Result<Option<Leftover>, CoinSetError> {
        while self.created.is_empty() && self.spent.is_empty() {
            self.job.check_cancelled()?;
            if !self.next_coin().map_err(CoinSetError::io(self.job.scratch))? {
                return Ok(None);
            }
        }
        let row = self.created.pop().or_else(|| self.spent.pop());
        Ok(row.map(|row| leftover(&row)))
    }

    /// Reads the rows of the next coin and lets them meet; whether there was one.
    fn next_coin(&mut self) -> io::Result<bool> {
        let Some(first) = self.rows.next()? else { return Ok(false) };
        let mut next = Some(first);
        while let Some(row) = next {
            let side = if is_spent(&row) { &mut self.spent } else { &mut self.created };
            side.push(row);
            let is_same = |row: &Row| row.first_chunk::<COIN_BYTES>() == first.first_chunk();
            next = if self.rows.peek().is_some_and(is_same) { self.rows.next()? } else { None };
        }
        let met = self.created.len().min(self.spent.len());
        for side in [&mut self.created, &mut self.spent] {
            side.drain(..met);
            side.reverse();
        }
        Ok(true)
    }
}

fn leftover(row: &Row) -> Leftover {
    let field =
        |at: usize| row.get(at..).and_then(|rest| rest.first_chunk::<4>()).copied().unwrap_or_default();
    let hash = row.get(4..).and_then(|rest| rest.first_chunk::<8>()).copied().unwrap_or_default();
    let side = match what(row) {
        AT_START => Side::Start,
        place if place & SPENT == 0 => Side::Created(place),
        u32::MAX => Side::End,
        spent => Side::Spent(spent & !SPENT),
    };
    Leftover { created_height: u32::from_be_bytes(field(0)), hash, side }
}
