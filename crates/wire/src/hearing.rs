//! What a link does with each message of its peer and each command of TypeScript.

use crate::context::count;
use crate::fetching::Arrival;
use crate::limits::CloseReason;
use crate::link::Link;
use crate::message::{BLOCK_BYTES, Message, Span};
use crate::shared::Command;
use blockswarm_pieces::{BlockWrite, Store};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What a message costs that changes all that a peer has.
const MAP_CHARGE: u32 = 64;
/// Pieces of the largest torrent.
const MOST_PIECES: u32 = 1 << 21;

impl Link {
    /// Obeys one command.
    pub(crate) fn obey(&mut self, command: Command) -> Result<(), CloseReason> {
        match command {
            Command::Close(reason) => return Err(reason),
            Command::Attach(store) => self.attach(Arc::clone(&store.0))?,
            Command::Choke(choke) => self.choke(choke),
            Command::Interest(interested) => {
                if std::mem::replace(&mut self.interested, interested) != interested {
                    let message = if interested { Message::Interested } else { Message::NotInterested };
                    message.write(&mut self.out);
                }
            }
            Command::Fetch { piece, first, end, wanted } => {
                self.fetching.add(piece, first, end, &wanted);
                if self.peer_choking {
                    self.fetching.choked(true, self.allowed_fast.pieces());
                    self.expect_blocks(!self.fetching.is_idle());
                } else {
                    self.expect_blocks(true);
                    self.hurry();
                }
            }
            Command::Cancel { piece, first, end } => {
                for block in self.fetching.cancel(piece, first, end) {
                    if let Some(span) = self.span(piece, block) {
                        Message::Cancel(span).write(&mut self.out);
                    }
                }
                self.rest_when_nothing_is_asked();
            }
            Command::Extension { id, payload } => {
                self.shared.extension_out.fetch_sub(payload.len(), Ordering::Relaxed);
                if self.extensions {
                    Message::Extended { id, payload: &payload }.write(&mut self.out);
                }
            }
            // Who is shown single pieces hears of no others.
            Command::Have(piece) if self.shown.is_all() => Message::Have(piece).write(&mut self.out),
            Command::Show(piece) => {
                self.shown.add(piece);
                Message::Have(piece).write(&mut self.out);
            }
            Command::ForgetHave(piece) if self.peer.unset(piece) => self.report_bitmap(),
            Command::Suggest(piece) if self.fast => Message::Suggest(piece).write(&mut self.out),
            Command::AllowFast(pieces) => self.allow_fast(&pieces),
            Command::AskHashes { span, piece, of } => self.ask_hashes(span, piece, of),
            // An open link was accepted already; what is left is not for this peer.
            Command::Accept { .. } | Command::Have(_) | Command::Suggest(_) | Command::ForgetHave(_) => {}
            Command::RateClasses(classes) => self.pace.set_classes(classes),
            Command::RequestLimit(most) => {
                self.fetching.set_most(most.min(self.context.limits.requests_out));
            }
        }
        Ok(())
    }

    fn choke(&mut self, choke: bool) {
        if std::mem::replace(&mut self.choking, choke) == choke {
            return;
        }
        let message = if choke { Message::Choke } else { Message::Unchoke };
        message.write(&mut self.out);
        if choke {
            let waiting: Vec<Span> = self.serving.drop_all(|span| self.grants.has(span.piece));
            for span in waiting {
                self.refuse(span);
            }
        }
    }

    /// Says which pieces the peer gets though we choke it. What it was told once holds.
    fn allow_fast(&mut self, pieces: &[u32]) {
        let Some(store) = self.store.as_ref().filter(|_| self.fast) else { return };
        let geometry = store.geometry();
        for piece in pieces.iter().filter_map(|piece| geometry.piece(*piece)) {
            if self.grants.add(piece.get(), geometry.block_count(piece)) {
                Message::AllowedFast(piece.get()).write(&mut self.out);
            }
        }
    }

    /// The metadata is known: what the peer said before is held against it, and it hears what we have.
    fn attach(&mut self, store: Arc<Store>) -> Result<(), CloseReason> {
        if self.store.is_some() {
            return Ok(());
        }
        let pieces = store.geometry().piece_count();
        self.peer.attach(pieces).map_err(|_| CloseReason::BadMessage)?;
        self.decoder.set_bitfield_bytes(pieces.div_ceil(8) as usize);
        let shown = |piece: &u32| self.shown.has(*piece) && store.servable().get(*piece);
        for piece in (0..pieces).filter(shown) {
            Message::Have(piece).write(&mut self.out);
        }
        self.store = Some(store);
        self.report_bitmap();
        Ok(())
    }

    /// Acts on one message.
    pub(crate) fn hear(&mut self, message: Message<'_>) -> Result<(), CloseReason> {
        match message {
            Message::Request(span) => return self.hear_request(span),
            Message::Piece { piece, begin, data } => return self.hear_block(piece, begin, data),
            // BEP 6: who did not offer the fast extension may not use it.
            Message::HaveAll
            | Message::HaveNone
            | Message::Reject(_)
            | Message::Suggest(_)
            | Message::AllowedFast(_)
                if !self.fast =>
            {
                return Err(CloseReason::BadMessage);
            }
            // Each makes a copy of the whole bitmap: the first is a greeting, more of them are costly chatter.
            Message::Bitfield(_) | Message::HaveAll | Message::HaveNone => self.charge(MAP_CHARGE)?,
            _ => self.charge(1)?,
        }
        match message {
            Message::Choke => {
                self.peer_choking = true;
                self.fetching.choked(self.fast, self.allowed_fast.pieces());
                self.rest_when_nothing_is_asked();
                self.shared.update(|record| record.peer_choking = true);
            }
            Message::Unchoke => {
                self.peer_choking = false;
                self.shared.update(|record| record.peer_choking = false);
            }
            Message::Interested => self.shared.update(|record| record.peer_interested = true),
            Message::NotInterested => self.shared.update(|record| record.peer_interested = false),
            Message::Have(piece) => {
                let news = self.peer.set(piece).map_err(|_| CloseReason::BadMessage)?;
                if news && self.store.is_some() {
                    let (full, bits) = (self.peer.is_full(), self.peer.bits());
                    self.shared.update(|record| {
                        record.add_have(piece, bits);
                        record.have_all = full;
                    });
                }
            }
            Message::Bitfield(bits) => {
                self.peer.set_bits(bits).map_err(|_| CloseReason::BadMessage)?;
                self.report_bitmap();
            }
            Message::HaveAll | Message::HaveNone => {
                self.peer.set_all(message == Message::HaveAll);
                self.report_bitmap();
            }
            Message::Cancel(span) if self.serving.cancel(span) => self.refuse(span),
            Message::Reject(span) if span.begin.is_multiple_of(BLOCK_BYTES) => {
                self.fetching.rejected(span.piece, span.begin / BLOCK_BYTES);
                self.rest_when_nothing_is_asked();
            }
            Message::Extended { id, payload } => {
                let limit = self.context.limits.extension_in_bytes;
                if !self.shared.update(|record| record.add_message(id, payload, limit)) {
                    return Err(CloseReason::Flood);
                }
            }
            Message::Suggest(piece) if self.is_piece(piece) && self.suggested.add(piece) => {
                self.shared.update(|record| record.suggested.push(piece));
            }
            Message::AllowedFast(piece) if self.is_piece(piece) && self.allowed_fast.add(piece) => {
                self.shared.update(|record| record.allowed_fast.push(piece));
            }
            Message::Port(port) if port != 0 => self.shared.update(|record| record.dht_port = Some(port)),
            Message::HashRequest(span) => self.hear_hash_request(span),
            Message::HashReject(span) => self.hear_hash_reject(&span),
            Message::Hashes { span, hashes } => self.hear_hashes(&span, hashes)?,
            _ => {}
        }
        Ok(())
    }

    fn hear_request(&mut self, span: Span) -> Result<(), CloseReason> {
        if span.length == 0 || span.length > BLOCK_BYTES {
            return Err(CloseReason::BadMessage);
        }
        let mut servable = false;
        if let Some(store) = &self.store {
            let geometry = store.geometry();
            let piece = geometry.piece(span.piece).ok_or(CloseReason::BadMessage)?;
            let end = span.begin.checked_add(span.length).ok_or(CloseReason::BadMessage)?;
            if end > geometry.piece_bytes(piece) {
                return Err(CloseReason::BadMessage);
            }
            servable = self.shown.has(span.piece)
                && store.servable().get(span.piece)
                && (!self.choking || self.grants.take(span.piece));
        }
        if servable {
            if self.serving.waiting() < self.context.limits.requests_in {
                if self.serving.is_idle() {
                    self.hurry();
                }
                self.serving.push(span);
                return Ok(());
            }
            if !self.fast {
                return Err(CloseReason::Flood);
            }
        }
        self.charge(1)?;
        self.refuse(span);
        Ok(())
    }

    /// Whether the torrent may have such a piece.
    fn is_piece(&self, piece: u32) -> bool {
        let pieces = self.store.as_ref().map(|store| store.geometry().piece_count());
        piece < pieces.unwrap_or(MOST_PIECES)
    }

    /// With the fast extension every request is answered, if only with a reject.
    fn refuse(&mut self, span: Span) {
        count(&self.context.counters.refused_requests, 1);
        if self.fast {
            Message::Reject(span).write(&mut self.out);
        }
    }

    /// A served block that turns out to be unreadable: why, the store says to whoever heeds its faults.
    pub(crate) fn unreadable(&mut self, span: Span) -> Result<(), CloseReason> {
        count(&self.context.counters.failed_reads, 1);
        if self.serving.is_broken() {
            // Half of it is out: nothing else may follow.
            return Err(CloseReason::Ours("unreadable".to_owned()));
        }
        self.refuse(span);
        Ok(())
    }

    fn hear_block(&mut self, piece: u32, begin: u32, data: &[u8]) -> Result<(), CloseReason> {
        let block = begin / BLOCK_BYTES;
        let arrival = if begin.is_multiple_of(BLOCK_BYTES) {
            self.fetching.arrived(piece, block, data.len(), self.now.into_std())
        } else {
            Arrival::Unsolicited
        };
        let index = self.store.as_ref().and_then(|store| Some((store, store.geometry().piece(piece)?)));
        let (Some((store, index)), Arrival::Asked(_) | Arrival::Late) = (index, arrival) else {
            return self.unsolicited();
        };
        if data.len() != store.geometry().block_bytes(index, block) as usize {
            return Err(CloseReason::BadMessage);
        }
        let bytes = data.len() as u64;
        self.shared.downloaded.fetch_add(bytes, Ordering::Relaxed);
        count(&self.context.counters.downloaded_bytes, bytes);
        let written = store.write_block(index, begin, data, u64::from(self.shared.id));
        match written {
            BlockWrite::Stored => {}
            BlockWrite::Duplicate | BlockWrite::NotWanted => {
                count(&self.context.counters.wasted_bytes, bytes);
            }
            BlockWrite::Hashable => self.context.hash_arrived(Arc::clone(store), index),
            BlockWrite::Completed => {
                let torrent = self.shared.torrent.load(Ordering::Acquire);
                self.context.finish_piece(torrent, Arc::clone(store), index);
            }
        }
        if let Arrival::Asked(ticket) = arrival {
            self.fetching.settle(ticket, written != BlockWrite::NotWanted);
            self.shared.set_waiting(self.fetching.asked() > 0);
        }
        Ok(())
    }

    /// Only a block starts the wait for the next one anew: whoever sends rejects or chokes instead stays silent.
    fn rest_when_nothing_is_asked(&self) {
        if self.fetching.asked() == 0 {
            self.shared.set_waiting(false);
        }
    }

    /// Asks for as many blocks as should be on their way.
    pub(crate) fn request_blocks(&mut self) {
        // While the peer chokes us only what it allows waits.
        if self.fetching.is_idle() {
            return;
        }
        while let Some((piece, block)) = self.fetching.next_request(self.now.into_std()) {
            if let Some(span) = self.span(piece, block) {
                Message::Request(span).write(&mut self.out);
            }
        }
        if self.fetching.asked() > 0 && !self.shared.is_waiting() {
            self.shared.set_waiting(true);
        }
    }

    /// Reports ranges that are settled.
    pub(crate) fn report_blocks(&mut self) {
        let released = self.fetching.take_released();
        if released > 0 {
            self.shared.queued_blocks.fetch_sub(released, Ordering::Relaxed);
        }
        if let Some(settled) = self.fetching.take_settled() {
            self.shared.update(|record| {
                record.finished.extend(settled.finished);
                record.rejected.extend(settled.rejected);
            });
        }
    }

    /// What the peer has, once the number of pieces is known.
    fn report_bitmap(&self) {
        if self.store.is_none() {
            return;
        }
        let full = self.peer.is_full();
        let bitmap = (!full).then(|| self.peer.bits().to_vec());
        self.shared.update(|record| {
            record.haves.clear();
            record.bitmap = bitmap;
            record.have_all = full;
        });
    }

    fn span(&self, piece: u32, block: u32) -> Option<Span> {
        let geometry = self.store.as_ref()?.geometry();
        let length = geometry.block_bytes(geometry.piece(piece)?, block);
        Some(Span { piece, begin: block * BLOCK_BYTES, length })
    }
}
