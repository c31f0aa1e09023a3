//! What a hub's links are told.

use crate::connect;
use crate::context::Context;
use crate::hash_asking::{ASKED, HashesOf};
use crate::hub::Hub;
use crate::limits::CloseReason;
use crate::registry::{Farewell, Registry};
use crate::shared::{Command, Hello, How, LinkShared, StoreRef};
use crate::web_seed::{self, WebSeed};
use blockswarm_net::Endpoint;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

impl Hub {
    /// Dials; returns the link's number at once. What comes of it is an event. `None`: no such torrent.
    pub fn connect(&self, torrent: u32, address: impl Into<Endpoint>, hello: Hello, how: How) -> Option<u32> {
        self.begin(torrent, address.into(), |context, link, store| {
            connect::outgoing(context, link, store, hello, how)
        })
    }

    /// Begins to fetch from a web seed: a link like any other, of a peer that has everything. It closes as `no-store`
    /// when the torrent has none.
    pub fn connect_web_seed(&self, torrent: u32, seed: WebSeed) -> Option<u32> {
        let nowhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        self.begin(torrent, nowhere.into(), |context, link, store| async move {
            match store {
                Some(store) => web_seed::run(context, link, Arc::clone(&store.0), seed).await,
                None => CloseReason::Http("no-store".to_owned()),
            }
        })
    }

    fn begin<Life>(
        &self,
        torrent: u32,
        address: Endpoint,
        live: impl FnOnce(Arc<Context>, Arc<LinkShared>, Option<Arc<StoreRef>>) -> Life,
    ) -> Option<u32>
    where
        Life: Future<Output = CloseReason> + Send + 'static,
    {
        let core = &self.core;
        let mut registry = core.registry.lock();
        let full = registry.links.len() >= core.context.limits.links || self.closed.load(Ordering::Acquire);
        registry.last_link += 1;
        let id = registry.last_link;
        let entry = registry.torrents.get_mut(&torrent)?;
        let store = entry.store.clone();
        let link = LinkShared::new(id, torrent, address, Arc::clone(&core.context.outbox));
        if full {
            drop(registry);
            link.update(|record| record.close_reason = Some(CloseReason::Full));
            return Some(id);
        }
        entry.links.insert(id);
        registry.links.insert(id, Arc::clone(&link));
        drop(registry);
        let farewell = Farewell::new(core, &link);
        let life = live(Arc::clone(&core.context), link, store);
        self.runtime.handle().spawn(async move {
            farewell.say(life.await);
        });
        Some(id)
    }

    /// Lets an incoming link in; false when it is gone or refused, was let in before, or there is no such torrent.
    pub fn accept(&self, link: u32, torrent: u32, hello: Hello) -> bool {
        let mut registry = self.core.registry.lock();
        let Registry { torrents, links, .. } = &mut *registry;
        let (Some(shared), Some(torrent_entry)) = (links.get(&link), torrents.get_mut(&torrent)) else {
            return false;
        };
        // A refused link may still be on its way out of the registry.
        if shared.is_ending()
            || shared.torrent.compare_exchange(0, torrent, Ordering::AcqRel, Ordering::Acquire).is_err()
        {
            return false;
        }
        torrent_entry.links.insert(link);
        shared.tell(Command::Accept { store: torrent_entry.store.clone(), hello: Box::new(hello) });
        true
    }

    /// Ends a link; nothing happens when it is gone. An incoming one that was not let in ends without an event.
    pub fn close_link(&self, link: u32, reason: &str) {
        self.tell(link, Command::Close(CloseReason::Ours(reason.to_owned())));
    }

    /// Chokes or unchokes the peer. Links start choked.
    pub fn set_choked(&self, link: u32, choked: bool) {
        self.tell(link, Command::Choke(choked));
    }

    /// Says whether we want something of the peer. Links start without interest.
    pub fn set_interested(&self, link: u32, interested: bool) {
        self.tell(link, Command::Interest(interested));
    }

    /// At most so many unanswered requests to this peer (its `reqq`), under our own limit.
    pub fn set_request_limit(&self, link: u32, requests: u32) {
        self.tell(link, Command::RequestLimit(requests));
    }

    /// The peer lost a piece (BEP 54): its bitmap is reported anew.
    pub fn forget_have(&self, link: u32, piece: u32) {
        self.tell(link, Command::ForgetHave(piece));
    }

    /// Queues `[first, end)` of a piece's blocks behind what is queued; blocks that are had are skipped. False: no
    /// such link, piece or blocks, no store yet, too much queued, or no memory for another piece.
    pub fn fetch(&self, link: u32, piece: u32, first: u32, end: u32) -> bool {
        let Some((shared, store)) = self.link_and_store(link) else { return false };
        let geometry = store.0.geometry();
        let Some(index) = geometry.piece(piece).filter(|index| store.0.can_judge(*index)) else {
            return false;
        };
        if first >= end || end > geometry.block_count(index) {
            return false;
        }
        let queued = shared.queued_blocks.load(Ordering::Relaxed);
        if queued.saturating_add(end - first) > self.core.context.limits.queued_blocks {
            return false;
        }
        let wanted = || store.0.wanted_blocks(index, first..end);
        let Ok(wanted) = wanted().or_else(|_| {
            self.make_room();
            wanted()
        }) else {
            return false;
        };
        shared.queued_blocks.fetch_add(wanted.len() as u32, Ordering::Relaxed);
        shared.tell(Command::Fetch { piece, first, end, wanted });
        true
    }

    /// Takes blocks off a link's queue, and takes requests back. They are not reported any more.
    pub fn cancel(&self, link: u32, piece: u32, first: u32, end: u32) {
        self.tell(link, Command::Cancel { piece, first, end });
    }

    /// Queues an extension message; false: no such link, or its queue is full, and then it closes as `flood`.
    pub fn send_extension(&self, link: u32, id: u8, payload: Vec<u8>) -> bool {
        let registry = self.core.registry.lock();
        let Some(shared) = registry.links.get(&link) else { return false };
        let bytes = shared.extension_out.fetch_add(payload.len(), Ordering::Relaxed) + payload.len();
        if payload.len() > crate::framing::EXTENSION_BYTES || bytes > self.core.context.limits.out_bytes / 2 {
            shared.tell(Command::Close(CloseReason::Flood));
            return false;
        }
        shared.tell(Command::Extension { id, payload });
        true
    }

    /// Tells every peer of a torrent that we have the piece: also those that have it, who thus learn when we
    /// are complete and of no more use to them.
    pub fn announce_have(&self, torrent: u32, piece: u32) {
        let registry = self.core.registry.lock();
        let Some(torrent) = registry.torrents.get(&torrent) else { return };
        for link in torrent.links.iter().filter_map(|id| registry.links.get(id)) {
            link.tell(Command::Have(piece));
        }
    }

    /// Asks a peer for v2 hashes (BEP 52). Returns the pieces whose hashes will come; `None`: no such link or piece, they
    /// are known or cannot be had, or too much is asked of this peer already.
    pub fn request_hashes(&self, link: u32, piece: u32, of: HashesOf) -> Option<Range<u32>> {
        let (shared, store) = self.link_and_store(link)?;
        let index = store.0.geometry().piece(piece)?;
        let (span, pieces) = match of {
            HashesOf::Pieces => store.0.hash_span(index)?,
            HashesOf::Leaves => (store.0.leaf_span(index)?, piece..piece + 1),
        };
        if shared.hash_requests.fetch_add(1, Ordering::Relaxed) >= ASKED {
            shared.hash_requests.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        shared.tell(Command::AskHashes { span, piece: index, of });
        Some(pieces)
    }

    /// Shows a piece to one peer, which may ask for it from now on: what a link that hides what we have is for.
    pub fn show_piece(&self, link: u32, piece: u32) {
        self.tell(link, Command::Show(piece));
    }

    /// Suggests a piece (BEP 6).
    pub fn suggest(&self, link: u32, piece: u32) {
        self.tell(link, Command::Suggest(piece));
    }

    /// Gives pieces to a peer though we choke it, each once (BEP 6).
    pub fn allow_fast(&self, link: u32, pieces: Vec<u32>) {
        self.tell(link, Command::AllowFast(pieces));
    }

    /// Makes room for a piece: those that only peers now gone (or lying) had would stop every torrent of the process,
    /// and good ones may wait to be written by a store that gets no more of them.
    fn make_room(&self) {
        let idle = self.core.context.limits.piece_idle;
        self.core.stores().iter().for_each(|store| store.0.abandon_idle(idle));
        self.core.context.judge_waiting();
        self.core.write_out(Duration::ZERO);
    }

    fn link_and_store(&self, link: u32) -> Option<(Arc<LinkShared>, Arc<StoreRef>)> {
        let registry = self.core.registry.lock();
        let shared = registry.links.get(&link)?;
        let torrent = registry.torrents.get(&shared.torrent.load(Ordering::Acquire))?;
        Some((Arc::clone(shared), torrent.store.clone()?))
    }

    fn tell(&self, link: u32, command: Command) {
        if let Some(link) = self.core.registry.lock().links.get(&link) {
            link.tell(command);
        }
    }
}
