//! A piece while its blocks arrive: its bytes, who sent which block, and the hashes of what has come in order.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::hashes::PieceJudge;
use crate::piece_bytes::{PORTION_BYTES, PieceBytes};
use crate::portion::Portion;
use crate::{BLOCK_BYTES, Budget, Geometry, OverBudget, PieceIndex};

/// A piece of v1 longer than this is hashed while it comes: few as long as it fit the memory at a time, so it finds no
/// company, and hashing all of it at its end would keep it from others for a while.
const LONG_PIECE_BYTES: u32 = 8 * 1024 * 1024;
const BLOCKS_IN_PORTION: usize = PORTION_BYTES / BLOCK_BYTES as usize;

/// What became of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockWrite {
    /// Kept; more blocks are missing.
    Stored,
    /// Kept, more blocks are missing, and what came in order is worth hashing now: call [`crate::Store::hash_arrived`]
    /// on a worker. Not said again before that has returned; never where hashing is cheaper together with other pieces.
    Hashable,
    /// It was there already; nothing was written.
    Duplicate,
    /// Nobody wants it: the piece is not in assembly, or there is no such block.
    NotWanted,
    /// Kept, and it was the last: call [`crate::Store::finish_piece`] on a worker. Said once.
    Completed,
}

/// A piece with all its blocks, of which some are hashed.
pub(crate) struct Received {
    pub(crate) bytes: PieceBytes,
    /// Who sent each block; `None` where it is padding.
    pub(crate) senders: Vec<Option<u64>>,
    judge: PieceJudge,
    /// Portions that the judge has seen.
    hashed: usize,
}

/// A piece in assembly. Its lock is held for one block's copy, never while hashing or writing to disk.
pub(crate) struct Assembly {
    state: Mutex<State>,
    /// Notified when a worker gives back what it hashed.
    rested: Condvar,
}

enum State {
    Filling(Filling),
    /// The blocks, none of them missing.
    Complete(Filling),
    Judging,
    Gone,
}

struct Filling {
    bytes: PieceBytes,
    senders: Vec<Option<u64>>,
    have: Vec<bool>,
    missing: u32,
    /// All blocks before this one have arrived.
    prefix: usize,
    /// When the last block came, or the piece entered assembly.
    fed_at: Instant,
    /// `None` while a worker hashes with it.
    judge: Option<PieceJudge>,
    /// [`BlockWrite::Hashable`] was said and not yet obeyed, or never will be.
    promised: bool,
    hashed: usize,
}

impl Assembly {
    /// A piece of which only padding is there, charged to `budget`.
    pub(crate) fn new(
        geometry: &Geometry,
        piece: PieceIndex,
        judge: PieceJudge,
        budget: &Arc<Budget>,
    ) -> Result<Self, OverBudget> {
        let length = geometry.piece_bytes(piece);
        let bytes = PieceBytes::new(length as usize, budget.take(u64::from(length))?);
        let padding = |block: u32| !has_content(geometry, piece, block);
        let have: Vec<bool> = (0..geometry.block_count(piece)).map(padding).collect();
        let mut filling = Filling {
            bytes,
            senders: vec![None; have.len()],
            missing: have.iter().filter(|have| !**have).count() as u32,
            have,
            prefix: 0,
            fed_at: Instant::now(),
            promised: judge.is_serial() && length <= LONG_PIECE_BYTES,
            judge: Some(judge),
            hashed: 0,
        };
        filling.advance();
        Ok(Self { state: Mutex::new(State::Filling(filling)), rested: Condvar::new() })
    }

    /// The blocks of `[first, end)` that have not arrived.
    pub(crate) fn wanted(&self, blocks: Range<u32>) -> Vec<u32> {
        match &*self.state.lock() {
            State::Filling(filling) => {
                blocks.filter(|block| filling.have.get(*block as usize) == Some(&false)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Keeps one block. `data` must have the block's exact length.
    pub(crate) fn write(&self, block: u32, data: &[u8], from: u64) -> BlockWrite {
        let mut state = self.state.lock();
        let filling = match &mut *state {
            State::Filling(filling) => filling,
            State::Complete(_) | State::Judging => return BlockWrite::Duplicate,
            State::Gone => return BlockWrite::NotWanted,
        };
        let at = block as usize;
        // What is had stays as it is: it may be hashed already, or be under a worker's hands.
        match filling.have.get(at) {
            Some(false) => {}
            Some(true) => return BlockWrite::Duplicate,
            None => return BlockWrite::NotWanted,
        }
        if !filling.bytes.put(at * BLOCK_BYTES as usize, data) {
            return BlockWrite::NotWanted;
        }
        if let (Some(have), Some(sender)) = (filling.have.get_mut(at), filling.senders.get_mut(at)) {
            (*have, *sender) = (true, Some(from));
        }
        filling.fed_at = Instant::now();
        filling.missing -= 1;
        filling.advance();
        if filling.missing > 0 {
            let hashable = !filling.promised && filling.whole_portions() > filling.hashed;
            filling.promised |= hashable;
            return if hashable { BlockWrite::Hashable } else { BlockWrite::Stored };
        }
        if let State::Filling(filling) = std::mem::replace(&mut *state, State::Gone) {
            *state = State::Complete(filling);
        }
        BlockWrite::Completed
    }

    /// Hashes the portions that came whole and in order, without the lock: blocks go on arriving meanwhile.
    pub(crate) fn hash_arrived(&self) {
        let mut state = self.state.lock();
        while let State::Filling(filling) = &mut *state {
            let n = filling.hashed;
            filling.promised = n < filling.whole_portions();
            if !filling.promised {
                return;
            }
            let Some(mut judge) = filling.judge.take() else { return };
            let portion = filling.bytes.take(n);
            drop(state);
            // A panic leaves the piece without its judge: it is then lost, and fetched anew.
            let mut lost = Lost { assembly: self, armed: true };
            judge.update(&portion);
            lost.armed = false;
            state = self.state.lock();
            if let State::Filling(filling) | State::Complete(filling) = &mut *state {
                filling.bytes.give_back(n, portion);
                filling.judge = Some(judge);
                filling.hashed = n + 1;
            }
            self.rested.notify_all();
        }
    }

    /// The finished piece, once; `None` while blocks are missing or when it was taken already. Waits for a worker
    /// that hashes a portion of it.
    pub(crate) fn take(&self) -> Option<Received> {
        let mut state = self.state.lock();
        while matches!(&*state, State::Complete(filling) if filling.judge.is_none()) {
            self.rested.wait(&mut state);
        }
        match std::mem::replace(&mut *state, State::Judging) {
            State::Complete(Filling { mut bytes, senders, judge: Some(judge), hashed, .. }) => {
                bytes.fill_up();
                Some(Received { bytes, senders, judge, hashed })
            }
            other => {
                *state = other;
                None
            }
        }
    }

    /// Lets go of a piece that still has blocks missing; false when all have arrived.
    pub(crate) fn abandon(&self) -> bool {
        let mut state = self.state.lock();
        if matches!(*state, State::Filling(_)) {
            *state = State::Gone;
        }
        matches!(*state, State::Gone)
    }

    /// Whether it was abandoned, or lost.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(&*self.state.lock(), State::Gone)
    }

    /// Whether blocks are missing and none has come for so long.
    pub(crate) fn is_idle(&self, idle: Duration) -> bool {
        matches!(&*self.state.lock(), State::Filling(filling) if filling.fed_at.elapsed() >= idle)
    }
}

impl Filling {
    fn advance(&mut self) {
        while self.have.get(self.prefix) == Some(&true) {
            self.prefix += 1;
        }
    }

    fn whole_portions(&self) -> usize {
        if self.prefix == self.have.len() {
            self.bytes.portions().len()
        } else {
            self.prefix / BLOCKS_IN_PORTION
        }
    }
}

impl Received {
    /// Hashes what is left of pieces that are judged together, and gives the judge of each to ask.
    pub(crate) fn judged(pieces: Vec<Self>) -> Vec<(PieceBytes, Vec<Option<u64>>, PieceJudge)> {
        let (mut judges, mut kept) = (Vec::new(), Vec::new());
        for Self { bytes, senders, judge, hashed } in pieces {
            judges.push(judge);
            kept.push((bytes, senders, hashed));
        }
        let rests: Vec<&[Portion]> = kept
            .iter()
            .map(|(bytes, _, hashed)| bytes.portions().get(*hashed..).unwrap_or_default())
            .collect();
        PieceJudge::update_together(&mut judges, &rests);
        kept.into_iter().zip(judges).map(|((bytes, senders, _), judge)| (bytes, senders, judge)).collect()
    }
}

/// Gives the piece up when the hashing of a portion panics.
struct Lost<'a> {
    assembly: &'a Assembly,
    armed: bool,
}

impl Drop for Lost<'_> {
    fn drop(&mut self) {
        if self.armed {
            *self.assembly.state.lock() = State::Gone;
            self.assembly.rested.notify_all();
        }
    }
}

/// Whether the block holds bytes of a file; else it is padding (BEP 47), which is known without asking.
fn has_content(geometry: &Geometry, piece: PieceIndex, block: u32) -> bool {
    let start = geometry.piece_offset(piece) + u64::from(block) * u64::from(BLOCK_BYTES);
    let end = start + u64::from(geometry.block_bytes(piece, block));
    geometry.parts(&(start..end)).next().is_some()
}
