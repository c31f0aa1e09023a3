//! Undo records of an old Core, rewritten in today's encoding to a file of ours ([`super::undo_overlay`]).
//!
//! Three passes in bounded memory. The first reads all undo records and notes which are old. The second reads the
//! blocks up to the last of these: each transaction's id, and each coin that lacks its height, by the id of the
//! transaction that it is an output of; both go through sorted runs on disk, and where they meet the height and the
//! coinbase flag are found. The third rewrites record after record.
use super::BlockIndex;
use super::Found;
use super::error::ScanError;
use super::error::spent_missing;
use super::reader::FileReader;
use super::records::{HEAD_BYTES, Record};
use super::undo_overlay::{OverlayWriter, UndoOverlay};
use crate::encode::{EncodingFault, Hash, Reader};
use crate::header::{HEADER_BYTES, Header, RawHeader, block_hash};
use crate::merkle::merkle_root;
use crate::old_undo::{is_old, read_shape, read_undo, write_record};
use crate::sorted_runs::{MergedRuns, SortedRuns};
use crate::transaction::{LEAST_TRANSACTION_BYTES, Transaction};
use blockswarm_pieces::PiecesError;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Of rows in memory, for each of the two tables of the second pass.
const TABLE_BYTES: usize = 64 << 20;

/// Bytes of a row `transaction id (32) | height u32 | 1 for a coinbase`; numbers are big-endian, so that rows sort by them.
const CREATED: usize = 37;
/// Bytes of a row `transaction id (32) | height of the spending block u32 | number of the coin in it u32`.
const WANTED: usize = 40;
/// Bytes of a row `height of the spending block u32 | number of the coin in it u32 | height × 2 + coinbase u32`.
const FOUND: usize = 12;
/// Block files are read in the order of heights: neighbours lie in few files.
const OPEN_FILES: usize = 32;

/// What was rewritten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// Records in the overlay.
    pub records: u32,
    /// Coins whose height and coinbase flag were found.
    pub coins: u64,
    /// Bytes of the records.
    pub bytes: u64,
}

impl BlockIndex {
    /// Lets the records of an overlay file stand in for the node's own from now on, in this picture and those made
    /// from it; whether there was one. A file that is missing, damaged or not ours is as good as none.
    pub fn use_overlay(&self, path: &Path) -> Result<bool, ScanError> {
        let overlay = UndoOverlay::open(path, &self.files)?.filter(|overlay| overlay.len() > 0);
        let is_there = overlay.is_some();
        if let Some(overlay) = overlay {
            self.overlay.set(overlay);
        }
        Ok(is_there)
    }

    /// Rewrites all records of the most-work chain that an old Core wrote to an overlay file at `path`; needs all
    /// blocks up to the last of them. Sorted runs lie in the same folder meanwhile: about 40 bytes for each
    /// transaction and each coin. `progress` counts heights: three times all of them in the end.
    pub fn rewrite_old_undo(
        &self,
        path: &Path,
        progress: &AtomicU64,
        cancelled: &AtomicBool,
    ) -> Result<Rewritten, ScanError> {
        Rewriting { index: self, path, progress, cancelled, open: BTreeMap::new() }.run()
    }
}

struct Rewriting<'a> {
    index: &'a BlockIndex,
    path: &'a Path,
    progress: &'a AtomicU64,
    cancelled: &'a AtomicBool,
    open: BTreeMap<PathBuf, FileReader>,
}

impl<'a> Rewriting<'a> {
    fn run(mut self) -> Result<Rewritten, ScanError> {
        let old = self.old_heights()?;
        let Some(last) = old.last().copied() else { return Ok(Rewritten::default()) };
        let mut found = self.find_heights(&old, last)?;
        self.write(&old, &mut found)
    }

    /// The heights whose records are to be rewritten, ascending.
    fn old_heights(&mut self) -> Result<Vec<u32>, ScanError> {
        let mut old = Vec::new();
        for height in 1..=self.held() {
            self.step()?;
            let found = self.at(height)?;
            let undo = self.index.undo_by_checksums(found.file, self.cancelled)?;
            // One that is missing is said when its segment is settled.
            let Some(record) = undo.record(found.index) else { continue };
            let bytes = self.bytes(&found.file.pair.undo_path, record, height)?;
            if is_old(&bytes).map_err(|fault| malformed(height, &fault))? {
                old.push(height);
            }
        }
        Ok(old)
    }

    /// Height and coinbase flag of each coin that lacks them.
    fn find_heights(&mut self, old: &[u32], last: u32) -> Result<MergedRuns<FOUND>, ScanError> {
        let created = self.table::<CREATED>("created")?;
        let wanted = self.table::<WANTED>("wanted")?;
        let mut old = old.iter().copied().peekable();
        for height in 0..=last {
            // Genesis has no record; all passes count the same heights.
            if height > 0 {
                self.step()?;
            }
            let found = self.at(height)?;
            let block = self.bytes(&found.file.pair.blocks_path, found.frame.record(), height)?;
            let hash = self.index.tree.hash(found.number).unwrap_or_default();
            let transactions = read_block(&block, &hash).map_err(|reason| ScanError::BlockDamaged {
                path: found.file.pair.blocks_path.clone(),
                offset: found.frame.record().offset,
                reason: format!("height {height}: {reason}"),
            })?;
            for (n, (txid, _)) in transactions.iter().enumerate() {
                created.push(created_row(txid, height, n == 0)).map_err(failed)?;
            }
            if old.next_if_eq(&height).is_some() {
                let bytes = self.undo(&found, height)?;
                let spending = transactions.iter().skip(1).map(|(_, transaction)| transaction);
                let inputs: Vec<u32> =
                    spending.clone().map(|transaction| transaction.input_count() as u32).collect();
                let coins = read_undo(&bytes, &inputs).map_err(|fault| malformed(height, &fault))?;
                let spends = spending.flat_map(Transaction::inputs);
                for ((number, coin), spend) in (0u32..).zip(coins.iter().flatten()).zip(spends) {
                    if coin.lacks_height() {
                        wanted.push(wanted_row(spend.prev_txid, height, number)).map_err(failed)?;
                    }
                }
            }
        }
        self.progress.fetch_add(u64::from(self.held() - last), Ordering::Relaxed);
        self.meet(created.merge().map_err(failed)?, wanted.merge().map_err(failed)?)
    }

    /// Walks both tables in the order of transaction ids.
    fn meet(
        &self,
        mut created: MergedRuns<CREATED>,
        mut wanted: MergedRuns<WANTED>,
    ) -> Result<MergedRuns<FOUND>, ScanError> {
        let answers = self.table::<FOUND>("found")?;
        // Of two transactions with one id (BIP 30) the later one counts, once it is there.
        let mut latest: Option<(Hash, u32, bool)> = None;
        while let Some(row) = wanted.next().map_err(failed)? {
            self.check_cancelled()?;
            let (txid, height, number) = read_wanted(&row);
            while let Some(next) =
                created.peek().map(read_created).filter(|next| (next.0, next.1) <= (txid, height))
            {
                latest = Some(next);
                created.next().map_err(failed)?;
            }
            let Some((_, coin_height, is_coinbase)) = latest.filter(|(id, ..)| *id == txid) else {
                return Err(spent_missing(height, "no earlier block creates one of its coins"));
            };
            answers
                .push(found_row(height, number, coin_height << 1 | u32::from(is_coinbase)))
                .map_err(failed)?;
        }
        answers.merge().map_err(failed)
    }

    fn write(&mut self, old: &[u32], answers: &mut MergedRuns<FOUND>) -> Result<Rewritten, ScanError> {
        let mut overlay = OverlayWriter::create(self.path).map_err(failed)?;
        let mut coins = 0;
        for height in old {
            self.check_cancelled()?;
            let found = self.at(*height)?;
            let bytes = self.undo(&found, *height)?;
            let read = read_shape(&bytes).and_then(|inputs| read_undo(&bytes, &inputs));
            let mut transactions = read.map_err(|fault| malformed(*height, &fault))?;
            for (number, coin) in (0u32..).zip(transactions.iter_mut().flatten()) {
                if !coin.lacks_height() {
                    continue;
                }
                let answer = answers.next().map_err(failed)?.map(|row| read_found(&row));
                let Some((_, _, code)) = answer.filter(|(of, n, _)| (of, n) == (height, &number)) else {
                    return Err(spent_missing(*height, "its undo record has changed meanwhile"));
                };
                coin.code = code;
                coins += 1;
            }
            let tree = &self.index.tree;
            let prev = tree.parent_hash(found.number).unwrap_or_default();
            let record = write_record(&transactions, self.index.params().magic, &prev);
            overlay.push(&tree.hash(found.number).unwrap_or_default(), &record).map_err(failed)?;
        }
        let bytes = overlay.length();
        overlay.finish().map_err(failed)?;
        self.progress.fetch_add(u64::from(self.held()), Ordering::Relaxed);
        Ok(Rewritten { records: old.len() as u32, coins, bytes })
    }

    fn held(&self) -> u32 {
        self.index.held_height().unwrap_or(0)
    }

    fn at(&self, height: u32) -> Result<Found<'a>, ScanError> {
        self.index.found(height).ok_or_else(|| self.index.beyond(height))
    }

    /// CBlockUndo of a block that had a record a pass before.
    fn undo(&mut self, found: &Found<'a>, height: u32) -> Result<Vec<u8>, ScanError> {
        let record = self.index.undo_by_checksums(found.file, self.cancelled)?.record(found.index);
        let record = record.ok_or_else(|| spent_missing(height, "its undo record is gone"))?;
        self.bytes(&found.file.pair.undo_path, record, height)
    }

    /// The body of a record.
    fn bytes(&mut self, path: &Path, record: Record, height: u32) -> Result<Vec<u8>, ScanError> {
        let unreadable = |error| ScanError::unreadable(path, error);
        if !self.open.contains_key(path) {
            if self.open.len() >= OPEN_FILES {
                self.open.clear();
            }
            let reader = FileReader::open(path, self.index.key()).map_err(unreadable)?;
            self.open.insert(path.to_owned(), reader);
        }
        let mut bytes = vec![0; record.size as usize];
        let reader = self.open.get(path).ok_or_else(|| unreadable(io::ErrorKind::NotFound.into()))?;
        let is_whole = reader.fill(record.offset + HEAD_BYTES, &mut bytes).map_err(unreadable)?;
        is_whole.then_some(bytes).ok_or_else(|| spent_missing(height, "its file was cut"))
    }

    fn table<const N: usize>(&self, name: &str) -> Result<SortedRuns<N>, ScanError> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        SortedRuns::new(folder, name, TABLE_BYTES).map_err(failed)
    }

    fn step(&self) -> Result<(), ScanError> {
        self.progress.fetch_add(1, Ordering::Relaxed);
        self.check_cancelled()
    }

    fn check_cancelled(&self) -> Result<(), ScanError> {
        if self.cancelled.load(Ordering::Relaxed) { Err(ScanError::Cancelled) } else { Ok(()) }
    }
}

/// A block's transactions with their ids, which the header commits to.
fn read_block<'a>(block: &'a [u8], hash: &Hash) -> Result<Vec<(Hash, Transaction<'a>)>, String> {
    let mut reader = Reader::new(block);
    let mut read = || {
        reader.take(HEADER_BYTES)?;
        let count = reader.count(LEAST_TRANSACTION_BYTES)?;
        let next = |_| Transaction::read(&mut reader).map(|transaction| (transaction.txid(), transaction));
        (0..count).map(next).collect::<Result<Vec<_>, EncodingFault>>()
    };
    let transactions = read().map_err(|fault| fault.to_string())?;
    let (root, _) = merkle_root(transactions.iter().map(|(txid, _)| *txid).collect());
    let header = block.first_chunk();
    let is_right = header.is_some_and(|header: &RawHeader| {
        block_hash(header) == *hash && root == Header::parse(header).merkle_root
    });
    is_right.then_some(transactions).ok_or_else(|| "bad-txnmrklroot".into())
}

fn created_row(txid: &Hash, height: u32, is_coinbase: bool) -> [u8; CREATED] {
    row(&[txid, &height.to_be_bytes(), &[u8::from(is_coinbase)]])
}

fn read_created(row: &[u8; CREATED]) -> (Hash, u32, bool) {
    (field(row, 0), u32::from_be_bytes(field(row, 32)), field(row, 36) == [1])
}

fn wanted_row(txid: &Hash, height: u32, number: u32) -> [u8; WANTED] {
    row(&[txid, &height.to_be_bytes(), &number.to_be_bytes()])
}

fn read_wanted(row: &[u8; WANTED]) -> (Hash, u32, u32) {
    (field(row, 0), u32::from_be_bytes(field(row, 32)), u32::from_be_bytes(field(row, 36)))
}

fn found_row(height: u32, number: u32, code: u32) -> [u8; FOUND] {
    row(&[&height.to_be_bytes(), &number.to_be_bytes(), &code.to_be_bytes()])
}

fn read_found(row: &[u8; FOUND]) -> (u32, u32, u32) {
    (u32::from_be_bytes(field(row, 0)), u32::from_be_bytes(field(row, 4)), u32::from_be_bytes(field(row, 8)))
}

fn row<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut row = [0; N];
    row.iter_mut().zip(parts.iter().flat_map(|part| part.iter())).for_each(|(to, from)| *to = *from);
    row
}

fn field<const N: usize>(row: &[u8], at: usize) -> [u8; N] {
    row.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().unwrap_or([0; N])
}

fn malformed(height: u32, fault: &EncodingFault) -> ScanError {
    spent_missing(height, &format!("malformed undo record: {fault}"))
}

fn failed(error: io::Error) -> ScanError {
    PiecesError::from(error).into()
}
