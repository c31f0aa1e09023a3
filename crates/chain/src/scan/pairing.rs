//! Whose each undo record is.
//!
//! `rev` file *n* holds the records of blocks stored in `blk` file *n*, in the order in which they were connected:
//! `magic | size u32 | CBlockUndo | SHA256d(hash of the previous block || CBlockUndo)` (Core,
//! `BlockManager::WriteBlockUndo`). A record names its block only through the checksum, and siblings share a
//! parent. So the checksum is tried with the parent of the block expected next, then of the others; between
//! siblings the form decides (transactions, and inputs of each); what stays open is never used.
use super::error::ScanError;
use super::file::{BlockFile, Frame};
use super::reader::{FileReader, XorKey};
use super::records::{HEAD_BYTES, Record, Records, Shape};
use crate::encode::{Hash, sha256d};
use crate::params::Params;
use crate::undo::{CHECKSUM_BYTES, MAX_UNDO_BYTES};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};

/// Sizes of CBlockUndo (DESIGN: at most 256 MiB).
pub(super) const UNDO_BYTES: RangeInclusive<u32> = 1..=MAX_UNDO_BYTES as u32;
/// CBlockUndo of a block that spends nothing.
const NOTHING_SPENT: u8 = 0;
const STEP_BYTES: usize = 1 << 20;
/// Bytes hashed at most for records that are not where they are expected: a damaged file must not cost hours.
const SEARCH_BUDGET_BYTES: u64 = 4 << 30;
/// What one try costs at least, in the same money.
const TRY_BYTES: u64 = 256;

/// The undo records of one file, by block.
#[derive(Debug, Default)]
pub(super) struct Undo {
    /// For each block of the `blk` file, in its order.
    by_block: Vec<Slot>,
    /// Records of no block of the file.
    pub unmatched: usize,
    /// Records of siblings that nothing tells apart.
    pub ambiguous: usize,
}

/// One block's record: 12 bytes.
#[derive(Debug, Default)]
struct Slot {
    /// Offset and size; no record when the size is 0.
    record: (u32, u32),
    /// Set when the record was checked against its block.
    settled: AtomicBool,
}

impl Undo {
    /// The record of the block at `index` of the file.
    pub fn record(&self, index: usize) -> Option<Record> {
        let (offset, size) = self.by_block.get(index)?.record;
        (size > 0).then_some(Record { offset: offset.into(), size })
    }

    /// Whether that record was checked against its block.
    pub fn is_settled(&self, index: usize) -> bool {
        self.by_block.get(index).is_some_and(|slot| slot.settled.load(Ordering::Acquire))
    }

    /// Remembers that it was.
    pub fn settle(&self, index: usize) {
        if let Some(slot) = self.by_block.get(index) {
            slot.settled.store(true, Ordering::Release);
        }
    }

    fn set(&mut self, index: usize, record: Record) {
        // Beyond 4 GiB Core itself has no position.
        if let (Some(slot), Ok(offset)) = (self.by_block.get_mut(index), u32::try_from(record.offset)) {
            slot.record = (offset, record.size);
        }
    }
}

/// What the pairing of one file needs to know.
pub(super) struct Pairing<'a> {
    pub file: &'a BlockFile,
    /// Heights of the file's blocks, in its order.
    pub heights: &'a [u32],
    pub key: XorKey,
    pub params: &'a Params,
    pub cancelled: &'a AtomicBool,
    /// Whether a record has the form that a block needs; asked for siblings only.
    pub fits: &'a dyn Fn(&FileReader, Record, &Frame, u32) -> io::Result<bool>,
}

/// A block that may have a record.
struct Candidate {
    /// Its place in the file.
    index: usize,
    height: u32,
    prev: Hash,
    paired: bool,
}

impl Pairing<'_> {
    /// Reads all records of the file's `rev` file. No file means no records.
    pub fn run(&self) -> Result<Undo, ScanError> {
        let path = &self.file.place.undo_path;
        let reader = match FileReader::open(path, self.key) {
            Ok(reader) => reader,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Undo::default()),
            Err(error) => return Err(ScanError::unreadable(path, error)),
        };
        let mut undo = Undo::default();
        undo.by_block.resize_with(self.file.frames.len(), Slot::default);
        let mut candidates = self.candidates();
        let shape = Shape { magic: self.params.magic, sizes: UNDO_BYTES, trailer: CHECKSUM_BYTES };
        let mut records = Records::new(reader, shape);
        let unreadable = |error| ScanError::unreadable(path, error);
        let mut siblings: BTreeMap<Hash, BTreeMap<Hash, Record>> = BTreeMap::new();
        let mut search = Search { cursor: 0, budget: SEARCH_BUDGET_BYTES, empty: None };
        while let Some(record) = records.next().map_err(unreadable)? {
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(ScanError::Cancelled);
            }
            records.accept(record);
            let end = record.offset + HEAD_BYTES + u64::from(record.size);
            // Cut off under the walk.
            let Some(checksum) = records.reader.array::<32>(end).map_err(unreadable)? else { break };
            let found = search.find(&records.reader, record, &checksum, &candidates).map_err(unreadable)?;
            let Some((at, prev)) = found.and_then(|at| Some((at, candidates.get(at)?.prev))) else {
                undo.unmatched += 1;
                continue;
            };
            let family = family(&candidates, at);
            if family.len() > 1 {
                // The same record twice has the same checksum; the first copy is the live one.
                siblings.entry(prev).or_default().entry(checksum).or_insert(record);
                search.cursor = family.end;
            } else if let Some(candidate) = candidates.get_mut(at).filter(|candidate| !candidate.paired) {
                candidate.paired = true;
                undo.set(candidate.index, record);
                search.cursor = at + 1;
            }
        }
        for (prev, group) in siblings {
            let family: Vec<&Candidate> =
                candidates.iter().filter(|candidate| candidate.prev == prev).collect();
            self.part(&records.reader, &group, &family, &mut undo).map_err(unreadable)?;
        }
        Ok(undo)
    }

    /// The file's blocks in the order in which a node connects them. Genesis has no record.
    fn candidates(&self) -> Vec<Candidate> {
        let frames = self.file.frames.iter().zip(self.heights).enumerate();
        // A second copy of a block is no sibling of the first.
        let mut seen = HashSet::from([self.params.genesis_hash]);
        let mut candidates: Vec<Candidate> = frames
            .filter(|(_, (frame, _))| seen.insert(frame.hash))
            .map(|(index, (frame, height))| Candidate {
                index,
                height: *height,
                prev: frame.prev(),
                paired: false,
            })
            .collect();
        candidates.sort_by_key(|candidate| (candidate.height, candidate.prev, candidate.index));
        candidates
    }

    /// Gives each record of blocks with one parent to the only block whose form it has.
    fn part(
        &self,
        reader: &FileReader,
        group: &BTreeMap<Hash, Record>,
        family: &[&Candidate],
        undo: &mut Undo,
    ) -> io::Result<()> {
        let mut fitting: Vec<Vec<&Candidate>> = Vec::new();
        for record in group.values() {
            let mut fits = Vec::new();
            for candidate in family {
                let Some(frame) = self.file.frames.get(candidate.index) else { continue };
                if (self.fits)(reader, *record, frame, candidate.height)? {
                    fits.push(*candidate);
                }
            }
            fitting.push(fits);
        }
        for (record, fits) in group.values().zip(&fitting) {
            let rivals = |candidate: &Candidate| {
                fitting
                    .iter()
                    .filter(|others| others.iter().any(|other| other.index == candidate.index))
                    .count()
            };
            match fits.as_slice() {
                // Blocks that spend nothing have the same record, byte for byte.
                all if record.size == 1 => {
                    for candidate in all {
                        undo.set(candidate.index, *record);
                    }
                }
                [only] if rivals(only) == 1 => undo.set(only.index, *record),
                _ => undo.ambiguous += 1,
            }
        }
        Ok(())
    }
}

/// The candidates with the same parent as the one at `at`: neighbours in the order.
fn family(candidates: &[Candidate], at: usize) -> std::ops::Range<usize> {
    let Some(prev) = candidates.get(at).map(|candidate| candidate.prev) else { return at..at };
    let same = |candidate: &Candidate| candidate.prev == prev;
    let before = candidates.get(..at).unwrap_or_default().iter().rev().take_while(|c| same(c)).count();
    let after = candidates.get(at..).unwrap_or_default().iter().take_while(|c| same(c)).count();
    at - before..at + after
}

/// The search for a record's block, and what it has cost so far.
struct Search {
    /// Where the next block is expected among the candidates.
    cursor: usize,
    budget: u64,
    /// Checksums of all candidates that would spend nothing: most records of the early years are equal but for
    /// their checksum, and trying them one by one would be quadratic.
    empty: Option<HashMap<Hash, usize>>,
}

impl Search {
    fn find(
        &mut self,
        reader: &FileReader,
        record: Record,
        checksum: &Hash,
        candidates: &[Candidate],
    ) -> io::Result<Option<usize>> {
        let end = candidates.len();
        let open = |at: &usize| candidates.get(*at).is_some_and(|candidate| !candidate.paired);
        let expected = (self.cursor..end).find(open);
        if let Some(at) = expected
            && matches(reader, record, checksum, candidates.get(at))?
        {
            return Ok(Some(at));
        }
        if record.size == 1 {
            let empty = self.empty.get_or_insert_with(|| {
                let entries = candidates.iter().enumerate().rev();
                entries.map(|(at, candidate)| (sha256d([&candidate.prev, &[NOTHING_SPENT]]), at)).collect()
            });
            return Ok(empty.get(checksum).copied());
        }
        // Nearest first, on both sides.
        let centre = expected.unwrap_or(end);
        for distance in 1..=end {
            for at in [centre.checked_add(distance), centre.checked_sub(distance)].into_iter().flatten() {
                if !open(&at) {
                    continue;
                }
                let cost = u64::from(record.size).max(TRY_BYTES);
                let Some(left) = self.budget.checked_sub(cost) else { return Ok(None) };
                self.budget = left;
                if matches(reader, record, checksum, candidates.get(at))? {
                    return Ok(Some(at));
                }
            }
        }
        Ok(None)
    }
}

fn matches(
    reader: &FileReader,
    record: Record,
    checksum: &Hash,
    candidate: Option<&Candidate>,
) -> io::Result<bool> {
    let Some(candidate) = candidate else { return Ok(false) };
    Ok(undo_checksum(reader, record, &candidate.prev)? == Some(*checksum))
}

/// SHA256d(prev || CBlockUndo), read in steps; `None` when the file was cut meanwhile.
fn undo_checksum(reader: &FileReader, record: Record, prev: &Hash) -> io::Result<Option<Hash>> {
    let mut digest = Sha256::new_with_prefix(prev);
    let mut left = record.size as usize;
    let mut offset = record.offset + HEAD_BYTES;
    let mut buffer = vec![0; left.min(STEP_BYTES)];
    while left > 0 {
        let step = buffer.get_mut(..left.min(STEP_BYTES)).unwrap_or_default();
        if !reader.fill(offset, step)? {
            return Ok(None);
        }
        digest.update(&*step);
        offset += step.len() as u64;
        left -= step.len();
    }
    Ok(Some(Sha256::digest(digest.finalize()).into()))
}
