//! What is kept of an index between runs: headers, where their blocks are, and how far each file was read.
//!
//! One transaction holds all that a picture has more than the one kept before, so that a kill leaves one of the two.
//! What was appended since the last entry is read again after a kill.
use super::error::{SkipReason, Skipped};
use super::file::{BlockFile, Frame, Kept};
use super::lost::place_all;
use super::pairing::Undo;
use super::rests::Rests;
use super::{BlockIndex, reader::XorKey};
use crate::encode::Hash;
use crate::header::{HEADER_BYTES, Header, RawHeader, block_hashes};
use blockswarm_pieces::{DatabaseFile, RecordReader, RecordWriter};
use parking_lot::Mutex;
use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError, WriteTransaction};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Of what the store is: its one entry has the network's genesis and the folder's key.
const OWNER: TableDefinition<'static, u32, &'static [u8]> = TableDefinition::new("owner");
/// Raw headers in the order of their numbers, so many to a row.
const HEADERS: TableDefinition<'static, u32, &'static [u8]> = TableDefinition::new("headers");
/// By number: what is known of a pair of files but for their records.
const FILES: TableDefinition<'static, u32, &'static [u8]> = TableDefinition::new("files");
/// By number of the file and of the row: the records of `blk` files, so many to a row.
const FRAMES: TableDefinition<'static, (u32, u32), &'static [u8]> = TableDefinition::new("frames");
/// By number: where the records of a `rev` file lie.
const UNDO: TableDefinition<'static, u32, &'static [u8]> = TableDefinition::new("undo");

const VERSION: u8 = 2;
/// Headers or frames in a row of the store.
const ROW: u32 = 128;
/// A node that gives a block each second does not have to make the disk busy each second.
const INTERVAL: Duration = Duration::from_secs(30);
/// That many new headers do not wait.
const HEADERS_LIMIT: u32 = 2000;

/// The store's file, and what is in it. Thread-safe; no call fails.
pub(super) struct IndexStore {
    file: DatabaseFile,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Headers that are kept.
    headers: u32,
    /// The files as they are kept.
    files: BTreeMap<u32, Arc<BlockFile>>,
    at: Option<Instant>,
    warnings: Vec<String>,
}

/// Headers that were read together.
#[derive(Default)]
pub(super) struct HeaderRow {
    number: Option<u32>,
    headers: Vec<RawHeader>,
}

/// What a store had.
struct Found {
    headers: Vec<RawHeader>,
    files: Vec<FoundFile>,
}

struct FoundFile {
    number: u32,
    kept: Kept,
    frames: Vec<Frame>,
    lost: Vec<u32>,
    skipped: Vec<(u64, u64, SkipReason)>,
    undo: Option<Vec<(u32, u32)>>,
}

impl IndexStore {
    /// Opened or made at the first use; its folder must exist.
    pub fn new(path: &Path) -> Self {
        let loss = "the block files will be scanned anew at the next start";
        Self { file: DatabaseFile::new(path, loss), state: Mutex::default() }
    }

    /// What a person should know.
    pub fn warnings(&self) -> Vec<String> {
        let mut state = self.state.lock();
        state.warnings.extend(self.file.warnings());
        state.warnings.clone()
    }

    /// Lets go of the file; a later call opens it again.
    pub fn close(&self) {
        self.file.close();
    }

    /// Number of headers that are kept: others must be remembered.
    fn whole_rows(&self) -> u32 {
        self.state.lock().headers / ROW * ROW
    }

    /// A header that is kept; `row` remembers its neighbours for the next call.
    pub fn header(&self, number: u32, row: &mut HeaderRow) -> Option<RawHeader> {
        let wanted = number / ROW;
        if row.number != Some(wanted) {
            let bytes = self.file.read(|transaction| {
                let table = transaction.open_table(HEADERS)?;
                Ok(table.get(wanted)?.map(|row| row.value().to_vec()))
            })??;
            *row = HeaderRow { number: Some(wanted), headers: headers_of(&bytes)? };
        }
        row.headers.get((number % ROW) as usize).copied()
    }

    /// Drops everything: it belongs to another folder.
    fn forget(&self) {
        let mut state = self.state.lock();
        let warnings = std::mem::take(&mut state.warnings);
        *state = State { warnings, ..State::default() };
        drop(state);
        self.file.write(|transaction| {
            transaction.delete_table(OWNER)?;
            transaction.delete_table(HEADERS)?;
            transaction.delete_table(FILES)?;
            transaction.delete_table(FRAMES)?;
            transaction.delete_table(UNDO)?;
            Ok(())
        });
    }

    /// All that is kept; nothing when it is damaged or of another folder, and then it is dropped.
    fn load(&self, owner: &[u8]) -> Option<Found> {
        let found = self.file.read(|transaction| {
            let Some(kept) = get(transaction, OWNER, 0)? else { return Ok(Ok(None)) };
            if kept != owner {
                return Ok(Err("it belongs to another folder or was written by another version"));
            }
            Ok(read_all(transaction)?.map(Some).ok_or("it is damaged"))
        })?;
        found.unwrap_or_else(|reason| {
            self.file.warn(&format!("{reason}; all block files are scanned anew"));
            self.forget();
            None
        })
    }
}

impl BlockIndex {
    /// Takes over what an earlier run has kept. Whether it still is so shows at the rescan that must follow.
    pub(super) fn restore(&mut self) {
        let Some(store) = self.store.clone() else { return };
        let Some(found) = store.load(&self.owner()) else { return };
        let hashes = block_hashes(&found.headers);
        let rows = found.headers.len() as u32 / ROW * ROW;
        self.rests = Rests::from(rows);
        for ((number, header), hash) in (0..).zip(&found.headers).zip(hashes) {
            self.tree.add(hash, &Header::parse(header));
            self.rests.push(number, header);
        }
        let mut files = Vec::with_capacity(found.files.len());
        for FoundFile { number, kept, frames, lost, skipped, undo } in found.files {
            let pair = self.folder.pair(number, &self.files);
            let path = &pair.blocks_path;
            let skipped = skipped
                .into_iter()
                .map(|(first, end, reason)| Skipped { path: path.clone(), first, end, reason })
                .collect();
            let undo = undo.map(|slots| Arc::new(Undo::of_kept(slots.into_iter())));
            files.push(Arc::new(BlockFile::restored(pair, kept, frames, lost.into(), skipped, undo)));
        }
        place_all(&mut self.tree, &files);
        self.tree.link();
        self.note_depth();
        let mut state = store.state.lock();
        state.headers = self.tree.len();
        state.files = files.iter().map(|file| (file.pair.number, Arc::clone(file))).collect();
        self.block_files = Arc::new(files);
        self.is_restored = true;
    }

    /// Keeps what is new, unless that can wait a little.
    pub(super) fn keep(&mut self) {
        self.keep_all(false);
    }

    /// Keeps what is new now, for the next start.
    pub fn save(&mut self) {
        self.keep_all(true);
    }

    fn keep_all(&mut self, now: bool) {
        let Some(store) = self.store.clone() else { return };
        let mut state = store.state.lock();
        let changed: Vec<&Arc<BlockFile>> = self
            .block_files
            .iter()
            .filter(|file| state.files.get(&file.pair.number).is_none_or(|kept| !Arc::ptr_eq(kept, file)))
            .collect();
        let lost: Vec<u32> =
            state.files.keys().copied().filter(|number| self.block_file(*number).is_none()).collect();
        let headers = state.headers..self.tree.len();
        let waits = state.at.is_some_and(|at| at.elapsed() < INTERVAL)
            && headers.len() < HEADERS_LIMIT as usize
            && !now;
        if waits || headers.is_empty() && changed.is_empty() && lost.is_empty() {
            return;
        }
        let written = store.file.write(|transaction| {
            self.write_headers(transaction, headers.start / ROW * ROW..headers.end)?;
            for number in &lost {
                drop_file(transaction, *number)?;
            }
            for file in &changed {
                write_file(transaction, file, state.files.get(&file.pair.number).map(AsRef::as_ref))?;
            }
            transaction.open_table(OWNER)?.insert(0, self.owner().as_slice())?;
            Ok(())
        });
        state.at = Some(Instant::now());
        if written {
            for number in &lost {
                state.files.remove(number);
            }
            let changed = changed.into_iter().map(|file| (file.pair.number, Arc::clone(file)));
            state.files.extend(changed.collect::<Vec<_>>());
            state.headers = headers.end;
            drop(state);
            self.rests.forget_before(store.whole_rows());
        }
    }

    /// Keeps where the undo records of some files lie.
    pub(super) fn keep_undo(&self, files: &BTreeMap<u32, &BlockFile>) {
        let Some(store) = self.store.as_ref().filter(|_| !files.is_empty()) else { return };
        store.file.write(|transaction| {
            let mut table = transaction.open_table(UNDO)?;
            for file in files.values() {
                let Some(undo) = file.known_undo() else { continue };
                let mut out = RecordWriter::new(VERSION);
                out.u64(file.generation);
                for slot in undo.slots() {
                    let (offset, size) = slot.kept();
                    out.u32(offset);
                    out.u32(size);
                }
                table.insert(file.pair.number, out.finish().as_slice())?;
            }
            Ok(())
        });
    }

    /// Another folder's store is dropped: its numbers mean nothing here.
    pub(super) fn forget_kept(&self) {
        if let Some(store) = &self.store {
            store.forget();
        }
    }

    fn owner(&self) -> Vec<u8> {
        let (genesis, key): (Hash, XorKey) = (self.params.genesis_hash, self.key());
        let mut out = RecordWriter::new(VERSION);
        out.bytes(&self.params.magic);
        out.bytes(&genesis);
        out.bytes(&key);
        out.finish()
    }

    fn write_headers(&self, transaction: &WriteTransaction, numbers: Range<u32>) -> Result<(), redb::Error> {
        let mut table = transaction.open_table(HEADERS)?;
        for first in numbers.clone().step_by(ROW as usize) {
            let mut out = RecordWriter::new(VERSION);
            for number in first..(first + ROW).min(numbers.end) {
                let (prev, bits) = (self.tree.parent_hash(number), self.tree.bits(number));
                let header = prev.zip(bits).and_then(|(prev, bits)| self.rests.header(number, prev, bits));
                out.bytes(&header.unwrap_or([0; HEADER_BYTES]));
            }
            table.insert(first / ROW, out.finish().as_slice())?;
        }
        Ok(())
    }
}

fn write_file(
    transaction: &WriteTransaction,
    file: &BlockFile,
    kept: Option<&BlockFile>,
) -> Result<(), redb::Error> {
    let number = file.pair.number;
    let kept = kept.filter(|kept| kept.generation == file.generation);
    if kept.is_none() {
        drop_file(transaction, number)?;
    }
    let mut out = RecordWriter::new(VERSION);
    file.kept().write(&mut out);
    out.u32(file.frames.len() as u32);
    out.u32(file.lost.len() as u32);
    file.lost.iter().for_each(|index| out.u32(*index));
    for Skipped { first, end, reason, .. } in file.skipped.iter() {
        out.u64(*first);
        out.u64(*end);
        let (code, length) = reason.code();
        out.u32(code);
        out.u32(length);
    }
    transaction.open_table(FILES)?.insert(number, out.finish().as_slice())?;
    let mut table = transaction.open_table(FRAMES)?;
    let first = kept.map_or(0, |kept| kept.frames.len()) / ROW as usize;
    for (row, frames) in (0..).zip(file.frames.chunks(ROW as usize)).skip(first) {
        let mut out = RecordWriter::new(VERSION);
        for frame in frames {
            let Frame { number, offset, size, transactions } = *frame;
            for part in [number, offset, size, transactions] {
                out.u32(part);
            }
        }
        table.insert((number, row), out.finish().as_slice())?;
    }
    Ok(())
}

fn drop_file(transaction: &WriteTransaction, number: u32) -> Result<(), redb::Error> {
    transaction.open_table(FILES)?.remove(number)?;
    transaction.open_table(UNDO)?.remove(number)?;
    transaction.open_table(FRAMES)?.retain_in((number, 0)..=(number, u32::MAX), |_, _| false)?;
    Ok(())
}

/// `None` when something is damaged.
fn read_all(transaction: &ReadTransaction) -> Result<Option<Found>, redb::Error> {
    let mut headers = Vec::new();
    for (expected, row) in (0u32..).zip(transaction.open_table(HEADERS)?.iter()?) {
        let (number, row) = row?;
        match headers_of(row.value())
            .filter(|_| number.value() == expected && headers.len().is_multiple_of(128))
        {
            Some(more) => headers.extend(more),
            None => return Ok(None),
        }
    }
    let mut files = Vec::new();
    let (frames, undo) = (transaction.open_table(FRAMES)?, transaction.open_table(UNDO)?);
    for row in transaction.open_table(FILES)?.iter()? {
        let (number, record) = row?;
        let number = number.value();
        let mut rows = Vec::new();
        for row in frames.range((number, 0)..=(number, u32::MAX))? {
            rows.push(row?.1.value().to_vec());
        }
        let undo = undo.get(number)?.map(|undo| undo.value().to_vec());
        match file_of(number, record.value(), &rows, undo.as_deref(), headers.len() as u32) {
            Some(file) => files.push(file),
            None => return Ok(None),
        }
    }
    Ok(Some(Found { headers, files }))
}

fn headers_of(row: &[u8]) -> Option<Vec<RawHeader>> {
    let mut fields = RecordReader::new(row, VERSION)?;
    let mut headers = Vec::with_capacity(ROW as usize);
    while fields.end().is_none() {
        headers.push(fields.array()?);
    }
    Some(headers)
}

fn file_of(
    number: u32,
    record: &[u8],
    rows: &[Vec<u8>],
    undo: Option<&[u8]>,
    headers: u32,
) -> Option<FoundFile> {
    let mut fields = RecordReader::new(record, VERSION)?;
    let kept = Kept::read(&mut fields)?;
    let count = fields.u32()? as usize;
    let mut lost = Vec::new();
    for _ in 0..fields.u32()? {
        lost.push(fields.u32()?);
    }
    let mut skipped = Vec::new();
    while fields.end().is_none() {
        let (first, end) = (fields.u64()?, fields.u64()?);
        skipped.push((first, end, SkipReason::of_code(fields.u32()?, fields.u32()?)?));
    }
    let mut frames = Vec::new();
    for row in rows {
        let mut fields = RecordReader::new(row, VERSION)?;
        while fields.end().is_none() {
            let (number, offset) = (fields.u32()?, fields.u32()?);
            frames.push(Frame { number, offset, size: fields.u32()?, transactions: fields.u32()? });
        }
    }
    let is_whole = frames.len() == count && frames.iter().all(|frame| frame.number < headers);
    let undo = undo.and_then(|undo| slots_of(undo, kept.generation));
    is_whole.then_some(FoundFile { number, kept, frames, lost, skipped, undo })
}

/// `None` also when it was written of the file before it was replaced.
fn slots_of(record: &[u8], generation: u64) -> Option<Vec<(u32, u32)>> {
    let mut fields = RecordReader::new(record, VERSION)?;
    if fields.u64()? != generation {
        return None;
    }
    let mut slots = Vec::new();
    while fields.end().is_none() {
        slots.push((fields.u32()?, fields.u32()?));
    }
    Some(slots)
}

fn get(
    transaction: &ReadTransaction,
    table: TableDefinition<'static, u32, &'static [u8]>,
    key: u32,
) -> Result<Option<Vec<u8>>, redb::Error> {
    match transaction.open_table(table) {
        Ok(table) => Ok(table.get(key)?.map(|value| value.value().to_vec())),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
