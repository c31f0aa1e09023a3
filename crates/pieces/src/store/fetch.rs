//! Blocks in: asked for, kept, hashed as they come, judged.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::Store;
use crate::assembly::{Assembly, Received};
use crate::hashes::{self, Judgement, PieceJudge};
use crate::piece_bytes::PieceBytes;
use crate::smart_ban;
use crate::{BLOCK_BYTES, BlockWrite, OverBudget, PieceIndex, PieceOutcome, PieceVerdict};

impl Store {
    /// The blocks of `[blocks.start, blocks.end)` that have not arrived; none when the piece is servable, being
    /// judged, or the store is read-only. Padding counts as arrived. The first call for a piece takes its buffer
    /// from the budget.
    pub fn wanted_blocks(&self, piece: PieceIndex, blocks: Range<u32>) -> Result<Vec<u32>, OverBudget> {
        let end = blocks.end.min(self.geometry.block_count(piece));
        if blocks.start >= end {
            return Ok(Vec::new());
        }
        let mut assemblies = self.assemblies.lock();
        // Under the lock: a piece turns servable before it leaves the table.
        if self.servable.get(piece.get()) || !self.backing.read().takes_pieces() {
            return Ok(Vec::new());
        }
        let assembly = if let Some(assembly) = assemblies.get(&piece).filter(|assembly| !assembly.is_gone()) {
            Arc::clone(assembly)
        } else {
            let judge = self.hashes.judge(&self.geometry, piece, self.late_hash(piece));
            let fresh = Arc::new(Assembly::new(&self.geometry, piece, judge, &self.budget.read())?);
            assemblies.insert(piece, Arc::clone(&fresh));
            fresh
        };
        drop(assemblies);
        Ok(assembly.wanted(blocks.start..end))
    }

    /// Keeps one whole block of a piece in assembly, in memory. `begin` is its offset in the piece, `from` a
    /// number for its sender.
    pub fn write_block(&self, piece: PieceIndex, begin: u32, data: &[u8], from: u64) -> BlockWrite {
        let block = begin / BLOCK_BYTES;
        let whole = data.len() == self.geometry.block_bytes(piece, block) as usize;
        if !begin.is_multiple_of(BLOCK_BYTES) || !whole || data.is_empty() {
            return BlockWrite::NotWanted;
        }
        // Padding behind a file's end is zeros, whatever a peer says: else it could make v1 and v2 disagree.
        let content = self.geometry.content_bytes(piece).saturating_sub(begin) as usize;
        let data = data.split_at(content.min(data.len())).0;
        match self.assembly(piece) {
            Some(assembly) => assembly.write(block, data, from),
            None if self.servable.get(piece.get()) => BlockWrite::Duplicate,
            None => BlockWrite::NotWanted,
        }
    }

    /// Hashes what has arrived of a piece in order while its other blocks come; [`Self::finish_piece`] hashes what is
    /// left then. Takes long: call on a worker.
    pub fn hash_arrived(&self, piece: PieceIndex) {
        if let Some(assembly) = self.assembly(piece) {
            assembly.hash_arrived();
        }
    }

    /// Judges a piece whose last block has landed, and makes a good one servable. Blocks: call on a worker; no lock
    /// is held meanwhile. `None` when the piece is not complete or was taken already. After any other outcome than
    /// `Good` the piece can be fetched anew.
    pub fn finish_piece(&self, piece: PieceIndex) -> Option<PieceVerdict> {
        let verdict = Self::finish_together(&[(self, piece)]).pop()?;
        self.write_due();
        verdict
    }

    /// [`Self::finish_piece`] for several pieces, also of several stores: a lone piece takes SHA-1 several times as long
    /// as one among many. A store that writes behind writes nothing here: call [`Self::write_due`] of each afterwards.
    pub fn finish_together(pieces: &[(&Self, PieceIndex)]) -> Vec<Option<PieceVerdict>> {
        let (mut taken, mut received) = (Vec::new(), Vec::new());
        for (n, (store, piece)) in pieces.iter().enumerate() {
            if let Some(whole) = store.assembly(*piece).and_then(|assembly| assembly.take()) {
                // Whatever comes of it, also a panic: the piece leaves the table.
                taken.push((n, Leaves { store, piece: *piece }));
                received.push(whole);
            }
        }
        let mut verdicts: Vec<Option<PieceVerdict>> = pieces.iter().map(|_| None).collect();
        for ((n, place), (bytes, senders, judge)) in taken.into_iter().zip(Received::judged(received)) {
            if let Some(verdict) = verdicts.get_mut(n) {
                *verdict = Some(place.store.settle(place.piece, bytes, senders, judge));
            }
        }
        verdicts
    }

    /// Whether [`Self::finish_piece`] takes less time for a piece that comes together with others.
    pub fn judges_better_together(&self) -> bool {
        self.hashes.v1.is_some()
    }

    /// Pieces in assembly, those that wait to be judged included.
    pub fn open_pieces(&self) -> usize {
        self.assemblies.lock().len()
    }

    fn settle(
        &self,
        piece: PieceIndex,
        bytes: PieceBytes,
        senders: Vec<Option<u64>>,
        judge: PieceJudge,
    ) -> PieceVerdict {
        let (judgement, root) = judge.finish();
        let (outcome, culprits) = match judgement {
            Judgement::Good => {
                let culprits = self.convict(piece, &bytes);
                let kept = self.keep(piece, bytes, root);
                (kept.map_or_else(PieceOutcome::Io, |()| PieceOutcome::Good), culprits)
            }
            Judgement::Bad => (PieceOutcome::Bad, self.suspect(piece, &senders, &bytes)),
            Judgement::Contradiction => {
                let error = hashes::contradiction();
                self.note_fault(&error);
                (PieceOutcome::Io(error), Vec::new())
            }
        };
        PieceVerdict { piece, outcome, senders: smart_ban::distinct(senders), culprits }
    }

    /// Forgets the blocks of a piece in assembly and gives its memory back. A piece whose last block has
    /// landed stays: [`Self::finish_piece`] is on its way.
    pub fn abandon_piece(&self, piece: PieceIndex) {
        let mut assemblies = self.assemblies.lock();
        if assemblies.get(&piece).is_some_and(|assembly| assembly.abandon()) {
            assemblies.remove(&piece);
        }
    }

    /// [`Self::abandon_piece`] for all pieces.
    pub fn abandon_all(&self) {
        self.abandon_idle(Duration::ZERO);
    }

    /// [`Self::abandon_piece`] for all pieces to which no block has come for `idle`: those whose peers are gone
    /// would hold the budget for ever.
    pub fn abandon_idle(&self, idle: Duration) {
        self.assemblies.lock().retain(|_, assembly| !(assembly.is_idle(idle) && assembly.abandon()));
    }

    fn assembly(&self, piece: PieceIndex) -> Option<Arc<Assembly>> {
        self.assemblies.lock().get(&piece).map(Arc::clone)
    }

    /// The culprits of earlier attempts, now that the right bytes are known.
    fn convict(&self, piece: PieceIndex, bytes: &PieceBytes) -> Vec<u64> {
        if !self.suspects.lock().knows(piece.get()) {
            return Vec::new();
        }
        let hashes = smart_ban::block_hashes(bytes, self.geometry.content_bytes(piece) as usize);
        self.suspects.lock().convict(piece.get(), &hashes).1
    }

    /// Remembers who sent what of a bad piece; a single sender is the culprit at once.
    fn suspect(&self, piece: PieceIndex, senders: &[Option<u64>], bytes: &PieceBytes) -> Vec<u64> {
        let all = smart_ban::distinct(senders.to_vec());
        if all.len() == 1 {
            return all;
        }
        let hashes = smart_ban::block_hashes(bytes, self.geometry.content_bytes(piece) as usize);
        self.suspects.lock().remember(piece.get(), senders, hashes);
        Vec::new()
    }
}

/// Takes a piece that was judged out of the table.
struct Leaves<'a> {
    store: &'a Store,
    piece: PieceIndex,
}

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.store.assemblies.lock().remove(&self.piece);
    }
}
