//! All pieces of a torrent hashed once, on many threads: the one loop under making, checking and restarting.
//!
//! The pieces are handed out in order, in batches. A batch is read in steps, a step of each of its pieces at a time,
//! so that SHA-1 goes over as many pieces in lock step as pay on this processor, and SHA-256 finds the same bytes in
//! the nearest caches. SHA-1 is serial in a piece, SHA-256 is not: where v2 is hashed alone, a long piece is cut in
//! spans, so that one file of one piece still occupies every core; and a hybrid with too few pieces for the threads
//! is read twice, once for each hash.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use parking_lot::Mutex;

use crate::merkle::{self, Hash};
use crate::sha::{self, Sha1Streams};
use crate::{BLOCK_BYTES, Geometry, HashPace, PieceIndex, PiecesError};

/// A thread's buffer: what it reads before it hashes, over all pieces of a batch. Stays in a core's own cache.
const BUFFER_BYTES: usize = 512 * 1024;
/// Of memory and of the page cache.
const PAGE_BYTES: usize = 4096;
/// Pieces in a batch at most: each then still has a block of the buffer.
const MAX_BATCH: usize = BUFFER_BYTES / BLOCK_BYTES as usize;
/// A batch of short pieces grows to this, so that taking one costs nothing beside hashing it.
const MIN_BATCH_BYTES: u64 = 256 * 1024;
/// How much of each piece is asked of the disk at once.
const WINDOW_BYTES: u64 = 4 * 1024 * 1024;
/// Parts of a long piece that SHA-256 takes as units.
const SPAN_BYTES: u32 = 16 * 1024 * 1024;

/// Bytes in the torrent's order, read by many threads.
pub(crate) trait PieceSource: Sync {
    /// What one thread reads with.
    fn reader(&self) -> Box<dyn PieceReader + '_>;
}

/// One thread's way to the bytes.
pub(crate) trait PieceReader {
    /// Fills `buffer` from `offset` of the torrent. The text of an error names the file.
    fn read_exact_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Says that a range will be read soon.
    fn will_read(&mut self, _range: &Range<u64>) {}

    /// Says that a range that [`Self::will_read`] was told of is done with.
    fn has_read(&mut self, _range: &Range<u64>) {}

    /// Says that nothing more is read; a file may turn out to have changed.
    fn close(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where the hashes of pieces go, in any order, from many threads.
pub(crate) trait PieceSink: Sync {
    /// Whether the piece is to be read at all.
    fn wants(&self, _piece: PieceIndex) -> bool {
        true
    }

    /// All that was wanted of the piece.
    fn hashed(&self, piece: PieceIndex, digests: PieceDigests);

    /// The piece could not be read; told more than once when it is read in parts. An error ends the pass.
    fn unread(&self, piece: PieceIndex, error: io::Error) -> Result<(), PiecesError>;
}

/// The hashes of one piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PieceDigests {
    /// SHA-1 with the padding.
    pub(crate) v1: Option<[u8; 20]>,
    /// The entry in the piece layer or, in a file of one piece, the pieces root. A piece of padding has none.
    pub(crate) v2: Option<Hash>,
}

/// How a pass runs.
#[derive(Clone, Copy)]
pub struct PassOptions<'a> {
    /// Threads that read and hash; 0 stands for one a core.
    pub threads: usize,
    /// Grows while the pass goes on, to [`Geometry::content_length`] in the end.
    pub progress: &'a AtomicU64,
    /// Raise it to stop the pass within a step.
    pub cancelled: &'a AtomicBool,
    /// Who hashes in the background, behind everybody else.
    pub pace: Option<&'a HashPace>,
}

/// Which hashes are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) v1: bool,
    pub(crate) v2: bool,
}

/// What a thread hashes in one go.
struct Unit {
    piece: PieceIndex,
    /// Offset in the piece.
    offset: u32,
    /// Bytes to read.
    bytes: u32,
    /// Those of them that v2 hashes.
    content: u32,
}

struct Batch {
    stage: Stage,
    units: Vec<Unit>,
}

/// One reading of the torrent.
#[derive(Clone, Copy)]
struct Stage {
    wanted: Wanted,
    /// Bytes of a unit: a piece, or a part of it.
    unit_bytes: u32,
    /// Pieces of a batch.
    width: usize,
}

/// Hands out the torrent in batches.
struct Queue<'a> {
    geometry: &'a Geometry,
    sink: &'a dyn PieceSink,
    stages: Vec<Stage>,
    pieces: Range<u32>,
    /// Stage, piece, and offset in the piece.
    at: Mutex<(usize, u32, u32)>,
}

/// One pass over a torrent.
struct Pass<'a> {
    geometry: &'a Geometry,
    sink: &'a dyn PieceSink,
    options: PassOptions<'a>,
    wanted: Wanted,
    /// How often each byte is read.
    readings: u64,
    /// Pieces of which a part is hashed.
    parts: Mutex<Vec<Parts>>,
}

/// What is known of a piece that is hashed in parts.
struct Parts {
    piece: PieceIndex,
    v1: Option<[u8; 20]>,
    /// The roots of its spans.
    spans: Vec<Option<Hash>>,
}

/// Hashes what the sink wants of a range of pieces. Blocks for long: call it on a worker.
pub(crate) fn hash_pieces(
    geometry: &Geometry,
    pieces: Range<u32>,
    wanted: Wanted,
    source: &dyn PieceSource,
    sink: &dyn PieceSink,
    options: PassOptions<'_>,
) -> Result<(), PiecesError> {
    let threads = match options.threads {
        0 => thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let stages = stages(geometry.piece_length(), pieces.len(), wanted, threads);
    let readings = stages.len() as u64;
    let pass = Pass { geometry, sink, options, wanted, readings, parts: Mutex::default() };
    let queue = Queue { geometry, sink, stages, at: Mutex::new((0, pieces.start, 0)), pieces };
    let failure = Mutex::new(None);
    let work = || {
        if let Err(error) = pass.work(&queue, source, &failure) {
            failure.lock().get_or_insert(error);
        }
    };
    thread::scope(|scope| {
        for n in 1..threads {
            // A thread that the system does not give is one fewer: this one works as well.
            let name = format!("hash-{n}");
            if thread::Builder::new().name(name).spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
    failure.into_inner().map_or(Ok(()), Err)
}

/// How the torrent is read: once, or twice where one reading would leave threads without work.
fn stages(piece_length: u32, pieces: usize, wanted: Wanted, threads: usize) -> Vec<Stage> {
    // Lock step over as many pieces as pay, but not so many that a thread stands idle at the end.
    let batches = pieces.div_ceil(sha::sha1_lanes().clamp(1, MAX_BATCH));
    let batches = if batches < 4 * threads { batches.next_multiple_of(threads) } else { batches };
    let whole = Stage { wanted, unit_bytes: piece_length, width: pieces.div_ceil(batches.max(1)) };
    let v2 = Wanted { v1: false, v2: true };
    let spans = Stage { wanted: v2, unit_bytes: piece_length.min(SPAN_BYTES), width: 1 };
    match wanted {
        Wanted { v1: false, .. } => vec![spans],
        Wanted { v2: true, .. } if threads > 1 && pieces < 2 * threads => {
            vec![Stage { wanted: Wanted { v2: false, ..wanted }, ..whole }, spans]
        }
        _ => vec![whole],
    }
}

impl Queue<'_> {
    fn next(&self) -> Option<Batch> {
        let mut at = self.at.lock();
        loop {
            let stage = *self.stages.get(at.0)?;
            let (mut units, mut bytes) = (Vec::new(), 0);
            while units.len() < stage.width || (bytes < MIN_BATCH_BYTES && units.len() < MAX_BATCH) {
                let Some(piece) = self.geometry.piece(at.1).filter(|_| at.1 < self.pieces.end) else { break };
                let unit = self.unit(stage, piece, at.2);
                let end = at.2.saturating_add(stage.unit_bytes);
                if end < self.size(stage, piece).0 {
                    at.2 = end;
                } else {
                    (at.1, at.2) = (at.1 + 1, 0);
                }
                if unit.bytes > 0 && self.sink.wants(piece) {
                    bytes += u64::from(unit.bytes);
                    units.push(unit);
                }
            }
            if !units.is_empty() {
                return Some(Batch { stage, units });
            }
            *at = (at.0 + 1, self.pieces.start, 0);
        }
    }

    /// Bytes of the piece to read, and those that v2 hashes.
    fn size(&self, stage: Stage, piece: PieceIndex) -> (u32, u32) {
        let content = v2_bytes(self.geometry, stage.wanted, piece);
        (if stage.wanted.v1 { self.geometry.piece_bytes(piece) } else { content }, content)
    }

    fn unit(&self, stage: Stage, piece: PieceIndex, offset: u32) -> Unit {
        let (bytes, content) = self.size(stage, piece);
        let part = |bytes: u32| bytes.saturating_sub(offset).min(stage.unit_bytes);
        Unit { piece, offset, bytes: part(bytes), content: part(content) }
    }
}

impl Pass<'_> {
    fn work(
        &self,
        queue: &Queue<'_>,
        source: &dyn PieceSource,
        failure: &Mutex<Option<PiecesError>>,
    ) -> Result<(), PiecesError> {
        let _idle = self.options.pace.map(HashPace::step_back);
        let mut reader = source.reader();
        let mut memory = vec![0; BUFFER_BYTES + PAGE_BYTES];
        // Copying out of the page cache costs half as much again where pages do not lie on pages (measured on Zen).
        let to_page = memory.as_ptr().align_offset(PAGE_BYTES).min(PAGE_BYTES);
        let buffer = memory.split_at_mut(to_page).1.split_at_mut(BUFFER_BYTES).0;
        while failure.lock().is_none()
            && let Some(batch) = queue.next()
        {
            self.hash(&batch, &mut *reader, buffer)?;
        }
        Ok(reader.close()?)
    }

    fn hash(
        &self,
        batch: &Batch,
        reader: &mut dyn PieceReader,
        buffer: &mut [u8],
    ) -> Result<(), PiecesError> {
        let Batch { stage, units } = batch;
        let block = BLOCK_BYTES as usize;
        let step = (buffer.len() / units.len() / block * block).max(block);
        let mut sha1 = Sha1Streams::new(if stage.wanted.v1 { units.len() } else { 0 });
        let mut leaves: Vec<Vec<Hash>> = vec![Vec::new(); units.len()];
        let mut errors: Vec<Option<io::Error>> = units.iter().map(|_| None).collect();
        let longest = units.iter().map(|unit| unit.bytes).max().unwrap_or(0);
        let mut windows = Windows::new(self.geometry, units);
        let mut at = 0;
        while at < longest {
            if self.options.cancelled.load(Ordering::Relaxed) {
                return Err(PiecesError::Cancelled);
            }
            windows.reach(at, reader);
            let parts: Vec<Range<u32>> = units
                .iter()
                .map(|unit| at.min(unit.bytes)..at.saturating_add(step as u32).min(unit.bytes))
                .collect();
            if let Some(pace) = self.options.pace {
                let bytes = parts.iter().map(|part| u64::from(part.end - part.start)).sum();
                pace.take(bytes, self.options.cancelled);
            }
            self.read(units, &parts, reader, buffer, &mut errors);
            let mut rest = &*buffer;
            let inputs: Vec<&[u8]> = parts
                .iter()
                .map(|part| {
                    let (input, tail) = rest.split_at(part.len());
                    rest = tail;
                    input
                })
                .collect();
            if stage.wanted.v1 {
                sha1.update(&inputs);
            }
            if stage.wanted.v2 {
                hash_leaves(units, &inputs, at, &mut leaves);
            }
            self.count(units, &parts);
            at = at.saturating_add(step as u32);
        }
        windows.end(reader);
        let mut sha1 = if stage.wanted.v1 { sha1.finish() } else { Vec::new() }.into_iter();
        for ((unit, leaves), error) in units.iter().zip(leaves).zip(errors) {
            let v1 = sha1.next();
            match error {
                Some(error) => self.sink.unread(unit.piece, error)?,
                None => self.end_unit(*stage, unit, v1, leaves),
            }
        }
        Ok(())
    }

    /// Fills the buffer with the parts of all units, end to end. Parts that follow each other in the torrent are read
    /// at once.
    fn read(
        &self,
        units: &[Unit],
        parts: &[Range<u32>],
        reader: &mut dyn PieceReader,
        buffer: &mut [u8],
        errors: &mut [Option<io::Error>],
    ) {
        let ranges: Vec<Range<u64>> =
            units.iter().zip(parts).map(|(unit, part)| unit.range(self.geometry, part)).collect();
        let mut rest = buffer;
        let mut ranges = ranges.iter().zip(errors.iter_mut()).peekable();
        while let Some((range, error)) = ranges.next() {
            let mut run = range.clone();
            let mut others = Vec::new();
            while let Some((next, _)) = ranges.peek()
                && next.start == run.end
                && let Some((next, error)) = ranges.next()
            {
                run.end = next.end;
                others.push((next, error));
            }
            let (head, tail) = std::mem::take(&mut rest).split_at_mut((run.end - run.start) as usize);
            rest = tail;
            if reader.read_exact_at(run.start, head).is_ok() {
                continue;
            }
            // Each alone, so that a bad place spoils only the piece that holds it.
            let mut head = head;
            for (range, error) in std::iter::once((range, error)).chain(others) {
                let (part, tail) = std::mem::take(&mut head).split_at_mut((range.end - range.start) as usize);
                head = tail;
                if error.is_none() {
                    *error = reader.read_exact_at(range.start, part).err();
                }
            }
        }
    }

    /// Counts bytes of files, each once.
    fn count(&self, units: &[Unit], parts: &[Range<u32>]) {
        let range = |(unit, part): (&Unit, &Range<u32>)| unit.range(self.geometry, part);
        let bytes: u64 = units
            .iter()
            .zip(parts)
            .map(range)
            .flat_map(|range| self.geometry.parts(&range))
            .map(|part| part.range.end - part.range.start)
            .sum();
        self.options.progress.fetch_add(bytes / self.readings, Ordering::Relaxed);
    }

    /// Tells the hashes of a unit that is a whole piece, and keeps those of a part until the last one comes.
    fn end_unit(&self, stage: Stage, unit: &Unit, v1: Option<[u8; 20]>, mut leaves: Vec<Hash>) {
        let height = merkle::subtree_height(self.geometry, unit.piece);
        let whole = unit.content == self.v2_bytes(unit.piece);
        // A part is never short of leaves: what is missing of the last one is missing of the piece.
        let unit_height = if whole { height } else { merkle::piece_height(stage.unit_bytes) };
        let root = (unit.content > 0).then(|| merkle::leaves_root(&mut leaves, unit_height));
        if whole && stage.wanted == self.wanted {
            return self.sink.hashed(unit.piece, PieceDigests { v1, v2: root });
        }
        let mut parts = self.parts.lock();
        let found = parts.iter().position(|parts| parts.piece == unit.piece);
        let at = found.unwrap_or_else(|| {
            let count = self.v2_bytes(unit.piece).div_ceil(SPAN_BYTES) as usize;
            parts.push(Parts { piece: unit.piece, v1: None, spans: vec![None; count] });
            parts.len() - 1
        });
        let Some(known) = parts.get_mut(at) else { return };
        known.v1 = known.v1.or(v1);
        if let Some(slot) = known.spans.get_mut((unit.offset / SPAN_BYTES) as usize)
            && root.is_some()
        {
            *slot = root;
        }
        if known.v1.is_some() == self.wanted.v1 && known.spans.iter().all(Option::is_some) {
            let Parts { piece, v1, spans } = parts.swap_remove(at);
            drop(parts);
            let mut roots: Vec<Hash> = spans.into_iter().flatten().collect();
            let v2 = match roots[..] {
                [] => None,
                [root] => Some(root),
                _ => Some(merkle::nodes_root(&mut roots, merkle::piece_height(SPAN_BYTES), height)),
            };
            self.sink.hashed(piece, PieceDigests { v1, v2 });
        }
    }

    /// Bytes of the piece that v2 hashes, if it is wanted.
    fn v2_bytes(&self, piece: PieceIndex) -> u32 {
        v2_bytes(self.geometry, self.wanted, piece)
    }
}

fn v2_bytes(geometry: &Geometry, wanted: Wanted, piece: PieceIndex) -> u32 {
    let has_content = wanted.v2 && geometry.file_of(piece).is_some();
    if has_content { geometry.content_bytes(piece) } else { 0 }
}

/// The leaves that begin in this step, of all units together: equally long ones share lanes.
fn hash_leaves(units: &[Unit], inputs: &[&[u8]], at: u32, leaves: &mut [Vec<Hash>]) {
    let contents = units.iter().zip(inputs).map(|(unit, input)| {
        let content = unit.content.saturating_sub(at) as usize;
        input.split_at(content.min(input.len())).0
    });
    let contents: Vec<&[u8]> = contents.collect();
    let all: Vec<&[u8]> = contents.iter().flat_map(|content| content.chunks(BLOCK_BYTES as usize)).collect();
    let mut hashes = vec![[0; 32]; all.len()];
    sha::sha256_many(&all, &mut hashes);
    let mut hashes = hashes.into_iter();
    for (leaves, content) in leaves.iter_mut().zip(contents) {
        leaves.extend(hashes.by_ref().take(content.len().div_ceil(BLOCK_BYTES as usize)));
    }
}

impl Unit {
    /// Where a part of the unit is in the torrent.
    fn range(&self, geometry: &Geometry, part: &Range<u32>) -> Range<u64> {
        let start = geometry.piece_offset(self.piece) + u64::from(self.offset);
        start + u64::from(part.start)..start + u64::from(part.end)
    }
}

/// Tells the reader of a batch's bytes a window ahead, and when it is done with one. Sixteen long pieces in lock
/// step would otherwise have a disk seek for every step.
struct Windows<'a> {
    geometry: &'a Geometry,
    units: &'a [Unit],
    /// Windows told of, and windows done with.
    ahead: u64,
    behind: u64,
}

impl<'a> Windows<'a> {
    fn new(geometry: &'a Geometry, units: &'a [Unit]) -> Self {
        Self { geometry, units, ahead: 0, behind: 0 }
    }

    /// Hashing has come to `at` of each unit.
    fn reach(&mut self, at: u32, reader: &mut dyn PieceReader) {
        let window = u64::from(at) / WINDOW_BYTES;
        while self.behind < window {
            self.each(self.behind, |range| reader.has_read(range));
            self.behind += 1;
        }
        while self.ahead < window + 2 {
            self.each(self.ahead, |range| reader.will_read(range));
            self.ahead += 1;
        }
    }

    fn end(mut self, reader: &mut dyn PieceReader) {
        while self.behind < self.ahead {
            self.each(self.behind, |range| reader.has_read(range));
            self.behind += 1;
        }
    }

    /// The ranges of a window, neighbours joined.
    fn each(&self, window: u64, mut visit: impl FnMut(&Range<u64>)) {
        let mut run: Range<u64> = 0..0;
        for unit in self.units {
            let clip = |at: u64| at.min(u64::from(unit.bytes)) as u32;
            let part = clip(window * WINDOW_BYTES)..clip((window + 1) * WINDOW_BYTES);
            if part.is_empty() {
                continue;
            }
            let range = unit.range(self.geometry, &part);
            if range.start == run.end {
                run.end = range.end;
            } else {
                if !run.is_empty() {
                    visit(&run);
                }
                run = range;
            }
        }
        if !run.is_empty() {
            visit(&run);
        }
    }
}
