//! Hashes that we ask a peer for (BEP 52): each answer is held against the root before it is believed.

use crate::context::count;
use crate::events::Verdict;
use crate::limits::CloseReason;
use crate::link::Link;
use crate::message::{HashSpan, Message};
use blockswarm_pieces::{HashesTaken, PieceIndex};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::Ordering;

/// Requests that a peer has not answered.
pub(crate) const ASKED: u32 = 8;

/// Hashes of pieces that TypeScript may want of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashesOf {
    /// The v2 hashes of a piece and its neighbours.
    Pieces,
    /// The hashes of the blocks of one piece.
    Leaves,
}

/// What became of hashes that were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashOutcome {
    /// They lead to the root.
    Good,
    /// The peer does not have them, or does not give them.
    Refused,
    /// They do not.
    Wrong,
}

/// An answer to [`crate::Hub::request_hashes`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashAnswer {
    /// The piece that was named in the request.
    pub piece: PieceIndex,
    /// The pieces of which something is known now.
    pub known: Range<u32>,
    /// What was asked for.
    pub of: HashesOf,
    /// What came of it.
    pub outcome: HashOutcome,
}

/// A request on its way.
#[derive(Debug)]
pub(crate) struct AskedHashes {
    span: HashSpan,
    piece: PieceIndex,
    of: HashesOf,
}

/// The requests on their way, oldest first.
pub(crate) type HashAsking = VecDeque<AskedHashes>;

impl Link {
    /// Asks for hashes; the hub has counted the request.
    pub(crate) fn ask_hashes(&mut self, span: HashSpan, piece: PieceIndex, of: HashesOf) {
        self.hash_asking.push_back(AskedHashes { span, piece, of });
        Message::HashRequest(span).write(&mut self.out);
    }

    /// The peer refuses. One that was never asked says nothing.
    pub(crate) fn hear_hash_reject(&mut self, span: &HashSpan) {
        if let Some(AskedHashes { piece, of, .. }) = self.take_asked(span) {
            let known = piece.get()..piece.get();
            self.report_hashes(HashAnswer { piece, known, of, outcome: HashOutcome::Refused });
        }
    }

    /// The peer answers. Who makes hashes up is blamed at once: a proof cannot be spoiled by somebody else.
    pub(crate) fn hear_hashes(&mut self, span: &HashSpan, hashes: &[u8]) -> Result<(), CloseReason> {
        let store = self.store.clone();
        let (Some(AskedHashes { piece, of, .. }), Some(store)) = (self.take_asked(span), store) else {
            return self.unsolicited();
        };
        let n = piece.get();
        let (outcome, known, verdicts) = match store.take_hashes(piece, span, hashes) {
            HashesTaken::Wrong => (HashOutcome::Wrong, n..n, Vec::new()),
            HashesTaken::Known(known, verdicts) => (HashOutcome::Good, known, verdicts),
            HashesTaken::Leaves(verdict) => (HashOutcome::Good, n..n + 1, verdict.into_iter().collect()),
        };
        self.report_hashes(HashAnswer { piece, known, of, outcome });
        let torrent = self.shared.torrent.load(Ordering::Acquire);
        let verdicts = verdicts.into_iter().map(|verdict| Verdict { torrent, verdict });
        self.context.outbox.push_verdicts(verdicts);
        if outcome == HashOutcome::Wrong { Err(CloseReason::BadHashes) } else { Ok(()) }
    }

    fn report_hashes(&self, answer: HashAnswer) {
        self.shared.update(|record| record.hash_answers.push(answer));
    }

    fn take_asked(&mut self, span: &HashSpan) -> Option<AskedHashes> {
        let at = self.hash_asking.iter().position(|asked| asked.span == *span)?;
        self.shared.hash_requests.fetch_sub(1, Ordering::Relaxed);
        self.hash_asking.remove(at)
    }

    /// What nobody asked for: a little of it is tolerated.
    pub(crate) fn unsolicited(&mut self) -> Result<(), CloseReason> {
        count(&self.context.counters.unsolicited_blocks, 1);
        self.unsolicited += 1;
        self.charge(1)?;
        let tolerated = self.unsolicited <= self.context.limits.unsolicited_blocks;
        if tolerated { Ok(()) } else { Err(CloseReason::UnsolicitedBlock) }
    }
}
