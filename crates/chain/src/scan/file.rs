//! One `blk` file and the `rev` file of the same number: its blocks in arrival order.
use super::error::{ScanError, SkipReason, Skipped};
use super::pairing::Undo;
use super::reader::{FileReader, XorKey};
use super::records::{HEAD_BYTES, Record, Records, Shape};
use crate::block::{BlockContext, BlockFault, check_block};
use crate::encode::Hash;
use crate::header::{HEADER_BYTES, Header, RawHeader, block_hash};
use crate::params::Params;
use crate::pow::meets_target;
use blockswarm_pieces::FileId;
use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

/// Sizes of a block (DESIGN: 80 to 4,000,000; Core: `MAX_BLOCK_SERIALIZED_SIZE`).
pub(super) const BLOCK_BYTES: RangeInclusive<u32> = 80..=4_000_000;
/// Core's positions are 32-bit: it can neither write nor read what lies beyond.
const FILE_BYTES_LIMIT: u64 = u32::MAX as u64;

/// A block where it lies: 120 bytes, and a mainnet index has a million of them.
pub(super) struct Frame {
    pub hash: Hash,
    pub header: RawHeader,
    /// Where the record's head starts in the file.
    offset: u32,
    /// Bytes of the block.
    size: u32,
}

impl Frame {
    pub fn record(&self) -> Record {
        Record { offset: self.offset.into(), size: self.size }
    }

    pub fn prev(&self) -> Hash {
        Header::parse(&self.header).prev
    }
}

/// What tells whether a file has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    pub length: u64,
    /// Seconds and nanoseconds of Unix time.
    modified: (i64, i64),
}

/// Times of files step by the kernel's tick, on some file systems by whole seconds.
const RECENT_SECONDS: i64 = 2;

impl Stamp {
    /// Of the file at `path`; `None` when there is none.
    pub fn of(path: &Path) -> Result<Option<Self>, ScanError> {
        match fs::metadata(path) {
            Ok(data) => Ok(Some(Self {
                device: data.dev(),
                inode: data.ino(),
                length: data.len(),
                modified: (data.mtime(), data.mtime_nsec()),
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ScanError::unreadable(path, error)),
        }
    }

    fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    fn is_recent(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        i64::try_from(now).is_ok_and(|now| self.modified.0 + RECENT_SECONDS >= now)
    }
}

/// The numbered pair of files and where they are.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub number: u32,
    pub blocks_path: PathBuf,
    pub undo_path: PathBuf,
    pub blocks_id: FileId,
    pub undo_id: FileId,
}

/// One scanned `blk` file. Immutable: a file that changed is scanned again as a whole.
///
/// Why as a whole: after a crash Core goes on writing at the position it flushed last, over blocks that were
/// already there. Only heads are read, so this costs little.
pub(super) struct BlockFile {
    pub place: Place,
    pub stamp: Stamp,
    pub undo_stamp: Option<Stamp>,
    pub frames: Arc<[Frame]>,
    pub skipped: Vec<Skipped>,
    /// Written to so shortly before the scan that the next write may have got the same time.
    recent: bool,
    /// The `blk` file was there and is not any more: pruned. Its blocks stay known.
    pub is_gone: bool,
    /// Whose each undo record is: found when a spent file is first asked for, because it means reading them all.
    pub undo: OnceLock<Arc<Undo>>,
}

impl BlockFile {
    /// Walks the file. `newest` is set for the file that Core is still writing. `None` when the file is gone.
    pub fn scan(place: Place, key: XorKey, params: &Params, newest: bool) -> Result<Option<Self>, ScanError> {
        let path = place.blocks_path.clone();
        let Some(stamp) = Stamp::of(&path)? else { return Ok(None) };
        let undo_stamp = Stamp::of(&place.undo_path)?;
        let walked = match FileReader::open(&path, key) {
            Ok(reader) => walk(reader, &path, params, newest)?,
            // Pruned since the folder was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ScanError::unreadable(&path, error)),
        };
        let (frames, skipped) = walked;
        let recent = [Some(stamp), undo_stamp].into_iter().flatten().any(|stamp| stamp.is_recent());
        let undo = OnceLock::new();
        Ok(Some(Self { place, stamp, undo_stamp, frames, skipped, recent, is_gone: false, undo }))
    }

    /// The same file as it was before the node deleted it, and its undo file with it.
    pub fn gone(&self) -> Self {
        let Self { place, stamp, undo_stamp, frames, skipped, .. } = self;
        Self {
            place: place.clone(),
            stamp: *stamp,
            undo_stamp: *undo_stamp,
            frames: Arc::clone(frames),
            skipped: skipped.clone(),
            recent: false,
            is_gone: true,
            undo: self.undo.clone(),
        }
    }

    /// Whether the `blk` and `rev` files of another scan are the very files of this one, their contents aside.
    pub fn is_same_file(&self, other: &Self) -> bool {
        let undo_is_same = match (self.undo_stamp, other.undo_stamp) {
            (Some(undo), Some(other)) => undo.is_same_file(&other),
            (now, before) => now.is_none() == before.is_none(),
        };
        self.is_gone == other.is_gone && self.stamp.is_same_file(&other.stamp) && undo_is_same
    }

    /// Whether neither file has changed since.
    pub fn is_current(&self) -> Result<bool, ScanError> {
        let place = &self.place;
        Ok(!self.is_gone
            && !self.recent
            && Stamp::of(&place.blocks_path)? == Some(self.stamp)
            && Stamp::of(&place.undo_path)? == self.undo_stamp)
    }
}

fn walk(
    reader: FileReader,
    path: &Path,
    params: &Params,
    newest: bool,
) -> Result<(Arc<[Frame]>, Vec<Skipped>), ScanError> {
    let unreadable = |error| ScanError::unreadable(path, error);
    let shape = Shape { magic: params.magic, sizes: BLOCK_BYTES, trailer: 0 };
    let length = reader.length();
    let mut records = Records::new(reader, shape);
    refuse_foreign(&mut records, path, params, 0)?;
    let mut frames: Vec<Frame> = Vec::new();
    while let Some(record) = records.next().map_err(unreadable)? {
        let header = records.reader.array::<HEADER_BYTES>(record.offset + HEAD_BYTES).map_err(unreadable)?;
        // Cut off under the walk.
        let Some(header) = header else { break };
        let hash = block_hash(&header);
        if !meets_target(&hash, Header::parse(&header).bits, &params.pow_limit) {
            records.reject(record, SkipReason::ProofOfWork);
            continue;
        }
        let Some(offset) = u32::try_from(record.offset).ok().filter(|_| record.offset <= FILE_BYTES_LIMIT)
        else {
            break;
        };
        records.accept(record);
        frames.push(Frame { hash, header, offset, size: record.size });
    }
    for first in records.skips.iter().map(|skip| skip.first).collect::<Vec<_>>() {
        refuse_foreign(&mut records, path, params, first)?;
    }
    let skips = records.skips.iter();
    let mut skipped: Vec<Skipped> = skips
        .map(|skip| Skipped { path: path.to_owned(), first: skip.first, end: skip.end, reason: skip.reason })
        .collect();
    // Core writes head and block in several steps into space allocated before: the last block may be there by
    // its head only. Full files are cut to their last block.
    if let Some(last) = frames.last() {
        let record = last.record();
        let padded = record.offset + HEAD_BYTES + u64::from(record.size) < length;
        if (newest || padded)
            && !is_whole(&records.reader, record, &last.header, params).map_err(unreadable)?
        {
            skipped.retain(|skip| skip.first < record.offset);
            frames.pop();
        }
    }
    Ok((frames.into(), skipped))
}

/// Whether the bytes behind the head are a block. Its height is not known yet, so that either witness rule may
/// hold: with the wrong one a good block fails, with both only a damaged one.
fn is_whole(reader: &FileReader, record: Record, header: &RawHeader, params: &Params) -> io::Result<bool> {
    let mut block = vec![0; record.size as usize];
    if !reader.fill(record.offset + HEAD_BYTES, &mut block)? {
        return Ok(false);
    }
    let whole = |height| {
        let context = BlockContext { header, height, params };
        // All the bytes were read before these were found out.
        matches!(
            check_block(&block, &context),
            Ok(_) | Err(BlockFault::SignetSolution | BlockFault::NeedsEngine)
        )
    };
    Ok(whole(u32::MAX) || whole(0))
}

/// An error when a block of another network stands at `offset`.
fn refuse_foreign(records: &mut Records, path: &Path, params: &Params, offset: u64) -> Result<(), ScanError> {
    const START: usize = HEAD_BYTES as usize + HEADER_BYTES;
    let start = records.reader.array::<START>(offset).map_err(|error| ScanError::unreadable(path, error))?;
    match start.as_ref().and_then(|start| foreign(start, params)) {
        Some(found) => {
            Err(ScanError::NetworkMismatch { path: path.to_owned(), expected: params.name.clone(), found })
        }
        None => Ok(()),
    }
}

/// The network of a record's first 88 bytes when it is another one: by its magic, or by the magic's hex when a
/// genesis block stands behind it (a custom signet).
fn foreign(start: &[u8; HEAD_BYTES as usize + HEADER_BYTES], params: &Params) -> Option<String> {
    let (head, header) = start.split_first_chunk::<8>()?;
    let header: &RawHeader = header.try_into().ok()?;
    let [m0, m1, m2, m3, s0, s1, s2, s3] = *head;
    let magic = [m0, m1, m2, m3];
    if magic == params.magic || !BLOCK_BYTES.contains(&u32::from_le_bytes([s0, s1, s2, s3])) {
        return None;
    }
    let networks =
        [Params::mainnet(), Params::testnet3(), Params::testnet4(), Params::signet(), Params::regtest()];
    let hash = block_hash(header);
    let bits = Header::parse(header).bits;
    let known = networks.iter().find(|network| network.magic == magic);
    match known {
        Some(network) => meets_target(&hash, bits, &network.pow_limit).then(|| network.name.clone()),
        None => networks.iter().any(|network| network.genesis_hash == hash).then(|| {
            let [a, b, c, d] = magic;
            format!("an unknown network (magic {a:02x}{b:02x}{c:02x}{d:02x})")
        }),
    }
}
