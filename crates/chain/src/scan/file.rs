//! One `blk` file and the `rev` file of the same number: its blocks in arrival order, and whether they still are there.
use super::checked::Checked;
use super::error::{ScanError, Skipped};
use super::pairing::Undo;
use super::reader::{FileReader, XorKey};
use super::records::Record;
use super::walk::{Walk, walk};
use crate::params::Params;
use blockswarm_pieces::{FileId, FileIdentity, RecordReader, RecordWriter};
use parking_lot::{Mutex, RwLock};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A record of a `blk` file: 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// The block's number in the tree.
    pub number: u32,
    /// Where the record's head starts in the file.
    pub offset: u32,
    /// Bytes of the block.
    pub size: u32,
    /// Transactions that it says it has.
    pub transactions: u32,
}

impl Frame {
    pub fn record(&self) -> Record {
        Record { offset: self.offset.into(), size: self.size }
    }
}

/// The numbered pair of files and where they are.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub number: u32,
    pub blocks_path: PathBuf,
    pub undo_path: PathBuf,
    pub blocks_id: FileId,
    pub undo_id: FileId,
}

/// What tells whether the files have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamps {
    pub blocks: FileIdentity,
    pub undo: Option<FileIdentity>,
}

impl Stamps {
    /// `None` when there is no `blk` file.
    pub fn of(pair: &Pair) -> Result<Option<Self>, ScanError> {
        let at = |path: &Path| FileIdentity::at(path).map_err(|error| ScanError::unreadable(path, error));
        let Some(blocks) = at(&pair.blocks_path)? else { return Ok(None) };
        Ok(Some(Self { blocks, undo: at(&pair.undo_path)? }))
    }

    /// Whether the next write may leave the time of a file as it is: times of files step by the kernel's tick, on some
    /// file systems by whole seconds.
    fn are_recent(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos());
        [Some(self.blocks), self.undo].into_iter().flatten().any(|file| {
            let step = if file.modified_ns % 1_000_000_000 == 0 { COARSE_STEP_NS } else { FINE_STEP_NS };
            i128::from(file.modified_ns) + step >= now.cast_signed()
        })
    }
}

const COARSE_STEP_NS: i128 = 2_000_000_000;
const FINE_STEP_NS: i128 = 50_000_000;

/// One pair of files as it was when it was last looked at. Immutable.
pub(super) struct BlockFile {
    pub pair: Pair,
    pub stamps: Stamps,
    /// Another one whenever the file was read from its start and found to be another.
    pub generation: u64,
    pub frames: Arc<[Frame]>,
    /// Which of them were checked in this run, since the file was last written to.
    pub checked: Arc<Checked>,
    /// Which of them are not there any more, in order: see [`super::lost`].
    pub lost: Arc<[u32]>,
    pub skipped: Arc<[Skipped]>,
    /// Behind the last block: what follows was not there yet.
    pub scanned_to: u64,
    /// Written to so shortly before the look that the next write may have got the same time.
    pub is_recent: bool,
    /// It was there and is not any more: pruned. Its blocks stay known.
    pub is_gone: bool,
    /// Whose each undo record is: found when a spent file is first asked for.
    undo: RwLock<Option<Arc<Undo>>>,
    /// Held by whoever finds that out.
    pub pairing: Mutex<()>,
    /// As it was found before the undo file has grown, until it is found out anew. Good for where records lie, not for what
    /// they are.
    earlier_undo: RwLock<Option<Arc<Undo>>>,
    /// A block was not what it should be.
    is_doubted: AtomicBool,
}

/// What a store keeps of a pair of files beside its records.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    pub generation: u64,
    stamps: Stamps,
    scanned_to: u64,
    is_recent: bool,
    is_gone: bool,
}

impl Kept {
    pub fn write(&self, out: &mut RecordWriter) {
        out.u64(self.generation);
        out.identity(&self.stamps.blocks);
        out.maybe(self.stamps.undo.as_ref(), RecordWriter::identity);
        out.u64(self.scanned_to);
        out.bytes(&[self.is_recent.into(), self.is_gone.into()]);
    }

    pub fn read(fields: &mut RecordReader<'_>) -> Option<Self> {
        let (generation, blocks) = (fields.u64()?, fields.identity()?);
        let undo = fields.maybe(RecordReader::identity).ok()?;
        let scanned_to = fields.u64()?;
        let [recent, gone] = fields.array()?;
        let stamps = Stamps { blocks, undo };
        Some(Self { generation, stamps, scanned_to, is_recent: recent != 0, is_gone: gone != 0 })
    }
}

/// What a look at a file brought.
pub(super) enum Look {
    /// No `blk` file.
    Gone,
    /// Nothing but the stamps has changed.
    Touched(Stamps),
    /// Blocks behind those known.
    Grown(Stamps, Walk),
    /// The whole file, read from its start.
    Read(Stamps, Walk),
}

impl BlockFile {
    /// As read from its start. `frames` are those of the walk.
    pub fn new(pair: Pair, stamps: Stamps, walk: Walk, frames: Vec<Frame>, generation: u64) -> Self {
        Self {
            pair,
            stamps,
            generation,
            checked: Arc::new(Checked::of(frames.len())),
            frames: frames.into(),
            lost: Arc::default(),
            skipped: walk.skipped.into(),
            scanned_to: walk.end,
            is_recent: stamps.are_recent(),
            is_gone: false,
            undo: RwLock::default(),
            earlier_undo: RwLock::default(),
            is_doubted: AtomicBool::new(false),
            pairing: Mutex::default(),
        }
    }

    /// As a store has kept it.
    pub fn restored(
        pair: Pair,
        kept: Kept,
        frames: Vec<Frame>,
        lost: Arc<[u32]>,
        skipped: Arc<[Skipped]>,
        earlier_undo: Option<Arc<Undo>>,
    ) -> Self {
        let Kept { generation, stamps, scanned_to, is_recent, is_gone } = kept;
        Self {
            pair,
            stamps,
            generation,
            checked: Arc::new(Checked::of(frames.len())),
            frames: frames.into(),
            lost,
            skipped,
            scanned_to,
            is_recent,
            is_gone,
            undo: RwLock::default(),
            earlier_undo: RwLock::new(earlier_undo),
            is_doubted: AtomicBool::new(false),
            pairing: Mutex::default(),
        }
    }

    /// What a store keeps beside the records.
    pub fn kept(&self) -> Kept {
        let Self { generation, stamps, scanned_to, is_recent, is_gone, .. } = *self;
        Kept { generation, stamps, scanned_to, is_recent, is_gone }
    }

    /// The same file later on, with more blocks behind those it had.
    pub fn grown(&self, stamps: Stamps, scanned_to: u64, more: &[Frame]) -> Self {
        let frames =
            if more.is_empty() { Arc::clone(&self.frames) } else { [&self.frames, more].concat().into() };
        let is_same = more.is_empty() && stamps.blocks == self.stamps.blocks;
        let checked = if is_same { Arc::clone(&self.checked) } else { Arc::new(Checked::of(frames.len())) };
        // Where the undo file has changed, its records are to be checked anew.
        let undo = self.undo().filter(|_| stamps.undo == self.stamps.undo);
        Self {
            pair: self.pair.clone(),
            stamps,
            generation: self.generation,
            checked,
            frames,
            lost: Arc::clone(&self.lost),
            skipped: Arc::clone(&self.skipped),
            scanned_to,
            is_recent: stamps.are_recent(),
            is_gone: false,
            undo: RwLock::new(undo),
            earlier_undo: RwLock::new(self.known_undo()),
            is_doubted: AtomicBool::new(false),
            pairing: Mutex::default(),
        }
    }

    /// The same file with fewer records that are not there any more.
    pub fn trimmed(&self, frames: Vec<Frame>, lost: Arc<[u32]>) -> Self {
        let (generation, checked) =
            (RandomState::new().hash_one(self.generation), Arc::new(Checked::of(frames.len())));
        let frames = frames.into();
        let (is_recent, is_gone) = (self.is_recent, self.is_gone);
        let same = self.grown(self.stamps, self.scanned_to, &[]);
        Self { generation, frames, checked, lost, is_recent, is_gone, ..same }
    }

    /// The same file after the node has deleted it, and its undo file with it.
    pub fn gone(&self) -> Self {
        Self { is_gone: true, is_recent: false, ..self.grown(self.stamps, self.scanned_to, &[]) }
    }

    /// Whether the record with that index is where it was, as far as is known.
    pub fn holds(&self, index: u32) -> bool {
        !self.is_gone && self.lost.binary_search(&index).is_err()
    }

    /// Whether `other` is, or was, the same `blk` file, its contents aside.
    pub fn has_same_blocks_file(&self, other: &Self) -> bool {
        let key = |file: &Self| (file.stamps.blocks.device, file.stamps.blocks.inode);
        key(self) == key(other)
    }

    /// Where undo records lie, as far as that was ever found out.
    pub fn known_undo(&self) -> Option<Arc<Undo>> {
        self.undo().or_else(|| self.earlier_undo())
    }

    /// As it was found before the undo file has last changed, until it is found out anew.
    pub fn earlier_undo(&self) -> Option<Arc<Undo>> {
        self.earlier_undo.read().clone()
    }

    /// Whose each undo record is, when that was found out since the undo file has last changed.
    pub fn undo(&self) -> Option<Arc<Undo>> {
        self.undo.read().clone()
    }

    /// Remembers it.
    pub fn set_undo(&self, undo: Arc<Undo>) {
        *self.undo.write() = Some(undo);
        *self.earlier_undo.write() = None;
    }

    /// A block in it was not what it should be: the next look reads it from its start.
    pub fn doubt(&self) {
        self.checked.forget();
        self.is_doubted.store(true, Ordering::Relaxed);
    }

    /// Whether neither file has changed since. Two system calls.
    pub fn is_current(&self) -> Result<bool, ScanError> {
        Ok(!self.is_gone
            && !self.is_recent
            && !self.is_doubted.load(Ordering::Relaxed)
            && Stamps::of(&self.pair)? == Some(self.stamps))
    }

    /// Whether `other` still is this very pair of files, their contents aside.
    pub fn is_same_file(&self, other: &Self) -> bool {
        let key = |identity: FileIdentity| (identity.device, identity.inode);
        self.is_gone == other.is_gone
            && key(self.stamps.blocks) == key(other.stamps.blocks)
            && self.stamps.undo.map(key) == other.stamps.undo.map(key)
    }

    /// Reads what was appended since; the whole file when something else may have happened to it.
    ///
    /// After a crash Core goes on writing at the position that it flushed last, over blocks that were already there.
    /// A file that was written to without a block beginning where the last one ended is therefore in doubt.
    pub fn look(&self, key: XorKey, params: &Params, newest: bool) -> Result<Look, ScanError> {
        let Some(stamps) = Stamps::of(&self.pair)? else { return Ok(Look::Gone) };
        let (was, now) = (self.stamps.blocks, stamps.blocks);
        let is_same_file = (was.device, was.inode) == (now.device, now.inode);
        let is_doubted = self.is_gone || self.is_doubted.load(Ordering::Relaxed);
        if is_doubted || !is_same_file || now.size < self.scanned_to {
            return look_at_all(&self.pair, key, params, newest);
        }
        if was == now && !self.is_recent {
            return Ok(Look::Touched(stamps));
        }
        let Some(reader) = open(&self.pair, key)? else { return Ok(Look::Gone) };
        let walk = walk(reader.exact(), &self.pair.blocks_path, params, self.scanned_to, newest)?;
        let continues = walk.seen.first().map(|first| u64::from(first.offset)) == Some(self.scanned_to);
        // Full files are cut to their last block.
        let was_cut = now.size == self.scanned_to && was.size > now.size;
        if continues {
            Ok(Look::Grown(stamps, walk))
        } else if walk.seen.is_empty() && (walk.is_torn || was_cut || was == now) {
            Ok(Look::Touched(stamps))
        } else {
            look_at_all(&self.pair, key, params, newest)
        }
    }
}

/// Reads a file from its start. `newest` is set for the file that Core is still writing.
pub(super) fn look_at_all(
    pair: &Pair,
    key: XorKey,
    params: &Params,
    newest: bool,
) -> Result<Look, ScanError> {
    // Before the walk: what is written meanwhile shows at the next look.
    let Some(stamps) = Stamps::of(pair)? else { return Ok(Look::Gone) };
    let Some(reader) = open(pair, key)? else { return Ok(Look::Gone) };
    Ok(Look::Read(stamps, walk(reader, &pair.blocks_path, params, 0, newest)?))
}

/// `None` when it was pruned since the folder was listed.
fn open(pair: &Pair, key: XorKey) -> Result<Option<FileReader>, ScanError> {
    match FileReader::open(&pair.blocks_path, key) {
        Ok(reader) => Ok(Some(reader)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ScanError::unreadable(&pair.blocks_path, error)),
    }
}
