//! The judge of one blocks file: proves its blocks while pieces arrive, in whatever order.
//!
//! Two things find frames (`magic | size | block`):
//!
//! - *Resync*: in bytes that no proven frame covers, the magic followed by a size and by one of the segment's
//!   headers is a candidate, and so is what follows a proven frame. When the block behind it is good, its
//!   height is proven, as a header has one good block only. When it is not, that says nothing: a transaction
//!   may quote such bytes. Frames cut by a missing piece are looked at again when it comes.
//! - *The walk*: from offset 0, where each frame must be the next height's, and the file must end with the
//!   last. Only the walk finds fault. What resync has proven at the offset where the walk meets it is not
//!   checked again.
//!
//! Resync is an optimisation and has a budget: whoever quotes frames by the thousand makes it give up for one
//! piece, and the walk does the work later.
//!
//! Safe on any thread; pieces are checked in parallel. Memory: at most about 260 bytes for each height and, for each
//! call, one search chunk, one block and the hashes of its transactions.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use blockswarm_pieces::Store;
use parking_lot::{Mutex, MutexGuard};

use crate::block::{BlockContext, MAX_BLOCK_BYTES, check_block};
use crate::header::{HEADER_BYTES, RawHeader};
use crate::params::Params;

/// `magic | size`.
const HEAD_BYTES: u64 = 8;
/// What a candidate is known by: magic, size and header.
const MARK_BYTES: u64 = HEAD_BYTES + HEADER_BYTES as u64;
const MAX_FRAME_BYTES: u64 = HEAD_BYTES + MAX_BLOCK_BYTES as u64;
const SEARCH_BYTES: u64 = 1 << 20;
/// Bytes of candidates that may turn out bad in one call before the search gives up: 4 × the largest frame.
const BAD_CANDIDATE_BYTES: u64 = 4 * MAX_FRAME_BYTES;

/// Where the judge reads the file.
pub trait ReadAt {
    /// Fills `out` from `offset`. Only arrived pieces are read.
    fn read_exact_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;
}

impl ReadAt for Store {
    fn read_exact_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        Store::read_exact_at(self, offset, out)
    }
}

/// Why the file is not the blocks of its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFault {
    /// The height whose frame should be there.
    pub height: u32,
    /// Where, from the start of the file.
    pub offset: u64,
    /// What is wrong, starting with Core's reject reason where there is one.
    pub reason: String,
}

/// How far a file is judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JudgeReport {
    /// Heights whose block is proven at the `chain` level.
    pub judged_blocks: u32,
    /// Frames proven from the start without a gap.
    pub walked_blocks: u32,
    /// Bytes of those frames.
    pub walked_bytes: u64,
    /// Whether the file is exactly the frames of all heights.
    pub complete: bool,
    /// Whether the file can never be that, and why.
    pub fault: Option<FileFault>,
}

/// Why no judge was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JudgeError {
    /// No headers, or more than the numbers can count.
    #[error("a segment needs headers")]
    NoHeaders,
    /// A signet segment in a build without the engine.
    #[error("signet blocks need the engine, which this build lacks")]
    NeedsEngine,
}

impl JudgeError {
    /// The code of the error in TypeScript.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoHeaders => "ERR_SEGMENT_RANGE",
            Self::NeedsEngine => "ERR_ENGINE",
        }
    }
}

/// The judge of one blocks file.
#[derive(Debug)]
pub struct Judge {
    params: Params,
    first_height: u32,
    headers: Vec<RawHeader>,
    /// Header to its place among `headers`.
    places: HashMap<RawHeader, u32>,
    length: u64,
    piece_length: u64,
    stopped: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    arrived: Vec<bool>,
    /// Which places have a proven block, and how many that are.
    proven: Vec<bool>,
    judged: u32,
    /// Proven frames by offset: bytes and place. None lies inside another.
    frames: BTreeMap<u64, (u64, u32)>,
    /// Where the walk stands: the next offset and place.
    offset: u64,
    place: u32,
    fault: Option<FileFault>,
    walking: bool,
    /// A piece came while another thread was walking: it looks once more before it stops.
    walk_again: bool,
}

/// What stands at an offset where the frame of a place should be.
enum Frame {
    /// The good block, in a frame of so many bytes.
    Proven(u64),
    /// Not all of it has arrived; so many bytes, once its header is seen.
    Waiting(Option<u64>),
    /// Not that frame, found out by reading so many bytes.
    Bad { reason: String, read_bytes: u64 },
}

/// Bytes that no proven frame covers.
struct Gap {
    range: Range<u64>,
    /// The place whose frame should be at its start.
    expected: Option<u32>,
}

impl State {
    fn prove(&mut self, place: u32, offset: u64, bytes: u64) {
        if let Some(proven) = self.proven.get_mut(place as usize)
            && !*proven
        {
            *proven = true;
            self.judged += 1;
        }
        // A small block may have been found where a transaction of this one quotes it.
        let inside: Vec<u64> = self.frames.range(offset..offset + bytes).map(|(start, _)| *start).collect();
        for start in inside {
            self.frames.remove(&start);
        }
        self.frames.insert(offset, (bytes, place));
    }

    /// Whether more frames were found than a genuine file can hold: a file that repeats one small block would
    /// otherwise grow the map to its own length. The walk will find the fault.
    fn crowded(&self) -> bool {
        self.frames.len() > 2 * self.proven.len()
    }

    /// The first uncovered bytes at or after `offset`.
    fn gap(&self, mut offset: u64) -> Gap {
        let mut expected = (offset == 0).then_some(0);
        while let Some((start, (bytes, place))) = self.frames.range(..=offset).next_back() {
            let end = start + bytes;
            if end >= offset {
                expected = Some(place + 1).filter(|next| (*next as usize) < self.proven.len());
            }
            if end <= offset {
                break;
            }
            offset = end;
        }
        let end = self.frames.range(offset..).next().map_or(u64::MAX, |(start, _)| *start);
        Gap { range: offset..end, expected }
    }
}

impl Judge {
    /// A judge for the frames of `headers`, the first of which has `first_height`, in a file of `length` bytes
    /// and pieces of `piece_length`.
    pub fn new(
        headers: Vec<RawHeader>,
        first_height: u32,
        params: Params,
        length: u64,
        piece_length: u32,
    ) -> Result<Self, JudgeError> {
        let count =
            u32::try_from(headers.len()).ok().filter(|count| first_height.checked_add(*count).is_some());
        let Some(count) = count.filter(|count| *count > 0 && piece_length > 0) else {
            return Err(JudgeError::NoHeaders);
        };
        if params.signet_challenge.is_some() && !cfg!(feature = "engine") {
            return Err(JudgeError::NeedsEngine);
        }
        let piece_length = u64::from(piece_length);
        let state = State {
            arrived: vec![false; length.div_ceil(piece_length) as usize],
            proven: vec![false; headers.len()],
            ..State::default()
        };
        Ok(Self {
            params,
            first_height,
            places: headers.iter().copied().zip(0..count).collect(),
            headers,
            length,
            piece_length,
            stopped: AtomicBool::new(false),
            state: Mutex::new(state),
        })
    }

    /// Takes in a piece that can be read from now on. Blocking; call on a worker.
    ///
    /// An error is one of reading and no verdict; the piece may be handed in again.
    pub fn piece_arrived(&self, source: &impl ReadAt, piece: u32) -> io::Result<JudgeReport> {
        {
            let mut state = self.state.lock();
            match state.arrived.get_mut(piece as usize) {
                Some(arrived) => *arrived = true,
                None => return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("no piece {piece}"))),
            }
            if state.fault.is_some() {
                return Ok(self.report_of(&state));
            }
        }
        self.resync(source, piece)?;
        self.walk(source)?;
        Ok(self.report())
    }

    /// How far the file is judged.
    pub fn report(&self) -> JudgeReport {
        self.report_of(&self.state.lock())
    }

    /// Makes calls under way return at the next block, and later ones at once.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn report_of(&self, state: &State) -> JudgeReport {
        let at_end = state.place as usize == self.headers.len() && state.offset == self.length;
        JudgeReport {
            judged_blocks: state.judged,
            walked_blocks: state.place,
            walked_bytes: state.offset,
            complete: at_end && state.fault.is_none(),
            fault: state.fault.clone(),
        }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Goes on from where the walk stands. One thread at a time; the others leave their pieces to it.
    fn walk(&self, source: &impl ReadAt) -> io::Result<()> {
        let mut state = self.state.lock();
        state.walk_again = true;
        if state.walking {
            return Ok(());
        }
        state.walking = true;
        loop {
            state.walk_again = false;
            // Over what is proven already.
            while let Some((bytes, place)) = state.frames.get(&state.offset).copied()
                && place == state.place
            {
                state.offset += bytes;
                state.place += 1;
            }
            let (offset, place) = (state.offset, state.place);
            let step = MutexGuard::unlocked(&mut state, || self.walk_step(source, offset, place));
            match step {
                Ok(Frame::Proven(bytes)) if bytes > 0 => state.prove(place, offset, bytes),
                Ok(Frame::Waiting(_)) if state.walk_again && !self.is_stopped() => {}
                done => {
                    state.walking = false;
                    if let Frame::Bad { reason, .. } = done? {
                        state.fault = Some(FileFault { height: self.first_height + place, offset, reason });
                    }
                    return Ok(());
                }
            }
        }
    }

    /// What the walk stands before; an empty frame where the file ends as it should.
    fn walk_step(&self, source: &impl ReadAt, offset: u64, place: u32) -> io::Result<Frame> {
        if self.is_stopped() {
            return Ok(Frame::Waiting(None));
        }
        if (place as usize) < self.headers.len() {
            return self.frame_at(source, offset, place);
        }
        Ok(match self.length.saturating_sub(offset) {
            0 => Frame::Proven(0),
            rest => bad(format!("{rest} bytes after the last block"), 0),
        })
    }

    /// Proves the frames that begin in the piece, or before it and reach into it, as far as it can find them.
    fn resync(&self, source: &impl ReadAt, piece: u32) -> io::Result<()> {
        let start = u64::from(piece) * self.piece_length;
        let end = (start + self.piece_length).min(self.length);
        let mut offset = self.arrived_before(start).max(start.saturating_sub(MAX_FRAME_BYTES));
        let mut budget = BAD_CANDIDATE_BYTES;
        while !self.is_stopped() && !self.state.lock().crowded() {
            let gap = self.state.lock().gap(offset);
            offset = gap.range.start;
            if offset >= end {
                break;
            }
            let mut search = offset;
            if let Some(place) = gap.expected {
                match self.frame_at(source, offset, place)? {
                    Frame::Proven(bytes) => {
                        self.state.lock().prove(place, offset, bytes);
                        continue;
                    }
                    Frame::Waiting(Some(bytes)) => {
                        offset += bytes;
                        continue;
                    }
                    Frame::Waiting(None) => {}
                    Frame::Bad { read_bytes, .. } => {
                        search += 1;
                        budget = budget.saturating_sub(read_bytes);
                    }
                }
            }
            offset = gap.range.end.min(end).min(offset + SEARCH_BYTES);
            for (at, place) in self.candidates(source, search..offset)? {
                if budget == 0 || self.is_stopped() {
                    return Ok(());
                }
                match self.frame_at(source, at, place)? {
                    Frame::Proven(bytes) => {
                        self.state.lock().prove(place, at, bytes);
                        offset = at + bytes;
                        break;
                    }
                    Frame::Waiting(_) => {}
                    Frame::Bad { read_bytes, .. } => budget = budget.saturating_sub(read_bytes),
                }
            }
        }
        Ok(())
    }

    /// Offsets in the range at which a frame of some place seems to begin. The range has arrived.
    fn candidates(&self, source: &impl ReadAt, range: Range<u64>) -> io::Result<Vec<(u64, u32)>> {
        // A mark may reach over the end of the range, if what is there has arrived.
        let over = (range.end + MARK_BYTES - 1).min(self.length);
        let end = if self.has_arrived(&(range.end..over)) { over } else { range.end };
        let mut bytes = vec![0; end.saturating_sub(range.start) as usize];
        source.read_exact_at(range.start, &mut bytes)?;
        let mark = |at: usize| {
            let window = bytes.get(at..at + MARK_BYTES as usize)?;
            let (magic, rest) = window.split_first_chunk::<4>()?;
            let (_, header) = rest.split_first_chunk::<4>()?;
            let place = (*magic == self.params.magic).then(|| self.places.get(header).copied())??;
            Some((range.start + at as u64, place))
        };
        // Wherever the magic stands, it covers one byte of every four: most of the bytes are never looked at.
        let fourths = bytes.iter().enumerate().skip(3).step_by(4);
        let touched = fourths.filter(|(_, byte)| self.params.magic.contains(byte));
        Ok(touched.flat_map(|(last, _)| last - 3..=last).filter_map(mark).collect())
    }

    /// Judges the frame of a place at an offset, as far as it has arrived.
    fn frame_at(&self, source: &impl ReadAt, offset: u64, place: u32) -> io::Result<Frame> {
        let Some(header) = self.headers.get(place as usize) else {
            return Ok(bad("more blocks than headers".into(), 0));
        };
        let room = self.length.saturating_sub(offset);
        if room < MARK_BYTES {
            return Ok(bad(format!("{room} bytes left where a block should begin"), 0));
        }
        if !self.has_arrived(&(offset..offset + HEAD_BYTES)) {
            return Ok(Frame::Waiting(None));
        }
        let mut head = [0; HEAD_BYTES as usize];
        source.read_exact_at(offset, &mut head)?;
        let [a, b, c, d, size @ ..] = head;
        if [a, b, c, d] != self.params.magic {
            return Ok(bad("no magic where a block should begin".into(), HEAD_BYTES));
        }
        let size = u64::from(u32::from_le_bytes(size));
        let frame_bytes = HEAD_BYTES + size;
        if size < HEADER_BYTES as u64 || frame_bytes > MAX_FRAME_BYTES.min(room) {
            return Ok(bad(format!("a block of {size} bytes"), HEAD_BYTES));
        }
        if !self.has_arrived(&(offset..offset + MARK_BYTES)) {
            return Ok(Frame::Waiting(None));
        }
        let mut raw = [0; HEADER_BYTES];
        source.read_exact_at(offset + HEAD_BYTES, &mut raw)?;
        if raw != *header {
            return Ok(bad("wrong-header".into(), MARK_BYTES));
        }
        if !self.has_arrived(&(offset..offset + frame_bytes)) {
            return Ok(Frame::Waiting(Some(frame_bytes)));
        }
        let mut block = vec![0; size as usize];
        source.read_exact_at(offset + HEAD_BYTES, &mut block)?;
        let context = BlockContext { header, height: self.first_height + place, params: &self.params };
        Ok(match check_block(&block, &context) {
            Ok(_) => Frame::Proven(frame_bytes),
            Err(fault) => bad(fault.to_string(), frame_bytes),
        })
    }

    /// Whether all pieces of the range have arrived; bytes past the end of the file never have.
    fn has_arrived(&self, range: &Range<u64>) -> bool {
        if range.end > self.length {
            return false;
        }
        let pieces = range.start / self.piece_length..range.end.div_ceil(self.piece_length);
        let state = self.state.lock();
        state
            .arrived
            .get(pieces.start as usize..pieces.end as usize)
            .is_some_and(|run| run.iter().all(|here| *here))
    }

    /// Start of the run of arrived pieces that ends at `offset`, the start of a piece.
    fn arrived_before(&self, offset: u64) -> u64 {
        let state = self.state.lock();
        let before = (offset / self.piece_length) as usize;
        let run = state.arrived.iter().take(before).rev().take_while(|here| **here).count();
        offset - run as u64 * self.piece_length
    }
}

fn bad(reason: String, read_bytes: u64) -> Frame {
    Frame::Bad { reason, read_bytes }
}

#[cfg(test)]
#[path = "judge_test.rs"]
mod tests;
