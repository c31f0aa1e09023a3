//! Whose each undo record is.
//!
//! `rev` file *n* holds the records of blocks stored in `blk` file *n*, in the order in which they were connected:
//! `magic | size u32 | CBlockUndo | SHA256d(hash of the previous block || CBlockUndo)` (Core,
//! `BlockManager::WriteBlockUndo`). A record names its block only through the checksum, and siblings share a
//! parent.
//!
//! Mostly the records simply follow the blocks in the order of heights, and their first number, which is at their head,
//! counts the transactions: that pairing is provisional, and costs a small read for each record. It is settled when the
//! spent file is made, which reads the bytes anyway. Where it does not hold, the checksum is tried with the parent of
//! the block expected next, then of the others; between siblings the form decides (transactions, and inputs of each), and
//! where that is the same, amounts and scripts; what stays open is never used.
use super::error::ScanError;
use super::error::spent_missing;
use super::file::{BlockFile, Pair};
use super::reader::{FileReader, XorKey};
use super::records::{HEAD_BYTES, Record, Records, Shape};
use super::tree::Tree;
use super::undo_search::Search;
use crate::encode::Hash;
use crate::params::Params;
use crate::undo::{CHECKSUM_BYTES, MAX_UNDO_BYTES};
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Sizes of CBlockUndo (DESIGN: at most 256 MiB).
pub(super) const UNDO_BYTES: RangeInclusive<u32> = 1..=MAX_UNDO_BYTES as u32;

/// The undo records of one file, by block.
#[derive(Debug, Default)]
pub(super) struct Undo {
    /// For each block of the `blk` file, in its order.
    by_block: Vec<Slot>,
    /// Records of no block of the file.
    pub unmatched: usize,
    /// Records of siblings that nothing tells apart.
    pub ambiguous: usize,
    /// Paired by order and count alone.
    pub is_provisional: bool,
}

/// One block's record: 8 bytes.
#[derive(Debug, Default)]
pub(super) struct Slot {
    offset: u32,
    /// Bytes, 0 for no record, and the marks below.
    size: AtomicU32,
}

/// The record was checked against its block, and the file has not changed since.
const SETTLED: u32 = 1 << 31;
/// It was checked at some time.
const PROVEN: u32 = 1 << 30;
const SIZE: u32 = PROVEN - 1;

impl Slot {
    /// As a store keeps it.
    pub fn kept(&self) -> (u32, u32) {
        (self.offset, self.size.load(Ordering::Acquire) & !SETTLED)
    }
}

impl Undo {
    /// As a store has kept it: good for where records lie, not for what they are.
    pub fn of_kept(slots: impl Iterator<Item = (u32, u32)>) -> Self {
        let slot = |(offset, size)| Slot { offset, size: AtomicU32::new(size & !SETTLED) };
        Self { by_block: slots.map(slot).collect(), ..Self::default() }
    }

    /// The slots of the file's blocks, in their order.
    pub fn slots(&self) -> &[Slot] {
        &self.by_block
    }

    /// That the block at that height has no record in the file.
    pub fn none_for(&self, pair: &Pair, height: u32) -> ScanError {
        let (path, unmatched, ambiguous) = (pair.undo_path.display(), self.unmatched, self.ambiguous);
        let counts = format!("{unmatched} of unknown blocks, {ambiguous} of siblings alike");
        spent_missing(height, &format!("no undo record in {path} ({counts})"))
    }

    /// The record of the block at `index` of the file.
    pub fn record(&self, index: usize) -> Option<Record> {
        let slot = self.by_block.get(index)?;
        let size = slot.size.load(Ordering::Acquire) & SIZE;
        (size > 0).then_some(Record { offset: slot.offset.into(), size })
    }

    /// That record if it was ever checked against its block.
    pub fn proven_record(&self, index: usize) -> Option<Record> {
        self.record(index).filter(|_| self.has(index, PROVEN))
    }

    /// Whether that record was checked against its block since the file has last changed.
    pub fn is_settled(&self, index: usize) -> bool {
        self.has(index, SETTLED)
    }

    /// Remembers that it was.
    pub fn settle(&self, index: usize) {
        self.mark(index, SETTLED | PROVEN);
    }

    fn has(&self, index: usize, mark: u32) -> bool {
        self.by_block.get(index).is_some_and(|slot| slot.size.load(Ordering::Acquire) & mark != 0)
    }

    fn mark(&self, index: usize, marks: u32) {
        if let Some(slot) = self.by_block.get(index) {
            slot.size.fetch_or(marks, Ordering::AcqRel);
        }
    }

    /// Takes over what was found out of records that are where they were: all of it when the file has not changed.
    pub fn follow(&self, earlier: &Self, is_same: bool) {
        for index in 0..self.by_block.len() {
            if earlier.proven_record(index).is_some_and(|was| self.record(index) == Some(was)) {
                let settled = is_same && earlier.is_settled(index);
                self.mark(index, if settled { SETTLED | PROVEN } else { PROVEN });
            }
        }
    }

    fn set(&mut self, index: usize, record: Record) {
        // Beyond 4 GiB Core itself has no position.
        if let (Some(slot), Ok(offset)) = (self.by_block.get_mut(index), u32::try_from(record.offset)) {
            *slot = Slot { offset, size: AtomicU32::new(record.size) };
        }
    }
}

/// A digest of what a block spends, when a record can be its own.
type Spends = Option<Hash>;

/// What the pairing of one file needs to know.
pub(super) struct Pairing<'a> {
    pub file: &'a BlockFile,
    pub tree: &'a Tree,
    pub key: XorKey,
    pub params: &'a Params,
    pub cancelled: &'a AtomicBool,
    /// Whether a record has the form that the block at an index of the file needs, at that height; asked for siblings
    /// only.
    pub fits: &'a dyn Fn(&FileReader, Record, usize, u32) -> io::Result<bool>,
    /// Where forms say nothing: what the block spends, as a digest, when the record's coins satisfy its amounts and scripts.
    pub spends: &'a dyn Fn(&FileReader, Record, usize, u32) -> io::Result<Spends>,
}

/// A block that may have a record.
pub(super) struct Candidate {
    /// Its place in the file.
    index: usize,
    height: u32,
    pub prev: Hash,
    pub paired: bool,
}

impl Pairing<'_> {
    /// Pairs the records of the file's `rev` file: at first by a look at their heads, or, with `all_bytes`, by their
    /// checksums. No file means no records.
    pub fn run(&self, all_bytes: bool) -> Result<Undo, ScanError> {
        let path = &self.file.pair.undo_path;
        let open = || match FileReader::open(path, self.key) {
            Ok(reader) => Ok(Some(reader)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ScanError::unreadable(path, error)),
        };
        let Some(reader) = open()? else { return Ok(Undo::default()) };
        let quick = if all_bytes { None } else { self.by_order(reader)? };
        let undo = match quick {
            Some(undo) => undo,
            None => match open()? {
                Some(reader) => self.by_checksums(reader)?,
                None => Undo::default(),
            },
        };
        if let Some(earlier) = self.file.earlier_undo() {
            undo.follow(&earlier, false);
        }
        Ok(undo)
    }

    /// `None` when the order or a count is not as expected.
    fn by_order(&self, reader: FileReader) -> Result<Option<Undo>, ScanError> {
        let unreadable = |error| ScanError::unreadable(&self.file.pair.undo_path, error);
        let mut undo = Undo { is_provisional: true, ..self.blank() };
        let candidates = self.candidates();
        let is_one_of_siblings = |at: usize| family(&candidates, at).len() > 1;
        let mut expected = candidates.iter().enumerate();
        let mut records = self.records(reader);
        while let Some(record) = records.next().map_err(unreadable)? {
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(ScanError::Cancelled);
            }
            records.accept(record);
            let count = records.reader.compact_size(record.offset + HEAD_BYTES).map_err(unreadable)?;
            let Some((at, candidate)) = expected.next() else { return Ok(None) };
            let transactions =
                self.file.frames.get(candidate.index).map(|frame| u64::from(frame.transactions));
            if is_one_of_siblings(at) || count.map(|count| count + 1) != transactions {
                return Ok(None);
            }
            undo.set(candidate.index, record);
        }
        Ok(Some(undo).filter(|_| records.skips.is_empty()))
    }

    fn blank(&self) -> Undo {
        let mut undo = Undo::default();
        undo.by_block.resize_with(self.file.frames.len(), Slot::default);
        undo
    }

    fn records(&self, reader: FileReader) -> Records {
        let shape = Shape { magic: self.params.magic, sizes: UNDO_BYTES, trailer: CHECKSUM_BYTES };
        Records::from(reader, shape, 0)
    }

    fn by_checksums(&self, reader: FileReader) -> Result<Undo, ScanError> {
        let path = &self.file.pair.undo_path;
        let mut undo = self.blank();
        let mut candidates = self.candidates();
        let mut records = self.records(reader);
        let unreadable = |error| ScanError::unreadable(path, error);
        let mut siblings: BTreeMap<Hash, BTreeMap<Hash, Record>> = BTreeMap::new();
        let mut search = Search::default();
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
            let parted = self.part(&records.reader, &group, &family, &mut undo);
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(ScanError::Cancelled);
            }
            parted.map_err(unreadable)?;
        }
        Ok(undo)
    }

    /// The file's blocks in the order in which a node connects them. Genesis has no record, nor has a block without a
    /// line to it.
    fn candidates(&self) -> Vec<Candidate> {
        // A second copy of a block is no sibling of the first.
        let mut seen = HashSet::new();
        let mut candidates: Vec<Candidate> = self
            .file
            .frames
            .iter()
            .enumerate()
            .filter(|(_, frame)| seen.insert(frame.number))
            .filter_map(|(index, frame)| {
                let height = self.tree.height(frame.number).filter(|height| *height > 0)?;
                let prev = self.tree.parent_hash(frame.number)?;
                Some(Candidate { index, height, prev, paired: false })
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
                if (self.fits)(reader, *record, candidate.index, candidate.height)? {
                    fits.push(*candidate);
                }
            }
            fitting.push(fits);
        }
        let mut contested = Vec::new();
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
                [] => undo.ambiguous += 1,
                fits => contested.push((*record, fits)),
            }
        }
        self.decide(reader, &contested, undo)
    }

    /// Gives records that are alike in form to the blocks that they satisfy, where that leaves no doubt.
    fn decide(
        &self,
        reader: &FileReader,
        contested: &[(Record, &[&Candidate])],
        undo: &mut Undo,
    ) -> io::Result<()> {
        let mut satisfied: Vec<Vec<(usize, Hash)>> = Vec::new();
        for (record, fits) in contested {
            let mut blocks = Vec::new();
            for candidate in *fits {
                if self.cancelled.load(Ordering::Relaxed) {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                let spends = (self.spends)(reader, *record, candidate.index, candidate.height)?;
                blocks.extend(spends.map(|spends| (candidate.index, spends)));
            }
            satisfied.push(blocks);
        }
        for ((record, _), blocks) in contested.iter().zip(&satisfied) {
            let rivals = |index: usize| {
                satisfied.iter().filter(|others| others.iter().any(|(other, _)| *other == index)).count()
            };
            let first = blocks.first().map(|(_, spends)| *spends);
            // Siblings that spend the same have the same record.
            let is_clear = first.is_some()
                && blocks.iter().all(|(index, spends)| Some(*spends) == first && rivals(*index) == 1);
            if is_clear {
                for (index, _) in blocks {
                    undo.set(*index, *record);
                }
            } else {
                undo.ambiguous += 1;
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
