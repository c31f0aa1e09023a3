//! Undo records in a file of ours that stand in for those of a node's files: see [`super::rewrite`].
//!
//! `record… | entry… | count u32 | SHA-256 of the entries and the count | "bsundo1\n"`, numbers little-endian: a
//! record as in a `rev` file, an entry `hash of the block (32) | offset u64 | size of CBlockUndo u32`, in the order
//! of the hashes. A record is checked against its block before it is used, whatever the file is.
use super::error::ScanError;
use super::records::{HEAD_BYTES, Record};
use crate::encode::Hash;
use crate::undo::CHECKSUM_BYTES;
use blockswarm_pieces::{FileId, Files};
use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const MARK: [u8; 8] = *b"bsundo1\n";
const ENTRY_BYTES: usize = 44;
const FOOT_BYTES: usize = 4 + 32 + 8;
/// Blocks that any chain has; bounds the memory that a damaged file can take.
const ENTRIES_LIMIT: u32 = 10_000_000;

/// The place of an overlay in a folder's pictures: all of them share it.
#[derive(Default)]
pub(super) struct OverlaySlot(RwLock<Option<Arc<UndoOverlay>>>);

impl OverlaySlot {
    pub fn get(&self) -> Option<Arc<UndoOverlay>> {
        self.0.read().clone()
    }

    pub fn set(&self, overlay: UndoOverlay) {
        *self.0.write() = Some(Arc::new(overlay));
    }
}

/// The records of one overlay file.
pub(super) struct UndoOverlay {
    pub path: PathBuf,
    pub file: FileId,
    entries: Box<[Entry]>,
}

struct Entry {
    hash: Hash,
    offset: u64,
    size: u32,
    /// Set when the record was checked against its block.
    settled: AtomicBool,
}

impl UndoOverlay {
    /// Reads the list of records; `None` when there is no such file, or it is none of ours or not whole.
    pub fn open(path: &Path, files: &Files) -> Result<Option<Self>, ScanError> {
        match read_entries(path) {
            Ok(Some(entries)) => {
                Ok(Some(Self { path: path.to_owned(), file: files.add(path, None), entries }))
            }
            Ok(None) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ScanError::unreadable(path, error)),
        }
    }

    fn entry(&self, hash: &Hash) -> Option<&Entry> {
        let at = self.entries.binary_search_by(|entry| entry.hash.cmp(hash)).ok()?;
        self.entries.get(at)
    }

    /// The record of a block.
    pub fn record(&self, hash: &Hash) -> Option<Record> {
        self.entry(hash).map(|entry| Record { offset: entry.offset, size: entry.size })
    }

    /// Whether that record was checked against its block.
    pub fn is_settled(&self, hash: &Hash) -> bool {
        self.entry(hash).is_some_and(|entry| entry.settled.load(Ordering::Acquire))
    }

    /// Remembers that it was.
    pub fn settle(&self, hash: &Hash) {
        if let Some(entry) = self.entry(hash) {
            entry.settled.store(true, Ordering::Release);
        }
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

fn read_entries(path: &Path) -> io::Result<Option<Box<[Entry]>>> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let Some(foot_start) = length.checked_sub(FOOT_BYTES as u64) else { return Ok(None) };
    let mut foot = [0; FOOT_BYTES];
    file.read_exact_at(&mut foot, foot_start)?;
    let [c0, c1, c2, c3, rest @ ..] = foot;
    let count = u32::from_le_bytes([c0, c1, c2, c3]);
    let Some(start) = foot_start.checked_sub(u64::from(count) * ENTRY_BYTES as u64) else { return Ok(None) };
    if !rest.ends_with(&MARK) || count > ENTRIES_LIMIT {
        return Ok(None);
    }
    let mut bytes = vec![0; count as usize * ENTRY_BYTES];
    file.read_exact_at(&mut bytes, start)?;
    if !rest.starts_with(&digest(&bytes, count)) {
        return Ok(None);
    }
    let (rows, _) = bytes.as_chunks::<ENTRY_BYTES>();
    Ok(Some(rows.iter().map(read_entry).collect()))
}

fn read_entry(row: &[u8; ENTRY_BYTES]) -> Entry {
    let mut entry = Entry { hash: [0; 32], offset: 0, size: 0, settled: AtomicBool::new(false) };
    if let Some((hash, [o0, o1, o2, o3, o4, o5, o6, o7, s0, s1, s2, s3])) = row.split_first_chunk::<32>() {
        entry.hash = *hash;
        entry.offset = u64::from_le_bytes([*o0, *o1, *o2, *o3, *o4, *o5, *o6, *o7]);
        entry.size = u32::from_le_bytes([*s0, *s1, *s2, *s3]);
    }
    entry
}

fn digest(entries: &[u8], count: u32) -> Hash {
    Sha256::new_with_prefix(entries).chain_update(count.to_le_bytes()).finalize().into()
}

/// Writes an overlay file, which appears under its name when it is whole.
pub(super) struct OverlayWriter {
    file: io::BufWriter<File>,
    part: PathBuf,
    path: PathBuf,
    offset: u64,
    entries: Vec<[u8; ENTRY_BYTES]>,
}

impl OverlayWriter {
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = io::BufWriter::new(File::create(&part)?);
        Ok(Self { file, part, path: path.to_owned(), offset: 0, entries: Vec::new() })
    }

    /// Appends the record of a block.
    pub fn push(&mut self, hash: &Hash, record: &[u8]) -> io::Result<()> {
        self.file.write_all(record)?;
        let size = (record.len() as u64).saturating_sub(HEAD_BYTES + CHECKSUM_BYTES) as u32;
        let mut entry = [0; ENTRY_BYTES];
        let fields = [&hash[..], &self.offset.to_le_bytes(), &size.to_le_bytes()].concat();
        entry.copy_from_slice(&fields);
        self.entries.push(entry);
        self.offset += record.len() as u64;
        Ok(())
    }

    /// Bytes of records so far.
    pub fn length(&self) -> u64 {
        self.offset
    }

    pub fn finish(mut self) -> io::Result<()> {
        self.entries.sort_unstable();
        let count = self.entries.len() as u32;
        let entries = self.entries.as_flattened();
        self.file.write_all(entries)?;
        self.file.write_all(&count.to_le_bytes())?;
        self.file.write_all(&digest(entries, count))?;
        self.file.write_all(&MARK)?;
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        std::fs::rename(&self.part, &self.path)
    }
}
